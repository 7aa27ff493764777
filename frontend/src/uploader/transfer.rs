//! One file on its way.
//!
//! A file of up to `single_max` bytes goes whole, in one request. A larger one is announced, its
//! parts are digested in order (so that the digest of the whole comes with them) and sent in any
//! order, and it is completed.

use crate::wire::Upload;
use chatlift_shared::ProblemCode;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{PARTS_MAX, part_count, part_len};

use super::progress::Progress;
use super::retry::{ATTEMPTS_MAX, Failure, Remedy, backoff_ms};

/// New announcements of one run, beyond the first, that an aborted or mixed-up upload is worth.
const ANNOUNCEMENTS_MAX: u8 = 1;

/// Times that one run sends parts again which the edge said it misses.
const RESENDS_MAX: u8 = 3;

/// Parts that are digested ahead of sending: enough that a free request never waits.
const AHEAD: usize = 2;

/// What the shell is to do for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Digest the file and send it in one request.
    Whole,
    /// Announce it.
    Announce,
    /// Digest part `n` (from 1), and go on with the digest of the whole. `n` = 1 begins it anew.
    Digest(u16),
    /// Send part `n`.
    Send(u16),
    /// Complete it.
    Complete,
}

/// What the shell tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The edge answered the announcement.
    Announced(Upload),
    /// Part `n` has this digest; `whole` is the file's, with the last part.
    Digested {
        /// The part, from 1.
        n: u16,
        /// Its digest.
        digest: Sha256,
        /// The digest of the whole file, once all parts are read.
        whole: Option<Sha256>,
    },
    /// So many bytes of a request's content have left.
    Loaded {
        /// [`Job::Whole`] or [`Job::Send`].
        job: Job,
        /// Bytes.
        bytes: u64,
    },
    /// The edge holds part `n`.
    Sent(u16),
    /// The edge has stored the file.
    Stored,
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
    /// It cannot go on by itself.
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Todo,
    Under { loaded: u64 },
    Held,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    digest: Option<Sha256>,
    /// What the edge said that it holds under this number when the upload was announced.
    held: Option<Sha256>,
    sending: Sending,
}

/// One file on its way.
#[derive(Clone, Debug)]
pub struct Transfer {
    size: u64,
    whole: bool,
    state: State,
    /// What the edge answered to the latest announcement.
    upload: Option<Upload>,
    /// That answer still holds.
    announced: bool,
    parts: Vec<Part>,
    sha256: Option<Sha256>,
    digesting: bool,
    /// [`Job::Whole`], [`Job::Announce`] or [`Job::Complete`] is under way.
    busy: bool,
    loaded: u64,
    /// Announce again as soon as no part is under way.
    renew: bool,
    announcements: u8,
    resends: u8,
    /// A part was stored under the ticket in use, so a refusal of the ticket means that it is old.
    ticket_worked: bool,
    attempts: u32,
    not_before: f64,
}

impl Transfer {
    /// A file of `size` bytes; up to `single_max` bytes go in one request.
    #[must_use]
    pub fn new(size: u64, single_max: u64) -> Self {
        Self {
            size,
            whole: size <= single_max,
            state: State::Queued,
            upload: None,
            announced: false,
            parts: Vec::new(),
            sha256: None,
            digesting: false,
            busy: false,
            loaded: 0,
            renew: false,
            announcements: 0,
            resends: 0,
            ticket_worked: false,
            attempts: 0,
            not_before: 0.0,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The announced upload, to send parts with.
    #[must_use]
    pub fn upload(&self) -> Option<&Upload> {
        self.upload.as_ref()
    }

    /// The digest of part `n`, once it is known.
    #[must_use]
    pub fn part_digest(&self, n: u16) -> Option<Sha256> {
        self.part(n)?.digest
    }

    /// What to complete with: the digest of the whole, and that of the parts' digests.
    #[must_use]
    pub fn digests(&self) -> Option<(Sha256, Sha256)> {
        let parts: Option<Vec<_>> = self.parts.iter().map(|part| part.digest).collect();
        Some((self.sha256?, Sha256::of_parts(parts?)))
    }

    /// Where part `n` begins and ends in the file, in bytes.
    #[must_use]
    pub fn range(&self, n: u16) -> Option<(u64, u64)> {
        let part_size = self.upload.as_ref()?.part_size;
        let len = part_len(self.size, part_size, u64::from(n))?;
        let start = (u64::from(n) - 1) * part_size;
        Some((start, start + len))
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let finished = self.state == State::Stored;
        let done = if finished {
            self.size
        } else if self.whole {
            self.loaded
        } else {
            let done = |(n, part): (u16, &Part)| match part.sending {
                Sending::Todo => 0,
                Sending::Under { loaded } => loaded,
                Sending::Held => self.range(n).map_or(0, |(start, end)| end - start),
            };
            (1..).zip(&self.parts).map(done).sum()
        };
        Progress {
            done: done.min(self.size),
            total: self.size,
            finished,
        }
    }

    /// Whether it waits before it tries again.
    #[must_use]
    pub fn is_waiting(&self, now: f64) -> bool {
        self.is_live() && self.attempts > 0 && self.not_before > now
    }

    /// When it will try again, if it waits for that.
    #[must_use]
    pub fn wakes_at(&self, now: f64) -> Option<f64> {
        self.is_waiting(now).then_some(self.not_before)
    }

    /// Whether it is neither stored nor failed.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !matches!(self.state, State::Stored | State::Failed(_))
    }

    /// Tries again at once: the connection is back.
    pub fn wake(&mut self) {
        self.attempts = 0;
        self.not_before = 0.0;
    }

    /// Requests with content, and announcements, that are under way.
    pub(super) fn requests(&self) -> usize {
        if !self.is_live() {
            return 0;
        }
        self.under_way() + usize::from(self.busy && self.state != State::Completing)
    }

    /// Whether a digest is under way.
    pub(super) fn is_digesting(&self) -> bool {
        self.digesting
    }

    /// The next job, which is then under way. `slot`: another request may begin; `digest`: a
    /// digest may begin.
    pub(super) fn next(&mut self, now: f64, slot: bool, digest: bool) -> Option<Job> {
        if !self.is_live() || self.busy || self.not_before > now {
            return None;
        }
        if self.whole {
            self.busy = slot;
            return slot.then(|| self.begin(Job::Whole));
        }
        if self.renew && self.under_way() == 0 {
            self.renew = false;
            self.announced = false;
        }
        if !self.announced {
            self.busy = slot;
            return slot.then(|| self.begin(Job::Announce));
        }
        if self.renew {
            return None;
        }
        if slot
            && let Some(n) =
                self.find(|part| part.digest.is_some() && part.sending == Sending::Todo)
        {
            self.set(n, Sending::Under { loaded: 0 });
            return Some(Job::Send(n));
        }
        let ready = |part: &&Part| part.digest.is_some() && part.sending == Sending::Todo;
        if digest
            && !self.digesting
            && self.parts.iter().filter(ready).count() < AHEAD
            && let Some(n) = self.find(|part| part.digest.is_none())
        {
            self.digesting = true;
            return Some(Job::Digest(n));
        }
        if self.sha256.is_some() && self.parts.iter().all(|part| part.sending == Sending::Held) {
            self.busy = true;
            self.state = State::Completing;
            return Some(Job::Complete);
        }
        None
    }

    /// Takes in what happened. `online`: whether the device says that it has a connection.
    pub(super) fn on(&mut self, event: Event, now: f64, online: bool, random: f64) {
        if !self.is_live() {
            // Requests are aborted with their file, but a digest ends by itself.
            let digest = matches!(
                event,
                Event::Digested { .. } | Event::Failed(Job::Digest(_), _)
            );
            self.digesting &= !digest;
            return;
        }
        match event {
            Event::Announced(upload) => {
                self.busy = false;
                self.announced(upload);
                self.wake();
            }
            Event::Digested { n, digest, whole } => {
                self.digesting = false;
                self.sha256 = whole.or(self.sha256);
                if let Some(part) = self.part_mut(n) {
                    part.digest = Some(digest);
                    part.sending = if part.held == Some(digest) {
                        Sending::Held
                    } else {
                        Sending::Todo
                    };
                }
            }
            Event::Loaded {
                job: Job::Whole,
                bytes,
            } => {
                self.loaded = bytes;
                if bytes >= self.size {
                    self.state = State::Completing;
                }
            }
            Event::Loaded {
                job: Job::Send(n),
                bytes,
            } => {
                let most = self.range(n).map_or(0, |(start, end)| end - start);
                if let Some(Part {
                    sending: Sending::Under { loaded },
                    ..
                }) = self.part_mut(n)
                {
                    *loaded = bytes.min(most);
                }
            }
            Event::Loaded { .. } => {}
            Event::Sent(n) => {
                self.set(n, Sending::Held);
                self.ticket_worked = true;
                self.wake();
            }
            Event::Stored => self.state = State::Stored,
            Event::Failed(job, failure) => {
                self.ended(job);
                self.failed(failure, now, online, random);
            }
        }
    }

    fn begin(&mut self, job: Job) -> Job {
        self.state = State::Uploading;
        job
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

    fn announced(&mut self, upload: Upload) {
        let count = match upload.part_size {
            0 => 0,
            part_size => part_count(self.size, part_size),
        };
        let Ok(count) = u16::try_from(count) else {
            return self.give_up_on_answer();
        };
        if count == 0 || u64::from(count) > PARTS_MAX || upload.size != self.size {
            return self.give_up_on_answer();
        }
        if self.parts.len() != usize::from(count) {
            let fresh = Part {
                digest: None,
                held: None,
                sending: Sending::Todo,
            };
            self.parts = vec![fresh; usize::from(count)];
            self.sha256 = None;
        }
        for part in &mut self.parts {
            part.held = None;
        }
        for held in &upload.parts {
            if let Some(part) = self.part_mut(held.n) {
                part.held = Some(held.sha256);
            }
        }
        for part in &mut self.parts {
            let same = part.digest.is_some() && part.digest == part.held;
            part.sending = if same { Sending::Held } else { Sending::Todo };
        }
        self.ticket_worked = false;
        self.upload = Some(upload);
        self.announced = true;
    }

    /// The edge's answer makes no sense for this file.
    fn give_up_on_answer(&mut self) {
        self.state = State::Failed(Failure::Edge {
            status: 500,
            code: Some(ProblemCode::Internal),
            retry_after_ms: None,
            parts: Vec::new(),
            limit: None,
        });
    }

    /// A job is no longer under way.
    fn ended(&mut self, job: Job) {
        match job {
            Job::Send(n) => self.set(n, Sending::Todo),
            Job::Digest(_) => self.digesting = false,
            Job::Whole | Job::Announce | Job::Complete => {
                self.busy = false;
                self.loaded = 0;
                self.state = State::Uploading;
            }
        }
    }

    fn failed(&mut self, failure: Failure, now: f64, online: bool, random: f64) {
        match failure.remedy() {
            Remedy::Retry => self.retry(failure, now, online, random),
            Remedy::Resend if self.resends < RESENDS_MAX => {
                self.resends += 1;
                let named = match &failure {
                    Failure::Edge { parts, .. } => parts.as_slice(),
                    _ => &[],
                };
                for &n in named {
                    // One that is under way arrives by itself.
                    if self
                        .part(n)
                        .is_some_and(|part| part.sending == Sending::Held)
                    {
                        self.set(n, Sending::Todo);
                    }
                }
                // Nothing named that the file has: only a new announcement tells what is held.
                self.renew |= !named.iter().any(|&n| self.part(n).is_some());
            }
            Remedy::Announce
                if self.ticket_worked
                    && failure.code() == Some(ProblemCode::UploadTicketInvalid) =>
            {
                self.renew = true;
            }
            // Several parts can fail for one reason; that is one announcement.
            Remedy::Announce if self.renew => {}
            Remedy::Announce if self.announcements < ANNOUNCEMENTS_MAX => {
                self.announcements += 1;
                self.renew = true;
            }
            Remedy::Announce | Remedy::Resend | Remedy::GiveUp => {
                self.state = State::Failed(failure)
            }
        }
    }

    fn retry(&mut self, failure: Failure, now: f64, online: bool, random: f64) {
        // Several requests cut off together are one failed try.
        if self.attempts == 0 || self.not_before <= now {
            let patient = !online && failure == Failure::Network;
            if self.attempts >= ATTEMPTS_MAX && !patient {
                self.state = State::Failed(failure);
                return;
            }
            self.attempts += u32::from(self.attempts < ATTEMPTS_MAX);
        }
        let wait = backoff_ms(self.attempts, failure.retry_after_ms(), random);
        self.not_before = self.not_before.max(now + f64::from(wait));
    }
}
