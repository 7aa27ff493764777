//! When a failed step is tried again. Pure: the randomness is an argument.

use std::time::Duration;

/// First wait.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Longest wait for trouble of our own to be over.
const PAUSE: Duration = Duration::from_secs(30);

/// Failed tries of one step after which it is given up.
///
/// The waits double from 1 s and reach the hour at the 13th. Halved at worst by the jitter, 96 of
/// an hour are 48 h: an edge that is down for two days loses nothing. On average it is three days.
pub(crate) const ATTEMPTS_MAX: u32 = 108;

/// Times that a converter is killed by another than us, such as a system without memory, after which
/// the file is taken for the reason: with the waits in between half an hour.
pub(crate) const KILLED_MAX: u32 = 12;

/// How long a file waits for trouble of our own, which may be over at any moment: half of it fixed
/// and half drawn at random.
pub(crate) fn pause(random: [u8; 2]) -> Duration {
    jittered(PAUSE, random)
}

fn jittered(full: Duration, random: [u8; 2]) -> Duration {
    let share = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
    full.mul_f64(0.5 + share / 2.0)
}

/// How long to wait after failed try `attempt` (from 1): half of it fixed and half drawn at
/// random, so that what failed together does not come back together.
pub(crate) fn delay(attempt: u32, random: [u8; 2]) -> Duration {
    let doubled = 1_u32
        .checked_shl(attempt.saturating_sub(1))
        .unwrap_or(u32::MAX);
    let full = FIRST.saturating_mul(doubled).min(LONGEST);
    jittered(full, random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn giving_up_takes_two_days_at_least() {
        let shortest: Duration = (1..ATTEMPTS_MAX).map(|n| delay(n, [0, 0])).sum();
        assert!(shortest >= Duration::from_secs(47 * 3600), "{shortest:?}");
        let longest: Duration = (1..ATTEMPTS_MAX).map(|n| delay(n, [255, 255])).sum();
        assert!(longest <= Duration::from_secs(100 * 3600), "{longest:?}");
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(attempt: u32, random: [u8; 2]) {
            let wait = delay(attempt, random);
            prop_assert!(wait >= FIRST / 2 && wait <= LONGEST);
            prop_assert!(pause(random) >= PAUSE / 2 && pause(random) <= PAUSE);
        }
    }
}
