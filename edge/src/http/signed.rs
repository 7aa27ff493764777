//! What the edge signs for itself and reads back: the pass to a link with a password, and the
//! address of a download. `base64url-no-pad( key id:u8 ‖ postcard(value) ‖ tag )`, each under a
//! domain string of its own, so that neither can stand for the other or for a link token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatlift_shared::mac::{Domain, KeyRing, TAG_LEN};
use chatlift_shared::{AppId, FileId, LinkId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longest text that is looked at, in characters.
const TEXT_MAX: usize = 160;

/// Says that its bearer knew a link's password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// The link.
    pub link: LinkId,
    /// When it ends, in seconds since the epoch.
    pub expires_at: u64,
}

/// Lets its bearer fetch a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// The app that gave it.
    pub app: AppId,
    /// The file.
    pub file: FileId,
    /// When it ends, in seconds since the epoch.
    pub expires_at: u64,
}

/// A value that is signed.
pub trait Signed: Serialize + DeserializeOwned {
    /// Its own domain.
    const DOMAIN: Domain;

    /// When it ends, in seconds since the epoch.
    fn expires_at(&self) -> u64;
}

impl Signed for Pass {
    const DOMAIN: Domain = Domain::Pass;

    fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

impl Signed for Download {
    const DOMAIN: Domain = Domain::Download;

    fn expires_at(&self) -> u64 {
        self.expires_at
    }
}

/// Signs a value with the ring's first key.
#[must_use]
pub fn issue<T: Signed>(keys: &KeyRing, value: &T) -> String {
    let key = keys.signing();
    let mut bytes = postcard::to_extend(value, vec![key.id()])
        .unwrap_or_else(|_| unreachable!("plain structs always encode"));
    let tag = key.short_tag(T::DOMAIN, &bytes);
    bytes.extend_from_slice(&tag);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a value; `None` if it is malformed, forged, of a key that has gone, or over.
#[must_use]
pub fn read<T: Signed>(keys: &KeyRing, text: &str, now: Timestamp) -> Option<T> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (signed, tag) = bytes.split_last_chunk::<TAG_LEN>()?;
    let (key_id, body) = signed.split_first()?;
    if !keys.get(*key_id)?.verify_short(T::DOMAIN, signed, tag) {
        return None;
    }
    let (value, rest): (T, _) = postcard::take_from_bytes(body).ok()?;
    let expiry = Timestamp::from_secs(i64::try_from(value.expires_at()).unwrap_or(i64::MAX));
    (rest.is_empty() && expiry > now).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_999);

    fn keys() -> KeyRing {
        KeyRing::parse("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").expect("a key ring")
    }

    fn pass() -> Pass {
        Pass {
            link: LinkId::from_bytes([1; 12]),
            expires_at: 2_000,
        }
    }

    fn download() -> Download {
        Download {
            app: "a".repeat(32).parse().expect("an app id"),
            file: FileId::new(LinkId::from_bytes([1; 12]), [2; 6]),
            expires_at: 2_000,
        }
    }

    #[test]
    fn what_is_signed_is_read_until_it_ends() {
        let text = issue(&keys(), &pass());
        assert_eq!(read(&keys(), &text, NOW), Some(pass()));
        assert_eq!(
            read::<Pass>(&keys(), &text, Timestamp::from_secs(2_000)),
            None
        );
        let text = issue(&keys(), &download());
        assert_eq!(read(&keys(), &text, NOW), Some(download()));
    }

    #[test]
    fn one_kind_does_not_stand_for_another() {
        let text = issue(&keys(), &pass());
        assert_eq!(read::<Download>(&keys(), &text, NOW), None);
        let text = issue(&keys(), &download());
        assert_eq!(read::<Pass>(&keys(), &text, NOW), None);
    }

    #[test]
    fn rotation_keeps_what_an_old_key_signed_until_the_key_goes() {
        let text = issue(&keys(), &pass());
        let new = "2:HxAREhMUFRYXGBkaGxwdHh8AAQIDBAUGBwgJCgsMDQ4";
        let both = format!("{new},1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        let ring = |text: &str| KeyRing::parse(text).expect("a key ring");
        assert_eq!(read(&ring(&both), &text, NOW), Some(pass()));
        assert_eq!(read::<Pass>(&ring(new), &text, NOW), None);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_refused(bit in 0_usize..600) {
            let mut bytes = URL_SAFE_NO_PAD.decode(issue(&keys(), &download())).expect("base64url");
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let text = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(read::<Download>(&keys(), &text, Timestamp::from_secs(0)), None);
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".*") {
            prop_assert_eq!(read::<Pass>(&keys(), &text, Timestamp::from_secs(0)), None);
        }
    }
}
