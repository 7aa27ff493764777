//! The Worker's environment, read and checked once per isolate.

use std::sync::OnceLock;

use worker::Env;

use super::log;
use crate::config::{Config, ConfigError, RawConfig};
use crate::ports::Failure;

static CONFIG: OnceLock<Result<Config, ConfigError>> = OnceLock::new();

/// The checked config. An environment never changes within an isolate.
pub(super) fn config(env: &Env) -> Result<&'static Config, Failure> {
    CONFIG
        .get_or_init(|| {
            let var = |name| env.var(name).map(|v| v.to_string()).unwrap_or_default();
            Config::check(&RawConfig {
                link_keys: var("LINK_KEYS"),
                apps: var("APPS"),
                app_secrets: var("APP_SECRETS"),
                bucket: var("BUCKET_NAME"),
                public_url: var("PUBLIC_URL"),
                faults: var("FAULTS"),
                chat: var("CHAT"),
                chat_secrets: var("CHAT_SECRETS"),
                domain_files: var("DOMAIN_FILES"),
                environment: var("ENVIRONMENT"),
            })
        })
        .as_ref()
        .map_err(|error| Failure::Broken(format!("configuration: {error}")))
}

/// What the runtime throws where an object was asked: what the object itself says of a failure is an
/// answer.
pub(super) fn away(what: &str) -> impl FnOnce(worker::Error) -> Failure + '_ {
    move |error| Failure::Away(format!("{what}: {}", log::text(&error)))
}

/// A failure of the platform.
pub(super) fn broken(what: &str) -> impl FnOnce(worker::Error) -> Failure + '_ {
    move |error| Failure::Broken(format!("{what}: {}", log::text(&error)))
}
