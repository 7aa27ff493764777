//! What a person does with a link beside uploading: opens it, and says that all is sent. And how
//! far the uploads are meanwhile.

use chatlift_shared::api::{DeletedReason, Join, LinkState as Status, UnderWay};
use chatlift_shared::limits::part_len;
use chatlift_shared::webhook::{EventKind, LinkEnded};
use chatlift_shared::{FileId, Problem, UploadId};

use super::{Decide, Step};
use crate::link::command::{Finish, Opened, ReadProgress};
use crate::link::state::{LinkView, UploadState};

/// Notes the first time; whoever opens the link later changes nothing.
impl Decide for Opened {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        if step.state.link.opened_at.is_none() {
            step.state.link.opened_at = Some(step.now);
        }
        Ok(())
    }
}

/// Completes a link whose files are joined, if it has any. A file that is being committed at
/// this moment is committed all the same.
impl Decide for Finish {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { order } = self;
        let joins = step.state.link.policy.join == Some(Join::Pdf);
        if joins && step.state.link.status == Status::Active && step.state.files_stored() > 0 {
            step.complete(&order);
        }
        Ok(())
    }
}

/// The link with how far its uploads are.
impl Decide for ReadProgress {
    fn decide(self, step: &mut Step<'_>) -> Result<LinkView, Problem> {
        let mut view = step.view();
        let mut under_way: Vec<_> = step
            .state
            .uploads
            .iter()
            .filter_map(|(id, row)| {
                let held = match &row.state {
                    UploadState::Receiving { multipart, .. } => {
                        step.bytes_held(*id, row.size, multipart.part_size)
                    }
                    // All parts are there; a file in one request is there or not.
                    UploadState::Completing { multipart, .. } => {
                        multipart.as_ref().map_or(0, |_| row.size)
                    }
                    UploadState::Piece { .. } => row.size,
                    UploadState::Stored(_) | UploadState::Aborted { .. } => return None,
                };
                let shown = UnderWay {
                    id: *id,
                    name: row.name.clone(),
                    size: row.size,
                    held,
                };
                Some((row.created_at, shown))
            })
            .collect();
        under_way.sort_by_key(|(at, shown)| (*at, shown.id));
        view.under_way = under_way.into_iter().map(|(_, shown)| shown).collect();
        Ok(view)
    }
}

impl Step<'_> {
    /// The link takes no more files.
    pub(super) fn complete(&mut self, order: &[FileId]) {
        self.state.link.status = Status::Completed;
        self.end_receiving();
        let ended = self.ended(order);
        self.tell(EventKind::LinkCompleted(ended));
    }

    /// How the link ended. `order` is as the person picked; files that it does not name follow in
    /// the order in which they began, and what is no file of this link is passed over.
    pub(super) fn ended(&self, order: &[FileId]) -> LinkEnded {
        let files = self.state.files_stored();
        let mut ids: Vec<FileId> = Vec::new();
        if self.state.link.policy.join.is_some() {
            let mut began: Vec<_> = self
                .state
                .files()
                .into_iter()
                .filter(|file| file.deleted_reason != Some(DeletedReason::Withdrawn))
                .map(|file| {
                    let upload = crate::link::state::upload_of(file.id);
                    let row = self.state.uploads.get(&upload);
                    (row.map(|row| row.created_at), file.stored_at, file.id)
                })
                .collect();
            began.sort_unstable();
            let stored = || began.iter().map(|(_, _, id)| *id);
            for id in order.iter().copied().chain(stored()) {
                if !ids.contains(&id) && stored().any(|known| known == id) {
                    ids.push(id);
                }
            }
        }
        LinkEnded {
            link: self.state.link_ref(),
            files,
            order: ids,
        }
    }

    fn bytes_held(&self, upload: UploadId, size: u64, part_size: u64) -> u64 {
        let held = (self.held)(upload);
        let whole: u64 = held
            .parts
            .keys()
            .map(|n| part_len(size, part_size, (*n).into()).unwrap_or(0))
            .sum();
        let begun: u64 = held.staged.iter().map(|staged| staged.offset).sum();
        whole.saturating_add(begun).min(size)
    }
}
