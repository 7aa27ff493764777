//! When an event is tried again: Standard Webhooks, at least once, backing off from seconds to
//! hours for three days, then parked.

use core::time::Duration;

use chatlift_shared::Timestamp;
use chatlift_shared::limits::{LINK_FILES_MAX, WITHDRAWN_MAX};

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

/// Longest wait that a backend's `Retry-After` is followed to: as long as the longest delay, so
/// that none is forgotten for days over a wrong number.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// How often an event looks whether its disabled endpoint is enabled again.
const HELD: Duration = Duration::from_secs(30 * 60);

/// Most events that a link has. None is refused for it: each is of a file that was stored or deleted, of the
/// link's last file, which can be withdrawn and come again, or of the link's end, and all of these are limited.
pub const EVENTS_MAX: u32 = 2 * (LINK_FILES_MAX + WITHDRAWN_MAX) + (WITHDRAWN_MAX + 1) + 1;

/// How long an event is tried before it is parked.
pub const TRY_FOR: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// When to try again after `attempts` failed tries (1 or more) of a round that began at
/// `round_at`; `None` when the time for trying is over.
///
/// `jitter` shortens a delay by up to a quarter, so that links that failed together do not come
/// back together. The very last try falls on the end of [`TRY_FOR`].
///
/// `retry_after` is what the backend asked for, in seconds: it is waited for at least that long,
/// [`RETRY_AFTER_MAX`] at most.
#[must_use]
pub fn next_attempt(
    attempts: u32,
    round_at: Timestamp,
    now: Timestamp,
    jitter: u16,
    retry_after: Option<u64>,
) -> Option<Timestamp> {
    let end = round_at.plus(TRY_FOR);
    if now >= end {
        return None;
    }
    let delay = delay(attempts);
    let asked = Duration::from_secs(retry_after.unwrap_or(0)).min(RETRY_AFTER_MAX);
    Some(now.plus(shorten(delay, jitter).max(asked)).min(end))
}

/// When to look again at a disabled endpoint; `None` when the time for trying is over.
#[must_use]
pub fn held_until(round_at: Timestamp, now: Timestamp, jitter: u16) -> Option<Timestamp> {
    let end = round_at.plus(TRY_FOR);
    (now < end).then(|| now.plus(shorten(HELD, jitter)).min(end))
}

/// When to tell the list again after `attempts` failed tries (1 or more). There is no end to it:
/// the list is ours.
#[must_use]
pub fn list_again(attempts: u32, now: Timestamp, jitter: u16) -> Timestamp {
    now.plus(shorten(delay(attempts), jitter))
}

fn delay(attempts: u32) -> Duration {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    DELAYS[index.min(DELAYS.len() - 1)]
}

fn shorten(delay: Duration, jitter: u16) -> Duration {
    delay - delay / 4 * u32::from(jitter) / u32::from(u16::MAX)
}

/// The seconds in a `Retry-After` header (RFC 9110 section 10.2.3), which is a number or a date;
/// `None` for what is neither, or has passed.
#[must_use]
pub fn retry_after(header: &str, now: Timestamp) -> Option<u64> {
    let text = header.trim();
    if let Ok(secs) = text.parse() {
        return Some(secs);
    }
    let at = crate::date::parse(text)?;
    Some(now.until(at).as_secs()).filter(|secs| *secs > 0)
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
        while let Some(next) = next_attempt(tries, START, now, 0, None) {
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

    #[test]
    fn a_backend_that_says_when_is_asked_then_and_not_before() {
        let next = |secs| next_attempt(1, START, START, 0, Some(secs));
        assert_eq!(next(120), Some(START.plus(Duration::from_secs(120))));
        // The own delay is the least, and the longest delay the most.
        assert_eq!(next(1), Some(START.plus(Duration::from_secs(5))));
        assert_eq!(next(u64::MAX), Some(START.plus(RETRY_AFTER_MAX)));
        let date = "Sat, 21 Nov 2026 09:06:50 GMT";
        assert_eq!(
            retry_after(date, Timestamp::from_secs(1_795_252_000)),
            Some(10)
        );
        for (header, secs) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(header, START), secs, "{header}");
        }
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:00:00 GMT", START), None);
    }

    #[test]
    fn a_held_event_looks_again_until_its_time_is_over() {
        let (mut now, mut looks) = (START, 0);
        while let Some(next) = held_until(START, now, 0) {
            now = next;
            looks += 1;
        }
        assert_eq!((now, looks), (START.plus(TRY_FOR), 144));
    }

    proptest! {
        #[test]
        fn tries_always_move_forward_and_end(attempts in 1_u32..100, offset in 0_u64..300_000, jitter: u16) {
            let now = START.plus(Duration::from_secs(offset));
            match next_attempt(attempts, START, now, jitter, None) {
                Some(next) => prop_assert!(next > now && next <= START.plus(TRY_FOR)),
                None => prop_assert!(now >= START.plus(TRY_FOR)),
            }
        }
    }
}
