//! The embedded store, killed at moments drawn from a seed.
//!
//! `CHATLIFT_POWER_KILLS` makes it longer, `CHATLIFT_POWER_SEED` another run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_tests::client::Page;
use chatlift_tests::edge::MANY_FILES;
use chatlift_tests::nodes::Nodes;
use chatlift_tests::receiver::Receiver;
use xtask::secrets::AppSecrets;

use chatlift_tests::sender::{Acknowledged, SIZE_MAX, Seed, all_is_there, send_one, variable};

/// Kills of a run, where none are asked for.
const KILLS: u64 = 12;
/// Longest time that it runs before it is killed, in milliseconds.
const LIFE_MAX: u64 = 600;
/// Uploads that are under way at once.
const AT_ONCE: usize = 4;

#[test]
fn nothing_acknowledged_is_missing_after_a_kill_at_any_moment() {
    let kills = variable("CHATLIFT_POWER_KILLS", KILLS);
    let run = variable("CHATLIFT_POWER_SEED", 1);
    let secrets = AppSecrets::random().expect("random bytes");
    let receiver = Receiver::start(&[&secrets.webhook_secret]);
    let nodes = Nodes::start("power", 1, secrets, &receiver.url(), &[]);
    let app = nodes.app();
    let links: Vec<Link> = (0..4).map(|_| app.link(MANY_FILES)).collect();
    let pages: Vec<Page> = links.iter().map(|link| app.page(link)).collect();

    let (over, next) = (AtomicBool::new(false), AtomicU64::new(0));
    let sent: Vec<Acknowledged> = std::thread::scope(|scope| {
        let (over, next, pages) = (&over, &next, &pages);
        let senders: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(move || {
                    let mut sent = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        sent.push(send_one(pages, run, n, SIZE_MAX));
                    }
                    sent
                })
            })
            .collect();
        let mut seed = Seed(run);
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(seed.below(LIFE_MAX)));
            nodes.kill(0);
            nodes.start_node(0);
        }
        over.store(true, Ordering::Relaxed);
        let senders = senders.into_iter();
        senders.flat_map(|s| s.join().expect("a sender")).collect()
    });
    println!("{} uploads acknowledged, {kills} kills", sent.len());
    all_is_there(&app, &links, &receiver, &sent);
}
