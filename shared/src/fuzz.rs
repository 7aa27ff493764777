//! Fuzz tests of what comes from outside and is read here. `chatlift_fuzz` says how they are played.

use core::fmt::Debug;
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatlift_fuzz::check;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{
    CompleteUpload, CreateDownloadUrl, CreateLink, CreateUpload, Done, DownloadUrl, EventLog,
    ExtendLink, File, FormResult, Link, LinkList, PageData, Receipt, Staged, Upload,
};
use crate::kind::{Kind, tests as kinds};
use crate::limits::NAME_MAX;
use crate::mac::{Domain, KeyRing};
use crate::media::{MediaRange, is_media_type};
use crate::token::{Claims, TOKEN_MAX, TokenError, mint, verify};
use crate::webhook::{Event, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Secret, TOLERANCE};
use crate::{Problem, Timestamp, disposition, kind, name, webhook};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// What stands before the first `by` and after it; all and nothing where there is none.
fn cut(bytes: &[u8], by: u8) -> (&[u8], &[u8]) {
    let mut halves = bytes.splitn(2, |byte| *byte == by);
    (
        halves.next().unwrap_or_default(),
        halves.next().unwrap_or_default(),
    )
}

/// The claims of a token, also where its time is over.
fn claims(keys: &KeyRing, token: &str) -> Option<Claims> {
    match verify(keys, token, NOW) {
        Ok(claims) => {
            assert!(claims.expiry() > NOW);
            Some(claims)
        }
        Err(TokenError::Expired(claims)) => {
            assert!(claims.expiry() <= NOW);
            Some(claims)
        }
        Err(_) => None,
    }
}

/// The input is a token, and what stands in one before its tag.
#[test]
fn fuzz_token() {
    let keys = KeyRing::parse("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").expect("a key ring");
    check("token", |bytes| {
        // Nobody guesses a tag. Those in the corpus are of another key.
        assert_eq!(claims(&keys, &text(bytes)), None, "forged");
        let tag = keys.signing().short_tag(Domain::Link, bytes);
        let token = URL_SAFE_NO_PAD.encode([bytes, &tag].concat());
        let Some(claims) = claims(&keys, &token) else {
            return;
        };
        assert!(token.len() <= TOKEN_MAX);
        let again = mint(&keys, &claims);
        assert!(again.len() <= TOKEN_MAX);
        assert_eq!(self::claims(&keys, &again), Some(claims));
    });
}

/// The input is a webhook: its id, its time and its signatures in a line each, and its body.
#[test]
fn fuzz_webhook() {
    let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        .parse()
        .expect("a secret");
    check("webhook", |bytes| {
        let (id, rest) = cut(bytes, b'\n');
        let (at, rest) = cut(rest, b'\n');
        let (signatures, body) = cut(rest, b'\n');
        let (id, at, signatures) = (text(id), text(at), text(signatures));
        let header = |name| match name {
            HEADER_ID => Some(&*id),
            HEADER_TIMESTAMP => Some(&*at),
            HEADER_SIGNATURE => Some(&*signatures),
            _ => None,
        };
        let Ok(event) = webhook::verify(std::slice::from_ref(&secret), header, body, NOW) else {
            return;
        };
        // Genuine: the very headers and body that were signed, and signed now.
        let secs: i64 = at.parse().expect("a time");
        assert!(secs.abs_diff(NOW.secs()) <= TOLERANCE.as_secs(), "{secs}");
        let signature = webhook::sign(&secret, event, Timestamp::from_secs(secs), body);
        assert_eq!((&*id, &*at), (&*event.to_string(), &*secs.to_string()));
        assert!(
            signatures.split(' ').any(|one| one == signature),
            "{signatures}"
        );
        let _ = serde_json::from_slice::<Event>(body);
    });
}

fn check_name(name: &str) {
    assert!(!name.is_empty() && name.len() <= NAME_MAX, "{name:?}");
    assert!(name != "." && name != "..");
    let harmful = |c: char| c.is_control() || "/\\<>:\"|?*\u{202e}\u{2028}".contains(c);
    assert!(!name.contains(harmful), "{name:?}");
    assert_eq!(name::safe(name), name, "made safe twice");
}

/// The input is a `Content-Disposition`, and a name that is written into one.
#[test]
fn fuzz_names() {
    check("names", |bytes| {
        let header = disposition::latin1(bytes);
        let read = [
            disposition::file_name(&header),
            disposition::file_name(&text(bytes)),
        ];
        for name in read.into_iter().flatten() {
            check_name(&name::safe(&name));
        }
        if let Some(name) = disposition::form_file_name(bytes) {
            check_name(&name::safe(&disposition::latin1(&name)));
            check_name(&name::safe(&text(&name)));
        }
        let name = text(bytes);
        check_name(&name::safe(&name));
        let written = disposition::attachment(&name);
        assert!(
            written.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{written}"
        );
        assert_eq!(disposition::file_name(&written).as_deref(), Some(&*name));
        assert_eq!(
            disposition::form_file_name(written.as_bytes()).as_deref(),
            Some(name.as_bytes())
        );
        // As browsers write any name (HTML standard, multipart/form-data encoding).
        let name = name
            .replace('"', "%22")
            .replace('\r', "%0D")
            .replace('\n', "%0A");
        let written = format!("form-data; name=\"f\"; filename=\"{name}\"");
        let read = disposition::form_file_name(written.as_bytes()).expect("a name");
        let name = name
            .replace("%22", "\"")
            .replace("%0D", "\r")
            .replace("%0A", "\n");
        let lower = name.replace("%0d", "\r").replace("%0a", "\n");
        assert!(!read.is_empty() || name.is_empty(), "{written}");
        assert!(read.len() <= lower.len(), "{written}");
    });
}

/// The input is the name of a file and, after the first line end, the file.
#[test]
fn fuzz_kind() {
    check("kind", |bytes| {
        let (name, content) = cut(bytes, b'\n');
        let name = text(name);
        // By windows, as the edge looks, and at the whole, as the backend may.
        let told = kinds::told(content, &name);
        assert!(is_media_type(told), "{told}");
        assert_eq!(kind::sniff_whole(content, &name), told, "told twice");
        assert!(kind::of(told).is_none_or(|Kind { media_type, .. }| *media_type == told));
        let ranges = |range: &str| [range.parse::<MediaRange>().expect("a range")];
        assert!(kind::is_accepted(&ranges("*/*"), told));
        assert!(kind::is_accepted(&ranges(told), told));
    });
}

/// What is read as a `T` is written as what is read as the same.
fn round<T: DeserializeOwned + Serialize + Debug + PartialEq>(bytes: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&read).expect("JSON");
    let again: T = serde_json::from_slice(&written).expect("what was read before");
    assert_eq!(again, read, "{}", text(&written));
}

/// The input is JSON, as a client, the edge or a backend gets it.
#[test]
fn fuzz_bodies() {
    check("bodies", |bytes| {
        round::<CreateLink>(bytes);
        round::<ExtendLink>(bytes);
        round::<CreateDownloadUrl>(bytes);
        round::<Receipt>(bytes);
        round::<Done>(bytes);
        round::<CreateUpload>(bytes);
        round::<CompleteUpload>(bytes);
        round::<Link>(bytes);
        round::<LinkList>(bytes);
        round::<File>(bytes);
        round::<Upload>(bytes);
        round::<Staged>(bytes);
        round::<FormResult>(bytes);
        round::<PageData>(bytes);
        round::<DownloadUrl>(bytes);
        round::<EventLog>(bytes);
        round::<Event>(bytes);
        round::<Problem>(bytes);
        #[cfg(feature = "audit")]
        if let Ok(trail) = serde_json::from_slice::<crate::audit::AuditTrail>(bytes) {
            let _ = crate::audit::verify(
                crate::api::AuditHead::default(),
                &trail.entries,
                &[trail.head],
            );
        }
    });
}
