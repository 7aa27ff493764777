//! Standard Webhooks: what the edge really delivers is taken by the official Rust library, and what
//! that signs is taken by ours. The npm and PyPI libraries stand in `edge_conformance_clients.rs`.

use std::time::Duration;

use chatlift_shared::webhook::{self, Secret};
use chatlift_tests::edge::ONE_FILE;
use chatlift_tests::fixtures::pdf;
use chatlift_tests::scratch::{now, wait_for};
use chatlift_tests::stage::Stage;
use standardwebhooks::Webhook;
use ureq::http::{HeaderMap, HeaderName};

#[test]
fn the_official_library_takes_what_the_edge_delivers() {
    let stage = Stage::new("webhooks");
    let app = stage.edge.app();
    let link = app.link(ONE_FILE);
    let _ = app.page(&link).store("a.pdf", &pdf());
    let official = Webhook::new(stage.edge.webhook_secret()).expect("a secret");
    // A file of a link of one: it is stored, and the link is completed.
    let tries = wait_for("two webhooks", Duration::from_secs(30), || {
        let raw = stage.receiver.raw();
        (raw.len() >= 2).then_some(raw)
    });
    for (headers, body) in tries {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().expect("a header's name");
                (name, value.parse().expect("a header's value"))
            })
            .collect();
        official.verify(&body, &map).expect("a webhook");
        let mut altered = body.clone();
        altered.push(b' ');
        assert!(official.verify(&altered, &map).is_err());
    }
}

#[test]
fn ours_takes_what_the_official_library_signs() {
    let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let official = Webhook::new(text).expect("a secret");
    let secret: Secret = text.parse().expect("a secret");
    let (id, at, body) = ("evt_AQIDBAUGBwgJCgsMAAAAAAAA", now(), br#"{"type":"x"}"#);
    let signature = official.sign(id, at.secs(), body).expect("a signature");
    let secs = at.secs().to_string();
    let header = |name: &'static str| match name {
        webhook::HEADER_ID => Some(id),
        webhook::HEADER_TIMESTAMP => Some(secs.as_str()),
        webhook::HEADER_SIGNATURE => Some(signature.as_str()),
        _ => None,
    };
    let verified = webhook::verify(std::slice::from_ref(&secret), header, body, at);
    assert_eq!(verified.map(|id| id.to_string()), Ok(id.to_owned()));
    assert!(webhook::verify(&[secret], header, b"altered", at).is_err());
}
