//! What a file makes of a failure: what is tried again, from where, and when it is given up.

use chatlift_shared::ProblemCode;

use super::super::pace::CHUNK_MIN;
use super::super::part::{Part, Sending};
use super::super::retry::{Failure, Remedy};
use super::{Announcement, Job, State, Transfer, Way, Work};

/// New announcements of one run, beyond the first, that an aborted or mixed-up upload is worth.
const ANNOUNCEMENTS_MAX: u8 = 1;

/// Times that one run sends parts again which the edge said it misses.
const RESENDS_MAX: u8 = 3;

/// Times that a part may arrive with another digest: once because the edge held the beginning of
/// another file, once for a bit lost on the way. After that the file itself has changed.
const MISMATCHES_MAX: u8 = 2;

impl Transfer {
    /// A job is no longer under way.
    pub(super) fn ended(&mut self, job: Job, failure: &Failure) {
        match job {
            Job::Send(chunk) => {
                let code = failure.code();
                let offset = failure.refusal().and_then(|refusal| refusal.offset);
                let contended = matches!(
                    code,
                    Some(ProblemCode::UploadBusy | ProblemCode::OffsetDiffers)
                );
                self.contended |= contended;
                self.chunk_trial = Some(((chunk.to - chunk.from) / 2).max(CHUNK_MIN));
                let cut = code.is_none();
                if let Some(part) = self.part_mut(chunk.n) {
                    // Also when it was not seen to leave whole: browsers report what has left
                    // late, or not at all before a cut.
                    part.sending = match cut {
                        true => Sending::Cut { ends: chunk.ends },
                        false => Sending::Todo,
                    };
                    if code == Some(ProblemCode::DigestMismatch) {
                        part.offset = 0;
                        part.mismatches += 1;
                    }
                    if let Some(offset) = offset {
                        part.offset = offset;
                    }
                }
                // What is held is asked for before anything is repeated: another page may send
                // it, or the file may be stored.
                if cut || code == Some(ProblemCode::UploadBusy) {
                    self.ask();
                }
                self.state = State::Uploading;
            }
            Job::Digest(_) => self.digesting = Work::Idle,
            Job::Whole | Job::Announce | Job::Complete | Job::Cancel => {
                self.busy = Work::Idle;
                if self.is_whole() {
                    self.way = Way::Whole { loaded: 0 };
                }
                self.state = State::Uploading;
            }
        }
    }

    pub(super) fn failed(
        &mut self,
        job: Job,
        failure: Failure,
        now: f64,
        online: bool,
        random: f64,
    ) {
        let changed = |part: &Part| part.mismatches > MISMATCHES_MAX;
        let remedy = failure.remedy();
        let worked = Way::Parts(Announcement::Holds {
            ticket_worked: true,
        });
        let is_old = self.way == worked && failure.code() == Some(ProblemCode::UploadTicketInvalid);
        let unheard = self.parts.iter().any(Part::is_unheard);
        if matches!(remedy, Remedy::Resend | Remedy::Announce) {
            for part in self.parts.iter_mut().filter(|part| part.is_unheard()) {
                part.sending = Sending::Cut { ends: false };
            }
        }
        match remedy {
            Remedy::Retry if self.parts.iter().any(changed) => self.state = State::Failed(failure),
            Remedy::Retry => self.retry(failure, now, online, random),
            Remedy::GoOn => self.retry(failure, now, online, random),
            Remedy::Shrink if self.shrink(job) => {}
            Remedy::Shrink => self.state = State::Failed(failure),
            // It is no file yet; what is held of the parts that were cut is to be heard.
            Remedy::Resend if unheard => self.ask(),
            Remedy::Resend if self.resends < RESENDS_MAX => {
                self.resends += 1;
                let named = failure.refusal().map_or(&[][..], |r| r.parts.as_slice());
                for &n in named {
                    // One that is under way arrives by itself.
                    let Some(part) = self.part_mut(n) else {
                        continue;
                    };
                    match part.sending {
                        Sending::Under { .. } => {}
                        Sending::Cut { .. } => part.offset = 0,
                        Sending::Todo | Sending::Held => {
                            (part.sending, part.offset) = (Sending::Todo, 0);
                        }
                    }
                }
                // Nothing named that the file has: only a new announcement tells what is held.
                if !named.iter().any(|&n| self.part(n).is_some()) {
                    self.way = Way::Parts(Announcement::Outdated);
                }
            }
            // Several parts can fail for one reason; that is one announcement.
            Remedy::Announce if self.is_outdated() => {}
            Remedy::Announce if self.announcements < ANNOUNCEMENTS_MAX || is_old => {
                self.announcements += u8::from(!is_old);
                self.way = Way::Parts(Announcement::Outdated);
            }
            Remedy::Announce | Remedy::Resend | Remedy::GiveUp => {
                self.state = State::Failed(failure)
            }
        }
    }

    /// Sends less at once from now on; not if it is the least already.
    fn shrink(&mut self, job: Job) -> bool {
        let len = match job {
            Job::Send(chunk) => chunk.to - chunk.from,
            Job::Whole => {
                // Announced, it goes in chunks.
                self.way = Way::Parts(Announcement::Due);
                self.parts = vec![Part::new(self.unread); usize::from(self.size > 0)];
                self.size
            }
            _ => return false,
        };
        self.chunk_max = self.chunk_max.min((len / 2).max(CHUNK_MIN));
        len > CHUNK_MIN
    }

    /// Waits, or gives up when the time is over.
    pub(super) fn retry(&mut self, failure: Failure, now: f64, online: bool, random: f64) {
        let patient = !online && failure.is_network();
        if self.retry.is_spent(now) && !patient {
            self.state = State::Failed(failure);
            return;
        }
        self.retry.failed(&failure, now, random);
    }

    /// Takes note of what the edge holds now. Less than a chunk's least is no gain unless it is the
    /// rest: an edge that takes a byte for each request would else be asked without end.
    pub(super) fn gain(&mut self, own: bool, now: f64) {
        let held = self.held();
        let least = CHUNK_MIN
            .min(self.size.saturating_sub(self.furthest))
            .max(1);
        if held < self.furthest.saturating_add(least) {
            return;
        }
        self.furthest = held;
        if own || !self.contended {
            self.retry.gained(now);
            // Twice as much as last time, so that what is sent in vain stays in proportion to what is held.
            self.chunk_trial = self.chunk_trial.map(|most| most.saturating_mul(2));
            self.contended = false;
        } else {
            self.retry.gained_by_another();
        }
    }

    /// Bytes that the edge holds of it, as far as that is known.
    pub(super) fn held(&self) -> u64 {
        let of = |(n, part): (u16, &Part)| match part.sending {
            Sending::Held => self.range(n).map_or(0, |(start, end)| end - start),
            _ => part.offset,
        };
        (1..).zip(&self.parts).map(of).sum()
    }
}
