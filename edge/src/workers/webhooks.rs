//! Sends events to the business backends.

use chatlift_shared::webhook::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, TIMEOUT, signatures,
};
use futures_util::future::{Either, select};
use worker::wasm_bindgen::JsValue;
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response,
};

use super::directory::Directories;
use super::{counts, log, world};
use crate::config::Config;
use crate::link::command::Outcome;
use crate::link::outbox;
use crate::link::work::Send;
use crate::ports::Webhooks;

/// The webhook endpoints of the config. Only these are ever called.
#[derive(Debug)]
pub(super) struct Endpoints<'a> {
    pub(super) config: &'a Config,
    pub(super) directory: &'a Directories,
}

/// What an endpoint answered.
struct Answered {
    status: u16,
    /// Seconds of its `Retry-After`.
    retry_after: Option<u64>,
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
        if self.directory.believed(&event.app).await.is_some() {
            log::info("webhook held", &fields("endpoint disabled".to_owned()));
            return Outcome::Held;
        }
        counts::webhook();
        match self.try_send(event).await {
            Ok(Answered {
                status: status @ 200..=299,
                ..
            }) => {
                log::info("webhook acknowledged", &fields(status.to_string()));
                Outcome::Acknowledged
            }
            Ok(Answered { status: 410, .. }) => {
                log::error("webhook endpoint gone", &fields("410".to_owned()));
                if let Err(failure) = self.directory.disable(&event.app).await {
                    log::error("directory", &[("reason", failure.reason())]);
                }
                Outcome::Gone
            }
            Ok(Answered {
                status,
                retry_after,
            }) => {
                log::error("webhook failed", &fields(status.to_string()));
                Outcome::Failed { retry_after }
            }
            Err(reason) => {
                log::error("webhook failed", &fields(reason));
                Outcome::Failed { retry_after: None }
            }
        }
    }
}

impl Endpoints<'_> {
    /// One try; answers the status. A redirect is an answer like any other, and no 2xx.
    async fn try_send(&self, event: &Send) -> Result<Answered, String> {
        let app = self
            .config
            .app(&event.app)
            .ok_or("the app is no longer configured")?;
        let now = world::now();
        // The platform's own words may repeat the endpoint's address, which is the app's.
        let text = |_: worker::Error| "the request could not be made".to_owned();
        let headers = Headers::new();
        let id = event.event.to_string();
        let signature = signatures(
            &app.webhook_secrets,
            &app.webhook_keys,
            event.event,
            now,
            event.body.as_bytes(),
        );
        for (name, value) in [
            ("content-type", "application/json"),
            ("user-agent", "Chatlift"),
            (HEADER_ID, id.as_str()),
            (HEADER_TIMESTAMP, now.secs().to_string().as_str()),
            (HEADER_SIGNATURE, signature.as_str()),
        ] {
            headers.set(name, value).map_err(text)?;
        }
        let mut init = RequestInit::new();
        init.with_method(Method::Post)
            .with_headers(headers)
            .with_redirect(RequestRedirect::Manual)
            .with_body(Some(JsValue::from_str(&event.body)));
        let request = Request::new_with_init(app.webhook_url.as_str(), &init).map_err(text)?;
        let abort = AbortController::default();
        let signal = abort.signal();
        let fetch = Fetch::Request(request);
        let send = core::pin::pin!(fetch.send_with_signal(&signal));
        match select(send, core::pin::pin!(Delay::from(TIMEOUT))).await {
            Either::Left((response, _)) => response
                .map(answered)
                .map_err(|_| "no connection".to_owned()),
            Either::Right(_) => {
                abort.abort();
                Err(format!("no answer within {} s", TIMEOUT.as_secs()))
            }
        }
    }
}

fn answered(response: Response) -> Answered {
    let header = response.headers().get("retry-after").ok().flatten();
    Answered {
        status: response.status_code(),
        retry_after: header.and_then(|text| outbox::retry_after(&text, world::now())),
    }
}
