//! The real process, killed with SIGKILL while LibreOffice runs.

use std::path::Path;
use std::time::Duration;

use chatlift_backend::store::Stage;

use crate::common::process::Process;
use crate::common::{Backend, JumpingClock, TestEdge, announce, config, event_id, file_id};
use crate::hostile::processes_of;

const PDF: &str = "application/pdf";

/// A text that LibreOffice is busy with for some seconds.
pub(crate) fn long() -> Vec<u8> {
    "海港保险 words of a long text, line after line.\n"
        .repeat(30_000)
        .into_bytes()
}

pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}");
}

fn libreoffice_runs(data: &Path) -> bool {
    processes_of(&data.join("work")) > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn libreoffice_dies_with_a_killed_backend_and_the_next_one_finishes_its_job() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = long();
    edge.hold(file_id(1), &content, "\"v1\"");
    let mut process = Process::start(data.path(), &edge, &[]);
    let event = announce(1, "a.txt", "text/plain", &content, &[PDF]);
    assert_eq!(process.tell(event_id(1), &event).await, Some(204));
    until("LibreOffice runs", || libreoffice_runs(data.path())).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    process.kill();
    until("LibreOffice is dead", || !libreoffice_runs(data.path())).await;

    let config = config(data.path(), &edge.url);
    let backend = Backend::start_with(config, JumpingClock::new()).await;
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    let made = backend.content(file_id(1)).await.bytes().await;
    assert!(made.expect("bytes").starts_with(b"%PDF"));
    let small = backend
        .get(&format!("/app/deliveries/{}/thumbnail", file_id(1)))
        .await;
    assert_eq!(small.status(), 200);
    backend.stop().await;
    let left = std::fs::read_dir(data.path().join("work")).expect("the folder");
    assert_eq!(left.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_backend_kills_libreoffice_and_hands_its_job_back() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = long();
    edge.hold(file_id(1), &content, "\"v1\"");
    let config = config(data.path(), &edge.url);
    let backend = Backend::start_with(config, JumpingClock::new()).await;
    let event = announce(1, "a.txt", "text/plain", &content, &[PDF]);
    backend.tell(event_id(1), &event).await;
    until("LibreOffice runs", || libreoffice_runs(data.path())).await;
    let store = backend.app.store().clone();
    backend.app.stop().cancel();
    until("LibreOffice is dead", || !libreoffice_runs(data.path())).await;
    let mut job = store
        .job(file_id(1))
        .await
        .expect("the store")
        .expect("a job");
    for _ in 0..100 {
        if job.crashes == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        job = store
            .job(file_id(1))
            .await
            .expect("the store")
            .expect("a job");
    }
    assert_eq!((job.stage(), job.crashes), (Stage::Convert, 0));
    backend.stop().await;
}
