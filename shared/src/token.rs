//! The link token: the credential of the upload page, and the whole of what a link says.
//!
//! `base64url-no-pad( version:u8 ‖ key id:u8 ‖ claims ‖ tag )`, where the claims are in postcard
//! encoding and the tag is the first 16 bytes of HMAC-SHA256 over all before it. The edge tells a
//! forged or expired link from a good one by this alone: one HMAC, no storage.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::mac::{Domain, KeyRing, TAG_LEN};
use crate::{AppId, LinkId, SceneId, Timestamp};

/// The version byte of a token whose link lets everybody in.
const VERSION: u8 = 1;

/// The version byte of a token whose link asks for a password: the token says so itself, and no
/// storage need be asked.
const VERSION_PASSWORD: u8 = 2;

/// Longest token that is looked at, in characters: two ids of 32 bytes and the widest expiry come
/// to 149. What is longer is refused before it is decoded.
pub const TOKEN_MAX: usize = 160;

/// What a link token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The link.
    pub link: LinkId,
    /// The app that asks.
    pub app: AppId,
    /// What it asks for.
    pub scene: SceneId,
    /// When the link ends, in seconds since the epoch (UTC).
    pub expires_at: u64,
    /// Whether the link asks for a password. Stands in the version byte.
    #[serde(skip)]
    pub password: bool,
}

impl Claims {
    /// When the link ends.
    #[must_use]
    pub fn expiry(&self) -> Timestamp {
        Timestamp::from_secs(i64::try_from(self.expires_at).unwrap_or(i64::MAX))
    }
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Cut short, mistyped, or of another version: it does not decode.
    #[error("not a link token")]
    Malformed,
    /// Signed by a key that is not live.
    #[error("signed by an unknown key")]
    UnknownKey,
    /// The tag is wrong: forged, altered or mistyped.
    #[error("the tag does not match")]
    BadTag,
    /// Genuine, but its time is over. Carries the claims, so that the page can say whose it was.
    #[error("expired")]
    Expired(Claims),
}

/// Makes the token of `claims`, signed by the ring's first key.
#[must_use]
pub fn mint(keys: &KeyRing, claims: &Claims) -> String {
    let key = keys.signing();
    let version = if claims.password {
        VERSION_PASSWORD
    } else {
        VERSION
    };
    let head = vec![version, key.id()];
    // Serialising plain structs into a growing buffer has no way to fail.
    let mut bytes =
        postcard::to_extend(claims, head).unwrap_or_else(|_| unreachable!("claims always encode"));
    let tag = key.short_tag(Domain::Link, &bytes);
    bytes.extend_from_slice(&tag);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Checks a token: form, then tag (constant time), then expiry.
///
/// # Errors
/// See [`TokenError`].
pub fn verify(keys: &KeyRing, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
    if token.len() > TOKEN_MAX {
        return Err(TokenError::Malformed);
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|_| TokenError::Malformed)?;
    let (signed, tag) = bytes
        .split_last_chunk::<TAG_LEN>()
        .ok_or(TokenError::Malformed)?;
    let [version @ (VERSION | VERSION_PASSWORD), key_id, claims @ ..] = signed else {
        return Err(TokenError::Malformed);
    };
    let key = keys.get(*key_id).ok_or(TokenError::UnknownKey)?;
    if !key.verify_short(Domain::Link, signed, tag) {
        return Err(TokenError::BadTag);
    }
    let (mut claims, rest): (Claims, _) =
        postcard::take_from_bytes(claims).map_err(|_| TokenError::Malformed)?;
    if !rest.is_empty() {
        return Err(TokenError::Malformed);
    }
    claims.password = *version == VERSION_PASSWORD;
    if claims.expiry() <= now {
        return Err(TokenError::Expired(claims));
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: &str = "1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    const NEW: &str = "2:HxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4";

    fn ring(text: &str) -> KeyRing {
        KeyRing::parse(text).expect("a key ring")
    }

    fn claims() -> Claims {
        Claims {
            link: LinkId::from_bytes([9; 12]),
            app: "acme".parse().expect("an app id"),
            scene: "claim-documents".parse().expect("a scene id"),
            expires_at: 1_795_732_641,
            password: false,
        }
    }

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn token_of_usual_ids_fits_80_characters() {
        assert!(mint(&ring(OLD), &claims()).len() <= 80);
    }

    #[test]
    fn token_form_unchanged() {
        assert_eq!(
            mint(&ring(OLD), &claims()),
            "AQEJCQkJCQkJCQkJCQkEYWNtZQ9jbGFpbS1kb2N1bWVudHOh6aLYBt729Txyp5z7_un5lU8jE4E"
        );
    }

    #[test]
    fn token_ends_at_its_expiry_to_the_second() {
        let token = mint(&ring(OLD), &claims());
        let last = Timestamp::from_millis(1_795_732_640_999);
        assert_eq!(verify(&ring(OLD), &token, last), Ok(claims()));
        let end = Timestamp::from_secs(1_795_732_641);
        assert_eq!(
            verify(&ring(OLD), &token, end),
            Err(TokenError::Expired(claims()))
        );
    }

    #[test]
    fn rotation_keeps_old_links_alive_until_their_key_goes() {
        let old = mint(&ring(OLD), &claims());
        let both = ring(&format!("{NEW},{OLD}"));
        assert_eq!(verify(&both, &old, NOW), Ok(claims()));
        let new = mint(&both, &claims());
        assert_eq!(verify(&ring(OLD), &new, NOW), Err(TokenError::UnknownKey));
        assert_eq!(verify(&ring(NEW), &old, NOW), Err(TokenError::UnknownKey));
    }

    #[test]
    fn key_of_the_same_id_but_another_secret_is_refused() {
        let token = mint(&ring(&NEW.replacen('2', "1", 1)), &claims());
        assert_eq!(verify(&ring(OLD), &token, NOW), Err(TokenError::BadTag));
    }

    #[test]
    fn longest_ids_fit_the_longest_token() {
        let widest = Claims {
            link: LinkId::from_bytes([255; 12]),
            app: "a".repeat(32).parse().expect("an app id"),
            scene: "s".repeat(32).parse().expect("a scene id"),
            expires_at: u64::MAX,
            password: false,
        };
        let token = mint(&ring(OLD), &widest);
        assert!(token.len() <= TOKEN_MAX, "{}", token.len());
        assert_eq!(verify(&ring(OLD), &token, NOW), Ok(widest));
    }

    proptest! {
        #[test]
        fn what_is_minted_verifies(
            link: [u8; 12], app in "[a-z0-9]{1,32}", scene in "[a-z0-9]{1,32}",
            expires_at in 1_795_000_001_u64..253_402_300_799, password: bool,
        ) {
            let claims = Claims {
                link: LinkId::from_bytes(link),
                app: app.parse().expect("an app id"),
                scene: scene.parse().expect("a scene id"),
                expires_at,
                password,
            };
            let token = mint(&ring(OLD), &claims);
            prop_assert_eq!(verify(&ring(OLD), &token, NOW), Ok(claims));
        }

        #[test]
        fn one_flipped_bit_is_refused(bit in 0_usize..480) {
            let token = mint(&ring(OLD), &claims());
            let mut bytes = URL_SAFE_NO_PAD.decode(token).expect("base64url");
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify(&ring(OLD), &URL_SAFE_NO_PAD.encode(bytes), NOW).is_err());
        }

        #[test]
        fn a_cut_token_is_refused(keep in 0_usize..75) {
            let token = mint(&ring(OLD), &claims());
            let cut = &token[..keep.min(token.len() - 1)];
            prop_assert!(verify(&ring(OLD), cut, NOW).is_err());
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".*") {
            prop_assert!(verify(&ring(OLD), &text, NOW).is_err());
        }
    }
}
