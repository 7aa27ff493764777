//! The HTTP interface over the service in memory: what a client sends and is answered, without a
//! platform.

use chatlift_shared::api::{EventLog, Link, PageData};
use chatlift_shared::problem::MEDIA_TYPE;
use chatlift_shared::{AppId, LinkId, Problem, ProblemCode, Timestamp};
use futures::executor::block_on;
use futures_util::FutureExt as _;
use futures_util::stream::{self, Stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::de::DeserializeOwned;
use url::Url;

use super::bytes::Bytes;
use super::flow::Flow;
use super::memory::{Clock, Fault, List, Memory, Objects};
use super::{Edge, Rc, config};
use crate::chat::AccountId;
use crate::chat::vault::Tickets;
use crate::config::Config;
use crate::http as edge_http;
use crate::http::{Body, FORM_MEMORY, Limit, Request, Response, Runtime};
use crate::link::command::ReadEvents;
use crate::link::message::For;
use crate::memory::Account;
use crate::ports::{Failure, World as _};
use crate::service::Service;

/// The edge in memory as a runtime: no static files, no chat platforms, limits by choice.
pub(super) struct InMemory {
    pub(super) edge: Edge,
    config: Result<Config, Failure>,
    refuses: Option<Limit>,
    pub(super) memory: &'static Account,
}

impl InMemory {
    pub(super) fn new() -> Self {
        let edge = Edge::new();
        Self {
            config: Ok(edge.config.clone()),
            edge,
            refuses: None,
            memory: Box::leak(Box::new(Account::new(FORM_MEMORY, 0))),
        }
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let url = Url::parse("https://edge.example").expect("an address");
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
            );
        }
        let request = Request::new(
            Method::from_bytes(method.as_bytes()).expect("a method"),
            url.join(path).expect("a path"),
            map,
            (!body.is_empty()).then(|| Flow::of(vec![body.to_vec()])),
        );
        Answer::of(block_on(edge_http::serve(self, request)))
    }

    /// A link's path, `/u/{token}`.
    pub(super) fn link(&self) -> String {
        let body = br#"{"scene":"docs","subject":"case-7"}"#;
        let answer = self.send("POST", "/v1/links", &[KEY], body);
        assert_eq!(answer.status, 201);
        let link: Link = answer.json();
        let url = Url::parse(&link.url).expect("an address");
        url.path().to_owned()
    }
}

pub(super) const KEY: (&str, &str) = ("authorization", "Bearer clk_test");

/// A response that was read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn of(response: Response<InMemory>) -> Self {
        let (parts, body) = response.into_parts();
        let body = match body {
            Body::Empty => Vec::new(),
            Body::Bytes(bytes) => bytes,
            Body::Stream(flow) => block_on(flow.read()).0.concat(),
            Body::StaticFile(never) => match never {},
        };
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub(super) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().expect("text"))
    }

    fn problem(&self) -> ProblemCode {
        assert_eq!(self.header("content-type"), Some(MEDIA_TYPE));
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status);
        problem.code
    }
}

impl Runtime for InMemory {
    type Body = Flow<Vec<u8>>;
    type Feed = Bytes;
    type Links = Objects;
    type Bucket = Memory;
    type World = Clock;
    type Directory = Rc<List>;
    type StaticFile = core::convert::Infallible;

    fn config(&self) -> Result<&Config, Failure> {
        self.config.as_ref().map_err(Clone::clone)
    }

    fn service(&self, _: Option<String>) -> Result<Service<Objects, Memory, Clock>, Failure> {
        let service = &self.edge.service;
        Ok(Service {
            links: service.links.clone(),
            bucket: service.bucket.clone(),
            world: service.world.clone(),
        })
    }

    fn directory(&self) -> Result<Rc<List>, Failure> {
        Ok(Rc::clone(&self.edge.list))
    }

    async fn disabled_since(&self, _: &AppId) -> Result<Option<Timestamp>, Failure> {
        Ok(None)
    }

    async fn enable(&self, _: &AppId) -> Result<(), Failure> {
        Ok(())
    }

    fn memory(&self) -> &'static Account {
        self.memory
    }

    fn now(&self) -> Timestamp {
        self.edge.service.world.now()
    }

    fn random(&self) -> u64 {
        self.edge.service.world.random()
    }

    fn sender(&self, _: &Request<Flow<Vec<u8>>>) -> Option<String> {
        Some("192.0.2.1".into())
    }

    async fn allows(&self, limit: Limit, _: String) -> bool {
        self.refuses != Some(limit)
    }

    fn count(&self, _: &'static str, _: &'static str, _: u16) {}

    fn feed(&self, body: Option<Flow<Vec<u8>>>) -> Bytes {
        let body = body.map(|flow| flow.read().now_or_never().expect("in memory").0.concat());
        Bytes::new(body.unwrap_or_default())
    }

    fn stream(
        &self,
        body: Flow<Vec<u8>>,
    ) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> + 'static {
        stream::once(async { Ok(body.read().await.0.concat()) })
    }

    fn gb18030(&self, _: &[u8]) -> Option<String> {
        None
    }

    async fn static_file(
        &self,
        _: &Request<Flow<Vec<u8>>>,
        _: Option<&str>,
    ) -> Result<Response<Self>, Failure> {
        Err(ProblemCode::NotFound.into())
    }

    async fn built(&self, _: &'static str) -> Result<String, Failure> {
        Err(Failure::Broken("no build".into()))
    }

    async fn watch(&self, _: LinkId, _: &For<ReadEvents>) -> Result<Flow<Vec<u8>>, Failure> {
        Ok(Flow::of(Vec::new()))
    }

    async fn tickets(&self, _: &AccountId) -> Result<Tickets, Failure> {
        Err(Failure::Broken("no chat platform".into()))
    }
}

const PDF: &[u8] = b"%PDF-1.7\n%a file";

#[test]
fn a_file_goes_from_the_page_to_the_backend() {
    let edge = InMemory::new();
    let link = edge.link();
    let length = PDF.len().to_string();
    let headers = [
        ("content-length", length.as_str()),
        ("content-disposition", "attachment; filename=\"a.pdf\""),
    ];
    let stored = edge.send("POST", &format!("{link}/files"), &headers, PDF);
    assert_eq!(stored.status, 201, "{stored:?}");
    let file: serde_json::Value = stored.json();
    let content = format!("/v1/files/{}/content", file["id"].as_str().expect("an id"));
    let whole = edge.send("GET", &content, &[KEY], b"");
    assert_eq!((whole.status, &*whole.body), (200, PDF));
    let some = edge.send("GET", &content, &[KEY, ("range", "bytes=1-3")], b"");
    assert_eq!((some.status, &*some.body), (206, &b"PDF"[..]));
    let head = edge.send("HEAD", &content, &[KEY], b"");
    assert_eq!(head.header("content-length"), Some(&*length));
    assert!(head.body.is_empty());
}

#[test]
fn a_form_stores_each_of_its_files() {
    let edge = InMemory::new();
    let part = |name: &str, content: &str| {
        format!(
            "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n"
        )
    };
    let body = part("a.pdf", "%PDF-1.7") + &part("b.txt", "text") + "--x--\r\n";
    let headers = [
        ("content-type", "multipart/form-data; boundary=x"),
        ("accept", "application/json"),
    ];
    let answer = edge.send("POST", &edge.link(), &headers, body.as_bytes());
    assert_eq!(answer.status, 207);
    let result: serde_json::Value = answer.json();
    assert!(result["files"][0]["file"].is_object(), "{result}");
    let refused = &result["files"][1]["problem"]["code"];
    assert_eq!(refused, "file-type-not-accepted", "{result}");
}

#[test]
fn tus_and_resumable_uploads_grow_by_their_own_headers() {
    let edge = InMemory::new();
    let (link, length) = (edge.link(), PDF.len().to_string());
    let version = ("tus-resumable", "1.0.0");
    let made = edge.send(
        "POST",
        &format!("{link}/tus"),
        &[version, ("upload-length", &length), ("content-length", "0")],
        b"",
    );
    assert_eq!(made.status, 201);
    let patch = [
        version,
        ("upload-offset", "0"),
        ("content-type", "application/offset+octet-stream"),
        ("content-length", length.as_str()),
    ];
    let location = made.header("location").expect("an address").to_owned();
    let grown = edge.send("PATCH", &location, &patch, PDF);
    assert_eq!(grown.status, 204);
    assert_eq!(grown.header("upload-offset"), Some(&*length));
    let whole = [("upload-complete", "?1"), ("content-length", &length)];
    let stored = edge.send("POST", &format!("{link}/resumable"), &whole, PDF);
    assert_eq!(stored.status, 201);
    assert_eq!(stored.header("upload-complete"), Some("?1"));
}

#[test]
fn what_is_refused_says_why_in_the_words_of_its_protocol() {
    let edge = InMemory::new();
    let link = edge.link();
    let refused = |method, path: &str, headers: &[(&str, &str)]| {
        let answer = edge.send(method, path, headers, b"");
        (answer.status, answer.problem())
    };
    let forged = ("authorization", "Bearer clk_forged");
    for (method, path, headers, code) in [
        ("GET", "/v1/links", &[][..], ProblemCode::ApiKeyMissing),
        ("GET", "/v1/links", &[forged], ProblemCode::ApiKeyUnknown),
        ("GET", "/v1/nothing", &[KEY], ProblemCode::NotFound),
        (
            "PATCH",
            "/u/forged/files",
            &[],
            ProblemCode::MethodNotAllowed,
        ),
        (
            "POST",
            "/u/forged/files",
            &[],
            ProblemCode::LinkTokenInvalid,
        ),
    ] {
        assert_eq!(
            refused(method, path, headers),
            (code.status(), code),
            "{path}"
        );
    }
    let options = edge.send("OPTIONS", "/v1/links", &[], b"");
    assert_eq!(options.header("allow"), Some("GET, HEAD, POST"));
    let tus = edge.send("POST", &format!("{link}/tus"), &[], b"");
    assert_eq!(tus.status, 412);
    assert_eq!(tus.header("tus-version"), Some("1.0.0"));
    assert_eq!(tus.header("tus-resumable"), Some("1.0.0"));
    let head = edge.send("GET", "/d/forged", &[], b"");
    assert_eq!(head.problem(), ProblemCode::DownloadUrlInvalid);
}

#[test]
fn a_limit_is_a_refusal_with_the_time_to_wait() {
    for (limit, method, path, headers) in [
        (Limit::Link, "POST", "{link}/opened", &[][..]),
        (Limit::Address, "POST", "{link}/opened", &[]),
        (
            Limit::Key,
            "GET",
            "/v1/links",
            &[("authorization", "Bearer x")],
        ),
    ] {
        let mut edge = InMemory::new();
        let path = path.replace("{link}", &edge.link());
        edge.refuses = Some(limit);
        let answer = edge.send(method, &path, headers, b"");
        assert_eq!(answer.problem(), ProblemCode::RateLimited, "{limit:?}");
        assert_eq!(answer.header("retry-after"), Some("60"), "{limit:?}");
    }
}

#[test]
fn every_answer_over_https_asks_for_https_from_now_on() {
    let edge = InMemory::new();
    let link = edge.link();
    for path in [&*link, "/v1/links", "/nothing"] {
        let answer = edge.send("GET", path, &[], b"");
        let asked = answer.header("strict-transport-security");
        assert_eq!(asked, Some("max-age=63072000"), "{path}");
    }
}

#[test]
fn a_fault_of_ours_names_an_id_and_nothing_else() {
    let mut edge = InMemory::new();
    edge.config = Err(Failure::Broken("LINK_KEYS: secret".into()));
    for path in ["/healthz", "/u/token", "/v1/links"] {
        let answer = edge.send("GET", path, &[KEY], b"");
        assert_eq!(answer.problem(), ProblemCode::Internal, "{path}");
        assert!(answer.json::<Problem>().instance.is_some(), "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
    }
}

/// A form's body, of parts with these headers and contents.
fn form(parts: &[(&str, &str)]) -> String {
    let parts = parts
        .iter()
        .map(|(headers, content)| format!("--x\r\n{headers}\r\n\r\n{content}\r\n"));
    parts.collect::<String>() + "--x--\r\n"
}

pub(super) const FORM: [(&str, &str); 2] = [
    ("content-type", "multipart/form-data; boundary=x"),
    ("accept", "application/json"),
];

const DISPOSITION: &str = "content-disposition: form-data; name=\"file\"; filename=\"a.pdf\"";

/// A second header of one name was not looked at: base64 was stored as if it were the file.
#[test]
fn a_part_whose_headers_come_twice_or_in_odd_case_is_stored_or_refused_never_passed_over() {
    for (headers, stored) in [
        (format!("cOnTeNt-DiSpOsItIoN{}", &DISPOSITION[19..]), true),
        (
            format!("content-disposition: form-data; name=\"f\"\r\n{DISPOSITION}"),
            true,
        ),
        (format!("{DISPOSITION}\r\n{DISPOSITION}"), true),
        (
            format!(
                "{DISPOSITION}\r\ncontent-transfer-encoding: binary\r\n\
                 Content-Transfer-Encoding: base64"
            ),
            false,
        ),
        (
            format!("{DISPOSITION}\r\ncontent-type: text/plain\r\nContent-Type: multipart/mixed"),
            false,
        ),
        ("content-type: application/pdf".to_owned(), false),
    ] {
        let edge = InMemory::new();
        let body = form(&[(&headers, "%PDF-1.7"), (DISPOSITION, "%PDF-1.7 b")]);
        let answer = edge.send("POST", &edge.link(), &FORM, body.as_bytes());
        let status = if stored { 200 } else { 207 };
        assert_eq!(answer.status, status, "{headers}: {answer:?}");
        let result: serde_json::Value = answer.json();
        let files = result["files"].as_array().expect("files");
        assert_eq!(files.len(), 2, "{headers}: {result}");
        assert_eq!(files[0]["file"].is_object(), stored, "{headers}: {result}");
    }
}

/// The answer was a 503 that named none of the files that were stored already.
#[test]
fn a_form_whose_storage_fails_in_the_middle_says_what_is_stored() {
    let edge = InMemory::new();
    let link = edge.link();
    edge.edge.service.bucket.fault.set(("create", Fault::Fail));
    let large = format!("%PDF-1.7{}", " ".repeat(9_000_000));
    let parts = [(DISPOSITION, "%PDF-1.7 a"), (DISPOSITION, large.as_str())];
    let answer = edge.send("POST", &link, &FORM, form(&parts).as_bytes());
    assert_eq!(answer.status, 207);
    assert_eq!(answer.header("retry-after"), Some("2"));
    let result: serde_json::Value = answer.json();
    assert!(result["files"][0]["file"].is_object(), "{result}");
    let problem = &result["files"][1]["problem"];
    assert_eq!(problem["code"], "storage-unavailable", "{result}");
    assert!(problem["instance"].is_string(), "{result}");
}

/// Its page was empty, and its uploads were taken for nobody.
#[test]
fn a_link_of_a_removed_scene_or_app_says_so_in_its_own_words() {
    for app_too in [false, true] {
        let mut edge = InMemory::new();
        let link = edge.link();
        let page = format!("{link}/page");
        let before: PageData = edge.send("GET", &page, &[], b"").json();
        let asked = before.link.expect("a link");
        let mut raw = config::raw();
        raw.apps = raw.apps.replace("\"docs\"", "\"other\"");
        if app_too {
            raw.apps = raw.apps.replace("\"demo\"", "\"other\"");
            raw.app_secrets = raw.app_secrets.replace("\"demo\"", "\"other\"");
        }
        edge.config = Ok(Config::check(&raw).expect("a good config"));
        let now: PageData = edge.send("GET", &page, &[], b"").json();
        assert_eq!(
            now.problem.map(|problem| problem.code),
            Some(ProblemCode::SceneRemoved)
        );
        let shown = now.link.expect("its words");
        assert_eq!((shown.title, shown.hint), (asked.title, asked.hint));
        assert_eq!(shown.app_name, asked.app_name);
        let length = ("content-length", "9");
        for path in ["/files", "/uploads", "/resumable"] {
            let answer = edge.send("POST", &format!("{link}{path}"), &[length], b"%PDF-1.7 ");
            let said = (answer.status, answer.problem());
            assert_eq!(said, (410, ProblemCode::SceneRemoved), "{path}");
        }
        let body = form(&[(DISPOSITION, "%PDF-1.7")]);
        assert_eq!(edge.send("POST", &link, &FORM, body.as_bytes()).status, 410);
    }
}

/// What happened to the links of a removed scene is still told to their app.
#[test]
fn events_of_a_removed_scene_can_be_fetched_by_the_key_of_its_app() {
    let mut edge = InMemory::new();
    let body = br#"{"scene":"docs","subject":"case-7"}"#;
    let link: Link = edge.send("POST", "/v1/links", &[KEY], body).json();
    let mut raw = config::raw();
    raw.apps = raw.apps.replace("\"docs\"", "\"other\"");
    edge.config = Ok(Config::check(&raw).expect("a good config"));
    let path = format!("/v1/links/{}", link.id);
    assert_eq!(edge.send("DELETE", &path, &[KEY], b"").status, 204);
    let events = edge.send("GET", &format!("{path}/events"), &[KEY], b"");
    let events: EventLog = events.json();
    assert_eq!(events.events.len(), 1);
}
