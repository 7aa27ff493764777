//! Standard Webhooks: what the edge really delivers is taken by the official Rust library, and what
//! that one and those of npm and PyPI sign is taken by ours. `edge/conformance_clients.rs` has these
//! two take what the edge delivers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chatlift_shared::Timestamp;
use chatlift_shared::webhook::{self, Secret, VerifyError};
use chatlift_tests::edge::ONE_FILE;
use chatlift_tests::fixtures::pdf;
use chatlift_tests::scratch::{now, wait_for};
use chatlift_tests::stage::Stage;
use standardwebhooks::Webhook;
use ureq::http::{HeaderMap, HeaderName};
use xtask::{clients, python, root, run};

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

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "evt_AQIDBAUGBwgJCgsMAAAAAAAA";

/// Text that a library which counts characters, trims, normalises or escapes would sign otherwise.
const BODY: &str = " {\"type\":\"x\",\"name\":\"caf\u{e9} cafe\u{301} \u{62a}\u{642}\u{631}\u{64a}\u{631} \
    \u{1f4ce}\u{2028}\u{feff}\\ud83d %s .\"}\r\n\t";

/// What ours says of these headers and this body, at the moment of the signature.
fn ours(
    id: &str,
    secs: i64,
    signature: &str,
    body: &[u8],
    at: Timestamp,
) -> Result<String, VerifyError> {
    let secret: Secret = SECRET.parse().expect("a secret");
    let secs = secs.to_string();
    let header = |name: &'static str| match name {
        webhook::HEADER_ID => Some(id),
        webhook::HEADER_TIMESTAMP => Some(secs.as_str()),
        webhook::HEADER_SIGNATURE => Some(signature),
        _ => None,
    };
    webhook::verify(&[secret], header, body, at).map(|id| id.to_string())
}

/// Ours takes the signature of [`BODY`], and of nothing that differs from it in a byte, the id or
/// a second.
fn ours_takes_only_what_was_signed(signature: &str, at: Timestamp) {
    let (secs, body) = (at.secs(), BODY.as_bytes());
    assert_eq!(ours(ID, secs, signature, body, at), Ok(ID.to_owned()));
    for n in 0..body.len() {
        let mut altered = body.to_vec();
        altered[n] ^= 1;
        let refused = ours(ID, secs, signature, &altered, at);
        assert_eq!(refused, Err(VerifyError::Signature), "byte {n}");
    }
    let other = "evt_AQIDBAUGBwgJCgsMAAAAAAAB";
    let refused = ours(other, secs, signature, body, at);
    assert_eq!(refused, Err(VerifyError::Signature));
    for other in [secs - 1, secs + 1] {
        let refused = ours(ID, other, signature, body, at);
        assert_eq!(refused, Err(VerifyError::Signature), "{other}");
    }
}

/// The signature that a program of another language prints.
fn signed_by(program: &Path, script: &str, folder: &Path, at: Timestamp) -> String {
    let mut sign = Command::new(program);
    sign.current_dir(folder)
        .arg(root::at("tests/clients").join(script))
        .args([SECRET, ID, &at.secs().to_string(), BODY]);
    let printed = run::quiet(&mut sign).unwrap_or_else(|e| panic!("{e}"));
    printed.trim_end().to_owned()
}

#[test]
fn ours_takes_what_the_rust_library_signs() {
    let at = now();
    let official = Webhook::new(SECRET).expect("a secret");
    let signature = official.sign(ID, at.secs(), BODY.as_bytes());
    ours_takes_only_what_was_signed(&signature.expect("a signature"), at);
}

#[test]
fn ours_takes_what_the_npm_library_signs() {
    let at = now();
    let folder = clients::typescript().unwrap_or_else(|e| panic!("{e}"));
    let signature = signed_by(Path::new("node"), "webhook.mjs", &folder, at);
    ours_takes_only_what_was_signed(&signature, at);
}

#[test]
fn ours_takes_what_the_pypi_library_signs() {
    let at = now();
    let python = python::CLIENTS
        .program("python")
        .unwrap_or_else(|e| panic!("{e}"));
    let signature = signed_by(&python, "webhook.py", &root::at("tests/clients"), at);
    ours_takes_only_what_was_signed(&signature, at);
}
