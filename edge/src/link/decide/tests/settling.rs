//! Who meets an attempt waits for its end.

use core::future::{pending, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::cell::Cell;

use futures_util::FutureExt as _;

use super::*;
use crate::link::waiters::AttemptWaiters;

const SIZE: u64 = 9 * MIB;

#[test]
fn who_completes_an_upload_that_is_being_completed_has_the_file_when_it_is_one() {
    let kept = RefCell::new(Kept::new(2));
    kept.borrow_mut().seal(1, SIZE);
    let waiters = AttemptWaiters::default();
    let change = |change: &dyn Fn(&mut Kept)| {
        let before = kept.borrow().state.clone();
        change(&mut kept.borrow_mut());
        waiters.tell(before.as_ref(), kept.borrow().state());
    };
    let tries = Cell::new(0);
    let again = async || {
        tries.set(tries.get() + 1);
        Ok::<_, ()>(kept.borrow_mut().run(seal(1, SIZE, 2)))
    };
    let mut waits = pin!(waiters.decide(async |_| pending().await, again));
    assert!(waits.as_mut().now_or_never().is_none());
    assert!(waiters.is_awaited());
    // What else happens to the link is not what it waits for.
    change(&|kept| {
        let (upload, attempt) = (id(1), 1);
        let working = command::Working {
            upload,
            attempt,
            goes_on: true,
        };
        kept.run(working).expect("it goes on");
        kept.fill(2, SIZE);
    });
    assert!(waits.as_mut().now_or_never().is_none());
    assert_eq!(tries.get(), 1);
    change(&|kept| drop(kept.run(commit(1, 1)).expect("a file")));
    let answer = waits.now_or_never().expect("an answer");
    assert!(matches!(answer, Ok(Ok(Sealing::File(_)))), "{answer:?}");
    assert_eq!(tries.get(), 2);
    assert!(!waiters.is_awaited());
}

#[test]
fn who_completes_an_upload_whose_attempt_gives_up_goes_on_itself() {
    let kept = RefCell::new(Kept::new(1));
    kept.borrow_mut().seal(1, SIZE);
    let waiters = AttemptWaiters::default();
    let again = async || Ok::<_, ()>(kept.borrow_mut().run(seal(1, SIZE, 2)));
    let mut waits = pin!(waiters.decide(async |_| pending().await, again));
    assert!(waits.as_mut().now_or_never().is_none());
    let before = kept.borrow().state.clone();
    let reopen = command::Reopen {
        upload: id(1),
        attempt: 1,
        keep_parts: true,
    };
    kept.borrow_mut().run(reopen).expect("open again");
    waiters.tell(before.as_ref(), kept.borrow().state());
    let answer = waits.now_or_never().expect("an answer");
    assert!(matches!(answer, Ok(Ok(Sealing::Sealed(_)))), "{answer:?}");
}

#[test]
fn who_waits_in_vain_is_told_when_another_attempt_may_take_over() {
    let kept = RefCell::new(Kept::new(1));
    kept.borrow_mut().seal(1, SIZE);
    let (waiters, over) = (AttemptWaiters::default(), Cell::new(false));
    let pause = async |time| {
        assert_eq!(time, Duration::from_secs(5));
        poll_fn(|_| match over.get() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    };
    let again = async || Ok::<_, ()>(kept.borrow_mut().run(seal(1, SIZE, 2)));
    let mut waits = pin!(waiters.decide(pause, again));
    assert!(waits.as_mut().now_or_never().is_none());
    over.set(true);
    let answer = waits.now_or_never().expect("an answer").expect("decided");
    let problem = answer.expect_err("busy");
    assert_eq!(
        (problem.code, problem.retry_after),
        (ProblemCode::UploadBusy, Some(STUCK_AFTER.as_secs()))
    );
    assert!(!waiters.is_awaited());
}

#[test]
fn what_no_attempt_stands_in_the_way_of_is_answered_at_once() {
    let kept = RefCell::new(Kept::new(1));
    kept.borrow_mut().store(1, SIZE);
    let waiters = AttemptWaiters::default();
    let put = async || Ok::<_, ()>(kept.borrow_mut().run(reserve(2, SIZE)));
    let waits = waiters.decide(async |_| pending().await, put);
    let answer = waits.now_or_never().expect("an answer").expect("decided");
    assert_eq!(answer.expect_err("no room").code, ProblemCode::LinkFull);
    assert!(!waiters.is_awaited());
}

/// R2 took longer than the link waited, and another tab's attempt was under way by then: the file was stored twice.
#[test]
fn an_object_that_comes_late_joins_the_same_file_of_another_tab() {
    let mut kept = Kept::new(3);
    kept.seal(1, MIB);
    kept.run(command::Open {
        name: "file-1.pdf".into(),
        ..open(2, MIB)
    })
    .expect("another upload");
    kept.send_parts(2, MIB);
    let (upload, attempt, keep_parts) = (id(1), 1, true);
    kept.run(command::Reopen {
        upload,
        attempt,
        keep_parts,
    })
    .expect("reopened");
    kept.run(seal(2, MIB, 2)).expect("sealed");
    assert_eq!(kept.refused(commit(1, 1)), ProblemCode::UploadBusy);
    kept.run(commit(2, 2)).expect("a file");
    let found = kept.run(commit(1, 1)).expect("the same file");
    assert_eq!(found.file.id, id(2).into());
    assert_eq!(kept.bodies("file.stored"), 1);
    assert!(matches!(
        kept.state().uploads[&id(1)].state,
        UploadState::Aborted { .. }
    ));
}

#[test]
fn an_attempt_that_asks_again_is_answered_as_before() {
    fn twice<C>(kept: &mut Kept, command: &C) -> C::Reply
    where
        C: Decide<Reply: PartialEq + core::fmt::Debug>,
    {
        assert!(command.is_retried());
        let first = kept.run(command.clone()).expect("done");
        let before = kept.state.clone();
        let again = kept.run(command.clone()).expect("the same again");
        assert_eq!(again, first);
        assert_eq!(kept.state, before, "nothing more is changed");
        again
    }
    // In one request, and its file's only place.
    let mut kept = Kept::new(1);
    let _ = twice(&mut kept, &reserve(1, SIZE));
    let _ = twice(&mut kept, &commit(1, 1));
    // In parts, sealed by who asks to complete it, or with the last part.
    let mut kept = Kept::new(2);
    kept.fill(1, SIZE);
    let _ = twice(&mut kept, &seal(1, SIZE, 1));
    let _ = twice(&mut kept, &commit(1, 1));
    kept.run(open(2, SIZE)).expect("open");
    kept.run(record(2, 1)).expect("recorded");
    let sealed = twice(&mut kept, &record_last(2, 2, SIZE, 7));
    assert!(matches!(sealed, Some(Sealing::Sealed(_))), "{sealed:?}");
    let reopen = command::Reopen {
        upload: id(2),
        attempt: 7,
        keep_parts: true,
    };
    twice(&mut kept, &reopen);
    let _ = twice(&mut kept, &seal(2, SIZE, 8));
    let withdraw = command::Withdraw {
        upload: id(2),
        attempt: 8,
    };
    twice(&mut kept, &withdraw);
}
