//! What must hold of the link, the bucket and what was said of them.

use std::collections::BTreeSet;

use chatlift_shared::api::{EventState, StagedPart};
use chatlift_shared::{FileId, UploadId};

use super::Model;
use super::rope::Rope;
use crate::link::flow;
use crate::link::outbox::TRY_FOR;
use crate::link::state::UploadState;
use crate::link::work::retained_until;

impl Model {
    /// What holds after every step.
    pub(super) fn check(&self) {
        let Some(state) = self.state() else { return };
        assert!(
            state.places_taken() <= state.link.policy.max_files,
            "too many files"
        );
        let objects = self.machine.objects.borrow();
        for (id, whose) in &self.files {
            let upload = UploadId::new(self.link, id.suffix());
            let row = state.uploads.get(&upload).expect("the row of a file");
            let UploadState::Stored(stored) = &row.state else {
                panic!("an acknowledged file is {:?}", row.state);
            };
            if stored.deleted_at.is_some() {
                let over = retained_until(&state, stored.stored_at) <= self.machine.now.get();
                assert!(over || self.deleted.contains(id), "nobody deleted {id}");
                continue;
            }
            let sender = &self.senders[*whose];
            assert_eq!(row.name, sender.name());
            assert_eq!(
                objects.get(&state.key(upload)),
                Some(&sender.content),
                "content"
            );
        }
        for object in objects.values() {
            assert!(object.len() <= state.link.policy.max_file_size);
        }
        let (held, staged) = (self.machine.held.borrow(), self.machine.staged.borrow());
        for (upload, n) in staged.keys() {
            let row = state
                .uploads
                .get(upload)
                .expect("the upload of staged bytes");
            let takes = matches!(
                row.state,
                UploadState::Receiving { .. } | UploadState::Completing { .. }
            );
            assert!(takes, "part {n} is staged of {:?}", row.state);
        }
        for (upload, said) in &self.acknowledged {
            let Some(row) = state.uploads.get(upload) else {
                continue;
            };
            let UploadState::Receiving { multipart, .. } = &row.state else {
                continue;
            };
            let parts = held
                .get(upload)
                .map(|held| held.parts.clone())
                .unwrap_or_default();
            let staged = |n: u16| staged.get(&(*upload, n)).map_or(0, Rope::len);
            for n in &said.parts {
                assert!(parts.contains_key(n), "part {n} was acknowledged");
            }
            for (n, offset) in &said.staged {
                assert!(
                    parts.contains_key(n) || staged(*n) >= *offset,
                    "part {n} up to {offset}"
                );
            }
            if row.serial.is_some() {
                let beginnings = (1..=u16::MAX).map_while(|n| {
                    let known = parts.contains_key(&n) || staged(n) > 0;
                    known.then(|| StagedPart {
                        n,
                        offset: staged(n),
                    })
                });
                let all = flow::Held {
                    staged: beginnings.filter(|s| s.offset > 0).collect(),
                    parts: parts.clone(),
                };
                let offset = flow::offset(&all, row.size, multipart.part_size);
                assert!(offset >= said.offset, "{offset} fell below {}", said.offset);
            }
        }
    }

    /// What holds once nothing runs and the alarms have done their work.
    pub(super) fn check_at_rest(&self) {
        self.check();
        let Some(state) = self.state() else { return };
        assert!(state.cleanups.is_empty(), "{:?}", state.cleanups);
        let files: Vec<FileId> = state.files().iter().map(|f| f.id).collect();
        let kept = state
            .uploads
            .iter()
            .filter(|(_, u)| matches!(&u.state, UploadState::Stored(s) if s.deleted_at.is_none()));
        let keys: BTreeSet<String> = kept.map(|(id, _)| state.key(*id)).collect();
        let objects: BTreeSet<String> = self.machine.objects.borrow().keys().cloned().collect();
        assert_eq!(objects, keys, "objects are the files and nothing else");
        let completing = |u: &&UploadState| matches!(u, UploadState::Completing { .. });
        assert_eq!(
            state
                .uploads
                .values()
                .map(|u| &u.state)
                .filter(completing)
                .count(),
            0
        );
        assert_eq!(
            state.places_taken(),
            state.files_stored(),
            "the link's count"
        );
        let receiving: BTreeSet<&String> = state
            .uploads
            .values()
            .filter_map(|u| match &u.state {
                UploadState::Receiving { multipart, .. } => Some(&multipart.r2_upload_id),
                _ => None,
            })
            .collect();
        for (id, upload) in &*self.machine.multiparts.borrow() {
            let known = receiving.contains(id) || self.died.contains(&upload.by);
            assert!(known, "nobody knows of multipart upload {id}");
        }
        for upload in self.machine.held.borrow().keys() {
            let row = &state.uploads[upload];
            // A file is checked by the digests of its parts.
            let needed = match &row.state {
                UploadState::Receiving { .. } => true,
                UploadState::Stored(file) => file.deleted_at.is_none() && file.in_parts(row.size),
                _ => false,
            };
            assert!(needed, "parts are recorded of {:?}", row.state);
        }
        // One event for each file, by its id, and the backend was told, unless every try for three days failed.
        for id in &files {
            let naming = format!("\"id\":\"{id}\"");
            let events = state.events.iter().filter(|(_, e)| {
                e.body.contains("\"type\":\"file.stored\"") && e.body.contains(&naming)
            });
            let events: Vec<_> = events.collect();
            assert_eq!(events.len(), 1, "events of {id}");
            let (event, row) = events[0];
            let told = self.machine.told.borrow().contains(&event.to_string());
            let parked = row.state == EventState::Parked
                && row.round_at.plus(TRY_FOR) <= self.machine.now.get();
            assert!(told || parked, "{id} was not told: {:?}", row.state);
        }
    }
}
