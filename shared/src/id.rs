//! Names of things: what an operator chose (`AppId`, `SceneId`) and what the edge drew at random
//! (`LinkId` and the ids of what belongs to a link).
//!
//! The id of an upload, file or event begins with the id of its link, so each leads to the link's
//! Durable Object without a directory that all links would share.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The text is not an id of the kind that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}")]
pub struct IdError {
    /// What was expected, in words.
    pub expected: &'static str,
}

/// Longest app or scene id, in bytes. Two of usual length keep a link token under 80 characters.
pub const SLUG_MAX: usize = 32;

fn is_slug(text: &str) -> bool {
    (1..=SLUG_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 32 of `a-z`, `0-9` and `-`, neither first nor last a `-`.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if is_slug(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdError { expected: "1 to 32 of a-z, 0-9 and -" })
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

slug!(
    /// An app: a first app and its business backend, one tenant.
    AppId
);
slug!(
    /// A scene: a named purpose in an app.
    SceneId
);

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $len:literal, $expected:literal) => {
        $(#[$doc])*
        ///
        /// Text form: a prefix that names the kind, then base64url without padding (RFC 4648, 5).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// From bytes that the caller drew at random.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                const ERROR: IdError = IdError { expected: $expected };
                let encoded = text.strip_prefix($prefix).ok_or(ERROR)?;
                let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| ERROR)?;
                bytes.try_into().map(Self).map_err(|_| ERROR)
            }
        }

        // Text where people read it, bare bytes in the token.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
                } else {
                    <[u8; $len]>::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

random_id!(
    /// A link: one request for files. 96 random bits.
    LinkId, "lnk_", 12, "a link id (lnk_ and 16 characters)"
);

macro_rules! item_of_link {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        random_id!($(#[$doc])* $name, $prefix, 18, $expected);

        impl $name {
            /// The id of an item of `link`; `suffix` is 48 bits that the caller drew at random.
            #[must_use]
            pub fn new(link: LinkId, suffix: [u8; 6]) -> Self {
                let mut bytes = [0; 18];
                let (head, tail) = bytes.split_at_mut(12);
                head.copy_from_slice(&link.0);
                tail.copy_from_slice(&suffix);
                Self(bytes)
            }

            /// The link that this belongs to.
            #[must_use]
            pub fn link(&self) -> LinkId {
                let mut link = [0; 12];
                link.copy_from_slice(&self.0[..12]);
                LinkId(link)
            }

            /// The part of the id that tells it from others of the same link.
            #[must_use]
            pub fn suffix(&self) -> [u8; 6] {
                let mut suffix = [0; 6];
                suffix.copy_from_slice(&self.0[12..]);
                suffix
            }
        }
    };
}

item_of_link!(
    /// An upload: a file on its way.
    UploadId, "upl_", "an upload id (upl_ and 24 characters)"
);
item_of_link!(
    /// A file: a stored upload. Shares its random part with the upload that it was.
    FileId, "fil_", "a file id (fil_ and 24 characters)"
);
item_of_link!(
    /// An event: what the business backend is told. Sent as `webhook-id`.
    EventId, "evt_", "an event id (evt_ and 24 characters)"
);

impl From<UploadId> for FileId {
    fn from(upload: UploadId) -> Self {
        Self(upload.0)
    }
}

/// What all ids that belong to a link have in common, of one of them: the number by which a person and the app can
/// speak of what was sent. The link's own id is it with `lnk_` before it.
#[must_use]
pub fn receipt_number(id: &str) -> Option<&str> {
    id.get(4..20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slug_refuses_what_could_reach_a_path_or_a_header() {
        for bad in [
            "",
            "A",
            "a/b",
            "a b",
            "..",
            "-a",
            "a-",
            "a\n",
            "ä",
            &"a".repeat(33),
        ] {
            assert!(bad.parse::<AppId>().is_err(), "{bad:?}");
        }
        assert!("claim-documents-2".parse::<SceneId>().is_ok());
    }

    #[test]
    fn id_of_another_kind_is_refused() {
        let upload = UploadId::new(LinkId::from_bytes([7; 12]), [1; 6]);
        assert!(upload.to_string().parse::<FileId>().is_err());
        assert_eq!(FileId::from(upload).link(), upload.link());
    }

    proptest! {
        #[test]
        fn ids_survive_their_text_form(link: [u8; 12], suffix: [u8; 6]) {
            let link = LinkId::from_bytes(link);
            let event = EventId::new(link, suffix);
            prop_assert_eq!(link.to_string().parse(), Ok(link));
            prop_assert_eq!(event.to_string().parse(), Ok(event));
            prop_assert_eq!(event.link(), link);
            prop_assert_eq!(event.suffix(), suffix);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _ = text.parse::<LinkId>();
            let _ = text.parse::<EventId>();
            let _ = text.parse::<AppId>();
        }
    }
}
