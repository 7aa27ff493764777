//! What an upload costs, counted by the edge itself where it is spent. docs/scale.md makes prices
//! of these figures; when one changes, so must the page.

use std::time::Duration;

use chatlift_shared::api::{HEADER_OFFSET, HEADER_TICKET};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::PART_SIZE;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::http::send;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::Stage;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(30);

/// What is counted.
const NAMES: [&str; 10] = [
    "worker_request",
    "link_request",
    "app_request",
    "alarm",
    "alarm_set",
    "rows_written",
    "r2_class_a",
    "r2_class_b",
    "r2_free",
    "webhook",
];

/// The counts, when nothing more is happening.
fn counts(stage: &Stage) -> Vec<u64> {
    let read = || -> Vec<u64> {
        let url = format!("{}/_counts", stage.edge.origin());
        let all: Value = send("GET", &url, &[], None).expect("counts").ok(200);
        NAMES
            .map(|name| all[name].as_u64().expect("a count"))
            .to_vec()
    };
    let mut before = read();
    wait_for("quiet", WITHIN, || {
        std::thread::sleep(Duration::from_millis(700));
        let after = read();
        // Reading is a request too.
        let quiet = before[1..] == after[1..];
        before = after;
        quiet.then(|| before.clone())
    })
}

/// What `work` costs, by name. Reading the counts is taken off.
fn cost(stage: &Stage, title: &str, work: &mut dyn FnMut()) -> impl Fn(&str) -> u64 + use<> {
    let before = counts(stage);
    work();
    // The requests of the readings, of which there are at least two.
    let after = counts(stage);
    let all: Vec<u64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    println!("{title}");
    for (name, n) in NAMES.iter().zip(&all).skip(1) {
        println!("  {name:<16}{n:>4}");
    }
    move |name| all[NAMES.iter().position(|n| *n == name).expect("a name")]
}

#[test]
fn an_upload_costs_what_the_page_on_scale_says() {
    let stage = Stage::new("counts");
    let app = stage.edge.app();
    // Whatever is done only once in an isolate's life is done.
    let warm = app.link(ANY_FILE);
    let _ = app.page(&warm).store("a.pdf", &pdf());
    let _ = stage
        .receiver
        .wait_stored(warm.id, Sha256::of(&pdf()), WITHIN);

    let mut link = None;
    let made = cost(&stage, "a link", &mut || link = Some(app.link(ANY_FILE)));
    let link = link.expect("a link");
    let page = app.page(&link);
    assert_eq!((made("link_request"), made("app_request")), (1, 1));
    assert_eq!(made("r2_class_a") + made("r2_class_b"), 0);
    assert!(made("rows_written") <= 8, "{}", made("rows_written"));

    let opened = cost(&stage, "its page", &mut || drop(page.data()));
    assert_eq!(opened("link_request"), 1);
    assert_eq!(opened("rows_written"), 0, "a look changes nothing");

    let small = cost(
        &stage,
        "a file in one request, and its webhook",
        &mut || {
            let _ = page.store("a.pdf", &pdf());
        },
    );
    assert_eq!(small("link_request"), 2, "reserve, commit");
    // A put; its beginning read back.
    assert_eq!((small("r2_class_a"), small("r2_class_b")), (1, 1));
    assert_eq!(small("webhook"), 1);
    assert!(small("rows_written") <= 12, "{}", small("rows_written"));

    let file = Random {
        seed: 7,
        size: 40 * 1024 * 1024,
    };
    let large = cost(
        &stage,
        "a file of 40 MiB in 5 parts, and its webhook",
        &mut || {
            let upload = page.announce_random("b.bin", file);
            let read = |n| file.read((n - 1) * upload.part_size, upload.part_size);
            let parts = Sha256::of_parts((1..=5).map(|n| Sha256::of(&read(n))));
            for n in 1..=5 {
                let sent = page.send_last(&upload, n, &read(n), (file.sha256(), parts));
                let status = if n == 5 { 200 } else { 204 };
                assert_eq!(sent.status, status, "{}", sent.text());
            }
        },
    );
    // Announce and open; a lease and a record for each part, which seals with the last; commit.
    assert_eq!(large("link_request"), 2 + 5 * 2 + 1);
    // Whether its webhook endpoint is disabled, where the last answer is a minute old.
    assert!(large("app_request") <= 1);
    // Create, five parts, complete.
    assert_eq!(large("r2_class_a"), 7);
    assert!(large("r2_class_b") <= 1, "{}", large("r2_class_b"));
    assert!(large("rows_written") <= 40, "{}", large("rows_written"));

    let slow = Random {
        seed: 8,
        size: PART_SIZE,
    };
    let bytes = slow.read(0, PART_SIZE);
    let upload = page.announce_random("c.bin", slow);
    let chunked = cost(&stage, "a part in two chunks", &mut || {
        let middle = bytes.len() / 2;
        for (offset, piece) in [(0, &bytes[..middle]), (middle, &bytes[middle..])] {
            let offset = offset.to_string();
            let digest = Sha256::of(&bytes).to_header();
            let headers = [
                (HEADER_OFFSET, offset.as_str()),
                ("repr-digest", &digest),
                (HEADER_TICKET, &upload.ticket),
            ];
            let sent = page.send_part_with(&upload, 1, piece, &headers);
            assert!(matches!(sent.status, 202 | 204), "{}", sent.text());
        }
    });
    assert_eq!(
        chunked("link_request"),
        4,
        "the first chunk, the beginning of the second and its lease, the record"
    );
    assert_eq!((chunked("r2_class_a"), chunked("r2_class_b")), (1, 0));
    // A row for every 128 KiB of the first chunk, written and deleted; the part's own.
    let rows = chunked("rows_written");
    assert!(rows <= 2 * 32 + 6, "{rows}");

    let ended = cost(&stage, "its end, and its webhook", &mut || {
        assert_eq!(app.revoke(link.id).status, 204);
    });
    assert_eq!(ended("link_request"), 1);
    // The list, and the endpoint again.
    assert!((1..=2).contains(&ended("app_request")));
}
