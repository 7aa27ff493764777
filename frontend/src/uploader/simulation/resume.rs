//! What the edge holds already, of an earlier page or of another one beside this.

use super::*;

#[test]
fn a_held_part_is_skipped_only_when_its_bytes_are_the_same() {
    let size = 3 * PART;
    let mut edge = Edge::default();
    edge.parts.insert(1, digest(1, 1));
    edge.parts.insert(2, Sha256::of(b"of another file"));
    let mut batch = one(size);
    let jobs = run(&mut batch, &mut edge, size);
    assert_eq!(sends(&jobs, 1), 0);
    assert!(sends(&jobs, 2) > 0 && sends(&jobs, 3) > 0);
    assert_eq!(state(&batch), State::Stored);
}

#[test]
fn what_a_resume_finds_is_no_speed() {
    let size = 3 * PART;
    let mut edge = Edge::default();
    edge.parts.insert(1, digest(1, 1));
    edge.parts.insert(2, digest(1, 2));
    let mut batch = one(size);
    run(&mut batch, &mut edge, size);
    assert_eq!(batch.progress().done, size);
    assert_eq!(batch.carried(), PART);
}

/// The last page's request goes on after a reload: it makes whole what this page was told the
/// beginning of.
#[test]
fn a_part_that_the_page_before_made_whole_is_not_sent_again() {
    let size = 2 * PART;
    let (mut batch, mut edge) = (one(size), Edge::default());
    edge.staged.insert(1, PART / 2);
    let (mut late, mut of_part_1) = (true, 0);
    while let Some((key, run, job)) = batch.next(0.0) {
        if let Job::Send(chunk) = job
            && chunk.n == 1
        {
            of_part_1 += 1;
            if std::mem::take(&mut late) {
                edge.staged.remove(&1);
                edge.parts.insert(1, digest(key, 1));
            }
        }
        let event = edge.answer(key, size, job);
        batch.on(key, run, event, 0.0, true, 0.5);
    }
    assert_eq!((state(&batch), of_part_1), (State::Stored, 1));
}

/// The parts of an upload that is sealed, of `key`'s file.
fn sealed(key: Key, size: u64) -> Edge {
    let count = u16::try_from(size.div_ceil(PART)).expect("few parts");
    Edge {
        own: Some((1..=count).map(|n| (n, digest(key, n))).collect()),
        ..Edge::default()
    }
}

#[test]
fn a_file_that_is_stored_already_is_read_and_not_sent() {
    let size = 3 * PART;
    let (mut batch, mut edge) = (one(size), sealed(1, size));
    let jobs = run(&mut batch, &mut edge, size);
    assert_eq!(state(&batch), State::Stored);
    assert_eq!((edge.carried, edge.stored), (0, 0));
    assert_eq!(jobs.last(), Some(&Job::Complete));
}

#[test]
fn another_file_of_a_stored_ones_name_and_size_is_sent() {
    let size = 3 * PART;
    let (mut batch, mut edge) = (one(size), sealed(9, size));
    run(&mut batch, &mut edge, size);
    assert_eq!(state(&batch), State::Stored);
    assert_eq!((edge.carried, edge.stored), (size, 1));
}

/// It is deleted between the announcement and the end of its reading.
#[test]
fn a_file_that_is_stored_no_more_is_sent() {
    let size = 3 * PART;
    let (mut batch, mut edge) = (one(size), sealed(1, size));
    let mut now = 0.0;
    while batch.is_live() {
        let Some((key, run, job)) = batch.next(now) else {
            now = batch.wakes_at(now).expect("a wait");
            continue;
        };
        let event = match job {
            Job::Complete if !edge.sealed.is_empty() => {
                Event::Failed(job, refusal(ProblemCode::UploadAborted, Vec::new()))
            }
            _ => edge.answer(key, size, job),
        };
        batch.on(key, run, event, now, true, 0.5);
    }
    assert_eq!(state(&batch), State::Stored);
    assert_eq!((edge.carried, edge.stored), (size, 1));
}

/// Two tabs send one file. `other` says where the other page's chunk has brought part 1 when this
/// one's arrives, by how many there were.
fn beside_another_page(other: impl Fn(u64) -> Option<u64>) -> (State, u64) {
    let size = 2 * PART;
    let (mut batch, mut edge) = (one(size), Edge::default());
    let (mut now, mut of_part_1) = (0.0, 0);
    while batch.is_live() {
        let Some((key, run, job)) = batch.next(now) else {
            now = batch.wakes_at(now).expect("a wait");
            continue;
        };
        if let Job::Send(chunk) = job
            && chunk.n == 1
        {
            of_part_1 += 1;
            assert!(of_part_1 < 1_000, "it does not end");
            if let Some(offset) = other(of_part_1) {
                edge.staged.insert(1, offset);
            }
        }
        let event = edge.answer(key, size, job);
        batch.on(key, run, event, now, true, 0.5);
    }
    (state(&batch), of_part_1)
}

#[test]
fn what_another_page_sends_of_the_file_is_no_failed_try() {
    let times = 27;
    let (state, chunks) = beside_another_page(|n| (n <= times).then_some(n * CHUNK_MIN));
    assert_eq!(state, State::Stored);
    assert!(chunks > times, "{chunks}");
}

#[test]
fn a_beginning_that_shrinks_and_grows_again_is_given_up() {
    let (state, _) = beside_another_page(|n| Some((n % 2 + 1) * CHUNK_MIN));
    assert!(matches!(state, State::Failed(_)), "{state:?}");
}

/// Two tabs send one file, and the other one's last part comes first. All of it was sent again, to be told at the
/// end that it is there.
#[test]
fn a_file_that_another_page_completes_is_read_and_not_sent_again() {
    let size = 4 * PART;
    let (mut batch, mut edge) = (one(size), Edge::default());
    let (mut now, mut completed) = (0.0, false);
    while batch.is_live() {
        let Some((key, run, job)) = batch.next(now) else {
            now = batch.wakes_at(now).expect("a wait");
            continue;
        };
        let busy = || Event::Failed(job, refusal(ProblemCode::UploadBusy, Vec::new()));
        let (_, transfer) = batch.get(key).expect("the file");
        let event = match job {
            Job::Send(chunk) if chunk.n > 1 => {
                if !completed {
                    completed = true;
                    edge = Edge {
                        carried: edge.carried,
                        ..sealed(key, size)
                    };
                }
                busy()
            }
            Job::Announce if completed => {
                assert!(transfer.earlier().is_some(), "the edge is not told which");
                edge.answer(key, size, job)
            }
            _ => edge.answer(key, size, job),
        };
        batch.on(key, run, event, now, true, 0.5);
    }
    assert_eq!(state(&batch), State::Stored);
    assert!(edge.carried <= PART, "{}", edge.carried);
}

/// As in plain HTTP, where browsers compute no digests.
fn undigested(size: u64) -> Batch {
    let mut batch = Batch::default();
    batch.start(1, size, PART, false);
    batch
}

#[test]
fn a_file_without_digests_is_sent_whole_and_goes_on_from_what_its_own_upload_holds() {
    let size = 3 * PART + 5;
    let (mut batch, mut edge) = (undigested(size), Edge::default());
    // Of the page before, by whose ticket it was found.
    edge.parts.insert(2, digest(1, 2));
    edge.staged.insert(3, PART / 4);
    let jobs = run(&mut batch, &mut edge, size);
    assert!(
        !jobs.iter().any(|job| matches!(job, Job::Digest(_))),
        "{jobs:?}"
    );
    assert_eq!(sends(&jobs, 2), 0);
    assert_eq!(edge.carried, size - PART - PART / 4);
    assert_eq!((state(&batch), edge.stored), (State::Stored, 1));
}

#[test]
fn a_stored_file_without_digests_is_completed_and_not_sent() {
    let size = 3 * PART;
    let (mut batch, mut edge) = (undigested(size), sealed(1, size));
    let jobs = run(&mut batch, &mut edge, size);
    assert_eq!(jobs, [Job::Announce, Job::Complete]);
    assert_eq!((state(&batch), edge.carried), (State::Stored, 0));
}
