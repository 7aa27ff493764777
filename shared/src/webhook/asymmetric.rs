//! `v1a` signatures of Standard Webhooks: Ed25519 (RFC 8032) over the same content as `v1`, so that
//! a receiver holds a public key only and can forge nothing.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};

use super::{Received, VerifyError};
use crate::{EventId, Timestamp};

/// A private key; its text form is `whsk_<base64 of the 32-byte seed>`. The 64 bytes of seed and
/// public key that some tools print are read too.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey([redacted])")
    }
}

/// A public key; its text form is `whpk_<base64>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// The text is no key of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct NotAKey(&'static str);

impl FromStr for SigningKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        const ERROR: NotAKey =
            NotAKey("a webhook signing key: give `whsk_` and the base64 of 32 random bytes");
        let encoded = text.strip_prefix("whsk_").ok_or(ERROR)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| ERROR)?;
        if let Ok(pair) = <&[u8; 64]>::try_from(bytes.as_slice()) {
            return ed25519_dalek::SigningKey::from_keypair_bytes(pair)
                .map(Self)
                .map_err(|_| ERROR);
        }
        let seed = <&[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| ERROR)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(seed)))
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        const ERROR: NotAKey =
            NotAKey("a webhook public key: give `whpk_` and the base64 of 32 bytes");
        let encoded = text.strip_prefix("whpk_").ok_or(ERROR)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| ERROR)?;
        let bytes = <&[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| ERROR)?;
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| ERROR)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "whpk_{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl SigningKey {
    /// What verifies what this signs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// A `v1a` signature.
    #[must_use]
    pub fn sign(&self, id: EventId, at: Timestamp, body: &[u8]) -> String {
        let content = content(&id.to_string(), &at.secs().to_string(), body);
        let signature = self.0.sign(&content);
        format!("v1a,{}", STANDARD.encode(signature.to_bytes()))
    }
}

fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let mut content = [id, ".", timestamp, "."].concat().into_bytes();
    content.extend_from_slice(body);
    content
}

/// Checks a webhook's `v1a` signatures against the public keys that are live; otherwise as
/// [`super::verify`].
///
/// # Errors
/// See [`VerifyError`].
pub fn verify_asymmetric<'h>(
    keys: &[PublicKey],
    header: impl Fn(&'static str) -> Option<&'h str>,
    body: &[u8],
    now: Timestamp,
) -> Result<EventId, VerifyError> {
    let received = Received::read(header, now)?;
    let content = content(received.id, received.timestamp, body);
    received.signed("v1a", |bytes| {
        Signature::from_slice(bytes).is_ok_and(|signature| {
            keys.iter()
                .any(|key| key.0.verify_strict(&content, &signature).is_ok())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Secret, signatures, verify};
    use super::*;
    use crate::LinkId;

    // The first two test vectors of RFC 8032 section 7.1, seed and public key.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    const OTHER: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
    const AT: Timestamp = Timestamp::from_secs(1_795_000_000);

    fn key(seed: &str) -> SigningKey {
        let bytes = hex::decode(seed).expect("hex");
        format!("whsk_{}", STANDARD.encode(bytes))
            .parse()
            .expect("a key")
    }

    fn id() -> EventId {
        EventId::new(LinkId::from_bytes([3; 12]), [4; 6])
    }

    #[test]
    fn the_public_key_is_that_of_rfc_8032() {
        let public = key(SEED).public().to_string();
        let expected = STANDARD.encode(hex::decode(PUBLIC).expect("hex"));
        assert_eq!(public, format!("whpk_{expected}"));
        assert_eq!(public.parse(), Ok(key(SEED).public()));
        // The form with both halves, which openssl-made tools print.
        let pair = [SEED, PUBLIC].concat();
        assert_eq!(key(&pair).public(), key(SEED).public());
    }

    #[test]
    fn every_live_secret_and_key_signs_and_any_one_verifies() {
        let secret = |byte: u8| -> Secret {
            format!("whsec_{}", STANDARD.encode([byte; 32]))
                .parse()
                .expect("a secret")
        };
        let (secrets, keys) = ([secret(1), secret(2)], [key(SEED), key(OTHER)]);
        let all = signatures(&secrets, &keys, id(), AT, b"{}");
        assert_eq!(all.split(' ').count(), 4, "{all}");
        let (event, at) = (id().to_string(), AT.secs().to_string());
        let header = |name| match name {
            HEADER_ID => Some(event.as_str()),
            HEADER_TIMESTAMP => Some(at.as_str()),
            HEADER_SIGNATURE => Some(all.as_str()),
            _ => None,
        };
        for secret in secrets {
            assert_eq!(verify(&[secret], header, b"{}", AT), Ok(id()));
        }
        for key in [key(SEED), key(OTHER)] {
            let public = [key.public()];
            assert_eq!(verify_asymmetric(&public, header, b"{}", AT), Ok(id()));
            assert_eq!(
                verify_asymmetric(&public, header, b"{ }", AT),
                Err(VerifyError::Signature)
            );
            let late = Timestamp::from_secs(AT.secs() + 301);
            assert_eq!(
                verify_asymmetric(&public, header, b"{}", late),
                Err(VerifyError::Timestamp)
            );
        }
        assert_eq!(
            verify(&[secret(3)], header, b"{}", AT),
            Err(VerifyError::Signature)
        );
    }

    #[test]
    fn what_is_no_key_is_refused_without_telling_it() {
        for bad in ["", "whsk_", "whsk_AAAA", "whpk_AAAA", "whsk_!"] {
            let told = bad.parse::<SigningKey>().expect_err("no key").to_string();
            assert!(!told.contains("AAAA"), "{told}");
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }
}
