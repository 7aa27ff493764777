//! What becomes of a file: its event, its receipts, its end.

use chatlift_shared::api::ReceiptStatus::{Converted, Delivered, Received, Rejected};
use chatlift_shared::api::{EventState, LeftOut, Receipt, ReceiptStatus};
use chatlift_shared::limits::{LEFT_OUT_NAMES_MAX, NAME_MAX};

use super::*;
use crate::link::command::Outcome;

/// A receipt for file 1.
fn receipt(status: ReceiptStatus, attempt: u32) -> command::RecordReceipt {
    command::RecordReceipt {
        file: id(1).into(),
        receipt: Receipt {
            attempt,
            ..Receipt::new(status)
        },
    }
}

/// A receipt for file 1 that tells the digest of the whole.
fn receipt_with(status: ReceiptStatus, digest: Sha256) -> command::RecordReceipt {
    let mut command = receipt(status, 0);
    command.receipt.sha256 = Some(digest);
    command
}

#[test]
fn names_of_left_out_members_are_made_safe_and_too_many_are_refused() {
    let mut kept = Kept::new(1);
    kept.store(1, 9 * MIB);
    let with = |names: Vec<String>| {
        let mut command = receipt(Delivered, 0);
        let (count, of) = (21, 30);
        command.receipt.left_out = Some(LeftOut { count, of, names });
        command
    };
    let too_many = with(vec!["a".to_owned(); LEFT_OUT_NAMES_MAX + 1]);
    let problem = kept.run(too_many).expect_err("too many");
    assert_eq!(problem.code, ProblemCode::InvalidRequest);
    assert_eq!(problem.field.as_deref(), Some("left_out.names"));
    assert_eq!(problem.limit, Some(LEFT_OUT_NAMES_MAX as u64));
    assert_eq!(kept.state().files()[0].receipt, None, "nothing is kept");

    let hostile = [
        "fo\u{202e}fdp.exe".to_owned(),
        "../../<b>\0\n.dwg".to_owned(),
        "票".repeat(400),
    ];
    let mut names = vec!["plan.dwg".to_owned(); LEFT_OUT_NAMES_MAX - hostile.len()];
    names.extend(hostile);
    let told = with(names);
    for _again in 0..2 {
        kept.run(told.clone()).expect("taken");
        let file = &kept.state().files()[0];
        let left = file.receipt.clone().expect("a receipt").left_out;
        let left = left.expect("the members");
        assert_eq!((left.count, left.of), (21, 30));
        let safe = ["plan.dwg", "fofdp.exe", "b.dwg", &"票".repeat(NAME_MAX / 3)];
        assert_eq!(left.names[LEFT_OUT_NAMES_MAX - 4..], safe);
    }
}

#[test]
fn the_backend_tells_the_digest_of_the_whole_once() {
    let mut kept = Kept::new(1);
    kept.store(1, 9 * MIB);
    let digest = |kept: &Kept| kept.state().files()[0].sha256;
    assert_eq!(digest(&kept), None);
    let whole = Sha256::of(b"whole");
    kept.run(receipt_with(Received, whole)).expect("told");
    kept.run(receipt(Delivered, 0)).expect("told");
    assert_eq!(digest(&kept), Some(whole));
}

#[test]
fn a_receipt_cannot_contradict_the_digest_that_the_edge_computed() {
    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    let wrong = receipt_with(Received, Sha256::of(b"whole"));
    assert_eq!(kept.refused(wrong), ProblemCode::DigestMismatch);
    kept.run(receipt_with(Received, part_of(1).sha256))
        .expect("told");
}

#[test]
fn an_event_is_tried_until_acknowledged_or_parked_with_one_id() {
    let mut kept = Kept::new(2);
    kept.store(1, MIB);
    let event = *kept.state().events.keys().next().expect("an event");
    let tried = |attempt, outcome| tried(event, attempt, outcome);
    kept.run(tried(1, Outcome::Failed { retry_after: None }))
        .expect("a failure");
    assert!(due(kept.state(), kept.now).is_empty());
    kept.pass(5);
    assert!(
        matches!(due(kept.state(), kept.now).as_slice(), [Work::Send(s)] if s.event == event && s.attempt == 2)
    );
    // Reported twice, as after a crash: counted once.
    kept.run(tried(1, Outcome::Failed { retry_after: None }))
        .expect("known already");
    assert_eq!(kept.state().events[&event].attempts, 1);
    kept.run(tried(2, Outcome::Acknowledged))
        .expect("acknowledged");
    assert!(due(kept.state(), kept.now).is_empty());
    kept.run(command::Redeliver { event }).expect("again");
    assert_eq!(due(kept.state(), kept.now).len(), 1);
    // A disabled endpoint is not the event's fault: it waits.
    kept.run(tried(3, Outcome::Gone)).expect("gone");
    let row = kept.state().events[&event].clone();
    assert_eq!((row.state, row.attempts), (EventState::Pending, 3));
    assert_eq!(row.next_at, kept.now.plus(Duration::from_secs(30 * 60)));
    kept.pass(30 * 60);
    kept.run(tried(4, Outcome::Held)).expect("held");
    assert_eq!(kept.state().events[&event].attempts, 3, "not tried");
    kept.pass(3 * 86_400);
    kept.run(tried(4, Outcome::Held)).expect("held to the end");
    assert_eq!(kept.state().events[&event].state, EventState::Parked);
}

#[test]
fn receipts_go_forward_only() {
    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    kept.run(receipt(Received, 0)).expect("received");
    kept.run(receipt(Converted, 0)).expect("converted");
    kept.run(receipt(Converted, 0)).expect("repeated");
    assert_eq!(
        kept.refused(receipt(Received, 0)),
        ProblemCode::ReceiptOutOfOrder
    );
    kept.run(receipt(Delivered, 0)).expect("delivered");
    assert_eq!(
        kept.refused(receipt(Rejected, 0)),
        ProblemCode::ReceiptOutOfOrder
    );
}

#[test]
fn a_rejected_file_that_is_taken_up_again_has_receipts_anew() {
    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    let late = ProblemCode::ReceiptOutOfOrder;
    kept.run(receipt(Rejected, 0)).expect("rejected");
    assert_eq!(kept.refused(receipt(Delivered, 0)), late);
    kept.run(receipt(Received, 1)).expect("a new attempt");
    assert_eq!(kept.refused(receipt(Rejected, 0)), late);
    assert_eq!(kept.refused(receipt(Converted, 0)), late);
    kept.run(receipt(Converted, 1)).expect("converted");
    kept.run(receipt(Delivered, 1)).expect("delivered");
    assert_eq!(kept.refused(receipt(Received, 2)), late);
}

#[test]
fn a_file_is_deleted_once_and_when_its_time_is_over() {
    let mut kept = Kept::new(2);
    kept.store(1, MIB);
    kept.store(2, MIB);
    kept.run(command::DeleteFile { file: id(1).into() })
        .expect("deleted");
    assert_eq!(kept.state().cleanups.len(), 1);
    kept.run(command::Cleaned {
        cleanup: format!("object:{}", id(1)),
        done: true,
    })
    .expect("gone");
    kept.run(command::DeleteFile { file: id(1).into() })
        .expect("deleted already");
    assert!(kept.state().cleanups.is_empty());
    kept.pass(7_200);
    kept.run(command::Tick).expect("time passes");
    assert!(kept.state().files().iter().all(|f| f.deleted_at.is_some()));
    assert_eq!(kept.state().cleanups.len(), 1);
}
