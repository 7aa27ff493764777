//! `chatlift-client` on the running edge: what the reference backend, that fetches and gives
//! receipts by it, has no use for. A link's events as a stream, more time, an end, an address.

use std::time::Duration;

use chatlift_client::webhook::EventKind;
use chatlift_client::{Client, Events, LinkId, LinkState, ProblemCode};
use chatlift_shared::EventId;
use chatlift_tests::client::App;
use chatlift_tests::edge::{ANY_FILE, Edge};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::send;
use chatlift_tests::scratch::now;
use chatlift_tests::stage::{Stage, shared};

const WITHIN: Duration = Duration::from_secs(30);

/// Longer than the scene lets a link last, in seconds.
const TOO_LONG: u64 = 604_801;

fn client(edge: &Edge, app: &App) -> Client {
    Client::new(&edge.origin(), app.key()).expect("a client")
}

/// Runs calls of the client to their end.
fn run<T>(calls: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(calls)
}

/// The next event, that must be about this link.
async fn next(events: &mut Events, link: LinkId) -> (EventId, EventKind) {
    let next = tokio::time::timeout(WITHIN, events.next()).await;
    let (id, event) = next.expect("an event in time").expect("an event");
    assert_eq!(event.kind.link().id, link);
    (id, event.kind)
}

#[track_caller]
fn is_stored(kind: &EventKind, name: &str) {
    let EventKind::FileStored(stored) = kind else {
        panic!("{kind:?}")
    };
    assert_eq!(stored.file.name, name);
}

#[test]
fn each_event_comes_once_also_when_the_edge_goes_away_in_between() {
    let mut stage = Stage::new("client-events");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let client = client(&stage.edge, &app);
    run(async {
        let mut events = client.events(link.id, None);
        let _ = page.store("a.pdf", &pdf());
        let (first, kind) = next(&mut events, link.id).await;
        is_stored(&kind, "a.pdf");
        stage.edge.kill();
        stage.edge.start();
        let _ = page.store("b.pdf", &pdf());
        let (second, kind) = next(&mut events, link.id).await;
        is_stored(&kind, "b.pdf");
        let _ = client.close_link(link.id).await.expect("a closed link");
        let (_, kind) = next(&mut events, link.id).await;
        assert_eq!(kind.name(), "link.completed");
        // Another follower, from where the first was.
        let mut events = client.events(link.id, Some(first));
        let (id, kind) = next(&mut events, link.id).await;
        is_stored(&kind, "b.pdf");
        assert_eq!(id, second);
        let unknown = LinkId::from_bytes([7; 12]);
        let refused = client.events(unknown, None).next().await;
        let code = refused.expect_err("no such link").code();
        assert_eq!(code, Some(ProblemCode::LinkNotFound));
    });
}

#[test]
fn a_link_is_extended_within_its_scene_until_it_is_closed() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link_with(serde_json::json!({ "scene": ANY_FILE, "expires_in": 60 }));
    let client = client(&stage.edge, &app);
    run(async {
        let longer = client.extend_link(link.id, 3600).await.expect("more time");
        let left = now().until(longer.expires_at);
        assert!(left > Duration::from_secs(3000), "{left:?}");
        assert!(left <= Duration::from_secs(3600), "{left:?}");
        assert_ne!(longer.url, link.url);
        let _ = app.page(&longer).store("a.pdf", &pdf());
        let refused = client.extend_link(link.id, TOO_LONG).await;
        let code = refused.expect_err("too long").code();
        assert_eq!(code, Some(ProblemCode::BeyondScene));
        for _ in 0..2 {
            let closed = client.close_link(link.id).await.expect("a closed link");
            assert_eq!(closed.state, LinkState::Completed);
            assert_eq!(closed.files.len(), 1);
        }
        let refused = client.extend_link(link.id, 3600).await;
        assert!(refused.expect_err("it has ended").code().is_some());
    });
}

#[test]
fn a_download_address_needs_no_key_and_ends_with_its_file() {
    let stage = shared();
    let app = stage.edge.app();
    let file = app.page(&app.link(ANY_FILE)).store("a.pdf", &pdf());
    let client = client(&stage.edge, &app);
    run(async {
        let url = client.download_url(file.id, 60).await.expect("an address");
        assert_eq!(url.file, file.id);
        assert!(now().until(url.expires_at) <= Duration::from_secs(60));
        let got = send("GET", &url.url, &[], None).expect("an answer");
        assert_eq!((got.status, got.body), (200, pdf()));
        client.delete_file(file.id).await.expect("a deleted file");
        let refused = client.download_url(file.id, 60).await;
        let code = refused.expect_err("it is gone").code();
        assert_eq!(code, Some(ProblemCode::FileDeleted));
    });
}
