//! The machine against an edge that loses, refuses and forgets, in every order that a property
//! test thinks of.

use std::collections::BTreeMap;

use crate::wire::Upload;
use chatlift_shared::ProblemCode;
use chatlift_shared::api::HeldPart;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::MIB;
use proptest::prelude::*;

use super::*;

const PART: u64 = 8 * MIB;

fn digest(key: Key, n: u16) -> Sha256 {
    Sha256::of(format!("{key}/{n}").as_bytes())
}

fn refusal(code: ProblemCode, parts: Vec<u16>) -> Failure {
    Failure::Edge {
        status: code.status(),
        code: Some(code),
        retry_after_ms: None,
        parts,
        limit: None,
    }
}

/// What the edge has of one file.
#[derive(Default)]
struct Edge {
    parts: BTreeMap<u16, Sha256>,
    stored: u32,
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
        }
    }

    /// A right answer to a job.
    fn answer(&mut self, key: Key, size: u64, job: Job) -> Event {
        let count = u16::try_from(size.div_ceil(PART)).expect("few parts");
        match job {
            Job::Whole => {
                self.stored += 1;
                Event::Stored
            }
            Job::Announce => Event::Announced(self.upload(size)),
            Job::Digest(n) => Event::Digested {
                n,
                digest: digest(key, n),
                whole: (n == count).then(|| Sha256::of(b"whole")),
            },
            Job::Send(n) => {
                self.parts.insert(n, digest(key, n));
                Event::Sent(n)
            }
            Job::Complete => {
                let missing: Vec<_> = (1..=count)
                    .filter(|n| !self.parts.contains_key(n))
                    .collect();
                if !missing.is_empty() {
                    return Event::Failed(job, refusal(ProblemCode::PartsMissing, missing));
                }
                if (1..=count).any(|n| self.parts[&n] != digest(key, n)) {
                    return Event::Failed(job, refusal(ProblemCode::PartsDiffer, Vec::new()));
                }
                self.stored += 1;
                Event::Stored
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

fn one(size: u64) -> Batch {
    let mut batch = Batch::default();
    batch.start(1, size, PART);
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
    assert_eq!(jobs.last(), Some(&Job::Complete));
    for n in 1..=3 {
        assert!(
            jobs.contains(&Job::Digest(n)) && jobs.contains(&Job::Send(n)),
            "{n}"
        );
    }
    assert_eq!(jobs.len(), 8);
    assert_eq!(state(&batch), State::Stored);
}

#[test]
fn a_held_part_is_skipped_only_when_its_bytes_are_the_same() {
    let size = 3 * PART;
    let mut edge = Edge::default();
    edge.parts.insert(1, digest(1, 1));
    edge.parts.insert(2, Sha256::of(b"of another file"));
    let mut batch = one(size);
    let jobs = run(&mut batch, &mut edge, size);
    assert!(!jobs.contains(&Job::Send(1)));
    assert!(jobs.contains(&Job::Send(2)) && jobs.contains(&Job::Send(3)));
    assert_eq!(state(&batch), State::Stored);
}

#[test]
fn parts_that_the_edge_misses_are_sent_again() {
    let size = 3 * PART;
    let (mut batch, mut edge) = (one(size), Edge::default());
    let mut sent_twice = false;
    while let Some((key, run, job)) = batch.next(0.0) {
        if job == Job::Complete && !sent_twice {
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
        let event = match job {
            Job::Complete => Event::Failed(job, refusal(ProblemCode::UploadAborted, Vec::new())),
            job => edge.answer(key, size, job),
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
fn without_a_connection_it_waits_for_ever_and_goes_on_at_once_when_it_is_back() {
    let mut batch = one(1);
    let mut now = 0.0;
    for _ in 0..100 {
        let (key, run, job) = batch.next(now).expect("a try");
        batch.on(
            key,
            run,
            Event::Failed(job, Failure::Network),
            now,
            false,
            0.5,
        );
        assert_eq!(batch.next(now), None);
        now = batch.wakes_at(now).expect("a wait");
    }
    let (key, run, job) = batch.next(now).expect("a try");
    batch.on(
        key,
        run,
        Event::Failed(job, Failure::Network),
        now,
        false,
        0.5,
    );
    batch.wake();
    assert_eq!(batch.next(now), Some((1, run, Job::Whole)));
}

#[test]
fn an_edge_that_is_down_is_given_up_after_minutes() {
    let mut batch = one(1);
    let mut now = 0.0;
    while let Some((key, run, job)) = batch.next(now) {
        batch.on(
            key,
            run,
            Event::Failed(job, Failure::Network),
            now,
            true,
            0.5,
        );
        now = batch.wakes_at(now).unwrap_or(now);
    }
    assert_eq!(state(&batch), State::Failed(Failure::Network));
    assert!((60_000.0..180_000.0).contains(&now), "{now}");
}

#[test]
fn what_ends_after_a_restart_is_passed_over() {
    let mut batch = one(1);
    let (key, run, job) = batch.next(0.0).expect("a job");
    batch.start(1, 1, PART);
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

/// What may go wrong with one job.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// It never reaches the edge.
    Lost,
    /// The edge does it, and the answer is lost.
    AnswerLost,
    Refused(ProblemCode),
    /// The edge forgets all parts, and says so when it is asked to complete.
    Forgets,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        2 => Just(Fault::Lost),
        2 => Just(Fault::AnswerLost),
        1 => prop::sample::select(ProblemCode::ALL).prop_map(Fault::Refused),
        1 => Just(Fault::Forgets),
    ]
}

proptest! {
    #[test]
    fn a_batch_ends_and_keeps_its_promises_whatever_fails(
        sizes in prop::collection::vec(1..=5 * PART, 1..5),
        faults in prop::collection::vec((fault(), any::<prop::sample::Index>()), 0..60),
    ) {
        let mut batch = Batch::default();
        let mut edges: BTreeMap<Key, Edge> = BTreeMap::new();
        for (key, &size) in (1..).zip(&sizes) {
            batch.start(key, size, PART);
            edges.insert(key, Edge::default());
        }
        let mut faults = faults.into_iter();
        let (mut now, mut under_way) = (0.0, Vec::new());
        for step in 0.. {
            prop_assert!(step < 5_000, "it does not end");
            while let Some(next) = batch.next(now) {
                under_way.push(next);
            }
            let requests = |job: &Job| matches!(job, Job::Whole | Job::Send(_) | Job::Announce);
            prop_assert!(under_way.iter().filter(|(_, _, job)| requests(job)).count() <= CONCURRENCY);
            let digests = under_way.iter().filter(|(_, _, job)| matches!(job, Job::Digest(_)));
            prop_assert!(digests.count() <= 1);
            let (fault, at) = match faults.next() {
                Some((fault, at)) if !under_way.is_empty() => (fault, at.index(under_way.len())),
                _ => (Fault::None, 0),
            };
            if under_way.is_empty() {
                match batch.wakes_at(now) {
                    Some(at) => { now = at; continue }
                    None => break,
                }
            }
            let (key, run, job) = under_way.remove(at);
            let size = sizes[key as usize - 1];
            let edge = edges.get_mut(&key).expect("its edge");
            let event = match (fault, job) {
                // The device's own work does not fail at the edge.
                (_, Job::Digest(_)) | (Fault::None, _) => edge.answer(key, size, job),
                (Fault::Lost, _) => Event::Failed(job, Failure::Network),
                (Fault::AnswerLost, Job::Whole | Job::Complete) => {
                    Event::Failed(job, Failure::Network)
                }
                (Fault::AnswerLost, _) => {
                    edge.answer(key, size, job);
                    Event::Failed(job, Failure::Network)
                }
                (Fault::Refused(code), _) => Event::Failed(job, refusal(code, vec![1])),
                (Fault::Forgets, _) => {
                    edge.parts.clear();
                    edge.answer(key, size, job)
                }
            };
            batch.on(key, run, event, now, true, 0.5);
            // Requests are aborted with their file; a digest ends by itself.
            under_way.retain(|(key, _, job)| {
                matches!(job, Job::Digest(_)) || batch.get(*key).is_some_and(|(_, t)| t.is_live())
            });
            for (&key, edge) in &edges {
                let (_, transfer) = batch.get(key).expect("the file");
                let stored = *transfer.state() == State::Stored;
                prop_assert_eq!(stored, edge.stored > 0);
                prop_assert_eq!(stored, transfer.progress().percent() == 100);
            }
        }
        prop_assert!(!batch.is_live(), "{:?}", batch);
        prop_assert!(edges.values().all(|edge| edge.stored <= 1));
    }
}
