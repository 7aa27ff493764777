//! What a file makes of a failure: what is tried again, from where, and when it is given up.

use chatlift_shared::ProblemCode;

use super::super::part::{Part, Sending};
use super::super::retry::{ATTEMPTS_MAX, Failure, Remedy, backoff_ms};
use super::{Job, State, Transfer};

/// New announcements of one run, beyond the first, that an aborted or mixed-up upload is worth.
const ANNOUNCEMENTS_MAX: u8 = 1;

/// Times that one run sends parts again which the edge said it misses.
const RESENDS_MAX: u8 = 3;

/// Times that a part may arrive with another digest: once because the edge held the beginning of
/// another file, once for a bit lost on the way. After that the file itself has changed.
const MISMATCHES_MAX: u8 = 2;

impl Transfer {
    /// A job is no longer under way. Answers whether the edge holds more for all that: another page
    /// sends the same file, and what it sends counts here too.
    pub(super) fn ended(&mut self, job: Job, failure: &Failure) -> bool {
        let mut further = false;
        match job {
            Job::Send(chunk) => {
                let code = failure.code();
                let offset = failure.refusal().and_then(|refusal| refusal.offset);
                let cut = failure.code().is_none();
                if let Some(part) = self.part_mut(chunk.n) {
                    part.sending = Sending::Todo;
                    part.unsure = cut;
                    // Also when it was not seen to leave whole: browsers report what has left
                    // late, or not at all before a cut.
                    part.unheard = cut && chunk.ends;
                    if code == Some(ProblemCode::DigestMismatch) {
                        part.offset = 0;
                        part.mismatches += 1;
                    }
                    further = offset.is_some_and(|offset| part.reach(offset));
                }
                self.ask |= cut;
                self.state = State::Uploading;
            }
            Job::Digest(_) => (self.digesting, self.stale) = (false, false),
            Job::Whole | Job::Announce | Job::Complete => {
                self.busy = false;
                self.loaded = 0;
                self.state = State::Uploading;
                if let (Some(upload), Some(_)) = (&mut self.upload, failure.refusal()) {
                    // Whatever was stored is not there any more.
                    upload.stored.clear();
                }
            }
        }
        further && failure.remedy() == Remedy::GoOn
    }

    pub(super) fn failed(&mut self, failure: Failure, now: f64, online: bool, random: f64) {
        let changed = |part: &Part| part.mismatches > MISMATCHES_MAX;
        let remedy = failure.remedy();
        let unheard = self.parts.iter().any(|part| part.unheard);
        if matches!(remedy, Remedy::Resend | Remedy::Announce) {
            self.parts.iter_mut().for_each(|part| part.unheard = false);
        }
        match remedy {
            Remedy::Retry if self.parts.iter().any(changed) => self.state = State::Failed(failure),
            Remedy::Retry => self.retry(failure, now, online, random),
            // No wait: the answer says all. Still an attempt, so that it ends.
            Remedy::GoOn if self.attempts < ATTEMPTS_MAX => self.attempts += 1,
            // It is no file yet; what is held of the parts that were cut is to be heard.
            Remedy::Resend if unheard => self.ask = true,
            Remedy::Resend if self.resends < RESENDS_MAX => {
                self.resends += 1;
                let named = failure.refusal().map_or(&[][..], |r| r.parts.as_slice());
                for &n in named {
                    // One that is under way arrives by itself.
                    if let Some(part) = self.part_mut(n)
                        && !matches!(part.sending, Sending::Under { .. })
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

    pub(super) fn retry(&mut self, failure: Failure, now: f64, online: bool, random: f64) {
        // Several requests cut off together are one failed try.
        if self.attempts == 0 || self.not_before <= now {
            let patient = !online && failure.is_network();
            if self.attempts >= ATTEMPTS_MAX && !patient {
                self.state = State::Failed(failure);
                return;
            }
            self.attempts += u32::from(self.attempts < ATTEMPTS_MAX);
        }
        if failure.is_network() {
            self.cut_at = self.cut_at.or(Some(now));
        }
        let asked = failure.refusal().and_then(|refusal| refusal.retry_after_ms);
        self.asked |= asked.is_some();
        let wait = backoff_ms(self.attempts, asked, random);
        self.not_before = self.not_before.max(now + f64::from(wait));
    }
}
