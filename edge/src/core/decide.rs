//! The link's state machine: what a command makes of a link.
//!
//! Promise: a decision is all or nothing. What it returns is stored in one transaction of the
//! link's Durable Object, and every later effect (a webhook, a removal from R2) stands in the
//! state as a row until it has happened, so a crash at any moment loses none. Repeating a command
//! that has succeeded succeeds again and changes nothing.

use std::collections::BTreeMap;
use core::time::Duration;

use chatlift_shared::api::{EventState, EventStatus, HeldPart, LinkState as Status, Receipt};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{REASON_MAX, part_count};
use chatlift_shared::webhook::{Event, EventKind, FileStored, LinkEnded};
use chatlift_shared::{EventId, FileId, Problem, ProblemCode, Timestamp, UploadId};

use super::command::{Answer, Command, FoundFile, OpenUpload, Outcome, Reply, Sealed};
use super::link::{
    Cleanup, CleanupRow, EventRow, LinkRow, LinkState, Multipart, Part, StoredFile, UploadRow,
    UploadState, upload_of,
};
use super::outbox;
use super::work::{STUCK_AFTER, retained_until};

/// Uploads that may be under way beside the places left: a person who starts over, or has two
/// tabs open. Beyond it the one that was heard of longest ago makes room.
const SPARE_UPLOADS: usize = 8;

/// How long after an abandoned commit its object is removed: longer than the worker that began it
/// can go on, so that nothing is put there afterwards.
const REMOVE_AFTER: Duration = Duration::from_secs(10 * 60);

/// Wait before a failed cleanup is tried again, times its tries; and the longest such wait.
const CLEANUP_RETRY: Duration = Duration::from_secs(60);
const CLEANUP_RETRY_MAX: u32 = 60;

/// Most part numbers that one problem names.
const PARTS_NAMED: usize = 100;

/// A row of the parts table to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartWrite {
    /// Insert or replace.
    Put(UploadId, u16, Part),
    /// Remove all parts of an upload.
    DropAll(UploadId),
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

/// Looks up the parts of an upload.
pub type Parts<'a> = &'a dyn Fn(UploadId) -> BTreeMap<u16, Part>;

/// Decides what `command` makes of `state`, which is `None` before the link is made.
///
/// # Errors
/// The problem to answer with; nothing changes then.
pub fn decide(
    state: Option<&LinkState>,
    command: Command,
    parts: Parts<'_>,
    now: Timestamp,
) -> Result<Decision, Problem> {
    let Some(state) = state else {
        return match command {
            Command::Create(row) => {
                let next = LinkState::new(*row);
                let reply = Reply::Link(Box::new(next.view()));
                Ok(Decision { next, parts: vec![], reply })
            }
            Command::For { missing, .. } => Err(missing.into()),
            _ => Err(ProblemCode::LinkNotFound.into()),
        };
    };
    let mut step = Step {
        state: state.clone(),
        parts: Vec::new(),
        held: parts,
        now,
    };
    // Whatever is asked, it is asked of a link whose clock is right.
    step.tick();
    let reply = step.apply(command)?;
    Ok(Decision {
        next: step.state,
        parts: step.parts,
        reply,
    })
}

struct Step<'a> {
    state: LinkState,
    parts: Vec<PartWrite>,
    held: Parts<'a>,
    now: Timestamp,
}

impl Step<'_> {
    fn apply(&mut self, command: Command) -> Answer {
        match command {
            Command::For { app, missing, command } => {
                if app != self.state.link.app {
                    return Err(missing.into());
                }
                self.apply(*command)
            }
            Command::Create(row) => self.create_again(&row),
            Command::Read => Ok(self.link()),
            Command::Revoke => self.revoke(),
            Command::Announce { name, size } => self.announce(&name, size),
            Command::Open { upload, name, size, multipart } => {
                self.open(upload, name, size, multipart)
            }
            Command::RecordPart { upload, n, part } => self.record_part(upload, n, part),
            Command::Reserve { upload, attempt, name, size, sha256 } => {
                self.reserve(upload, attempt, name, size, sha256)
            }
            Command::Seal { upload, attempt, sha256, parts_sha256 } => {
                self.seal(upload, attempt, sha256, parts_sha256)
            }
            Command::Commit { upload, attempt, media_type, sha256, etag } => {
                self.commit(upload, attempt, media_type, sha256, etag)
            }
            Command::Withdraw { upload, attempt } => self.withdraw(upload, attempt),
            Command::Reopen { upload, attempt } => self.reopen(upload, attempt),
            Command::Abort { upload } => self.abort(upload),
            Command::Receipt { file, receipt } => self.receipt(file, receipt),
            Command::ReadFile { file } => self.found_file(file),
            Command::DeleteFile { file } => self.delete_file(file),
            Command::Redeliver { event } => self.redeliver(event),
            Command::Tried { event, attempt, outcome, jitter } => {
                self.tried(event, attempt, outcome, jitter)
            }
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
        Err(match self.state.link.status {
            Status::Active => return Ok(()),
            Status::Completed => {
                return Err(Problem::new(ProblemCode::LinkFull)
                    .limit(self.state.link.policy.max_files.into()));
            }
            Status::Expired => ProblemCode::LinkExpired,
            Status::Revoked => ProblemCode::LinkRevoked,
        }
        .into())
    }

    fn room_for(&self, size: u64) -> Result<(), Problem> {
        self.open_for_files()?;
        let policy = &self.state.link.policy;
        if size == 0 {
            return Err(ProblemCode::FileEmpty.into());
        }
        if size > policy.max_file_size {
            return Err(Problem::new(ProblemCode::FileTooLarge).limit(policy.max_file_size));
        }
        if self.state.places_taken() >= policy.max_files {
            return Err(Problem::new(ProblemCode::LinkFull).limit(policy.max_files.into()));
        }
        Ok(())
    }

    /// Ids are drawn at random, but an upload that ended must never come back to life.
    fn unused(&self, id: UploadId) -> Result<(), Problem> {
        if self.state.uploads.contains_key(&id) {
            return Err(ProblemCode::UploadBusy.into());
        }
        Ok(())
    }

    fn room(&self) -> Reply {
        Reply::Room(self.state.link.policy.clone())
    }

    fn find_receiving(&self, name: &str, size: u64) -> Option<OpenUpload> {
        self.state.uploads.iter().find_map(|(id, row)| match &row.state {
            UploadState::Receiving { multipart, .. } if row.name == name && row.size == size => {
                Some(OpenUpload {
                    id: *id,
                    size,
                    multipart: multipart.clone(),
                    parts: (self.held)(*id)
                        .into_iter()
                        .map(|(n, part)| HeldPart { n, sha256: part.sha256 })
                        .collect(),
                })
            }
            _ => None,
        })
    }

    fn announce(&mut self, name: &str, size: u64) -> Answer {
        self.room_for(size)?;
        let Some(known) = self.find_receiving(name, size) else {
            return Ok(self.room());
        };
        self.touch(known.id);
        Ok(Reply::Upload(known))
    }

    fn touch(&mut self, upload: UploadId) {
        let now = self.now;
        if let Some(UploadRow { state: UploadState::Receiving { touched_at, .. }, .. }) =
            self.state.uploads.get_mut(&upload)
        {
            *touched_at = now;
        }
    }

    fn open(&mut self, id: UploadId, name: String, size: u64, multipart: Multipart) -> Answer {
        self.room_for(size)?;
        if let Some(known) = self.find_receiving(&name, size) {
            if known.id != id {
                self.abort_multipart(id, &multipart);
            }
            return Ok(Reply::Upload(known));
        }
        self.unused(id)?;
        self.make_room_for_one_upload();
        self.state.uploads.insert(
            id,
            UploadRow {
                name,
                size,
                created_at: self.now,
                state: UploadState::Receiving { multipart: multipart.clone(), touched_at: self.now },
            },
        );
        Ok(Reply::Upload(OpenUpload { id, size, multipart, parts: vec![] }))
    }

    fn make_room_for_one_upload(&mut self) {
        let left = self.state.link.policy.max_files.saturating_sub(self.state.places_taken());
        let most = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(SPARE_UPLOADS);
        let mut receiving: Vec<(Timestamp, UploadId)> = self
            .state
            .uploads
            .iter()
            .filter_map(|(id, u)| match u.state {
                UploadState::Receiving { touched_at, .. } => Some((touched_at, *id)),
                _ => None,
            })
            .collect();
        receiving.sort_unstable();
        let too_many = (receiving.len() + 1).saturating_sub(most);
        for (_, id) in receiving.into_iter().take(too_many) {
            self.end_upload(id);
        }
    }

    fn upload(&self, upload: UploadId) -> Result<&UploadRow, Problem> {
        self.state
            .uploads
            .get(&upload)
            .ok_or_else(|| ProblemCode::UploadNotFound.into())
    }

    fn record_part(&mut self, upload: UploadId, n: u16, part: Part) -> Answer {
        self.open_for_files()?;
        match &self.upload(upload)?.state {
            UploadState::Receiving { .. } => {
                self.touch(upload);
                self.parts.push(PartWrite::Put(upload, n, part));
                Ok(Reply::Done)
            }
            UploadState::Completing { .. } => Err(ProblemCode::UploadBusy.into()),
            // A part that was sent twice, and the first one led to the end.
            UploadState::Stored(_) => Ok(Reply::Done),
            UploadState::Aborted { .. } => Err(ProblemCode::UploadAborted.into()),
        }
    }

    fn reserve(
        &mut self,
        upload: UploadId,
        attempt: u64,
        name: String,
        size: u64,
        sha256: Option<Sha256>,
    ) -> Answer {
        self.room_for(size)?;
        self.unused(upload)?;
        self.state.uploads.insert(
            upload,
            UploadRow {
                name,
                size,
                created_at: self.now,
                state: UploadState::Completing { attempt, since: self.now, sha256, multipart: None },
            },
        );
        Ok(self.room())
    }

    fn seal(
        &mut self,
        upload: UploadId,
        attempt: u64,
        sha256: Sha256,
        parts_sha256: Sha256,
    ) -> Answer {
        let row = self.upload(upload)?;
        let (name, size) = (row.name.clone(), row.size);
        let multipart = match &row.state {
            UploadState::Stored(_) => return self.found_file(upload.into()),
            UploadState::Aborted { .. } => {
                self.open_for_files()?;
                return Err(ProblemCode::UploadAborted.into());
            }
            UploadState::Completing { since, multipart: Some(multipart), .. }
                if since.plus(STUCK_AFTER) <= self.now =>
            {
                multipart.clone()
            }
            UploadState::Completing { .. } => return Err(ProblemCode::UploadBusy.into()),
            UploadState::Receiving { multipart, .. } => {
                self.room_for(size)?;
                multipart.clone()
            }
        };
        let held = (self.held)(upload);
        let count = part_count(size, multipart.part_size);
        let missing: Vec<u16> = (1..=count)
            .filter_map(|n| u16::try_from(n).ok())
            .filter(|n| !held.contains_key(n))
            .take(PARTS_NAMED)
            .collect();
        if !missing.is_empty() {
            let mut problem = Problem::new(ProblemCode::PartsMissing);
            problem.parts = missing;
            return Err(problem);
        }
        if Sha256::of_parts(held.values().map(|p| p.sha256)) != parts_sha256 {
            return Err(Problem::new(ProblemCode::PartsDiffer).field("parts_sha256"));
        }
        let etags = held.into_values().map(|p| p.etag).collect();
        self.set(
            upload,
            UploadState::Completing {
                attempt,
                since: self.now,
                sha256: Some(sha256),
                multipart: Some(multipart.clone()),
            },
        );
        let policy = self.state.link.policy.clone();
        Ok(Reply::Sealed(Sealed { policy, name, size, multipart, etags }))
    }

    /// Whether `attempt` is the one that the upload waits for.
    fn awaited(&self, upload: UploadId, attempt: u64) -> Result<bool, Problem> {
        Ok(matches!(
            self.upload(upload)?.state,
            UploadState::Completing { attempt: awaited, .. } if awaited == attempt
        ))
    }

    fn commit(
        &mut self,
        upload: UploadId,
        attempt: u64,
        media_type: String,
        sha256: Sha256,
        etag: String,
    ) -> Answer {
        if let UploadState::Stored(_) = self.upload(upload)?.state {
            return self.found_file(upload.into());
        }
        if !self.awaited(upload, attempt)? {
            self.open_for_files()?;
            return Err(ProblemCode::UploadAborted.into());
        }
        self.set(
            upload,
            UploadState::Stored(StoredFile {
                media_type,
                sha256,
                etag,
                stored_at: self.now,
                deleted_at: None,
                receipt: None,
            }),
        );
        self.parts.push(PartWrite::DropAll(upload));
        if let Some(file) = self.state.file(upload) {
            let link = self.state.link_ref();
            self.tell(EventKind::FileStored(FileStored { file, link }));
        }
        if self.state.link.status == Status::Active
            && self.state.files_stored() >= self.state.link.policy.max_files
        {
            self.state.link.status = Status::Completed;
            self.end_receiving();
            let ended = self.ended();
            self.tell(EventKind::LinkCompleted(ended));
        }
        self.found_file(upload.into())
    }

    fn withdraw(&mut self, upload: UploadId, attempt: u64) -> Answer {
        if self.awaited(upload, attempt)? {
            self.end_upload(upload);
        }
        Ok(Reply::Done)
    }

    fn reopen(&mut self, upload: UploadId, attempt: u64) -> Answer {
        if !self.awaited(upload, attempt)? {
            return Ok(Reply::Done);
        }
        match (&self.upload(upload)?.state, self.state.link.status) {
            (UploadState::Completing { multipart: Some(multipart), .. }, Status::Active) => {
                let state = UploadState::Receiving {
                    multipart: multipart.clone(),
                    touched_at: self.now,
                };
                self.set(upload, state);
            }
            _ => self.end_upload(upload),
        }
        Ok(Reply::Done)
    }

    fn abort(&mut self, upload: UploadId) -> Answer {
        match self.upload(upload)?.state {
            UploadState::Receiving { .. } => {
                self.end_upload(upload);
                Ok(Reply::Done)
            }
            UploadState::Aborted { .. } => Ok(Reply::Done),
            // Too late to change one's mind: the answer to `complete` tells how it went.
            UploadState::Completing { .. } | UploadState::Stored(_) => {
                Err(ProblemCode::UploadBusy.into())
            }
        }
    }

    fn revoke(&mut self) -> Answer {
        if self.state.link.status == Status::Active {
            self.state.link.status = Status::Revoked;
            self.end_receiving();
            let completing: Vec<_> = self.ids(|s| matches!(s, UploadState::Completing { .. }));
            for id in completing {
                self.end_upload(id);
            }
        }
        Ok(Reply::Done)
    }

    /// Expires the link and its files when their time is over.
    fn tick(&mut self) {
        let link = &self.state.link;
        if link.status == Status::Active && link.expires_at <= self.now {
            self.state.link.status = Status::Expired;
            self.end_receiving();
            let ended = self.ended();
            self.tell(EventKind::LinkExpired(ended));
        }
        let over: Vec<_> = self.ids(|s| match s {
            UploadState::Stored(s) => {
                s.deleted_at.is_none() && retained_until(&self.state, s.stored_at) <= self.now
            }
            _ => false,
        });
        for upload in over {
            self.delete(upload);
        }
    }

    fn stored_mut(&mut self, file: FileId) -> Result<&mut StoredFile, Problem> {
        match self.state.uploads.get_mut(&upload_of(file)).map(|u| &mut u.state) {
            Some(UploadState::Stored(stored)) => Ok(stored),
            _ => Err(ProblemCode::FileNotFound.into()),
        }
    }

    fn found_file(&self, file: FileId) -> Answer {
        let upload = upload_of(file);
        match (self.state.file(upload), self.state.uploads.get(&upload).map(|u| &u.state)) {
            (Some(file), Some(UploadState::Stored(stored))) => Ok(Reply::File(Box::new(FoundFile {
                app: self.state.link.app.clone(),
                file,
                stored: stored.clone(),
            }))),
            _ => Err(ProblemCode::FileNotFound.into()),
        }
    }

    fn receipt(&mut self, file: FileId, receipt: Receipt) -> Answer {
        if receipt.reason.as_ref().is_some_and(|r| r.len() > REASON_MAX) {
            return Err(Problem::new(ProblemCode::InvalidRequest)
                .field("reason")
                .limit(REASON_MAX as u64));
        }
        let stored = self.stored_mut(file)?;
        match &stored.receipt {
            Some(known) if *known == receipt => {}
            Some(known) if is_final(known) || known.status > receipt.status => {
                return Err(Problem::new(ProblemCode::ReceiptOutOfOrder).field("status"));
            }
            _ => stored.receipt = Some(receipt),
        }
        self.found_file(file)
    }

    fn delete_file(&mut self, file: FileId) -> Answer {
        self.stored_mut(file)?;
        self.delete(upload_of(file));
        Ok(Reply::Done)
    }

    fn delete(&mut self, upload: UploadId) {
        let now = self.now;
        if let Ok(stored) = self.stored_mut(upload.into())
            && stored.deleted_at.is_none()
        {
            stored.deleted_at = Some(now);
            let key = self.state.key(upload);
            self.clean(format!("object:{upload}"), Cleanup::DeleteObject { key }, now);
        }
    }

    fn redeliver(&mut self, event: EventId) -> Answer {
        let now = self.now;
        let row = self.event_mut(event)?;
        row.state = EventState::Pending;
        row.round_at = now;
        row.round_attempts = 0;
        row.next_at = now;
        self.event_status(event)
    }

    fn event_mut(&mut self, event: EventId) -> Result<&mut EventRow, Problem> {
        self.state
            .events
            .get_mut(&event)
            .ok_or_else(|| ProblemCode::EventNotFound.into())
    }

    fn event_status(&self, event: EventId) -> Answer {
        let row = self
            .state
            .events
            .get(&event)
            .ok_or_else(|| Problem::new(ProblemCode::EventNotFound))?;
        Ok(Reply::Event(EventStatus {
            id: event,
            attempts: row.attempts,
            state: row.state,
            next_attempt_at: (row.state == EventState::Pending).then_some(row.next_at),
        }))
    }

    fn tried(&mut self, event: EventId, attempt: u32, outcome: Outcome, jitter: u16) -> Answer {
        let now = self.now;
        let row = self.event_mut(event)?;
        // A try that was reported before counts once.
        if row.state == EventState::Pending && attempt == row.attempts + 1 {
            row.attempts = attempt;
            row.round_attempts += 1;
            let next = outbox::next_attempt(row.round_attempts, row.round_at, now, jitter);
            match (outcome, next) {
                (Outcome::Acknowledged, _) => row.state = EventState::Acknowledged,
                (Outcome::Failed, Some(next)) => row.next_at = next,
                (Outcome::Gone, _) | (Outcome::Failed, None) => row.state = EventState::Parked,
            }
        }
        self.event_status(event)
    }

    fn cleaned(&mut self, cleanup: &str, done: bool) -> Reply {
        if done {
            self.state.cleanups.remove(cleanup);
        } else if let Some(row) = self.state.cleanups.get_mut(cleanup) {
            row.attempts += 1;
            row.due = self.now.plus(CLEANUP_RETRY * row.attempts.min(CLEANUP_RETRY_MAX));
        }
        Reply::Done
    }

    fn ids(&self, select: impl Fn(&UploadState) -> bool) -> Vec<UploadId> {
        self.state
            .uploads
            .iter()
            .filter(|(_, u)| select(&u.state))
            .map(|(id, _)| *id)
            .collect()
    }

    fn end_receiving(&mut self) {
        for id in self.ids(|s| matches!(s, UploadState::Receiving { .. })) {
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
            UploadState::Stored(_) | UploadState::Aborted { .. } => return,
        };
        if let Some(multipart) = multipart {
            self.abort_multipart(id, &multipart);
        }
        if committing {
            let key = self.state.key(id);
            let due = self.now.plus(REMOVE_AFTER);
            self.clean(format!("object:{id}"), Cleanup::DeleteObject { key }, due);
        }
        self.set(id, UploadState::Aborted { at: self.now });
        self.parts.push(PartWrite::DropAll(id));
    }

    fn abort_multipart(&mut self, id: UploadId, multipart: &Multipart) {
        let what = Cleanup::AbortMultipart {
            key: self.state.key(id),
            r2_upload_id: multipart.r2_upload_id.clone(),
        };
        self.clean(format!("multipart:{id}"), what, self.now);
    }

    fn clean(&mut self, name: String, what: Cleanup, due: Timestamp) {
        self.state.cleanups.insert(name, CleanupRow { what, due, attempts: 0 });
    }

    fn set(&mut self, upload: UploadId, state: UploadState) {
        if let Some(row) = self.state.uploads.get_mut(&upload) {
            row.state = state;
        }
    }

    fn ended(&self) -> LinkEnded {
        LinkEnded {
            link: self.state.link_ref(),
            files: self.state.files_stored(),
        }
    }

    /// Puts an event into the outbox, due at once.
    fn tell(&mut self, kind: EventKind) {
        let n = self.state.link.next_event.to_be_bytes();
        let mut suffix = [0; 6];
        suffix.copy_from_slice(&n[2..]);
        let id = EventId::new(self.state.link.id, suffix);
        self.state.link.next_event += 1;
        let event = Event { timestamp: self.now, kind };
        // Plain structs with string keys always have a JSON form.
        let body = serde_json::to_string(&event).unwrap_or_else(|_| unreachable!("events encode"));
        self.state.events.insert(
            id,
            EventRow {
                body,
                state: EventState::Pending,
                created_at: self.now,
                round_at: self.now,
                attempts: 0,
                round_attempts: 0,
                next_at: self.now,
            },
        );
    }
}

/// A receipt after which no other comes.
fn is_final(receipt: &Receipt) -> bool {
    use chatlift_shared::api::ReceiptStatus::{Delivered, Rejected};
    matches!(receipt.status, Delivered | Rejected)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
