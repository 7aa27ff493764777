//! Files that a person gives up when the edge may have them already, in Chromium.

use std::time::Duration;

use chatlift_shared::FileId;
use chatlift_shared::api::{File, Link};
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::client::App;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::gate::{Gate, Rule};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::shared;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(60);

/// A file that goes in one request, and one that goes in chunks, with the end of the path whose answer
/// says that it is stored.
const FILES: [(Random, &str, Rule); 2] = [
    (
        Random {
            seed: 950,
            size: 100_000,
        },
        "/files",
        Rule::Hold,
    ),
    (
        Random {
            seed: 951,
            size: 3_000_000,
        },
        "/parts/1",
        Rule::HoldStatus(200),
    ),
];

/// The link's files that were not taken back.
fn kept(app: &App, link: &Link) -> Vec<File> {
    let mut files = app.get_link(link.id).files;
    files.retain(|file| file.deleted_at.is_none());
    files
}

fn deliver(app: &App, file: FileId) {
    let path = format!("/v1/files/{file}/receipt");
    for status in ["received", "delivered"] {
        let receipt = json!({ "status": status });
        assert_eq!(app.call("POST", &path, &[], Some(&receipt)).status, 200);
    }
}

/// Sends a file by way of a gate that holds back the answer that it is stored.
fn finishing(phone: &Browser, gate: &Gate, app: &App, link: &Link, n: usize) -> File {
    let (file, path, rule) = FILES[n];
    gate.rule(path, rule);
    let path = file.write(phone.folder(), &format!("finishing-{n}.bin"));
    phone.choose(&gate.url(&link.url), &path);
    phone.click(&mark("confirm"));
    wait_for("the answer to be held back", WITHIN, || {
        (gate.held() > 0).then_some(())
    });
    let stored = kept(app, link);
    assert_eq!(stored.len(), 1, "not stored yet");
    stored[0].clone()
}

#[test]
fn a_file_that_is_cancelled_while_it_finishes_does_not_arrive() {
    let stage = shared();
    let app = stage.edge.app();
    for n in 0..FILES.len() {
        let link = app.link(ANY_FILE);
        let gate = Gate::before(&stage.edge.origin());
        let phone = Browser::english();
        let _ = finishing(&phone, &gate, &app, &link, n);
        // The edge does not hear of it yet: the page must not say that it is gone.
        gate.rule("", Rule::Drop);
        phone.click(&mark("cancel"));
        phone.sees(&row("cancelling"), 1);
        std::thread::sleep(Duration::from_secs(2));
        phone.sees(&row("cancelling"), 1);
        assert_eq!(kept(&app, &link).len(), 1);
        gate.lift("");
        gate.release();
        phone.sees_within(&mark("file-row"), 0, WITHIN);
        assert_eq!(kept(&app, &link), [], "it arrived all the same");
        assert_eq!(phone.count(&mark("success")), 0);
        assert_eq!(phone.count(&mark("file-receipt")), 0);
    }
}

#[test]
fn a_file_that_the_app_has_is_not_said_to_be_cancelled() {
    let stage = shared();
    let app = stage.edge.app();
    for n in 0..FILES.len() {
        let link = app.link(ANY_FILE);
        let gate = Gate::before(&stage.edge.origin());
        let phone = Browser::english();
        let stored = finishing(&phone, &gate, &app, &link, n);
        deliver(&app, stored.id);
        phone.click(&mark("cancel"));
        gate.release();
        phone.sees_within(&row("failed"), 1, WITHIN);
        let said = phone.read(&mark("file-error"));
        assert!(said.contains("already has"), "{said}");
        assert_eq!(kept(&app, &link).len(), 1);
    }
}
