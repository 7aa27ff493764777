//! Debian's PostgreSQL, started by the test, and two backend processes that share the work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chatlift_backend::store::Store;
use chatlift_shared::webhook::EventKind;
use chatlift_shared::{EventId, FileId, UploadId};

use crate::common::process::Process;
use crate::common::{TestEdge, announce, link_id};

const JOBS: u16 = 500;

/// The database, killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program of PostgreSQL, as a user that is not root, which it refuses to run as.
fn postgres(name: &str) -> Command {
    let newest = std::fs::read_dir("/usr/lib/postgresql")
        .ok()
        .and_then(|versions| versions.filter_map(|v| Some(v.ok()?.path())).max())
        .expect("PostgreSQL is not installed: apt-get install postgresql");
    let program = newest.join("bin").join(name);
    let root = Command::new("id").arg("-u").output().expect("id").stdout == b"0\n";
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(program);
    command
}

/// A server on a socket in `folder`; its address.
fn start_postgres(folder: &Path) -> (Server, String) {
    let open = Command::new("chmod").arg("777").arg(folder).status();
    assert!(open.expect("chmod").success());
    let data: PathBuf = folder.join("data");
    let made = postgres("initdb")
        .args([
            "--auth=trust",
            "--username=postgres",
            "--no-sync",
            "--pgdata",
        ])
        .arg(&data)
        .stdout(Stdio::null())
        .status();
    assert!(made.expect("initdb").success());
    let server = postgres("postgres")
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(folder)
        .args(["-c", "listen_addresses="])
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres");
    let server = Server(server);
    for _ in 0..400 {
        if folder.join(".s.PGSQL.5432").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let url = format!(
        "postgres://postgres@localhost/postgres?host={}",
        folder.display()
    );
    (server, url)
}

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
    let (_server, database) = start_postgres(folder.path());
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
