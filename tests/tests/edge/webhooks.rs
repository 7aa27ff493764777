//! What the business backend is told: signed, at least once, with one id for each event.

use std::time::Duration;

use chatlift_shared::api::{EventState, EventStatus, PageFile};
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::EventKind;
use chatlift_tests::edge::{ANY_FILE, APP, DOCUMENT_FORMATS, DOCUMENTS, ONE_FILE};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::scratch::{now, wait_for};
use chatlift_tests::stage::{Stage, shared};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_stored_file_is_told_with_what_the_app_gave() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link_with(
        json!({ "scene": DOCUMENTS, "subject": "case-9", "metadata": { "branch": "7" } }),
    );
    let stored = app.page(&link).store("a.pdf", &pdf());
    // The receiver keeps only what verifies, and fails the scenario over what does not.
    let told = stage
        .receiver
        .wait_stored(link.id, Sha256::of(&pdf()), WITHIN);
    let event = told.stored().expect("a stored file");
    let found = PageFile {
        ticket: None,
        ..stored.clone()
    };
    assert_eq!(PageFile::from(event.file.clone()), found);
    assert_eq!(
        (event.link.app.as_str(), event.link.scene.as_str()),
        (APP, DOCUMENTS)
    );
    assert_eq!(event.link.subject.as_deref(), Some("case-9"));
    assert_eq!(event.link.metadata["branch"], "7");
    assert_eq!(event.link.formats, DOCUMENT_FORMATS);
    assert_eq!(told.id.link(), link.id);
    assert!(told.event.timestamp <= now());
}

#[test]
fn a_link_with_all_its_files_is_told_after_them() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ONE_FILE);
    let _ = app.page(&link).store("a.pdf", &pdf());
    let told = wait_for("both events", WITHIN, || {
        Some(stage.receiver.about(link.id)).filter(|d| d.len() >= 2)
    });
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].id, told[1].id);
    let ended = told.iter().find_map(|delivery| match &delivery.event.kind {
        EventKind::LinkCompleted(ended) => Some(ended),
        _ => None,
    });
    assert_eq!(ended.expect("link.completed").files, 1);
}

#[test]
fn a_link_whose_time_is_over_is_told() {
    let stage = shared();
    let link = stage
        .edge
        .app()
        .link_with(json!({ "scene": ANY_FILE, "expires_in": 1 }));
    let told = wait_for("link.expired", WITHIN, || {
        stage.receiver.about(link.id).pop()
    });
    assert!(
        matches!(&told.event.kind, EventKind::LinkExpired(ended) if ended.files == 0),
        "{told:?}"
    );
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(stage.receiver.about(link.id).len(), 1);
}

#[test]
fn a_backend_that_fails_is_told_again_with_the_same_id() {
    // The receiver answers all links alike, so this scenario has one of its own.
    let stage = Stage::new("failing");
    stage.receiver.answer_with(500);
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let _ = app.page(&link).store("a.pdf", &pdf());
    let tries = || stage.receiver.about(link.id);
    wait_for("two tries", WITHIN, || (tries().len() >= 2).then_some(()));
    stage.receiver.answer_with(0);
    let event = tries()[0].id;
    // Rather than for the next try, half a minute away, wait for the one that is asked for.
    let status: EventStatus = app
        .call("POST", &format!("/v1/events/{event}/redeliver"), &[], None)
        .ok(202);
    assert_eq!(status.id, event);
    let _ = stage
        .receiver
        .wait_stored(link.id, Sha256::of(&pdf()), WITHIN);
    let all = tries();
    assert!(all.iter().all(|delivery| delivery.id == event), "{all:?}");
    assert!(
        all[0].at.until(all[1].at) >= Duration::from_secs(3),
        "the first retry came at once"
    );
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        tries().len(),
        all.len(),
        "told again after it was acknowledged"
    );
}

#[test]
fn a_backend_that_was_down_is_told_after_it_comes_back() {
    let stage = Stage::new("down");
    stage.receiver.stop();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let stored = app.page(&link).store("a.pdf", &pdf());
    // The first try has failed by now.
    std::thread::sleep(Duration::from_secs(2));
    stage.receiver.start_again();
    let told = stage.receiver.wait_stored(link.id, stored.sha256, WITHIN);
    std::thread::sleep(Duration::from_secs(2));
    let all = stage.receiver.about(link.id);
    assert_eq!(all.iter().map(|d| d.id).collect::<Vec<_>>(), [told.id]);
    let again: EventStatus = app
        .call(
            "POST",
            &format!("/v1/events/{}/redeliver", told.id),
            &[],
            None,
        )
        .ok(202);
    assert!(
        again.attempts >= 2 && again.state != EventState::Parked,
        "{again:?}"
    );
}

#[test]
fn an_acknowledged_event_can_be_asked_for_again() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let stored = app.page(&link).store("a.pdf", &pdf());
    let told = stage.receiver.wait_stored(link.id, stored.sha256, WITHIN);
    let status: EventStatus = app
        .call(
            "POST",
            &format!("/v1/events/{}/redeliver", told.id),
            &[],
            None,
        )
        .ok(202);
    assert_eq!(status.id, told.id);
    let again = wait_for("the second telling", WITHIN, || {
        stage.receiver.about(link.id).get(1).cloned()
    });
    assert_eq!(again.id, told.id);
    assert_eq!(again.stored(), told.stored());
}
