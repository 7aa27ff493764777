//! The machine on a network that has a rate and a delay, that is cut and comes back: how long an
//! upload takes beside what its bytes take, and what a cut costs.
//!
//! All requests share one rate. Bytes arrive half a round trip after they were sent, and the answer
//! comes half a round trip, and the edge's own time, after the last one. A request that is the
//! first on its connection costs a round trip more. At a cut all requests fail at once, and new
//! ones fail until the network is back; what arrived before counts. Times are those of the
//! simulation, so the figures are the same on every machine.

use super::*;

/// What a network is like; times in milliseconds, rates in bytes per millisecond.
#[derive(Clone, Copy, Debug)]
struct Line {
    rate: f64,
    round_trip: f64,
}

/// 2, 20 and 200 Mbit/s. Who has 200 is near.
const LINES: [(u32, Line); 3] = [
    (
        2,
        Line {
            rate: 250.0,
            round_trip: 100.0,
        },
    ),
    (
        20,
        Line {
            rate: 2_500.0,
            round_trip: 100.0,
        },
    ),
    (
        200,
        Line {
            rate: 25_000.0,
            round_trip: 20.0,
        },
    ),
];

/// Time that the edge takes for an answer.
const EDGE_MS: f64 = 10.0;

/// Time that the edge takes to make a part, or a file, of what it holds, for each.
const STORE_MS: f64 = 60.0;

/// Bytes that a phone digests in a millisecond.
const DIGEST_RATE: f64 = 60_000.0;

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Content is on its way: bytes that have not left, of those that there are.
    Leaving { left: f64, all: f64 },
    /// All that remains is time.
    Until(f64),
}

struct Request {
    run: u32,
    job: Job,
    begun: f64,
    stage: Stage,
}

/// What came of an upload.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Milliseconds from the start.
    took: f64,
    /// Milliseconds from the network's return.
    after: f64,
    /// Bytes that had not arrived at the cut.
    missing: u64,
    /// Bytes that left beyond the file's size.
    again: f64,
    requests: u32,
}

/// Sends a file; `cut` is when the network goes, by the share of the file that has arrived, and for
/// how long.
fn play(size: u64, line: Line, cut: Option<(f64, f64)>, random: f64) -> Outcome {
    let (mut batch, mut edge) = (Batch::default(), Edge::default());
    batch.start(1, size, CHUNK_FIRST, true);
    let (mut now, mut sent, mut requests) = (0.0_f64, 0.0, 0);
    let mut under_way: Vec<Request> = Vec::new();
    let mut cut = cut.map(|(share, lasts)| (share * size as f64, lasts));
    let (mut back, mut missing, mut probe) = (f64::NEG_INFINITY, size, None::<f64>);
    let mut fresh = CONCURRENCY;
    loop {
        let away = now < back;
        while let Some((_, run, job)) = batch.next(now) {
            let connect = if fresh > 0 && !matches!(job, Job::Digest(_)) {
                fresh -= 1;
                line.round_trip
            } else {
                0.0
            };
            let stage = match job {
                Job::Digest(n) => {
                    let len = PART.min(size - (u64::from(n) - 1) * PART);
                    Stage::Until(now + len as f64 / DIGEST_RATE)
                }
                // The connection is refused.
                _ if away => Stage::Until(now + 1.0),
                Job::Send(chunk) => {
                    let all = (chunk.to - chunk.from) as f64;
                    // Connecting takes as long as these bytes would, of a third of the line.
                    sent -= connect * line.rate / 3.0;
                    Stage::Leaving {
                        left: all + connect * line.rate / 3.0,
                        all,
                    }
                }
                Job::Whole => Stage::Leaving {
                    left: size as f64,
                    all: size as f64,
                },
                Job::Announce => Stage::Until(now + connect + line.round_trip + EDGE_MS),
                Job::Complete | Job::Cancel => Stage::Until(now + line.round_trip + STORE_MS),
            };
            requests += u32::from(!matches!(job, Job::Digest(_)));
            under_way.push(Request {
                run,
                job,
                begun: now,
                stage,
            });
        }
        if !batch.is_live() {
            break;
        }
        // As the page does: asked for only while a file waits for the network.
        probe = match batch.cut_ms(now) {
            Some(ms) => probe.or(Some(now + probe_ms(ms, random))),
            None => None,
        };
        let leaving = under_way
            .iter()
            .filter(|r| matches!(r.stage, Stage::Leaving { .. }))
            .count();
        let each = line.rate / leaving.max(1) as f64;
        let mut next = batch
            .wakes_at(now)
            .unwrap_or(f64::INFINITY)
            .min(probe.unwrap_or(f64::INFINITY));
        for request in &under_way {
            next = next.min(match request.stage {
                Stage::Leaving { left, .. } => now + left / each,
                Stage::Until(at) => at,
            });
        }
        if let Some((at, _)) = cut {
            let left = at - sent;
            if leaving > 0 {
                next = next.min(now + (left / line.rate).max(0.0));
            }
        }
        assert!(next.is_finite(), "nothing will ever happen");
        let ms = next.max(now) - now;
        now += ms;
        for request in &mut under_way {
            if let Stage::Leaving { left, all } = &mut request.stage {
                *left = (*left - each * ms).max(0.0);
                sent += each * ms;
                let bytes = (*all - *left).max(0.0) as u64;
                batch.on(
                    1,
                    request.run,
                    Event::Loaded {
                        job: request.job,
                        bytes,
                    },
                    now,
                    true,
                    0.5,
                );
            }
        }
        if let Some((at, lasts)) = cut
            && sent >= at - 0.5
        {
            cut = None;
            back = now + lasts;
            fresh = CONCURRENCY;
            for request in std::mem::take(&mut under_way) {
                let Request {
                    run, job, stage, ..
                } = request;
                if matches!(job, Job::Digest(_)) {
                    under_way.push(request);
                    continue;
                }
                if let (Job::Send(chunk), Stage::Leaving { left, all }) = (job, stage) {
                    // What was in the air is lost.
                    let air = line.round_trip / 2.0 * each;
                    let arrived = (all - left - air).max(0.0) as u64;
                    edge.take(1, size, chunk, arrived.min(chunk.to - chunk.from));
                } else if let Job::Send(chunk) = job {
                    edge.take(1, size, chunk, chunk.to - chunk.from);
                }
                batch.on(1, run, Event::Failed(job, Failure::Network), now, true, 0.5);
            }
            missing = size - edge.carried;
            continue;
        }
        if probe.is_some_and(|at| at <= now) {
            probe = None;
            if now >= back {
                // Connect, ask, hear.
                probe = Some(f64::INFINITY);
                now += 2.0 * line.round_trip + EDGE_MS;
                batch.wake(Wake::Probe, now);
                fresh = CONCURRENCY - 1;
                continue;
            }
        }
        let mut at = 0;
        while at < under_way.len() {
            let request = &mut under_way[at];
            match request.stage {
                Stage::Leaving { left, .. } if left <= 0.5 => {
                    let mut wait = line.round_trip + EDGE_MS;
                    if let Job::Send(chunk) = request.job {
                        let len = PART.min(size - (u64::from(chunk.n) - 1) * PART);
                        wait += if chunk.to == len { STORE_MS } else { 0.0 };
                    }
                    request.stage = Stage::Until(now + wait);
                    at += 1;
                }
                Stage::Until(until) if until <= now + 1e-6 => {
                    let Request {
                        run, job, begun, ..
                    } = under_way.remove(at);
                    let refused =
                        !matches!(job, Job::Digest(_)) && begun < back && until - begun < 2.0;
                    let event = if refused {
                        Event::Failed(job, Failure::Network)
                    } else {
                        edge.answer(1, size, job)
                    };
                    batch.on(1, run, event, now, true, 0.5);
                }
                _ => at += 1,
            }
        }
    }
    assert_eq!(state(&batch), State::Stored);
    Outcome {
        took: now,
        after: now - back,
        missing,
        again: (sent - size as f64).max(0.0),
        requests,
    }
}

#[test]
fn a_large_file_takes_hardly_longer_than_its_bytes() {
    let line = LINES[1].1;
    let size = 40_000_000;
    let outcome = play(size, line, None, 0.5);
    let ratio = outcome.took / (size as f64 / line.rate);
    println!(
        "40 MB at 20 Mbit/s: {ratio:.3} x its bytes, {} requests",
        outcome.requests
    );
    assert!(ratio < 1.05, "{outcome:?}");
}

#[test]
fn after_a_cut_little_is_lost_but_the_cut() {
    println!("Mbit/s  cut at   x ideal  again, s  again, % of 100 MiB");
    for (mbit, line) in LINES {
        let size = if mbit == 2 { 10_000_000 } else { 100 * MIB };
        for share in [0.2, 0.37, 0.5, 0.63, 0.8] {
            for (lasts, random) in [
                (5_000.0, 0.0),
                (5_000.0, 0.99),
                (300.0, 0.5),
                (60_000.0, 0.5),
            ] {
                let outcome = play(size, line, Some((share, lasts)), random);
                let ideal = outcome.missing as f64 / line.rate;
                let ratio = outcome.after / ideal;
                let seconds = outcome.again / line.rate / 1_000.0;
                let percent = outcome.again / (100 * MIB) as f64 * 100.0;
                println!(
                    "{mbit:>6} {:>6.0}% {ratio:>9.3} {seconds:>9.3} {percent:>9.3}   after {} s",
                    share * 100.0,
                    lasts / 1_000.0
                );
                // Noticed late by a part of the cut; connect, ask, announce, connect, the last
                // answer, complete; and a fiftieth for the answers in between.
                let noticed = 1.5 * (lasts / 20.0_f64).clamp(250.0, 5_000.0);
                let fixed = noticed + 6.0 * line.round_trip + 2.0 * STORE_MS + 3.0 * EDGE_MS;
                assert!(outcome.after < 1.02 * ideal + fixed, "{outcome:?} {ratio}");
                if ideal > 10_000.0 && lasts < 10_000.0 {
                    assert!(ratio < 1.1, "{outcome:?} {ratio}");
                }
                assert!(seconds < 1.0 && percent < 1.0, "{outcome:?}");
            }
        }
    }
}
