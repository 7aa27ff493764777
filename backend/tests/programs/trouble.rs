//! Real trouble, in the middle of the work: a full disk, and a scanner, a database or a bucket that stops.
//! Nothing is rejected for it, and all is delivered when it is over.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chatlift_backend::store::{Stage, Store};
use tokio::net::TcpListener;

use crate::clamd;
use crate::common::process::Process;
use crate::common::{Backend, JumpingClock, TestEdge, announce, bytes, config, event_id, file_id};
use crate::database::Postgres;
use crate::machines::serve_s3;

/// Files that are sent.
const FILES: u8 = 12;
/// Size of each, in bytes.
const SIZE: usize = 300_000;
const ANY: &str = "application/octet-stream";

/// A small disk, gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// Of so many MiB, at `folder`.
    fn at(folder: &Path, mib: u32) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(folder)
            .status();
        assert!(mounted.expect("mount").success(), "run this as root");
        Self(folder.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn content(n: u8) -> Vec<u8> {
    let mut content = bytes(SIZE);
    content[0] = n;
    content
}

/// Sends files until each is taken.
async fn send(backend: &Backend, edge: &TestEdge, files: impl IntoIterator<Item = u8>) {
    for n in files {
        edge.hold(file_id(n), &content(n), "\"v1\"");
        let event = announce(n, "a.bin", ANY, &content(n), &[]);
        while backend.tell(event_id(n), &event).await != 204 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// How often a stage has ended in this way so far.
async fn ended(backend: &Backend, outcome: &str) -> u64 {
    let metrics = backend.get("/metrics").await.text().await.expect("text");
    let wanted = format!("outcome=\"{outcome}\"");
    metrics
        .lines()
        .filter(|line| line.starts_with("chatlift_stage_seconds_count{") && line.contains(&wanted))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

async fn until(done: impl AsyncFn() -> bool) {
    while !done().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn all_are_delivered(backend: &Backend) {
    for n in 1..=FILES {
        let job = backend.ended(file_id(n)).await;
        assert_eq!(job.stage(), Stage::Done, "{n}: {:?}", job.last_error);
        let whole = backend.content(file_id(n)).await.bytes().await;
        assert!(whole.expect("bytes") == content(n), "{n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_in_the_middle_costs_no_file() {
    let data = tempfile::tempdir().expect("a folder");
    let _disk = Disk::at(data.path(), 32);
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    send(&backend, &edge, 1..=3).await;
    backend.ended(file_id(1)).await;

    // To the last byte.
    let filler = data.path().join("filler");
    let mut file = std::fs::File::create(&filler).expect("a file");
    while file.write_all(&[7; 4096]).is_ok() {}
    drop(file);
    let sender = send(&backend, &edge, 4..=FILES);
    let relief = async {
        // What the edge sends is not taken, or what was taken finds no room.
        tokio::time::sleep(Duration::from_secs(3)).await;
        std::fs::remove_file(&filler).expect("room");
    };
    tokio::join!(sender, relief);
    all_are_delivered(&backend).await;
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_for_files_that_is_full_beside_a_database_that_is_not_costs_none_either() {
    let data = tempfile::tempdir().expect("a folder");
    let work = data.path().join("work");
    std::fs::create_dir(&work).expect("a folder");
    let _disk = Disk::at(&work, 2);
    let edge = TestEdge::start().await;
    let filler = work.join("filler");
    std::fs::write(&filler, vec![7; (2 << 20) - SIZE / 2]).expect("a file");
    let backend = Backend::start(data.path(), &edge).await;
    send(&backend, &edge, 1..=FILES).await;
    until(async || ended(&backend, "waits-for-system").await > 100).await;
    std::fs::remove_file(&filler).expect("room");
    all_are_delivered(&backend).await;
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_stops_for_minutes_costs_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (daemon, scanner) = clamd::start(folder.path());
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut config = config(data.path(), &edge.url);
    config.clamd = Some(scanner);
    let backend = Backend::start_with(config, JumpingClock::new()).await;
    send(&backend, &edge, 1..=3).await;
    backend.ended(file_id(1)).await;
    drop(daemon);
    send(&backend, &edge, 4..=FILES).await;
    // Each wait is 15 s or more by the clock that jumps.
    until(async || ended(&backend, "waits-for-scanner").await > 100).await;
    let _daemon = clamd::start(folder.path());
    all_are_delivered(&backend).await;
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_answer_costs_no_file() {
    let (data, s3) = (tempfile::tempdir(), tempfile::tempdir());
    let (data, s3) = (data.expect("a folder"), s3.expect("a folder"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let edge = TestEdge::start().await;
    let variables = [
        ("CHATLIFT_OBJECTS", "s3://bucket"),
        ("AWS_ENDPOINT_URL", &format!("http://{address}")),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let process = Process::start(data.path(), &edge, &variables);
    for n in 1..=2 {
        edge.hold(file_id(n), &content(n), "\"v1\"");
        let event = announce(n, "a.bin", ANY, &content(n), &[]);
        assert_eq!(process.tell(event_id(n), &event).await, Some(204));
    }
    let get = |path: String| process.http.get(format!("{}{path}", process.url)).send();
    until(async || {
        let metrics = get("/metrics".to_owned()).await.expect("an answer");
        metrics
            .text()
            .await
            .expect("text")
            .contains("waits-for-objects")
    })
    .await;
    let ready = get("/readyz".to_owned()).await.expect("an answer");
    assert_eq!(ready.status(), 500);
    serve_s3(
        s3.path(),
        TcpListener::bind(address).await.expect("the port"),
    );
    assert_eq!(
        edge.receipts(6)
            .await
            .iter()
            .filter(|r| *r == "delivered")
            .count(),
        2
    );
    for n in 1..=2 {
        let path = format!("/app/deliveries/{}/content", file_id(n));
        let whole = get(path).await.expect("an answer").bytes().await;
        assert!(whole.expect("bytes") == content(n), "{n}");
    }
    let ready = get("/readyz".to_owned()).await.expect("an answer");
    assert_eq!(ready.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_restarted_costs_no_file() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let mut server = Postgres::start(folder.path(), &[]);
    let database = server.url();
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let variables = [("CHATLIFT_DATABASE_URL", database.as_str())];
    let process = Process::start(data.path(), &edge, &variables);
    let told = async |n: u8| {
        edge.hold(file_id(n), &content(n), "\"v1\"");
        let event = announce(n, "a.bin", ANY, &content(n), &[]);
        process.tell(event_id(n), &event).await
    };
    // They stand still in the middle.
    edge.gate.send_replace(false);
    for n in 1..=4 {
        assert_eq!(told(n).await, Some(204));
    }
    server.stop();
    edge.gate.send_replace(true);
    // The edge is told to come again, and does.
    assert_eq!(told(5).await, Some(500));
    server.start_again();
    for n in 5..=FILES {
        until(async || told(n).await == Some(204)).await;
    }
    edge.receipts(3 * usize::from(FILES)).await;
    let store = Store::open_shared(&database).await.expect("the store");
    for n in 1..=FILES {
        let job = store.job(file_id(n)).await.expect("the store");
        assert_eq!(job.expect("a job").stage(), Stage::Done, "{n}");
        let url = format!("{}/app/deliveries/{}/content", process.url, file_id(n));
        let whole = process.http.get(url).send().await.expect("an answer");
        assert!(whole.bytes().await.expect("bytes") == content(n), "{n}");
    }
    store.close().await;
}
