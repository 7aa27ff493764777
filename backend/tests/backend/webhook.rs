//! The webhook endpoint over HTTP: what is believed, what is refused, and when it answers.

use crate::common::edge::Fault;
use crate::common::{Backend, SECRET, TestEdge, announce, bytes, event_id, file_id, job, told};
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::Stage;
use chatlift_shared::ProblemCode;
use chatlift_shared::webhook::{self, EventKind};
use chatlift_shared::{LinkId, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn what_does_not_verify_is_refused_and_nothing_is_recorded() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let body =
        serde_json::to_vec(&announce(1, "a.pdf", "application/pdf", b"x", &[])).expect("JSON");
    let id = event_id(1);
    let now = backend.clock.now();
    let secret = SECRET.parse().expect("a secret");
    let good = webhook::sign(&secret, id, now, &body);

    let forged = webhook::sign(
        &"whsec_AAAQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
            .parse()
            .expect("a secret"),
        id,
        now,
        &body,
    );
    let old = Timestamp::from_secs(now.secs() - 301);
    let old_signature = webhook::sign(&secret, id, old, &body);
    let mut altered = body.clone();
    altered.push(b' ');
    for (what, id, at, signature, body) in [
        ("forged", id.to_string(), now, forged, body.clone()),
        ("replayed", id.to_string(), old, old_signature, body.clone()),
        ("altered", id.to_string(), now, good.clone(), altered),
        (
            "of another id",
            event_id(2).to_string(),
            now,
            good.clone(),
            body.clone(),
        ),
        ("unsigned", id.to_string(), now, String::new(), body.clone()),
        ("without an id", "x".to_owned(), now, good, body),
    ] {
        assert_eq!(backend.send(&id, at, &signature, body).await, 401, "{what}");
    }
    assert!(
        backend
            .app
            .store()
            .job(file_id(1))
            .await
            .expect("the store")
            .is_none()
    );
    assert!(told(&backend.app).await.is_empty());
    backend.stop().await;
}

#[tokio::test]
async fn an_event_for_another_app_or_another_links_file_is_refused() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let event = announce(1, "a.pdf", "application/pdf", b"x", &[]);
    let EventKind::FileStored(stored) = &event.kind else {
        panic!("a file");
    };

    let mut foreign = stored.clone();
    foreign.link.app = "another".parse().expect("an app id");
    let mut mixed = stored.clone();
    mixed.link.id = LinkId::from_bytes([6; 12]);
    for (stored, status) in [(foreign, 403), (mixed, 400)] {
        let mut event = event.clone();
        event.kind = EventKind::FileStored(stored);
        assert_eq!(backend.tell(event_id(1), &event).await, status);
    }
    assert!(
        backend
            .app
            .store()
            .job(file_id(1))
            .await
            .expect("the store")
            .is_none()
    );
    backend.stop().await;
}

#[tokio::test]
async fn a_signed_body_that_is_no_event_is_refused_and_a_huge_one_is_not_read() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let now = backend.clock.now();
    for (body, status) in [(b"{}".to_vec(), 400), (vec![b' '; 300 * 1024], 413)] {
        let signature = webhook::sign(&SECRET.parse().expect("a secret"), event_id(1), now, &body);
        let got = backend
            .send(&event_id(1).to_string(), now, &signature, body)
            .await;
        assert_eq!(got, status);
    }
    backend.stop().await;
}

#[tokio::test]
async fn the_answer_comes_while_the_work_is_still_to_be_done() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = bytes(1000);
    edge.hold(file_id(1), &content, "\"v1\"");
    edge.gate.send_replace(false);
    let backend = Backend::start(data.path(), &edge).await;

    let event = announce(1, "a.bin", "application/octet-stream", &content, &[]);
    assert_eq!(backend.tell(event_id(1), &event).await, 204);
    assert_eq!(job(&backend.app, file_id(1)).await.stage(), Stage::Fetch);
    assert_eq!(told(&backend.app).await, ["uploaded"]);

    edge.gate.send_replace(true);
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    backend.stop().await;
}

#[tokio::test]
async fn a_repeated_event_and_a_second_event_for_the_same_file_change_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = bytes(1000);
    edge.hold(file_id(1), &content, "\"v1\"");
    let backend = Backend::start(data.path(), &edge).await;
    let event = announce(1, "a.bin", "application/octet-stream", &content, &[]);

    for id in [event_id(1), event_id(1), event_id(2)] {
        assert_eq!(backend.tell(id, &event).await, 204);
    }
    backend.ended(file_id(1)).await;
    for id in [event_id(1), event_id(3)] {
        assert_eq!(backend.tell(id, &event).await, 204);
    }
    edge.receipts(3).await;
    assert_eq!(
        told(&backend.app).await,
        ["uploaded", "received", "converted", "delivered"]
    );
    assert_eq!(edge.fetches().len(), 1);
    assert_eq!(
        backend
            .app
            .store()
            .deliveries(None)
            .await
            .expect("the store")
            .len(),
        1
    );
    backend.stop().await;
}

#[tokio::test]
async fn a_stopped_backend_goes_on_where_it_was() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = bytes(200_000);
    edge.hold(file_id(1), &content, "\"v1\"");
    edge.fault(Fault::Refuse(ProblemCode::StorageUnavailable));
    edge.gate.send_replace(false);
    let backend = Backend::start(data.path(), &edge).await;
    let event = announce(1, "a.bin", "application/octet-stream", &content, &[]);
    assert_eq!(backend.tell(event_id(1), &event).await, 204);
    backend.stop().await;

    edge.gate.send_replace(true);
    let backend = Backend::start(data.path(), &edge).await;
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    let got = backend
        .content(file_id(1))
        .await
        .bytes()
        .await
        .expect("the content");
    assert_eq!(got, content);
    backend.stop().await;
}

#[tokio::test]
async fn an_event_that_never_comes_whole_holds_no_connection_for_ever() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let host = backend.webhook_url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await.expect("a connection");
    let head = format!(
        "POST /webhooks/chatlift HTTP/1.1\r\nhost: {host}\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream
        .write_all(head.as_bytes())
        .await
        .expect("a beginning");
    let mut answer = vec![0; 1000];
    let length = stream.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 5\r\n"), "{answer}");
    backend.stop().await;
}
