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
