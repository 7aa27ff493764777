//! Signatures for the chat apps' SDKs: the route, and the Durable Object that asks the platforms.
//!
//! One object for an app's account on a platform, so that a platform hears one request however
//! many pages need its ticket. It is shared between links, the only one that is; what keeps it cool
//! is that every isolate of the Worker keeps the tickets that it was given until they are due, so
//! the object hears of one page in an isolate's ticket's life, not of each.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use chatlift_shared::chat::Platform;
use chatlift_shared::{AppId, Problem, ProblemCode};
use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture, Shared, select};
use serde::{Deserialize, Serialize};
use worker::wasm_bindgen::JsValue;
use worker::{
    AbortController, Delay, DurableObject, Env, Fetch, Headers, Method, Request, RequestInit,
    RequestRedirect, Response, Result, State, Storage, durable_object,
};

use super::request::invalid;
use super::setup::broken;
use super::world::{Workers, now};
use super::{access, address, assets, log, password, respond, setup};
use crate::config::Config;
use crate::core::chat::account::Account;
use crate::core::chat::page::{Chunks, Picker};
use crate::core::chat::protocol::Call;
use crate::core::chat::vault::{Tickets, Trouble, Vault};
use crate::core::chat::{self as rules, own_address};
use crate::ports::{Failure, Platforms, World as _};
use crate::service::chat as service;

/// How long a platform may take to answer. The page waits some seconds longer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Key of the vault in its object's storage.
const VAULT: &str = "vault";

thread_local! {
    /// Tickets that this isolate was given, by account.
    static HELD: RefCell<BTreeMap<(AppId, Platform), Tickets>> = RefCell::default();
}

/// Which account's tickets are wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Want {
    app: AppId,
    platform: Platform,
}

/// The account, if the app's company has one.
fn account<'c>(config: &'c Config, want: &Want) -> Option<&'c Account> {
    config.chat(&want.app)?.get(&want.platform)
}

/// The picker for a page that is opened with this `User-Agent`, if its chat app has one.
pub(super) fn picker<'c>(config: &'c Config, token: &str, user_agent: &str) -> Option<Picker<'c>> {
    let platform = Platform::of(user_agent)?;
    let app = access::genuine(config, token).ok()?.app;
    Picker::of(platform, account(config, &Want { app, platform }))
}

/// What the page's build says of the pickers' scripts, read once per isolate.
pub(super) async fn chunks(env: &Env) -> core::result::Result<Chunks, Failure> {
    thread_local! {
        static CHUNKS: RefCell<Option<Chunks>> = const { RefCell::new(None) };
    }
    if let Some(chunks) = CHUNKS.with_borrow(Clone::clone) {
        return Ok(chunks);
    }
    let json = assets::asset(env, "chat.json").await?;
    let chunks: Chunks =
        serde_json::from_str(&json).map_err(|e| Failure::unreadable("chat.json", &e))?;
    CHUNKS.set(Some(chunks.clone()));
    Ok(chunks)
}

/// `GET /u/{token}/chat-config?platform=…&url=…`
pub(super) async fn config(
    env: &Env,
    config: &Config,
    request: &Request,
    token: &str,
) -> core::result::Result<Response, Failure> {
    let claims = access::genuine(config, token)?;
    password::check(config, request, &claims)?;
    let asked = request.url().map_err(broken("address"))?;
    let value = |name: &str| {
        let found = asked.query_pairs().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    let platform = value("platform")
        .parse()
        .map_err(|_| invalid("platform", "Give wecom, wechat, dingtalk or feishu."))?;
    let url = value("url");
    let link = address::link_url(config, request, token)?;
    let address = own_address(&url, &link)?;
    let want = Want {
        app: claims.app,
        platform,
    };
    let account = account(config, &want)
        .ok_or_else(|| Problem::new(ProblemCode::ChatNotConfigured).field("platform"))?;
    let tickets = tickets(env, &want).await?;
    let nonce = format!("{:016x}", Workers::new(None).random());
    respond::json(
        200,
        &rules::config(account, &tickets, address, &nonce, now()),
    )
}

async fn tickets(env: &Env, want: &Want) -> core::result::Result<Tickets, Failure> {
    let key = (want.app.clone(), want.platform);
    let held = HELD.with_borrow(|held| held.get(&key).cloned());
    if let Some(held) = held.filter(|tickets| tickets.are_fresh(now())) {
        return Ok(held);
    }
    let json = serde_json::to_string(want).map_err(|e| Failure::unreadable("chat object", &e))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_body(Some(JsValue::from_str(&json)));
    // The host is never resolved: the request goes to the object by its binding.
    let request = Request::new_with_init("https://chat/", &init).map_err(broken("chat object"))?;
    let mut response = env
        .durable_object("CHATS")
        .and_then(|chats| {
            chats
                .id_from_name(&format!("{}/{}", want.app, want.platform))?
                .get_stub()
        })
        .map_err(broken("binding CHATS"))?
        .fetch_with_request(request)
        .await
        .map_err(broken("chat object"))?;
    let text = response.text().await.map_err(broken("chat object"))?;
    let answer: core::result::Result<Tickets, Trouble> =
        serde_json::from_str(&text).map_err(|e| Failure::unreadable("chat object", &e))?;
    let tickets = answer.map_err(Problem::from)?;
    HELD.with_borrow_mut(|held| held.insert(key, tickets.clone()));
    Ok(tickets)
}

/// A fetch from a platform that all wait for who ask meanwhile.
type Flight = Shared<LocalBoxFuture<'static, core::result::Result<Tickets, Trouble>>>;

struct Inner {
    storage: Storage,
    env: Env,
    vault: RefCell<Vault>,
    /// Whether the vault was read from storage.
    loaded: RefCell<bool>,
    flight: RefCell<Option<Flight>>,
}

/// An app's account on a chat platform.
#[durable_object]
pub struct ChatObject {
    inner: Rc<Inner>,
}

impl DurableObject for ChatObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            inner: Rc::new(Inner {
                storage: state.storage(),
                env,
                vault: RefCell::default(),
                loaded: RefCell::new(false),
                flight: RefCell::default(),
            }),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        self.answer(request).await.or_else(|e| log::failed(&e))
    }
}

impl ChatObject {
    async fn answer(&self, mut request: Request) -> Result<Response> {
        let want: Want = serde_json::from_str(&request.text().await?)?;
        let answer = self.join(want).await;
        Response::from_bytes(serde_json::to_vec(&answer)?)
    }

    /// Waits for the fetch under way, or begins one.
    fn join(&self, want: Want) -> Flight {
        let mut flight = self.inner.flight.borrow_mut();
        if let Some(flight) = &*flight {
            return flight.clone();
        }
        let inner = Rc::clone(&self.inner);
        let begun = async move {
            let answer = inner.serve(&want).await.unwrap_or_else(|error| {
                log::error("chat tickets failed", &[("reason", error.reason())]);
                Err(Trouble::Unavailable)
            });
            inner.flight.replace(None);
            answer
        };
        let begun = begun.boxed_local().shared();
        *flight = Some(begun.clone());
        begun
    }
}

impl Inner {
    async fn serve(
        &self,
        want: &Want,
    ) -> core::result::Result<core::result::Result<Tickets, Trouble>, Failure> {
        let config = setup::config(&self.env)?;
        let Some(account) = account(config, want) else {
            return Ok(Err(Trouble::Refused));
        };
        if !self.loaded.replace(true) {
            let stored: Option<String> = self
                .storage
                .get(VAULT)
                .await
                .map_err(broken("chat vault"))?;
            let stored = stored.and_then(|json| serde_json::from_str(&json).ok());
            self.vault.replace(stored.unwrap_or_default());
        }
        let before = self.vault.borrow().clone();
        let answer = service::tickets(&self.vault, account, &Internet, &Workers::new(None)).await;
        let after = self.vault.borrow().clone();
        if after != before {
            let json =
                serde_json::to_string(&after).map_err(|e| Failure::unreadable("chat vault", &e))?;
            // What was fetched is good even if it cannot be kept.
            if let Err(error) = self.storage.put(VAULT, json).await {
                log::error("chat vault not kept", &[("reason", log::text(&error))]);
            }
        }
        Ok(answer)
    }
}

/// The platforms themselves. Only addresses from the config are called.
struct Internet;

impl Platforms for Internet {
    async fn call(&self, call: &Call) -> core::result::Result<String, String> {
        // The text of an error could hold the address, and with it the secret.
        let text = |error: worker::Error| match error {
            worker::Error::JsError(_) | worker::Error::Internal(_) => "no connection".to_owned(),
            _ => "the request could not be made".to_owned(),
        };
        let headers = Headers::new();
        let mut set = vec![("accept", "application/json".to_owned())];
        if let Some(token) = &call.bearer {
            set.push(("authorization", format!("Bearer {token}")));
        }
        if call.body.is_some() {
            set.push(("content-type", "application/json; charset=utf-8".to_owned()));
        }
        for (name, value) in set {
            headers.set(name, &value).map_err(text)?;
        }
        let method = if call.body.is_some() {
            Method::Post
        } else {
            Method::Get
        };
        let mut init = RequestInit::new();
        init.with_method(method)
            .with_headers(headers)
            .with_redirect(RequestRedirect::Manual)
            .with_body(call.body.as_deref().map(JsValue::from_str));
        let request = Request::new_with_init(&call.url, &init).map_err(text)?;
        let abort = AbortController::default();
        let signal = abort.signal();
        let fetch = Fetch::Request(request);
        let answer = async {
            let mut response = fetch.send_with_signal(&signal).await.map_err(text)?;
            match response.status_code() {
                200..=299 => response.text().await.map_err(text),
                status => Err(format!("status {status}")),
            }
        };
        let timeout = core::pin::pin!(Delay::from(TIMEOUT));
        match select(core::pin::pin!(answer), timeout).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                abort.abort();
                Err(format!("no answer within {} s", TIMEOUT.as_secs()))
            }
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
