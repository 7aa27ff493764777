//! What a file does next.

use super::super::pace::CHUNK_MIN;
use super::super::part::{Chunk, Part, Sending};
use super::{Announcement, Grant, Job, State, Transfer, Way, Work};

/// Parts that are digested ahead of sending: enough that a free request never waits.
const AHEAD: usize = 2;

impl Transfer {
    /// The next job, which is then under way.
    pub(in crate::uploader) fn next(&mut self, grant: Grant<'_>) -> Option<Job> {
        let Grant { now, slot, .. } = grant;
        if let State::Cancelling { stored } = self.state {
            return self.next_of_cancelled(stored, grant);
        }
        let finishing =
            !self.busy.is_idle() && (self.is_whole() || self.state == State::Completing);
        if !self.is_live() || self.paused || finishing {
            return None;
        }
        if grant.line_waits || self.retry.waits(now).is_some() {
            // The line is idle: what is read now need not be read when it is back.
            return self.digest(grant, usize::MAX);
        }
        if self.is_whole() {
            if slot {
                self.busy = Work::Running(());
            }
            return slot.then(|| self.begin(Job::Whole));
        }
        // An announcement would not find a file that is stored, and would begin it anew.
        if self.may_be_stored() {
            return (self.under_way() == 0 && self.busy.is_idle()).then(|| self.complete());
        }
        if self.is_outdated() {
            if self.under_way() > 0 {
                return None;
            }
            self.way = Way::Parts(Announcement::Due);
        }
        if self.is_of_another_file() {
            self.way = Way::Parts(Announcement::Due);
        }
        let announce = !self.is_announced();
        if announce && self.busy.is_idle() && slot {
            self.busy = Work::Running(());
            return Some(self.begin(Job::Announce));
        }
        if !announce && self.is_sealed() {
            return match self.is_read() {
                true => Some(self.complete()),
                false => self.digest(grant, usize::MAX),
            };
        }
        if !announce
            && slot
            && let Some(n) = self.find(Part::is_ready).or_else(|| self.early())
        {
            return self.send(n, grant);
        }
        if let Some(job) = self.digest(grant, AHEAD) {
            return Some(job);
        }
        if !announce
            && self.is_read()
            && self.parts.iter().all(|part| part.sending == Sending::Held)
        {
            return Some(self.complete());
        }
        None
    }

    /// Digests the next part, unless so many are ahead of sending.
    fn digest(&mut self, grant: Grant<'_>, ahead: usize) -> Option<Job> {
        let ready = self.parts.iter().filter(|part| part.is_ready()).count();
        if !grant.digest || !self.digesting.is_idle() || ready >= ahead {
            return None;
        }
        let n = self.find(|part| !part.is_read())?;
        self.digesting = Work::Running(self.part_size());
        Some(Job::Digest(n))
    }

    /// A part whose beginning can be sent while it is digested, so that the line is not idle at the
    /// start: the first that has no digest. One alone: parts that begin together end together, and
    /// the line is idle while the edge stores them. Not where the edge holds something: a request of
    /// the page before may be making a part whole, which only a digest tells.
    fn early(&self) -> Option<u16> {
        let upload = self.upload.as_ref()?;
        if !upload.parts.is_empty() || !upload.staged.is_empty() {
            return None;
        }
        let n = self.find(|part| !part.is_read())?;
        let (start, end) = self.range(n)?;
        let part = self.part(n)?;
        (part.may_begin() && end - start - part.offset > 2 * CHUNK_MIN).then_some(n)
    }

    /// Whether the edge may have completed the file without this page having heard of it.
    fn may_be_stored(&self) -> bool {
        self.is_read()
            && self.parts.iter().any(Part::is_unheard)
            && self.parts.iter().all(Part::may_be_held)
    }

    /// Whether the upload is one of before the page was reloaded, which takes no more parts. Their
    /// digests tell whether it is of this file.
    fn is_sealed(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.sealed)
    }

    fn is_of_another_file(&self) -> bool {
        let differs = |part: &Part| part.is_read() && part.sending != Sending::Held;
        self.is_announced() && self.is_sealed() && self.parts.iter().any(differs)
    }

    fn complete(&mut self) -> Job {
        self.busy = Work::Running(());
        self.state = State::Completing;
        Job::Complete
    }

    fn send(&mut self, n: u16, grant: Grant<'_>) -> Option<Job> {
        let (start, end) = self.range(n)?;
        let len = end - start;
        let chunk_most = self.chunk_max.min(self.chunk_trial.unwrap_or(u64::MAX));
        let part = self.part_mut(n)?;
        let from = part.offset.min(len);
        let ready = part.is_ready();
        // A whole part streams straight into storage, which costs the edge the least.
        let whole = ready && from == 0 && len <= chunk_most && grant.network.is_fast(len);
        let to = match from
            + grant
                .network
                .chunk(len - from, grant.others)
                .min(chunk_most)
        {
            _ if whole => len,
            to if to == len && !ready => from + (len - from) / 2,
            to => to,
        };
        let chunk = Chunk {
            n,
            from,
            to,
            direct: from == 0 && to == len,
            ends: to == len,
        };
        part.sending = Sending::Under {
            chunk,
            loaded: 0,
            since: grant.now,
        };
        Some(Job::Send(chunk))
    }

    fn begin(&mut self, job: Job) -> Job {
        self.state = State::Uploading;
        job
    }
}
