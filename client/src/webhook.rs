//! Webhooks: verified and read.
//!
//! ```
//! use chatlift_client::webhook::{self, Secret};
//! use chatlift_client::{EventId, LinkId, Timestamp};
//!
//! let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
//! let (id, now) = (EventId::new(LinkId::from_bytes([1; 12]), [0; 6]), Timestamp::from_secs(1_795_512_600));
//! let body = br#"{"not":"an event"}"#;
//! let (id_text, at) = (id.to_string(), now.secs().to_string());
//! let signature = webhook::sign(&secret, id, now, body);
//! let header = |name: &'static str| match name {
//!     webhook::HEADER_ID => Some(id_text.as_str()),
//!     webhook::HEADER_TIMESTAMP => Some(at.as_str()),
//!     webhook::HEADER_SIGNATURE => Some(signature.as_str()),
//!     _ => None,
//! };
//! assert_eq!(webhook::verify(&[secret.clone()], header, body, now)?, id);
//! assert!(webhook::verify(&[secret], header, b"altered", now).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use chatlift_shared::webhook::*;
use chatlift_shared::{EventId, Timestamp};

/// Why a webhook is not to be worked on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not from the edge, or too old. Answer 400 or 401.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// It is from the edge, and of a kind that this version does not know. Answer 2xx to have no
    /// more of it, or anything else to get it again after an update.
    #[error("an event of a kind that is not known here: {0}")]
    Unknown(serde_json::Error),
}

/// Verifies a webhook against the secrets that are live, as [`verify`] does, and reads it.
///
/// # Errors
/// See [`ReadError`].
pub fn read<'h>(
    secrets: &[Secret],
    header: impl Fn(&'static str) -> Option<&'h str>,
    body: &[u8],
    now: Timestamp,
) -> Result<(EventId, Event), ReadError> {
    let id = verify(secrets, header, body, now)?;
    let event = serde_json::from_slice(body).map_err(ReadError::Unknown)?;
    Ok((id, event))
}
