//! What goes out: webhooks to the business backends, and questions to the chat platforms. Only addresses
//! of the configuration are called, and no redirect is followed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use chatlift_edge::chat::AccountId;
use chatlift_edge::chat::account::Account;
use chatlift_edge::chat::protocol::Call;
use chatlift_edge::chat::vault::{Tickets, Vault};
use chatlift_edge::config::Config;
use chatlift_edge::link::command::Outcome;
use chatlift_edge::link::outbox;
use chatlift_edge::link::work::Send;
use chatlift_edge::log;
use chatlift_edge::manage::chat;
use chatlift_edge::ports::{Failure, Platforms, Webhooks};
use chatlift_shared::webhook::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, TIMEOUT, signatures,
};
use chatlift_shared::{Problem, ProblemCode};
use reqwest::redirect::Policy;
use tokio::sync::Mutex;

use crate::clock::now;
use crate::directory::Directory;
use crate::error::Error;
use crate::world::Clock;

/// How long a chat platform may take to answer.
const PLATFORM_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that follows no redirects.
///
/// # Errors
/// When TLS cannot be set up.
pub(crate) fn client() -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .user_agent("Chatlift")
        .build()
        .map_err(|e| Error::Config(format!("HTTP client: {e}")))
}

/// The webhook endpoints of the configuration.
#[derive(Debug)]
pub(crate) struct Endpoints<'a> {
    pub(crate) config: &'a Config,
    pub(crate) directory: &'a Directory,
    pub(crate) client: &'a reqwest::Client,
}

impl Webhooks for Endpoints<'_> {
    async fn send(&self, event: &Send) -> Outcome {
        let fields = |outcome: String| {
            [
                ("link", event.event.link().to_string()),
                ("webhook_id", event.event.to_string()),
                ("attempt", event.attempt.to_string()),
                ("outcome", outcome),
            ]
        };
        if let Ok(Some(_)) = self.directory.disabled_since(&event.app).await {
            log::info("webhook held", &fields("endpoint disabled".to_owned()));
            return Outcome::Held;
        }
        // An event that a crash takes back was never told.
        if let Err(error) = self.directory.0.on_disk().await {
            log::error("webhook failed", &fields(error.to_string()));
            return Outcome::Failed { retry_after: None };
        }
        match self.try_send(event).await {
            Ok((200..=299, _)) => {
                log::info("webhook acknowledged", &fields("2xx".to_owned()));
                Outcome::Acknowledged
            }
            Ok((410, _)) => {
                log::error("webhook endpoint gone", &fields("410".to_owned()));
                if let Err(error) = self.directory.disable(&event.app).await {
                    log::error("directory", &[("reason", error.to_string())]);
                }
                Outcome::Gone
            }
            Ok((status, retry_after)) => {
                log::error("webhook failed", &fields(status.to_string()));
                Outcome::Failed { retry_after }
            }
            Err(reason) => {
                log::error("webhook failed", &fields(reason.to_owned()));
                Outcome::Failed { retry_after: None }
            }
        }
    }
}

impl Endpoints<'_> {
    /// One try; answers the status, and the seconds of a `Retry-After`.
    async fn try_send(&self, event: &Send) -> Result<(u16, Option<u64>), &'static str> {
        let app = self
            .config
            .app(&event.app)
            .ok_or("the app is no longer configured")?;
        let now = now();
        let signature = signatures(
            &app.webhook_secrets,
            &app.webhook_keys,
            event.event,
            now,
            event.body.as_bytes(),
        );
        let sent = self
            .client
            .post(app.webhook_url.clone())
            .timeout(TIMEOUT)
            .header("content-type", "application/json")
            .header(HEADER_ID, event.event.to_string())
            .header(HEADER_TIMESTAMP, now.secs().to_string())
            .header(HEADER_SIGNATURE, signature)
            .body(event.body.clone())
            .send()
            .await;
        // The library's own words may repeat the endpoint's address, which is the app's.
        let response = sent.map_err(|error| match error.is_timeout() {
            true => "no answer in time",
            false => "no connection",
        })?;
        let header = response.headers().get("retry-after");
        let retry_after = header.and_then(|value| value.to_str().ok());
        Ok((
            response.status().as_u16(),
            retry_after.and_then(|text| outbox::retry_after(text, now)),
        ))
    }
}

/// What chat platforms have given out, by account.
#[derive(Debug, Default)]
pub(crate) struct Vaults(RefCell<BTreeMap<AccountId, Rc<Mutex<RefCell<Vault>>>>>);

impl Vaults {
    /// The tickets of an account. A platform is asked once, however many pages ask.
    ///
    /// # Errors
    /// What the platform's refusal or silence comes to.
    pub(crate) async fn tickets(
        &self,
        config: &Config,
        client: &reqwest::Client,
        id: &AccountId,
    ) -> Result<Tickets, Failure> {
        let account = config
            .account(id)
            .ok_or_else(|| Problem::new(ProblemCode::ChatNotConfigured))?;
        let vault = Rc::clone(self.0.borrow_mut().entry(id.clone()).or_default());
        let vault = vault.lock().await;
        let answer = chat::tickets(&vault, account, &Internet(client), &Clock::default()).await;
        Ok(answer.map_err(Problem::from)?)
    }
}

/// The platforms themselves.
struct Internet<'a>(&'a reqwest::Client);

impl Platforms for Internet<'_> {
    async fn call(&self, call: &Call) -> Result<String, String> {
        let mut request = match &call.body {
            Some(body) => self
                .0
                .post(&call.url)
                .header("content-type", "application/json; charset=utf-8")
                .body(body.clone()),
            None => self.0.get(&call.url),
        };
        if let Some(token) = &call.bearer {
            request = request.bearer_auth(token);
        }
        // The text of an error could hold the address, and with it the secret.
        let response = request
            .header("accept", "application/json")
            .timeout(PLATFORM_TIMEOUT)
            .send()
            .await
            .map_err(|_| "no connection".to_owned())?;
        match response.status().as_u16() {
            200..=299 => response
                .text()
                .await
                .map_err(|_| "the answer broke off".to_owned()),
            status => Err(format!("status {status}")),
        }
    }

    fn failed(&self, account: &Account, what: &str, reason: &str) {
        log::error(
            "chat platform failed",
            &[
                ("platform", account.platform.to_string()),
                ("account", account.id.clone()),
                ("what", what.to_owned()),
                ("reason", reason.to_owned()),
            ],
        );
    }
}
