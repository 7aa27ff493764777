//! Tickets for the chat apps' SDKs: the Durable Object that asks the platforms, and the way to it.
//!
//! One object for an app's account on a platform, so that a platform hears one request however
//! many pages need its ticket. It is shared between links, the only one that is; what keeps it cool
//! is that every isolate of the Worker keeps the tickets that it was given until they are due, so
//! the object hears of one page in an isolate's ticket's life, not of each.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use chatlift_shared::Problem;
use futures_util::FutureExt as _;
use futures_util::future::{Either, LocalBoxFuture, Shared, select};
use worker::wasm_bindgen::JsValue;
use worker::{
    AbortController, Delay, DurableObject, Env, Fetch, Headers, Method, Request, RequestInit,
    RequestRedirect, Response, Result, State, Storage, durable_object,
};

use super::setup::broken;
use super::world::{Workers, now};
use super::{log, rpc, setup};
use crate::chat::AccountId;
use crate::chat::account::Account;
use crate::chat::protocol::Call;
use crate::chat::vault::{Tickets, Trouble, Vault};
use crate::manage::chat as service;
use crate::ports::{Failure, Platforms};

/// How long a platform may take to answer. The page waits some seconds longer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Key of the vault in its object's storage.
const VAULT: &str = "vault";

thread_local! {
    /// Tickets that this isolate was given, by account.
    static HELD: RefCell<BTreeMap<AccountId, Tickets>> = RefCell::default();
}

/// The tickets of an account, as this isolate was given them or as its object has them.
pub(super) async fn tickets(
    env: &Env,
    version: u32,
    want: &AccountId,
) -> core::result::Result<Tickets, Failure> {
    let held = HELD.with_borrow(|held| held.get(want).cloned());
    if let Some(held) = held.filter(|tickets| tickets.are_fresh(now())) {
        return Ok(held);
    }
    let json = serde_json::to_string(want).map_err(|e| Failure::unreadable("chat object", &e))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_body(Some(JsValue::from_str(&json)));
    // The host is never resolved: the request goes to the object by its binding.
    let request = Request::new_with_init("https://chat/", &init).map_err(broken("chat object"))?;
    let stub = env.durable_object("CHATS").and_then(|chats| {
        let name = format!("{}/{}", want.app, want.platform);
        chats.id_from_name(&name)?.get_stub()
    });
    let mut response = rpc::send(stub, "chat object", version, request).await?;
    let text = response.text().await.map_err(broken("chat object"))?;
    let answer: core::result::Result<Tickets, Trouble> =
        serde_json::from_str(&text).map_err(|e| Failure::unreadable("chat object", &e))?;
    let tickets = answer.map_err(Problem::from)?;
    HELD.with_borrow_mut(|held| held.insert(want.clone(), tickets.clone()));
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
        let checked = Ok(rpc::check_version(request.headers()));
        rpc::answer(checked, self.answer(request)).await
    }
}

impl ChatObject {
    async fn answer(&self, mut request: Request) -> Result<Response> {
        let want: AccountId = serde_json::from_str(&request.text().await?)?;
        let answer = self.join(want).await;
        Response::from_bytes(serde_json::to_vec(&answer)?)
    }

    /// Waits for the fetch under way, or begins one.
    fn join(&self, want: AccountId) -> Flight {
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
        want: &AccountId,
    ) -> core::result::Result<core::result::Result<Tickets, Trouble>, Failure> {
        let config = setup::config(&self.env)?;
        let Some(account) = config.account(want) else {
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
