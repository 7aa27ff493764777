//! Making of secrets: for a developer's machine at the first run, and for every test run anew.
//!
//! The edge holds an API key as a hash only, so the plain key goes to the backend's file and its
//! hash to the edge's.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chatlift_shared::mac::DEVELOPMENT_KEY;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::Error;

/// The two secrets that an app and the edge share, and the one that its backend has of its own.
#[derive(Clone)]
pub struct AppSecrets {
    /// What the app's backend says who it is with: `clk_` and 32 random bytes in base64url.
    pub api_key: String,
    /// What the edge signs webhooks with: `whsec_` and 32 random bytes in base64.
    pub webhook_secret: String,
    /// What the backend knows the app and its operator by: 32 random bytes in hexadecimal.
    pub app_token: String,
}

impl std::fmt::Debug for AppSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppSecrets([redacted])")
    }
}

pub(crate) fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::Project(format!("the machine gives no random bytes: {e}")))?;
    Ok(bytes)
}

impl AppSecrets {
    /// New ones.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn random() -> Result<Self, Error> {
        Ok(Self {
            api_key: format!("clk_{}", URL_SAFE_NO_PAD.encode(random()?)),
            webhook_secret: format!("whsec_{}", STANDARD.encode(random()?)),
            app_token: app_token()?,
        })
    }
}

/// A new token for a backend's app and operator.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn app_token() -> Result<String, Error> {
    Ok(hex::encode(random()?))
}

/// A new key ring of one key, as the edge's `LINK_KEYS` has it in development.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn link_keys() -> Result<String, Error> {
    link_key(DEVELOPMENT_KEY)
}

/// A new signing key with this id, as `LINK_KEYS` has it.
///
/// # Errors
/// When the machine gives no random bytes.
pub(crate) fn link_key(id: u8) -> Result<String, Error> {
    Ok(format!("{id}:{}", URL_SAFE_NO_PAD.encode(random()?)))
}

/// A new key for `v1a` signatures, as `webhook_keys` in `APP_SECRETS` has it.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn webhook_key() -> Result<String, Error> {
    Ok(format!("whsk_{}", STANDARD.encode(random()?)))
}

/// The edge's `APP_SECRETS` for these apps.
#[must_use]
pub fn app_secrets(apps: &[(&str, &AppSecrets)]) -> String {
    let apps: serde_json::Map<_, _> = apps
        .iter()
        .map(|(app, secrets)| {
            let hash = hex::encode(Sha256::digest(&secrets.api_key));
            let value =
                json!({ "api_key_sha256": [hash], "webhook_secrets": [secrets.webhook_secret] });
            ((*app).to_owned(), value)
        })
        .collect();
    serde_json::Value::Object(apps).to_string()
}

/// Writes variables as `KEY='value'` lines into a file that only its owner can read.
///
/// # Errors
/// When the file cannot be written, or a value cannot be quoted.
pub fn write_env(path: &Path, vars: &[(&str, &str)]) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut text = String::new();
    for (key, value) in vars {
        if value.contains(['\'', '\n', '\r']) {
            return Err(Error::Project(format!("{key} holds a quote or a line end")));
        }
        text.push_str(&format!("{key}='{value}'\n"));
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::file(path))?;
    file.write_all(text.as_bytes()).map_err(Error::file(path))
}

/// Reads the variables of a file that [`write_env`] wrote.
///
/// # Errors
/// When the file cannot be read.
pub fn read_env(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    Ok(text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let value = value.trim();
            let plain = value
                .strip_prefix('\'')
                .and_then(|v| v.strip_suffix('\''))
                .unwrap_or(value);
            (key.trim().to_owned(), plain.to_owned())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_gets_the_hash_of_the_key_and_not_the_key() {
        let secrets = AppSecrets {
            api_key: "clk_a".to_owned(),
            webhook_secret: "whsec_b".to_owned(),
            app_token: String::new(),
        };
        assert_eq!(
            app_secrets(&[("demo", &secrets)]),
            r#"{"demo":{"api_key_sha256":["175ffc4c03dd54cce1a606a646f16209c888ce796249f109848093e8d465f492"],"webhook_secrets":["whsec_b"]}}"#
        );
    }

    #[test]
    fn secrets_are_written_for_their_owner_only_and_read_back() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("chatlift-env-{}", std::process::id()));
        let json = r#"{"demo":{"k":["v=="]}}"#;
        write_env(&path, &[("A", "1:x"), ("B", json)]).expect("a file");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = read_env(&path).expect("variables");
        assert_eq!(
            read,
            [
                ("A".to_owned(), "1:x".to_owned()),
                ("B".to_owned(), json.to_owned())
            ]
        );
        assert!(write_env(&path, &[("A", "it's")]).is_err());
        let _ = fs::remove_file(path);
    }
}
