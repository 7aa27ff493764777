//! Every state has a way out of it, beside what is wrong.

use std::time::Duration;

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::MIB;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS};
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::fixtures::{self, Random, elf, jpeg, pdf};
use chatlift_tests::stage::shared;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(60);

/// Counts clicks on the input, which opens no picker meanwhile.
const COUNT_CLICKS: &str =
    "window.clicks = 0; document.getElementById('pick').addEventListener('click', e => {
    e.preventDefault(); window.clicks += 1; });";

fn another_file_takes_the_place_of_the_one_that_was_refused(engine: Engine) {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::with(engine, &Setting::default());
    phone.open(&link.url);
    let wrong = fixtures::write(phone.folder(), "program.exe", &elf());
    let good = fixtures::write(phone.folder(), "good.pdf", &pdf());
    phone.pick(&[&wrong]);
    phone.sees(&row("refused"), 1);
    let _ = phone.session().script(COUNT_CLICKS, &json!([]));
    phone.click(&mark("choose"));
    let clicks = phone.session().script("return window.clicks", &json!([]));
    assert_eq!(clicks, json!(1), "the picker was not opened");
    phone.pick(&[&good]);
    phone.sees(&row("ready"), 1);
    phone.sees(&row("refused"), 0);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    assert_eq!(app.get_link(link.id).files.len(), 1);
}

#[test]
fn files_are_added_while_others_upload() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let film = Random {
        seed: 81,
        size: 6 * MIB,
    };
    let path = film.write(phone.folder(), "film.mp4");
    phone.choose(&link.url, &path);
    phone.upload_at(1_000_000);
    let more = [("a.pdf", pdf()), ("b.jpg", jpeg())];
    let more = more.map(|(name, bytes)| fixtures::write(phone.folder(), name, &bytes));
    phone.pick(&[&more[0]]);
    phone.sees(&row("ready"), 1);
    assert_eq!(
        phone.count(&mark("pause-all")),
        1,
        "what was on its way stopped"
    );
    phone.click(&mark("confirm"));
    phone.sees(&row("ready"), 0);
    // One that is not confirmed when all others have arrived is not lost, nor sent by itself.
    phone.pick(&[&more[1]]);
    phone.sees(&row("ready"), 1);
    phone.sees_within(&row("stored"), 2, WITHIN);
    phone.sees(&mark("pause-all"), 0);
    assert_eq!(app.get_link(link.id).files.len(), 2);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let mut stored: Vec<_> = app
        .get_link(link.id)
        .files
        .iter()
        .map(|f| f.sha256)
        .collect();
    let mut sent = [film.sha256(), Sha256::of(&pdf()), Sha256::of(&jpeg())].map(Some);
    stored.sort_unstable();
    sent.sort_unstable();
    assert_eq!(stored, sent);
}

#[test]
fn what_was_added_meanwhile_can_be_taken_off_again() {
    let link = shared().edge.app().link(ANY_FILE);
    let phone = Browser::english();
    let path = Random {
        seed: 83,
        size: 3 * MIB,
    }
    .write(phone.folder(), "film.mp4");
    phone.choose(&link.url, &path);
    phone.upload_at(1_000_000);
    phone.pick(&[&fixtures::write(phone.folder(), "a.pdf", &pdf())]);
    phone.sees_within(&row("stored"), 1, WITHIN);
    phone.click(&mark("remove"));
    phone.sees(&mark("success"), 1);
}

#[test]
fn a_link_that_ended_in_the_middle_offers_no_more_files() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let path = Random {
        seed: 82,
        size: 20 * MIB,
    }
    .write(phone.folder(), "film.mp4");
    phone.choose(&link.url, &path);
    phone.upload_at(2_000_000);
    assert_eq!(app.revoke(link.id).status, 204);
    phone.sees_within(&mark("problem"), 1, WITHIN);
    assert_eq!(phone.problem().0, "link-revoked");
    phone.sees(&mark("pick-button"), 0);
    phone.sees(&mark("choose"), 0);
    let closed = phone.session().script(
        "return document.getElementById('pick').disabled",
        &json!([]),
    );
    assert_eq!(closed, Value::Bool(true));
}

engines!(chromium: Chromium, firefox: Firefox, webkit: WebKit => {
    another_file_takes_the_place_of_the_one_that_was_refused,
});
