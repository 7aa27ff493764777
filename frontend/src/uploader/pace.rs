//! What the network carries: how large the next chunk is, how long a silence is normal, and what
//! the page says about speed and time left.

use super::batch::CONCURRENCY;

/// Smallest chunk, in bytes. Less than this and headers and round trips outweigh the content.
pub const CHUNK_MIN: u64 = 64 * 1024;

/// First chunk, before anything was measured, in bytes: two seconds of 1 Mbit/s.
pub const CHUNK_FIRST: u64 = 256 * 1024;

/// Share of a new measurement in the rate.
const SHARE: f64 = 0.4;

/// Its share when the edge also put a part together, which is not the network's time.
const SHARE_ENDING: f64 = 0.15;

/// Seconds of the network in a chunk that travels alone: nothing fills the line while its answer is
/// waited for, so there are fewer answers.
const ALONE: u64 = 5;

/// Into how many steps of a chunk the ends of chunks are kept apart: a step has to be longer than
/// an answer takes, or all connections wait for answers at once and the line is idle.
const STEPS: u64 = 6;

/// A rate that is assumed while none is known, in bytes per millisecond.
const RATE_ASSUMED: f64 = 16.0;

/// The measured network: what all connections carry together. It is remembered over a cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network {
    /// Bytes per millisecond; 0 before anything was measured.
    rate: f64,
}

impl Network {
    /// Takes in that a request with `bytes` of content was answered after `ms` milliseconds, as one
    /// of `sharing`. `ending`: the answer waited for a part to be stored.
    pub fn measured(&mut self, bytes: u64, ms: f64, sharing: usize, ending: bool) {
        // Less is mostly the round trip.
        if bytes < CHUNK_MIN / 2 {
            return;
        }
        let rate = bytes as f64 * sharing.max(1) as f64 / ms.max(1.0);
        let share = if ending { SHARE_ENDING } else { SHARE };
        self.rate = if self.rate > 0.0 {
            self.rate + share * (rate - self.rate)
        } else {
            rate
        };
    }

    /// Bytes of the next chunk when `rest` of its part are left: about a second's worth. What
    /// would remain as a scrap goes along. `others` is what is left of the chunks under way: the
    /// next one ends neither with them nor shortly before or after.
    #[must_use]
    pub fn chunk(&self, rest: u64, others: &[u64]) -> u64 {
        let second = if self.rate > 0.0 {
            // The cast saturates, and NaN becomes 0.
            ((self.rate * 1_000.0) as u64).max(CHUNK_MIN)
        } else {
            CHUNK_FIRST
        };
        let want = if others.is_empty() {
            second.saturating_mul(ALONE)
        } else {
            second
        };
        let want = if rest <= want.saturating_add(want / 4) {
            rest
        } else {
            want
        };
        let step = want / STEPS;
        let apart = |end: u64| others.iter().all(|&other| other.abs_diff(end) >= step);
        (0..STEPS / 2)
            .map(|steps| want - steps * step)
            .find(|&end| end >= CHUNK_MIN && apart(end))
            .unwrap_or(want)
    }

    /// Whether `len` bytes are at most a second's worth.
    #[must_use]
    pub fn is_fast(&self, len: u64) -> bool {
        self.rate * 1_000.0 >= len as f64
    }

    /// How long nothing may happen to a request with `bytes` of content, all of which have left,
    /// before it counts as dead, in milliseconds: some seconds, and twice what the content takes
    /// beside others.
    #[must_use]
    pub fn patience_ms(&self, bytes: u64) -> f64 {
        let rate = if self.rate > 0.0 {
            self.rate
        } else {
            RATE_ASSUMED
        };
        (6_000.0 + 2.0 * CONCURRENCY as f64 * bytes as f64 / rate).min(45_000.0)
    }
}

/// Speed and time left as they are shown: smoothed, steady enough to be read, and only while bytes move.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    /// When and at how many bytes the last sample was taken.
    last: Option<(f64, u64)>,
    /// None since nothing has moved for [`STILL_MS`], or what moved was in vain.
    measured: Option<Measured>,
}

/// What the samples since bytes began to move have in common.
#[derive(Clone, Copy, Debug)]
struct Measured {
    /// When bytes began to move.
    since: f64,
    /// When they were last seen to.
    until: f64,
    /// Bytes per millisecond.
    rate: f64,
}

/// Time between two samples of the speed, in milliseconds.
const SAMPLE_MS: f64 = 1_000.0;

/// Time after which a sample has lost about two thirds of its weight, in milliseconds.
const MEMORY_MS: f64 = 8_000.0;

/// How long bytes must have moved before a speed is said, in milliseconds: what a connection carries in its first
/// second says nothing of the minutes after it, and a device takes some bytes over a dead connection at once.
const KNOWN_AFTER_MS: f64 = 3_000.0;

/// How long nothing may move before the speed is unknown again, in milliseconds. It would sink on and on, and the
/// time left grow to hours. More than a chunk that travels alone takes ([`ALONE`] seconds, and its answer): where a
/// device takes all of one at once, that is how far apart bytes are seen to move.
const STILL_MS: f64 = 8_000.0;

impl Speed {
    /// Takes in that the network has carried `done` bytes since some moment, see `Batch::carried`.
    pub fn sample(&mut self, now: f64, done: u64) {
        let Some((then, before)) = self.last else {
            self.last = Some((now, done));
            return;
        };
        let ms = now - then;
        if ms < SAMPLE_MS {
            return;
        }
        self.last = Some((now, done));
        let moved = done > before;
        let (since, until, rate) = match self.measured {
            // What moved was in vain, or it stood still, nobody knows for how much of the time.
            _ if done < before || ms >= STILL_MS => return self.measured = None,
            Some(old) if !moved && now - old.until >= STILL_MS => return self.measured = None,
            Some(old) => (old.since, old.until, old.rate),
            None if !moved => return,
            None => (then, then, 0.0),
        };
        // A plain average at first, or the first sample would weigh most for long.
        let share = (ms / (now - since)).max(ms / (ms + MEMORY_MS));
        self.measured = Some(Measured {
            since,
            until: if moved { now } else { until },
            rate: rate + share * ((done - before) as f64 / ms - rate),
        });
    }

    /// Forgets what was measured: a pause, or a jump that the network did not carry.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Bytes per millisecond; `None` when unknown.
    fn rate(&self, now: f64) -> Option<f64> {
        let measured = self.measured.filter(|measured| {
            measured.until - measured.since >= KNOWN_AFTER_MS && now - measured.until < STILL_MS
        })?;
        Some(measured.rate).filter(|&rate| rate > 0.0)
    }

    /// Bytes per second, to two digits, so that it does not flicker; `None` when unknown.
    #[must_use]
    pub fn per_second(&self, now: f64) -> Option<u64> {
        // The cast saturates, and NaN becomes 0.
        let bytes = (self.rate(now)? * 1000.0) as u64;
        (bytes > 0).then(|| {
            let mut step = 1;
            while bytes / step >= 100 {
                step *= 10;
            }
            bytes / step * step
        })
    }

    /// Seconds that `rest` bytes take, in steps that grow with it; `None` when unknown.
    #[must_use]
    pub fn seconds_left(&self, now: f64, rest: u64) -> Option<u32> {
        let seconds = rest as f64 / self.rate(now)? / 1000.0;
        if seconds > 864_000.0 {
            return None;
        }
        // The cast is of a number below a million.
        let seconds = seconds as u32;
        let step = match seconds {
            0..60 => 5,
            60..3600 => 60,
            _ => 3600,
        };
        Some(seconds.div_ceil(step).max(1) * step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PART: u64 = 8 << 20;

    #[test]
    fn chunks_follow_the_network_within_a_few_answers() {
        for (bytes_per_ms, chunk) in [(10.0, CHUNK_MIN), (250.0, 250_000), (2_500.0, 2_500_000)] {
            let mut network = Network::default();
            for _ in 0..12 {
                let bytes = network.chunk(PART, &[PART]);
                network.measured(bytes, bytes as f64 * 3.0 / bytes_per_ms, 3, false);
            }
            let got = network.chunk(PART, &[PART]);
            assert!(got.abs_diff(chunk) * 10 < chunk, "{bytes_per_ms}: {got}");
            assert!(!network.is_fast(PART));
        }
        let mut network = Network::default();
        network.measured(PART, 400.0, 1, false);
        assert!(network.is_fast(PART));
    }

    #[test]
    fn chunks_that_begin_together_do_not_end_together() {
        for rate in [250.0, 2_500.0, 25_000.0] {
            let network = Network { rate };
            let mut others: Vec<u64> = Vec::new();
            for _ in 0..3 {
                let next = network.chunk(PART, &others);
                let step = next / 10;
                assert!(
                    others.iter().all(|other| other.abs_diff(next) > step),
                    "{others:?} {next}"
                );
                others.push(next);
            }
        }
    }

    #[test]
    fn speed_is_steady_and_time_left_comes_in_steps() {
        let mut speed = Speed::default();
        assert_eq!(speed.seconds_left(0.0, 1), None);
        let mut said = Vec::new();
        for second in 0_u32..30 {
            let now = f64::from(second) * 1000.0;
            // Answers come in bursts: 0, 2 or 4 MB in a second.
            let done = u64::from(second / 2 * 2) * 2_000_000;
            speed.sample(now, done);
            if second > 10 {
                said.extend(speed.seconds_left(now, 100_000_000));
            }
        }
        assert!(said.iter().all(|&s| (40..=60).contains(&s)), "{said:?}");
        let rate = speed.per_second(29_000.0).expect("a speed");
        assert!((1_600_000..2_400_000).contains(&rate), "{rate}");
    }

    /// Samples at these seconds, and the seconds left that are said after each.
    fn said(samples: &[(u32, u64)]) -> Vec<Option<u32>> {
        let mut speed = Speed::default();
        let mut at = |&(second, done): &(u32, u64)| {
            let now = f64::from(second) * 1000.0;
            speed.sample(now, done);
            speed.seconds_left(now, 100_000_000)
        };
        samples.iter().map(&mut at).collect()
    }

    #[test]
    fn a_speed_is_said_after_seconds_of_moving_bytes_and_not_when_they_stand_still() {
        // A slow start: nothing, then some kilobytes, then 2 MB in a second.
        let start = [(0, 0), (1, 0), (2, 0), (3, 4_000), (4, 2_000_000)];
        assert_eq!(said(&start), [None; 5]);
        let went = [&start[..], &[(5, 4_000_000)]].concat();
        let left = said(&went)[5].expect("a time left");
        assert!((50..=120).contains(&left), "{left}");
        let stood = [(12, 4_000_000), (13, 4_000_000)];
        let all = said(&[&went[..], &stood].concat());
        assert!(all[6].is_some());
        assert_eq!(all[7], None, "nothing has moved for 8 s");
    }

    #[test]
    fn a_speed_is_not_said_of_the_time_before_bytes_stood_still() {
        // Nobody looked meanwhile, as when nothing happens.
        let went = (0..10).map(|second| (second, u64::from(second) * 1_000_000));
        let after = [(40, 9_100_000), (41, 9_200_000), (42, 9_300_000)];
        let all = said(&went.chain(after).collect::<Vec<_>>());
        assert!(all[9].is_some());
        assert_eq!(all[10..], [None; 3]);
        let mut speed = Speed::default();
        for second in 0_u32..10 {
            let now = f64::from(second) * 1000.0;
            speed.sample(now, u64::from(second) * 1_000_000);
        }
        assert!(speed.per_second(9_500.0).is_some());
        assert_eq!(speed.per_second(17_000.0), None, "without another sample");
    }

    #[test]
    fn a_speed_stays_while_a_device_takes_whole_chunks_at_once() {
        // A chunk of 5 s, and its answer.
        let chunks = (0..60).map(|second| (second, u64::from(second) / 6 * 1_250_000));
        let said = said(&chunks.collect::<Vec<_>>());
        assert!(said[13..].iter().all(Option::is_some), "{said:?}");
    }

    /// What a device takes over a dead connection, or sends before it is reset, and gives up with the request.
    #[test]
    fn what_moves_in_vain_is_no_speed() {
        for every in [2, 4, 9, 12] {
            let moves = |second: u32| 5_000_000 + u64::from((second % every).min(2)) * 64_000;
            let samples: Vec<_> = (0..60).map(|second| (second, moves(second))).collect();
            assert_eq!(said(&samples), [None; 60], "{every}");
        }
    }

    proptest! {
        #[test]
        fn a_chunk_is_never_more_than_the_rest_nor_without_need_small(
            rest in 1_u64..1 << 33, bytes in 0_u64..1 << 30, ms in 0.0..1e7,
            others in prop::collection::vec(0_u64..1 << 24, 0..3),
        ) {
            let mut network = Network::default();
            network.measured(bytes, ms, 1, false);
            let chunk = network.chunk(rest, &others);
            prop_assert!(chunk >= rest.min(CHUNK_MIN) && chunk <= rest);
            let patience = network.patience_ms(chunk);
            prop_assert!((6_000.0..=45_000.0).contains(&patience));
        }
    }
}
