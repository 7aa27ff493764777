//! What an alarm has to do, and when the next one is due.

use core::time::Duration;

use chatlift_shared::api::{EventState, LinkState as Status};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{AppId, EventId, Problem, ProblemCode, Timestamp, UploadId};

use super::listing::Entry;
use super::serial::{Serial, expires_at};
use super::state::{Cleanup, LinkState, Multipart, UploadState};

/// After this long, a commit that was not confirmed is taken for dead and settled by looking at
/// R2. A worker whose client has gone may go on for 30 s (Workers limits, `waitUntil`).
pub const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The refusal of an upload that an attempt is committing since `since`: with the seconds until
/// another attempt may take over, should that one have died.
#[must_use]
pub fn busy_since(since: Timestamp, now: Timestamp) -> Problem {
    busy_for(now.until(since.plus(STUCK_AFTER)))
}

/// The refusal of an upload that another attempt may take over in this time.
#[must_use]
pub fn busy_for(left: Duration) -> Problem {
    Problem::new(ProblemCode::UploadBusy).retry_after(left.as_millis().div_ceil(1000).max(1) as u64)
}

/// How long a link is remembered after its last file and event, where its scene does not say: its app can
/// look up what became of it.
pub const RECORD_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often a worker tells that a commit goes on: a body that comes in slowly, or a large object
/// that R2 puts together or reads, takes longer than [`STUCK_AFTER`].
pub const WORKING_EVERY: Duration = Duration::from_secs(10);

/// After this long without a word, a file in one request gives way to its own retry: its worker would have
/// told of bytes that came meanwhile.
pub const STALLED_AFTER: Duration = Duration::from_secs(15);

/// After its last file came, so long a link that joins its files waits to be told in which order they are meant: the page says
/// so at once, and says it again where the network lost it.
const ORDERED_WITHIN: Duration = Duration::from_secs(30);

/// Bytes in a second that R2 deals with at least, once it has all of a file.
const SLOWEST: u64 = 16 * 1024;

/// How many times a worker tells that R2 is at work on a file of `size` bytes.
#[must_use]
pub const fn workings(size: u64) -> u64 {
    size / (SLOWEST * WORKING_EVERY.as_secs()) + 3
}

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// An upload that was left in `completing`.
    Settle(Settle),
    /// Something to remove from R2.
    Clean {
        /// Name of the cleanup.
        name: String,
        /// What.
        what: Cleanup,
    },
    /// An event to send.
    Send(Send),
    /// Nothing of the link is needed any more: it goes from the list, and then itself.
    Forget {
        /// Whose list.
        app: AppId,
        /// Its entry there.
        entry: Entry,
    },
    /// The list is behind: what it is to say.
    List {
        /// Whose list.
        app: AppId,
        /// The entry.
        entry: Entry,
    },
}

/// An upload to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The upload.
    pub upload: UploadId,
    /// The attempt to confirm.
    pub attempt: u64,
    /// Object key.
    pub key: String,
    /// Size in bytes that the object must have.
    pub size: u64,
    /// Digest of the whole, where it is known.
    pub sha256: Option<Sha256>,
    /// The multipart upload, if it is one.
    pub multipart: Option<Multipart>,
    /// The file's name.
    pub name: String,
    /// What it has beside, if it is a serial upload.
    pub serial: Option<Serial>,
}

/// An event to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// The event.
    pub event: EventId,
    /// Whose backend is told.
    pub app: AppId,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// The JSON to sign and send.
    pub body: String,
}

fn settle_at(state: &LinkState) -> impl Iterator<Item = (UploadId, Timestamp)> {
    state.uploads.iter().filter_map(|(id, u)| match u.state {
        UploadState::Completing { since, .. } => Some((*id, since.plus(STUCK_AFTER))),
        _ => None,
    })
}

/// Everything that is due at `now`, but expiry and retention, which `Tick` decides alone.
#[must_use]
pub fn due(state: &LinkState, now: Timestamp) -> Vec<Work> {
    if forgotten_at(state).is_some_and(|at| at <= now) {
        return vec![Work::Forget {
            app: state.link.app.clone(),
            entry: state.entry(),
        }];
    }
    let mut work = Vec::new();
    for (upload, _) in settle_at(state).filter(|(_, at)| *at <= now) {
        let Some(row) = state.uploads.get(&upload) else {
            continue;
        };
        if let UploadState::Completing {
            attempt,
            sha256,
            multipart,
            ..
        } = &row.state
        {
            work.push(Work::Settle(Settle {
                upload,
                attempt: *attempt,
                key: state.key(upload),
                size: row.size,
                // Rows of before digests were facts have what the page said of a file in parts.
                sha256: sha256.filter(|_| multipart.is_none() || row.serial.is_some()),
                multipart: multipart.clone(),
                name: row.name.clone(),
                serial: row.serial.clone(),
            }));
        }
    }
    for (name, row) in state.cleanups.iter().filter(|(_, c)| c.due <= now) {
        work.push(Work::Clean {
            name: name.clone(),
            what: row.what.clone(),
        });
    }
    for (event, row) in &state.events {
        if row.state == EventState::Pending && row.next_at <= now {
            work.push(Work::Send(Send {
                event: *event,
                app: state.link.app.clone(),
                attempt: row.attempts + 1,
                body: row.body.clone(),
            }));
        }
    }
    if state.link.listed.due().is_some_and(|at| at <= now) {
        work.push(Work::List {
            app: state.link.app.clone(),
            entry: state.entry(),
        });
    }
    work
}

/// When the object must wake next; `None` when it has nothing more to do.
#[must_use]
pub fn next_alarm(state: &LinkState) -> Option<Timestamp> {
    let expiry = (state.link.status == Status::Active).then_some(state.link.expires_at);
    let link_end = state.link.expires_at;
    let events = state
        .events
        .values()
        .filter(|e| e.state == EventState::Pending)
        .map(|e| e.next_at);
    let cleanups = state.cleanups.values().map(|c| c.due);
    let settles = settle_at(state).map(|(_, at)| at);
    let retention = state.uploads.values().filter_map(|u| match &u.state {
        UploadState::Stored(s) if s.deleted_at.is_none() => {
            Some(retained_until(state, s.stored_at))
        }
        _ => None,
    });
    let late = state
        .uploads
        .values()
        .filter(|u| u.state.is_under_way())
        .map(|u| expires_at(u.created_at, link_end));
    expiry
        .into_iter()
        .chain(joined_at(state))
        .chain(late)
        .chain(events)
        .chain(cleanups)
        .chain(settles)
        .chain(retention)
        .chain(state.link.listed.due())
        .chain(forgotten_at(state))
        .min()
}

/// When a link that joins its files and takes no more is completed, whether it was told of their order or not.
#[must_use]
pub fn joined_at(state: &LinkState) -> Option<Timestamp> {
    let policy = &state.link.policy;
    let is_full = state.link.status == Status::Active && state.files_stored() >= policy.max_files;
    if !is_full || policy.join.is_none() {
        return None;
    }
    let stored = state.uploads.values().filter_map(|u| match &u.state {
        UploadState::Stored(file) => Some(file.stored_at),
        _ => None,
    });
    stored.max().map(|at| at.plus(ORDERED_WITHIN))
}

/// When nothing of the link is needed any more, so that all of it may go; `None` while something is
/// still to come.
#[must_use]
pub fn forgotten_at(state: &LinkState) -> Option<Timestamp> {
    let link = &state.link;
    let is_gone = |upload: &UploadState| match upload {
        UploadState::Stored(file) => file.deleted_at.is_some(),
        UploadState::Aborted { .. } => true,
        _ => false,
    };
    let files_gone = state.uploads.values().all(|upload| is_gone(&upload.state));
    if link.status == Status::Active || !files_gone || !state.cleanups.is_empty() {
        return None;
    }
    if link.erased {
        return Some(link.created_at);
    }
    if state
        .events
        .values()
        .any(|e| e.state == EventState::Pending)
    {
        return None;
    }
    let deleted = state.uploads.values().filter_map(|u| match &u.state {
        UploadState::Stored(file) => file.deleted_at,
        _ => None,
    });
    let told = state.events.values().map(|event| event.round_at);
    let last = deleted.chain(told).fold(link.expires_at, Ord::max);
    let kept = link.policy.record_retention.map(Duration::from_secs);
    Some(last.plus(kept.unwrap_or(RECORD_RETENTION)))
}

/// When the object must wake for what is due at `due`, if its work failed and is to rest until
/// `rest_until`: requests meanwhile do not wake it sooner.
#[must_use]
pub fn wake_at(due: Option<Timestamp>, rest_until: Option<Timestamp>) -> Option<Timestamp> {
    due.map(|due| rest_until.map_or(due, |rest| rest.max(due)))
}

/// Until when a file that was stored at `stored_at` is kept.
#[must_use]
pub fn retained_until(state: &LinkState, stored_at: Timestamp) -> Timestamp {
    stored_at.plus(Duration::from_secs(state.link.policy.file_retention))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_work_rests_and_is_not_forgotten() {
        let at = |secs| Some(Timestamp::from_secs(secs));
        for (due, rest, wake) in [
            (at(5), None, at(5)),
            (at(5), at(10), at(10)),
            (at(15), at(10), at(15)),
            (None, at(10), None),
        ] {
            assert_eq!(wake_at(due, rest), wake, "{due:?} {rest:?}");
        }
    }
}
