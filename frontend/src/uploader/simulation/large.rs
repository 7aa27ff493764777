//! Files beyond 4 GiB, where 32 bits end: every offset, length and count is that of the file.

use chatlift_shared::limits::{FILE_SIZE_MAX, part_size};
use proptest::prelude::*;

use super::*;

const GIB: u64 = 1024 * MIB;

/// Bytes that the network carries in a millisecond.
const RATE: f64 = 10_000.0;

/// Sends a file by an edge that has no faults, and checks what is shown at each answer. Returns
/// the stretches of the file that left, in its order.
fn stretches(size: u64) -> Vec<(u64, u64)> {
    let (mut batch, mut edge) = (Batch::default(), Edge::default());
    batch.start(1, size, CHUNK_FIRST, true);
    let (mut now, mut sent) = (0.0, Vec::new());
    while let Some((key, run, job)) = batch.next(now) {
        if let Job::Send(chunk) = job {
            let (start, end) = batch
                .get(key)
                .and_then(|known| known.1.range(chunk.n))
                .expect("a part");
            assert_eq!(start, (u64::from(chunk.n) - 1) * PART);
            assert!(start + chunk.to <= end && end <= size, "{chunk:?}");
            sent.push((start + chunk.from, start + chunk.to));
            now += (chunk.to - chunk.from) as f64 / RATE;
        }
        let event = edge.answer(key, size, job);
        batch.on(key, run, event, now, true, 0.5);
        let progress = batch.progress();
        assert_eq!((progress.done, progress.total), (edge.carried, size));
        assert_eq!(
            u64::from(progress.percent()),
            match state(&batch) {
                State::Stored => 100,
                _ => (edge.carried / (size / 100)).min(99),
            }
        );
    }
    assert_eq!(state(&batch), State::Stored);
    sent.sort_unstable();
    sent
}

#[test]
fn each_byte_leaves_once_and_the_progress_is_what_arrived() {
    for size in [4 * GIB - 1, 4 * GIB, 4 * GIB + 1, 9 * GIB + 7] {
        let mut end = 0;
        for (from, to) in stretches(size) {
            assert_eq!(from, end, "of {size}");
            end = to;
        }
        assert_eq!(end, size);
    }
}

#[test]
fn what_was_cut_beyond_4_gib_goes_on_where_the_edge_says() {
    let size = 5 * GIB;
    let mut edge = Edge::default();
    let last = u16::try_from(size / PART).expect("few parts");
    for n in 1..last {
        edge.parts.insert(n, digest(1, n));
    }
    edge.staged.insert(last, PART / 2);
    let mut batch = one(size);
    let jobs = run(&mut batch, &mut edge, size);
    let chunks = jobs.iter().filter_map(|job| match job {
        Job::Send(chunk) => Some((chunk.n, chunk.from)),
        _ => None,
    });
    assert_eq!(chunks.take(1).collect::<Vec<_>>(), [(last, PART / 2)]);
    assert_eq!((state(&batch), edge.carried), (State::Stored, PART / 2));
}

proptest! {
    /// Up to the largest file that there is: as many parts as R2 takes, each as large as a request.
    #[test]
    fn parts_lie_side_by_side(size in 4 * GIB..=FILE_SIZE_MAX) {
        let transfer = Transfer::new(size, CHUNK_FIRST, true);
        let mut end = 0;
        for n in 1.. {
            let Some((start, to)) = transfer.range(n) else { break };
            prop_assert_eq!(start, end);
            prop_assert!(to - start == part_size(size) || to == size);
            end = to;
        }
        prop_assert_eq!(end, size);
        // What a browser is asked for, as it counts: a number that is exact up to 2^53.
        prop_assert_eq!(size as f64 as u64, size);
    }
}
