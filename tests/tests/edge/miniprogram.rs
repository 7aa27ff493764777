//! The mini program of `miniprogram/` against the edge: its own code runs under WeChat's test tools,
//! and its upload call is sent as WeChat sends it.

use std::process::Command;
use std::time::Duration;

use chatlift_shared::api::{Link, LinkState};
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::EventKind;
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS, PAGES};
use chatlift_tests::fixtures::{self, Random, elf, pdf};
use chatlift_tests::scratch::{Folder, wait_for};
use chatlift_tests::stage::shared;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(60);

/// Opens a link in the mini program, picks a file of this name, and returns what it shows then.
fn mini_program(link: &Link, name: &str, bytes: &[u8]) -> Value {
    mini_program_saying(link, name, bytes, "")
}

/// As [`mini_program`], with a note written before the pick.
fn mini_program_saying(link: &Link, name: &str, bytes: &[u8], note: &str) -> Value {
    let folder = Folder::new("miniprogram");
    let path = fixtures::write(folder.path(), "tmp_1f3a", bytes);
    let output = Command::new("node")
        .arg(xtask::root::at("miniprogram/test/replay.mjs"))
        .arg(&link.url)
        .arg(&path)
        .args([name, note])
        .output()
        .expect("node");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

#[test]
fn a_file_that_the_mini_program_sends_arrives_with_its_name_and_digest() {
    let stage = shared();
    let link = stage.edge.app().link(ANY_FILE);
    // More than a part, under a name that a form would not carry.
    let large = Random {
        seed: 7,
        size: 9 * 1024 * 1024 + 5,
    };
    let bytes = large.read(0, large.size);
    let shown = mini_program(&link, "合同 & 附件.bin", &bytes);
    assert_eq!(shown["title"], "任意文件", "{shown}");
    assert_eq!(shown["rows"][0]["state"], "stored", "{shown}");
    let message = shown["message"].as_str().unwrap_or_default();
    assert!(message.contains("海港保险"), "{shown}");
    let heard = stage
        .receiver
        .wait_stored(link.id, Sha256::of(&bytes), WITHIN);
    let stored = heard.stored().expect("a file");
    assert_eq!(stored.file.name, "合同 & 附件.bin");
}

#[test]
fn a_note_that_is_written_in_the_mini_program_comes_with_the_file() {
    let app = shared().edge.app();
    let link = app.link(PAGES);
    let shown = mini_program_saying(&link, "roof.pdf", &pdf(), "屋顶\n漏雨");
    assert_eq!(shown["rows"][0]["state"], "stored", "{shown}");
    let notes: Vec<_> = app
        .get_link(link.id)
        .files
        .into_iter()
        .map(|f| f.note)
        .collect();
    assert_eq!(notes, [Some("屋顶\n漏雨".to_owned())]);
}

#[test]
fn pages_that_the_mini_program_turns_and_puts_into_order_are_joined_so() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(PAGES);
    let shown = mini_program(&link, "one.pdf,two.pdf,three.pdf", &pdf());
    let message = shown["message"].as_str().unwrap_or_default();
    assert!(message.contains("海港保险"), "{shown}");
    let completed = app.get_link(link.id);
    assert_eq!(completed.state, LinkState::Completed);
    let files: Vec<_> = completed
        .files
        .iter()
        .map(|file| (file.id, &*file.name, file.rotate))
        .collect();
    let found = |name| files.iter().find(|(_, known, _)| *known == name);
    let [one, two, three] =
        ["one.pdf", "two.pdf", "three.pdf"].map(|name| found(name).expect(name));
    assert_eq!([one.2, two.2, three.2], [0, 0, 90], "{files:?}");
    let told = wait_for("link.completed", WITHIN, || {
        let mut about = stage.receiver.about(link.id).into_iter();
        about.find_map(|told| match told.event.kind {
            EventKind::LinkCompleted(ended) => Some(ended),
            _ => None,
        })
    });
    assert_eq!(told.order, [one.0, three.0, two.0]);
}

#[test]
fn what_the_edge_refuses_the_mini_program_says_in_its_language() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(DOCUMENTS);
    let shown = mini_program(&link, "invoice.pdf", &elf());
    assert_eq!(shown["rows"][0]["state"], "failed", "{shown}");
    let note = shown["rows"][0]["note"].as_str().unwrap_or_default();
    assert!(note.contains("不"), "{shown}");

    assert_eq!(app.revoke(link.id).status, 204);
    let shown = mini_program(&link, "invoice.pdf", &elf());
    assert_eq!(shown["state"], "closed", "{shown}");
    let message = shown["message"].as_str().unwrap_or_default();
    assert!(
        !message.is_empty() && message != "上传服务暂无响应，请检查网络后重试。",
        "{shown}"
    );
}
