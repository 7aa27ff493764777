//! Values of the configuration: secrets, which are shown nowhere, and what is wrong with a variable.

use std::fmt;

use chatlift_shared::webhook::Secret;
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
