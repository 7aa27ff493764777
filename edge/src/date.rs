//! Dates as HTTP writes them (RFC 9110 section 5.6.7).

use core::time::Duration;
use std::time::UNIX_EPOCH;

use chatlift_shared::Timestamp;

/// The moment that a date says, to the second; `None` for what is no date.
#[must_use]
pub fn parse(text: &str) -> Option<Timestamp> {
    let at = httpdate::parse_http_date(text.trim()).ok()?;
    let since = at.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs())
        .ok()
        .map(Timestamp::from_secs)
}

/// The date of a moment. One of before 1970 is written as its beginning.
#[must_use]
pub fn format(at: Timestamp) -> String {
    let since = Duration::from_secs(u64::try_from(at.secs()).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_they_are_written() {
        for (secs, text) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        ] {
            let at = Timestamp::from_secs(secs);
            assert_eq!(format(at), text);
            assert_eq!(parse(text), Some(at));
        }
        assert_eq!(parse("yesterday"), None);
    }
}
