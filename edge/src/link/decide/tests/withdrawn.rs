//! Files that who sent them takes back.

use chatlift_shared::api::{DeletedReason, Join, Receipt, ReceiptStatus};
use chatlift_shared::limits::{LINK_FILES_MAX, WITHDRAWN_MAX};
use proptest::prelude::*;

use super::*;
use crate::link::outbox::EVENTS_MAX;
use crate::link::state::EventRow;

fn withdraw(n: u8) -> command::WithdrawFile {
    command::WithdrawFile { upload: id(n) }
}

fn receipt(n: u8, status: ReceiptStatus) -> command::RecordReceipt {
    command::RecordReceipt {
        file: id(n).into(),
        receipt: Receipt::new(status),
    }
}

fn reason(kept: &Kept, n: u8) -> Option<DeletedReason> {
    kept.state().file(id(n)).expect("a file").deleted_reason
}

#[test]
fn a_withdrawn_file_gives_its_place_back_and_is_told_of_once() {
    let mut kept = Kept::new(2);
    kept.store(1, MIB);
    kept.run(withdraw(1)).expect("withdrawn");
    kept.run(withdraw(1)).expect("withdrawn already");
    assert_eq!(reason(&kept, 1), Some(DeletedReason::Withdrawn));
    assert_eq!(kept.bodies("file.deleted"), 1);
    let told = |e: &EventRow| e.body.contains("\"deleted_reason\":\"withdrawn\"");
    assert!(kept.state().events.values().any(told));
    assert!(kept.state().cleanups.contains_key(&object_cleanup(id(1))));
    assert_eq!(kept.state().view().files_left, 2);
    // The object is gone: whoever still sends or asks must not hear that the file has arrived.
    let late = ProblemCode::UploadAborted;
    assert_eq!(kept.refused(seal(1, MIB, 2)), late);
    assert_eq!(kept.refused(record_last(1, 1, MIB, 2)), late);
    assert_eq!(kept.refused(commit(1, 1)), late);
    kept.run(command::Abort { upload: id(1) }).expect("ended");
    kept.store(2, MIB);
    kept.store(3, MIB);
    assert_eq!(kept.state().link.status, Status::Completed);
    assert!(kept.bodies("link.completed") == 1 && kept.bodies("file.stored") == 3);
}

#[test]
fn a_full_link_takes_a_file_in_place_of_a_withdrawn_one() {
    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    assert_eq!(kept.state().link.status, Status::Completed);
    kept.run(withdraw(1)).expect("withdrawn");
    assert_eq!(kept.state().link.status, Status::Active);
    kept.store(2, MIB);
    assert_eq!(kept.state().link.status, Status::Completed);
    assert_eq!(kept.bodies("link.completed"), 2);
}

/// What was said of it stands: the app closed it, its time is over, its files are being joined.
#[test]
fn only_a_link_that_was_full_takes_another_file() {
    let mut closed = Kept::new(2);
    closed.store(1, MIB);
    closed.run(command::Close).expect("closed");
    closed.run(withdraw(1)).expect("withdrawn");
    assert_eq!(closed.state().link.status, Status::Completed);

    let mut over = Kept::new(1);
    over.store(1, MIB);
    over.pass(LIFETIME);
    over.run(withdraw(1)).expect("withdrawn");
    assert_eq!(over.state().link.status, Status::Completed);

    let mut joined = Kept::new(1);
    joined.state.as_mut().expect("a link").link.policy.join = Some(Join::Pdf);
    joined.store(1, MIB);
    let order = Vec::new();
    joined.run(command::Finish { order }).expect("done");
    joined.run(withdraw(1)).expect("withdrawn");
    assert_eq!(joined.state().link.status, Status::Completed);
}

#[test]
fn a_file_that_the_app_has_is_not_withdrawn() {
    for (status, taken) in [
        (ReceiptStatus::Received, false),
        (ReceiptStatus::Converted, false),
        (ReceiptStatus::Rejected, false),
        (ReceiptStatus::Delivered, true),
    ] {
        let mut kept = Kept::new(1);
        kept.store(1, MIB);
        kept.run(receipt(1, status)).expect("a receipt");
        if taken {
            assert_eq!(kept.refused(withdraw(1)), ProblemCode::FileTaken);
            assert_eq!(reason(&kept, 1), None);
        } else {
            kept.run(withdraw(1)).expect("withdrawn");
        }
    }
}

#[test]
fn a_file_that_was_deleted_otherwise_keeps_its_place_and_its_reason() {
    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    kept.run(command::DeleteFile { file: id(1).into() })
        .expect("deleted");
    kept.run(withdraw(1)).expect("gone already");
    assert_eq!(reason(&kept, 1), Some(DeletedReason::Requested));
    assert_eq!(kept.state().view().files_left, 0);

    let mut kept = Kept::new(1);
    kept.store(1, MIB);
    kept.pass(7_200);
    kept.run(command::Tick).expect("time passes");
    assert_eq!(reason(&kept, 1), Some(DeletedReason::Expired));
}

#[test]
fn a_commit_under_way_ends_without_a_file() {
    let mut kept = Kept::new(1);
    kept.seal(1, MIB);
    kept.run(withdraw(1)).expect("ended");
    assert_eq!(kept.refused(commit(1, 1)), ProblemCode::UploadAborted);
    assert_eq!(kept.bodies("file.stored"), 0);
    assert_eq!(kept.state().view().files_left, 1);
    assert!(kept.state().cleanups.contains_key(&object_cleanup(id(1))));
}

#[test]
fn a_sender_cannot_grow_a_link_by_withdrawing() {
    let mut kept = Kept::new(1);
    for n in 0..u8::try_from(WITHDRAWN_MAX).expect("few files") {
        kept.store(n, MIB);
        kept.run(withdraw(n)).expect("withdrawn");
    }
    kept.store(200, MIB);
    assert_eq!(kept.refused(withdraw(200)), ProblemCode::TooManyWithdrawn);
    assert_eq!(kept.state().link.status, Status::Completed);
}

fn any_command() -> impl Strategy<Value = AnyCommand> {
    let n = 0_u8..4;
    prop_oneof![
        n.clone().prop_map(|n| AnyCommand::from(open(n, MIB))),
        n.clone()
            .prop_map(|n| AnyCommand::from(record_last(n, 1, MIB, 1))),
        (n.clone(), 1_u64..3).prop_map(|(n, attempt)| AnyCommand::from(seal(n, MIB, attempt))),
        (n.clone(), 1_u64..3).prop_map(|(n, attempt)| AnyCommand::from(commit(n, attempt))),
        n.clone()
            .prop_map(|n| AnyCommand::from(reserve(n + 10, MIB))),
        (10_u8..14).prop_map(|n| AnyCommand::from(commit(n, 1))),
        prop_oneof![n.clone(), 10_u8..14].prop_map(|n| withdraw(n).into()),
        prop_oneof![n.clone(), 10_u8..14].prop_map(|n| withdraw(n).into()),
        n.clone()
            .prop_map(|n| AnyCommand::from(receipt(n, ReceiptStatus::Delivered))),
        n.clone()
            .prop_map(|n| AnyCommand::from(receipt(n, ReceiptStatus::Received))),
        n.prop_map(|n| AnyCommand::from(command::DeleteFile { file: id(n).into() })),
        Just(command::Close.into()),
        Just(command::Revoke.into()),
        Just(command::Tick.into()),
    ]
}

proptest! {
    /// Whatever else happens: a withdrawn file is told of once and never comes back, one that the app
    /// has stays, and no link has more files than it takes.
    #[test]
    fn a_withdrawn_file_never_comes_back(
        max_files in 1_u32..4,
        steps in prop::collection::vec((any_command(), 0_u64..60), 0..80),
    ) {
        let mut kept = Kept::new(max_files);
        for (command, wait) in steps {
            kept.pass(wait);
            let before = kept.state.clone().expect("a link");
            let _ = kept.run_any(command);
            let state = kept.state();
            prop_assert!(state.places_taken() <= max_files);
            for id in before.uploads.keys() {
                let (Some(old), Some(new)) = (before.file(*id), state.file(*id)) else {
                    continue;
                };
                if old.deleted_reason.is_some() {
                    prop_assert_eq!(old.deleted_reason, new.deleted_reason);
                }
                let delivered = old.receipt.is_some_and(|r| r.status == ReceiptStatus::Delivered);
                if delivered && old.deleted_at.is_none() {
                    prop_assert_ne!(new.deleted_reason, Some(DeletedReason::Withdrawn));
                }
            }
            let deleted = state.files().iter().filter(|f| f.deleted_at.is_some()).count();
            prop_assert_eq!(kept.bodies("file.deleted"), deleted);
            prop_assert_eq!(kept.bodies("file.stored"), state.files().len());
        }
    }
}

#[test]
fn whoever_withdraws_and_sends_again_gives_a_link_no_more_events_than_it_may_have() {
    let mut kept = Kept::new(1);
    let most = u8::try_from(WITHDRAWN_MAX).expect("few");
    for n in 1..=most {
        kept.store(n, MIB);
        kept.run(withdraw(n)).expect("withdrawn");
    }
    kept.store(most + 1, MIB);
    let last = withdraw(most + 1);
    assert_eq!(kept.refused(last), ProblemCode::TooManyWithdrawn);
    let file = id(most + 1).into();
    kept.run(command::DeleteFile { file }).expect("deleted");
    kept.pass(LIFETIME);
    kept.run(command::Tick).expect("its time is over");
    // Two for each file, and one for each time that the link had all of its files.
    let of_one = 3 * (WITHDRAWN_MAX + 1);
    let events = u32::try_from(kept.state().events.len()).expect("few");
    assert_eq!(events, of_one);
    assert!(of_one + 1 + 2 * (LINK_FILES_MAX - 1) <= EVENTS_MAX);
}
