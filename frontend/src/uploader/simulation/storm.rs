//! An edge, or what is on the way to it, that behaves in any way for any time: what a page asks and
//! sends stays bounded, and a file that can be taken in the end is taken.
//!
//! Faults have no number here, as they have in `faults`: each request suffers one by chance, until a
//! moment that may never come. What costs bytes that were acknowledged already has one: an edge that
//! forgets what it has is believed a few times, or the bytes of a file would be sent without end.

use proptest::prelude::*;

use super::outage::Dice;
use super::*;

/// Bytes that the network carries in a millisecond: 20 Mbit/s.
const RATE: f64 = 2_500.0;

/// From a request to its answer, beside what its bytes take, in milliseconds.
const ROUND_TRIP_MS: f64 = 50.0;

/// Requests in any minute that bring nothing, at most: while waits are kept, and while a device or a
/// person cuts each short as soon as that is allowed, once in a second. A try is a question and a chunk on
/// each of three connections.
const REQUESTS_IN_VAIN: (usize, usize) = (120, 240);

/// Bytes sent for each byte that the edge came to hold, at most, beside a first chunk for each request.
const BYTES_PER_BYTE: f64 = 6.0;

/// What may come of a request.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is cut on its way, and the edge keeps what arrived.
    Cut,
    /// It is cut on its way, and nothing arrives.
    Lost,
    /// The edge does it, and the answer is lost.
    AnswerLost,
    /// It is answered so, with so many seconds of `Retry-After`, by the edge or by something before it.
    Answer(u16, Option<ProblemCode>, Option<u32>),
    /// Nothing but a body of more than so many bytes is refused, by a proxy.
    BodiesUpTo(u64),
}

fn fault() -> impl Strategy<Value = Fault> {
    let after = prop::option::of(0..30_u32);
    prop_oneof![
        Just(Fault::Cut),
        Just(Fault::Lost),
        Just(Fault::AnswerLost),
        (
            prop::sample::select(vec![400, 403, 404, 408, 429, 500, 502, 503, 504, 522]),
            after.clone()
        )
            .prop_map(|(status, after)| Fault::Answer(status, None, after)),
        (
            prop::sample::select(vec![
                ProblemCode::StorageUnavailable,
                ProblemCode::RateLimited,
                ProblemCode::Internal,
                ProblemCode::UploadBusy,
            ]),
            after
        )
            .prop_map(|(code, after)| Fault::Answer(code.status(), Some(code), after)),
        (CHUNK_MIN..4_000_000_u64).prop_map(Fault::BodiesUpTo),
    ]
}

/// What an upload came to.
#[derive(Debug, Default)]
struct Toll {
    /// When each request began, in milliseconds, and how many bytes the edge held then.
    requests: Vec<(f64, u64)>,
    sent: u64,
    /// What the edge holds at the end.
    held: u64,
    ended: f64,
}

impl Toll {
    /// The most requests within a minute, beside two for each [`CHUNK_MIN`] that the edge came to hold in it: what
    /// brought it, and the question how much of it came.
    fn in_vain(&self) -> usize {
        let mut most = 0;
        let mut from = 0;
        for (at, &(now, held)) in self.requests.iter().enumerate() {
            while self.requests[from].0 < now - 60_000.0 {
                from += 1;
            }
            // Few, far below 2^53.
            let gained = (held.saturating_sub(self.requests[from].1) / CHUNK_MIN) as usize;
            most = most.max((at + 1 - from).saturating_sub(2 * gained));
        }
        most
    }
}

/// Sends a file by an edge where each request suffers one of `faults` with a chance of `chance`, until
/// the moment `until`; who has the page cuts a wait short every `wakes` milliseconds.
fn send(
    size: u64,
    faults: &[Fault],
    chance: f64,
    until: f64,
    wakes: f64,
    (digested, seed): (bool, u64),
) -> (State, Toll) {
    let (mut batch, mut edge, mut dice) = (Batch::default(), Edge::default(), Dice(seed));
    dice.roll();
    batch.start(1, size, CHUNK_FIRST, digested);
    let (mut toll, mut now, mut wake) = (Toll::default(), 0.0_f64, wakes);
    let mut under_way: Vec<(f64, u32, Job, Option<Fault>)> = Vec::new();
    while now < 3.0 * BUDGET_MS {
        while let Some((_, run, job)) = batch.next(now) {
            let bytes = match job {
                Job::Send(chunk) => chunk.to - chunk.from,
                Job::Whole => size,
                _ => 0,
            };
            let digest = matches!(job, Job::Digest(_));
            let struck = !digest && now < until && dice.roll() < chance;
            // The cast is of a number below their count.
            let fault = struck.then(|| faults[(dice.roll() * faults.len() as f64) as usize]);
            let fault = match fault {
                Some(Fault::BodiesUpTo(most)) if bytes <= most => None,
                fault => fault,
            };
            if !digest {
                toll.requests.push((now, edge.held_bytes(size)));
                toll.sent += bytes;
            }
            let takes = match fault {
                Some(Fault::Cut | Fault::Lost) => dice.roll() * 1_000.0,
                _ => ROUND_TRIP_MS + bytes as f64 * 3.0 / RATE,
            };
            under_way.push((now + takes, run, job, fault));
        }
        if !batch.is_live() {
            break;
        }
        let next = under_way.iter().map(|one| one.0).chain(batch.wakes_at(now));
        now = now.max(next.reduce(f64::min).expect("something happens").min(wake));
        if now >= wake {
            wake += wakes;
            batch.wake(Wake::Person, now);
        }
        let Some(at) = under_way.iter().position(|one| one.0 <= now) else {
            continue;
        };
        let (_, run, job, fault) = under_way.swap_remove(at);
        let refused = |status, code: Option<ProblemCode>, after: Option<u32>| {
            Failure::Edge(Box::new(Refusal {
                status,
                code,
                foreign: code.is_none(),
                retry_after_ms: after.map(|seconds| seconds * 1_000),
                ..Refusal::default()
            }))
        };
        let failure = match fault {
            None => None,
            Some(Fault::Cut) => {
                if let Job::Send(chunk) = job {
                    let arrived = (chunk.to - chunk.from) as f64 * dice.roll();
                    edge.take(1, size, chunk, arrived as u64);
                }
                Some(Failure::Network)
            }
            Some(Fault::Lost) => Some(Failure::Network),
            Some(Fault::AnswerLost) => {
                edge.answer(1, size, job);
                Some(Failure::Network)
            }
            Some(Fault::Answer(status, code, after)) => Some(refused(status, code, after)),
            Some(Fault::BodiesUpTo(_)) => Some(refused(413, None, None)),
        };
        let event = match failure {
            Some(failure) => Event::Failed(job, failure),
            None => edge.answer(1, size, job),
        };
        batch.on(1, run, event, now, true, dice.roll());
    }
    (toll.ended, toll.held) = (now, edge.held_bytes(size));
    (state(&batch), toll)
}

proptest! {
    #[test]
    fn nothing_that_the_edge_does_makes_a_page_storm(
        size in prop_oneof![1..=CHUNK_FIRST, CHUNK_FIRST..=4 * PART],
        faults in prop::collection::vec(fault(), 1..5),
        chance in prop_oneof![Just(1.0), 0.0..1.0],
        wakes in prop_oneof![Just(f64::INFINITY), 50.0..20_000.0],
        digested: bool,
        seed: u64,
    ) {
        let (_, toll) = send(size, &faults, chance, f64::INFINITY, wakes, (digested, seed));
        let in_vain = toll.in_vain();
        let (kept, cut_short) = REQUESTS_IN_VAIN;
        let most = if wakes.is_finite() { cut_short } else { kept };
        prop_assert!(in_vain <= most, "{} requests in vain in a minute", in_vain);
        // A try costs half of the one before that failed, and twice what the one before brought.
        let least = (toll.requests.len() as u64) * CHUNK_FIRST.min(size);
        let ratio = toll.sent.saturating_sub(least) as f64 / toll.held.max(CHUNK_MIN) as f64;
        prop_assert!(ratio <= BYTES_PER_BYTE, "{} bytes for each byte of {} held", ratio, toll.held);
    }

    #[test]
    fn what_the_edge_can_take_in_the_end_is_taken(
        size in prop_oneof![1..=CHUNK_FIRST, CHUNK_FIRST..=4 * PART],
        faults in prop::collection::vec(fault(), 1..5),
        chance in prop_oneof![Just(1.0), 0.0..1.0],
        until in 0.0..BUDGET_MS - 120_000.0,
        digested: bool,
        seed: u64,
    ) {
        let (state, toll) = send(size, &faults, chance, until, f64::INFINITY, (digested, seed));
        prop_assert_eq!(state, State::Stored);
        prop_assert!(toll.ended - until < 120_000.0, "{} s late", (toll.ended - until) / 1_000.0);
    }
}
