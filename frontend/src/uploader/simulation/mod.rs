//! The machine against an edge of a few lines: in single scenes here, in `resume` and in `waits`,
//! against one that loses, refuses and forgets in `faults`, with files beyond 4 GiB in `large`, and
//! on a network with a rate and a delay in `network`.

use std::collections::BTreeMap;

use crate::wire::Upload;
use chatlift_shared::ProblemCode;
use chatlift_shared::api::{HeldPart, StagedPart};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::MIB;

use super::*;

mod cancel;
mod faults;
mod herd;
mod large;
mod network;
mod outage;
mod resume;
mod storm;
mod waits;

const PART: u64 = 8 * MIB;

fn digest(key: Key, n: u16) -> Sha256 {
    Sha256::of(format!("{key}/{n}").as_bytes())
}

fn refusal(code: ProblemCode, parts: Vec<u16>) -> Failure {
    Failure::Edge(Box::new(Refusal {
        status: code.status(),
        code: Some(code),
        parts,
        ..Refusal::default()
    }))
}

/// What the edge has of one file.
#[derive(Default)]
struct Edge {
    parts: BTreeMap<u16, Sha256>,
    staged: BTreeMap<u16, u64>,
    stored: u32,
    /// It was announced when it was stored already.
    begun_anew: bool,
    /// The parts of an upload of before the page was reloaded, which takes no more; the first
    /// announcement is answered with it.
    own: Option<BTreeMap<u16, Sha256>>,
    /// Those that it was answered with.
    sealed: BTreeMap<u16, Sha256>,
    /// Bytes of content that arrived and were kept.
    carried: u64,
}

impl Edge {
    fn upload(&self, size: u64) -> Upload {
        Upload {
            id: "upl_x".to_owned(),
            ticket: String::new(),
            size,
            part_size: PART,
            parts: self
                .parts
                .iter()
                .map(|(&n, &sha256)| HeldPart { n, sha256 })
                .collect(),
            staged: self
                .staged
                .iter()
                .map(|(&n, &offset)| StagedPart { n, offset })
                .collect(),
            sealed: false,
        }
    }

    /// How many bytes of the file it has.
    fn held_bytes(&self, size: u64) -> u64 {
        if self.stored > 0 {
            return size;
        }
        let len = |n: u16| PART.min(size - (u64::from(n) - 1) * PART);
        let parts: u64 = self.parts.keys().map(|&n| len(n)).sum();
        parts + self.staged.values().sum::<u64>()
    }

    /// Takes a chunk of which `arrived` bytes came; the rest was cut off.
    fn take(&mut self, key: Key, size: u64, chunk: Chunk, arrived: u64) -> Option<Event> {
        let n = chunk.n;
        let len = PART.min(size - (u64::from(n) - 1) * PART);
        self.carried += arrived;
        if chunk.direct && arrived == len {
            return Some(self.hold(key, size, chunk));
        }
        // Another request made the part whole meanwhile.
        if self.parts.get(&n) == Some(&digest(key, n)) {
            return Some(Event::Sent(n));
        }
        let held = self.staged.get(&n).copied().unwrap_or(0);
        if held != chunk.from {
            let failure = Failure::Edge(Box::new(Refusal {
                status: 409,
                code: Some(ProblemCode::OffsetDiffers),
                offset: Some(held),
                ..Refusal::default()
            }));
            return Some(Event::Failed(Job::Send(chunk), failure));
        }
        let offset = held + arrived;
        if offset < len {
            self.staged.insert(n, offset);
            return Some(Event::Staged { n, offset });
        }
        self.staged.remove(&n);
        Some(self.hold(key, size, chunk))
    }

    /// Has a whole part, and completes the file with the last one.
    fn hold(&mut self, key: Key, size: u64, chunk: Chunk) -> Event {
        self.parts.insert(chunk.n, digest(key, chunk.n));
        match self.complete(key, size) {
            Ok(()) => Event::Stored,
            Err(_) => Event::Sent(chunk.n),
        }
    }

    /// Makes a file of the parts; again, it is the same file.
    fn complete(&mut self, key: Key, size: u64) -> Result<(), Failure> {
        let count = u16::try_from(size.div_ceil(PART)).expect("few parts");
        let same = |n| self.sealed.get(&n) == Some(&digest(key, n));
        if self.stored > 0 || (1..=count).all(same) {
            return Ok(());
        }
        if !self.sealed.is_empty() {
            return Err(refusal(ProblemCode::PartsDiffer, Vec::new()));
        }
        let missing: Vec<_> = (1..=count)
            .filter(|n| !self.parts.contains_key(n))
            .collect();
        if !missing.is_empty() {
            return Err(refusal(ProblemCode::PartsMissing, missing));
        }
        if (1..=count).any(|n| self.parts[&n] != digest(key, n)) {
            return Err(refusal(ProblemCode::PartsDiffer, Vec::new()));
        }
        self.stored += 1;
        // An announcement does not find it any more.
        self.parts.clear();
        self.staged.clear();
        Ok(())
    }

    /// A right answer to a job.
    fn answer(&mut self, key: Key, size: u64, job: Job) -> Event {
        match job {
            Job::Whole => {
                self.stored += 1;
                Event::Stored
            }
            Job::Announce => {
                self.begun_anew |= self.stored > 0;
                self.sealed = self.own.take().unwrap_or_default();
                let mut upload = self.upload(size);
                if !self.sealed.is_empty() {
                    let held = self.sealed.iter();
                    upload.parts = held.map(|(&n, &sha256)| HeldPart { n, sha256 }).collect();
                    upload.sealed = true;
                }
                Event::Announced(Box::new(upload))
            }
            Job::Digest(n) => Event::Digested {
                n,
                digest: digest(key, n),
            },
            Job::Send(chunk) => self
                .take(key, size, chunk, chunk.to - chunk.from)
                .expect("nothing is cut"),
            Job::Complete => match self.complete(key, size) {
                Ok(()) => Event::Stored,
                Err(failure) => Event::Failed(job, failure),
            },
            Job::Cancel => {
                self.stored = 0;
                self.parts.clear();
                self.staged.clear();
                Event::Cancelled
            }
        }
    }
}

/// Runs a batch to its end with an edge that has no faults; returns the jobs that it took.
fn run(batch: &mut Batch, edge: &mut Edge, size: u64) -> Vec<Job> {
    let mut jobs = Vec::new();
    while let Some((key, run, job)) = batch.next(0.0) {
        jobs.push(job);
        let event = edge.answer(key, size, job);
        batch.on(key, run, event, 0.0, true, 0.5);
    }
    jobs
}

fn sends(jobs: &[Job], part: u16) -> usize {
    let of = |job: &&Job| matches!(job, Job::Send(chunk) if chunk.n == part);
    jobs.iter().filter(of).count()
}

fn one(size: u64) -> Batch {
    let mut batch = Batch::default();
    batch.start(1, size, PART, true);
    batch
}

fn state(batch: &Batch) -> State {
    batch.get(1).expect("the file").1.state().clone()
}

#[test]
fn a_small_file_goes_whole() {
    let (mut batch, mut edge) = (one(PART), Edge::default());
    assert_eq!(run(&mut batch, &mut edge, PART), [Job::Whole]);
    assert_eq!(state(&batch), State::Stored);
    assert_eq!(batch.progress().percent(), 100);
}

#[test]
fn a_large_file_goes_in_parts() {
    let (mut batch, mut edge) = (one(2 * PART + 1), Edge::default());
    let jobs = run(&mut batch, &mut edge, 2 * PART + 1);
    assert_eq!(jobs.first(), Some(&Job::Announce));
    // The last part makes it a file.
    assert!(matches!(jobs.last(), Some(Job::Send(_))), "{jobs:?}");
    assert!(!jobs.contains(&Job::Complete));
    for n in 1..=3 {
        assert!(jobs.contains(&Job::Digest(n)) && sends(&jobs, n) > 0, "{n}");
    }
    assert_eq!(edge.carried, 2 * PART + 1);
    assert_eq!(state(&batch), State::Stored);
}

#[test]
fn parts_of_another_size_than_was_thought_are_digested_anew() {
    // Announced by an edge that cuts files otherwise, while the first part is digested.
    let size = 3 * PART;
    let mut batch = one(size);
    let (key, run, announce) = batch.next(0.0).expect("a job");
    assert_eq!(announce, Job::Announce);
    let (.., early) = batch.next(0.0).expect("a digest");
    assert_eq!(early, Job::Digest(1));
    let mut upload = Edge::default().upload(size);
    upload.part_size = 3 * PART;
    batch.on(key, run, Event::Announced(Box::new(upload)), 0.0, true, 0.5);
    let old = Event::Digested {
        n: 1,
        digest: digest(1, 1),
    };
    batch.on(key, run, old, 0.0, true, 0.5);
    let next = std::iter::from_fn(|| batch.next(0.0));
    let sends = |job: &Job| matches!(job, Job::Send(_));
    let digests: Vec<_> = next.map(|next| next.2).filter(|job| !sends(job)).collect();
    assert_eq!(digests, [Job::Digest(1)]);
    let all = Sha256::of(b"all");
    let new = Event::Digested { n: 1, digest: all };
    batch.on(key, run, new, 0.0, true, 0.5);
    let (_, transfer) = batch.get(key).expect("the file");
    assert_eq!(transfer.range(1), Some((0, size)));
    assert_eq!(transfer.part_digest(1), Some(all));
}

#[test]
fn parts_that_the_edge_misses_are_sent_again() {
    let size = 3 * PART;
    let (mut batch, mut edge) = (one(size), Edge::default());
    let mut sent_twice = false;
    while let Some((key, run, job)) = batch.next(0.0) {
        if matches!(job, Job::Send(chunk) if chunk.n == 3 && chunk.ends) && !sent_twice {
            sent_twice = true;
            edge.parts.remove(&2);
        }
        let event = edge.answer(key, size, job);
        batch.on(key, run, event, 0.0, true, 0.5);
    }
    assert!(sent_twice);
    assert_eq!(state(&batch), State::Stored);
}

#[test]
fn an_aborted_upload_is_announced_anew_once() {
    let size = 2 * PART;
    let (mut batch, mut edge) = (one(size), Edge::default());
    let mut announced = 0;
    while let Some((key, run, job)) = batch.next(0.0) {
        announced += u32::from(job == Job::Announce);
        let event = match edge.answer(key, size, job) {
            Event::Stored => Event::Failed(job, refusal(ProblemCode::UploadAborted, Vec::new())),
            event => event,
        };
        batch.on(key, run, event, 0.0, true, 0.5);
    }
    assert_eq!(announced, 2);
    assert_eq!(
        state(&batch),
        State::Failed(refusal(ProblemCode::UploadAborted, Vec::new()))
    );
}

#[test]
fn a_file_that_changes_again_and_again_is_given_up() {
    let mut batch = one(2 * PART);
    let mut edge = Edge::default();
    let mut now = 0.0;
    for _ in 0..10_000 {
        let Some((key, run, job)) = batch.next(now) else {
            match batch.wakes_at(now) {
                Some(at) => now = at,
                None => break,
            }
            continue;
        };
        let mut event = edge.answer(key, 2 * PART, job);
        if matches!(event, Event::Sent(1)) {
            edge.parts.remove(&1);
            event = Event::Failed(job, refusal(ProblemCode::DigestMismatch, Vec::new()));
        }
        batch.on(key, run, event, now, true, 0.5);
    }
    assert!(matches!(state(&batch), State::Failed(_)));
}

#[test]
fn what_ends_after_a_restart_is_passed_over() {
    let mut batch = one(1);
    let (key, run, job) = batch.next(0.0).expect("a job");
    batch.start(1, 1, PART, true);
    batch.on(
        key,
        run,
        Event::Failed(job, Failure::Unreadable),
        0.0,
        true,
        0.5,
    );
    assert_eq!(state(&batch), State::Queued);
}
