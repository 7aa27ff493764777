//! A link: its ends, and what is under way then; its openings; whose it is.

use chatlift_shared::FileId;
use chatlift_shared::api::Join;
use chatlift_shared::webhook::Event;

use super::*;
use crate::link::work::joined_at;

#[test]
fn an_ended_link_takes_nothing_and_aborts_what_is_under_way() {
    for (end, code, event) in [
        (
            AnyCommand::from(command::Revoke),
            ProblemCode::LinkRevoked,
            "none",
        ),
        (
            command::Tick.into(),
            ProblemCode::LinkExpired,
            "link.expired",
        ),
    ] {
        let mut kept = Kept::new(3);
        kept.fill(1, MIB);
        if matches!(end, AnyCommand::Tick(_)) {
            kept.pass(LIFETIME);
        }
        kept.run_any(end).expect("the end");
        assert_eq!(kept.refused(reserve(2, 1)), code);
        assert_eq!(kept.refused(seal(1, MIB, 1)), code);
        assert_eq!(kept.refused(record(1, 1)), code);
        assert_eq!(kept.bodies(event), usize::from(event != "none"));
        assert!(kept.held.borrow().is_empty());
        assert!(matches!(
            due(kept.state(), kept.now).first(),
            Some(Work::Clean { .. })
        ));
    }
}

#[test]
fn expiry_needs_no_alarm_to_be_kept() {
    let mut kept = Kept::new(1);
    kept.pass(LIFETIME);
    assert_eq!(kept.refused(reserve(1, 1)), ProblemCode::LinkExpired);
}

#[test]
fn a_commit_that_was_sealed_in_time_outlives_the_link() {
    let mut kept = Kept::new(1);
    kept.run(reserve(1, 1)).expect("reserved");
    kept.pass(LIFETIME);
    kept.run(commit(1, 1)).expect("a file");
    assert_eq!(kept.bodies("file.stored"), 1);
    assert_eq!(kept.state().link.status, Status::Expired);
}

#[test]
fn a_commit_under_way_when_the_link_is_revoked_leaves_no_object() {
    let mut kept = Kept::new(1);
    kept.run(reserve(1, 1)).expect("reserved");
    kept.run(command::Revoke).expect("revoked");
    assert_eq!(kept.refused(commit(1, 1)), ProblemCode::LinkRevoked);
    let due_at = kept
        .state()
        .cleanups
        .values()
        .next()
        .expect("a cleanup")
        .due;
    assert!(
        due_at > kept.now.plus(STUCK_AFTER),
        "after the worker has given up"
    );
    assert_eq!(kept.bodies("file.stored"), 0);
}

#[test]
fn a_preview_is_no_opening_and_the_first_opening_stays() {
    let mut kept = Kept::new(1);
    kept.run(command::Read).expect("a preview");
    assert_eq!(kept.state().link.opened_at, None);
    kept.run(command::Opened).expect("a person");
    kept.pass(60);
    kept.run(command::Opened).expect("again");
    assert_eq!(kept.state().link.opened_at, Some(START));
}

#[test]
fn a_link_that_joins_is_completed_when_the_person_is_done_in_the_order_of_the_pick() {
    let mut plain = Kept::new(3);
    plain.store(1, MIB);
    let done = |order: &[u8]| command::Finish {
        order: order.iter().map(|n| id(*n).into()).collect(),
    };
    plain.run(done(&[1])).expect("nothing");
    assert_eq!(plain.state().link.status, Status::Active);

    let mut kept = Kept::new(9);
    kept.state.as_mut().expect("a link").link.policy.join = Some(Join::Pdf);
    kept.run(done(&[])).expect("nothing yet");
    assert_eq!(kept.state().link.status, Status::Active);
    for n in [4, 3, 2, 1] {
        kept.store(n, MIB);
        kept.pass(1);
    }
    // One that is not of this link, one twice, and two left out: these follow as they began.
    kept.run(done(&[2, 77, 2, 1])).expect("done");
    kept.run(done(&[1, 2])).expect("done already");
    assert_eq!(kept.state().link.status, Status::Completed);
    let told: Vec<_> = kept
        .state()
        .events
        .values()
        .filter_map(|row| serde_json::from_str::<Event>(&row.body).ok())
        .filter_map(|event| match event.kind {
            EventKind::LinkCompleted(ended) => Some(ended.order),
            _ => None,
        })
        .collect();
    let expected: Vec<FileId> = [2, 1, 4, 3].map(|n| id(n).into()).to_vec();
    assert_eq!(told, [expected]);
}

/// Its last file completed it, and the order that its page told a moment later was lost.
#[test]
fn a_full_link_that_joins_waits_for_the_order_but_not_for_ever() {
    for is_told in [true, false] {
        let mut kept = Kept::new(2);
        kept.state.as_mut().expect("a link").link.policy.join = Some(Join::Pdf);
        kept.store(1, MIB);
        kept.store(2, MIB);
        assert_eq!(kept.state().link.status, Status::Active);
        assert_eq!(kept.refused(reserve(3, MIB)), ProblemCode::LinkFull);
        if is_told {
            let order = [2, 1].map(|n| id(n).into()).to_vec();
            kept.run(command::Finish { order }).expect("done");
        } else {
            kept.pass(29);
            kept.run(command::Tick).expect("a tick");
            assert_eq!(kept.state().link.status, Status::Active);
            kept.pass(1);
            assert_eq!(joined_at(kept.state()), Some(kept.now));
            kept.run(command::Tick).expect("a tick");
        }
        assert_eq!(kept.state().link.status, Status::Completed);
        let first = if is_told { 2 } else { 1 };
        let told = kept.state().events.values().any(|row| {
            let order = format!("\"order\":[\"{}\"", FileId::from(id(first)));
            row.body.contains(&order)
        });
        assert!(told, "{is_told}");
    }
}

#[test]
fn another_apps_link_is_not_there() {
    let mut kept = Kept::new(1);
    let command = |app: &str| For {
        app: app.parse().expect("an app id"),
        missing: ProblemCode::FileNotFound,
        command: command::Read,
    };
    assert_eq!(kept.refused(command("other")), ProblemCode::FileNotFound);
    kept.run(command("demo")).expect("the link");
}
