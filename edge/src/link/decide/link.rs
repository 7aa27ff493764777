//! What an app does with a link after making it: extend, close; its password; its place in the
//! app's list.

use core::time::Duration;

use chatlift_shared::api::{DeletedReason, Erased, LinkState as Status};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{FileId, Problem, ProblemCode, Timestamp};

use super::Step;
use crate::link::command::{Answer, Erasure, Reply};
use crate::link::outbox;
use crate::link::password::Asker;
use crate::link::state::LinkState;
use crate::link::work::forgotten_at;

/// How long an idempotency key stands for the link that was made with it.
const IDEMPOTENCY_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl Step<'_> {
    /// The link, if it was made within the last day; a request that differs is refused.
    pub(super) fn recall(&self, request: Sha256) -> Answer {
        let link = &self.state.link;
        if link.created_at.plus(IDEMPOTENCY_FOR) <= self.now {
            return Err(ProblemCode::LinkNotFound.into());
        }
        if link.request == Some(request) {
            Ok(self.link())
        } else {
            Err(Problem::new(ProblemCode::IdempotencyKeyReused).field("Idempotency-Key"))
        }
    }

    pub(super) fn extend(&mut self, expires_at: Timestamp) -> Answer {
        self.open_for_files()?;
        if expires_at < self.state.link.expires_at {
            let left = self.now.until(self.state.link.expires_at).as_secs();
            return Err(Problem::new(ProblemCode::InvalidRequest)
                .field("expires_in")
                .limit(left)
                .detail("The link ends later than that already."));
        }
        self.state.link.expires_at = expires_at;
        Ok(self.link())
    }

    pub(super) fn close(&mut self) -> Answer {
        match self.state.link.status {
            Status::Completed => {}
            Status::Active => self.complete(&[]),
            Status::Expired => return Err(ProblemCode::LinkExpired.into()),
            Status::Revoked => return Err(ProblemCode::LinkRevoked.into()),
        }
        Ok(self.link())
    }

    /// Ends the link and everything that it has. Its backend is not told: it asked.
    pub(super) fn erase(&mut self) -> Reply {
        let files: Vec<FileId> = self
            .state
            .files()
            .into_iter()
            .filter(|file| file.deleted_at.is_none())
            .map(|file| file.id)
            .collect();
        let under_way = self.state.view().uploads;
        let events = self.state.events.len();
        if self.state.link.status == Status::Active {
            self.state.link.status = Status::Revoked;
        }
        self.state.link.erased = true;
        let ids: Vec<_> = self.state.uploads.keys().copied().collect();
        for id in ids {
            self.end_upload(id);
            self.delete(id, DeletedReason::Requested);
        }
        self.state.events.clear();
        let due = self
            .state
            .cleanups
            .iter()
            .filter(|(_, row)| row.due <= self.now);
        let cleanups: Vec<_> = due
            .map(|(name, row)| (name.clone(), row.what.clone()))
            .collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Reply::Erased(Box::new(Erasure {
            erased: Erased {
                link: self.state.link.id,
                files,
                uploads: under_way,
                events: count(events),
                left: count(self.state.cleanups.len()),
            },
            entry: self.state.entry(),
            cleanups,
        }))
    }

    /// Whether the link may go.
    pub(super) fn forget(&self) -> Reply {
        match forgotten_at(&self.state) {
            Some(at) if at <= self.now => Reply::Forgotten,
            _ => Reply::Done,
        }
    }

    pub(super) fn try_password(&mut self, asker: Asker) -> Answer {
        let now = self.now;
        let Some(password) = &mut self.state.link.password else {
            return Ok(Reply::Password(None));
        };
        password
            .begin(asker, now)
            .map_err(|secs| Problem::new(ProblemCode::PasswordLocked).retry_after(secs))?;
        Ok(Reply::Password(Some(password.hash.clone())))
    }

    pub(super) fn password_right(&mut self, asker: &Asker) -> Reply {
        if let Some(password) = &mut self.state.link.password {
            password.right(asker);
        }
        Reply::Done
    }

    pub(super) fn listed(&mut self, version: u64, done: bool, jitter: u16) -> Reply {
        let now = self.now;
        let listed = &mut self.state.link.listed;
        if done {
            listed.known = listed.known.max(version);
            if listed.known >= listed.version {
                (listed.attempts, listed.next_at) = (0, 0);
            }
        } else if version == listed.version {
            listed.attempts += 1;
            listed.next_at = outbox::list_again(listed.attempts, now, jitter).millis();
        }
        Reply::Done
    }

    /// Has the list told what it shows of the link, when that has changed.
    pub(super) fn note_for_list(&mut self, before: &LinkState) {
        let (old, new) = (&before.link, &self.state.link);
        if (old.status, old.expires_at) != (new.status, new.expires_at) && !new.erased {
            let now = self.now;
            self.state.link.listed.change(now);
        }
    }
}
