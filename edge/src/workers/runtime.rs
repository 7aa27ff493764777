//! The runtime of one request: the Worker's bindings as what [`crate::http`] needs, and requests and
//! responses from one form into the other.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chatlift_shared::{AppId, LinkId, ProblemCode, Timestamp};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use web_sys::{TextDecoder, TextDecoderOptions};
use worker::web_sys::ReadableStream;
use worker::{Env, Headers, ResponseBody};

use super::directory::Directories;
use super::edge;
use super::edge::EdgeService;
use super::feed::{MEMORY, Stream};
use super::links::Stubs;
use super::r2::R2;
use super::read::Reader;
use super::setup;
use super::setup::broken;
use super::world;
use super::world::Workers;
use super::{chat, log, metrics};
use crate::chat::AccountId;
use crate::chat::vault::Tickets;
use crate::config::Config;
use crate::http::{Body, Limit, Request, Response, Runtime};
use crate::link::command::ReadEvents;
use crate::link::message::For;
use crate::memory::Account;
use crate::ports::Failure;

/// The Worker while it answers a request.
#[derive(Debug)]
pub(super) struct Bindings<'e> {
    pub(super) env: &'e Env,
    /// The request as it came, for the assets.
    pub(super) request: &'e worker::Request,
    /// Version of the messages to its objects.
    pub(super) version: u32,
}

thread_local! {
    /// Files of the build, fetched from the assets once per isolate.
    static BUILT: RefCell<BTreeMap<&'static str, String>> = const { RefCell::new(BTreeMap::new()) };
}

impl Bindings<'_> {
    async fn asset(&self, other: Option<&str>) -> Result<worker::Response, Failure> {
        let assets = self
            .env
            .assets("ASSETS")
            .map_err(broken("binding ASSETS"))?;
        let response = match other {
            // The host is never resolved: the request goes to the assets by their binding.
            Some(name) => assets.fetch(format!("https://assets/{name}"), None).await,
            None => {
                let request = self.request.clone().map_err(broken("asset"))?;
                assets.fetch_request(request).await
            }
        };
        response.map_err(broken("asset"))
    }
}

impl Runtime for Bindings<'_> {
    type Body = ReadableStream;
    type Feed = Stream;
    type Links = Stubs;
    type Bucket = R2;
    type World = Workers;
    type Directory = Directories;
    type StaticFile = worker::Response;

    fn config(&self) -> Result<&Config, Failure> {
        setup::config(self.env)
    }

    fn service(&self, fault: Option<String>) -> Result<EdgeService, Failure> {
        edge::service(self.env, self.version, fault)
    }

    fn directory(&self) -> Result<Directories, Failure> {
        Directories::new(self.env, self.version)
    }

    async fn disabled_since(&self, app: &AppId) -> Result<Option<Timestamp>, Failure> {
        self.directory()?.disabled_since(app).await
    }

    async fn enable(&self, app: &AppId) -> Result<(), Failure> {
        self.directory()?.enable(app).await
    }

    fn memory(&self) -> &'static Account {
        &MEMORY
    }

    fn now(&self) -> Timestamp {
        world::now()
    }

    fn random(&self) -> u64 {
        world::random()
    }

    fn sender(&self, _request: &Request<ReadableStream>) -> Option<String> {
        let headers = self.request.headers();
        headers.get("cf-connecting-ip").ok().flatten()
    }

    /// By the platform's rate limiting bindings: counted at each of its locations by itself, without a
    /// call that anything waits for. Each binding may be absent, as on a developer's machine.
    async fn allows(&self, limit: Limit, key: String) -> bool {
        let limiter = match limit {
            Limit::Address => self.env.rate_limiter("RATE_ADDRESS"),
            Limit::Link => self.env.rate_limiter("RATE_LINK"),
            Limit::Key => self.env.rate_limiter("RATE_KEY"),
        };
        let Ok(limiter) = limiter else {
            return true;
        };
        match limiter.limit(key).await {
            Ok(outcome) => outcome.success,
            Err(error) => {
                // A limiter that fails must not keep files out.
                log::error("rate limiter", &[("reason", log::text(&error))]);
                true
            }
        }
    }

    fn count(&self, route: &'static str, problem: &'static str, status: u16) {
        metrics::count(self.env, route, problem, status);
    }

    fn feed(&self, body: Option<ReadableStream>) -> Stream {
        Stream::body(body)
    }

    fn stream(
        &self,
        body: ReadableStream,
    ) -> impl stream::Stream<Item = Result<Vec<u8>, std::io::Error>> + 'static {
        let broke_off = |_| std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        stream::unfold(Reader::of(&body).ok(), move |reader| async move {
            let mut reader = reader?;
            match reader.next().await.map_err(broke_off) {
                Ok(Some(piece)) => Some((Ok(piece.to_vec()), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn gb18030(&self, bytes: &[u8]) -> Option<String> {
        let options = TextDecoderOptions::new();
        options.set_fatal(true);
        let decoder = TextDecoder::new_with_label_and_options("gb18030", &options).ok()?;
        decoder.decode_with_u8_array(bytes).ok()
    }

    async fn static_file(
        &self,
        _request: &Request<ReadableStream>,
        other: Option<&str>,
    ) -> Result<Response<Self>, Failure> {
        let file = self.asset(other).await?;
        if file.status_code() == 404 {
            return Err(ProblemCode::NotFound.into());
        }
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = http::StatusCode::from_u16(file.status_code()).unwrap_or_default();
        *response.body_mut() = Body::StaticFile(file);
        Ok(response)
    }

    async fn built(&self, name: &'static str) -> Result<String, Failure> {
        if let Some(built) = BUILT.with_borrow(|built| built.get(name).cloned()) {
            return Ok(built);
        }
        let mut file = self.asset(Some(name)).await?;
        if file.status_code() != 200 {
            return Err(Failure::Broken(format!("{name}: {}", file.status_code())));
        }
        let text = file.text().await.map_err(broken("asset"))?;
        BUILT.with_borrow_mut(|built| built.insert(name, text.clone()));
        Ok(text)
    }

    async fn watch(
        &self,
        link: LinkId,
        command: &For<ReadEvents>,
    ) -> Result<ReadableStream, Failure> {
        Stubs::new(self.env, self.version)?
            .watch(link, command)
            .await
    }

    async fn tickets(&self, account: &AccountId) -> Result<Tickets, Failure> {
        chat::tickets(self.env, self.version, account).await
    }
}

/// A request in the form of the `http` crate.
pub(super) fn request(request: &worker::Request) -> Result<Request<ReadableStream>, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers() {
        // A value is text of which each character is a byte (WHATWG Fetch, "byte sequence").
        let value: Vec<u8> = value.chars().map(|c| c as u8).collect();
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(&value),
        ) {
            headers.append(name, value);
        }
    }
    // The platform's own text: `worker` takes a method that it does not know for GET.
    let inner = request.inner();
    let method = Method::from_bytes(inner.method().as_bytes())
        .map_err(|e| Failure::Broken(format!("method: {e}")))?;
    let url = request.url().map_err(broken("address"))?;
    Ok(Request::new(method, url, headers, inner.body()))
}

/// A response in the platform's form.
pub(super) fn response(response: Response<Bindings<'_>>) -> worker::Result<worker::Response> {
    let (parts, body) = response.into_parts();
    let body = match body {
        Body::StaticFile(file) => return Ok(file),
        Body::Empty => ResponseBody::Empty,
        Body::Bytes(bytes) => ResponseBody::Body(bytes),
        Body::Stream(stream) => ResponseBody::Stream(stream),
    };
    let headers = Headers::new();
    for (name, value) in &parts.headers {
        let value: String = value.as_bytes().iter().copied().map(char::from).collect();
        headers.append(name.as_str(), &value)?;
    }
    Ok(worker::Response::from_body(body)?
        .with_status(parts.status.as_u16())
        .with_headers(headers))
}
