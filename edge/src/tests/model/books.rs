//! What must hold of the link, the bucket and what was said of them.

use std::collections::BTreeSet;

use chatlift_shared::api::{EventState, StagedPart};
use chatlift_shared::limits::part_len;
use chatlift_shared::{FileId, ProblemCode, UploadId};

use super::Model;
use super::rope::Rope;
use super::senders::{Answered, Dialect};
use crate::link::flow;
use crate::link::outbox::TRY_FOR;
use crate::link::state::{LinkState, UploadState};
use crate::link::work::retained_until;
use crate::ports::Failure;

impl Model {
    /// What may be answered.
    pub(super) fn check_answer(&self, whose: usize, answer: &Result<Answered, Failure>) {
        let sender = &self.senders[whose];
        if let Err(Failure::Refused(problem)) = answer
            && sender.dialect == Dialect::Form
        {
            let ours = [
                ProblemCode::PartsMissing,
                ProblemCode::PartsDiffer,
                ProblemCode::DigestMismatch,
            ];
            assert!(!ours.contains(&problem.code), "a form knows of no parts");
        }
    }

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
            assert_eq!(row.size, sender.size());
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
            // Other bytes that come in place of those that were acknowledged drop them, and their sender is told.
            if self.is_disputed(*upload) {
                continue;
            }
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

    /// Whether bytes of another file came to a part of an upload, or may have.
    fn is_disputed(&self, upload: UploadId) -> bool {
        let several = self.announced.get(&upload).is_some_and(|by| by.len() > 1);
        several || self.machine.altered.borrow().contains(&upload)
    }

    /// Every digest that is kept is that of what its sender has.
    fn check_digests(&self, state: &LinkState) {
        for (id, whose) in &self.files {
            let (upload, content) = (
                UploadId::new(self.link, id.suffix()),
                &self.senders[*whose].content,
            );
            let Some(UploadState::Stored(file)) = state.uploads.get(&upload).map(|row| &row.state)
            else {
                continue;
            };
            let right = file.sha256.is_none_or(|said| said == content.digest());
            assert!(right, "{id} has another digest");
            if file.deleted_at.is_none() && file.in_parts(content.len()) {
                let held = self.machine.held.borrow();
                let kept = held.get(&upload).map(|held| &held.parts);
                let kept = kept
                    .into_iter()
                    .flatten()
                    .map(|(n, part)| (*n, part.sha256));
                let size = file.part_size.unwrap_or(u64::MAX);
                let of_parts = (1_u16..=u16::MAX).map_while(|n| {
                    let whole = part_len(content.len(), size, n.into())?;
                    let begin = u64::from(n - 1) * size;
                    Some((n, content.slice(begin, begin + whole).digest()))
                });
                assert!(kept.eq(of_parts), "{id} has other digests of its parts");
            }
        }
        for (upload, by) in &self.announced {
            let Some(UploadState::Receiving { multipart, .. }) =
                state.uploads.get(upload).map(|row| &row.state)
            else {
                continue;
            };
            let held = self.machine.held.borrow();
            for (n, part) in held.get(upload).iter().flat_map(|held| &held.parts) {
                let sent = |whose: &usize| {
                    let sender = &self.senders[*whose];
                    sender.part_of(multipart.part_size, (*n).into()).digest() == part.sha256
                };
                assert!(by.iter().any(sent), "part {n} is nobody's");
            }
        }
    }

    /// What holds once nothing runs and the alarms have done their work.
    pub(super) fn check_at_rest(&self) {
        self.check();
        let Some(state) = self.state() else { return };
        self.check_digests(&state);
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
