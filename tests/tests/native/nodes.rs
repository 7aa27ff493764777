//! Three nodes over PostgreSQL and an S3 server: requests of one upload reach different nodes, and nodes are
//! killed at moments drawn from a seed.
//!
//! `CHATLIFT_NODES_UPLOADS` makes it longer, `CHATLIFT_NODES_SEED` another run.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_tests::client::Page;
use chatlift_tests::edge::MANY_FILES;
use chatlift_tests::nodes::Nodes;
use chatlift_tests::postgres::Postgres;
use chatlift_tests::receiver::Receiver;
use chatlift_tests::s3::S3;
use chatlift_tests::scratch::{Folder, wait_for};
use chatlift_tests::stream::Stream;
use xtask::secrets::AppSecrets;

use chatlift_tests::sender::{Acknowledged, SIZE_MAX, Seed, all_is_there, send_one, variable};

/// Uploads of a run, where none are asked for.
const UPLOADS: u64 = 16;
/// Uploads that are under way at once.
const AT_ONCE: u64 = 8;
/// Time between two kills, in milliseconds: from this to thrice as much.
const PAUSE: u64 = 2_000;
/// The kill with which the database is killed too, and that with which the store fails.
const WITH_DATABASE: u32 = 5;
const WITH_STORE: u32 = 8;
/// How long the store fails.
const STORE_FAILS_FOR: Duration = Duration::from_secs(20);

#[test]
fn nothing_acknowledged_is_lost_doubled_or_altered_however_nodes_are_killed() {
    let uploads = variable("CHATLIFT_NODES_UPLOADS", UPLOADS);
    let run = variable("CHATLIFT_NODES_SEED", 1);
    let folder = Folder::new("nodes-postgres");
    let mut postgres = Postgres::start(folder.path(), &[]);
    let s3 = S3::start("nodes-s3");
    let secrets = AppSecrets::random().expect("random bytes");
    let receiver = Receiver::start(&[&secrets.webhook_secret]);
    let mut vars = s3.vars();
    vars.push(("DATABASE_URL".to_owned(), postgres.url()));
    let nodes = Nodes::start("nodes", 3, secrets, &receiver.url(), &vars);
    let app = nodes.app();
    let links: Vec<Link> = (0..4).map(|_| app.link(MANY_FILES)).collect();
    let pages: Vec<Page> = links.iter().map(|link| app.page(link)).collect();

    let (over, mut kills) = (AtomicBool::new(false), 0);
    let sent: Vec<Acknowledged> = std::thread::scope(|scope| {
        let (over, kills, postgres) = (&over, &mut kills, &mut postgres);
        let (nodes, s3, pages) = (&nodes, &s3, &pages);
        let senders: Vec<_> = (0..AT_ONCE)
            .map(|first| {
                let mine = (0..uploads).filter(move |n| n % AT_ONCE == first);
                scope.spawn(move || {
                    mine.map(|n| send_one(pages, run, n, SIZE_MAX))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        scope.spawn(move || {
            let mut seed = Seed(run);
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(PAUSE + seed.below(2 * PAUSE)));
                let node = usize::try_from(seed.below(3)).expect("small");
                nodes.kill(node);
                *kills += 1;
                match *kills {
                    WITH_DATABASE => postgres.restart(),
                    WITH_STORE => {
                        s3.fail(true);
                        std::thread::sleep(STORE_FAILS_FOR);
                        s3.fail(false);
                    }
                    _ => std::thread::sleep(Duration::from_millis(500)),
                }
                nodes.start_node(node);
            }
        });
        let sent: Vec<_> = senders
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        over.store(true, Ordering::Relaxed);
        sent.into_iter()
            .flat_map(|sent| sent.expect("a sender"))
            .collect()
    });
    println!("{} uploads acknowledged, {kills} kills", sent.len());
    all_is_there(&app, &links, &receiver, &sent);

    // What a killed node was putting together is settled, which takes its time; then nothing is left over.
    wait_for(
        "all that was begun to be settled",
        Duration::from_secs(120),
        || {
            let begun = "upload WHERE row LIKE '%\"completing\"%'";
            (postgres.count(begun) == 0).then_some(())
        },
    );
    for link in &links {
        let erase = format!("/v1/links/{}?erase=true", link.id);
        wait_for("the erasure", Duration::from_secs(60), || {
            (app.call("DELETE", &erase, &[], None).status < 300).then_some(())
        });
    }
    wait_for("an empty bucket", Duration::from_secs(120), || {
        let left = s3.objects();
        // Multipart uploads that no link knew of yet are the bucket's own to drop.
        let name =
            |path: &std::path::PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        let mut names = left.iter().filter_map(name);
        names.all(|name| name.starts_with('.')).then_some(())
    });
    // What a commit that was abandoned may have put there is removed ten minutes later, and its link with it.
    wait_for("empty tables", Duration::from_secs(660), || {
        let tables = [
            "link", "upload", "event", "part", "stage", "alarm", "list", "audit",
        ];
        tables.iter().all(|t| postgres.count(t) == 0).then_some(())
    });
}

#[test]
fn what_happens_on_one_node_is_told_to_who_watches_on_another() {
    let folder = Folder::new("watched-postgres");
    let postgres = Postgres::start(folder.path(), &[]);
    let s3 = S3::start("watched-s3");
    let secrets = AppSecrets::random().expect("random bytes");
    let receiver = Receiver::start(&[&secrets.webhook_secret]);
    let mut vars = s3.vars();
    vars.push(("DATABASE_URL".to_owned(), postgres.url()));
    let nodes = Nodes::start("watched", 2, secrets, &receiver.url(), &vars);
    let app = nodes.app();
    let link = app.link(MANY_FILES);
    let mut streams = [0, 1].map(|n| Stream::open(&nodes.node(n), app.key(), link.id, None));
    for stream in &mut streams {
        let _ = stream.until("retry:");
    }
    for n in [0, 1] {
        let page = Page::of(&link.url.replacen(nodes.origin(), &nodes.node(n), 1));
        let stored = page.store("a.pdf", format!("%PDF-1.7 {n}").as_bytes());
        for stream in &mut streams {
            assert_eq!(stream.until("event:"), "file.stored");
            assert!(stream.until("data:").contains(&stored.id.to_string()));
        }
    }
}
