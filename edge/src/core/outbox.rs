//! When an event is tried again: Standard Webhooks, at least once, backing off from seconds to
//! hours for three days, then parked.

use core::time::Duration;

use chatlift_shared::Timestamp;

/// Delays after the first, second ... failed try. The last one repeats.
const DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(4 * 60 * 60),
    Duration::from_secs(6 * 60 * 60),
];

/// How long an event is tried before it is parked.
pub const TRY_FOR: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// When to try again after `attempts` failed tries (1 or more) of a round that began at
/// `round_at`; `None` when the time for trying is over.
///
/// `jitter` shortens a delay by up to a quarter, so that links that failed together do not come
/// back together. The very last try falls on the end of [`TRY_FOR`].
#[must_use]
pub fn next_attempt(
    attempts: u32,
    round_at: Timestamp,
    now: Timestamp,
    jitter: u16,
) -> Option<Timestamp> {
    let end = round_at.plus(TRY_FOR);
    if now >= end {
        return None;
    }
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let delay = DELAYS[index.min(DELAYS.len() - 1)];
    let cut = delay / 4 * u32::from(jitter) / u32::from(u16::MAX);
    Some(now.plus(delay - cut).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn a_backend_that_is_down_for_two_days_is_tried_after_it() {
        let mut now = START;
        let mut tries = 1;
        let mut after_two_days = 0;
        while let Some(next) = next_attempt(tries, START, now, 0) {
            now = next;
            tries += 1;
            if START.until(now) > Duration::from_secs(2 * 86_400) {
                after_two_days += 1;
            }
        }
        assert!(after_two_days >= 4, "{after_two_days}");
        assert_eq!(now, START.plus(TRY_FOR), "the last try is at the end");
        assert!((15..40).contains(&tries), "{tries}");
    }

    proptest! {
        #[test]
        fn tries_always_move_forward_and_end(attempts in 1_u32..100, offset in 0_u64..300_000, jitter: u16) {
            let now = START.plus(Duration::from_secs(offset));
            match next_attempt(attempts, START, now, jitter) {
                Some(next) => prop_assert!(next > now && next <= START.plus(TRY_FOR)),
                None => prop_assert!(now >= START.plus(TRY_FOR)),
            }
        }
    }
}
