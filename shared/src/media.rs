//! Media types (RFC 6838), and which of them a scene accepts.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A type that a scene accepts: `application/pdf`, `image/*` or `*/*`. Lower case, no parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange(String);

/// The text is no media range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a media range such as application/pdf, image/* or */*")]
pub struct NotAMediaRange;

/// `restricted-name` of RFC 6838 section 4.2.
fn is_name(text: &str) -> bool {
    (1..=127).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

/// Whether `text` is a media type without parameters.
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(top, sub)| is_name(top) && is_name(sub))
}

impl MediaRange {
    /// The range as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `media_type` (no parameters) lies in this range.
    #[must_use]
    pub fn contains(&self, media_type: &str) -> bool {
        if self.0 == "*/*" {
            return true;
        }
        match self.0.strip_suffix('*') {
            Some(top) => media_type
                .get(..top.len())
                .is_some_and(|t| t.eq_ignore_ascii_case(top)),
            None => self.0.eq_ignore_ascii_case(media_type),
        }
    }
}

impl FromStr for MediaRange {
    type Err = NotAMediaRange;

    fn from_str(text: &str) -> Result<Self, NotAMediaRange> {
        let text = text.to_ascii_lowercase();
        let good =
            text == "*/*" || text.strip_suffix("/*").is_some_and(is_name) || is_media_type(&text);
        if good {
            Ok(Self(text))
        } else {
            Err(NotAMediaRange)
        }
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MediaRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_say() {
        let range = |text: &str| text.parse::<MediaRange>().expect("a media range");
        assert!(range("image/*").contains("image/png"));
        assert!(range("image/*").contains("IMAGE/PNG"));
        assert!(!range("image/*").contains("imagex/png"));
        assert!(range("*/*").contains("application/octet-stream"));
        assert!(range("Application/PDF").contains("application/pdf"));
        assert!(!range("application/pdf").contains("application/pdfx"));
        for bad in ["", "*", "image", "*/png", "image/**", "a b/c", "image/"] {
            assert!(bad.parse::<MediaRange>().is_err(), "{bad}");
        }
    }
}
