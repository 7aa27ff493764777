//! The app hears of each delivery and each rejection by webhook, where it wants to
//! (`CHATLIFT_APP_WEBHOOK_URL`): Standard Webhooks, at least once, the same id at every try.
//!
//! Notices are queued in the transaction that ends the job and sent from here until the app has
//! answered 2xx, which also acknowledges the delivery.

use std::time::Duration;

use chatlift_shared::webhook::{self, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP};
use reqwest::{Client, StatusCode, redirect};

use super::Pipeline;
use super::retry::{ATTEMPTS_MAX, delay};
use crate::config::AppWebhook;
use crate::random::random;
use crate::store::{DueNotice, StoreError};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends notices.
#[derive(Clone, Debug)]
pub struct Notifier {
    webhook: AppWebhook,
    client: Client,
}

impl Notifier {
    /// For this address.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(webhook: AppWebhook) -> Result<Self, reqwest::Error> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("chatlift-backend/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(webhook::TIMEOUT)
            .build()?;
        Ok(Self { webhook, client })
    }
}

/// Sends one notice, and records what came of it.
pub(super) async fn send(
    pipeline: &Pipeline,
    notifier: &Notifier,
    due: &DueNotice,
) -> Result<(), StoreError> {
    let at = pipeline.clock.now();
    let signature = webhook::sign(&notifier.webhook.secret, due.id, at, due.body.as_bytes());
    let sent = notifier
        .client
        .post(notifier.webhook.url.clone())
        .header(HEADER_ID, due.id.to_string())
        .header(HEADER_TIMESTAMP, at.secs().to_string())
        .header(HEADER_SIGNATURE, signature)
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(due.body.clone())
        .send()
        .await;
    let (link, file, notice) = (due.file.link(), due.file, due.id);
    let now = pipeline.clock.now();
    let (error, final_word) = match sent {
        Ok(answer) if answer.status().is_success() => {
            tracing::info!(%link, %file, %notice, "the app has the notice");
            return pipeline.store.settle_notice(due, None, now).await;
        }
        Ok(answer) => {
            let gone = answer.status() == StatusCode::GONE;
            (format!("the app answered {}", answer.status()), gone)
        }
        Err(error) => (error.without_url().to_string(), false),
    };
    if final_word || due.attempts + 1 >= ATTEMPTS_MAX {
        tracing::warn!(%link, %file, %notice, error, "notice given up");
        return pipeline.store.settle_notice(due, Some(&error), now).await;
    }
    tracing::warn!(%link, %file, %notice, error, "notice will be sent again");
    let next_at = now.plus(delay(due.attempts + 1, random()));
    pipeline.store.try_notice_again(due, &error, next_at).await
}
