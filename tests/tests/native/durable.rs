//! What the native edge does before it tells anybody of a file: its disk has all of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use chatlift_shared::limits::MIB;
use chatlift_tests::edge::MANY_FILES;
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::http::send;
use chatlift_tests::scratch::{free_port, wait_for};
use chatlift_tests::serial;

use crate::operate::{figure, one};

/// Files that are sent, one after the other.
const FILES: u64 = 20;

/// Syncs of a file of one request: its bytes, its intent, its name, and that it is stored.
const BY_PAGE: u64 = 4;
/// Of one by tus: that it was begun, with its upload's name, its bytes, its intent, its name, that it is stored.
const BY_TUS: u64 = 6;
/// Of its webhook: that it is stored, unless that is on the disk by then.
const BY_WEBHOOK: u64 = 1;

#[test]
fn no_file_takes_more_syncs_than_it_needs() {
    let metrics = format!("127.0.0.1:{}", free_port());
    let vars = [("CHATLIFT_EDGE_METRICS_LISTEN".to_owned(), metrics.clone())];
    let (nodes, _receiver) = one("syncs", &vars);
    let syncs = || figure(&metrics, "chatlift_edge_syncs_total") as u64;
    let app = nodes.app();
    let page = app.page(&app.link(MANY_FILES));
    let file = |n: u64| {
        let content = Random {
            seed: n,
            size: MIB / 4,
        };
        (format!("{n}.bin"), content.read(0, content.size))
    };
    let by_page = |n: u64| {
        let (name, bytes) = file(n);
        let _ = page.store(&name, &bytes);
    };
    let by_tus = |n: u64| {
        let (name, bytes) = file(n);
        let upload = serial::create(&page, &name, bytes.len() as u64, &[]);
        let sent = upload.patch(0, &bytes, &[]);
        assert_eq!(sent.status, 204, "{}", sent.text());
    };
    // The first makes the app's folder.
    by_page(0);
    let counted = |what: &str, send: &dyn Fn()| {
        let before = syncs();
        send();
        let count = syncs() - before;
        println!("{what}: {count} syncs for {FILES} files");
        count
    };
    let each = counted("page", &|| (1..=FILES).for_each(by_page));
    assert!(each <= FILES * (BY_PAGE + BY_WEBHOOK), "{each}");
    let each = counted("tus", &|| (101..=100 + FILES).for_each(by_tus));
    assert!(each <= FILES * (BY_TUS + BY_WEBHOOK), "{each}");
}

#[test]
fn nobody_is_told_of_what_the_disk_does_not_take() {
    let (nodes, receiver) = one("no-disk", &[]);
    let app = nodes.app();
    let link = app.link(MANY_FILES);
    let page = app.page(&link);
    let first = page.store("first.pdf", &pdf());
    wait_for("its webhook", Duration::from_secs(60), || {
        (!receiver.about(link.id).is_empty()).then_some(())
    });
    // What the database has open it goes on writing to; in its place is what cannot be synced.
    let log = nodes.state(0).join("edge.sqlite-wal");
    fs::rename(&log, log.with_extension("aside")).expect("another name");
    symlink("/dev/null", &log).expect("another file");
    let refused = page.send_file("second.pdf", &pdf(), &[]);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), Some("2"));
    let told = receiver.about(link.id);
    assert!(
        told.iter()
            .filter_map(|d| d.stored())
            .all(|s| s.file.id == first.id)
    );
    let ready = send("GET", &format!("{}/readyz", nodes.node(0)), &[], None);
    assert_eq!(ready.expect("an answer").status, 503);
}
