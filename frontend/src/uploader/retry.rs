//! When to try again, and what a failure means: the one policy for all that the page repeats.
//!
//! Waits double from half a second to half a minute, at random below that, and `Retry-After` comes
//! on top. Only bytes that the edge did not hold before end that; a device that says that it is
//! online, a probe that is answered or the person brings one try forward. After [`BUDGET_MS`] of a
//! visible page without a byte, the page gives up.

use chatlift_shared::ProblemCode;

/// How long the page keeps trying while the edge holds no more than before, in milliseconds of a
/// visible page: a tunnel, a lift, a router that restarts and a deployment gone wrong are shorter.
pub const BUDGET_MS: f64 = 15.0 * 60_000.0;

/// Longest wait before the first repetition, in milliseconds.
const FIRST_MS: u32 = 500;

/// Least wait of all, in milliseconds: no repetition is immediate, whatever chance says.
const LEAST_MS: u32 = 250;

/// Longest wait that the page chooses itself, in milliseconds.
const LONGEST_MS: u32 = 30_000;

/// Longest `Retry-After` that is honoured, in milliseconds: as long as the budget, after which the
/// page would give up.
const RETRY_AFTER_MAX_MS: u32 = 15 * 60_000;

/// Least time between two waits that are cut short, in milliseconds: a connection that flaps brings
/// no more than a try a second.
const WAKE_APART_MS: f64 = 1_000.0;

/// How long to wait before repetition `n` (from 1), in milliseconds: exponential backoff with full
/// jitter (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
///
/// `random` (0 up to 1) spreads it from [`LEAST_MS`] up to what doubles, so that pages cut off
/// together do not come back together. `Retry-After` is the least wait, and the jitter is added to
/// it for the same reason.
#[must_use]
pub fn backoff_ms(n: u32, retry_after_ms: Option<u32>, random: f64) -> u32 {
    #[cfg(test)]
    if let Some(ms) = fixed_wait::get() {
        return ms;
    }
    let full = FIRST_MS
        .saturating_mul(1 << n.saturating_sub(1).min(16))
        .min(LONGEST_MS);
    // The cast saturates, and NaN becomes 0.
    let jitter = (f64::from(full - LEAST_MS) * random.clamp(0.0, 1.0)) as u32;
    retry_after_ms.unwrap_or(0).min(RETRY_AFTER_MAX_MS) + LEAST_MS + jitter
}

/// Every wait of the same length in place of the policy, on the thread of a test: what the policy is compared with.
#[cfg(test)]
pub(crate) mod fixed_wait {
    use std::cell::Cell;

    thread_local! {
        static MS: Cell<Option<u32>> = const { Cell::new(None) };
    }

    pub(crate) fn set(ms: Option<u32>) {
        MS.set(ms);
    }

    pub(crate) fn get() -> Option<u32> {
        MS.get()
    }

    pub(crate) fn is_set() -> bool {
        get().is_some()
    }
}

/// Least and longest mean time between two probes, in milliseconds: at most four leave in a second, and
/// about twelve in a minute once the cut is long.
const PROBE_MS: (f64, f64) = (250.0, 5_000.0);

/// How long to wait before the edge is probed, when the network has been away for `cut_ms`
/// milliseconds: about a twentieth of that, so that what an upload loses by not noticing at once stays
/// small beside what the cut took. `random` (0 up to 1) spreads it.
#[must_use]
pub fn probe_ms(cut_ms: f64, random: f64) -> f64 {
    let (least, longest) = PROBE_MS;
    ((cut_ms / 20.0).clamp(least, longest) * (0.5 + random)).max(least)
}

/// What cuts a wait short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The device says that it has a connection, or the person asks for it.
    Person,
    /// A probe was answered.
    Probe,
}

/// What a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The edge was not reached.
    Network,
    /// The edge answered that it cannot do it now.
    Edge,
}

/// What one sender knows of its failed tries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    /// Tries that failed since the edge came to hold more.
    failures: u32,
    /// When the first of them failed; later by as long as the page was hidden.
    since: Option<f64>,
    wait: Option<Wait>,
    /// Bytes have left since the last of them.
    moved: bool,
    /// When a wait was cut short last.
    woken: Option<(f64, Wake)>,
    /// A probe was answered and the try after it failed all the same: what answers probes is not
    /// what is needed.
    probes_mislead: bool,
}

#[derive(Clone, Copy, Debug)]
struct Wait {
    until: f64,
    /// What the edge asked for; nothing shortens it.
    least: f64,
    cause: Cause,
}

impl Retry {
    /// A try failed. Several requests that fail during one wait are one failed try.
    pub(super) fn failed(&mut self, failure: &Failure, now: f64, random: f64) {
        let asked = failure.refusal().and_then(|refusal| refusal.retry_after_ms);
        let least = now + f64::from(asked.unwrap_or(0).min(RETRY_AFTER_MAX_MS));
        self.since.get_or_insert(now);
        self.moved = false;
        let waiting = self.wait.filter(|wait| wait.until > now);
        if waiting.is_none() {
            self.failures += 1;
            let by_probe = matches!(self.woken, Some((_, Wake::Probe)));
            self.probes_mislead |= by_probe;
        }
        let until = now + f64::from(backoff_ms(self.failures, asked, random));
        let cause = if failure.is_network() {
            Cause::Network
        } else {
            Cause::Edge
        };
        self.wait = Some(match waiting {
            Some(wait) if asked.is_none() => wait,
            Some(wait) => Wait {
                until: wait.until.max(until),
                least: wait.least.max(least),
                cause,
            },
            None => Wait {
                until,
                least,
                cause,
            },
        });
    }

    /// The edge holds more than it ever did: all is forgotten but what it asked for.
    pub(super) fn gained(&mut self, now: f64) {
        let wait = self.wait.filter(|wait| wait.least > now);
        *self = Self {
            wait,
            woken: self.woken,
            ..Self::default()
        };
    }

    /// The edge holds more than it ever did, by what another page sent: the time starts anew, and
    /// the waits stay long, so that the two do not send the same.
    pub(super) fn gained_by_another(&mut self) {
        self.since = None;
    }

    /// Brings the next try forward. It is one try: what failed before still counts.
    pub(super) fn wake(&mut self, by: Wake, now: f64) {
        if let Some(wait) = &mut self.wait
            && wait.until > now
        {
            let apart = self.woken.map_or(now, |(at, _)| at + WAKE_APART_MS);
            wait.until = wait.until.min(apart.max(wait.least).max(now));
            self.woken = Some((wait.until, by));
            self.probes_mislead &= by == Wake::Probe;
        }
    }

    /// The page was not visible for so many milliseconds: they do not count.
    pub(super) fn hidden(&mut self, ms: f64) {
        self.since = self.since.map(|since| since + ms);
    }

    /// Whether the time is over.
    pub(super) fn is_spent(&self, now: f64) -> bool {
        self.since.is_some_and(|since| now - since >= BUDGET_MS)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Bytes have left.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// What the last try failed of, until bytes leave or the edge comes to hold more.
    pub(super) fn cause(&self) -> Option<Cause> {
        let wait = self.wait.filter(|_| self.is_failing() && !self.moved)?;
        Some(wait.cause)
    }

    /// Until when nothing is tried, and what that is for.
    pub(super) fn waits(&self, now: f64) -> Option<(f64, Cause)> {
        let wait = self.wait.filter(|wait| wait.until > now)?;
        Some((wait.until, wait.cause))
    }

    /// Since when the network has been away, if a probe is worth it.
    pub(super) fn cut_at(&self, now: f64) -> Option<f64> {
        let wait = self.wait.filter(|wait| wait.until > now)?;
        let probed = wait.cause == Cause::Network && wait.least <= now && !self.probes_mislead;
        self.since.filter(|_| probed)
    }
}

/// Why a job did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer: no connection, a cut, or nothing moved for too long.
    Network,
    /// The device no longer gives the file's bytes.
    Unreadable,
    /// The edge said no. Boxed: most of what is passed about is no failure, and would be as large.
    Edge(Box<Refusal>),
}

/// What the edge said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The problem's code; `None` when the answer was no problem that the page knows.
    pub code: Option<ProblemCode>,
    /// It was no problem at all, so it was not the edge that said it: a proxy, a portal, the platform.
    pub foreign: bool,
    /// `Retry-After`, in milliseconds.
    pub retry_after_ms: Option<u32>,
    /// The parts that it is about.
    pub parts: Vec<u16>,
    /// The limit that was passed.
    pub limit: Option<u64>,
    /// How many bytes of the part are held.
    pub offset: Option<u64>,
}

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The same again, after a wait.
    Retry,
    /// The same in a smaller request.
    Shrink,
    /// The named parts again, at once.
    Resend,
    /// On from where the edge says.
    GoOn,
    /// A new announcement, once.
    Announce,
    /// Nothing helps.
    GiveUp,
}

impl Failure {
    /// What the edge said, if it said something.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Edge(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The code, if the edge gave one.
    #[must_use]
    pub fn code(&self) -> Option<ProblemCode> {
        self.refusal()?.code
    }

    /// Whether the edge says that it has nothing to take back.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ProblemCode::UploadAborted
                    | ProblemCode::UploadNotFound
                    | ProblemCode::UploadTicketInvalid
            )
        )
    }

    /// Whether the same again may succeed later.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.remedy() == Remedy::Retry
    }

    /// Whether it says something of the way to the edge, or of the edge, and not of one file.
    pub(super) fn is_of_line(&self) -> bool {
        let shared = |code| {
            !matches!(
                code,
                Some(ProblemCode::UploadBusy | ProblemCode::DigestMismatch)
            )
        };
        self.remedy() == Remedy::Retry && shared(self.code())
    }

    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Network)
    }

    pub(super) fn remedy(&self) -> Remedy {
        let (status, code, foreign) = match self {
            Self::Network => return Remedy::Retry,
            Self::Unreadable => return Remedy::GiveUp,
            Self::Edge(refusal) => (refusal.status, refusal.code, refusal.foreign),
        };
        match code {
            // A proxy on the way takes no body as large as this one.
            None if status == 413 => Remedy::Shrink,
            // Whatever the edge would say of the file, this is not it.
            None if foreign => Remedy::Retry,
            // A digest mismatch is a bit lost on the way: the same part again repairs it.
            Some(ProblemCode::UploadBusy | ProblemCode::DigestMismatch) => Remedy::Retry,
            Some(ProblemCode::PartsMissing) => Remedy::Resend,
            Some(ProblemCode::OffsetDiffers) => Remedy::GoOn,
            Some(
                ProblemCode::UploadAborted
                | ProblemCode::UploadNotFound
                | ProblemCode::UploadTicketInvalid
                | ProblemCode::PartsDiffer,
            ) => Remedy::Announce,
            _ if status >= 500 || status == 429 || status == 408 => Remedy::Retry,
            _ => Remedy::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edge(code: ProblemCode) -> Failure {
        Failure::Edge(Box::new(Refusal {
            status: code.status(),
            code: Some(code),
            ..Refusal::default()
        }))
    }

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let waits: Vec<_> = (1..=9).map(|n| backoff_ms(n, None, 1.0)).collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
        );
        assert_eq!(backoff_ms(1, None, 0.0), 250);
    }

    #[test]
    fn retry_after_is_the_least_wait_and_jitter_comes_on_top() {
        assert_eq!(backoff_ms(1, Some(7000), 0.0), 7250);
        assert_eq!(backoff_ms(1, Some(7000), 1.0), 7500);
        assert_eq!(backoff_ms(8, Some(0), 1.0), 30_000);
        assert!(backoff_ms(1, Some(u32::MAX), 0.5) >= RETRY_AFTER_MAX_MS);
    }

    #[test]
    fn a_wake_is_one_try_and_at_most_one_in_a_second() {
        let mut retry = Retry::default();
        let (mut now, mut tries) = (0.0, 0);
        while now < 60_000.0 {
            if retry.waits(now).is_none() {
                retry.failed(&Failure::Network, now, 1.0);
                tries += 1;
            }
            retry.wake(Wake::Person, now);
            now += 10.0;
        }
        assert!(tries <= 62, "{tries}");
        assert!(retry.is_failing());
    }

    #[test]
    fn a_probe_that_misleads_is_the_last() {
        let mut retry = Retry::default();
        retry.failed(&Failure::Network, 0.0, 1.0);
        assert!(retry.cut_at(0.0).is_some());
        retry.wake(Wake::Probe, 100.0);
        retry.failed(&Failure::Network, 200.0, 1.0);
        assert_eq!(retry.cut_at(200.0), None);
    }

    #[test]
    fn only_what_can_change_is_tried_again() {
        for &code in ProblemCode::ALL {
            let expected = match code {
                ProblemCode::UploadBusy
                | ProblemCode::DigestMismatch
                | ProblemCode::StorageUnavailable
                | ProblemCode::RateLimited
                | ProblemCode::Internal => Remedy::Retry,
                ProblemCode::PartsMissing => Remedy::Resend,
                ProblemCode::OffsetDiffers => Remedy::GoOn,
                ProblemCode::UploadAborted
                | ProblemCode::UploadNotFound
                | ProblemCode::UploadTicketInvalid
                | ProblemCode::PartsDiffer => Remedy::Announce,
                // Only the form before the page meets this, and no upload.
                ProblemCode::PasswordLocked => continue,
                // Only a chat app's picker meets these, and no upload.
                code if code.code().starts_with("chat-") => continue,
                _ => Remedy::GiveUp,
            };
            assert_eq!(edge(code).remedy(), expected, "{}", code.code());
        }
    }

    #[test]
    fn an_answer_that_is_no_problem_goes_by_its_status() {
        for (status, remedy) in [
            (502, Remedy::Retry),
            (429, Remedy::Retry),
            (408, Remedy::Retry),
            (404, Remedy::GiveUp),
            (413, Remedy::Shrink),
        ] {
            let failure = Failure::Edge(Box::new(Refusal {
                status,
                ..Refusal::default()
            }));
            assert_eq!(failure.remedy(), remedy, "{status}");
        }
    }

    #[test]
    fn what_the_edge_did_not_say_is_no_verdict_on_the_file() {
        for status in [
            200, 400, 401, 403, 404, 405, 407, 409, 411, 415, 451, 500, 511,
        ] {
            let failure = Failure::Edge(Box::new(Refusal {
                status,
                foreign: true,
                ..Refusal::default()
            }));
            assert_eq!(failure.remedy(), Remedy::Retry, "{status}");
        }
    }

    #[test]
    fn probes_leave_at_most_four_times_in_a_second() {
        for (cut, random, wait) in [
            (0.0, 0.0, 250.0),
            (5_000.0, 0.99, 372.5),
            (60_000.0, 0.0, 1_500.0),
            (600_000.0, 0.5, 5_000.0),
        ] {
            assert_eq!(probe_ms(cut, random), wait);
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_never_nothing_nor_less_than_asked(
            n: u32, after: Option<u32>, random in proptest::num::f64::ANY,
        ) {
            let least = after.unwrap_or(0).min(RETRY_AFTER_MAX_MS);
            prop_assert!(backoff_ms(n, after, random) >= least + LEAST_MS);
            prop_assert!((250..=30_000).contains(&backoff_ms(n, None, random)));
        }
    }
}
