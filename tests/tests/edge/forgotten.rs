//! A link that was used, ended and is forgotten: what is left of it in all storage, counted.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use chatlift_shared::api::{HEADER_OFFSET, HEADER_TICKET};
use chatlift_tests::edge::{BRIEF, Edge};
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::scratch::wait_for;
use chatlift_tests::serial::create;
use chatlift_tests::stage::Stage;
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(90);

/// Counts the rows of all objects of ours, and what the bucket has: objects, unfinished uploads, their parts
/// and the files that hold their bytes. Tables of the runtime's own are not counted, but its alarms are.
const COUNT: &str = r#"
import collections, glob, json, os, sqlite3, sys
state, found = sys.argv[1], collections.Counter()
for path in glob.glob(state + "/**/*.sqlite", recursive=True):
    base = sqlite3.connect(path)
    tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    where = os.path.basename(os.path.dirname(path)).rsplit("-", 1)[1]
    for table in tables:
        own = not table.startswith(("_", "sqlite_"))
        if own or table in ("_cf_ALARM", "_mf_objects", "_mf_multipart_parts"):
            rows = base.execute(f'SELECT COUNT(*) FROM "{table}"').fetchone()[0]
        elif table == "_mf_multipart_uploads":
            rows = base.execute(f'SELECT COUNT(*) FROM "{table}" WHERE state = 0').fetchone()[0]
        else:
            continue
        found[where + " " + table] += rows
found["blobs"] = sum(len(files) for _, _, files in os.walk(state + "/v3/r2/chatlift-files/blobs"))
print(json.dumps(found))
"#;

/// Lets the time of all links of a subject be over: that of the link, of its files and of its alarm. A test that
/// lets it pass by the clock needs as long as a slow machine takes to send what is to be forgotten.
const EXPIRE: &str = r#"
import glob, json, sqlite3, sys
for path in glob.glob(sys.argv[1] + "/**/*LinkObject/*.sqlite", recursive=True):
    base = sqlite3.connect(path)
    tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    if "_cf_ALARM" in tables:
        base.execute("UPDATE _cf_ALARM SET scheduled_time = 0")
    for id, row in base.execute("SELECT id, row FROM link").fetchall() if "link" in tables else []:
        link = json.loads(row)
        if link.get("subject") != sys.argv[2]:
            continue
        link["expires_at"] = link["created_at"]
        link["policy"]["file_retention"] = 1
        base.execute("UPDATE link SET row = ? WHERE id = ?", (json.dumps(link), id))
        print(row)
    base.commit()
"#;

/// What an edge that is stopped has stored, by kind.
fn stored(edge: &Edge) -> BTreeMap<String, u64> {
    serde_json::from_slice(&python(edge, COUNT, &[])).expect("counts")
}

fn python(edge: &Edge, script: &str, more: &[&str]) -> Vec<u8> {
    let done = Command::new("python3")
        .args(["-c", script])
        .arg(edge.state())
        .args(more)
        .output()
        .expect("python3");
    assert!(done.status.success(), "{done:?}");
    done.stdout
}

fn some(stored: &BTreeMap<String, u64>, kind: &str) -> u64 {
    stored.get(kind).copied().unwrap_or_default()
}

#[test]
fn a_link_that_was_used_and_has_ended_leaves_no_row_object_or_entry() {
    let mut stage = Stage::new("forgotten");
    let app = stage.edge.app();
    let body = json!({ "scene": BRIEF, "subject": "brief" });
    let link = app.link_with(body);
    let page = app.page(&link);
    let _ = page.store("a.pdf", &pdf());
    let form = "--x\r\nContent-Disposition: form-data; filename=\"f.txt\"\r\n\r\na form\r\n--x--";
    let form_type = ("content-type", "multipart/form-data; boundary=x");
    let answer = page.call("POST", "", &[form_type], Some(form.as_bytes()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Uploads that nobody goes on with: one with parts in R2 and a row that is staged, one by each of the
    // open protocols, and one that is aborted.
    let random = Random {
        seed: 3,
        size: 20_000_000,
    };
    let upload = page.announce_random("b.bin", random);
    let part = vec![7; 8 * 1024 * 1024];
    let put = page.send_part(&upload, 1, &part);
    assert_eq!(put.status, 204, "{}", put.text());
    let path = format!("/uploads/{}/parts/2", upload.id);
    let chunk = [
        (HEADER_TICKET, upload.ticket.as_str()),
        (HEADER_OFFSET, "0"),
    ];
    let put = page.call("PUT", &path, &chunk, Some(&part[..200_000]));
    assert_eq!(put.status, 202, "{}", put.text());
    let tus = create(&page, "c.pdf", 10_000_000, &[]);
    tus.add(0, &part[..100_000]);
    let headers = [("upload-complete", "?0"), ("upload-length", "9000000")];
    let begun = page.call("POST", "/resumable", &headers, Some(&part[..100_000]));
    assert_eq!(begun.status, 201, "{}", begun.text());
    let aborted = page.announce_random("d.bin", Random { seed: 4, ..random });
    let answer = page.call("DELETE", &format!("/uploads/{}", aborted.id), &[], None);
    assert_eq!(answer.status, 204, "{}", answer.text());

    stage.edge.kill();
    let used = stored(&stage.edge);
    for kind in [
        "LinkObject link",
        "LinkObject upload",
        "LinkObject event",
        "LinkObject audit",
        "LinkObject part",
        "LinkObject stage",
        "LinkObject _cf_ALARM",
        "DirectoryObject link",
        "R2BucketObject _mf_objects",
        "R2BucketObject _mf_multipart_uploads",
        "R2BucketObject _mf_multipart_parts",
        "blobs",
    ] {
        assert!(some(&used, kind) > 0, "{kind} is counted: {used:?}");
    }
    let expired = python(&stage.edge, EXPIRE, &["brief"]);
    assert!(!expired.is_empty(), "the link's row");
    stage.edge.start();
    let app = stage.edge.app();
    wait_for("it to be forgotten", WITHIN, || {
        let path = format!("/v1/links/{}", link.id);
        (app.call("GET", &path, &[], None).status == 404).then_some(())
    });
    stage.edge.kill();
    let left = stored(&stage.edge);
    println!("before: {used:?}; after: {left:?}");
    assert!(left.values().all(|rows| *rows == 0), "{left:?}");
}
