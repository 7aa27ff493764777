//! An edge that is in trouble: what a page sends meanwhile, and when it has healed or given up.

use super::*;

/// Bytes that the network carries in a millisecond: 20 Mbit/s.
const RATE: f64 = 2_500.0;

/// From a request to its answer, beside what its bytes take, in milliseconds.
const ROUND_TRIP_MS: f64 = 50.0;

/// How long a connection lives that is reset while it sends, in milliseconds.
const RESET_MS: f64 = 100.0;

const SIZE: u64 = 30_000_000;

const HTML_502: Trouble = Trouble::Answer(502, None, None);
pub(super) const STORAGE: Option<ProblemCode> = Some(ProblemCode::StorageUnavailable);

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// Every connection is refused.
    Down,
    /// Announcements are answered; what sends content is reset.
    PartsReset,
    /// Probes are answered; everything else is reset.
    Dead,
    /// Everything that sends content is answered so, with so many seconds of `Retry-After`.
    Answer(u16, Option<ProblemCode>, Option<u32>),
    /// A proxy takes no body of more than so many bytes, and says so in HTML.
    BodiesUpTo(u64),
}

impl Trouble {
    /// What comes of a job: how long it takes, how many bytes have left, and the failure.
    fn strike(self, job: Job) -> Option<(f64, u64, Failure)> {
        let bytes = content(job);
        let refused = |status, code, seconds: Option<u32>| {
            Failure::Edge(Box::new(Refusal {
                status,
                code,
                retry_after_ms: seconds.map(|seconds| seconds * 1_000),
                ..Refusal::default()
            }))
        };
        let reset = (RESET_MS, bytes.min((RATE * RESET_MS / 3.0) as u64));
        let all = ROUND_TRIP_MS + bytes as f64 * 3.0 / RATE;
        match self {
            _ if matches!(job, Job::Digest(_)) => None,
            Self::Down => Some((1.0, 0, Failure::Network)),
            Self::PartsReset if bytes == 0 => None,
            Self::PartsReset | Self::Dead => Some((reset.0, reset.1, Failure::Network)),
            Self::Answer(..) if bytes == 0 => None,
            Self::Answer(status, code, seconds) => {
                Some((all, bytes, refused(status, code, seconds)))
            }
            Self::BodiesUpTo(most) => {
                (bytes > most).then(|| (all, bytes, refused(413, None, None)))
            }
        }
    }

    fn answers_probes(self) -> bool {
        !matches!(self, Self::Down)
    }
}

fn content(job: Job) -> u64 {
    match job {
        Job::Send(chunk) => chunk.to - chunk.from,
        Job::Whole => SIZE,
        _ => 0,
    }
}

/// What an outage came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Toll {
    pub(super) requests: Vec<f64>,
    pub(super) probes: Vec<f64>,
    bytes: u64,
    /// When the first request since the trouble began was done, in milliseconds.
    pub(super) through: Option<f64>,
    /// When the file was stored or given up, in milliseconds.
    pub(super) ended: f64,
    pub(super) healed: bool,
}

impl Toll {
    /// Most requests and probes within any minute.
    fn busiest_minute(&self) -> usize {
        let mut all = [&self.requests[..], &self.probes[..]].concat();
        all.sort_by(f64::total_cmp);
        let within = |from: f64| {
            all.iter()
                .filter(move |at| (from..from + 60_000.0).contains(at))
        };
        all.iter()
            .map(|&from| within(from).count())
            .max()
            .unwrap_or(0)
    }
}

/// Random numbers of a page of its own.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> f64 {
        // Knuth's MMIX generator; its upper bits are good enough to spread waits.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Sends a file of `size` bytes through an edge that is in trouble from `from` on for `lasts`
/// milliseconds.
pub(super) fn suffer(size: u64, trouble: Trouble, from: f64, lasts: f64, seed: u64) -> Toll {
    let (mut batch, mut edge, mut dice) = (Batch::default(), Edge::default(), Dice(seed));
    dice.roll();
    batch.start(1, size, CHUNK_FIRST, true);
    let (mut toll, mut now) = (Toll::default(), 0.0_f64);
    let mut under_way: Vec<(f64, f64, u32, Job, Option<Failure>)> = Vec::new();
    let (mut probe, mut answer) = (None::<f64>, None::<(f64, bool)>);
    // Longer than a budget after the longest outage.
    while now < 4_000_000.0 {
        let in_trouble = (from..from + lasts).contains(&now);
        while let Some((_, run, job)) = batch.next(now) {
            let struck = trouble.strike(job).filter(|_| in_trouble);
            let (takes, bytes, failure) = match struck {
                Some((takes, bytes, failure)) => (takes, bytes, Some(failure)),
                None => (
                    ROUND_TRIP_MS + content(job) as f64 * 3.0 / RATE,
                    content(job),
                    None,
                ),
            };
            if !matches!(job, Job::Digest(_)) {
                toll.requests.push(now);
            }
            toll.bytes += bytes;
            under_way.push((now + takes, now, run, job, failure));
        }
        if !batch.is_live() {
            break;
        }
        probe = match batch.cut_ms(now) {
            // Who comes again at fixed times has no other questions.
            Some(ms) if !fixed_wait::is_set() => {
                probe.or_else(|| Some(now + probe_ms(ms, dice.roll())))
            }
            _ => None,
        };
        let next = under_way.iter().map(|one| one.0);
        let next = next
            .chain(batch.wakes_at(now))
            .chain(probe)
            .chain(answer.map(|one| one.0));
        now = now.max(next.reduce(f64::min).expect("something happens"));
        if probe.is_some_and(|at| at <= now) {
            probe = None;
            toll.probes.push(now);
            let there = !(from..from + lasts).contains(&now) || trouble.answers_probes();
            answer = Some((now + ROUND_TRIP_MS, there));
        }
        if let Some((at, there)) = answer
            && at <= now
        {
            answer = None;
            if there && batch.cut_ms(now).is_some() {
                batch.wake(Wake::Probe, now);
            }
        }
        if let Some(at) = under_way.iter().position(|one| one.0 <= now) {
            let (_, began, run, job, failure) = under_way.swap_remove(at);
            if failure.is_none() && began >= from && !matches!(job, Job::Digest(_)) {
                toll.through.get_or_insert(now);
            }
            let event = match failure {
                Some(failure) => Event::Failed(job, failure),
                None => edge.answer(1, size, job),
            };
            batch.on(1, run, event, now, true, dice.roll());
        }
    }
    toll.ended = now;
    toll.healed = state(&batch) == State::Stored;
    toll
}

/// When trouble begins: some of the file is there.
const FROM: f64 = 3_000.0;

const ROWS: [(&str, Trouble); 7] = [
    ("parts reset", Trouble::PartsReset),
    ("HTML 502", HTML_502),
    ("HTML 413 over 1 MB", Trouble::BodiesUpTo(1_000_000)),
    (
        "503, Retry-After: 2",
        Trouble::Answer(503, STORAGE, Some(2)),
    ),
    ("503 without", Trouble::Answer(503, STORAGE, None)),
    ("POST dead, probes live", Trouble::Dead),
    ("all refused", Trouble::Down),
];

#[test]
fn every_outage_of_up_to_ten_minutes_heals_by_itself() {
    println!(
        "trouble                  lasts s  ended s  healed  requests  probes      MB  busiest minute"
    );
    let mut bad = Vec::new();
    for (name, trouble) in ROWS {
        for lasts in [20.0, 45.0, 90.0, 600.0, f64::INFINITY] {
            let toll = suffer(SIZE, trouble, FROM, lasts * 1_000.0, 7);
            println!(
                "{name:<22} {lasts:>8} {:>8.0} {:>7} {:>9} {:>7} {:>7.1} {:>7}",
                toll.ended / 1_000.0,
                toll.healed,
                toll.requests.len(),
                toll.probes.len(),
                toll.bytes as f64 / 1e6,
                toll.busiest_minute(),
            );
            if !toll.healed && lasts.is_finite() {
                bad.push((name, lasts));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}
