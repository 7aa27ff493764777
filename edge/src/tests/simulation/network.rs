//! The network between pages, backend and edge, and what answers on the way in the edge's place.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use chatlift_frontend::uploader::{Failure, Refusal};
use chatlift_frontend::wire::{self, Value};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value as Json;
use url::Url;

use super::Journey;
use super::tasks::Owner;
use crate::http as edge_http;
use crate::http::{Body, Request};
use crate::ports::Sink as _;
use crate::tests::flow::Flow;
use crate::tests::model::faults::Fault;
use crate::tests::model::feed::all_of;
use crate::tests::model::rope::Rope;

/// What is asked of the edge.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Rope,
}

impl Ask {
    pub(super) fn json(method: &'static str, path: String, body: &Json) -> Self {
        Self {
            method,
            path,
            headers: vec![("content-type", "application/json".to_owned())],
            body: Rope::real(body.to_string().as_bytes()),
        }
    }

    fn request(&self, body: Option<Flow<Rope>>) -> Request<Flow<Rope>> {
        let mut headers = HeaderMap::new();
        let length = self.body.len().to_string();
        let sized = [("content-length", &length)];
        let own = self.headers.iter().map(|(name, value)| (*name, value));
        for (name, value) in own.chain(sized) {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        let url = format!("https://edge.example{}", self.path);
        Request::new(
            Method::from_bytes(self.method.as_bytes()).expect("a method"),
            Url::parse(&url).expect("an address"),
            headers,
            body,
        )
    }
}

/// What was answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<u64>,
    pub(super) body: Rope,
}

impl Answer {
    /// What a proxy says.
    fn foreign(status: u16, retry_after: Option<u64>) -> Self {
        Self {
            status,
            retry_after,
            body: Rope::real(b"<html>"),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.body.head(self.body.len())
    }

    /// What the page makes of it, as `frontend/src/api.rs` does.
    pub(super) fn understood(&self) -> Result<Js, Failure> {
        let parsed = serde_json::from_slice(&self.bytes());
        if (200..300).contains(&self.status) {
            return match parsed {
                Ok(body) => Ok(Js(body)),
                Err(_) if self.status == 204 => Ok(Js(Json::Null)),
                Err(_) => Err(foreign()),
            };
        }
        let body = Js(parsed.unwrap_or_default());
        Err(Failure::Edge(Box::new(Refusal {
            status: self.status,
            foreign: body.get("code").is_none(),
            retry_after_ms: self
                .retry_after
                .and_then(|seconds| u32::try_from(seconds.saturating_mul(1000)).ok()),
            ..wire::problem(&body)
        })))
    }
}

/// A success that the edge did not send.
pub(super) fn foreign() -> Failure {
    Failure::Edge(Box::new(Refusal {
        status: 502,
        foreign: true,
        ..Refusal::default()
    }))
}

/// Parsed JSON, as the page reads it.
#[derive(Clone, Debug)]
pub(super) struct Js(pub(super) Json);

impl Value for Js {
    fn get(&self, name: &str) -> Option<Self> {
        let field = self.0.as_object()?.get(name)?;
        (!field.is_null()).then(|| Self(field.clone()))
    }

    fn text(&self) -> Option<String> {
        self.0.as_str().map(str::to_owned)
    }

    fn number(&self) -> Option<f64> {
        self.0.as_f64()
    }

    fn items(&self) -> Vec<Self> {
        let items = self.0.as_array().into_iter().flatten();
        items.cloned().map(Self).collect()
    }
}

/// How far a call is: when it last moved, and how long it may not.
pub(super) struct Moved(Cell<(f64, f64)>);

/// Longest time that a body of which a part has left may not go on, in milliseconds, as the page has it.
const STALL_MS: f64 = 5_000.0;

/// Most pieces that a body comes in.
const PIECES: u64 = 4;

/// The largest body that a proxy takes which has such a limit, in bytes.
const PROXY_TAKES: u64 = 1_000_000;

/// Ends what a request began at the edge, or leaves it to go on, when nobody waits for its answer any more.
struct Client {
    gone: Rc<Cell<bool>>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.gone.set(true);
    }
}

impl Journey {
    /// Asks the edge over the network; `None` where no answer comes. `loaded` is told how many bytes of the body
    /// have left.
    pub(super) async fn call(
        self: &Rc<Self>,
        ask: Ask,
        patience_ms: f64,
        loaded: impl Fn(u64),
    ) -> Option<Answer> {
        let moved = Moved(Cell::new((self.ms(), patience_ms)));
        self.calls.set(self.calls.get() + 1);
        let number = self.calls.get();
        self.trace(|| {
            format!(
                "request {number}: {} {} {}",
                ask.method,
                shortened(&ask.path),
                ask.body.len()
            )
        });
        let stalled = pin!(async {
            loop {
                let (at, may) = moved.0.get();
                let left = at + may - self.ms();
                if left < 0.0 {
                    return;
                }
                self.sleep_ms(left as u64 + 1).await;
            }
        });
        let transit = pin!(self.transit(number, ask, patience_ms, &moved, loaded));
        let answer = match select(transit, stalled).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                self.trace(|| format!("request {number}: nothing moves, and the page cuts it"));
                None
            }
        };
        self.trace(|| match &answer {
            None => format!("request {number}: no answer"),
            Some(answer) => format!("request {number}: {} {}", answer.status, answer.said()),
        });
        answer
    }

    async fn transit(
        self: &Rc<Self>,
        number: u64,
        ask: Ask,
        patience_ms: f64,
        moved: &Moved,
        loaded: impl Fn(u64),
    ) -> Option<Answer> {
        let machine = &self.machine;
        if self.is_away() {
            return self.no_answer().await;
        }
        if self.strikes(Fault::RequestLost, 30) {
            return self.no_answer().await;
        }
        self.latency().await;
        if self.strikes(Fault::Foreign, 40) {
            return Some(match machine.draw(4) {
                0 => Answer::foreign(200, None),
                1 => Answer::foreign(503, Some(1 + machine.draw(5))),
                2 => Answer::foreign(429, None),
                _ => Answer::foreign(502, None),
            });
        }
        if ask.body.len() > PROXY_TAKES && self.strikes(Fault::ProxyLimit, 60) {
            return Some(Answer::foreign(413, None));
        }
        if self.strikes(Fault::Late, 40) {
            self.sleep_ms(machine.draw(60_000)).await;
        }
        if number < self.arrived.get() {
            machine.faults.count(Fault::Overtaken);
            self.trace_faults();
        }
        self.arrived.set(number.max(self.arrived.get()));
        let (mut writer, body) = Flow::pipe();
        let answered = self.arrive(&ask, body);
        let length = ask.body.len();
        if self.strikes(Fault::Duplicate, 40) {
            self.arrive_again(&ask);
        }
        let cut = self.strikes(Fault::Cut, 30);
        let stall = self.strikes(Fault::Stall, 30);
        let mut rest = ask.body.clone();
        while rest.len() > 0 {
            let most = rest.len().min(length.div_ceil(PIECES).max(1));
            let size = match machine.draw(2) {
                0 => most,
                _ => 1 + machine.draw(most),
            };
            self.sleep_ms(size / self.rate.get()).await;
            if stall && machine.draw(2) == 0 {
                self.sleep_ms(machine.draw(30_000)).await;
            }
            if self.is_away() || (cut && machine.draw(3) == 0) {
                if self.strikes(Fault::Silence, 3) {
                    // The edge hears of nothing for long, and the page neither.
                    let silent = Rc::clone(self);
                    let time = Duration::from_millis(machine.draw(120_000));
                    self.spawn(Owner::World, async move {
                        silent.machine.sleep(time).await;
                        drop(writer);
                    });
                    return core::future::pending().await;
                }
                return None;
            }
            let piece = rest.slice(0, size);
            rest = rest.slice(size, rest.len());
            let may = if rest.len() == 0 {
                patience_ms
            } else {
                STALL_MS
            };
            moved.0.set((self.ms(), may));
            loaded(length - rest.len());
            if !writer.write(piece).await {
                break;
            }
        }
        writer.close();
        let answer = answered.await?;
        if self.strikes(Fault::ForeignAfter, 60) {
            return Some(Answer::foreign(504, None));
        }
        if self.is_away() || self.strikes(Fault::AnswerLost, 30) {
            return self.no_answer().await;
        }
        self.latency().await;
        Some(answer)
    }

    /// A failure that shows at once, or only by its silence.
    async fn no_answer(&self) -> Option<Answer> {
        match self.machine.draw(2) {
            0 => core::future::pending().await,
            _ => self.sleep_ms(self.machine.draw(2_000)).await,
        }
        None
    }

    async fn latency(&self) {
        let most = self.round_trip.get();
        self.sleep_ms(1 + self.machine.draw(most)).await;
    }

    /// A request reaches the edge, which is told when its client goes away.
    fn arrive(
        self: &Rc<Self>,
        ask: &Ask,
        body: Flow<Rope>,
    ) -> impl Future<Output = Option<Answer>> + use<> {
        let request = ask.request((ask.body.len() > 0).then_some(body));
        let (tell, told) = oneshot::channel();
        let (journey, version) = (Rc::clone(self), self.version_of_a_worker());
        let gone = Rc::new(Cell::new(false));
        let client = Client {
            gone: Rc::clone(&gone),
        };
        let id = self.tasks.spawn(Owner::Worker, version, async move {
            let _ = tell.send(journey.answer(request).await);
        });
        self.clients.borrow_mut().insert(id, gone);
        async move {
            let answer = told.await.ok();
            drop(client);
            answer
        }
    }

    /// The same request reaches the edge once more, some time later; nobody waits for its answer.
    fn arrive_again(self: &Rc<Self>, ask: &Ask) {
        let (journey, ask) = (Rc::clone(self), ask.clone());
        let after = Duration::from_millis(self.machine.draw(20_000));
        self.spawn(Owner::World, async move {
            journey.machine.sleep(after).await;
            let request =
                ask.request((ask.body.len() > 0).then(|| Flow::of(vec![ask.body.clone()])));
            let version = journey.version_of_a_worker();
            journey.trace(|| format!("again: {} {}", ask.method, shortened(&ask.path)));
            let at_edge = Rc::clone(&journey);
            journey.tasks.spawn(Owner::Worker, version, async move {
                drop(at_edge.answer(request).await);
            });
        });
    }

    /// The edge's answer to a request.
    async fn answer(&self, request: Request<Flow<Rope>>) -> Answer {
        let response = edge_http::serve(&*self.worker, request).await;
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let status = response.status().as_u16();
        let body = match response.into_body() {
            Body::Empty => Rope::default(),
            Body::Bytes(bytes) => Rope::real(&bytes),
            Body::Stream(flow) => all_of(flow).await.unwrap_or_default(),
            Body::StaticFile(never) => match never {},
        };
        assert_ne!(
            status,
            500,
            "ours is broken: {}",
            String::from_utf8_lossy(&body.head(500))
        );
        if status >= 500 {
            let id = self.machine.running.get();
            self.died.borrow_mut().insert(id);
        }
        Answer {
            status,
            retry_after,
            body,
        }
    }
}

impl Answer {
    /// What a trace says of it.
    fn said(&self) -> String {
        let Ok(Js(json)) = serde_json::from_slice::<Json>(&self.head()).map(Js) else {
            return String::new();
        };
        let told = ["code", "id", "offset", "detail"];
        let told = told
            .iter()
            .filter_map(|name| Some(format!("{name} {}", json.get(name)?)));
        told.collect::<Vec<_>>().join(", ")
    }

    fn head(&self) -> Vec<u8> {
        self.body.head(16_384)
    }
}

/// A path without what is secret and long.
fn shortened(path: &str) -> String {
    let words = path.split('/').filter(|word| !word.is_empty());
    let words = words.map(|word| if word.len() > 60 { "…" } else { word });
    words.fold(String::new(), |all, word| all + "/" + word)
}
