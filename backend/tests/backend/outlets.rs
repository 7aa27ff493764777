//! What the first app gets beside the files: webhooks, lists, thumbnails; and what is deleted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chatlift_backend::config::AppWebhook;
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::Stage;
use chatlift_shared::webhook;
use serde_json::Value;

use crate::common::{Backend, JumpingClock, SECRET, TestEdge, announce, config, event_id, file_id};

/// What the app has heard: id and body of each try.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, Value)>>>);

/// An app that fails at its first two tries, and checks every signature.
async fn app(clock: Arc<JumpingClock>) -> (Heard, AppWebhook) {
    async fn hear(
        State((heard, clock)): State<(Heard, Arc<JumpingClock>)>,
        headers: HeaderMap,
        body: Bytes,
    ) -> StatusCode {
        let header = |name: &'static str| headers.get(name).and_then(|v| v.to_str().ok());
        let secrets = [SECRET.parse().expect("a secret")];
        let id = webhook::verify(&secrets, header, &body, clock.now()).expect("signed");
        let body = serde_json::from_slice(&body).expect("JSON");
        let mut heard = heard.0.lock().expect("no test panicked");
        heard.push((id.to_string(), body));
        if heard.len() <= 2 {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::NO_CONTENT
        }
    }
    let heard = Heard::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let router = Router::new()
        .route("/hook", post(hear))
        .with_state((heard.clone(), clock));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let webhook = AppWebhook {
        url: url.parse().expect("a URL"),
        secret: SECRET.parse().expect("a secret"),
    };
    (heard, webhook)
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    while !done().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_app_hears_by_webhook_of_deliveries_and_rejections_under_one_id_at_every_try() {
    let data = tempfile::tempdir().expect("a folder");
    let (edge, clock) = (TestEdge::start().await, JumpingClock::new());
    let (heard, webhook) = app(Arc::clone(&clock)).await;
    let mut config = config(data.path(), &edge.url);
    config.app_webhook = Some(webhook);
    let backend = Backend::start_with(config, clock).await;
    edge.hold(file_id(1), b"words", "\"v1\"");
    let event = announce(1, "a.txt", "text/plain", b"words", &[]);
    backend.tell(event_id(1), &event).await;
    until(async || heard.0.lock().expect("it runs").len() == 3).await;
    edge.hold(file_id(2), b"AC1032\0\0\0\0", "\"v1\"");
    let any = "application/octet-stream";
    let event = announce(2, "plan.dwg", any, b"AC1032\0\0\0\0", &["audio/mpeg"]);
    backend.tell(event_id(2), &event).await;
    until(async || heard.0.lock().expect("it runs").len() == 4).await;

    let heard = heard.0.lock().expect("it runs").clone();
    assert!(
        heard[..3]
            .iter()
            .all(|(id, body)| *id == heard[0].0 && *body == heard[0].1)
    );
    let (delivered, rejected) = (&heard[2].1, &heard[3].1);
    assert_eq!(delivered["type"], "file.delivered");
    assert_eq!(delivered["data"]["file"], file_id(1).to_string());
    let content = delivered["data"]["product"]["content"].as_str();
    let content = backend.get(content.expect("a path")).await;
    assert_eq!(content.bytes().await.expect("bytes"), "words");
    assert_eq!(rejected["type"], "file.rejected");
    assert_eq!(rejected["data"]["code"], "cad-drawing");
    // The answer acknowledges the delivery.
    until(async || {
        let list: Value = backend
            .get("/app/deliveries")
            .await
            .json()
            .await
            .expect("JSON");
        list[0]["acknowledged_at"].is_string()
    })
    .await;
    backend.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_deleted_after_its_time_here_and_at_the_edge() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut config = config(data.path(), &edge.url);
    config.retention = Some(Duration::from_secs(24 * 3600));
    let backend = Backend::start_with(config, JumpingClock::new()).await;
    for n in [1, 2] {
        edge.hold(file_id(n), b"words", "\"v1\"");
        let event = announce(n, "a.txt", "text/plain", b"words", &[]);
        backend.tell(event_id(n), &event).await;
        assert_eq!(backend.ended(file_id(n)).await.stage(), Stage::Done);
    }
    let path = format!("{}/app/deliveries/{}/acknowledged", backend.url, file_id(1));
    let answer = backend.http.put(path).send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    until(async || backend.content(file_id(1)).await.status() == 404).await;
    until(async || {
        !data
            .path()
            .join("deliveries")
            .join(file_id(1).to_string())
            .exists()
    })
    .await;
    assert!(!edge.lock().contents.contains_key(&file_id(1)));
    assert_eq!(
        backend.content(file_id(2)).await.status(),
        200,
        "not acknowledged"
    );
    assert!(edge.lock().contents.contains_key(&file_id(2)));
    backend.stop().await;
}

#[tokio::test]
async fn deliveries_are_listed_page_by_page_and_images_have_thumbnails() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let mut photo = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(1200, 600, image::Rgb([200, 20, 20]))
        .write_to(&mut photo, image::ImageFormat::Png)
        .expect("a PNG");
    let photo = photo.into_inner();
    for n in 1..=5 {
        edge.hold(file_id(n), &photo, "\"v1\"");
        let event = announce(n, "a.png", "image/png", &photo, &[]);
        backend.tell(event_id(n), &event).await;
        backend.ended(file_id(n)).await;
    }
    let mut seen = Vec::new();
    loop {
        let before = seen
            .last()
            .map_or(String::new(), |f| format!("&before={f}"));
        let path = format!("/app/deliveries?limit=2{before}");
        let page: Vec<Value> = backend.get(&path).await.json().await.expect("JSON");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        seen.extend(
            page.iter()
                .map(|d| d["file"].as_str().expect("an id").to_owned()),
        );
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    for _ in 0..2 {
        let small = backend
            .get(&format!("/app/deliveries/{}/thumbnail", file_id(1)))
            .await;
        assert_eq!(small.status(), 200);
        let small = small.bytes().await.expect("bytes");
        let small = image::load_from_memory(&small).expect("an image");
        assert_eq!((small.width(), small.height()), (480, 240));
    }
    backend.stop().await;
}
