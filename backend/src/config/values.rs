//! Values of the configuration: secrets, which are shown nowhere, and what is wrong with a variable.

use std::fmt;

use chatlift_shared::webhook::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

/// An API key of the edge. Its text is sent in `Authorization` and shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Checks that `text` can stand in a header: visible ASCII, not empty.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| Self(text.to_owned()))
    }

    /// The key itself, for the header.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

/// The address of a database, with its password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub(super) String);

impl DatabaseUrl {
    /// The address itself, for the driver.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl([redacted])")
    }
}

/// A bucket that speaks S3.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What stands before each key, without slashes around it; may be empty.
    pub prefix: String,
    /// Where the store is; Amazon's if `None`.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// What opens it; what the machine itself has been given if `None`.
    pub keys: Option<BucketKeys>,
}

impl Bucket {
    /// By one setting and the variables that every program for S3 reads.
    pub(super) fn read(
        text: &impl Fn(&'static str) -> Result<Option<String>, ConfigError>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(address) = text("CHATLIFT_OBJECTS")? else {
            return Ok(None);
        };
        let url = address
            .parse()
            .ok()
            .filter(|url: &Url| url.scheme() == "s3" && url.query().is_none());
        let name = url.as_ref().and_then(Url::host_str).ok_or_else(|| {
        wrong(
            "CHATLIFT_OBJECTS",
            "is no bucket: give one such as s3://bucket/prefix, or leave it out for the data folder",
        )
    })?;
        let keys = match (text("AWS_ACCESS_KEY_ID")?, text("AWS_SECRET_ACCESS_KEY")?) {
            (None, None) => None,
            (Some(id), Some(secret)) => Some(BucketKeys {
                id,
                secret,
                token: text("AWS_SESSION_TOKEN")?,
            }),
            (None, Some(_)) => return Err(wrong("AWS_ACCESS_KEY_ID", "is not set, its secret is")),
            (Some(_), None) => return Err(wrong("AWS_SECRET_ACCESS_KEY", "is not set, its id is")),
        };
        Ok(Some(Self {
            name: name.to_owned(),
            prefix: url
                .as_ref()
                .map_or("", |url| url.path().trim_matches('/'))
                .to_owned(),
            endpoint: text("AWS_ENDPOINT_URL")?,
            region: text("AWS_REGION")?.unwrap_or_else(|| "us-east-1".to_owned()),
            keys,
        }))
    }
}

/// What opens a bucket.
#[derive(Clone)]
pub struct BucketKeys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

impl fmt::Debug for BucketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BucketKeys([redacted])")
    }
}

/// A bearer token of app and operator (RFC 6750). Only digests of it are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct AppToken {
    token: [u8; 32],
    session: [u8; 32],
}

impl AppToken {
    /// Shortest token, in characters: 128 bits in hexadecimal.
    pub const LEN_MIN: usize = 32;

    /// Checks that `text` can stand in a header and is long enough not to be guessed.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let good = text.len() >= Self::LEN_MIN && text.bytes().all(|b| b.is_ascii_graphic());
        good.then(|| {
            let session = Self::session_of(text);
            Self {
                token: Sha256::digest(text).into(),
                session: Sha256::digest(session).into(),
            }
        })
    }

    /// What the demo page's cookie says in place of the token. It follows from the token, so every
    /// process takes it, and does not tell it.
    #[must_use]
    pub fn session_of(token: &str) -> String {
        hex::encode(Sha256::digest(format!("chatlift demo session\0{token}")))
    }

    /// Whether `text` is the token, in constant time.
    #[must_use]
    pub fn is_token(&self, text: &str) -> bool {
        Sha256::digest(text).as_slice().ct_eq(&self.token).into()
    }

    /// Whether `text` is the token's session, in constant time.
    #[must_use]
    pub fn is_session(&self, text: &str) -> bool {
        Sha256::digest(text).as_slice().ct_eq(&self.session).into()
    }
}

impl fmt::Debug for AppToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppToken([redacted])")
    }
}

/// Where the app hears of its deliveries.
#[derive(Clone, Debug)]
pub struct AppWebhook {
    /// The address.
    pub url: Url,
    /// What signs them.
    pub secret: Secret,
}

/// A variable that is missing or wrong. Every message names it and says what to do; none repeats
/// the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct ConfigError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it and what to do.
    pub problem: String,
}

pub(super) fn wrong(variable: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError {
        variable,
        problem: problem.into(),
    }
}
