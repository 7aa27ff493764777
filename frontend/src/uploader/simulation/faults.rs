//! Whatever fails, in every order that a property test thinks of.

use proptest::prelude::*;

use super::*;

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

/// Nothing that is shown may look finished before the edge has said that the file is stored.
fn looks_unfinished(batch: &Batch, key: Key) -> Result<(), TestCaseError> {
    let (_, transfer) = batch.get(key).expect("the file");
    for progress in [transfer.progress(), batch.progress()] {
        prop_assert!(!progress.finished, "{:?}", progress);
        prop_assert!(
            progress.percent() < 100 && progress.reach() < 100,
            "{:?}",
            progress
        );
    }
    prop_assert!(*transfer.state() != State::Stored);
    Ok(())
}

proptest! {
    /// All bytes have left, all parts are held, everything has been said but the one answer that
    /// counts; also when it is asked again and again, or the whole file goes in one request.
    #[test]
    fn nothing_looks_finished_before_the_edge_has_said_that_it_is(
        size in prop_oneof![1..=CHUNK_FIRST, CHUNK_FIRST..=4 * PART],
        lost in 0..4_usize,
        extra in 0..3_u64,
    ) {
        let (mut batch, mut edge) = (Batch::default(), Edge::default());
        batch.start(1, size, CHUNK_FIRST, true);
        let (mut now, mut lost) = (0.0, lost);
        while batch.is_live() {
            let Some((key, run, job)) = batch.next(now) else {
                now = batch.wakes_at(now).expect("a wait");
                continue;
            };
            looks_unfinished(&batch, key)?;
            // Browsers count what they hand over, some also the headers.
            let bytes = match job {
                Job::Whole => size + extra,
                Job::Send(chunk) => chunk.to - chunk.from + extra,
                _ => 0,
            };
            batch.on(key, run, Event::Loaded { job, bytes }, now, true, 0.5);
            looks_unfinished(&batch, key)?;
            let mut event = edge.answer(key, size, job);
            if event == Event::Stored && lost > 0 {
                lost -= 1;
                event = Event::Failed(job, Failure::Network);
            }
            let last = event == Event::Stored;
            batch.on(key, run, event, now, true, 0.5);
            if !last {
                looks_unfinished(&batch, key)?;
            }
        }
        prop_assert_eq!((state(&batch), batch.progress().percent()), (State::Stored, 100));
    }

    /// Time passes as the network has it; connections are cut at any moment, all at once.
    #[test]
    fn no_byte_that_the_edge_holds_is_sent_again(
        size in 1..=6 * PART,
        rate in prop::sample::select(vec![250.0, 2_500.0, 25_000.0]),
        cuts in prop::collection::vec(0.0..4_000.0, 0..6),
    ) {
        let (mut batch, mut edge) = (Batch::default(), Edge::default());
        batch.start(1, size, CHUNK_FIRST, true);
        let mut now = 0.0;
        let mut under_way: Vec<(f64, f64, u32, Job)> = Vec::new();
        let mut cut = 0.0;
        let mut cuts: Vec<f64> = cuts.into_iter().map(|after| { cut += after; cut }).collect();
        cuts.reverse();
        for step in 0.. {
            prop_assert!(step < 20_000, "it does not end");
            while let Some((_, run, job)) = batch.next(now) {
                let bytes = match job {
                    Job::Send(chunk) => chunk.to - chunk.from,
                    Job::Whole => size,
                    _ => 0,
                };
                under_way.push((now, now + 50.0 + bytes as f64 * 3.0 / rate, run, job));
            }
            let next = under_way.iter().map(|one| one.1).reduce(f64::min);
            let Some(next) = next.or(batch.wakes_at(now)) else { break };
            match cuts.last() {
                Some(&at) if at <= next => {
                    cuts.pop();
                    now = now.max(at);
                    for (since, until, run, job) in std::mem::take(&mut under_way) {
                        if matches!(job, Job::Digest(_)) {
                            under_way.push((since, until, run, job));
                            continue;
                        }
                        if let Job::Send(chunk) = job {
                            let part = ((now - since) / (until - since)).clamp(0.0, 1.0);
                            let arrived = ((chunk.to - chunk.from) as f64 * part) as u64;
                            edge.take(1, size, chunk, arrived);
                        }
                        batch.on(1, run, Event::Failed(job, Failure::Network), now, true, 0.5);
                    }
                    continue;
                }
                _ => now = now.max(next),
            }
            if let Some(at) = under_way.iter().position(|one| one.1 <= now) {
                let (_, _, run, job) = under_way.remove(at);
                let event = edge.answer(1, size, job);
                batch.on(1, run, event, now, true, 0.5);
            }
        }
        prop_assert_eq!(state(&batch), State::Stored);
        if size > CHUNK_FIRST {
            prop_assert_eq!(edge.carried, size, "bytes were sent again");
        }
    }

    #[test]
    fn a_batch_ends_and_keeps_its_promises_whatever_fails(
        sizes in prop::collection::vec(1..=5 * PART, 1..5),
        faults in prop::collection::vec((fault(), any::<prop::sample::Index>()), 0..60),
    ) {
        let mut batch = Batch::default();
        let mut edges: BTreeMap<Key, Edge> = BTreeMap::new();
        for (key, &size) in (1..).zip(&sizes) {
            batch.start(key, size, PART, true);
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
                // The edge tells a file from its sending twice by its digest.
                (Fault::AnswerLost, Job::Whole) => Event::Failed(job, Failure::Network),
                (Fault::Lost, Job::Send(chunk)) => {
                    edge.take(key, size, chunk, (chunk.to - chunk.from) / 3);
                    Event::Failed(job, Failure::Network)
                }
                (Fault::AnswerLost, _) => {
                    edge.answer(key, size, job);
                    Event::Failed(job, Failure::Network)
                }
                (Fault::Lost, _) => Event::Failed(job, Failure::Network),
                // What is stored stays stored.
                (Fault::Refused(_) | Fault::Forgets, _) if edge.stored > 0 => {
                    edge.answer(key, size, job)
                }
                (Fault::Refused(code), _) => Event::Failed(job, refusal(code, vec![1])),
                (Fault::Forgets, _) => {
                    edge.parts.clear();
                    edge.staged.clear();
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
                prop_assert!(!stored || edge.stored > 0);
                prop_assert_eq!(stored, transfer.progress().percent() == 100);
            }
        }
        prop_assert!(!batch.is_live(), "{:?}", batch);
        prop_assert!(edges.values().all(|edge| edge.stored <= 1 && !edge.begun_anew));
    }
}
