//! Processor time of the edge, measured on workerd's process while it takes uploads:
//! `cargo run -p chatlift-tests --example bench_cpu`, on a machine with nothing else to do, after
//! `cargo xtask build`. docs/scale.md has the figures.
//!
//! Idle time is taken off. What is left is more than Cloudflare would count: in workerd on one machine
//! it has in it what stands for R2 and for the objects' storage, with their disk.

use std::time::Duration;

use chatlift_tests::edge::{Edge, MANY_FILES};
use chatlift_tests::fixtures::Random;
use chatlift_tests::http::send;
use chatlift_tests::stage::Stage;

/// How long the idle edge is watched.
const IDLE: Duration = Duration::from_secs(10);

/// Time for alarms and webhooks to go out after a run.
const SETTLE: Duration = Duration::from_secs(3);

const MB: u64 = 1_000_000;

/// What the edge uses for `work`, without what it uses idle in the same time, in milliseconds.
fn used(edge: &Edge, idle_a_second: f64, work: &mut dyn FnMut()) -> f64 {
    let (before, start) = (edge.cpu(), xtask::run::now());
    work();
    std::thread::sleep(SETTLE);
    let used = (edge.cpu() - before).as_secs_f64();
    (used - idle_a_second * start.elapsed().as_secs_f64()) * 1000.0
}

/// One line of the table. `requests` to the worker and `mb` of bytes in each of `n`.
fn line(what: &str, ms: f64, n: u32, requests: u32, mb: f64) {
    let each = ms / f64::from(n);
    let request = each / f64::from(requests);
    print!("{what:<44}{n:>5}{each:>10.1} ms{request:>10.1} ms");
    if mb > 0.0 {
        print!("{:>10.2} ms", each / mb);
    }
    println!();
}

fn main() {
    let stage = Stage::new("cpu");
    let (edge, app) = (&stage.edge, stage.edge.app());
    let file = |seed: u64, size: u64| Random { seed, size };
    // Whatever is compiled and cached at first use is there.
    let page = app.page(&app.link(MANY_FILES));
    for seed in 0..20 {
        let _ = page.store("warm.bin", &file(seed, MB).read(0, MB));
    }
    std::thread::sleep(SETTLE);
    let (before, start) = (edge.cpu(), xtask::run::now());
    std::thread::sleep(IDLE);
    let idle = (edge.cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64();
    println!("idle: {:.1} ms a second\n", idle * 1000.0);
    println!(
        "{:<44}{:>5}{:>13}{:>13}{:>13}",
        "", "n", "each", "a request", "a MB"
    );

    const LOOKS: u32 = 500;
    let url = format!("{}/healthz", edge.origin());
    let ms = used(edge, idle, &mut || {
        for _ in 0..LOOKS {
            let _ = send("GET", &url, &[], None).expect("an answer");
        }
    });
    line("a request that does nothing", ms, LOOKS, 1, 0.0);

    const LINKS: u32 = 200;
    let ms = used(edge, idle, &mut || {
        for _ in 0..LINKS {
            let _ = app.link(MANY_FILES);
        }
    });
    line("a link", ms, LINKS, 1, 0.0);

    const SMALL: u32 = 200;
    let page = app.page(&app.link(MANY_FILES));
    let ms = used(edge, idle, &mut || {
        for seed in 0..SMALL {
            let bytes = file(u64::from(seed) + 1000, MB).read(0, MB);
            let _ = page.store(&format!("{seed}.bin"), &bytes);
        }
    });
    line("a file of 1 MB in one request", ms, SMALL, 1, 1.0);

    const LARGE: u32 = 20;
    let page = app.page(&app.link(MANY_FILES));
    let mut requests = 0;
    let ms = used(edge, idle, &mut || {
        for seed in 0..LARGE {
            let file = file(u64::from(seed) + 2000, 40 * MB);
            let upload = page.announce_random(&format!("{seed}.bin"), file);
            let parts = page.send_parts(&upload, file);
            requests = 2 + u32::try_from(parts.len()).expect("few parts");
            let done = page.complete(upload.id, file.sha256(), &parts, &[]);
            assert_eq!(done.status, 200, "{}", done.text());
        }
    });
    line(
        "a file of 40 MB in parts, and its requests",
        ms,
        LARGE,
        requests,
        40.0,
    );
}
