//! Moments in UTC, written as RFC 3339 in every API.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in UTC, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Its text and JSON form is RFC 3339 with milliseconds, such as `2026-11-24T22:37:21.500Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The last millisecond of the year 9999, the end of RFC 3339.
const MAX_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// From milliseconds since the epoch, held within the years 1970 to 9999.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(if ms < 0 {
            0
        } else if ms > MAX_MS {
            MAX_MS
        } else {
            ms
        })
    }

    /// From seconds since the epoch, held within the years 1970 to 9999.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and `after` more; the end of year 9999 at most.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        let ms = i64::try_from(after.as_millis()).unwrap_or(MAX_MS);
        Self::from_millis(self.0.saturating_add(ms))
    }

    /// How long it is from this moment until `later`; zero if that has passed.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .map_err(|_| fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        )
    }
}

/// The text is no RFC 3339 date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time")]
pub struct NotATimestamp;

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotATimestamp)?;
        i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000))
            .ok()
            .filter(|ms| (0..=MAX_MS).contains(ms))
            .map(Self)
            .ok_or(NotATimestamp)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_form_is_rfc_3339_in_utc_with_milliseconds() {
        assert_eq!(
            Timestamp::from_millis(1_795_732_641_500).to_string(),
            "2026-11-26T22:37:21.500Z"
        );
    }

    #[test]
    fn another_offset_is_read_as_the_same_moment() {
        let east: Timestamp = "2026-11-27T06:37:21.5+08:00".parse().expect("RFC 3339");
        assert_eq!(east, Timestamp::from_millis(1_795_732_641_500));
    }

    proptest! {
        #[test]
        fn every_moment_survives_its_text_form(ms in 0..=MAX_MS) {
            let at = Timestamp::from_millis(ms);
            prop_assert_eq!(at.to_string().parse(), Ok(at));
        }
    }
}
