//! What the page says is so.

use std::collections::BTreeSet;
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_shared::limits::MIB;
use chatlift_tests::browser::{Browser, file_receipt, mark};
use chatlift_tests::client::App;
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS};
use chatlift_tests::engine::{Engine, Setting};
use chatlift_tests::fixtures::{self, Random, pdf};
use chatlift_tests::network::{Cut, Network, Profile};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(60);

fn run(phone: &Browser, script: &str) -> Value {
    phone.session().script(script, &json!([]))
}

/// Sends [`pdf`] and waits for the success.
fn send(phone: &Browser, link: &Link) {
    let path = fixtures::write(phone.folder(), "invoice.pdf", &pdf());
    phone.choose(&link.url, &path);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
}

/// What became of the link's only file, by its app.
fn say(app: &App, link: &Link, receipt: &Value) {
    let file = app.get_link(link.id).files[0].id;
    let path = format!("/v1/files/{file}/receipt");
    assert!(app.call("POST", &path, &[], Some(receipt)).status < 300);
}

/// Notes all that the file's row and the bar say from now on.
const NOTE_ALL: &str = "
    window.noted = new Set();
    const note = () => noted.add(document.querySelector('.row .meta').textContent
      + document.querySelector('.bar .small').textContent);
    note();
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true });";

/// Counts the announcements that leave from now on.
const COUNT_TRIES: &str = r"
    const { fetch } = window;
    window.tries = 0;
    window.fetch = (request) => {
      tries += /uploads$/.test(request.url);
      return fetch(request);
    };";

/// A network goes without a word, and the page's requests hang: nothing moves, nothing fails.
#[test]
fn while_nothing_moves_neither_a_speed_nor_a_time_left_is_said() {
    /// What follows on how far it is.
    const SPEED: &str = "/s";
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    let profile = Profile {
        bits_per_second: 2_000_000,
        round_trip: Duration::from_millis(50),
    };
    let network = Network::before(&stage.edge.origin(), profile);
    let phone = Browser::english();
    let path = Random {
        seed: 92,
        size: 16 * MIB,
    }
    .write(phone.folder(), "film.mp4");
    phone.choose(&network.url(&link.url), &path);
    phone.click(&mark("confirm"));
    let said = || phone.text(".bar .small");
    let note = || phone.text(&format!("{} .meta", mark("file-row")));
    wait_for("a speed", WITHIN, || said().contains(SPEED).then_some(()));
    network.cut(Cut::Silent);
    // Before the page gives the requests up that hang.
    wait_for("no speed", WITHIN, || {
        let (said, note) = (said(), note());
        assert!(!note.contains("trying again"), "{note}: {said}");
        (!said.contains(SPEED) && !said.contains("left")).then_some(())
    });
    wait_for("a wait", WITHIN, || {
        note().contains("trying again").then_some(())
    });
    // Nor when it tries again, which hangs too: it says the same all the time.
    let _ = run(&phone, NOTE_ALL);
    let _ = run(&phone, COUNT_TRIES);
    wait_for("two tries", WITHIN, || {
        (run(&phone, "return window.tries").as_u64() >= Some(2)).then_some(())
    });
    let noted = run(&phone, "return [...window.noted]");
    for noted in noted.as_array().expect("what it said") {
        let noted = noted.as_str().unwrap_or_default();
        assert!(noted.contains("trying again"), "{noted}");
        assert!(!noted.contains(SPEED) && !noted.contains("left"), "{noted}");
    }
    network.restore();
    wait_for("a speed", WITHIN, || said().contains(SPEED).then_some(()));
}

#[test]
fn nobody_is_offline_whose_bytes_flow() {
    let link = shared().edge.app().link(ANY_FILE);
    let phone = Browser::english();
    let path = Random {
        seed: 91,
        size: 4 * MIB,
    }
    .write(phone.folder(), "film.mp4");
    phone.choose(&link.url, &path);
    // As some in-app browsers say while they are connected.
    let _ = run(
        &phone,
        "Object.defineProperty(navigator, 'onLine', { get: () => false })",
    );
    phone.upload_at(1_000_000);
    let mut moved = BTreeSet::new();
    wait_for("all of it", WITHIN, || {
        let said = phone.text(".bar .small");
        assert!(!said.contains("offline"), "{said}");
        moved.extend(phone.attribute(&mark("progress-all"), "aria-valuenow"));
        (phone.count(&mark("success")) == 1).then_some(())
    });
    assert!(moved.len() > 1, "no bytes were seen to flow: {moved:?}");
}

#[test]
fn a_link_that_the_clipboard_refused_is_shown_to_be_copied_by_hand() {
    let link = shared().edge.app().link(DOCUMENTS);
    let phone = Browser::english();
    let inside = json!({ "userAgent": "Mozilla/5.0 (Linux; Android 13; wv) AppleWebKit/537.36 Chrome/116.0.0.0 \
        Mobile Safari/537.36;KAKAOTALK 2410300" });
    let _ = phone
        .session()
        .devtools("Network.setUserAgentOverride", &inside);
    phone.open(&link.url);
    phone.sees(r#"[data-testid="in-app-help"][data-app="kakaotalk"]"#, 1);
    let refuse = "Object.defineProperty(navigator, 'clipboard', {
        value: { writeText: () => Promise.reject(new Error('refused')) } })";
    let _ = run(&phone, refuse);
    phone.click("summary");
    phone.click(".help .again");
    assert_eq!(phone.read(&mark("notice")), link.url);
}

fn a_person_gets_a_receipt_number_and_a_rejected_file_has_not_arrived_well(engine: Engine) {
    let app = shared().edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::with(engine, &Setting::default());
    send(&phone, &link);
    let number = link.id.to_string().replace("lnk_", "");
    let said = phone.read(&mark("receipt-number"));
    assert!(said.starts_with(&format!("Receipt {number}, ")), "{said}");
    assert_eq!(phone.read("h2"), "Your file has arrived");
    phone.click("summary");
    phone.sees("details[open]", 1);
    say(
        &app,
        &link,
        &json!({ "status": "rejected", "code": "unreadable", "reason": "Broken." }),
    );
    phone.sees_within(&file_receipt("rejected"), 1, WITHIN);
    phone.sees("details[open]", 1);
    assert_eq!(phone.read("h2"), "Not every file can be used");
    // As far as it came.
    phone.sees(".marks .on", 2);
    assert!(phone.read(&mark("receipt-reason")).contains("damaged"));
}

#[test]
fn what_was_left_out_of_an_archive_is_said_in_the_readers_language_and_names_are_only_text() {
    let app = shared().edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::chinese();
    send(&phone, &link);
    let names = [
        "plan.dwg",
        "合同.pages",
        "{n}\u{202e}<img src=x onerror=alert(1)>.exe",
    ];
    say(
        &app,
        &link,
        &json!({
            "status": "delivered", "code": "members-left-out",
            "reason": "4 of 5 files could not be used: plan.dwg, 合同.pages, …",
            "left_out": { "count": 4, "of": 5, "names": names }
        }),
    );
    phone.sees_within(&file_receipt("delivered"), 1, WITHIN);
    assert_eq!(
        phone.read(&mark("receipt-reason")),
        "其中 5 个文件里有 4 个无法使用："
    );
    let names = r#"return [...document.querySelectorAll('[data-testid="left-out"] li')]
        .map((li) => li.textContent)"#;
    let expected = json!([
        "plan.dwg",
        "合同.pages",
        "{n}img src=x onerror=alert(1).exe",
        "…"
    ]);
    assert_eq!(run(&phone, names), expected);
    phone.sees(&format!("{} img", mark("left-out")), 0);
}

fn what_was_left_out_of_a_delivered_archive_is_named(engine: Engine) {
    let app = shared().edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::with(engine, &Setting::default());
    send(&phone, &link);
    say(
        &app,
        &link,
        &json!({ "status": "delivered", "reason": "Left out: setup.exe" }),
    );
    phone.sees_within(&file_receipt("delivered"), 1, WITHIN);
    assert_eq!(phone.read(&mark("receipt-reason")), "Left out: setup.exe");
    phone.sees(".marks .on", 3);
}

#[test]
fn an_app_that_has_the_files_is_not_said_to_be_notified_some_time() {
    let app = shared().edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::english();
    send(&phone, &link);
    let promised = "will be notified";
    assert!(phone.read(&mark("success")).contains(promised));
    say(&app, &link, &json!({ "status": "received" }));
    phone.sees_within(&file_receipt("received"), 1, WITHIN);
    let said = phone.read(&mark("success"));
    assert!(!said.contains(promised), "{said}");
    assert!(said.contains("has received what you sent"), "{said}");
}

engines!(chromium: Chromium, firefox: Firefox, webkit: WebKit => {
    a_person_gets_a_receipt_number_and_a_rejected_file_has_not_arrived_well,
    what_was_left_out_of_a_delivered_archive_is_named,
});
