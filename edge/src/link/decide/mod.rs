//! The link's state machine: what a command makes of a link.
//!
//! Promise: a decision is all or nothing. What it returns is stored in one transaction of the
//! link's Durable Object, and every later effect (a webhook, a removal from R2) stands in the
//! state as a row until it has happened, so a crash at any moment loses none. Repeating a command
//! that has succeeded succeeds again and changes nothing.

mod ending;
mod events;
mod files;
mod link;
mod pieces;
mod serial;
mod uploads;

use core::time::Duration;

use chatlift_shared::api::{DeletedReason, LinkState as Status};
use chatlift_shared::webhook::EventKind;
use chatlift_shared::{Problem, ProblemCode, Timestamp, UploadId};

use super::command::{Answer, Command, Reply};
use super::flow::Held;
use super::state::{
    Cleanup, CleanupRow, LinkRow, LinkState, Multipart, Part, UploadRow, UploadState, refusal,
};
use super::version;
use super::work::retained_until;

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
pub struct Decision {
    /// The state to store.
    pub next: LinkState,
    /// Rows of the parts table to write with it.
    pub parts: Vec<PartWrite>,
    /// What to answer.
    pub reply: Reply,
}

/// Looks up what is held of an upload.
pub type Lookup<'a> = &'a dyn Fn(UploadId) -> Held;

/// Decides what `command` makes of `state`, which is `None` before the link is made.
///
/// # Errors
/// The problem to answer with; nothing changes then.
pub fn decide(
    state: Option<&LinkState>,
    command: Command,
    held: Lookup<'_>,
    now: Timestamp,
) -> Result<Decision, Problem> {
    let Some(state) = state else {
        return match command {
            Command::Create(mut row) => {
                row.listed.change(now);
                let next = LinkState::new(*row);
                let reply = Reply::Link(Box::new(next.view()));
                Ok(Decision {
                    next,
                    parts: vec![],
                    reply,
                })
            }
            Command::For { missing, .. } => Err(missing.into()),
            _ => Err(ProblemCode::LinkNotFound.into()),
        };
    };
    let mut step = Step {
        state: state.clone(),
        parts: Vec::new(),
        held,
        now,
    };
    // What an older version of this code wrote is this one's from here on.
    step.state.link.version = version::ROWS;
    // Whatever is asked, it is asked of a link whose clock is right.
    step.tick();
    let reply = step.apply(command)?;
    step.note_for_list(state);
    Ok(Decision {
        next: step.state,
        parts: step.parts,
        reply,
    })
}

struct Step<'a> {
    state: LinkState,
    parts: Vec<PartWrite>,
    held: Lookup<'a>,
    now: Timestamp,
}

impl Step<'_> {
    fn apply(&mut self, command: Command) -> Answer {
        match command {
            Command::For {
                app,
                missing,
                command,
            } => {
                if app != self.state.link.app {
                    return Err(missing.into());
                }
                self.apply(*command)
            }
            Command::Create(row) => self.create_again(&row),
            Command::Read => Ok(self.link()),
            Command::ReadProgress => Ok(self.progress()),
            Command::Opened => Ok(self.opened()),
            Command::Finish { order } => self.finish(&order),
            Command::Recall { request } => self.recall(request),
            Command::Revoke => self.revoke(),
            Command::Erase => Ok(self.erase()),
            Command::Forget => Ok(self.forget()),
            Command::Extend { expires_at } => self.extend(expires_at),
            Command::Close => self.close(),
            Command::TryPassword { asker } => self.try_password(asker),
            Command::PasswordRight { asker } => Ok(self.password_right(&asker)),
            Command::Listed {
                version,
                done,
                jitter,
            } => Ok(self.listed(version, done, jitter)),
            Command::ReadEvents { after } => self.read_events(after),
            Command::Announce {
                name,
                size,
                earlier,
            } => self.announce(&name, size, earlier),
            Command::Open {
                upload,
                name,
                size,
                multipart,
            } => self.open(upload, name, size, multipart),
            Command::RecordPart {
                upload,
                n,
                part,
                seal,
            } => self.record_part(upload, n, part, seal),
            Command::Resize { upload, size } => self.resize(upload, size),
            Command::Touch { upload } => self.take_parts(upload).map(|()| Reply::Done),
            Command::ForgetPart { upload, n } => self.forget_part(upload, n),
            Command::Reserve {
                upload,
                attempt,
                name,
                size,
                sha256,
            } => self.reserve(upload, attempt, name, size, sha256),
            Command::Seal { upload, seal } => {
                let parts = (self.held)(upload).parts;
                self.seal(upload, seal, parts)
            }
            Command::Working { upload, attempt } => self.working(upload, attempt),
            Command::Commit {
                upload,
                attempt,
                media_type,
                sha256,
                etag,
            } => self.commit(upload, attempt, media_type, sha256, etag),
            Command::Withdraw { upload, attempt } => self.withdraw(upload, attempt),
            Command::Reopen {
                upload,
                attempt,
                keep_parts,
            } => self.reopen(upload, attempt, keep_parts),
            Command::Abort { upload } => self.abort(upload),
            Command::WithdrawFile { upload } => self.withdraw_file(upload),
            Command::Serial(upload, command) => self.serial(upload, command),
            Command::Receipt { file, receipt } => self.receipt(file, receipt),
            Command::ReadFile { file } => self.found_file(file),
            Command::DeleteFile { file } => self.delete_file(file),
            Command::Redeliver { event } => self.redeliver(event),
            Command::Tried {
                event,
                attempt,
                outcome,
                jitter,
            } => self.tried(event, attempt, outcome, jitter),
            Command::Cleaned { cleanup, done } => Ok(self.cleaned(&cleanup, done)),
            Command::Tick => Ok(Reply::Done),
        }
    }

    fn link(&self) -> Reply {
        Reply::Link(Box::new(self.state.view()))
    }

    fn create_again(&self, row: &LinkRow) -> Answer {
        let known = &self.state.link;
        // Without an idempotency key the id is random: meeting a link of the same id would be one
        // chance in 2^96, and joining it would be worse than failing.
        match known.request {
            Some(request) if Some(request) == row.request => Ok(self.link()),
            _ => Err(Problem::new(ProblemCode::IdempotencyKeyReused).field("Idempotency-Key")),
        }
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

    fn revoke(&mut self) -> Answer {
        if self.state.link.status == Status::Active {
            self.state.link.status = Status::Revoked;
            self.end_receiving();
            let completing: Vec<_> = self.ids(|s| matches!(s, UploadState::Completing { .. }));
            for id in completing {
                self.end_upload(id);
            }
            let ended = self.ended(&[]);
            self.tell(EventKind::LinkRevoked(ended));
        }
        Ok(Reply::Done)
    }

    /// Expires the link and its files when their time is over.
    fn tick(&mut self) {
        let link = &self.state.link;
        if link.status == Status::Active && link.expires_at <= self.now {
            self.state.link.status = Status::Expired;
            self.end_receiving();
            let ended = self.ended(&[]);
            self.tell(EventKind::LinkExpired(ended));
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
                UploadState::Aborted { at } if !is_owed(id) => Some((at, *id)),
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
            UploadState::Receiving { multipart, .. } => (Some(multipart.clone()), false),
            UploadState::Completing { multipart, .. } => (multipart.clone(), true),
            UploadState::Piece { .. } => (None, true),
            UploadState::Stored(_) | UploadState::Aborted { .. } => return,
        };
        if let Some(multipart) = multipart {
            self.abort_multipart(id, &multipart);
        }
        if committing {
            let key = self.state.key(id);
            let due = self.now.plus(REMOVE_AFTER);
            self.clean(object_cleanup(id), Cleanup::DeleteObject { key }, due);
        }
        self.set(id, UploadState::Aborted { at: self.now });
        self.parts.push(PartWrite::DropAll(id));
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

    fn cleaned(&mut self, cleanup: &str, done: bool) -> Reply {
        if done {
            self.state.cleanups.remove(cleanup);
        } else if let Some(row) = self.state.cleanups.get_mut(cleanup) {
            row.attempts += 1;
            row.due = self
                .now
                .plus(CLEANUP_RETRY * row.attempts.min(CLEANUP_RETRY_MAX));
        }
        Reply::Done
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
mod tests;
