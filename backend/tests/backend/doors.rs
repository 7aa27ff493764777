//! Who gets in by which door: the edge by the webhook's, the app and the operator by theirs.

use std::collections::BTreeSet;

use crate::common::process::Process;
use crate::common::{Backend, TOKEN, TestEdge, config, link_id};

/// The sources that name routes of the app's and operator's listener.
const SOURCES: [&str; 3] = [
    include_str!("../../src/lib.rs"),
    include_str!("../../src/first_app/mod.rs"),
    include_str!("../../src/demo.rs"),
];
/// What may be asked by anybody who reaches that listener: whether the process lives.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The paths of all routes, with their parameters filled in.
fn paths() -> BTreeSet<String> {
    let paths: BTreeSet<_> = SOURCES
        .iter()
        .flat_map(|source| source.split(".route(").skip(1))
        .filter_map(|rest| rest.split('"').nth(1))
        .filter(|path| path.starts_with('/'))
        .map(|path| {
            path.replace("{link}", &link_id().to_string())
                .replace("{file}", &crate::common::file_id(1).to_string())
                .replace("{n}", "1")
        })
        .collect();
    assert!(paths.len() > 12, "{paths:?}");
    paths
}

fn stranger() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"];

async fn status(base: &str, path: &str, method: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request =
        stranger().request(method.parse().expect("a method"), format!("{base}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn without_the_token_every_route_of_app_and_operator_is_401() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let wrong = format!("Bearer {}x", &TOKEN[1..]);
    let bare = format!("Basic {TOKEN}");
    let mut all = paths();
    all.extend([
        "/app".to_owned(),
        "/app/none".to_owned(),
        "/none".to_owned(),
    ]);
    for path in all.iter().filter(|path| !PROBES.contains(&path.as_str())) {
        for method in METHODS {
            for headers in [
                &[][..],
                &[("authorization", wrong.as_str())],
                &[("authorization", bare.as_str())],
                &[("authorization", "Bearer ")],
                &[("cookie", "chatlift-demo=")],
            ] {
                let said = status(&backend.url, path, method, headers).await;
                assert_eq!(said, 401, "{method} {path} {headers:?}");
            }
        }
    }
    assert!(edge.lock().links.is_empty());
    let refused = stranger().get(format!("{}/app/deliveries", backend.url));
    let refused = refused.send().await.expect("an answer");
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );
    for probe in PROBES {
        assert_eq!(status(&backend.url, probe, "GET", &[]).await, 200);
    }
    let token = format!("bearer {TOKEN}");
    let headers = [("authorization", token.as_str())];
    for path in ["/app/deliveries", "/metrics"] {
        assert_eq!(status(&backend.url, path, "GET", &headers).await, 200);
    }
    backend.stop().await;
}

#[tokio::test]
async fn the_webhook_listener_serves_nothing_but_the_webhook() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut config = config(data.path(), &edge.url);
    config.demo = true;
    let clock = crate::common::JumpingClock::new();
    let backend = Backend::start_with(config, clock).await;
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", token.as_str())];
    for path in paths().iter().filter(|path| *path != "/webhooks/chatlift") {
        for method in METHODS {
            let said = status(&backend.webhook_url, path, method, &headers).await;
            assert_eq!(said, 404, "{method} {path}");
        }
    }
    let said = status(&backend.webhook_url, "/webhooks/chatlift", "POST", &[]).await;
    assert_eq!(said, 401, "an event without a signature");
    let said = status(&backend.url, "/webhooks/chatlift", "POST", &headers).await;
    assert_eq!(said, 404);
    backend.stop().await;
}

#[tokio::test]
async fn the_demo_is_off_unless_asked_for_and_then_opens_with_the_token_only() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    for path in ["/", "/demo/demo.js", "/demo/session"] {
        assert_eq!(backend.get(path).await.status(), 404, "{path}");
    }
    backend.stop().await;

    let mut config = config(data.path(), &edge.url);
    config.demo = true;
    let backend = Backend::start_with(config, crate::common::JumpingClock::new()).await;
    assert_eq!(status(&backend.url, "/", "GET", &[]).await, 200);
    assert_eq!(
        status(&backend.url, "/app/deliveries", "GET", &[]).await,
        401
    );
    assert_eq!(
        status(&backend.url, "/demo/session", "POST", &[]).await,
        401
    );
    let session = backend.http.post(format!("{}/demo/session", backend.url));
    let session = session.send().await.expect("an answer");
    assert_eq!(session.status(), 204);
    let cookie = session.headers()["set-cookie"].to_str().expect("text");
    for word in ["HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!cookie.contains(TOKEN));
    let pair = cookie.split(';').next().expect("a cookie").to_owned();
    let open = [("cookie", pair.as_str())];
    assert_eq!(
        status(&backend.url, "/app/deliveries", "GET", &open).await,
        200
    );
    let other = [("cookie", pair.as_str()), ("sec-fetch-site", "same-site")];
    assert_eq!(
        status(&backend.url, "/app/deliveries", "GET", &other).await,
        401
    );
    backend.stop().await;
}

#[tokio::test]
async fn both_doors_are_on_this_machine_only_unless_told_otherwise() {
    let data = tempfile::tempdir().expect("a folder");
    let config = config(data.path(), "http://127.0.0.1:1");
    assert!(config.listen.ip().is_loopback() && config.app_listen.ip().is_loopback());
    assert!(!config.demo);
    let edge = TestEdge::start().await;
    let process = Process::start(data.path(), &edge, &[]);
    assert_eq!(
        status(&process.url, "/app/deliveries", "GET", &[]).await,
        401
    );
    assert_eq!(
        status(&process.webhook_url, "/metrics", "GET", &[]).await,
        404
    );
}
