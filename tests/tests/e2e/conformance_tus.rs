//! Uppy with its tus plugin, as npm serves both, in a page of its own in Chromium, against the edge
//! in workerd.

use std::process::Command;
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_shared::digest::Sha256;
use chatlift_tests::browser::Browser;
use chatlift_tests::edge::{ANY_FILE, Setup};
use chatlift_tests::outside::script;
use chatlift_tests::scratch::{Folder, wait_for};
use chatlift_tests::stage::Stage;
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(120);

/// Size of what is sent: more than two parts.
const SIZE: u64 = 20_000_003;

const PAGE: &str = "<!doctype html><meta charset=\"utf-8\"><title>Uppy</title>\
    <script src=\"/assets/uppy.js\"></script>";

/// An edge that serves a page with Uppy in it.
fn stage(name: &str) -> Stage {
    let folder = Folder::new("uppy");
    let bundle = folder.path().join("uppy.js");
    let status = Command::new(xtask::root::npm_bin("esbuild"))
        .arg(script("uppy.mjs"))
        .args(["--bundle", "--log-level=error", "--platform=browser"])
        .arg(format!("--outfile={}", bundle.display()))
        .status()
        .expect("esbuild");
    assert!(status.success());
    let bundle = std::fs::read(bundle).expect("a bundle");
    let setup = Setup::new(name)
        .with_asset("uppy.js", bundle)
        .with_asset("uppy.html", PAGE.into());
    Stage::with(setup)
}

/// Opens the page and begins to send.
fn send(stage: &Stage, link: &Link, options: &Value) -> Browser {
    let browser = Browser::english();
    browser.open(&format!("{}/assets/uppy.html", stage.edge.origin()));
    let _ = browser.session().script(
        "chatlift.start(arguments[0], arguments[1], arguments[2])",
        &json!([format!("{}/tus", link.url), SIZE, options]),
    );
    browser
}

fn see(browser: &Browser, what: &str) -> Value {
    browser
        .session()
        .script("return chatlift[arguments[0]]", &json!([what]))
}

fn wait_sent(browser: &Browser, bytes: u64) {
    wait_for("bytes on their way", WITHIN, || {
        (see(browser, "sent").as_u64() > Some(bytes)).then_some(())
    });
}

/// Waits until Uppy is done; what it sent is what is stored.
fn stored(stage: &Stage, link: &Link, browser: &Browser) {
    wait_for("the end of the upload", WITHIN, || {
        let state = see(browser, "state");
        assert_ne!(state, "failed", "{}", see(browser, "error"));
        (state == "done").then_some(())
    });
    let sent = see(browser, "sha256");
    let sha256: Sha256 = sent
        .as_str()
        .and_then(|s| s.parse().ok())
        .expect("a digest");
    let app = stage.edge.app();
    let file = app.get_link(link.id).files.remove(0);
    assert_eq!(file.name, "from uppy.bin");
    assert_eq!(app.sha256(file.id), sha256);
    let told = || {
        stage
            .receiver
            .about(link.id)
            .into_iter()
            .find_map(|delivery| delivery.stored().map(|stored| stored.file.id))
    };
    assert_eq!(wait_for("its event", WITHIN, told), file.id);
}

#[test]
fn uppy_sends_pauses_resumes_and_goes_on_after_a_killed_edge() {
    let mut stage = stage("uppy");
    let app = stage.edge.app();

    let link = app.link(ANY_FILE);
    let browser = send(&stage, &link, &json!({}));
    stored(&stage, &link, &browser);
    drop(browser);

    let link = app.link(ANY_FILE);
    let browser = send(&stage, &link, &json!({ "chunkSize": 500_000 }));
    wait_sent(&browser, 3_000_000);
    let _ = browser.session().script("chatlift.pause()", &json!([]));
    std::thread::sleep(Duration::from_secs(1));
    let paused = see(&browser, "sent");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        see(&browser, "sent"),
        paused,
        "it went on while it was paused"
    );
    let _ = browser.session().script("chatlift.resume()", &json!([]));
    stored(&stage, &link, &browser);
    drop(browser);

    let link = app.link(ANY_FILE);
    let pieces = json!({ "parallelUploads": 3, "chunkSize": 1_000_000 });
    let browser = send(&stage, &link, &pieces);
    stored(&stage, &link, &browser);
    drop(browser);

    let link = app.link(ANY_FILE);
    let browser = send(&stage, &link, &json!({ "chunkSize": 500_000 }));
    wait_sent(&browser, 5_000_000);
    stage.edge.kill();
    stage.edge.start();
    stored(&stage, &link, &browser);
}
