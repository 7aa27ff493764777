//! When to try again, and what a failure means.

use chatlift_shared::ProblemCode;

/// Tries of a file without any success in between before it is given up. With the waits of
/// [`backoff_ms`] that is about two minutes.
pub const ATTEMPTS_MAX: u32 = 9;

/// First wait, in milliseconds, before jitter.
const FIRST_MS: u32 = 500;

/// Longest wait that the page chooses itself, in milliseconds, before jitter.
const LONGEST_MS: u32 = 30_000;

/// Longest `Retry-After` that is honoured, in milliseconds: a person is waiting.
const RETRY_AFTER_MAX_MS: u32 = 120_000;

/// How long to wait before try `attempt` (from 1), in milliseconds.
///
/// Doubles from half a second to half a minute; `random` (0 up to 1) spreads it over its second
/// half, so that pages cut off together do not come back together. `Retry-After` wins, also when it
/// says 0: the edge knows better.
#[must_use]
pub fn backoff_ms(attempt: u32, retry_after_ms: Option<u32>, random: f64) -> u32 {
    let full = FIRST_MS
        .saturating_mul(1 << attempt.saturating_sub(1).min(16))
        .min(LONGEST_MS);
    let half = full / 2;
    match retry_after_ms {
        Some(ms) => ms.min(RETRY_AFTER_MAX_MS),
        // The cast saturates, and NaN becomes 0.
        None => half + (f64::from(half) * random.clamp(0.0, 1.0)) as u32,
    }
}

/// How long to wait before the edge is asked whether it can be reached, when the network has been
/// away for `cut_ms` milliseconds: about a fiftieth of that, so that what an upload loses by not
/// noticing at once stays small beside what the cut took. `random` (0 up to 1) spreads it.
#[must_use]
pub fn probe_ms(cut_ms: f64, random: f64) -> f64 {
    (cut_ms / 50.0).clamp(100.0, 1_000.0) * (0.5 + random)
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

    /// Whether the same again may succeed later.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.remedy() == Remedy::Retry
    }

    pub(super) fn is_network(&self) -> bool {
        matches!(self, Self::Network)
    }

    pub(super) fn remedy(&self) -> Remedy {
        let (status, code) = match self {
            Self::Network => return Remedy::Retry,
            Self::Unreadable => return Remedy::GiveUp,
            Self::Edge(refusal) => (refusal.status, refusal.code),
        };
        match code {
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
    fn retry_after_wins_but_not_for_ever() {
        assert_eq!(backoff_ms(1, Some(7000), 0.5), 7000);
        assert_eq!(backoff_ms(8, Some(0), 1.0), 0);
        assert_eq!(backoff_ms(1, Some(u32::MAX), 0.5), RETRY_AFTER_MAX_MS);
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
            (413, Remedy::GiveUp),
        ] {
            let failure = Failure::Edge(Box::new(Refusal {
                status,
                ..Refusal::default()
            }));
            assert_eq!(failure.remedy(), remedy, "{status}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_of_our_own_is_never_nothing_and_none_is_over_two_minutes(
            attempt: u32, after: Option<u32>, random in proptest::num::f64::ANY,
        ) {
            prop_assert!(backoff_ms(attempt, after, random) <= RETRY_AFTER_MAX_MS);
            prop_assert!((250..=30_000).contains(&backoff_ms(attempt, None, random)));
        }
    }
}
