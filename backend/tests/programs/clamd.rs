//! Scanning with Debian's clamd, which the test starts with a signature file of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chatlift_backend::pipeline::scan::Clamd;
use chatlift_backend::store::Stage;

use crate::common::{Backend, JumpingClock, TestEdge, announce, config, event_id, file_id, told};

/// The test file that every scanner knows (eicar.org), in two halves so that this source is not
/// taken for it.
fn eicar() -> Vec<u8> {
    [
        r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR",
        "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*",
    ]
    .concat()
    .into_bytes()
}

pub(crate) struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A clamd in `folder`, which may have been there before.
pub(crate) fn start(folder: &Path) -> (Daemon, Clamd) {
    let database = folder.join("database");
    std::fs::create_dir_all(&database).expect("a folder");
    // A signature by content: name, any type, anywhere, hex.
    let signature = format!("Chatlift.Eicar:0:*:{}\n", hex::encode(&eicar()[..40]));
    std::fs::write(database.join("test.ndb"), signature).expect("a file");
    let socket = folder.join("clamd.ctl");
    // One that was killed leaves its socket.
    let _ = std::fs::remove_file(&socket);
    let settings = format!(
        "LocalSocket {}\nDatabaseDirectory {}\nForeground yes\nStreamMaxLength 1M\nLogVerbose no\n",
        socket.display(),
        database.display()
    );
    let path = folder.join("clamd.conf");
    std::fs::write(&path, settings).expect("a file");
    let child = Command::new("/usr/sbin/clamd")
        .arg("--config-file")
        .arg(path)
        .stdout(Stdio::null())
        .spawn()
        .expect("clamd cannot be run: apt-get install clamav-daemon");
    let daemon = Daemon(child);
    for _ in 0..600 {
        if socket.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(socket.exists(), "clamd does not listen");
    (daemon, Clamd::Unix(socket))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_infected_file_is_quarantined_and_a_clean_one_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let (daemon, clamd) = start(folder.path());
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut config = config(data.path(), &edge.url);
    config.clamd = Some(clamd);
    let backend = Backend::start_with(config.clone(), JumpingClock::new()).await;
    let any = "application/octet-stream";
    let large = vec![7; 2 << 20];
    for (n, content, stage, words) in [
        (1, eicar(), Stage::Parked, "malware"),
        (2, b"clean words".to_vec(), Stage::Done, ""),
        (3, large, Stage::Parked, "could not be checked"),
    ] {
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, "a.bin", any, &content, &[]);
        backend.tell(event_id(n), &event).await;
        let ended = backend.ended(file_id(n)).await;
        assert_eq!(ended.stage(), stage, "{n} {:?}", ended.last_error);
        let reason = ended.told().unwrap_or_default();
        assert!(reason.contains(words), "{n} {reason}");
    }
    assert_eq!(backend.content(file_id(1)).await.status(), 404);
    let kept = data.path().join("quarantine").join(file_id(1).to_string());
    assert_eq!(std::fs::read(kept).expect("the file"), eicar());
    let job = crate::common::job(&backend.app, file_id(1)).await;
    assert!(job.last_error.expect("a name").contains("Chatlift.Eicar"));
    assert!(told(&backend.app).await.contains(&"rejected".to_owned()));

    // What is in quarantine goes when its time is over.
    let kept = data.path().join("quarantine").join(file_id(1).to_string());
    let mut later = config.clone();
    later.retention = Some(std::time::Duration::from_secs(24 * 3600));
    let second = tempfile::tempdir().expect("a folder");
    later.data_dir = second.path().to_owned();
    let cleaned = Backend::start_with(later, JumpingClock::new()).await;
    edge.hold(file_id(9), &eicar(), "\"v1\"");
    let event = announce(9, "a.bin", any, &eicar(), &[]);
    assert_eq!(cleaned.tell(event_id(9), &event).await, 204);
    assert_eq!(cleaned.ended(file_id(9)).await.stage(), Stage::Parked);
    let theirs = second
        .path()
        .join("quarantine")
        .join(file_id(9).to_string());
    let is_held = || edge.lock().contents.contains_key(&file_id(9));
    for _ in 0..1_000 {
        if !theirs.exists() && !is_held() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!theirs.exists(), "a day is over, and more");
    assert!(!is_held(), "nor at the edge");
    assert!(kept.exists(), "thirty days are not");
    cleaned.stop().await;

    // Without its scanner nothing is delivered.
    drop(daemon);
    edge.hold(file_id(4), b"clean", "\"v1\"");
    backend
        .tell(event_id(4), &announce(4, "a.bin", any, b"clean", &[]))
        .await;
    loop {
        let job = crate::common::job(&backend.app, file_id(4)).await;
        if job.stage() == Stage::Scan && job.last_error.is_some() {
            assert_eq!(job.attempts, 0, "it waits through no fault of its own");
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    backend.stop().await;
}
