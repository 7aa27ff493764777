//! Webhooks: what the edge tells the business backend, signed as Standard Webhooks says
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

mod asymmetric;

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

pub use asymmetric::{NotAKey, PublicKey, SigningKey, verify_asymmetric};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use serde::{Deserialize, Serialize};

use crate::api::{File, Join, Link};
use crate::mac::hmac;
use crate::{EventId, Timestamp};

/// Header with the event's id: the same at every try.
pub const HEADER_ID: &str = "webhook-id";
/// Header with the moment of this try, in seconds since the epoch.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// Header with the signatures, `v1,<base64>`, separated by spaces.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// How far the timestamp may lie from the receiver's clock, either way: what the official
/// libraries allow.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// How long a try may take before it counts as failed (the specification suggests 15 to 30 s).
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// A webhook signing secret; its text form is `whsec_<base64>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

/// The text is no webhook secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a webhook secret: give `whsec_` and the base64 of 24 to 64 random bytes")]
pub struct NotASecret;

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let encoded = text.strip_prefix("whsec_").ok_or(NotASecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NotASecret)?;
        // 24 to 64 bytes: the specification, "Signature scheme".
        if (24..=64).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(NotASecret)
        }
    }
}

fn mac(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> hmac::Hmac<sha2::Sha256> {
    let mut mac = hmac(&secret.0);
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

/// The value of the `webhook-signature` header for this try: a `v1` signature by every secret and
/// a `v1a` one by every key, separated by spaces, so that a receiver verifies with whichever it
/// has while one rotates.
#[must_use]
pub fn signatures(
    secrets: &[Secret],
    keys: &[SigningKey],
    id: EventId,
    at: Timestamp,
    body: &[u8],
) -> String {
    let symmetric = secrets.iter().map(|secret| sign(secret, id, at, body));
    let asymmetric = keys.iter().map(|key| key.sign(id, at, body));
    symmetric.chain(asymmetric).collect::<Vec<_>>().join(" ")
}

/// A `v1` signature by one secret.
#[must_use]
pub fn sign(secret: &Secret, id: EventId, at: Timestamp, body: &[u8]) -> String {
    let tag = mac(secret, &id.to_string(), &at.secs().to_string(), body).finalize();
    format!("v1,{}", STANDARD.encode(tag.into_bytes()))
}

/// Why a webhook is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header is missing or unreadable.
    #[error("the {0} header is missing or unreadable")]
    Header(&'static str),
    /// The timestamp lies more than [`TOLERANCE`] from now: a replay, or a wrong clock.
    #[error("the webhook's timestamp is too far from now")]
    Timestamp,
    /// No signature matches any secret.
    #[error("no signature matches")]
    Signature,
}

/// What a webhook's headers say, before any signature was looked at.
struct Received<'h> {
    event: EventId,
    id: &'h str,
    timestamp: &'h str,
    signatures: &'h str,
}

impl<'h> Received<'h> {
    /// Reads the headers. A timestamp that is too far from `now` is refused.
    fn read(
        header: impl Fn(&'static str) -> Option<&'h str>,
        now: Timestamp,
    ) -> Result<Self, VerifyError> {
        let get = |name| header(name).ok_or(VerifyError::Header(name));
        let (id, timestamp) = (get(HEADER_ID)?, get(HEADER_TIMESTAMP)?);
        let signatures = get(HEADER_SIGNATURE)?;
        let event = id.parse().map_err(|_| VerifyError::Header(HEADER_ID))?;
        let secs: i64 = timestamp
            .parse()
            .map_err(|_| VerifyError::Header(HEADER_TIMESTAMP))?;
        let at = Timestamp::from_secs(secs);
        if at.until(now) > TOLERANCE || now.until(at) > TOLERANCE {
            return Err(VerifyError::Timestamp);
        }
        Ok(Self {
            event,
            id,
            timestamp,
            signatures,
        })
    }

    /// The event's id, if any signature of this version is good.
    fn signed(
        &self,
        version: &str,
        is_good: impl Fn(&[u8]) -> bool,
    ) -> Result<EventId, VerifyError> {
        let of_version = |signature: &str| {
            let encoded = signature.strip_prefix(version)?.strip_prefix(',')?;
            STANDARD.decode(encoded).ok()
        };
        self.signatures
            .split(' ')
            .filter_map(of_version)
            .any(|signature| is_good(&signature))
            .then_some(self.event)
            .ok_or(VerifyError::Signature)
    }
}

/// Checks a webhook against the secrets that are live (several while one rotates).
///
/// `header` looks a header up by its lower-case name. Returns the event's id. Signatures are
/// compared in constant time.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify<'h>(
    secrets: &[Secret],
    header: impl Fn(&'static str) -> Option<&'h str>,
    body: &[u8],
    now: Timestamp,
) -> Result<EventId, VerifyError> {
    let received = Received::read(header, now)?;
    received.signed("v1", |tag| {
        let mac = |secret| mac(secret, received.id, received.timestamp, body);
        secrets
            .iter()
            .any(|secret| mac(secret).verify_slice(tag).is_ok())
    })
}

/// What a webhook's body says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened (not when it was sent).
    pub timestamp: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. In JSON, `type` names it and `data` holds the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum EventKind {
    /// A file is stored and can be fetched.
    #[serde(rename = "file.stored")]
    FileStored(FileStored),
    /// The link has all the files that it takes.
    #[serde(rename = "link.completed")]
    LinkCompleted(LinkEnded),
    /// The link's time is over; it may have files or none.
    #[serde(rename = "link.expired")]
    LinkExpired(LinkEnded),
    /// The app took the link back; it may have files or none.
    #[serde(rename = "link.revoked")]
    LinkRevoked(LinkEnded),
    /// A file was deleted, by the app, by who sent it or at the end of its time. Its content is gone.
    #[serde(rename = "file.deleted")]
    FileDeleted(FileDeleted),
}

impl EventKind {
    /// The name in `type`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FileStored(_) => "file.stored",
            Self::LinkCompleted(_) => "link.completed",
            Self::LinkExpired(_) => "link.expired",
            Self::LinkRevoked(_) => "link.revoked",
            Self::FileDeleted(_) => "file.deleted",
        }
    }

    /// The link that it is about.
    #[must_use]
    pub const fn link(&self) -> &LinkRef {
        match self {
            Self::FileStored(stored) => &stored.link,
            Self::LinkCompleted(ended) | Self::LinkExpired(ended) | Self::LinkRevoked(ended) => {
                &ended.link
            }
            Self::FileDeleted(deleted) => &deleted.link,
        }
    }
}

/// A file that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileDeleted {
    /// The file, with `deleted_at` and `deleted_reason`.
    pub file: File,
    /// The link it came by.
    pub link: LinkRef,
}

/// A stored file with what the app said when it made the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileStored {
    /// The file. Fetch it by its id or its address, through the edge.
    pub file: File,
    /// The link it came by.
    pub link: LinkRef,
}

/// A link that takes no more files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkEnded {
    /// The link.
    pub link: LinkRef,
    /// How many files are stored.
    pub files: u32,
    /// The files of a link that joins them, in the order in which they are to be joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<crate::FileId>,
}

/// What names a link to the app that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkRef {
    /// The link.
    pub id: crate::LinkId,
    /// The app.
    pub app: crate::AppId,
    /// The scene.
    pub scene: crate::SceneId,
    /// The app's own user or case id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What the app gave when it made the link.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub metadata: std::collections::BTreeMap<String, String>,
    /// The formats that the app can use, best first (media types). A file that is in none of them
    /// is to be converted to the first that it can become. Empty: as it comes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// What is made of all files of the link together, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
}

impl From<&Link> for LinkRef {
    fn from(link: &Link) -> Self {
        Self {
            id: link.id,
            app: link.app.clone(),
            scene: link.scene.clone(),
            subject: link.subject.clone(),
            metadata: link.metadata.clone(),
            formats: link.formats.clone(),
            join: link.join,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinkId;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const AT: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn id() -> EventId {
        EventId::new(LinkId::from_bytes([3; 12]), [4; 6])
    }

    fn check(signature: &str, body: &[u8], now: Timestamp) -> Result<EventId, VerifyError> {
        let (id, at) = (id().to_string(), AT.secs().to_string());
        let secrets = [SECRET.parse().expect("a secret")];
        verify(
            &secrets,
            |name| match name {
                HEADER_ID => Some(id.as_str()),
                HEADER_TIMESTAMP => Some(at.as_str()),
                HEADER_SIGNATURE => Some(signature),
                _ => None,
            },
            body,
            now,
        )
    }

    #[test]
    fn what_is_signed_verifies_and_what_is_altered_does_not() {
        let secret: Secret = SECRET.parse().expect("a secret");
        let signature = sign(&secret, id(), AT, b"{}");
        assert_eq!(check(&signature, b"{}", AT), Ok(id()));
        assert_eq!(
            check(&format!("v1,AAAA v1a,x {signature}"), b"{}", AT),
            Ok(id())
        );
        assert_eq!(check(&signature, b"{ }", AT), Err(VerifyError::Signature));
        assert_eq!(check("v1,AAAA", b"{}", AT), Err(VerifyError::Signature));
        assert_eq!(check("", b"{}", AT), Err(VerifyError::Signature));
    }

    #[test]
    fn an_old_or_future_webhook_is_refused() {
        let signature = sign(&SECRET.parse().expect("a secret"), id(), AT, b"{}");
        for (offset, good) in [(-301, false), (-300, true), (300, true), (301, false)] {
            let now = Timestamp::from_secs(AT.secs() + offset);
            assert_eq!(check(&signature, b"{}", now).is_ok(), good, "{offset}");
        }
    }

    #[test]
    fn the_official_library_makes_the_same_signature() {
        let official = standardwebhooks::Webhook::new(SECRET).expect("a secret");
        assert_eq!(
            official
                .sign(&id().to_string(), AT.secs(), b"{\"a\":1}")
                .expect("a signature"),
            sign(&SECRET.parse().expect("a secret"), id(), AT, b"{\"a\":1}"),
        );
    }

    #[test]
    fn weak_secrets_are_refused() {
        for bad in [
            "",
            "whsec_",
            "whsec_AAAA",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert!(bad.parse::<Secret>().is_err(), "{bad}");
        }
    }
}
