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

/// What an edge that is stopped has stored, by kind.
fn stored(edge: &Edge) -> BTreeMap<String, u64> {
    let done = Command::new("python3")
        .args(["-c", COUNT])
        .arg(edge.state())
        .output()
        .expect("python3");
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).expect("counts")
}

fn some(stored: &BTreeMap<String, u64>, kind: &str) -> u64 {
    stored.get(kind).copied().unwrap_or_default()
}

#[test]
fn a_link_that_was_used_and_has_ended_leaves_no_row_object_or_entry() {
    let mut stage = Stage::new("forgotten");
    let app = stage.edge.app();
    let body =
        json!({ "scene": BRIEF, "expires_in": 25, "file_retention": 25, "subject": "brief" });
    let link = app.link_with(body);
    let page = app.page(&link);
    let _ = page.store("a.pdf", &pdf());
    // Uploads that nobody goes on with: one with parts in R2 and a row that is staged, one by tus.
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

    stage.edge.kill();
    let used = stored(&stage.edge);
    for kind in [
        "LinkObject link",
        "LinkObject upload",
        "LinkObject event",
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
    stage.edge.start();
    let app = stage.edge.app();
    wait_for("it to be forgotten", WITHIN, || {
        let path = format!("/v1/links/{}", link.id);
        (app.call("GET", &path, &[], None).status == 404).then_some(())
    });
    stage.edge.kill();
    let left = stored(&stage.edge);
    assert!(left.values().all(|rows| *rows == 0), "{left:?}");
}
