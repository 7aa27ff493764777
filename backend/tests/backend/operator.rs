//! What the operator sees and can do.

use std::process::Command;

use crate::common::process::Process;
use crate::common::{Backend, KEY, SECRET, TOKEN, TestEdge, announce, event_id, file_id, job};
use chatlift_backend::store::Stage;

fn jobs(data: &std::path::Path, words: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_chatlift-backend"))
        .env_clear()
        .env("CHATLIFT_DATA_DIR", data)
        .arg("jobs")
        .args(words)
        .output()
        .expect("the program runs");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_job_is_listed_shown_and_done_after_a_retry_by_command() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let any = "application/octet-stream";
    // The edge does not have it: gone.
    backend
        .tell(event_id(1), &announce(1, "a.bin", any, b"late", &[]))
        .await;
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Parked);
    let id = file_id(1).to_string();
    let (good, said) = jobs(data.path(), &["list"]);
    assert!(
        good && said.contains(&id) && said.contains("1 jobs"),
        "{said}"
    );
    let (good, said) = jobs(data.path(), &["show", &id]);
    assert!(good && said.contains("was removed before"), "{said}");

    edge.hold(file_id(1), b"late", "\"v1\"");
    let (good, said) = jobs(data.path(), &["retry", &id]);
    assert!(good, "{said}");
    while job(&backend.app, file_id(1)).await.stage() != Stage::Done {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // The edge, which has heard of the rejection, hears of a new attempt.
    edge.receipts(4).await;
    let told: Vec<_> = edge
        .lock()
        .receipts
        .iter()
        .map(|(_, r)| (r.attempt, r.status))
        .collect();
    use chatlift_shared::api::ReceiptStatus::{Converted, Delivered, Received, Rejected};
    assert_eq!(
        told,
        [(0, Rejected), (1, Received), (1, Converted), (1, Delivered)]
    );
    let (good, said) = jobs(data.path(), &["retry", &id]);
    assert!(!good && said.contains("is not parked"), "{said}");
    let (good, said) = jobs(data.path(), &["dance"]);
    assert!(!good && said.contains("jobs list"), "{said}");
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_gets_nowhere_is_ended_by_command() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    edge.hold(file_id(1), b"words", "\"v1\"");
    edge.gate.send_replace(false);
    let event = announce(1, "a.txt", "text/plain", b"words", &[]);
    backend.tell(event_id(1), &event).await;
    let id = file_id(1).to_string();
    let (good, said) = jobs(data.path(), &["park", &id]);
    assert!(good, "{said}");
    edge.gate.send_replace(true);
    let ended = backend.ended(file_id(1)).await;
    assert_eq!(ended.stage(), Stage::Parked);
    assert_eq!(ended.last_error.as_deref(), Some("by the operator"));
    let (good, said) = jobs(data.path(), &["park", &id]);
    assert!(!good && said.contains("parked already"), "{said}");
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_can_ask_whether_its_backend_is_ready() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut process = Process::start(data.path(), &edge, &[]);
    let address = process.url.trim_start_matches("http://").to_owned();
    let ready = || {
        let output = Command::new(env!("CARGO_BIN_EXE_chatlift-backend"))
            .env_clear()
            .env("CHATLIFT_API_KEY", KEY)
            .env("CHATLIFT_WEBHOOK_SECRET", SECRET)
            .env("CHATLIFT_DATA_DIR", data.path())
            .env("CHATLIFT_APP_LISTEN", &address)
            .env("CHATLIFT_APP_TOKEN", TOKEN)
            .arg("ready")
            .output()
            .expect("the program runs");
        output.status.success()
    };
    assert!(ready());
    process.kill();
    assert!(!ready());
}

#[tokio::test]
async fn readiness_and_metrics_tell_how_it_is() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    edge.hold(file_id(1), b"words", "\"v1\"");
    backend
        .tell(
            event_id(1),
            &announce(1, "a.txt", "text/plain", b"words", &[]),
        )
        .await;
    backend.ended(file_id(1)).await;
    assert_eq!(backend.get("/readyz").await.status(), 200);
    let text = backend.get("/metrics").await.text().await.expect("text");
    for line in [
        "chatlift_jobs{stage=\"done\"} 1",
        "chatlift_jobs{stage=\"parked\"} 0",
        "chatlift_stage_seconds_count{outcome=\"done\",stage=\"fetch\"} 1",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_what_is_served_and_no_secret() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let process = Process::start(data.path(), &edge, &[("RUST_LOG", "trace")]);
    assert_eq!(
        process
            .tell(event_id(1), &announce(1, "a", "text/plain", b"", &[]))
            .await,
        Some(204)
    );
    let log = process.log().join("\n");
    assert!(log.contains("serving webhook="), "{log}");
    for secret in [KEY, SECRET, TOKEN] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_backend_in_one_folder_is_told_and_stops() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut first = Process::start(data.path(), &edge, &[]);
    let second = || {
        Command::new(env!("CARGO_BIN_EXE_chatlift-backend"))
            .env_clear()
            .env("CHATLIFT_API_KEY", KEY)
            .env("CHATLIFT_WEBHOOK_SECRET", SECRET)
            .env("CHATLIFT_DATA_DIR", data.path())
            .env("CHATLIFT_LISTEN", "127.0.0.1:0")
            .env("CHATLIFT_APP_LISTEN", "127.0.0.1:0")
            .env("CHATLIFT_APP_TOKEN", TOKEN)
            .env("CHATLIFT_WALLS", "weak")
            .output()
            .expect("the program runs")
    };
    let ended = second();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "{said}");
    assert!(
        said.contains("another backend works in the data folder"),
        "{said}"
    );
    assert!(said.contains("CHATLIFT_DATABASE_URL"), "{said}");
    let (good, said) = jobs(data.path(), &["list"]);
    assert!(good, "{said}");
    // Killed, it leaves the folder to the next.
    first.kill();
    drop(Process::start(data.path(), &edge, &[]));
}
