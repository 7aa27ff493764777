//! Trouble of our own: the file waits until it is over, however long that takes, and is delivered then.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use chatlift_backend::App;
use chatlift_backend::config::Config;
use chatlift_backend::jobs;
use chatlift_backend::pipeline::scan::Unscanned;
use chatlift_backend::ports::Clock as _;
use chatlift_backend::sandbox::{Programs, Sandbox, Walls};
use chatlift_backend::store::Stage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::common::{
    JumpingClock, TestEdge, announce, bytes, config, event_id, file_id, job, step,
};

/// More tries than any file is given.
const TRIES: usize = 130;

/// A backend that has heard of a file, of which nothing runs.
async fn heard(config: Config, edge: &TestEdge, content: &[u8]) -> App {
    let clock = JumpingClock::new();
    edge.hold(file_id(1), content, "\"v1\"");
    let sandbox = Sandbox::with_walls(Programs::default(), Walls::None);
    let app = App::open_with(config, Arc::clone(&clock) as _, sandbox).await;
    let app = app.expect("the backend opens");
    let event = announce(1, "a.bin", "application/octet-stream", content, &[]);
    let recorded = app
        .store()
        .record_event(event_id(1), &event, clock.now())
        .await;
    recorded.expect("recorded");
    app
}

/// Tries more often than a file may fail; it is still where it was, and as good as new.
async fn waits_in(app: &App, stage: Stage) {
    for _ in 0..TRIES {
        step(app, file_id(1)).await;
    }
    let job = job(app, file_id(1)).await;
    assert_eq!(
        (job.stage(), job.attempts),
        (stage, 0),
        "{:?}",
        job.last_error
    );
    assert!(job.last_error.is_some());
}

async fn is_delivered(app: &App) {
    for _ in 0..4 {
        step(app, file_id(1)).await;
    }
    assert_eq!(job(app, file_id(1)).await.stage(), Stage::Done);
}

#[tokio::test]
async fn a_file_waits_for_room_as_long_as_it_takes() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut config = config(data.path(), &edge.url);
    config.disk_quota = 1000;
    let app = heard(config, &edge, &bytes(600)).await;
    let other = data.path().join(format!("work/{}.original", file_id(2)));
    std::fs::write(&other, bytes(600)).expect("a file");
    waits_in(&app, Stage::Fetch).await;
    std::fs::remove_file(other).expect("room");
    is_delivered(&app).await;
}

#[tokio::test]
async fn a_file_waits_for_a_disk_that_fails() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let app = heard(config(data.path(), &edge.url), &edge, &bytes(600)).await;
    // A folder where the file is to be written: no disk does that.
    let part = data.path().join(format!("work/{}.part", file_id(1)));
    std::fs::create_dir(&part).expect("a folder");
    waits_in(&app, Stage::Fetch).await;
    std::fs::remove_dir(part).expect("the disk is well");
    is_delivered(&app).await;
}

/// A clamd that always says the same.
async fn clamd(said: &Arc<Mutex<&'static str>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let said = Arc::clone(said);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let said = said.lock().map(|said| *said).unwrap_or_default();
            let mut asked = vec![0; 4096];
            // The last chunk has no length.
            let mut tail = Vec::new();
            while !tail.ends_with(&[0; 4]) {
                let read = stream.read(&mut asked).await.unwrap_or(0);
                if read == 0 {
                    break;
                }
                tail.extend_from_slice(&asked[..read]);
            }
            let _ = stream.write_all(said.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_file_waits_for_a_scanner_whose_errors_pass() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let said = Arc::new(Mutex::new("stream: Can't allocate memory ERROR\0"));
    let mut config = config(data.path(), &edge.url);
    let address = clamd(&said).await;
    config.clamd = Some(format!("tcp:{address}").parse().expect("an address"));
    let app = heard(config, &edge, b"clean words").await;
    step(&app, file_id(1)).await;
    waits_in(&app, Stage::Scan).await;
    *said.lock().expect("no test panicked") = "stream: OK\0";
    is_delivered(&app).await;
}

#[tokio::test]
async fn what_the_scanner_could_not_see_is_no_malware_and_is_delivered_if_that_is_wanted() {
    let edge = TestEdge::start().await;
    for said in [
        "stream: Heuristics.Encrypted.Zip FOUND\0",
        "INSTREAM size limit exceeded. ERROR\0",
    ] {
        for wanted in [false, true] {
            let data = tempfile::tempdir().expect("a folder");
            let address = clamd(&Arc::new(Mutex::new(said))).await;
            let mut config = config(data.path(), &edge.url);
            config.clamd = Some(format!("tcp:{address}").parse().expect("an address"));
            config.unscanned = match wanted {
                true => Unscanned::Deliver,
                false => Unscanned::Refuse,
            };
            let app = heard(config, &edge, b"locked words").await;
            for _ in 0..4 {
                step(&app, file_id(1)).await;
            }
            let job = job(&app, file_id(1)).await;
            let expected = match wanted {
                true => (Stage::Done, None),
                false => (
                    Stage::Parked,
                    Some("The file could not be checked for malware.".to_owned()),
                ),
            };
            assert_eq!((job.stage(), job.told()), expected, "{said}");
            let kept = std::fs::read_dir(data.path().join("quarantine")).expect("the folder");
            assert_eq!(kept.count(), 0);
        }
    }
}

#[tokio::test]
async fn what_the_scanner_could_not_see_can_be_held_until_the_operator_has_decided() {
    let edge = TestEdge::start().await;
    for (word, ended) in [("release", Stage::Done), ("park", Stage::Parked)] {
        let data = tempfile::tempdir().expect("a folder");
        let said = Arc::new(Mutex::new("stream: Heuristics.Encrypted.PDF FOUND\0"));
        let mut config = config(data.path(), &edge.url);
        config.clamd = Some(
            format!("tcp:{}", clamd(&said).await)
                .parse()
                .expect("an address"),
        );
        config.unscanned = Unscanned::Hold;
        let app = heard(config, &edge, b"locked words").await;
        for _ in 0..4 {
            step(&app, file_id(1)).await;
        }
        let held = job(&app, file_id(1)).await;
        assert_eq!(held.stage(), Stage::Held);
        assert_eq!(held.last_error.as_deref(), Some("Heuristics.Encrypted.PDF"));
        let now = JumpingClock::new().now();
        let due = app.store().due_jobs(now, 10).await.expect("the store");
        assert!(due.is_empty(), "it waits");
        let words = [word.to_owned(), file_id(1).to_string()];
        jobs::run(app.store(), &words, now).await.expect("done");
        let again = jobs::run(app.store(), &["release".to_owned(), words[1].clone()], now).await;
        assert!(again.is_err(), "it is not held any more");
        for _ in 0..2 {
            step(&app, file_id(1)).await;
        }
        assert_eq!(job(&app, file_id(1)).await.stage(), ended, "{word}");
    }
}

#[tokio::test]
async fn a_file_over_the_scanners_limit_is_not_clean_whatever_that_says() {
    let edge = TestEdge::start().await;
    for (most, ended) in [(11, Stage::Parked), (12, Stage::Done)] {
        let data = tempfile::tempdir().expect("a folder");
        let mut config = config(data.path(), &edge.url);
        let address = clamd(&Arc::new(Mutex::new("stream: OK\0"))).await;
        config.clamd = Some(format!("tcp:{address}").parse().expect("an address"));
        config.scanned_max = most;
        let app = heard(config, &edge, b"locked words").await;
        for _ in 0..4 {
            step(&app, file_id(1)).await;
        }
        let job = job(&app, file_id(1)).await;
        assert_eq!(job.stage(), ended, "{:?}", job.last_error);
    }
}
