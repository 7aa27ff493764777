//! Files that are given up: nothing of them is left at the edge once they are said to be gone.

use proptest::prelude::*;

use super::*;

/// What comes of the one request that is under way when the file is given up, and of later ones.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Answered,
    /// It never reaches the edge.
    Lost,
    /// The edge does it, and the answer is lost.
    AnswerLost,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Answered),
        Just(Outcome::Lost),
        Just(Outcome::AnswerLost)
    ]
}

fn settle(edge: &mut Edge, size: u64, job: Job, outcome: Outcome) -> Event {
    match outcome {
        Outcome::Answered => edge.answer(1, size, job),
        Outcome::Lost => Event::Failed(job, Failure::Network),
        Outcome::AnswerLost => {
            edge.answer(1, size, job);
            Event::Failed(job, Failure::Network)
        }
    }
}

proptest! {
    #[test]
    fn what_is_said_to_be_cancelled_does_not_arrive(
        size in prop_oneof![1..=CHUNK_FIRST, CHUNK_FIRST + 1..=3 * PART],
        after in 0..40_usize,
        under_way in outcome(),
        later in prop::collection::vec(outcome(), 0..6),
    ) {
        let (mut batch, mut edge) = (Batch::default(), Edge::default());
        batch.start(1, size, CHUNK_FIRST, true);
        let (mut now, mut jobs, mut cancelled) = (0.0, 0, false);
        let mut later = later.into_iter();
        loop {
            let Some((_, run, job)) = batch.next(now) else {
                match batch.wakes_at(now) {
                    Some(at) => { now = at; continue }
                    None => break,
                }
            };
            jobs += 1;
            prop_assert!(jobs < 2_000, "it does not end");
            let mut outcome = Outcome::Answered;
            if jobs > after && !cancelled {
                cancelled = true;
                outcome = under_way;
                if !batch.cancel(1) {
                    // Forgotten at once: its request is cut, and the edge is told in the background.
                    settle(&mut edge, size, job, outcome);
                    prop_assert_eq!(edge.stored, 0);
                    return Ok(());
                }
            } else if cancelled {
                outcome = later.next().unwrap_or(Outcome::Answered);
            }
            let event = match job {
                Job::Digest(_) => edge.answer(1, size, job),
                job => settle(&mut edge, size, job, outcome),
            };
            batch.on(1, run, event, now, true, 0.5);
        }
        match state(&batch) {
            State::Cancelled => prop_assert_eq!(edge.stored, 0),
            State::Stored => prop_assert!(!cancelled),
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert!(!batch.is_live());
    }
}

#[test]
fn a_file_that_the_app_has_is_not_said_to_be_cancelled() {
    let mut batch = one(1);
    let (key, run, job) = batch.next(0.0).expect("a job");
    assert!(batch.cancel(key));
    assert_eq!(batch.next(0.0), None);
    batch.on(key, run, Event::Stored, 0.0, true, 0.5);
    assert_eq!(job, Job::Whole);
    let (.., job) = batch.next(0.0).expect("it is taken back");
    assert_eq!(job, Job::Cancel);
    let taken = refusal(ProblemCode::FileTaken, Vec::new());
    batch.on(key, run, Event::Failed(job, taken.clone()), 0.0, true, 0.5);
    assert_eq!(state(&batch), State::Failed(taken));
}
