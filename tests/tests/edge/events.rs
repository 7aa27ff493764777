//! What happened to a link, as its app hears it: signed by every live secret and key, held while
//! the endpoint is gone, asked for as a log and as a stream.

use std::time::Duration;

use chatlift_shared::api::{
    EndpointState, EventState, EventStatus, Link, WebhookEndpoint, WebhookKeys,
};
use chatlift_shared::webhook::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, PublicKey, verify, verify_asymmetric,
};
use chatlift_shared::{EventId, LinkId, ProblemCode};
use chatlift_tests::assertions::refused;
use chatlift_tests::edge::{ANY_FILE, APP, ONE_FILE};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::send;
use chatlift_tests::scratch::{now, wait_for};
use chatlift_tests::stage::{Stage, shared};
use chatlift_tests::stream::Stream;

const WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_webhook_is_signed_by_every_live_secret_and_key() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let stored = app.page(&link).store("a.pdf", &pdf());
    let told = stage.receiver.wait_stored(link.id, stored.sha256, WITHIN);
    let kinds: Vec<_> = told
        .signatures
        .split(' ')
        .filter_map(|s| Some(s.split_once(',')?.0))
        .collect();
    assert_eq!(kinds, ["v1", "v1", "v1a"], "{}", told.signatures);
    let (id, at) = (told.id.to_string(), told.timestamp.clone());
    let header = |name| match name {
        HEADER_ID => Some(id.as_str()),
        HEADER_TIMESTAMP => Some(at.as_str()),
        HEADER_SIGNATURE => Some(told.signatures.as_str()),
        _ => None,
    };
    for secret in stage.edge.webhook_secrets() {
        let secrets = [secret.parse().expect("a secret")];
        assert_eq!(verify(&secrets, header, &told.body, now()), Ok(told.id));
    }
    // The public key is there for whoever has no API key.
    let url = format!("{}/v1/apps/{APP}/webhook-keys", stage.edge.origin());
    let keys: WebhookKeys = send("GET", &url, &[], None).expect("an answer").ok(200);
    let public: Vec<PublicKey> = keys
        .keys
        .iter()
        .map(|k| k.parse().expect("a key"))
        .collect();
    assert_eq!(
        verify_asymmetric(&public, header, &told.body, now()),
        Ok(told.id)
    );
    let nobody = url.replace(APP, "nobody");
    refused(
        &send("GET", &nobody, &[], None).expect("an answer"),
        ProblemCode::NotFound,
    );
}

#[test]
fn redirects_fail_retry_after_is_kept_and_gone_holds_until_enabled() {
    // The receiver answers all links alike, so this scenario has one of its own.
    let stage = Stage::new("endpoint");
    let app = stage.edge.app();
    let first_event = |link: &Link| {
        wait_for("a try", WITHIN, || {
            app.event_log(link.id, &[])
                .events
                .into_iter()
                .find(|e| e.attempts == 1)
        })
    };
    let store = || {
        let link = app.link(ANY_FILE);
        let _ = app.page(&link).store("a.pdf", &pdf());
        link
    };
    // A redirect is no success and is not followed.
    let elsewhere = format!("location: {}\r\n", stage.receiver.url());
    stage.receiver.answer_with_headers(302, &elsewhere);
    let link = store();
    assert_eq!(first_event(&link).state, EventState::Pending);
    assert_eq!(stage.receiver.about(link.id).len(), 1);
    stage
        .receiver
        .answer_with_headers(429, "retry-after: 1000\r\n");
    let event = first_event(&store());
    let wait = now().until(event.next_attempt_at.expect("a next try"));
    assert!((900..=1000).contains(&wait.as_secs()), "{wait:?}");
    // Gone: the endpoint is disabled, and can be seen to be.
    let endpoint = |method: &str, path: &str| -> WebhookEndpoint {
        app.call(method, &format!("/v1/webhook-endpoint{path}"), &[], None)
            .ok(200)
    };
    assert_eq!(endpoint("GET", "").state, EndpointState::Enabled);
    stage.receiver.answer_with(410);
    let gone = store();
    let event = first_event(&gone);
    assert_eq!(event.state, EventState::Pending, "held, not lost");
    let seen = endpoint("GET", "");
    assert_eq!(seen.state, EndpointState::Disabled);
    assert!(seen.disabled_at.is_some_and(|at| at <= now()));
    stage.receiver.answer_with(0);
    let held = store();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(stage.receiver.about(held.id).len(), 0, "sent all the same");
    let waiting = &app.event_log(held.id, &[]).events[0];
    assert_eq!((waiting.state, waiting.attempts), (EventState::Pending, 0));
    // Another tenant's endpoint is its own.
    let others = stage.edge.other_app();
    let theirs: WebhookEndpoint = others
        .call("GET", "/v1/webhook-endpoint", &[], None)
        .ok(200);
    assert_eq!(theirs.state, EndpointState::Enabled);
    assert_eq!(endpoint("POST", "/enable").state, EndpointState::Enabled);
    // They would go within half an hour; redelivery does not wait.
    for (link, event) in [(&gone, event.id), (&held, waiting.id)] {
        let again: EventStatus = app
            .call("POST", &format!("/v1/events/{event}/redeliver"), &[], None)
            .ok(202);
        assert_eq!(again.state, EventState::Pending);
        wait_for("the event", WITHIN, || {
            stage
                .receiver
                .about(link.id)
                .into_iter()
                .find(|d| d.status == 204)
        });
    }
}

#[test]
fn the_log_of_a_link_goes_on_after_the_last_that_was_seen() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ONE_FILE);
    let _ = app.page(&link).store("a.pdf", &pdf());
    wait_for("both webhooks", WITHIN, || {
        (stage.receiver.about(link.id).len() == 2).then_some(())
    });
    let all = wait_for("both acknowledged", WITHIN, || {
        let all = app.event_log(link.id, &[]).events;
        all.iter()
            .all(|e| e.state == EventState::Acknowledged)
            .then_some(all)
    });
    let names: Vec<_> = all.iter().map(|e| e.event.kind.name()).collect();
    assert_eq!(names, ["file.stored", "link.completed"]);
    let first = all[0].id.to_string();
    let rest = app.event_log(link.id, &[("last-event-id", &first)]).events;
    assert_eq!(rest, all[1..]);
    let other = EventId::new(LinkId::from_bytes([7; 12]), [0; 6]).to_string();
    for bad in ["x", other.as_str()] {
        let answer = app.call(
            "GET",
            &format!("/v1/links/{}/events", link.id),
            &[("last-event-id", bad)],
            None,
        );
        let problem = refused(&answer, ProblemCode::InvalidRequest);
        assert_eq!(problem.field.as_deref(), Some("Last-Event-ID"));
    }
    let theirs = stage.edge.other_app().call(
        "GET",
        &format!("/v1/links/{}/events", link.id),
        &[("accept", "text/event-stream")],
        None,
    );
    refused(&theirs, ProblemCode::LinkNotFound);
}

#[test]
fn events_are_streamed_as_they_happen_and_again_from_where_a_client_left_off() {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let watch = |last: Option<&str>| {
        Stream::open(&stage.edge.origin(), &stage.edge.api_key(), link.id, last)
    };
    let mut stream = watch(None);
    let _ = stream.until("retry:");
    // It is open and quiet. What happens now is pushed.
    let page = app.page(&link);
    let first = page.store("a.pdf", &pdf());
    let id = stream.until("id:");
    assert_eq!(stream.until("event:"), "file.stored");
    assert!(stream.until("data:").contains(&first.id.to_string()));
    drop(stream);
    let second = page.store("b.pdf", &pdf());
    let mut stream = watch(Some(&id));
    assert_eq!(stream.until("event:"), "file.stored");
    assert!(stream.until("data:").contains(&second.id.to_string()));
    assert_eq!(app.revoke(link.id).status, 204);
    assert_eq!(stream.until("event:"), "link.revoked");
}
