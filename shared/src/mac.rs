//! Message authentication: HMAC-SHA256 (RFC 2104) with a domain string before every message, so
//! that a tag made for one purpose never verifies for another.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Shortest signing key, in bytes: the output size of SHA-256, as RFC 2104 section 3 advises.
pub const KEY_MIN: usize = 32;

/// Id of the signing key that `cargo xtask dev` makes. An edge that is deployed refuses it, so that a
/// developer's settings never serve in production's place.
pub const DEVELOPMENT_KEY: u8 = 0;

/// Length of a truncated tag, in bytes: half of the hash's output, the least that RFC 2104
/// section 5 allows.
pub const TAG_LEN: usize = 16;

/// What a tag is for. Each has a domain string of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A link token.
    Link,
    /// An upload ticket.
    Ticket,
    /// A link id derived from an `Idempotency-Key`.
    Idempotency,
    /// A pass to a link with a password.
    Pass,
    /// A download address.
    Download,
    /// Who says a link's password.
    Asker,
}

impl Domain {
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Link => b"chatlift link v1\0",
            Self::Ticket => b"chatlift ticket v1\0",
            Self::Idempotency => b"chatlift idempotency v1\0",
            Self::Pass => b"chatlift pass v1\0",
            Self::Download => b"chatlift download v1\0",
            Self::Asker => b"chatlift asker v1\0",
        }
    }
}

/// A signing key with the id that tokens name it by.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    id: u8,
    secret: Vec<u8>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey {{ id: {}, secret: [redacted] }}", self.id)
    }
}

/// The signing keys that are live: the first signs, all verify. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRing(Vec<SigningKey>);

/// Why a key ring could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// There is no key at all.
    #[error("no signing key: give `<id>:<base64url of 32 random bytes>`")]
    Empty,
    /// An entry is not `<id 0-255>:<base64url>`.
    #[error("signing key {position} is not `<id 0-255>:<base64url>`")]
    Malformed {
        /// Position of the entry, from 1.
        position: usize,
    },
    /// A key is shorter than [`KEY_MIN`].
    #[error("signing key {id} is shorter than 32 bytes")]
    TooShort {
        /// Id of the key.
        id: u8,
    },
    /// Two keys have the same id.
    #[error("signing key id {id} stands twice")]
    Repeated {
        /// Id of the keys.
        id: u8,
    },
}

impl KeyRing {
    /// Reads `<id>:<base64url>,<id>:<base64url>...`, newest first.
    ///
    /// # Errors
    /// See [`KeyRingError`]; no message holds any part of a key.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys: Vec<SigningKey> = Vec::new();
        let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
        for (index, entry) in entries.enumerate() {
            let malformed = KeyRingError::Malformed {
                position: index + 1,
            };
            let (id, secret) = entry.split_once(':').ok_or_else(|| malformed.clone())?;
            let id: u8 = id.trim().parse().map_err(|_| malformed.clone())?;
            let secret = URL_SAFE_NO_PAD
                .decode(secret.trim().trim_end_matches('='))
                .map_err(|_| malformed)?;
            if secret.len() < KEY_MIN {
                return Err(KeyRingError::TooShort { id });
            }
            if keys.iter().any(|k| k.id == id) {
                return Err(KeyRingError::Repeated { id });
            }
            keys.push(SigningKey { id, secret });
        }
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        Ok(Self(keys))
    }

    /// The key that signs.
    #[must_use]
    pub fn signing(&self) -> &SigningKey {
        // Never empty: `parse` is the only constructor.
        &self.0[0]
    }

    /// The keys that verify and no longer sign.
    pub fn older(&self) -> impl Iterator<Item = &SigningKey> {
        self.0.iter().skip(1)
    }

    /// The key of this id, if it is live.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&SigningKey> {
        self.0.iter().find(|k| k.id == id)
    }
}

impl SigningKey {
    /// The id that tokens name this key by.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    fn hmac(&self, domain: Domain, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = hmac(&self.secret);
        mac.update(domain.prefix());
        mac.update(message);
        mac
    }

    /// The whole tag of `message`.
    #[must_use]
    pub fn tag(&self, domain: Domain, message: &[u8]) -> [u8; 32] {
        self.hmac(domain, message).finalize().into_bytes().into()
    }

    /// The tag of `message`, cut to [`TAG_LEN`] bytes.
    #[must_use]
    pub fn short_tag(&self, domain: Domain, message: &[u8]) -> [u8; TAG_LEN] {
        let mut short = [0; TAG_LEN];
        short.copy_from_slice(&self.tag(domain, message)[..TAG_LEN]);
        short
    }

    /// Whether `tag` is the short tag of `message`, in constant time.
    #[must_use]
    pub fn verify_short(&self, domain: Domain, message: &[u8], tag: &[u8; TAG_LEN]) -> bool {
        self.hmac(domain, message)
            .verify_truncated_left(tag)
            .is_ok()
    }
}

/// An HMAC-SHA256 under `secret`.
pub(crate) fn hmac(secret: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length (RFC 2104 section 2).
    Hmac::new_from_slice(secret).unwrap_or_else(|_| unreachable!("HMAC takes any key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn first_key_signs_and_all_are_found() {
        let ring = KeyRing::parse(&format!("2:{KEY},1:{KEY}")).expect("two keys");
        assert_eq!(ring.signing().id(), 2);
        assert_eq!(ring.get(1).map(SigningKey::id), Some(1));
        assert!(ring.get(3).is_none());
    }

    #[test]
    fn a_ring_that_cannot_be_trusted_is_refused() {
        assert_eq!(KeyRing::parse(" "), Err(KeyRingError::Empty));
        assert_eq!(
            KeyRing::parse("1:AAAA"),
            Err(KeyRingError::TooShort { id: 1 })
        );
        assert_eq!(
            KeyRing::parse(&format!("1:{KEY},1:{KEY}")),
            Err(KeyRingError::Repeated { id: 1 })
        );
        for bad in [KEY.to_owned(), format!("256:{KEY}"), format!("1:{KEY}!")] {
            assert_eq!(
                KeyRing::parse(&bad),
                Err(KeyRingError::Malformed { position: 1 })
            );
        }
    }

    #[test]
    fn a_tag_of_one_domain_does_not_verify_in_another() {
        let ring = KeyRing::parse(&format!("1:{KEY}")).expect("one key");
        let tag = ring.signing().short_tag(Domain::Link, b"message");
        assert!(ring.signing().verify_short(Domain::Link, b"message", &tag));
        assert!(
            !ring
                .signing()
                .verify_short(Domain::Ticket, b"message", &tag)
        );
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let ring = KeyRing::parse(&format!("1:{KEY}")).expect("one key");
        assert!(!format!("{ring:?}").contains("31"));
    }
}
