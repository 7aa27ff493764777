//! The page where its program has not arrived, cannot run, or is not wanted: real Chromium.

use std::time::Duration;

use chatlift_shared::digest::Sha256;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::DOCUMENTS;
use chatlift_tests::fixtures::{self, elf, pdf};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// Presses the form's own button.
fn send(phone: &Browser) {
    let button = phone.session().find(&mark("form-send")).expect("a button");
    phone.session().click(&button).expect("a button to press");
}

#[test]
fn without_script_the_form_uploads() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::english();
    phone.session().devtools(
        "Emulation.setScriptExecutionDisabled",
        &json!({ "value": true }),
    );
    phone.open(&link.url);
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.pick(&[&path]);
    send(&phone);
    let _ = stage
        .receiver
        .wait_stored(link.id, Sha256::of(&pdf()), WITHIN);
    wait_for("the page that says what became of it", WITHIN, || {
        phone.session().find("li.yes")
    });
}

#[test]
fn without_webassembly_the_form_uploads_and_says_what_it_refused() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::english();
    phone.session().devtools("Network.enable", &json!({}));
    phone
        .session()
        .devtools("Network.setBlockedURLs", &json!({ "urls": ["*.wasm"] }));
    phone.open(&link.url);
    phone.sees("html[data-state=form]", 1);
    let good = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    let bad = fixtures::write(phone.folder(), "program.pdf", &elf());
    phone.pick(&[&good, &bad]);
    send(&phone);
    phone.sees_within("li.yes", 1, WITHIN);
    phone.sees("li.no", 1);
    let files = app.get_link(link.id).files;
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].sha256, Sha256::of(&pdf()));
}

#[test]
fn a_pick_made_before_the_program_arrives_is_taken_over() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::english();
    // Some 3 s for the program: time enough for a pick.
    phone.session().slow(20_000);
    phone.open(&link.url);
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.pick(&[&path]);
    let state = phone
        .session()
        .script("return document.documentElement.dataset.state", &json!([]));
    assert_eq!(state, "loading", "the program was there before the pick");
    phone.sees_within(&row("ready"), 1, WITHIN);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    assert_eq!(app.get_link(link.id).files[0].sha256, Sha256::of(&pdf()));
}
