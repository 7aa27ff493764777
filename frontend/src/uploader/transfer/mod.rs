//! One file on its way.
//!
//! A file of up to `single_max` bytes goes whole, in one request. A larger one is announced, its parts
//! are digested in order, where the browser computes digests, and sent in chunks, several parts at once, and it is completed.
//!
//! What it is to do next is in `plan`, what it makes of what happened in `events`, what it makes of
//! failures in `fail`, and how it is given up in `cancel`.

mod cancel;
mod events;
mod fail;
mod plan;

use crate::wire::Upload;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{part_count, part_len, part_size};

use super::pace::Network;
use super::part::{Chunk, Digest, Part, Sending};
use super::progress::Progress;
use super::retry::{Cause, Failure, Retry, Wake};

/// What a file may begin now.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// The moment.
    pub now: f64,
    /// The line to the edge waits: nothing is sent.
    pub line_waits: bool,
    /// Another request may begin.
    pub slot: bool,
    /// A digest may begin.
    pub digest: bool,
    /// What the network carries.
    pub network: Network,
    /// Bytes that are left of the chunks under way.
    pub others: &'a [u64],
}

/// What the shell is to do for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Digest the file and send it in one request.
    Whole,
    /// Announce it.
    Announce,
    /// Digest part `n` (from 1).
    Digest(u16),
    /// Send a chunk.
    Send(Chunk),
    /// Complete it.
    Complete,
    /// Take back what the edge has of it.
    Cancel,
}

/// What the shell tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The edge answered the announcement.
    Announced(Box<Upload>),
    /// Part `n` has this digest.
    Digested {
        /// The part, from 1.
        n: u16,
        /// Its digest.
        digest: Sha256,
    },
    /// The device gives nothing of what is read of the file for a job: it holds up no other file.
    Stalled(Job),
    /// So many bytes of a request's content have left.
    Loaded {
        /// [`Job::Whole`] or [`Job::Send`].
        job: Job,
        /// Bytes.
        bytes: u64,
    },
    /// The edge holds the first `offset` bytes of part `n`.
    Staged {
        /// The part, from 1.
        n: u16,
        /// Bytes.
        offset: u64,
    },
    /// The edge holds part `n`.
    Sent(u16),
    /// The edge has stored the file.
    Stored,
    /// The edge has nothing of the file any more.
    Cancelled,
    /// A job did not succeed.
    Failed(Job, Failure),
}

/// Where a file is, for the views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing has begun.
    Queued,
    /// Bytes are on their way.
    Uploading,
    /// All bytes have left; the edge has not said yet that the file is stored.
    Completing,
    /// The edge has stored it.
    Stored,
    /// Its user gave it up, and the edge has not said yet that it has nothing of it.
    Cancelling {
        /// The edge has said that it has stored it.
        stored: bool,
    },
    /// Its user gave it up, and the edge has nothing of it.
    Cancelled,
    /// It cannot go on by itself.
    Failed(Failure),
}

/// Work that the shell does for a file, one of a kind at a time; `T` is what it is done by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work<T = ()> {
    Idle,
    Running(T),
    /// The device gives nothing of what is read for it.
    Stalled(T),
}

impl<T: Copy> Work<T> {
    fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    fn stall(&mut self) {
        if let Self::Running(by) = *self {
            *self = Self::Stalled(by);
        }
    }
}

/// How a file goes to the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// In one request.
    Whole {
        /// Bytes of it that have left.
        loaded: u64,
    },
    /// Announced, and in parts.
    Parts(Announcement),
}

/// Whether what the edge answered to the latest announcement still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announcement {
    /// Not known: the file is announced as soon as a request may begin, also while parts are under way.
    Due,
    /// It holds.
    Holds {
        /// A part was stored under its ticket, so a refusal of that means that it is old.
        ticket_worked: bool,
    },
    /// It does not: the file is announced once no part is under way.
    Outdated,
}

/// One file on its way.
#[derive(Clone, Debug)]
pub struct Transfer {
    size: u64,
    /// What is known of the bytes of its parts at first.
    unread: Digest,
    way: Way,
    state: State,
    /// What the edge answered to the latest announcement.
    upload: Option<Box<Upload>>,
    parts: Vec<Part>,
    /// A digest is under way, by the size that parts had when it began.
    digesting: Work<u64>,
    /// [`Job::Whole`], [`Job::Announce`], [`Job::Complete`] or [`Job::Cancel`] is under way.
    busy: Work,
    /// Its user holds it, in whatever state it is.
    paused: bool,
    announcements: u8,
    resends: u8,
    retry: Retry,
    /// The most bytes that the edge has been known to hold of it.
    furthest: u64,
    /// Most bytes of a chunk, by what a proxy on the way refused.
    chunk_max: u64,
    /// Most bytes of a chunk: halved by each try that fails, and doubled by each that brings something.
    chunk_trial: Option<u64>,
    /// The edge said that somebody else sends this file.
    contended: bool,
}

impl Transfer {
    /// A file of `size` bytes; up to `single_max` bytes go in one request. `digested`: whether the shell
    /// computes digests.
    #[must_use]
    pub fn new(size: u64, single_max: u64, digested: bool) -> Self {
        let unread = if digested {
            Digest::Unknown
        } else {
            Digest::None
        };
        // Parts are digested while the announcement is under way, so they are there before it.
        let count = match size <= single_max {
            true => 0,
            false => part_count(size, part_size(size)),
        };
        let count = usize::try_from(count).unwrap_or_default();
        Self {
            size,
            unread,
            way: match size <= single_max {
                true => Way::Whole { loaded: 0 },
                false => Way::Parts(Announcement::Due),
            },
            state: State::Queued,
            upload: None,
            parts: vec![Part::new(unread); count],
            digesting: Work::Idle,
            busy: Work::Idle,
            paused: false,
            announcements: 0,
            resends: 0,
            retry: Retry::default(),
            furthest: 0,
            chunk_max: u64::MAX,
            chunk_trial: None,
            contended: false,
        }
    }

    /// The most bytes that the edge has been known to hold of it.
    pub(super) fn furthest(&self) -> u64 {
        self.furthest
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The announced upload, to send parts with.
    #[must_use]
    pub fn upload(&self) -> Option<&Upload> {
        self.upload.as_deref()
    }

    /// The ticket to announce it again with: its own upload may be sealed meanwhile, by another page. None if
    /// that is known to be of another file.
    #[must_use]
    pub fn earlier(&self) -> Option<&str> {
        let own = self.upload()?;
        (!own.sealed || !self.has_digests()).then_some(&own.ticket)
    }

    /// The digest of part `n`, once it is known.
    #[must_use]
    pub fn part_digest(&self, n: u16) -> Option<Sha256> {
        match self.part(n)?.digest {
            Digest::Known(digest) => Some(digest),
            _ => None,
        }
    }

    /// Whether its parts have digests; if not, nobody else may send any of them.
    #[must_use]
    pub fn has_digests(&self) -> bool {
        self.unread == Digest::Unknown
    }

    /// What to complete with: the parts' digests, one after the other, by whose digest they are named
    /// (`Sha256::of_parts`). Empty unless all are known.
    #[must_use]
    pub fn digests(&self) -> Vec<u8> {
        let mut parts = Vec::new();
        for part in &self.parts {
            match part.digest {
                Digest::Known(digest) => parts.extend(digest.0),
                _ => return Vec::new(),
            }
        }
        parts
    }

    /// Whether it comes in parts, and no more will be known of their bytes.
    fn is_read(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(Part::is_read)
    }

    /// Where part `n` begins and ends in the file, in bytes.
    #[must_use]
    pub fn range(&self, n: u16) -> Option<(u64, u64)> {
        let part_size = self.part_size();
        let len = part_len(self.size, part_size, u64::from(n))?;
        let start = (u64::from(n) - 1) * part_size;
        Some((start, start + len))
    }

    /// Size of its parts: as announced; before that as the edge will choose it.
    fn part_size(&self) -> u64 {
        let announced = self.upload.as_ref().map(|upload| upload.part_size);
        announced.unwrap_or(part_size(self.size))
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let finished = self.state == State::Stored;
        let (mut done, mut moving) = match self.way {
            Way::Whole { loaded } => (0, loaded),
            Way::Parts(_) => (0, 0),
        };
        for (n, part) in (1..).zip(&self.parts) {
            match part.sending {
                Sending::Held => done += self.range(n).map_or(0, |(start, end)| end - start),
                Sending::Todo | Sending::Cut { .. } => done += part.offset,
                Sending::Under { loaded, .. } => {
                    done += part.offset;
                    moving += loaded;
                }
            }
        }
        if finished {
            (done, moving) = (self.size, 0);
        }
        Progress {
            done: done.min(self.size),
            moving,
            total: self.size,
            finished,
        }
    }

    /// Whether it waits before it tries again.
    #[must_use]
    pub fn is_waiting(&self, now: f64) -> bool {
        self.waits(now).is_some()
    }

    /// Until when it waits before it tries again, and what for.
    fn waits(&self, now: f64) -> Option<(f64, Cause)> {
        let waits = self.retry.waits(now);
        waits.filter(|_| self.is_live() && !self.paused)
    }

    /// What keeps it from going on: what it waits for, or what its last try failed of, as long as the next one has
    /// sent nothing.
    #[must_use]
    pub fn trouble(&self, now: f64) -> Option<Cause> {
        let waits = self.waits(now).map(|(_, cause)| cause);
        let tries = self.is_live() && !self.paused;
        waits.or_else(|| self.retry.cause().filter(|_| tries))
    }

    /// Whether its user gave it up.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self.state, State::Cancelling { .. } | State::Cancelled)
    }

    /// Whether it is held by its user.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused && self.is_live()
    }

    /// Since when it has waited for the network, if that is what it waits for.
    pub(super) fn cut_at(&self, now: f64) -> Option<f64> {
        self.retry.cut_at(now).filter(|_| self.is_waiting(now))
    }

    pub(super) fn pause(&mut self, paused: bool, now: f64) {
        self.paused = paused;
        self.wake(Wake::Person, now);
    }

    /// When it will try again, if it waits for that.
    #[must_use]
    pub fn wakes_at(&self, now: f64) -> Option<f64> {
        self.waits(now).map(|(until, _)| until)
    }

    /// Whether something is still to be done for it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(
            self.state,
            State::Stored | State::Cancelled | State::Failed(_)
        )
    }

    /// Brings its next try forward.
    pub(super) fn wake(&mut self, by: Wake, now: f64) {
        self.retry.wake(by, now);
    }

    /// The page was not visible for so many milliseconds.
    pub(super) fn hidden(&mut self, ms: f64) {
        self.retry.hidden(ms);
    }

    /// What is left of each of its chunks under way, in bytes.
    pub(super) fn rests(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().filter_map(|part| match part.sending {
            Sending::Under { chunk, loaded, .. } => {
                Some((chunk.to - chunk.from).saturating_sub(loaded))
            }
            _ => None,
        })
    }

    /// Requests with content, and announcements, that are under way; not those that wait for the device.
    pub(super) fn requests(&self) -> usize {
        if !self.is_live() {
            return 0;
        }
        self.under_way() + usize::from(self.busy.is_running() && self.state != State::Completing)
    }

    /// Whether a digest is under way that holds up those of other files.
    pub(super) fn is_digesting(&self) -> bool {
        self.digesting.is_running()
    }

    /// Whether it goes in one request.
    fn is_whole(&self) -> bool {
        matches!(self.way, Way::Whole { .. })
    }

    /// Whether what the edge answered to the latest announcement holds.
    fn is_announced(&self) -> bool {
        matches!(self.way, Way::Parts(Announcement::Holds { .. }))
    }

    /// Whether the answer to the latest announcement is known not to hold.
    fn is_outdated(&self) -> bool {
        self.way == Way::Parts(Announcement::Outdated)
    }

    /// What is held of it is to be heard at once; what is outdated is announced in any case.
    fn ask(&mut self) {
        if self.is_announced() {
            self.way = Way::Parts(Announcement::Due);
        }
    }

    fn under_way(&self) -> usize {
        let under = |part: &&Part| matches!(part.sending, Sending::Under { .. });
        self.parts.iter().filter(under).count()
    }

    fn part(&self, n: u16) -> Option<&Part> {
        self.parts.get(usize::from(n).checked_sub(1)?)
    }

    fn part_mut(&mut self, n: u16) -> Option<&mut Part> {
        self.parts.get_mut(usize::from(n).checked_sub(1)?)
    }

    fn find(&self, wanted: impl Fn(&Part) -> bool) -> Option<u16> {
        (1..)
            .zip(&self.parts)
            .find(|(_, part)| wanted(part))
            .map(|(n, _)| n)
    }

    fn set(&mut self, n: u16, sending: Sending) {
        if let Some(part) = self.part_mut(n) {
            part.sending = sending;
        }
    }
}
