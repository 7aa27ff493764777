//! The congestion window of a TCP connection on a line that loses segments, as RFC 5681 has it: slow start, one
//! segment more in each round trip after that, and half of it after a loss, which costs a round trip (fast
//! retransmit). Losses come segment by segment, each drawn by itself from a seed.

/// Segments of TCP, in bytes, as on Ethernet with timestamps. On loopback they have 64 KiB, and the ten that
/// may be on their way at first (RFC 6928) have Linux take 2.5 MB from whoever sends.
pub(crate) const SEGMENT: u32 = 1448;
const BYTES: u64 = SEGMENT as u64;

/// Segments that may be on their way at first (RFC 6928).
const FIRST: u64 = 10;

#[derive(Debug)]
pub(crate) struct Window {
    /// Bytes that may be on their way, there and back.
    size: u64,
    /// From here on it grows by a segment in each round trip.
    threshold: u64,
    random: u64,
}

impl Window {
    /// A new connection's.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            size: FIRST * BYTES,
            threshold: u64::MAX,
            // Never zero, which xorshift stays at.
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// Bytes that may be on their way, there and back.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Takes down that so many bytes were sent, of whose segments so many of a thousand are lost; answers whether one
    /// of them was.
    pub(crate) fn send(&mut self, bytes: u64, lost_of_1000: u64) -> bool {
        let segments = bytes.div_ceil(BYTES);
        let lost = (0..segments).fold(false, |lost, _| (self.draw() % 1000 < lost_of_1000) | lost);
        if lost {
            self.threshold = (self.size / 2).max(2 * BYTES);
            self.size = self.threshold;
        } else if self.size < self.threshold {
            self.size += bytes;
        } else {
            self.size += BYTES * bytes / self.size;
        }
        lost
    }

    /// xorshift64 (Marsaglia 2003).
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_until_a_loss_and_then_grows_by_a_segment_in_each_round_trip() {
        let mut window = Window::new(1);
        for doubled in [20, 40, 80] {
            assert!(!window.send(window.size(), 0));
            assert_eq!(window.size(), doubled * BYTES);
        }
        assert!(window.send(BYTES, 1000));
        assert_eq!(window.size(), 40 * BYTES);
        for _ in 0..40 {
            window.send(BYTES, 0);
        }
        let grown = window.size() / BYTES;
        assert!((40..=41).contains(&grown), "{grown}");
    }

    #[test]
    fn one_of_a_hundred_segments_is_lost_and_leaves_the_window_that_is_known_for_it() {
        let mut window = Window::new(7);
        let (mut lost, mut sum) = (0, 0);
        let segments = 100_000;
        for _ in 0..segments {
            lost += u64::from(window.send(BYTES, 10));
            sum += window.size();
        }
        assert!((800..1200).contains(&lost), "{lost}");
        // 1.22 segments over the root of the loss, counted by round trips (Mathis et al. 1997); each segment counts
        // here, and the larger a window the more there are.
        let mean = sum / segments / BYTES;
        assert!((9..=18).contains(&mean), "{mean}");
    }

    #[test]
    fn what_loses_everything_goes_on_with_two_segments() {
        let mut window = Window::new(3);
        for _ in 0..50 {
            assert!(window.send(BYTES, 1000));
        }
        assert_eq!(window.size(), 2 * BYTES);
    }
}
