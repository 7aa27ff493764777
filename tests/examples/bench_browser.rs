//! Processor time of the browser for a file of 200 MiB: `cargo xtask bench browser`.
//! By the page, by the page without digests (as over plain HTTP in a LAN), and by tus-js-client on
//! an empty page of the same edge, in Chromium, with the edge in workerd on the same machine.

use std::time::Duration;

use chatlift_shared::limits::MIB;
use chatlift_tests::browser::{Browser, mark};
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::engine::LAN;
use chatlift_tests::fixtures::Random;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::Stage;
use serde_json::json;
use xtask::run::now;

/// Longest that one upload may take.
const WITHIN: Duration = Duration::from_secs(600);

/// How often each is measured.
const TIMES: u64 = 3;

const SIZE: u64 = 200 * MIB;

/// Time for what a page does before and after.
const SETTLE: Duration = Duration::from_secs(3);

/// Who sends.
const WAYS: [&str; 3] = ["page", "page, no digests", "tus-js-client"];

/// Sends what is in `#pick` to the address given, in requests of 50 MiB, as docs/upload-protocols.md has it.
const TUS: &str = "
    new tus.Upload(document.querySelector('#pick').files[0], {
      endpoint: arguments[0], chunkSize: 50 * 1024 * 1024, metadata: { filename: 'film.bin' },
      onSuccess: () => { window.ended = 'yes'; }, onError: (error) => { window.ended = String(error); },
    }).start();";

/// What the browser has used so far, in seconds: its page's process, its network's, and all of it.
fn used(phone: &Browser) -> [f64; 3] {
    ["--type=renderer", "network.mojom", ""].map(|kind| {
        let used = phone.session().cpu(|line| line.contains(kind));
        used.as_secs_f64()
    })
}

fn main() {
    let stage = Stage::new("browser");
    let client = xtask::root::at("node_modules/tus-js-client/dist/tus.min.js");
    let client = std::fs::read_to_string(client).expect("tus-js-client");
    println!(
        "{:>16} {:>10} {:>10} {:>10} {:>10}",
        "cpu, s", "page", "network", "in all", "took, s"
    );
    for seed in 0..TIMES {
        for (n, way) in (0..).zip(WAYS) {
            let file = Random {
                seed: 3 * seed + n,
                size: SIZE,
            };
            let app = stage.edge.app();
            let link = app.link(ANY_FILE);
            let phone = Browser::english();
            let path = file.write(phone.folder(), "film.bin");
            let tus = way == WAYS[2];
            if tus {
                phone.open(&format!("{}/healthz", stage.edge.origin()));
                let input = "document.body.innerHTML = '<input type=file id=pick>'";
                let _ = phone.session().script(input, &json!([]));
                let _ = phone.session().script(&client, &json!([]));
                phone.pick(&[&path]);
            } else {
                let host = if way == WAYS[1] { LAN } else { "127.0.0.1" };
                phone.choose(&link.url.replace("127.0.0.1", host), &path);
            }
            std::thread::sleep(SETTLE);
            let (before, start) = (used(&phone), now());
            if tus {
                let endpoint = json!([format!("{}/tus", link.url)]);
                let _ = phone.session().script(TUS, &endpoint);
                let ended = wait_for("an end", WITHIN, || {
                    let ended = phone.session().script("return window.ended", &json!([]));
                    ended.as_str().map(str::to_owned)
                });
                assert_eq!(ended, "yes");
            } else {
                phone.click(&mark("confirm"));
                phone.sees_within(&mark("success"), 1, WITHIN);
            }
            let took = start.elapsed().as_secs_f64();
            let after = used(&phone);
            let [page, network, all] = [0, 1, 2].map(|n| after[n] - before[n]);
            println!("{way:>16} {page:>10.2} {network:>10.2} {all:>10.2} {took:>10.1}");
            assert_eq!(app.get_link(link.id).files.len(), 1);
        }
    }
}
