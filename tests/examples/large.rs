//! `cargo run --release -p chatlift-tests --example large -- [GiB]`: sends one large file from real
//! Chromium through the page into workerd, and reads back what was stored. Says how long it took and
//! what memory the page used. It takes minutes and twice the file's room on disk, so it is no test.

use std::time::{Duration, Instant};

use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::MIB;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::LARGE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::Stage;
use sha2::Digest as _;

const WITHIN: Duration = Duration::from_secs(3_600);

/// Bytes that are read back at once.
const READ: u64 = 64 * MIB;

#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn main() {
    let gib = std::env::args().nth(1).and_then(|n| n.parse().ok());
    // Not a whole number of parts, so that the last is a scrap.
    let size = gib.unwrap_or(3) * 1024 * MIB + 4_321;
    let stage = Stage::new("large");
    let app = stage.edge.app();
    let link = app.link(LARGE);
    let phone = Browser::english();
    let file = Random { seed: 93, size };
    let path = file.write(phone.folder(), "film.mp4");
    let sha256 = file.sha256();
    phone.choose(&link.url, &path);
    let (heap_before, resident_before) = (phone.heap(), phone.resident());
    let begun = Instant::now();
    phone.click(&mark("confirm"));
    let (mut heap, mut resident) = (0, 0);
    wait_for("the file", WITHIN, || {
        assert_eq!(phone.count(&row("failed")), 0, "{}", phone.text("body"));
        heap = heap.max(phone.heap());
        resident = resident.max(phone.resident());
        std::thread::sleep(Duration::from_millis(500));
        (phone.count(&mark("success")) == 1).then_some(())
    });
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{size} bytes in {took:.0} s, {:.1} MB/s; heap {} KiB before, {} KiB at most; in RAM {} MiB before, {} MiB at most",
        size as f64 / took / 1e6,
        heap_before / 1024,
        heap / 1024,
        resident_before / MIB,
        resident / MIB
    );
    let stored = app.get_link(link.id).files.remove(0);
    assert_eq!((stored.size, app.sha256(stored.id)), (size, sha256));
    let mut hash = sha2::Sha256::new();
    let mut at = 0;
    while at < size {
        let end = size.min(at + READ);
        let range = format!("bytes={at}-{}", end - 1);
        let answer = app.content(stored.id, &[("range", &range)]);
        assert_eq!((answer.status, answer.body.len() as u64), (206, end - at));
        hash.update(&answer.body);
        at = end;
    }
    assert!(
        Sha256(hash.finalize().into()) == sha256,
        "what was stored is not what was picked"
    );
    println!("what was stored is what was picked: {sha256}");
}
