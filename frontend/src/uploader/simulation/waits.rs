//! A file that waits: for the network, for as long as the edge has asked, or for its user.

use super::*;

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
    batch.wake(Wake::Person, now);
    assert_eq!(batch.next(now), Some((1, run, Job::Whole)));
}

#[test]
fn a_wait_that_the_edge_asked_for_is_kept_whatever_else_happens() {
    let size = 3 * PART;
    let (mut batch, mut edge) = (one(size), Edge::default());
    let mut sending = Vec::new();
    while sending.len() < 2 {
        let (key, run, job) = batch.next(0.0).expect("a job");
        match job {
            Job::Send(_) => sending.push(job),
            job => {
                let event = edge.answer(key, size, job);
                batch.on(key, run, event, 0.0, true, 0.5);
            }
        }
    }
    let busy = Failure::Edge(Box::new(Refusal {
        status: 503,
        code: Some(ProblemCode::StorageUnavailable),
        retry_after_ms: Some(5_000),
        ..Refusal::default()
    }));
    batch.on(1, 1, Event::Failed(sending[0], busy), 0.0, true, 0.5);
    // Another part succeeds, and the device says that it is back online.
    let event = edge.answer(1, size, sending[1]);
    batch.on(1, 1, event, 100.0, true, 0.5);
    batch.wake(Wake::Person, 100.0);
    // What is left of the file is digested meanwhile.
    let mut digested = Vec::new();
    while let Some((key, run, job)) = batch.next(4_999.0) {
        digested.push(job);
        let event = edge.answer(key, size, job);
        batch.on(key, run, event, 200.0, true, 0.5);
    }
    assert_eq!(digested, [2, 3].map(Job::Digest));
    assert_eq!(batch.wakes_at(100.0), Some(5_000.0));
    // It is no wait for the network, so the edge is not asked meanwhile.
    assert_eq!(batch.cut_ms(200.0), None);
    assert!(batch.next(5_000.0).is_some());
}

/// A connection that is dead without a word: each try hangs, and fails.
#[test]
fn trouble_is_said_until_a_try_brings_bytes_on_their_way() {
    let size = 2 * PART;
    let (mut batch, mut edge) = (one(size), Edge::default());
    let (mut now, mut said) = (0.0, Vec::new());
    let trouble = |batch: &Batch, now| batch.get(1).expect("the file").1.trouble(now);
    for tries in 0..4 {
        let (key, run, job) = batch.next(now).expect("a try");
        said.push((job, trouble(&batch, now)));
        now += 10_000.0;
        if tries == 3 {
            let event = edge.answer(key, size, job);
            batch.on(key, run, event, now, true, 0.5);
            continue;
        }
        let event = Event::Failed(job, Failure::Network);
        batch.on(key, run, event, now, true, 0.5);
        assert_eq!(trouble(&batch, now), Some(Cause::Network));
        while let Some((key, run, job @ Job::Digest(_))) = batch.next(now) {
            let event = edge.answer(key, size, job);
            batch.on(key, run, event, now, true, 0.5);
        }
        now = batch.wakes_at(now).expect("a wait");
    }
    let network = Some(Cause::Network);
    let expected = [None, network, network, network].map(|trouble| (Job::Announce, trouble));
    assert_eq!(said, expected);
    // Announced, it sends: from the first byte on it goes on.
    let (key, run, job) = batch.next(now).expect("a chunk");
    assert!(matches!(job, Job::Send(_)), "{job:?}");
    assert_eq!(trouble(&batch, now), network);
    let loaded = Event::Loaded { job, bytes: 1 };
    batch.on(key, run, loaded, now, true, 0.5);
    assert_eq!(trouble(&batch, now), None);
    let event = edge.answer(key, size, job);
    batch.on(key, run, event, now, true, 0.5);
    assert_eq!(trouble(&batch, now), None);
}

#[test]
fn an_edge_that_is_down_is_given_up_after_a_quarter_of_an_hour() {
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
    assert!((BUDGET_MS..BUDGET_MS + 31_000.0).contains(&now), "{now}");
}

#[test]
fn a_paused_file_begins_nothing_and_goes_on_where_it_was() {
    let size = PART + 1;
    let (mut batch, mut edge) = (one(size), Edge::default());
    let mut paused = false;
    while let Some((key, run, job)) = batch.next(0.0) {
        let event = match job {
            Job::Send(chunk) if !paused => {
                paused = true;
                batch.pause(key, true, 0.0);
                edge.take(key, size, chunk, 1000);
                batch.on(
                    key,
                    run,
                    Event::Failed(job, Failure::Network),
                    0.0,
                    true,
                    0.5,
                );
                assert_eq!((batch.next(0.0), batch.wakes_at(0.0)), (None, None));
                batch.pause(key, false, 0.0);
                continue;
            }
            job => edge.answer(key, size, job),
        };
        batch.on(key, run, event, 0.0, true, 0.5);
    }
    assert!(paused);
    assert_eq!((state(&batch), edge.carried), (State::Stored, size));
}

/// Its folder lies in a cloud that does not answer.
#[test]
fn files_that_the_device_does_not_give_hold_up_no_other() {
    let mut batch = Batch::default();
    for key in 1..=8 {
        // Small ones are read to be sent, large ones to be announced and digested.
        batch.start(
            key,
            if key % 2 == 0 { 1 } else { 2 * PART },
            CHUNK_FIRST,
            true,
        );
    }
    batch.start(9, 3 * PART, CHUNK_FIRST, true);
    let mut edge = Edge::default();
    let mut hung = Vec::new();
    for _ in 0..1_000 {
        match batch.next(0.0) {
            Some((9, run, job)) => {
                let event = edge.answer(9, 3 * PART, job);
                batch.on(9, run, event, 0.0, true, 0.5);
            }
            Some(other) => hung.push(other),
            None => {
                let Some((key, run, job)) = hung.pop() else {
                    break;
                };
                batch.on(key, run, Event::Stalled(job), 0.0, true, 0.5);
            }
        }
    }
    let (_, good) = batch.get(9).expect("the file");
    assert_eq!(*good.state(), State::Stored);
    assert!(batch.is_live(), "the others are waited for");
}
