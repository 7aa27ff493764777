//! What must hold of a journey, whatever goes wrong.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use chatlift_frontend::uploader::{Failure, Key};
use chatlift_shared::webhook::{Event, EventKind};
use chatlift_shared::{FileId, UploadId};

use super::Journey;
use super::page::Page;
use crate::link::state::UploadState;
use crate::tests::model::rope::Rope;

/// What people were told, and what they did about it.
#[derive(Default)]
pub(super) struct Promised {
    /// Files that a page was told are stored, and which of the person's each is.
    stored: RefCell<BTreeMap<FileId, usize>>,
    /// Files that somebody asked to have taken back.
    withdrawn: RefCell<BTreeSet<FileId>>,
    /// Files of the person that were given up, and that nobody picked again.
    given_up: RefCell<BTreeSet<usize>>,
    /// Files whose removal failed, as the page said.
    kept: RefCell<BTreeSet<usize>>,
    /// How files ended that did not arrive.
    pub(super) failures: RefCell<Vec<String>>,
    rests: Cell<u64>,
}

impl Journey {
    pub(super) fn on_pick(&self, file: usize) {
        self.promised.given_up.borrow_mut().remove(&file);
    }

    pub(super) fn on_stored(&self, id: FileId, file: usize) {
        self.promised.stored.borrow_mut().insert(id, file);
        self.promised.given_up.borrow_mut().remove(&file);
    }

    /// Whether some page was told that a file is stored.
    pub(super) fn is_stored(&self, file: usize) -> bool {
        let withdrawn = self.promised.withdrawn.borrow();
        let stored = self.promised.stored.borrow();
        stored
            .iter()
            .any(|(id, of)| *of == file && !withdrawn.contains(id))
    }

    /// The edge is asked to take an upload back, or the file that it became.
    pub(super) fn on_withdrawal(&self, upload: &str) {
        let upload: UploadId = upload.parse().expect("an upload id");
        self.promised.withdrawn.borrow_mut().insert(upload.into());
    }

    /// A page says that the edge has nothing of a file any more.
    pub(super) fn on_cancelled(&self, file: usize) {
        let sent_elsewhere = self.pages.borrow().iter().any(|page| {
            let files = page.files.borrow();
            files.values().any(|known| *known == file)
        });
        if !sent_elsewhere && !self.is_stored(file) {
            self.promised.given_up.borrow_mut().insert(file);
        }
    }

    /// A file was given up of which the edge cannot have everything.
    pub(super) fn on_given_up(&self, file: usize) {
        self.on_cancelled(file);
    }

    pub(super) fn on_taken_back(&self, id: FileId) {
        let stored = self.promised.stored.borrow().get(&id).copied();
        if let Some(file) = stored {
            self.on_cancelled(file);
        }
    }

    /// A page gives a file up by itself, or could not take it back.
    pub(super) fn on_failed(&self, page: &Page, key: Key, failure: &Failure, cancelled: bool) {
        let file = page.files.borrow().get(&key).copied();
        if cancelled {
            self.promised.kept.borrow_mut().extend(file);
        }
        let code = match failure {
            Failure::Edge(refusal) => match refusal.code {
                Some(code) => code.code().to_owned(),
                None => format!("status {}", refusal.status),
            },
            other => format!("{other:?}"),
        };
        let code = if cancelled {
            format!("{code} at its end")
        } else {
            code
        };
        self.promised.failures.borrow_mut().push(code);
    }

    /// What holds after every change of the link.
    pub(super) fn check_if_changed(&self) {
        let changes = self.machine.changes.get();
        if self.checked.replace(changes) == changes {
            return;
        }
        let links = self.machine.link.borrow();
        let Some(state) = links.get(&self.link) else {
            return;
        };
        assert!(
            state.places_taken() <= state.link.policy.max_files,
            "too many files"
        );
        let objects = self.machine.objects.borrow();
        let withdrawn = self.promised.withdrawn.borrow();
        for (id, file) in &*self.promised.stored.borrow() {
            let upload = UploadId::new(self.link, id.suffix());
            let row = state.uploads.get(&upload).expect("the row of a file");
            let UploadState::Stored(stored) = &row.state else {
                panic!("{id} was acknowledged and is {:?}", row.state);
            };
            if stored.deleted_at.is_some() {
                let over = crate::link::work::retained_until(state, stored.stored_at)
                    <= self.machine.clock();
                assert!(over || withdrawn.contains(id), "nobody deleted {id}");
                continue;
            }
            let known = objects.get(&state.key(upload));
            assert_eq!(known, Some(&self.files[*file].content), "content of {id}");
        }
        for (upload, _) in self.machine.staged.borrow().keys() {
            let row = state.uploads.get(upload);
            let takes = row.is_some_and(|row| {
                matches!(
                    row.state,
                    UploadState::Receiving { .. } | UploadState::Completing { .. }
                )
            });
            assert!(takes, "bytes are staged of {row:?}");
        }
    }

    /// What holds when nothing runs and only alarms are left to come.
    pub(super) fn check_at_rest(&self) {
        self.promised.rests.set(self.promised.rests.get() + 1);
        let links = self.machine.link.borrow();
        let Some(state) = links.get(&self.link) else {
            return;
        };
        if !state.cleanups.is_empty() {
            return;
        }
        let mut kept = BTreeSet::new();
        for (id, row) in &state.uploads {
            match &row.state {
                UploadState::Stored(file) if file.deleted_at.is_none() => {
                    kept.insert(state.key(*id));
                }
                // What is being settled may have its object already.
                UploadState::Completing { .. } => return,
                _ => {}
            }
        }
        let objects: BTreeSet<String> = self.machine.objects.borrow().keys().cloned().collect();
        assert_eq!(objects, kept, "objects are the files and nothing else");
        assert_eq!(
            state.places_taken(),
            state.files_stored(),
            "the link's count"
        );
    }

    /// What holds when nothing is left to happen.
    pub(super) fn check_end(&self) {
        let machine = &self.machine;
        assert!(machine.link.borrow().is_empty(), "the link is forgotten");
        assert!(machine.objects.borrow().is_empty(), "objects are left");
        assert!(machine.held.borrow().is_empty() && machine.staged.borrow().is_empty());
        assert!(
            machine.listed.borrow().is_empty(),
            "an entry of the list is left"
        );
        // Those that a worker made and died over R2 drops by itself.
        let died = self.died.borrow();
        for (id, upload) in &*machine.multiparts.borrow() {
            let unknown = died.contains(&upload.by);
            assert!(unknown, "multipart upload {id} is left");
        }
        let mut events: BTreeMap<FileId, u32> = BTreeMap::new();
        for body in self.backend.told.borrow().values() {
            let event: Event = serde_json::from_str(body).expect("an event");
            if let EventKind::FileStored(stored) = event.kind {
                *events.entry(stored.file.id).or_default() += 1;
            }
        }
        for (id, count) in &events {
            assert_eq!(*count, 1, "events of {id}");
        }
        let delivered = self.backend.delivered.borrow();
        let withdrawn = self.promised.withdrawn.borrow();
        for (id, file) in &*self.promised.stored.borrow() {
            if withdrawn.contains(id) {
                continue;
            }
            let content = delivered.get(id);
            assert_eq!(
                content,
                Some(&self.files[*file].content),
                "{id} was acknowledged"
            );
        }
        let deleted = self.backend.deleted.borrow();
        for (n, file) in self.files.iter().enumerate() {
            let of_it =
                |(id, of): &(&FileId, &Rope)| **of == file.content && !withdrawn.contains(id);
            let count = delivered.iter().filter(of_it).count();
            // A page without digests (plain HTTP) has no way to say that a file is the one of before.
            let once = count <= 1 || !self.digests.get();
            assert!(once, "file {n} was delivered {count} times");
            if self.promised.given_up.borrow().contains(&n)
                && !self.promised.kept.borrow().contains(&n)
            {
                let arrived = delivered
                    .iter()
                    .filter(|(id, of)| **of == file.content && !deleted.contains(id));
                let arrived: Vec<_> = arrived.map(|(id, _)| id).collect();
                assert!(
                    arrived.is_empty(),
                    "file {n} was given up and arrived as {arrived:?}"
                );
            }
        }
    }
}
