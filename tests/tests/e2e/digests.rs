//! Digests of what is uploaded: the browser's own, in every engine, and none where it computes none.

use std::time::Duration;

use chatlift_shared::api::File;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::engine::{Engine, LAN, Setting};
use chatlift_tests::fixtures::Random;
use chatlift_tests::network::{Network, Profile};
use chatlift_tests::stage::{Stage, shared};
use serde_json::json;

const WITHIN: Duration = Duration::from_secs(90);

/// Counts the digests that the browser computes, and their bytes.
const COUNT: &str = "
    window.digests = [];
    const { digest } = SubtleCrypto.prototype;
    SubtleCrypto.prototype.digest = function (name, bytes) {
      window.digests.push(bytes.byteLength);
      return digest.call(this, name, bytes);
    };";

/// Three parts, of which the last is small, and a file that goes in one request.
const SIZES: [u64; 2] = [2 * 8 * 1024 * 1024 + 1000, 20_000];

/// SHA-256 in WebAssembly took six times the processor time of all else that the page does with a file.
fn the_browser_digests_each_part_once_and_nothing_else_does(engine: Engine) {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let phone = Browser::with(engine, &Setting::default());
    let files = SIZES.map(|size| Random { seed: size, size });
    let paths = files.map(|file| file.write(phone.folder(), &format!("{}.bin", file.size)));
    phone.open(&link.url);
    phone.sees(r#"html[data-state="program"]"#, 1);
    let _ = phone.session().script(COUNT, &json!([]));
    phone.pick(&paths);
    phone.sees(&row("ready"), 2);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let counted = phone.session().script("return window.digests", &json!([]));
    let mut counted: Vec<u64> = serde_json::from_value(counted).expect("numbers");
    counted.sort_unstable();
    // With whatever may complete the file goes the digest of its parts' three digests.
    counted.retain(|&bytes| bytes != 96);
    let part = 8 * 1024 * 1024;
    assert_eq!(counted, [1000, SIZES[1], part, part]);
    let mut stored: Vec<_> = app.get_link(link.id).files;
    stored.sort_by_key(|file| std::cmp::Reverse(file.size));
    for (stored, file) in stored.iter().zip(files) {
        assert_eq!(app.sha256(stored.id), file.sha256());
    }
}

/// A server in a LAN, over plain HTTP: no `crypto.subtle`. Cut in the middle, and picked again after a reload.
fn without_digests_of_the_browser_the_edges_own_stand(engine: Engine) {
    let stage = Stage::new("lan");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let profile = Profile {
        bits_per_second: 40_000_000,
        round_trip: Duration::from_millis(20),
    };
    let network = Network::before(&stage.edge.origin(), profile);
    let phone = Browser::with(engine, &Setting::default());
    let [large, small] = SIZES.map(|size| Random { seed: size, size });
    let path = large.write(phone.folder(), "large.bin");
    phone.open(&network.url(&link.url).replace("127.0.0.1", LAN));
    phone.sees(r#"html[data-state="program"]"#, 1);
    let subtle = "return !!(window.crypto && crypto.subtle)";
    assert_eq!(phone.session().script(subtle, &json!([])), json!(false));
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
    network.hold_after(6_000_000);
    phone.click(&mark("confirm"));
    network.wait_arrived(6_000_000, WITHIN);
    phone.session().reload();
    network.release();
    phone.pick(&[&path, &small.write(phone.folder(), "small.bin")]);
    phone.sees(&row("ready"), 2);
    phone.click(&mark("confirm"));
    phone.sees_within(&mark("success"), 1, WITHIN);
    let mut stored = app.get_link(link.id).files;
    stored.sort_by_key(|file| std::cmp::Reverse(file.size));
    assert_eq!(stored.len(), 2);
    for (stored, file) in stored.iter().zip([large, small]) {
        assert_eq!(app.sha256(stored.id), file.sha256());
    }
    assert_eq!(app.get_link(link.id).uploads, 0, "an upload was left over");
    let path = format!("/v1/files/{}", stored[0].id);
    let record: File = app.call("GET", &path, &[], None).ok(200);
    let parts = record.parts.expect("the edge's own digests");
    assert_eq!(parts.sha256.len(), 3);
    let again = network.sent().saturating_sub(large.size + small.size);
    assert!(again < 4_000_000, "{again} bytes were sent again");
}

engines!(chromium: Chromium, firefox: Firefox, webkit: WebKit, chromium_64: Chromium64, chromium_78: Chromium78, chromium_86: Chromium86 => {
    the_browser_digests_each_part_once_and_nothing_else_does,
});

engines!(chromium_lan: Chromium, firefox_lan: Firefox, chromium_64_lan: Chromium64, chromium_86_lan: Chromium86 => {
    without_digests_of_the_browser_the_edges_own_stand,
});
