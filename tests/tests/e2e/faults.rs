//! What a person sees when it does not go well, in real Chromium: one clear sentence, or an upload
//! that goes on by itself.

use std::time::Duration;

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::MIB;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENT_MAX, DOCUMENTS, ONE_FILE};
use chatlift_tests::fixtures::{self, Random, elf, pdf};
use chatlift_tests::scratch::{now, wait_for};
use chatlift_tests::stage::{Stage, shared};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(120);

#[test]
fn a_link_that_cannot_be_used_says_why() {
    let stage = shared();
    let app = stage.edge.app();
    let expired = app.link_with(json!({ "scene": DOCUMENTS, "expires_in": 1 }));
    let revoked = app.link(DOCUMENTS);
    assert_eq!(app.revoke(revoked.id).status, 204);
    let full = app.link(ONE_FILE);
    let _ = app.page(&full).store("a.pdf", &pdf());
    let good = app.link(DOCUMENTS);
    let cut = good.url[..good.url.len() - 6].to_owned();
    std::thread::sleep(now().until(expired.expires_at) + Duration::from_millis(50));
    let phone = Browser::english();
    let mut sentences = Vec::new();
    for (url, code) in [
        (&expired.url, "link-expired"),
        (&revoked.url, "link-revoked"),
        (&full.url, "link-full"),
        (&cut, "link-token-invalid"),
    ] {
        phone.open(url);
        let (shown, sentence) = phone.problem();
        assert_eq!(shown, code, "{sentence}");
        assert!(
            sentence.len() > 10 && !sentence.contains(code),
            "{sentence}"
        );
        assert_eq!(phone.count(&mark("confirm")), 0, "{code}");
        sentences.push(sentence);
    }
    sentences.dedup();
    assert_eq!(sentences.len(), 4, "{sentences:?}");
}

#[test]
fn a_file_that_cannot_be_sent_says_why_and_the_others_go() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::english();
    phone.open(&link.url);
    let large = Random {
        seed: 1,
        size: DOCUMENT_MAX + 1,
    }
    .write(phone.folder(), "large.pdf");
    let empty = fixtures::write(phone.folder(), "empty.pdf", b"");
    let wrong = fixtures::write(phone.folder(), "program.exe", &elf());
    let good = fixtures::write(phone.folder(), "good.pdf", &pdf());
    phone.pick(&[&large, &empty, &wrong, &good]);
    phone.sees(&row("refused"), 3);
    phone.sees(&row("ready"), 1);
    let script = r#"return [...document.querySelectorAll('[data-testid="file-error"]')].map(e => e.innerText.trim())"#;
    let errors = phone.session().script(script, &json!([]));
    let mut errors: Vec<_> = errors
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| e.as_str())
        .collect();
    errors.retain(|e| !e.is_empty());
    errors.sort_unstable();
    errors.dedup();
    assert_eq!(
        errors.len(),
        3,
        "each has a sentence of its own: {errors:?}"
    );
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let names: Vec<_> = app
        .get_link(link.id)
        .files
        .into_iter()
        .map(|f| f.name)
        .collect();
    assert_eq!(names, ["good.pdf"]);
}

#[test]
fn a_type_that_only_the_edge_can_tell_is_refused_with_a_sentence() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let phone = Browser::english();
    phone.open(&link.url);
    let disguised = fixtures::write(phone.folder(), "disguised.pdf", &elf());
    phone.pick(&[&disguised]);
    // The page may see it by itself; if not, the edge does.
    wait_for("a row", WITHIN, || {
        (phone.count(&mark("file-row")) == 1).then_some(())
    });
    if phone.count(&row("ready")) == 1 {
        phone.click(&mark("confirm"));
    }
    assert!(phone.read(&mark("file-error")).len() > 10);
    assert_eq!(phone.count(&mark("success")), 0);
    assert_eq!(app.get_link(link.id).files, []);
}

#[test]
fn an_upload_goes_on_when_the_network_comes_back() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let file = Random {
        seed: 2,
        size: 60_000_000,
    };
    let path = file.write(phone.folder(), "offline.bin");
    phone.choose(&link.url, &path);
    phone.upload_at(20_000_000);
    std::thread::sleep(Duration::from_secs(1));
    phone.session().offline(true);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(
        phone.count(&mark("success")),
        0,
        "it was sent before the network went"
    );
    assert_eq!(phone.count(&row("failed")), 0, "it gave up");
    phone.session().offline(false);
    phone.sees_within(&mark("success"), 1, WITHIN);
    let stored = app.get_link(link.id).files.remove(0);
    assert_eq!(app.sha256(stored.id), file.sha256());
}

#[test]
fn an_upload_goes_on_when_the_edge_was_killed_and_is_back() {
    let mut stage = Stage::new("killed");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let file = Random {
        seed: 3,
        size: 100_000_000,
    };
    let path = file.write(phone.folder(), "killed.bin");
    phone.choose(&link.url, &path);
    phone.upload_at(20_000_000);
    std::thread::sleep(Duration::from_secs(2));
    stage.edge.kill();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        phone.count(&mark("success")),
        0,
        "it was sent before the edge was killed"
    );
    assert_eq!(phone.count(&row("failed")), 0, "it gave up");
    // Where nothing moves, there is neither a speed nor an end.
    let note = phone.text("section.bar p.small");
    assert!(note.contains("keep this page open"), "{note}");
    assert!(!note.contains("/s") && !note.contains("left"), "{note}");
    stage.edge.start();
    phone.session().slow(500_000_000);
    phone.sees_within(&mark("success"), 1, WITHIN);
    let stored = app.get_link(link.id).files;
    assert_eq!(
        stored.iter().map(|f| app.sha256(f.id)).collect::<Vec<_>>(),
        [file.sha256()]
    );
    let _ = stage.receiver.wait_stored(link.id, file, WITHIN);
}

#[test]
fn an_upload_goes_on_after_the_page_was_closed_with_the_parts_that_were_held() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let file = Random {
        seed: 4,
        size: 80_000_000,
    };
    let path = file.write(phone.folder(), "closed.bin");
    phone.choose(&link.url, &path);
    phone.session().slow(10_000_000);
    phone.click(&mark("confirm"));
    let announced = || {
        app.page(&link)
            .announce("closed.bin", file.size, &file.read(0, 4096))
    };
    wait_for("two parts at the edge", WITHIN, || {
        if phone.count(&row("uploading")) == 0 {
            return None;
        }
        let upload: chatlift_shared::api::Upload =
            serde_json::from_slice(&announced().body).ok()?;
        (upload.parts.len() >= 2).then_some(())
    });
    phone.open("about:blank");
    phone.session().slow(500_000_000);
    phone.choose(&link.url, &path);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let stored = app.get_link(link.id);
    assert_eq!(
        stored
            .files
            .iter()
            .map(|f| app.sha256(f.id))
            .collect::<Vec<_>>(),
        [file.sha256()]
    );
    assert_eq!(stored.uploads, 0, "a second upload was begun");
}

#[test]
fn a_cancelled_upload_is_aborted_at_the_edge() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let path = Random {
        seed: 5,
        size: 100 * MIB,
    }
    .write(phone.folder(), "cancelled.bin");
    phone.choose(&link.url, &path);
    phone.upload_at(5_000_000);
    wait_for("the upload at the edge", WITHIN, || {
        (app.get_link(link.id).uploads == 1).then_some(())
    });
    phone.click(&mark("cancel"));
    wait_for("its end", WITHIN, || {
        (app.get_link(link.id).uploads == 0).then_some(())
    });
    assert_eq!(app.get_link(link.id).files, []);
}

#[test]
fn a_link_that_is_revoked_during_an_upload_says_so() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::english();
    let path = Random {
        seed: 6,
        size: 100 * MIB,
    }
    .write(phone.folder(), "revoked.bin");
    phone.choose(&link.url, &path);
    phone.upload_at(10_000_000);
    assert_eq!(app.revoke(link.id).status, 204);
    let said = wait_for("a sentence", WITHIN, || {
        Some(format!(
            "{}{}",
            phone.text(&mark("problem")),
            phone.text(&mark("file-error"))
        ))
        .filter(|t| !t.is_empty())
    });
    assert!(said.len() > 10, "{said}");
    assert_eq!(app.get_link(link.id).files, []);
}

#[test]
fn the_page_that_was_opened_before_the_link_filled_up_says_so() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ONE_FILE);
    let phone = Browser::english();
    phone.open(&link.url);
    let path = fixtures::write(phone.folder(), "late.pdf", &pdf());
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
    let first = Page::of(&link.url).store("first.txt", b"some text");
    phone.click(&mark("confirm"));
    wait_for("a sentence", WITHIN, || {
        Some(format!(
            "{}{}",
            phone.text(&mark("problem")),
            phone.text(&mark("file-error"))
        ))
        .filter(|t| t.len() > 10)
    });
    let files = app.get_link(link.id).files;
    assert_eq!(files.iter().map(|f| f.id).collect::<Vec<_>>(), [first.id]);
    assert_ne!(first.sha256, Some(Sha256::of(&pdf())));
}
