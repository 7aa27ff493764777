//! `cargo xtask secret ...`: draws what an operator puts into the edge's secrets. Printed once and
//! kept nowhere.

use crate::Error;
use crate::secrets::{AppSecrets, app_secrets, link_key, webhook_key};

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// A signing key with this id, for the front of `LINK_KEYS`.
    LinkKey(u8),
    /// An API key and a webhook secret of an app, for `APP_SECRETS`.
    App(String),
    /// A key for `v1a` signatures, for an app's `webhook_keys`.
    WebhookKey,
}

/// The text to print.
///
/// # Errors
/// When the machine gives no random bytes.
pub fn text(secret: &Secret) -> Result<String, Error> {
    match secret {
        Secret::LinkKey(id) => link_key(*id),
        Secret::WebhookKey => webhook_key(),
        Secret::App(app) => {
            let secrets = AppSecrets::random()?;
            Ok(format!(
                "for the app's backend:\n  API key         {}\n  webhook secret  {}\n\
                 for APP_SECRETS of the edge, which keeps the key's hash only:\n  {}",
                secrets.api_key,
                secrets.webhook_secret,
                app_secrets(&[(app, &secrets)])
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::mac::KeyRing;

    #[test]
    fn a_new_key_goes_before_the_old_one() {
        let new = text(&Secret::LinkKey(2)).expect("a key");
        let old = text(&Secret::LinkKey(1)).expect("a key");
        let ring = KeyRing::parse(&format!("{new},{old}")).expect("a ring");
        assert_eq!(ring.signing().id(), 2);
        assert!(ring.get(1).is_some());
    }

    #[test]
    fn the_edges_part_of_an_apps_secrets_does_not_hold_its_key() {
        let all = text(&Secret::App("demo".into())).expect("secrets");
        let edges = all.lines().last().expect("a line");
        assert!(all.contains("clk_") && !edges.contains("clk_"), "{all}");
    }
}
