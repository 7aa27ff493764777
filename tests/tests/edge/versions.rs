//! A deployment replaces workers and objects one after the other, and can be taken back: what is of another
//! version is left alone and asked again.

use std::process::Command;

use chatlift_shared::ProblemCode;
use chatlift_tests::edge::{ANY_FILE, Edge};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::Answer;
use chatlift_tests::stage::{Stage, shared};

/// Sets the version of all links' rows; prints the rows that it found.
const SET: &str = r#"
import glob, json, sqlite3, sys
for path in sorted(glob.glob(sys.argv[1] + "/**/*.sqlite", recursive=True)):
    base = sqlite3.connect(path)
    if [c[1] for c in base.execute("PRAGMA table_info(link)")] != ["id", "row"]:
        continue
    for id, row in base.execute("SELECT id, row FROM link").fetchall():
        link = json.loads(row)
        if "subject" not in link:
            continue
        print(row)
        link.pop("version", None)
        if sys.argv[2] != "none":
            link["version"] = int(sys.argv[2])
        base.execute("UPDATE link SET row = ? WHERE id = ?", (json.dumps(link), id))
    base.commit()
"#;

/// Stops the edge, gives all links' rows a version, and starts it again; answers with the rows before.
fn set_version(edge: &mut Edge, version: &str) -> String {
    edge.kill();
    let done = Command::new("python3")
        .args(["-c", SET])
        .arg(edge.state())
        .arg(version)
        .output()
        .expect("python3");
    assert!(done.status.success(), "{done:?}");
    edge.start();
    String::from_utf8(done.stdout).expect("rows")
}

pub(crate) fn is_asked_again(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.problem().code, ProblemCode::StorageUnavailable);
    assert!(answer.header("retry-after").is_some(), "when to ask again");
}

#[test]
fn rows_of_a_newer_version_are_left_alone_until_that_is_back() {
    let mut stage = Stage::new("versions");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let file = app.page(&link).store("a.pdf", &pdf());
    let path = format!("/v1/links/{}", link.id);
    let rows = set_version(&mut stage.edge, "9");
    assert!(rows.contains("\"version\":3"), "{rows}");

    let app = stage.edge.app();
    let page = app.page(&link);
    is_asked_again(&app.call("GET", &path, &[], None));
    is_asked_again(&app.call("DELETE", &path, &[], None));
    is_asked_again(&app.content(file.id, &[]));
    is_asked_again(&page.send_file("b.pdf", &pdf(), &[]));

    let rows = set_version(&mut stage.edge, "3");
    assert!(rows.contains("\"version\": 9"), "overwritten: {rows}");
    let app = stage.edge.app();
    assert_eq!(app.get_link(link.id).files.len(), 1);

    // Rows of before there were versions are read, and written as this version's.
    let _ = set_version(&mut stage.edge, "none");
    let app = stage.edge.app();
    let _ = app.page(&link).store("b.txt", b"more");
    let rows = set_version(&mut stage.edge, "3");
    assert!(rows.contains("\"version\":3"), "{rows}");
}

#[test]
fn an_object_does_nothing_for_a_worker_of_another_version() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let newer = ("chatlift-fault", "newer-worker");
    is_asked_again(&page.send_file("a.pdf", &pdf(), &[newer]));
    let path = format!("/v1/links/{}", link.id);
    is_asked_again(&app.call("DELETE", &path, &[newer], None));
    assert_eq!(app.get_link(link.id).files, []);
    let _ = page.store("a.pdf", &pdf());
}

#[test]
fn a_list_does_nothing_for_a_worker_of_another_version() {
    let app = shared().edge.app();
    let link = app.link(ANY_FILE);
    let newer = ("chatlift-fault", "newer-worker");
    is_asked_again(&app.call("GET", "/v1/links", &[newer], None));
    is_asked_again(&app.call("POST", "/v1/webhook-endpoint/enable", &[newer], None));
    assert_eq!(app.call("GET", "/v1/links", &[], None).status, 200);
    assert_eq!(app.get_link(link.id).files, []);
}
