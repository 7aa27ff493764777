//! Fetching from an edge that misbehaves: only the announced bytes are ever accepted.

use crate::common::edge::{Fault, Fetch};
use crate::common::{Backend, TestEdge, announce, bytes, event_id, file_id, open, step, told};
use chatlift_backend::store::Stage;
use chatlift_shared::ProblemCode::{FileDeleted, FileNotFound, StorageUnavailable};
use chatlift_shared::api::PartDigests;
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::{Event, EventKind};

const ANY: &str = "application/octet-stream";

/// Announces `content` to a backend whose edge has `held` and these faults, and waits for the end.
async fn fetched(content: &[u8], held: &[u8], faults: Vec<Fault>) -> (Backend, TestEdge, Stage) {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    edge.hold(file_id(1), held, "\"v1\"");
    faults.into_iter().for_each(|f| edge.fault(f));
    // The folder outlives this function, not the test process.
    let backend = Backend::start(&data.keep(), &edge).await;
    let event = announce(1, "a.bin", ANY, content, &[]);
    assert_eq!(backend.tell(event_id(1), &event).await, 204);
    let stage = backend.ended(file_id(1)).await.stage();
    (backend, edge, stage)
}

async fn reason(backend: &Backend) -> String {
    crate::common::job(&backend.app, file_id(1))
        .await
        .told()
        .expect("a reason")
}

fn work_files(backend: &Backend) -> usize {
    std::fs::read_dir(backend.data().join("work"))
        .expect("the folder")
        .count()
}

#[tokio::test]
async fn a_cut_transfer_goes_on_where_it_was_cut() {
    let content = bytes(1_000_000);
    let cuts = vec![Fault::CutAfter(300_000), Fault::CutAfter(200_000)];
    let (backend, edge, stage) = fetched(&content, &content, cuts).await;
    assert_eq!(stage, Stage::Done);
    assert_eq!(
        backend
            .content(file_id(1))
            .await
            .bytes()
            .await
            .expect("bytes"),
        content
    );

    let fetches = edge.fetches();
    assert_eq!(fetches.len(), 3);
    assert_eq!(fetches[0].range, None);
    let mut begun = Vec::new();
    for again in &fetches[1..] {
        assert_eq!(again.if_range.as_deref(), Some("\"v1\""));
        let range = again.range.as_ref().expect("a range");
        let from = range
            .strip_prefix("bytes=")
            .and_then(|r| r.strip_suffix('-'));
        begun.push(
            from.expect("an open range")
                .parse::<usize>()
                .expect("a number"),
        );
    }
    // What the socket took before a cut may be lost with it, never more than that.
    assert!(
        begun[0] > 0 && begun[0] <= 300_000 && begun[1] > begun[0],
        "{begun:?}"
    );
    assert_eq!(fetches[2].sent, content.len() - begun[1]);
    backend.stop().await;
}

#[tokio::test]
async fn a_version_that_changed_in_between_is_fetched_from_its_beginning() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let clock = crate::common::JumpingClock::new();
    let content = bytes(500_000);
    let app = open(data.path(), &edge, &clock).await;
    let event = announce(1, "a.bin", ANY, &content, &[]);
    let now = chatlift_backend::ports::Clock::now(&*clock);
    app.store()
        .record_event(event_id(1), &event, now)
        .await
        .expect("recorded");

    edge.hold(file_id(1), &vec![7; content.len()], "\"v1\"");
    edge.fault(Fault::CutAfter(200_000));
    step(&app, file_id(1)).await;
    edge.hold(file_id(1), &content, "\"v2\"");
    step(&app, file_id(1)).await;
    assert_eq!(
        crate::common::job(&app, file_id(1)).await.stage(),
        Stage::Convert
    );
    let fetches = edge.fetches();
    assert!(fetches[1].range.is_some());
    assert_eq!(fetches[1].sent, content.len());
}

#[tokio::test]
async fn other_bytes_than_announced_are_never_delivered() {
    for fault in [Fault::Alter, Fault::Append] {
        let content = bytes(50_000);
        let (backend, edge, stage) = fetched(&content, &content, vec![fault; 4]).await;
        assert_eq!(stage, Stage::Parked);
        assert_eq!(edge.fetches().len(), 4);
        assert_eq!(backend.content(file_id(1)).await.status(), 404);
        assert!(reason(&backend).await.contains("intact"));
        assert_eq!(edge.receipts(1).await, ["rejected"]);
        assert_eq!(told(&backend.app).await, ["uploaded", "rejected"]);
        assert_eq!(work_files(&backend), 0);
        backend.stop().await;
    }
}

#[tokio::test]
async fn one_altered_transfer_is_thrown_away_and_the_next_is_taken() {
    let content = bytes(50_000);
    let (backend, edge, stage) = fetched(&content, &content, vec![Fault::Alter]).await;
    assert_eq!(stage, Stage::Done);
    let whole = Fetch {
        range: None,
        if_range: None,
        sent: content.len(),
    };
    assert_eq!(edge.fetches(), [whole.clone(), whole]);
    assert_eq!(
        backend
            .content(file_id(1))
            .await
            .bytes()
            .await
            .expect("bytes"),
        content
    );
    backend.stop().await;
}

/// An event of a file in parts, of which nobody has the digest of the whole.
fn announced_by_parts(content: &[u8], part: usize) -> Event {
    let mut event = announce(1, "a.bin", ANY, content, &[]);
    if let EventKind::FileStored(stored) = &mut event.kind {
        stored.file.sha256 = None;
        stored.file.parts = Some(PartDigests {
            size: part as u64,
            sha256: content.chunks(part).map(Sha256::of).collect(),
        });
    }
    event
}

#[tokio::test]
async fn a_file_in_parts_is_checked_by_them_and_the_edge_hears_the_digest_of_the_whole() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = bytes(500_000);
    edge.hold(file_id(1), &content, "\"v1\"");
    edge.fault(Fault::Alter);
    edge.fault(Fault::CutAfter(300_000));
    let backend = Backend::start(data.path(), &edge).await;
    let event = announced_by_parts(&content, 70_000);
    assert_eq!(backend.tell(event_id(1), &event).await, 204);
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    let stored = backend.content(file_id(1)).await.bytes().await;
    assert_eq!(stored.expect("bytes"), content);
    assert_eq!(edge.receipts(3).await[0], "received");
    let told: Vec<_> = edge.lock().receipts.iter().map(|r| r.1.sha256).collect();
    assert_eq!(told[0], Some(Sha256::of(&content)));
    backend.stop().await;
}

#[tokio::test]
async fn an_edge_in_trouble_is_asked_again() {
    let content = bytes(1000);
    let trouble = vec![Fault::Refuse(StorageUnavailable); 20];
    let (backend, edge, stage) = fetched(&content, &content, trouble).await;
    assert_eq!(stage, Stage::Done);
    assert_eq!(edge.fetches().len(), 21);
    backend.stop().await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_rejected_at_once() {
    for code in [FileNotFound, FileDeleted] {
        let content = bytes(1000);
        let (backend, edge, stage) = fetched(&content, &content, vec![Fault::Refuse(code)]).await;
        assert_eq!(stage, Stage::Parked);
        assert_eq!(edge.fetches().len(), 1);
        assert!(reason(&backend).await.contains("removed"));
        backend.stop().await;
    }
}

/// A proxy that had lost its way to the edge cost every file that it was asked for.
#[tokio::test]
async fn a_file_that_is_gone_by_the_word_of_a_proxy_is_asked_for_again() {
    let content = bytes(1000);
    let lost = vec![Fault::Foreign(404), Fault::Foreign(410)];
    let (backend, edge, stage) = fetched(&content, &content, lost).await;
    assert_eq!(stage, Stage::Done);
    assert_eq!(edge.fetches().len(), 3);
    backend.stop().await;
}

#[tokio::test]
async fn an_edge_that_never_recovers_is_given_up_after_all_tries() {
    let content = bytes(1000);
    let trouble = vec![Fault::Refuse(StorageUnavailable); 200];
    let (backend, edge, stage) = fetched(&content, &content, trouble).await;
    assert_eq!(stage, Stage::Parked);
    assert_eq!(edge.fetches().len(), 108);
    assert_eq!(edge.receipts(1).await, ["rejected"]);
    backend.stop().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TestEdge::start().await;
    let content = bytes(1000);
    elsewhere.hold(file_id(1), &content, "\"v1\"");
    let to = format!("{}/v1/files/{}/content", elsewhere.url, file_id(1));
    let (backend, edge, stage) = fetched(&content, &content, vec![Fault::Redirect(to)]).await;
    assert_eq!(stage, Stage::Done);
    assert_eq!(edge.fetches().len(), 2);
    assert!(elsewhere.fetches().is_empty());
    backend.stop().await;
}

#[tokio::test]
async fn a_disk_quota_makes_files_wait_for_each_other_and_refuses_what_never_fits() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut config = crate::common::config(data.path(), &edge.url);
    config.disk_quota = 150_000;
    let backend = Backend::start_with(config, crate::common::JumpingClock::new()).await;
    for (n, size) in [(1, 100_000), (2, 100_001), (3, 100_002), (4, 200_000)] {
        let content = bytes(size);
        edge.hold(file_id(n), &content, "\"v1\"");
        backend
            .tell(event_id(n), &announce(n, "a.bin", ANY, &content, &[]))
            .await;
    }
    for n in 1..=3 {
        assert_eq!(backend.ended(file_id(n)).await.stage(), Stage::Done);
    }
    let refused = backend.ended(file_id(4)).await;
    assert_eq!(refused.stage(), Stage::Parked);
    backend.stop().await;
}
