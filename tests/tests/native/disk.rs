//! What the native edge does while its disk is full, and once there is room again.

use std::time::Duration;

use chatlift_shared::ProblemCode;
use chatlift_shared::limits::{self, MIB};
use chatlift_tests::edge::{MANY_FILES, Setup};
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::http::Answer;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::serial::{self, number};
use chatlift_tests::stage::Stage;

/// Room for the files of the scenario, and little more.
const DISK: u64 = 64 * MIB;

const WITHIN: Duration = Duration::from_secs(60);

/// The edge says that it is at fault, and when to come again.
#[track_caller]
fn has_no_room(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text());
    // A form has it beside the files that were stored.
    let code = format!("\"{}\"", ProblemCode::StorageUnavailable.code());
    assert!(answer.text().contains(&code), "{what}: {}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("2"), "{what}");
}

#[test]
fn a_full_disk_is_our_trouble_and_passes_and_nothing_that_was_acknowledged_is_lost() {
    let stage = Stage::with(Setup::new("full").native().with_disk(DISK));
    let disk = stage.edge.disk().expect("a disk of its own");
    let app = stage.edge.app();
    let link = app.link(MANY_FILES);
    let page = app.page(&link);
    let small = page.store("small.pdf", &pdf());
    let file = |seed| Random {
        seed,
        size: limits::PART_SIZE + MIB,
    };
    let (in_parts, by_tus) = (file(1), file(2));
    let upload = page.announce_random("parts.bin", in_parts);
    let first = in_parts.read(0, upload.part_size);
    assert_eq!(page.send_part(&upload, 1, &first).status, 204);
    let tus = serial::create(&page, "tus.bin", by_tus.size, &[]);
    tus.add(0, &by_tus.read(0, MIB));

    disk.fill();
    let second = in_parts.read(upload.part_size, upload.part_size);
    has_no_room("a part", &page.send_part(&upload, 2, &second));
    let whole = Random { seed: 3, size: MIB };
    let bytes = whole.read(0, MIB);
    has_no_room("a file", &page.send_file("whole.bin", &bytes, &[]));
    let rest = by_tus.read(MIB, MIB);
    has_no_room("tus", &tus.patch(MIB, &rest, &[]));
    let form = [
        b"--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"f.bin\"\r\n\r\n",
        &*bytes,
        b"\r\n--b--\r\n",
    ]
    .concat();
    let headers = [
        ("content-type", "multipart/form-data; boundary=b"),
        ("accept", "application/json"),
    ];
    has_no_room("a form", &page.call("POST", "", &headers, Some(&form)));
    // What is stored can be had all the same.
    assert_eq!(Some(app.sha256(small.id)), small.sha256);

    disk.free();
    // By itself, and soon: a sender that keeps to `Retry-After` finds it well.
    let head = wait_for("room", WITHIN, || {
        Some(tus.head()).filter(|head| head.status == 200)
    });
    let held = number(&head, "upload-offset");
    assert!(
        held >= MIB,
        "{held} bytes are left of what was acknowledged"
    );
    let mut at = held;
    while at < by_tus.size {
        let more = by_tus.read(at, MIB);
        tus.add(at, &more);
        at += more.len() as u64;
    }
    let again = page.announce_random("parts.bin", in_parts);
    assert_eq!(
        again.parts.iter().map(|held| held.n).collect::<Vec<_>>(),
        [1]
    );
    let parts = page.send_parts(&again, in_parts);
    let stored = page.complete(again.id, in_parts.sha256(), &parts, &[]);
    assert_eq!(stored.status, 200, "{}", stored.text());
    let _ = page.store("whole.bin", &bytes);
    for content in [in_parts, by_tus, whole] {
        let _ = stage.receiver.wait_stored(link.id, content, WITHIN);
    }
    for file in app.get_link(link.id).files {
        let _ = app.sha256(file.id);
    }
}
