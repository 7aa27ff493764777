//! What a file makes of what happened.

use crate::wire::Upload;
use chatlift_shared::ProblemCode;
use chatlift_shared::limits::{PARTS_MAX, part_count};

use super::super::pace::CHUNK_MIN;
use super::super::part::{Digest, Part, Sending};
use super::super::retry::{Failure, Refusal};
use super::{Announcement, Event, Job, State, Transfer, Way, Work};

impl Transfer {
    /// Takes in what happened. `online`: whether the device says that it has a connection.
    /// Answers what it tells of the network: bytes, milliseconds, and whether a part was stored.
    pub(in crate::uploader) fn on(
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
            if digest {
                self.digesting = Work::Idle;
            }
            return None;
        }
        if let State::Cancelling { .. } = self.state {
            self.on_cancelled(event, now, online, random);
            return None;
        }
        match event {
            // Only a file that was given up is taken back.
            Event::Cancelled => {}
            Event::Announced(upload) => {
                self.busy = Work::Idle;
                self.announced(upload);
                self.gain(false, now);
            }
            Event::Digested { n, digest } => {
                let by = std::mem::replace(&mut self.digesting, Work::Idle);
                // Parts are of another size since.
                if let Work::Running(size) | Work::Stalled(size) = by
                    && size != self.part_size()
                {
                    return None;
                }
                if let Some(part) = self.part_mut(n) {
                    part.digest = Digest::Known(digest);
                    part.compare();
                }
                // It was held before: that it is known now is no gain.
                self.furthest = self.furthest.max(self.held());
            }
            Event::Stalled(Job::Digest(_)) => self.digesting.stall(),
            Event::Stalled(_) => self.busy.stall(),
            Event::Loaded { job, bytes } => self.loaded(job, bytes),
            Event::Staged { n, offset } => return self.staged(n, offset, now, online, random),
            Event::Sent(n) => {
                let measured = self.measure(n, now, true);
                self.set(n, Sending::Held);
                self.ticket_worked();
                self.gain(true, now);
                return measured;
            }
            Event::Stored => {
                let last = self.find(|part| matches!(part.sending, Sending::Under { .. }));
                self.state = State::Stored;
                return self.measure(last?, now, true);
            }
            Event::Failed(job, failure) => {
                self.ended(job, &failure);
                // Requests of a paused file are cut by the page itself.
                if !(self.paused && failure.is_network()) {
                    self.failed(job, failure, now, online, random);
                }
                self.gain(false, now);
            }
        }
        None
    }

    fn loaded(&mut self, job: Job, bytes: u64) {
        let before = self.progress().moving;
        self.count(job, bytes);
        if self.progress().moving > before {
            self.retry.moved();
        }
    }

    fn count(&mut self, job: Job, bytes: u64) {
        match job {
            Job::Whole => {
                let loaded = bytes.min(self.size);
                if self.is_whole() {
                    self.way = Way::Whole { loaded };
                }
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
                let progress = self.progress();
                if chunk.ends && self.is_read() && progress.done + progress.moving >= self.size {
                    self.state = State::Completing;
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
        let sent = match part.sending {
            Sending::Under { chunk, .. } => chunk.to - chunk.from,
            _ => 0,
        };
        let offset = offset.min(end - start);
        let taken = offset.saturating_sub(part.offset);
        part.offset = offset;
        part.sending = Sending::Todo;
        self.ticket_worked();
        self.state = State::Uploading;
        self.gain(true, now);
        if taken < sent.min(CHUNK_MIN) {
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

    fn announced(&mut self, upload: Box<Upload>) {
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
        if self.parts.len() != usize::from(count) || upload.part_size != self.part_size() {
            self.parts = vec![Part::new(self.unread); usize::from(count)];
        }
        for part in &mut self.parts {
            // One that is under way says by itself what comes of it.
            if !matches!(part.sending, Sending::Under { .. }) {
                (part.held, part.offset) = (None, 0);
            }
            if let Sending::Cut { .. } = part.sending {
                part.sending = Sending::Todo;
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
        self.upload = Some(upload);
        if !self.is_outdated() {
            self.way = Way::Parts(Announcement::Holds {
                ticket_worked: false,
            });
        }
    }

    /// A part was stored under the ticket in use.
    fn ticket_worked(&mut self) {
        if let Way::Parts(Announcement::Holds { ticket_worked }) = &mut self.way {
            *ticket_worked = true;
        }
    }

    /// The edge's answer makes no sense for this file.
    fn give_up_on_answer(&mut self) {
        self.state = State::Failed(Failure::Edge(Box::new(Refusal {
            status: 500,
            code: Some(ProblemCode::Internal),
            ..Refusal::default()
        })));
    }
}
