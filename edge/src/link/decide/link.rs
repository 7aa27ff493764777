//! What an app does with a link: make, extend, close, revoke, erase it; its password; its place in the
//! app's list.

use core::time::Duration;

use chatlift_shared::api::{DeletedReason, Erased, LinkState as Status};
use chatlift_shared::webhook::EventKind;
use chatlift_shared::{FileId, Problem, ProblemCode, Timestamp};

use super::audit::facts;
use super::{Change, Decide, Decision, Step};
use crate::link::command::{
    Close, Create, Erase, Extend, Forget, Listed, PasswordRight, Read, Recall, Revoke, Tick,
    TryPassword,
};
use crate::link::outbox;
use crate::link::password::Hash;
use crate::link::reply::Erasure;
use crate::link::state::{LinkState, LinkView, UploadState};
use crate::link::work::forgotten_at;

/// How long an idempotency key stands for the link that was made with it.
const IDEMPOTENCY_FOR: Duration = Duration::from_secs(24 * 60 * 60);

impl Decide for Create {
    fn decide(self, step: &mut Step<'_>) -> Result<LinkView, Problem> {
        // Without an idempotency key the id is random: meeting a link of the same id would be one
        // chance in 2^96, and joining it would be worse than failing.
        match step.state.link.request {
            Some(request) if Some(request) == self.0.request => Ok(step.view()),
            _ => Err(Problem::new(ProblemCode::IdempotencyKeyReused).field("Idempotency-Key")),
        }
    }

    fn without_link(self, now: Timestamp) -> Result<Decision<LinkView>, Problem> {
        let mut row = self.0;
        row.listed.change(now);
        let mut next = LinkState::new(*row);
        next.audit.add(now, facts(None, &next, |_| None));
        let reply = next.view();
        let change = Change {
            next: Some(next),
            parts: vec![],
        };
        Ok(Decision { change, reply })
    }
}

impl Decide for Read {
    fn decide(self, step: &mut Step<'_>) -> Result<LinkView, Problem> {
        Ok(step.view())
    }
}

impl Decide for Tick {
    fn decide(self, _step: &mut Step<'_>) -> Result<(), Problem> {
        Ok(())
    }
}

impl Decide for Revoke {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        if step.state.link.status == Status::Active {
            step.state.link.status = Status::Revoked;
            step.end_receiving();
            let completing: Vec<_> = step.ids(|s| matches!(s, UploadState::Completing { .. }));
            for id in completing {
                step.end_upload(id);
            }
            let ended = step.ended(&[]);
            step.tell(EventKind::LinkRevoked(ended));
        }
        Ok(())
    }
}

/// The link, if it was made within the last day; a request that differs is refused.
impl Decide for Recall {
    fn decide(self, step: &mut Step<'_>) -> Result<LinkView, Problem> {
        let Self { request } = self;
        let link = &step.state.link;
        if link.created_at.plus(IDEMPOTENCY_FOR) <= step.now {
            return Err(ProblemCode::LinkNotFound.into());
        }
        if link.request == Some(request) {
            Ok(step.view())
        } else {
            Err(Problem::new(ProblemCode::IdempotencyKeyReused).field("Idempotency-Key"))
        }
    }
}

impl Decide for Extend {
    fn decide(self, step: &mut Step<'_>) -> Result<LinkView, Problem> {
        let Self { expires_at } = self;
        step.open_for_files()?;
        if expires_at < step.state.link.expires_at {
            let left = step.now.until(step.state.link.expires_at).as_secs();
            return Err(Problem::new(ProblemCode::InvalidRequest)
                .field("expires_in")
                .limit(left)
                .detail("The link ends later than that already."));
        }
        step.state.link.expires_at = expires_at;
        Ok(step.view())
    }
}

impl Decide for Close {
    fn decide(self, step: &mut Step<'_>) -> Result<LinkView, Problem> {
        match step.state.link.status {
            Status::Completed => {}
            Status::Active => step.complete(&[]),
            Status::Expired => return Err(ProblemCode::LinkExpired.into()),
            Status::Revoked => return Err(ProblemCode::LinkRevoked.into()),
        }
        Ok(step.view())
    }
}

/// Ends the link and everything that it has. Its backend is not told: it asked.
impl Decide for Erase {
    fn decide(self, step: &mut Step<'_>) -> Result<Erasure, Problem> {
        let files: Vec<FileId> = step
            .state
            .files()
            .into_iter()
            .filter(|file| file.deleted_at.is_none())
            .map(|file| file.id)
            .collect();
        let under_way = step.state.view().uploads;
        let events = step.state.events.len();
        if step.state.link.status == Status::Active {
            step.state.link.status = Status::Revoked;
        }
        step.state.link.erased = true;
        let ids: Vec<_> = step.state.uploads.keys().copied().collect();
        for id in ids {
            step.end_upload(id);
            step.delete(id, DeletedReason::Requested);
        }
        step.state.events.clear();
        let due = step
            .state
            .cleanups
            .iter()
            .filter(|(_, row)| row.due <= step.now);
        let cleanups: Vec<_> = due
            .map(|(name, row)| (name.clone(), row.what.clone()))
            .collect();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Ok(Erasure {
            erased: Erased {
                link: step.state.link.id,
                files,
                uploads: under_way,
                events: count(events),
                left: count(step.state.cleanups.len()),
                audit: step.before.audit.head(),
            },
            entry: step.state.entry(),
            cleanups,
        })
    }
}

/// Whether the link may go.
impl Decide for Forget {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        step.forgotten = forgotten_at(&step.state).is_some_and(|at| at <= step.now);
        Ok(())
    }
}

impl Decide for TryPassword {
    fn decide(self, step: &mut Step<'_>) -> Result<Option<Hash>, Problem> {
        let Self { asker } = self;
        let now = step.now;
        let Some(password) = &mut step.state.link.password else {
            return Ok(None);
        };
        password
            .begin(asker, now)
            .map_err(|secs| Problem::new(ProblemCode::PasswordLocked).retry_after(secs))?;
        Ok(Some(password.hash.clone()))
    }
}

impl Decide for PasswordRight {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { asker } = self;
        if let Some(password) = &mut step.state.link.password {
            password.right(&asker);
        }
        Ok(())
    }
}

impl Decide for Listed {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self {
            version,
            done,
            jitter,
        } = self;
        let now = step.now;
        let listed = &mut step.state.link.listed;
        if done {
            listed.known = listed.known.max(version);
            if listed.known >= listed.version {
                (listed.attempts, listed.next_at) = (0, 0);
            }
        } else if version == listed.version {
            listed.attempts += 1;
            listed.next_at = outbox::list_again(listed.attempts, now, jitter).millis();
        }
        Ok(())
    }
}

impl Step<'_> {
    /// Has the list told what it shows of the link, when that has changed.
    pub(super) fn note_for_list(&mut self) {
        let (old, new) = (&self.before.link, &self.state.link);
        if (old.status, old.expires_at) != (new.status, new.expires_at) && !new.erased {
            let now = self.now;
            self.state.link.listed.change(now);
        }
    }
}
