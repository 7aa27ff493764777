//! Progress that does not promise what the edge has not said.

/// How far something is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that the edge has said it holds.
    pub done: u64,
    /// Bytes that have left and of which the edge has said nothing yet.
    pub moving: u64,
    /// Bytes in all.
    pub total: u64,
    /// Whether the edge has acknowledged the whole.
    pub finished: bool,
}

impl Progress {
    /// The progress in whole percent, see [`percent`].
    #[must_use]
    pub fn percent(self) -> u8 {
        percent(self.done, self.total, self.finished)
    }

    /// The same with what is on its way, for a second, lighter bar.
    #[must_use]
    pub fn reach(self) -> u8 {
        percent(
            self.done.saturating_add(self.moving).min(self.total),
            self.total,
            self.finished,
        )
    }
}

impl core::iter::Sum for Progress {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        let start = Self {
            finished: true,
            ..Self::default()
        };
        each.fold(start, |sum, one| Self {
            done: sum.done.saturating_add(one.done.min(one.total)),
            moving: sum.moving.saturating_add(one.moving),
            total: sum.total.saturating_add(one.total),
            finished: sum.finished && one.finished,
        })
    }
}

/// Whole percent, rounded down: 100 when `finished`, 99 at most before.
#[must_use]
pub fn percent(done: u64, total: u64, finished: bool) -> u8 {
    if finished {
        return 100;
    }
    // A hundredth of the total first, so that no size overflows; below 100 bytes that is zero.
    let percent = match total / 100 {
        0 => done.saturating_mul(100) / total.max(1),
        hundredth => done / hundredth,
    };
    u8::try_from(percent.min(99)).unwrap_or(99)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn never_100_before_the_edge_has_answered() {
        assert_eq!(percent(10, 10, false), 99);
        assert_eq!(percent(10, 10, true), 100);
        assert_eq!(percent(0, 0, false), 0);
        assert_eq!(percent(5, 10, false), 50);
        assert_eq!(percent(1 << 29, 1 << 30, false), 50);
    }

    #[test]
    fn the_sum_is_finished_when_each_is() {
        let one = Progress {
            done: 4,
            moving: 0,
            total: 4,
            finished: true,
        };
        let two = Progress {
            done: 1,
            moving: 2,
            total: 4,
            finished: false,
        };
        assert_eq!([one, two].into_iter().sum::<Progress>().percent(), 62);
        assert_eq!([one, two].into_iter().sum::<Progress>().reach(), 87);
        assert_eq!([one, one].into_iter().sum::<Progress>().percent(), 100);
    }

    proptest! {
        #[test]
        fn more_done_is_never_less_percent(a: u64, b: u64, total: u64) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(percent(low, total, false) <= percent(high, total, false));
            prop_assert!(percent(high, total, false) <= 99);
        }
    }
}
