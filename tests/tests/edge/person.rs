//! What the first app learns of the person at the upload page: that the link was opened, how far the
//! uploads are, and that the person is done.

use std::time::Duration;

use chatlift_shared::api::{Join, LinkState};
use chatlift_shared::limits::MIB;
use chatlift_shared::webhook::EventKind;
use chatlift_tests::edge::{ANY_FILE, PAGES};
use chatlift_tests::fixtures::{Random, jpeg, pdf, png};
use chatlift_tests::http::send;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::json;

#[test]
fn a_preview_of_the_link_opens_nothing_and_the_pages_program_does() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    for agent in ["WhatsApp/2", "Slackbot-LinkExpanding 1.0"] {
        for method in ["GET", "HEAD"] {
            let answer = send(method, &link.url, &[("user-agent", agent)], None);
            assert_eq!(answer.expect("the page").status, 200);
        }
    }
    assert_eq!(app.get_link(link.id).opened_at, None);
    let page = app.page(&link);
    for _ in 0..2 {
        assert_eq!(page.call("POST", "/opened", &[], None).status, 204);
    }
    let opened = app.get_link(link.id);
    assert!(opened.opened_at.is_some_and(|at| at >= link.created_at));
    assert_eq!(opened.state, LinkState::Active);
}

#[test]
fn how_far_an_upload_is_can_be_read_while_it_is_under_way() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random {
        seed: 5,
        size: 20 * MIB,
    };
    let upload = page.announce_random("video.mp4", file);
    let held = || {
        let now = app.get_link(link.id);
        assert_eq!(now.uploads, 1);
        let one = &now.under_way[0];
        assert_eq!((one.name.as_str(), one.size), ("video.mp4", file.size));
        one.held
    };
    assert_eq!(held(), 0);
    let first = file.read(0, upload.part_size);
    assert_eq!(page.send_part(&upload, 1, &first).status, 204);
    assert_eq!(held(), upload.part_size);
    let upload = page.announce_random("video.mp4", file);
    assert_eq!(page.send_parts(&upload, file).len(), 3);
    assert_eq!(held(), file.size);
}

#[test]
fn a_link_whose_files_are_joined_is_completed_when_the_person_is_done() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(PAGES);
    assert_eq!(link.join, Some(Join::Pdf));
    let page = app.page(&link);
    assert_eq!(page.data().link.expect("a link").join, Some(Join::Pdf));
    let (one, two, three) = (
        page.store("one.pdf", &pdf()),
        page.store("two.jpg", &jpeg()),
        page.store("three.png", &png()),
    );
    let order = [three.id, one.id];
    let done = json!({ "order": order });
    for _ in 0..2 {
        let bytes = serde_json::to_vec(&done).expect("JSON");
        let answer = page.call(
            "POST",
            "/done",
            &[("content-type", "application/json")],
            Some(&bytes),
        );
        assert_eq!(answer.status, 204);
    }
    assert_eq!(app.get_link(link.id).state, LinkState::Completed);
    let told = wait_for("link.completed", Duration::from_secs(30), || {
        stage
            .receiver
            .about(link.id)
            .into_iter()
            .find_map(|told| match told.event.kind {
                EventKind::LinkCompleted(ended) => Some(ended),
                _ => None,
            })
    });
    assert_eq!(told.order, [three.id, one.id, two.id]);
    assert_eq!(told.link.join, Some(Join::Pdf));
}
