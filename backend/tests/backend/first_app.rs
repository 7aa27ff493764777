//! The first app's API and the demo page over HTTP.

use crate::common::{
    Backend, JumpingClock, TestEdge, announce, bytes, config, event_id, file_id, link_id,
};
use serde_json::{Value, json};

async fn asked(backend: &Backend, body: &Value, key: &str) -> reqwest::Response {
    backend
        .http
        .post(format!("{}/app/requests", backend.url))
        .header("idempotency-key", key)
        .json(body)
        .send()
        .await
        .expect("an answer")
}

/// Reads the live stream until `count` events have come: their ids, names and data.
async fn events(
    backend: &Backend,
    last: Option<&str>,
    count: usize,
) -> Vec<(String, String, Value)> {
    let url = format!("{}/app/requests/{}/events", backend.url, link_id());
    let mut request = backend.http.get(url);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        let chunk = response.chunk().await.expect("the stream").expect("more");
        text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
    let field = |event: &str, name: &str| {
        event
            .lines()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
            .expect("a field")
            .to_owned()
    };
    text.split_terminator("\n\n")
        .filter(|event| event.contains("data: "))
        .map(|e| {
            let data = serde_json::from_str(&field(e, "data")).expect("JSON");
            (field(e, "id"), field(e, "event"), data)
        })
        .collect()
}

#[tokio::test]
async fn a_request_makes_a_link_and_shows_it() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let body = json!({"scene": "claim-documents", "subject": "case-7"});
    let made = asked(&backend, &body, "key-1").await;
    assert_eq!(made.status(), 201);
    let path = format!("/app/requests/{}", link_id());
    assert_eq!(made.headers()["location"], path);
    let made: Value = made.json().await.expect("JSON");
    assert_eq!(made["id"], link_id().to_string());
    assert_eq!(made["qr"], format!("{path}/qr.svg"));
    assert!(
        made["url"]
            .as_str()
            .expect("a URL")
            .starts_with("https://edge.example/u/")
    );
    assert!(made["share_text"]["en"].is_string() && made["expires_at"].is_string());
    {
        let inner = edge.lock();
        assert_eq!(inner.links[0].0, "key-1");
        assert_eq!(inner.links[0].1.subject.as_deref(), Some("case-7"));
    }
    let read: Value = backend.get(&path).await.json().await.expect("JSON");
    assert_eq!(read["state"], "active");
    assert_eq!(read["deliveries"], json!([]));

    let qr = backend.get(&format!("{path}/qr.svg")).await;
    assert_eq!(qr.headers()["content-type"], "image/svg+xml");
    assert!(qr.text().await.expect("text").contains("<svg"));
    backend.stop().await;
}

#[tokio::test]
async fn what_only_the_edge_knows_of_a_request_can_be_asked() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let path = format!("/app/requests/{}/progress", link_id());
    assert_eq!(backend.get(&path).await.status(), 404, "not asked for here");
    let body = json!({"scene": "claim-documents"});
    assert_eq!(asked(&backend, &body, "key-1").await.status(), 201);
    let now: Value = backend.get(&path).await.json().await.expect("JSON");
    assert!(now["opened_at"].is_string(), "{now}");
    let file = chatlift_shared::FileId::from(chatlift_shared::UploadId::new(link_id(), [9; 6]));
    let expected = json!([
        {"file": file, "name": "video.mp4", "size": 1_000, "held": 400}
    ]);
    assert_eq!(now["uploads"], expected);
    backend.stop().await;
}

#[tokio::test]
async fn refusals_are_problems_of_their_own_kind() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let unknown = link_id();
    for (path, code) in [
        (format!("/app/requests/{unknown}"), "not-found"),
        (format!("/app/requests/{unknown}/events"), "not-found"),
        (format!("/app/requests/{unknown}/qr.svg"), "not-found"),
        (
            format!("/app/deliveries/{}/content", file_id(1)),
            "not-found",
        ),
        (
            "/app/deliveries/..%2f..%2fchatlift.db/content".to_owned(),
            "not-found",
        ),
        ("/nowhere".to_owned(), "not-found"),
        ("/app/requests".to_owned(), "method-not-allowed"),
    ] {
        let answer = backend.get(&path).await;
        assert_eq!(
            answer.headers()["content-type"],
            "application/problem+json",
            "{path}"
        );
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["code"], code, "{path}");
    }
    for (body, status, code) in [
        (json!({"scene": "no-such-scene"}), 422, "scene-unknown"),
        (json!({"scene": "NOT A SCENE"}), 400, "invalid-request"),
        (
            json!({"scene": "any-file", "sbject": "x"}),
            400,
            "invalid-request",
        ),
    ] {
        let answer = asked(&backend, &body, "k").await;
        assert_eq!(answer.status(), status);
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["code"], code);
    }
    backend.stop().await;
}

#[tokio::test]
async fn an_edge_that_is_down_is_said_so_without_its_details() {
    let data = tempfile::tempdir().expect("a folder");
    let mut edge = TestEdge::start().await;
    // A port that nobody listens on: it was free a moment ago, and is held by nobody.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    edge.url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let backend = Backend::start(data.path(), &edge).await;
    let answer = asked(&backend, &json!({"scene": "any-file"}), "k").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
    let problem: Value = answer.json().await.expect("JSON");
    assert_eq!(problem["code"], "edge-unavailable");
    assert!(problem["detail"].is_null() && problem["instance"].is_string());
    backend.stop().await;
}

#[tokio::test]
async fn the_live_stream_tells_everything_once_and_goes_on_after_a_break_and_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = bytes(1000);
    edge.hold(file_id(1), &content, "\"v1\"");
    edge.gate.send_replace(false);
    let backend = Backend::start(data.path(), &edge).await;
    asked(&backend, &json!({"scene": "any-file"}), "k").await;
    let event = announce(1, "发票.bin", "application/octet-stream", &content, &[]);
    backend.tell(event_id(1), &event).await;

    let first = events(&backend, None, 1).await;
    assert_eq!(first[0].1, "uploaded");
    assert_eq!(first[0].2["file"], file_id(1).to_string());
    assert_eq!(first[0].2["name"], "发票.bin");

    edge.gate.send_replace(true);
    let rest = events(&backend, Some(&first[0].0), 3).await;
    let kinds: Vec<_> = rest.iter().map(|e| e.1.as_str()).collect();
    assert_eq!(kinds, ["received", "converted", "delivered"]);
    backend.stop().await;

    let backend = Backend::start(data.path(), &edge).await;
    assert_eq!(
        events(&backend, None, 4).await,
        [first, rest.clone()].concat()
    );
    assert_eq!(events(&backend, Some(&rest[1].0), 1).await, rest[2..]);
    backend.stop().await;
}

#[tokio::test]
async fn a_live_stream_does_not_hold_up_the_shutdown() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    asked(&backend, &json!({"scene": "any-file"}), "k").await;
    let url = format!("{}/app/requests/{}/events", backend.url, link_id());
    let stream = backend.http.get(url).send().await.expect("an answer");
    backend.stop().await;
    stream.bytes().await.expect("the stream ends well");
}

#[tokio::test]
async fn content_is_served_so_that_it_cannot_act_and_by_range() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    for (n, media_type, shown, extension) in [
        (1, "application/pdf", "inline", "pdf"),
        (2, "image/png", "inline", "png"),
        (3, "text/html", "attachment", "html"),
        (4, "image/svg+xml", "attachment", "svg"),
    ] {
        let content = bytes(1000);
        edge.hold(file_id(n), &content, "\"v1\"");
        backend
            .tell(
                event_id(n),
                &announce(n, "发票 1.x", media_type, &content, &[]),
            )
            .await;
        backend.ended(file_id(n)).await;
        let answer = backend.content(file_id(n)).await;
        let head = answer.headers();
        assert_eq!(head["content-type"], media_type);
        assert_eq!(head["x-content-type-options"], "nosniff");
        assert_eq!(head["content-security-policy"], "sandbox");
        let named = head["content-disposition"].to_str().expect("ASCII");
        assert!(named.starts_with(shown), "{named}");
        assert!(
            named.ends_with(&format!(
                "filename*=UTF-8''%E5%8F%91%E7%A5%A8%201.x.{extension}"
            )),
            "{named}"
        );
        assert_eq!(answer.bytes().await.expect("bytes"), content);
    }
    let url = format!("{}/app/deliveries/{}/content", backend.url, file_id(1));
    let part = backend
        .http
        .get(url)
        .header("range", "bytes=10-19")
        .send()
        .await
        .expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 10-19/1000");
    assert_eq!(part.bytes().await.expect("bytes"), bytes(1000)[10..20]);

    let list: Value = backend
        .get("/app/deliveries")
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(list.as_array().expect("a list").len(), 4);
    backend.stop().await;
}

#[tokio::test]
async fn the_demo_page_runs_no_foreign_script() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut config = config(data.path(), &edge.url);
    config.demo = true;
    let backend = Backend::start_with(config, JumpingClock::new()).await;
    let page = backend.get("/").await;
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
    assert!(!policy.contains("unsafe"));
    let html = page.text().await.expect("text");
    for asset in ["/demo/demo.js", "/demo/demo.css"] {
        assert!(html.contains(asset));
        assert_eq!(backend.get(asset).await.status(), 200);
    }
    assert_eq!(backend.get("/demo/texts.js").await.status(), 200);
    assert!(
        !html.contains("style=") && !html.contains(" on"),
        "inline style or handler"
    );
    assert_eq!(backend.get("/healthz").await.status(), 200);
    backend.stop().await;
}
