//! A worker that dies, a bucket that fails, a backend that is down.

use super::*;

#[test]
fn a_worker_that_dies_at_any_step_loses_and_doubles_nothing() {
    for left in 1..4 {
        let large = Large::new();
        large.send_parts();
        large.edge.service.links.left.set(left);
        let completed = large.complete().is_ok();
        large.edge.recover();
        // The page asks again, as it does for as long as it has no answer.
        if !completed {
            large.complete().expect("a file");
        }
        large.edge.settled(large.link, 1);
        let edge = Edge::new();
        let small = edge.link();
        edge.service.links.left.set(left);
        // Whether or not the page heard of it: once reserved and put, it is settled.
        let _ = edge.put(small, PDF, None);
        edge.settled(small, 1);
    }
}

#[test]
fn a_bucket_that_fails_loses_and_doubles_nothing() {
    for operation in ["complete", "head", "read head"] {
        for fault in [Fault::Fail, Fault::DoThenFail] {
            let large = Large::new();
            large.send_parts();
            large.edge.service.bucket.fault.set((operation, fault));
            let first = large.complete();
            large.edge.recover();
            if first.is_err() {
                large.complete().expect("a file");
            }
            large.edge.settled(large.link, 1);
        }
    }
}

#[test]
fn a_put_that_stored_and_reported_failure_leaves_no_orphan() {
    for fault in [Fault::Fail, Fault::DoThenFail] {
        let edge = Edge::new();
        let link = edge.link();
        edge.service.bucket.fault.set(("put", fault));
        assert!(matches!(edge.put(link, PDF, None), Err(Failure::Bucket(_))));
        edge.settled(link, 0);
    }
}

#[test]
fn a_backend_that_was_down_hears_of_it_afterwards() {
    let edge = Edge::new();
    let link = edge.link();
    edge.backend.up.set(false);
    edge.put(link, PDF, None).expect("a file");
    edge.recover();
    assert!(edge.backend.heard.borrow().is_empty());
    edge.backend.up.set(true);
    for _ in 0..10 {
        edge.recover();
    }
    edge.check(link, 1);
}

/// An attempt that dies when R2 has the object, one that takes it over and dies too, and the alarm that
/// settles the first: it removed the object, and the page was answered 503 from then on.
#[test]
fn an_attempt_that_was_taken_over_leaves_the_object_to_the_later_one() {
    let large = Large::new();
    large.send_parts();
    let edge = &large.edge;
    let dies = || {
        edge.service.links.left.set(1);
        large.complete().expect_err("it died");
        edge.service.links.left.set(usize::MAX);
    };
    dies();
    let now = edge.service.links.now.get().plus(STUCK_AFTER);
    edge.service.links.now.set(now);
    let state = edge.service.links.links.borrow()[&large.link].clone();
    dies();
    for work in due(&state, now) {
        let policy = &state.link.policy;
        let done = edge
            .service
            .perform(large.link, policy, work, &edge.backend, &edge.list);
        block_on(done).expect("work");
    }
    edge.settled(large.link, 1);
    large.complete().expect("the file");
}

/// As R2 does after seven days, or sooner where its bucket is set up so.
#[test]
fn an_upload_that_r2_has_dropped_is_ended_and_the_file_is_taken_anew() {
    for complete in [true, false] {
        let large = Large::new();
        if complete {
            large.send_parts();
        }
        let stored = &large.edge.service.bucket.stored;
        stored.borrow_mut().multiparts.clear();
        let refused = match complete {
            true => refusal(large.complete()),
            false => refusal(large.put(part(1, large.parts[0]), large.part(1))),
        };
        assert_eq!(refused, ProblemCode::UploadAborted);
        let upload = large.known();
        assert_ne!(upload.id, large.upload.id);
        Large { upload, ..large }.stored();
    }
}
