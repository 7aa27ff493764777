//! Two backend processes that share their work by a PostgreSQL, and what each may write there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chatlift_backend::clock::SystemClock;
use chatlift_backend::pipeline::Rejection;
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::{Stage, Store};
use chatlift_shared::webhook::EventKind;
use chatlift_shared::{EventId, FileId, UploadId};

use crate::common::process::Process;
use crate::common::{TestEdge, announce, event_id, link_id};
use crate::database::Postgres;

const JOBS: u16 = 500;

fn bytes(n: u16) -> [u8; 6] {
    let [a, b] = n.to_be_bytes();
    [1, 2, 3, 4, a, b]
}

async fn delivered(process: &Process) -> usize {
    let text = process
        .http
        .get(format!("{}/metrics", process.url))
        .send()
        .await;
    let text = text.expect("an answer").text().await.expect("text");
    let line = "chatlift_stage_seconds_count{outcome=\"done\",stage=\"deliver\"} ";
    text.lines()
        .find_map(|l| l.strip_prefix(line)?.parse().ok())
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_500_jobs_and_do_none_twice() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let server = Postgres::start(folder.path(), &[]);
    let database = server.url();
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    // The first makes the tables.
    let variables = [("CHATLIFT_DATABASE_URL", database.as_str())];
    let both = [(); 2].map(|()| Process::start(data.path(), &edge, &variables));
    for n in 0..JOBS {
        let content = format!("words of file {n}").into_bytes();
        let mut event = announce(1, "a.txt", "text/plain", &content, &[]);
        let file = FileId::from(UploadId::new(link_id(), bytes(n)));
        if let EventKind::FileStored(stored) = &mut event.kind {
            stored.file.id = file;
        }
        edge.hold(file, &content, "\"v1\"");
        let id = EventId::new(link_id(), bytes(n));
        let answer = both[usize::from(n % 2)].tell(id, &event).await;
        assert_eq!(answer, Some(204), "{n}");
    }
    edge.receipts(3 * usize::from(JOBS)).await;

    let (one, two) = (delivered(&both[0]).await, delivered(&both[1]).await);
    println!("the first did {one} jobs, the second {two}");
    assert_eq!(one + two, usize::from(JOBS));
    assert!(one > 0 && two > 0, "both have worked");
    assert_eq!(
        edge.fetches().len(),
        usize::from(JOBS),
        "each was fetched once"
    );
    let receipts = edge.lock().receipts.clone();
    let told: BTreeSet<_> = receipts.iter().map(|(file, r)| (*file, r.status)).collect();
    assert_eq!(told.len(), receipts.len(), "no receipt twice");
    let store = Store::open_shared(&database).await.expect("the store");
    let (mut seen, mut last) = (Vec::new(), 0);
    loop {
        let more = store.feed_after(link_id(), last).await.expect("the feed");
        let Some(entry) = more.last() else { break };
        last = entry.seq;
        seen.extend(more.into_iter().map(|e| e.kind));
    }
    for kind in ["uploaded", "received", "converted", "delivered"] {
        let count = seen.iter().filter(|k| *k == kind).count();
        assert_eq!(count, usize::from(JOBS), "{kind}");
    }
    let kept = std::fs::read_dir(data.path().join("deliveries")).expect("the folder");
    assert_eq!(kept.count(), usize::from(JOBS));
    let left = std::fs::read_dir(data.path().join("work")).expect("the folder");
    assert_eq!(left.count(), 0);
}

/// A server that is spoken to over TLS only, its address, and that address with its certificate.
pub(crate) async fn start_over_tls(folder: &Path) -> (Postgres, String, String) {
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(
        made.expect("openssl is not installed: apt-get install openssl")
            .success()
    );
    // PostgreSQL takes a key of its own user's only, or of root's that its group may read.
    let owner = Command::new("chown").arg("postgres").arg(&key).status();
    assert!(owner.expect("chown").success() || !folder.starts_with("/root"));
    let access = folder.join("hba.conf");
    std::fs::write(&access, "hostssl all all 127.0.0.1/32 trust\n").expect("a file");
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").port()
    };
    let settings = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
        format!("hba_file={}", access.display()),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
    ];
    let server = Postgres::start(folder, &settings);
    let url = format!("postgres://postgres@localhost:{port}/postgres");
    let known = format!(
        "{url}?sslmode=verify-full&sslrootcert={}",
        certificate.display()
    );
    loop {
        match Store::open_shared(&known).await {
            Ok(store) => break store.close().await,
            Err(error) if error.to_string().contains("refused") => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    (server, url, known)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_over_tls_is_known_by_its_certificate_and_no_other_way_in_is_taken() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let (_server, url, known) = start_over_tls(folder.path()).await;
    let store = Store::open_shared(&known).await.expect("it is known");
    store.ping().await.expect("it answers");
    assert!(
        Store::open_shared(&format!("{url}?sslmode=verify-full"))
            .await
            .is_err()
    );
    assert!(
        Store::open_shared(&format!("{url}?sslmode=disable"))
            .await
            .is_err()
    );
    store.close().await;
}

/// A database, and its address.
async fn with_store(folder: &Path) -> (Postgres, String, Store) {
    let server = Postgres::start(folder, &[]);
    let database = server.url();
    let store = loop {
        match Store::open_shared(&database).await {
            Ok(store) => break store,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    (server, database, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_lost_its_lease_writes_nothing_more_of_the_job() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let (_server, database, store) = with_store(folder.path()).await;
    let now = SystemClock.now();
    let event = announce(1, "a.txt", "text/plain", b"words", &[]);
    let recorded = store.record_event(event_id(1), &event, now).await;
    recorded.expect("recorded");
    let first = store.lease_jobs(now, 4).await.expect("the store");
    let [first] = first.as_slice() else {
        panic!("{first:?}")
    };
    // Whatever a process's own clock says, the lease is not over.
    let late = now.plus(Duration::from_secs(3600));
    assert_eq!(store.lease_jobs(late, 4).await.expect("the store"), []);
    assert!(store.extend_lease(first, now).await.expect("the store"));

    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&database)
        .await
        .expect("the database");
    let over = sqlx::query("UPDATE jobs SET claimed_until = 1")
        .execute(&pool)
        .await;
    over.expect("the lease is over");
    let second = store.lease_jobs(now, 4).await.expect("the store");
    assert_eq!(second.len(), 1);
    assert!(!store.extend_lease(first, now).await.expect("the store"));

    let before = store
        .job(first.file())
        .await
        .expect("the store")
        .expect("a job");
    store
        .fetched(first, None, Stage::Convert, now)
        .await
        .expect("the store");
    store.set_etag(first, Some("old")).await.expect("the store");
    store
        .conversion_begins(first, late)
        .await
        .expect("the store");
    store
        .try_again(first, 9, 9, "old", late)
        .await
        .expect("the store");
    store
        .park(first, Rejection::Gone, "old", now)
        .await
        .expect("the store");
    store.hand_back(first, late).await.expect("the store");
    let after = store
        .job(first.file())
        .await
        .expect("the store")
        .expect("a job");
    assert_eq!(after, before);
    assert_eq!(
        store
            .feed_after(link_id(), 0)
            .await
            .expect("the feed")
            .len(),
        1,
        "uploaded"
    );

    store
        .fetched(&second[0], None, Stage::Convert, now)
        .await
        .expect("the store");
    let after = store
        .job(first.file())
        .await
        .expect("the store")
        .expect("a job");
    assert_eq!(after.stage(), Stage::Convert);
    pool.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_a_dead_process_left_is_sent_by_the_next() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let (_server, database, store) = with_store(folder.path()).await;
    let (data, edge) = (
        tempfile::tempdir().expect("a folder"),
        TestEdge::start().await,
    );
    let variables = [("CHATLIFT_DATABASE_URL", database.as_str())];
    let process = Process::start(data.path(), &edge, &variables);
    // One that runs and has nothing to do.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now = SystemClock.now();
    let event = announce(1, "a.txt", "text/plain", b"words", &[]);
    let job = {
        let recorded = store.record_event(event_id(1), &event, now).await;
        recorded.expect("recorded");
        let leased = store.lease_jobs(now, 1).await.expect("the store");
        leased.into_iter().next().expect("the job")
    };
    let parked = store.park(&job, Rejection::Gone, "gone", now).await;
    parked.expect("parked, and nothing told");
    assert_eq!(edge.receipts(1).await, ["rejected"]);
    drop(process);
    store.close().await;
}
