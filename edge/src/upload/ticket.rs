//! The upload ticket: a MAC over all that the worker needs to take a part, so that no Durable
//! Object is asked before the bytes flow. It also shows that its bearer is who sent the upload: with it
//! they may withdraw the file.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatlift_shared::mac::{Domain, KeyRing, TAG_LEN};
use chatlift_shared::{AppId, Timestamp, UploadId};
use serde::{Deserialize, Serialize};

/// Longest ticket that is looked at, in characters. R2's upload ids have a few hundred.
const TICKET_MAX: usize = 2048;

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The upload; its link's id is in it.
    pub upload: UploadId,
    /// The app, for the object key.
    pub app: AppId,
    /// R2's id of the multipart upload; empty for a file that came in one request.
    pub r2_upload_id: String,
    /// Size in bytes.
    pub size: u64,
    /// Size of every part but the last, in bytes.
    pub part_size: u64,
    /// When the ticket ends, in seconds since the epoch: with its link.
    pub expires_at: u64,
}

impl Ticket {
    /// Whether the upload takes parts; a file that came in one request never did.
    #[must_use]
    pub fn takes_parts(&self) -> bool {
        !self.r2_upload_id.is_empty()
    }
}

/// Makes a ticket: `base64url-no-pad( key id:u8 ‖ postcard(ticket) ‖ tag )`.
#[must_use]
pub fn issue(keys: &KeyRing, ticket: &Ticket) -> String {
    let key = keys.signing();
    let mut bytes = postcard::to_extend(ticket, vec![key.id()])
        .unwrap_or_else(|_| unreachable!("tickets always encode"));
    let tag = key.short_tag(Domain::Ticket, &bytes);
    bytes.extend_from_slice(&tag);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a ticket; `None` if it is malformed, forged, of a key that has gone, or expired.
#[must_use]
pub fn read(keys: &KeyRing, text: &str, now: Timestamp) -> Option<Ticket> {
    if text.len() > TICKET_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (signed, tag) = bytes.split_last_chunk::<TAG_LEN>()?;
    let (key_id, body) = signed.split_first()?;
    if !keys.get(*key_id)?.verify_short(Domain::Ticket, signed, tag) {
        return None;
    }
    let (ticket, rest): (Ticket, _) = postcard::take_from_bytes(body).ok()?;
    let expiry = Timestamp::from_secs(i64::try_from(ticket.expires_at).unwrap_or(i64::MAX));
    (rest.is_empty() && expiry > now).then_some(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::LinkId;
    use proptest::prelude::*;

    fn keys() -> KeyRing {
        KeyRing::parse("1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").expect("a key ring")
    }

    fn ticket() -> Ticket {
        Ticket {
            upload: UploadId::new(LinkId::from_bytes([1; 12]), [2; 6]),
            app: "demo".parse().expect("an app id"),
            r2_upload_id: "abc".into(),
            size: 10,
            part_size: 5,
            expires_at: 2_000,
        }
    }

    #[test]
    fn a_ticket_ends_with_its_link() {
        let text = issue(&keys(), &ticket());
        assert_eq!(
            read(&keys(), &text, Timestamp::from_secs(1_999)),
            Some(ticket())
        );
        assert_eq!(read(&keys(), &text, Timestamp::from_secs(2_000)), None);
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_refused(bit in 0_usize..600) {
            let mut bytes = URL_SAFE_NO_PAD.decode(issue(&keys(), &ticket())).expect("base64url");
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read(&keys(), &URL_SAFE_NO_PAD.encode(bytes), Timestamp::from_secs(0)), None);
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".*") {
            prop_assert_eq!(read(&keys(), &text, Timestamp::from_secs(0)), None);
        }
    }
}
