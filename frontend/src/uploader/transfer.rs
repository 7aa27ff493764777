//! One file on its way.
//!
//! A file of up to `single_max` bytes goes whole, in one request. A larger one is announced, its
//! parts are digested in order (so that the digest of the whole comes with them) and sent in
//! chunks, several parts at once, and it is completed.

use crate::wire::Upload;
use chatlift_shared::ProblemCode;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{PARTS_MAX, part_count, part_len};

use super::batch::CONCURRENCY;
use super::pace::Network;
use super::part::{Chunk, Part, Sending};
use super::progress::Progress;
use super::retry::{ATTEMPTS_MAX, Failure, Refusal, Remedy, backoff_ms};

/// New announcements of one run, beyond the first, that an aborted or mixed-up upload is worth.
const ANNOUNCEMENTS_MAX: u8 = 1;

/// Times that one run sends parts again which the edge said it misses.
const RESENDS_MAX: u8 = 3;

/// Times that a part may arrive with another digest: once because the edge held the beginning of
/// another file, once for a bit lost on the way. After that the file itself has changed.
const MISMATCHES_MAX: u8 = 2;

/// Failed tries up to which a probe may end the wait early.
const PROBED_ATTEMPTS: u32 = 4;

/// Parts that are digested ahead of sending: enough that a free request never waits.
const AHEAD: usize = 2;

/// What a file may begin now.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The moment.
    pub now: f64,
    /// Another request may begin.
    pub slot: bool,
    /// A digest may begin.
    pub digest: bool,
    /// What the network carries.
    pub network: Network,
}

/// What the shell is to do for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Digest the file and send it in one request.
    Whole,
    /// Announce it.
    Announce,
    /// Digest part `n` (from 1), and go on with the digest of the whole. `n` = 1 begins it anew.
    Digest(u16),
    /// Send a chunk.
    Send(Chunk),
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
    /// Announce again at once, to hear what the edge has of the parts that were cut.
    ask: bool,
    paused: bool,
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
            ask: false,
            paused: false,
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
        let (mut done, mut moving) = (0, self.loaded);
        for (n, part) in (1..).zip(&self.parts) {
            match part.sending {
                Sending::Held => done += self.range(n).map_or(0, |(start, end)| end - start),
                Sending::Todo => done += part.offset,
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
        self.is_live() && !self.paused && self.attempts > 0 && self.not_before > now
    }

    /// Whether it is held by its user.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused && self.is_live()
    }

    pub(super) fn is_cut(&self, now: f64) -> bool {
        self.is_waiting(now) && self.attempts <= PROBED_ATTEMPTS
    }

    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.hurry(true);
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

    /// Tries again at once. `fresh`: with all its attempts.
    pub(super) fn hurry(&mut self, fresh: bool) {
        if fresh {
            self.attempts = 0;
        }
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

    /// The next job, which is then under way.
    pub(super) fn next(&mut self, grant: Grant) -> Option<Job> {
        let Grant {
            now, slot, digest, ..
        } = grant;
        if !self.is_live() || self.paused || self.busy || self.not_before > now {
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
        if !self.announced || self.ask {
            self.busy = slot;
            return slot.then(|| self.begin(Job::Announce));
        }
        if self.renew {
            return None;
        }
        if slot && let Some(n) = self.find(Part::is_ready) {
            return self.send(n, grant);
        }
        if digest
            && !self.digesting
            && self.parts.iter().filter(|part| part.is_ready()).count() < AHEAD
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

    fn send(&mut self, n: u16, grant: Grant) -> Option<Job> {
        let (start, end) = self.range(n)?;
        let (len, size, alone) = (end - start, self.size, self.parts.len() == 1);
        let part = self.part_mut(n)?;
        let from = part.offset.min(len);
        // Losing every part in flight must cost less than a hundredth of the file.
        let cheap = len.saturating_mul(100 * CONCURRENCY as u64) <= size;
        let direct = from == 0 && cheap && grant.network.is_fast(len);
        let to = if direct {
            len
        } else {
            from + grant.network.chunk(len - from, alone)
        };
        let chunk = Chunk {
            n,
            from,
            to,
            direct,
        };
        part.sending = Sending::Under {
            chunk,
            loaded: 0,
            since: grant.now,
        };
        Some(Job::Send(chunk))
    }

    /// Takes in what happened. `online`: whether the device says that it has a connection.
    /// Answers what it tells of the network: bytes, milliseconds, and whether a part was stored.
    pub(super) fn on(
        &mut self,
        event: Event,
        now: f64,
        online: bool,
        random: f64,
    ) -> Option<(u64, f64, bool)> {
        if !self.is_live() {
            // Requests are aborted with their file, but a digest ends by itself.
            let digest = matches!(
                event,
                Event::Digested { .. } | Event::Failed(Job::Digest(_), _)
            );
            self.digesting &= !digest;
            return None;
        }
        match event {
            Event::Announced(upload) => {
                self.busy = false;
                self.ask = false;
                self.announced(upload);
                self.hurry(true);
            }
            Event::Digested { n, digest, whole } => {
                self.digesting = false;
                self.sha256 = whole.or(self.sha256);
                if let Some(part) = self.part_mut(n) {
                    part.digest = Some(digest);
                    part.compare();
                }
            }
            Event::Loaded { job, bytes } => self.loaded(job, bytes),
            Event::Staged { n, offset } => return self.staged(n, offset, now, online, random),
            Event::Sent(n) => {
                let measured = self.measure(n, now, true);
                self.set(n, Sending::Held);
                self.ticket_worked = true;
                self.hurry(true);
                return measured;
            }
            Event::Stored => self.state = State::Stored,
            Event::Failed(job, failure) => {
                self.ended(job, &failure);
                // Requests of a paused file are cut by the page itself.
                if !(self.paused && failure == Failure::Network) {
                    self.failed(failure, now, online, random);
                }
            }
        }
        None
    }

    fn loaded(&mut self, job: Job, bytes: u64) {
        match job {
            Job::Whole => {
                self.loaded = bytes.min(self.size);
                if bytes >= self.size {
                    self.state = State::Completing;
                }
            }
            Job::Send(chunk) => {
                if let Some(Part {
                    sending: Sending::Under { loaded, .. },
                    ..
                }) = self.part_mut(chunk.n)
                {
                    *loaded = bytes.min(chunk.to - chunk.from);
                }
            }
            _ => {}
        }
    }

    fn staged(
        &mut self,
        n: u16,
        offset: u64,
        now: f64,
        online: bool,
        random: f64,
    ) -> Option<(u64, f64, bool)> {
        let measured = self.measure(n, now, false);
        let (start, end) = self.range(n)?;
        let part = self.part_mut(n)?;
        let gained = offset > part.offset;
        part.offset = offset.min(end - start);
        part.sending = Sending::Todo;
        self.ticket_worked = true;
        if gained {
            self.hurry(true);
        } else {
            self.retry(Failure::Network, now, online, random);
        }
        measured
    }

    fn measure(&self, n: u16, now: f64, ending: bool) -> Option<(u64, f64, bool)> {
        match self.part(n)?.sending {
            Sending::Under { chunk, since, .. } => {
                Some((chunk.to - chunk.from, now - since, ending))
            }
            _ => None,
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
            self.parts = vec![Part::NEW; usize::from(count)];
            self.sha256 = None;
        }
        for part in &mut self.parts {
            // One that is under way says by itself what comes of it.
            if !matches!(part.sending, Sending::Under { .. }) {
                (part.held, part.offset, part.unsure) = (None, 0, false);
            }
        }
        for held in &upload.parts {
            if let Some(part) = self.part_mut(held.n) {
                part.held = Some(held.sha256);
            }
        }
        for staged in &upload.staged {
            if let Some(part) = self.part_mut(staged.n)
                && part.sending == Sending::Todo
            {
                part.offset = staged.offset;
            }
        }
        self.parts.iter_mut().for_each(Part::compare);
        self.ticket_worked = false;
        self.upload = Some(upload);
        self.announced = true;
    }

    /// The edge's answer makes no sense for this file.
    fn give_up_on_answer(&mut self) {
        self.state = State::Failed(Failure::Edge(Refusal {
            status: 500,
            code: Some(ProblemCode::Internal),
            ..Refusal::default()
        }));
    }

    /// A job is no longer under way.
    fn ended(&mut self, job: Job, failure: &Failure) {
        match job {
            Job::Send(chunk) => {
                let code = failure.code();
                let offset = failure.refusal().and_then(|refusal| refusal.offset);
                let cut = failure.code().is_none();
                if let Some(part) = self.part_mut(chunk.n) {
                    part.sending = Sending::Todo;
                    part.unsure = cut;
                    if code == Some(ProblemCode::DigestMismatch) {
                        part.offset = 0;
                        part.mismatches += 1;
                    }
                    part.offset = offset.unwrap_or(part.offset);
                }
                self.ask |= cut;
            }
            Job::Digest(_) => self.digesting = false,
            Job::Whole | Job::Announce | Job::Complete => {
                self.busy = false;
                self.loaded = 0;
                self.state = State::Uploading;
            }
        }
    }

    fn failed(&mut self, failure: Failure, now: f64, online: bool, random: f64) {
        let changed = |part: &Part| part.mismatches > MISMATCHES_MAX;
        match failure.remedy() {
            Remedy::Retry if self.parts.iter().any(changed) => self.state = State::Failed(failure),
            Remedy::Retry => self.retry(failure, now, online, random),
            // No wait: the answer says all. Still an attempt, so that it ends.
            Remedy::GoOn if self.attempts < ATTEMPTS_MAX => self.attempts += 1,
            Remedy::Resend if self.resends < RESENDS_MAX => {
                self.resends += 1;
                let named = failure.refusal().map_or(&[][..], |r| r.parts.as_slice());
                for &n in named {
                    // One that is under way arrives by itself.
                    if self
                        .part(n)
                        .is_some_and(|part| part.sending == Sending::Held)
                        && let Some(part) = self.part_mut(n)
                    {
                        (part.sending, part.offset) = (Sending::Todo, 0);
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
            Remedy::Announce | Remedy::Resend | Remedy::GoOn | Remedy::GiveUp => {
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
        let asked = failure.refusal().and_then(|refusal| refusal.retry_after_ms);
        let wait = backoff_ms(self.attempts, asked, random);
        self.not_before = self.not_before.max(now + f64::from(wait));
    }
}
