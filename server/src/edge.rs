//! The edge on this platform: its ports, and what a request needs beside them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use chatlift_edge::chat::AccountId;
use chatlift_edge::chat::vault::Tickets;
use chatlift_edge::config::Config;
use chatlift_edge::faults::R2_SILENT;
use chatlift_edge::http as edge_http;
use chatlift_edge::http::{Edge, Limit, Request, Response, Runtime};
use chatlift_edge::link::command::Command;
use chatlift_edge::memory::Account;
use chatlift_edge::ports::Failure;
use chatlift_edge::service::Service;
use chatlift_shared::{AppId, LinkId, ProblemCode, Timestamp};
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::body::{Body, Incoming};
use crate::clock::now;
use crate::directory::Directory;
use crate::error::Error;
use crate::files::Files;
use crate::links::Links;
use crate::outgoing::{self, Vaults};
use crate::world::{Clock, random};
use crate::{body, files, rows};

/// Requests of a minute under a limit: as production's rate limiting bindings in wrangler.toml.
const fn per_minute(limit: Limit) -> u32 {
    match limit {
        Limit::Address => 3000,
        Limit::Link => 600,
        Limit::Key => 30,
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Most keys that are counted at once; beyond it those of the minute before are dropped.
const COUNTED_MAX: usize = 100_000;

/// The program's parts.
pub(crate) struct Native {
    pub(crate) config: Config,
    pub(crate) links: Links,
    pub(crate) files: Files,
    pub(crate) directory: Directory,
    pub(crate) client: reqwest::Client,
    page: PathBuf,
    /// Headers of static files by the pattern of their path, as the build's `_headers` has them.
    headers: Vec<(String, HeaderMap)>,
    vaults: Vaults,
    counted: RefCell<HashMap<(Limit, String), (Timestamp, u32)>>,
}

impl Native {
    /// Opens the edge over a folder of data and one of the built page.
    ///
    /// # Errors
    /// When a folder or the database cannot be opened.
    pub(crate) async fn open(config: Config, data: &Path, page: PathBuf) -> Result<Self, Error> {
        let files = Files::open(data).await?;
        let pool = rows::open(&data.join("edge.sqlite")).await?;
        let headers = files::read(&page.join("_headers")).await?;
        Ok(Self {
            config,
            links: Links::new(pool.clone()),
            files,
            directory: Directory(pool),
            client: outgoing::client()?,
            headers: parse_headers(&String::from_utf8_lossy(&headers)),
            page,
            vaults: Vaults::default(),
            counted: RefCell::default(),
        })
    }

    /// The service over the ports, with the fault that a test asked for.
    pub(crate) fn service(&self, fault: Option<String>) -> Service<Links, Files, Clock> {
        Service {
            links: self.links.clone(),
            bucket: match fault.as_deref() {
                Some(R2_SILENT) => self.files.silent(),
                _ => self.files.clone(),
            },
            world: Clock { fault },
        }
    }

    fn headers_of(&self, path: &str) -> impl Iterator<Item = &HeaderMap> {
        let path = path.to_owned();
        self.headers
            .iter()
            .filter(move |(pattern, _)| match pattern.strip_suffix('*') {
                Some(beginning) => path.starts_with(beginning),
                None => *pattern == path,
            })
            .map(|(_, headers)| headers)
    }
}

/// Reads a `_headers` file: a pattern of paths, and below it, indented, its headers.
fn parse_headers(text: &str) -> Vec<(String, HeaderMap)> {
    let mut all: Vec<(String, HeaderMap)> = Vec::new();
    for line in text.lines() {
        match (line.trim().split_once(": "), all.last_mut()) {
            (Some((name, value)), Some((_, headers))) if line.starts_with(' ') => {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                    headers.insert(name, value);
                }
            }
            _ if line.starts_with('/') => all.push((line.to_owned(), HeaderMap::new())),
            _ => {}
        }
    }
    all
}

/// The edge while it answers a request.
pub(crate) struct Answering {
    pub(crate) edge: Rc<Native>,
    pub(crate) peer: IpAddr,
}

/// A static file: its headers and its bytes.
#[derive(Debug)]
pub(crate) struct StaticFile {
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Runtime for Answering {
    type Body = Body;
    type Feed = Incoming;
    type Links = Links;
    type Bucket = Files;
    type World = Clock;
    type Directory = Directory;
    type StaticFile = StaticFile;

    fn config(&self) -> Result<&Config, Failure> {
        Ok(&self.edge.config)
    }

    fn service(&self, fault: Option<String>) -> Result<Edge<Self>, Failure> {
        Ok(self.edge.service(fault))
    }

    fn directory(&self) -> Result<Directory, Failure> {
        Ok(self.edge.directory.clone())
    }

    async fn disabled_since(&self, app: &AppId) -> Result<Option<Timestamp>, Failure> {
        Ok(self.edge.directory.disabled_since(app).await?)
    }

    async fn enable(&self, app: &AppId) -> Result<(), Failure> {
        Ok(self.edge.directory.enable(app).await?)
    }

    fn memory(&self) -> &'static Account {
        &body::MEMORY
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn random(&self) -> u64 {
        random()
    }

    fn sender(&self, _request: &Request<Body>) -> Option<String> {
        Some(self.peer.to_string())
    }

    /// Counted in minutes that begin with a sender's first request.
    async fn allows(&self, limit: Limit, key: String) -> bool {
        if self.edge.config.development {
            return true;
        }
        let (now, mut counted) = (now(), self.edge.counted.borrow_mut());
        if counted.len() >= COUNTED_MAX {
            counted.retain(|_, (since, _)| now < since.plus(MINUTE));
        }
        let (since, count) = counted.entry((limit, key)).or_insert((now, 0));
        if now >= since.plus(MINUTE) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= per_minute(limit)
    }

    fn count(&self, _route: &'static str, _problem: &'static str, _status: u16) {}

    fn feed(&self, body: Option<Body>) -> Incoming {
        Incoming::body(body)
    }

    fn stream(&self, body: Body) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> + 'static {
        body.0.map(|piece| piece.map(Vec::from))
    }

    fn gb18030(&self, bytes: &[u8]) -> Option<String> {
        let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes);
        text.map(std::borrow::Cow::into_owned)
    }

    async fn static_file(
        &self,
        request: &Request<Body>,
        other: Option<&str>,
    ) -> Result<Response<Self>, Failure> {
        let path = match other {
            Some(name) => format!("/{name}"),
            None => request.path().to_owned(),
        };
        let name = Path::new(path.trim_start_matches('/'));
        // Names of the build have no escapes, so that what has one is none of them.
        let plain = name.components().all(|c| matches!(c, Component::Normal(_)));
        if !plain || name.as_os_str().is_empty() || path == "/_headers" {
            return Err(ProblemCode::NotFound.into());
        }
        let bytes = files::read(&self.edge.page.join(name))
            .await
            .map_err(|_| ProblemCode::NotFound)?;
        let mut headers = HeaderMap::new();
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        if let Ok(kind) = HeaderValue::from_str(kind.as_ref()) {
            headers.insert(http::header::CONTENT_TYPE, kind);
        }
        for more in self.edge.headers_of(&path) {
            headers.extend(more.clone());
        }
        let file = StaticFile { headers, bytes };
        let mut response = Response::new(edge_http::Body::StaticFile(file));
        *response.status_mut() = StatusCode::OK;
        Ok(response)
    }

    async fn built(&self, name: &'static str) -> Result<String, Failure> {
        let bytes = files::read(&self.edge.page.join(name))
            .await
            .map_err(|e| Failure::Broken(format!("{name}: {e}")))?;
        String::from_utf8(bytes.into()).map_err(|e| Failure::Broken(format!("{name}: {e}")))
    }

    async fn watch(&self, link: LinkId, command: &Command) -> Result<Body, Failure> {
        self.edge.links.watch(link, command.clone()).await
    }

    async fn tickets(&self, account: &AccountId) -> Result<Tickets, Failure> {
        let edge = &self.edge;
        edge.vaults
            .tickets(&edge.config, &edge.client, account)
            .await
    }
}
