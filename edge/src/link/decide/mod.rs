//! The link's state machine: what a command makes of a link.
//!
//! Promise: a decision is all or nothing. What it returns is stored in one transaction of the
//! link's Durable Object, and every later effect (a webhook, a removal from R2) stands in the
//! state as a row until it has happened, so a crash at any moment loses none. Repeating a command
//! that has succeeded succeeds again and changes nothing.

pub(crate) mod audit;
mod commit;
mod dispatch;
mod ending;
mod events;
mod files;
mod link;
mod pieces;
mod serial;
mod uploads;

pub use dispatch::Visitor;

use core::time::Duration;

use chatlift_shared::api::{DeletedReason, LinkState as Status};
use chatlift_shared::webhook::EventKind;
use chatlift_shared::{Problem, ProblemCode, Timestamp, UploadId};

use super::audit::Trail;
use super::command::Cleaned;
use super::flow::Held;
use super::message::{Command, For, Owner};
use super::state::{
    Cleanup, CleanupRow, Extras, LinkState, LinkView, Multipart, Part, UploadRow, UploadState,
    refusal,
};
use super::version;
use super::work::{joined_at, retained_until};

/// How long after an abandoned commit its object is removed: longer than the worker that began it
/// can go on, so that nothing is put there afterwards.
const REMOVE_AFTER: Duration = Duration::from_secs(10 * 60);

/// Wait before a failed cleanup is tried again, times its tries; and the longest such wait.
const CLEANUP_RETRY: Duration = Duration::from_secs(60);
const CLEANUP_RETRY_MAX: u32 = 60;

/// Most uploads that are no files, and most cleanups, that a link keeps rows of. All are read whenever its
/// object starts, at some 500 bytes each. Beyond that no upload is taken until cleanups are done.
pub(super) const ROWS_MAX: usize = 1_000;

/// Ended uploads that are remembered after their cleanup, newest last, so that whoever still sends to one
/// hears that it has ended. An older one was never there.
pub(super) const ENDED_KEPT: usize = 100;

/// Most part numbers that one problem names.
pub const PARTS_NAMED: usize = 100;

/// A row of the parts table to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartWrite {
    /// Insert or replace; what was staged of it goes.
    Put(UploadId, u16, Part),
    /// Remove a part, whole and staged.
    Drop(UploadId, u16),
    /// Remove what is staged from this place of this part on.
    Truncate(UploadId, u16, u64),
    /// Remove all parts of an upload, whole and staged.
    DropAll(UploadId),
}

impl PartWrite {
    /// Carries the write out on bytes that are staged in memory, of which `truncate` keeps the first.
    #[cfg(test)]
    pub(crate) fn unstage<B>(
        &self,
        staged: &mut std::collections::BTreeMap<(UploadId, u16), B>,
        truncate: impl FnOnce(&mut B, u64),
    ) {
        match self {
            Self::Put(id, n, _) | Self::Drop(id, n) => drop(staged.remove(&(*id, *n))),
            Self::DropAll(id) => staged.retain(|(upload, _), _| upload != id),
            Self::Truncate(id, n, begin) => {
                staged.retain(|(upload, part), _| upload != id || part <= n);
                if let Some(bytes) = staged.get_mut(&(*id, *n)) {
                    truncate(bytes, *begin);
                }
            }
        }
    }

    /// Carries the write out on what is held in memory; the shell does the same on its tables.
    #[cfg(test)]
    pub(crate) fn apply(self, held: &mut std::collections::BTreeMap<UploadId, Held>) {
        match self {
            Self::Put(id, n, part) => {
                let held = held.entry(id).or_default();
                held.parts.insert(n, part);
                held.staged.retain(|s| s.n != n);
            }
            Self::Drop(id, n) => {
                let held = held.entry(id).or_default();
                held.parts.remove(&n);
                held.staged.retain(|s| s.n != n);
            }
            Self::Truncate(id, n, begin) => held.entry(id).or_default().truncate(n, begin),
            Self::DropAll(id) => drop(held.remove(&id)),
        }
    }
}

/// What a command makes of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<R> {
    /// What to store.
    pub change: Change,
    /// What to answer.
    pub reply: R,
}

/// What is to be stored of a decision, in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The link's state from here on; `None` when it is forgotten: whoever keeps it drops all of it.
    pub next: Option<LinkState>,
    /// Rows of the parts table to write with it.
    pub parts: Vec<PartWrite>,
}

/// Looks up what is held of an upload.
pub type Lookup<'a> = &'a dyn Fn(UploadId) -> Held;

/// A command whose rules are known.
pub trait Decide: Command {
    /// What it makes of a link.
    ///
    /// # Errors
    /// The problem to answer with.
    fn decide(self, step: &mut Step<'_>) -> Result<Self::Reply, Problem>;

    /// What it makes of no link.
    ///
    /// # Errors
    /// The problem to answer with: what is not found, for all commands but the one that makes a link.
    fn without_link(self, _now: Timestamp) -> Result<Decision<Self::Reply>, Problem> {
        Err(ProblemCode::LinkNotFound.into())
    }

    /// The upload of which the holders of leases are to stage what has arrived, before this is decided.
    fn collects(&self, _state: &LinkState) -> Option<UploadId> {
        None
    }

    /// The part whose leases are over with this.
    fn releases(&self) -> Option<(UploadId, u16)> {
        None
    }

    /// Whether the edge sends it once more where no answer came. The second is answered like the first, and changes
    /// nothing more. So are the commands of an attempt: others would have to wait until it counts as stuck.
    fn is_retried(&self) -> bool {
        false
    }
}

/// Decides what `command` makes of `state`, which is `None` before the link is made.
///
/// # Errors
/// The problem to answer with; nothing changes then.
pub fn decide<C: Decide>(
    state: Option<&LinkState>,
    command: C,
    held: Lookup<'_>,
    now: Timestamp,
) -> Result<Decision<C::Reply>, Problem> {
    let Some(state) = state else {
        return command.without_link(now);
    };
    let mut step = Step::begin(state, held, now);
    let reply = command.decide(&mut step)?;
    let change = step.end();
    Ok(Decision { change, reply })
}

/// A decision that is being made.
pub struct Step<'a> {
    before: &'a LinkState,
    state: LinkState,
    forgotten: bool,
    parts: Vec<PartWrite>,
    held: Lookup<'a>,
    now: Timestamp,
}

impl<'a> Step<'a> {
    fn begin(state: &'a LinkState, held: Lookup<'a>, now: Timestamp) -> Self {
        let mut step = Self {
            before: state,
            state: state.clone(),
            forgotten: false,
            parts: Vec::new(),
            held,
            now,
        };
        // What an older version of this code wrote is this one's from here on.
        step.state.link.version = version::ROWS;
        // Whatever is asked, it is asked of a link whose clock is right.
        step.tick();
        step
    }

    fn end(mut self) -> Change {
        self.note_for_list();
        self.audit();
        Change {
            next: (!self.forgotten).then_some(self.state),
            parts: self.parts,
        }
    }
}

impl Step<'_> {
    /// Has the audit trail tell what was decided so far. Nothing of it is kept of a link that is erased.
    fn audit(&mut self) {
        if self.state.link.erased {
            self.state.audit = Trail::default();
            return;
        }
        let mut trail = self.before.audit.clone();
        let before = (!trail.rows().is_empty()).then_some(self.before);
        let parts = |upload| self.file_with_parts(upload)?.parts;
        trail.add(self.now, audit::facts(before, &self.state, parts));
        self.state.audit = trail;
    }

    /// What the link looks like from outside, as decided so far.
    fn view(&mut self) -> LinkView {
        self.audit();
        self.state.view()
    }

    /// Refuses when the link takes no more files.
    fn open_for_files(&self) -> Result<(), Problem> {
        match refusal(self.state.link.status) {
            None => Ok(()),
            Some(ProblemCode::LinkFull) => {
                Err(Problem::new(ProblemCode::LinkFull)
                    .limit(self.state.link.policy.max_files.into()))
            }
            Some(code) => Err(code.into()),
        }
    }

    fn upload(&self, upload: UploadId) -> Result<&UploadRow, Problem> {
        self.state
            .uploads
            .get(&upload)
            .ok_or_else(|| ProblemCode::UploadNotFound.into())
    }

    /// The upload whose file is the answer to whoever sent this one: itself, or its stored twin.
    fn answered_with(&self, upload: UploadId) -> UploadId {
        match self.state.uploads.get(&upload).map(|row| &row.state) {
            Some(UploadState::Aborted {
                twin: Some(twin), ..
            }) => *twin,
            _ => upload,
        }
    }

    /// An upload that was not withdrawn after it was stored.
    fn kept_upload(&self, upload: UploadId) -> Result<&UploadRow, Problem> {
        let row = self.upload(upload)?;
        match &row.state {
            UploadState::Stored(file) if file.is_withdrawn() => {
                Err(ProblemCode::UploadAborted.into())
            }
            _ => Ok(row),
        }
    }

    fn set(&mut self, upload: UploadId, state: UploadState) {
        if let Some(row) = self.state.uploads.get_mut(&upload) {
            if let UploadState::Aborted { .. } = state {
                row.extras = Extras::default();
            }
            row.state = state;
        }
    }

    fn ids(&self, select: impl Fn(&UploadState) -> bool) -> Vec<UploadId> {
        self.state
            .uploads
            .iter()
            .filter(|(_, u)| select(&u.state))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Expires the link and its files when their time is over.
    fn tick(&mut self) {
        let link = &self.state.link;
        if link.status == Status::Active
            && link.expires_at <= self.now
            && !planted!(ExpiryUnchecked)
        {
            self.state.link.status = Status::Expired;
            self.end_receiving();
            let ended = self.ended(&[]);
            self.tell(EventKind::LinkExpired(ended));
        }
        if joined_at(&self.state).is_some_and(|at| at <= self.now) {
            self.complete(&[]);
        }
        let over: Vec<_> = self.ids(|s| match s {
            UploadState::Stored(s) => {
                s.deleted_at.is_none() && retained_until(&self.state, s.stored_at) <= self.now
            }
            _ => false,
        });
        for upload in over {
            self.delete(upload, DeletedReason::Expired);
        }
        self.end_late();
        self.forget_ended();
    }

    /// Drops the rows of uploads that ended without a file and of which R2 has nothing any more, but the
    /// last [`ENDED_KEPT`] of them. Otherwise refused uploads would grow the link without an end.
    fn forget_ended(&mut self) {
        let is_owed = |id: &UploadId| {
            let names = [multipart_cleanup(*id), object_cleanup(*id)];
            names
                .iter()
                .any(|name| self.state.cleanups.contains_key(name))
        };
        let mut ended: Vec<(Timestamp, UploadId)> = self
            .state
            .uploads
            .iter()
            .filter_map(|(id, row)| match row.state {
                UploadState::Aborted { at, .. } if !is_owed(id) => Some((at, *id)),
                _ => None,
            })
            .collect();
        let too_many = ended.len().saturating_sub(ENDED_KEPT);
        ended.sort_unstable();
        for (_, id) in ended.into_iter().take(too_many) {
            self.state.uploads.remove(&id);
        }
    }

    /// Refuses one more upload while the link has as many rows of uploads or cleanups as it may have,
    /// until the next cleanup is due.
    fn room_for_a_row(&self) -> Result<(), Problem> {
        let is_file = |row: &&UploadRow| matches!(row.state, UploadState::Stored(_));
        let files = self.state.uploads.values().filter(is_file).count();
        let cleanups = &self.state.cleanups;
        if (self.state.uploads.len() - files).max(cleanups.len()) < ROWS_MAX {
            return Ok(());
        }
        let due = cleanups.values().map(|cleanup| cleanup.due).min();
        let wait = due.map_or(CLEANUP_RETRY, |due| self.now.until(due));
        Err(Problem::new(ProblemCode::RateLimited)
            .field("uploads")
            .limit(ROWS_MAX as u64)
            .retry_after(wait.as_secs().max(1))
            .detail("Too many uploads to this link have ended without a file."))
    }

    fn end_receiving(&mut self) {
        for id in self.ids(UploadState::is_under_way) {
            self.end_upload(id);
        }
    }

    /// Ends an upload without a file, and sees to what R2 has of it.
    fn end_upload(&mut self, id: UploadId) {
        let Some(row) = self.state.uploads.get(&id) else {
            return;
        };
        let (multipart, committing) = match &row.state {
            UploadState::Receiving {
                multipart,
                attempted,
                ..
            } => (Some(multipart.clone()), *attempted),
            UploadState::Completing { multipart, .. } => (multipart.clone(), true),
            UploadState::Piece { .. } => (None, true),
            UploadState::Stored(_) | UploadState::Aborted { .. } => return,
        };
        if let Some(multipart) = multipart
            && !planted!(CleanupLost)
        {
            self.abort_multipart(id, &multipart);
        }
        if committing {
            let key = self.state.key(id);
            let due = self.now.plus(REMOVE_AFTER);
            self.clean(object_cleanup(id), Cleanup::DeleteObject { key }, due);
        }
        let (at, twin) = (self.now, None);
        self.set(id, UploadState::Aborted { at, twin });
        if !planted!(StagedLeft) {
            self.parts.push(PartWrite::DropAll(id));
        }
    }

    fn abort_multipart(&mut self, id: UploadId, multipart: &Multipart) {
        let what = Cleanup::AbortMultipart {
            key: self.state.key(id),
            r2_upload_id: multipart.r2_upload_id.clone(),
        };
        self.clean(multipart_cleanup(id), what, self.now);
    }

    fn clean(&mut self, name: String, what: Cleanup, due: Timestamp) {
        self.state.cleanups.insert(
            name,
            CleanupRow {
                what,
                due,
                attempts: 0,
            },
        );
    }
}

impl<C: Decide> Decide for For<C> {
    fn decide(self, step: &mut Step<'_>) -> Result<C::Reply, Problem> {
        let Self {
            app,
            missing,
            command,
        } = self;
        Owner { app, missing }.check(Some(&step.state))?;
        command.decide(step)
    }

    fn without_link(self, _now: Timestamp) -> Result<Decision<C::Reply>, Problem> {
        Err(self.missing.into())
    }

    fn collects(&self, state: &LinkState) -> Option<UploadId> {
        self.command.collects(state)
    }

    fn releases(&self) -> Option<(UploadId, u16)> {
        self.command.releases()
    }
}

impl Decide for Cleaned {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { cleanup, done } = self;
        if done || planted!(CleanupUnconfirmed) {
            step.state.cleanups.remove(&cleanup);
        } else if let Some(row) = step.state.cleanups.get_mut(&cleanup) {
            row.attempts += 1;
            row.due = step
                .now
                .plus(CLEANUP_RETRY * row.attempts.min(CLEANUP_RETRY_MAX));
        }
        Ok(())
    }
}

/// Name of the cleanup of an upload's parts.
fn multipart_cleanup(id: UploadId) -> String {
    format!("multipart:{id}")
}

/// Name of the cleanup of an upload's object.
fn object_cleanup(id: UploadId) -> String {
    format!("object:{id}")
}

#[cfg(test)]
pub(crate) mod tests;
