//! The edge's part of the backend API, on a real socket, as the tests need it: content with ranges
//! and versions, receipts, links. Faults are queued: each is used up by one request.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chatlift_shared::api::{AuditHead, CreateLink, File, Link, LinkState, Receipt, UnderWay};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{FileId, Problem, ProblemCode, Timestamp, UploadId};
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{KEY, link_id};

/// How the next content request goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answers with this problem.
    Refuse(ProblemCode),
    /// Something else answers in its place, with this status and no problem.
    Foreign(u16),
    /// Sends this many bytes and cuts the connection.
    CutAfter(usize),
    /// Sends other bytes of the same length.
    Alter,
    /// Sends more bytes than announced.
    Append,
    /// Sends the client elsewhere.
    Redirect(String),
}

/// A content request as it came, and how many bytes went out for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetch {
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
    pub(crate) sent: usize,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) contents: HashMap<FileId, (Vec<u8>, String)>,
    pub(crate) faults: VecDeque<Fault>,
    /// Statuses of the next receipts; 200 when there are none.
    pub(crate) receipt_faults: VecDeque<ProblemCode>,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) receipts: Vec<(FileId, Receipt)>,
    pub(crate) links: Vec<(String, CreateLink)>,
    /// Files that cannot be deleted.
    pub(crate) stuck: HashSet<FileId>,
}

#[derive(Clone)]
pub(crate) struct TestEdge {
    pub(crate) url: String,
    inner: Arc<Mutex<Inner>>,
    /// Content requests wait until this is true.
    pub(crate) gate: watch::Sender<bool>,
    /// Counts receipts.
    pub(crate) receipts: watch::Sender<usize>,
}

impl TestEdge {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let edge = Self {
            url: format!("http://{}", listener.local_addr().expect("an address")),
            inner: Arc::default(),
            gate: watch::Sender::new(true),
            receipts: watch::Sender::new(0),
        };
        let router = Router::new()
            .route("/v1/files/{id}/content", get(content))
            .route("/v1/files/{id}/receipt", post(receipt))
            .route("/v1/files/{id}", axum::routing::delete(delete))
            .route("/v1/links", post(links))
            .route("/v1/links/{id}", get(link))
            .with_state(edge.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        edge
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panicked")
    }

    pub(crate) fn hold(&self, file: FileId, content: &[u8], etag: &str) {
        let held = (content.to_vec(), etag.to_owned());
        self.lock().contents.insert(file, held);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.lock().faults.push_back(fault);
    }

    pub(crate) fn fetches(&self) -> Vec<Fetch> {
        self.lock().fetches.clone()
    }

    /// Waits until `count` receipts have been taken, and returns them as words.
    pub(crate) async fn receipts(&self, count: usize) -> Vec<String> {
        let mut taken = self.receipts.subscribe();
        taken
            .wait_for(|n| *n >= count)
            .await
            .expect("the edge runs");
        let inner = self.lock();
        let word = |r: &Receipt| serde_json::to_value(r.status).expect("JSON");
        let words = inner.receipts.iter().map(|(_, r)| word(r));
        words
            .filter_map(|w| w.as_str().map(str::to_owned))
            .collect()
    }
}

fn problem(code: ProblemCode) -> Response {
    let status = StatusCode::from_u16(code.status()).expect("a status");
    (status, Json(Problem::new(code))).into_response()
}

fn authorized(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    value == Some(&format!("Bearer {KEY}"))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

async fn content(
    State(edge): State<TestEdge>,
    Path(id): Path<FileId>,
    headers: HeaderMap,
) -> Response {
    if !authorized(&headers) {
        return problem(ProblemCode::ApiKeyUnknown);
    }
    let mut gate = edge.gate.subscribe();
    gate.wait_for(|open| *open).await.expect("the edge runs");

    let mut inner = edge.lock();
    let fault = inner.faults.pop_front();
    let (range, if_range) = (
        text(&headers, header::RANGE),
        text(&headers, header::IF_RANGE),
    );
    let log = |inner: &mut Inner, sent| {
        inner.fetches.push(Fetch {
            range: range.clone(),
            if_range: if_range.clone(),
            sent,
        });
    };
    match &fault {
        Some(Fault::Refuse(code)) => {
            log(&mut inner, 0);
            return problem(*code);
        }
        Some(Fault::Foreign(status)) => {
            log(&mut inner, 0);
            let status = StatusCode::from_u16(*status).expect("a status");
            return (status, "<html>nothing here</html>").into_response();
        }
        Some(Fault::Redirect(to)) => {
            log(&mut inner, 0);
            return (StatusCode::FOUND, [(header::LOCATION, to.clone())]).into_response();
        }
        _ => {}
    }
    let Some((mut whole, etag)) = inner.contents.get(&id).cloned() else {
        log(&mut inner, 0);
        return problem(ProblemCode::FileNotFound);
    };
    match fault {
        Some(Fault::Alter) => whole.iter_mut().for_each(|b| *b ^= 1),
        Some(Fault::Append) => whole.extend_from_slice(b"more"),
        _ => {}
    }
    let size = whole.len();
    let from: usize = match &range {
        Some(range) if if_range.as_ref().is_none_or(|tag| *tag == etag) => range
            .strip_prefix("bytes=")
            .and_then(|r| r.strip_suffix('-')?.parse().ok())
            .expect("an open range"),
        _ => 0,
    };
    if from > 0 && from >= size {
        log(&mut inner, 0);
        return problem(ProblemCode::RangeNotSatisfiable);
    }
    let rest = whole.split_off(from);
    let cut = match fault {
        Some(Fault::CutAfter(n)) => n.min(rest.len()),
        _ => rest.len(),
    };
    log(&mut inner, cut);

    let pieces: Vec<Result<Bytes, std::io::Error>> = rest[..cut]
        .chunks(16 * 1024)
        .map(|c| Ok(Bytes::copy_from_slice(c)))
        .collect();
    let whole = cut == rest.len();
    let end = stream::once(async move {
        // The server sends what it has while it waits for more, and then the connection goes.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Err(std::io::ErrorKind::ConnectionReset.into())
    });
    let body = stream::iter(pieces).chain(end.filter(move |_| std::future::ready(!whole)));
    let mut response = Response::new(Body::from_stream(body));
    let head = response.headers_mut();
    head.insert(header::CONTENT_LENGTH, rest.len().into());
    head.insert(header::ETAG, etag.parse().expect("a tag"));
    if from > 0 {
        let value = format!("bytes {from}-{}/{size}", size - 1);
        head.insert(header::CONTENT_RANGE, value.parse().expect("a range"));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

async fn receipt(
    State(edge): State<TestEdge>,
    Path(id): Path<FileId>,
    headers: HeaderMap,
    Json(receipt): Json<Receipt>,
) -> Response {
    if !authorized(&headers) {
        return problem(ProblemCode::ApiKeyUnknown);
    }
    let mut inner = edge.lock();
    if let Some(code) = inner.receipt_faults.pop_front() {
        return problem(code);
    }
    inner.receipts.push((id, receipt.clone()));
    drop(inner);
    edge.receipts.send_modify(|n| *n += 1);
    let file = File {
        id,
        link: id.link(),
        name: "file".to_owned(),
        size: 0,
        media_type: "application/octet-stream".to_owned(),
        sha256: Some(Sha256::of(b"")),
        parts: None,
        address: String::new(),
        stored_at: Timestamp::from_secs(0),
        deleted_at: None,
        deleted_reason: None,
        receipt: Some(receipt),
        note: None,
        rotate: 0,
    };
    Json(file).into_response()
}

async fn delete(
    State(edge): State<TestEdge>,
    Path(id): Path<FileId>,
    headers: HeaderMap,
) -> Response {
    if !authorized(&headers) {
        return problem(ProblemCode::ApiKeyUnknown);
    }
    let mut inner = edge.lock();
    if inner.stuck.contains(&id) {
        return problem(ProblemCode::Internal);
    }
    match inner.contents.remove(&id) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => problem(ProblemCode::FileNotFound),
    }
}

async fn links(
    State(edge): State<TestEdge>,
    headers: HeaderMap,
    Json(request): Json<CreateLink>,
) -> Response {
    if !authorized(&headers) {
        return problem(ProblemCode::ApiKeyUnknown);
    }
    if request.scene.as_str() == "no-such-scene" {
        return problem(ProblemCode::SceneUnknown);
    }
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok());
    let key = key.expect("a key").to_owned();
    let link = made(&request);
    edge.lock().links.push((key, request));
    (StatusCode::CREATED, Json(link)).into_response()
}

/// A link as the edge makes it.
fn made(request: &CreateLink) -> Link {
    Link {
        id: link_id(),
        app: "demo".parse().expect("an app id"),
        scene: request.scene.clone(),
        state: LinkState::Active,
        subject: request.subject.clone(),
        metadata: Default::default(),
        url: "https://edge.example/u/AQEJCQkJCQkJCQkJCQkEYWNtZQ9jbGFpbS1kb2N1bWVudHM".to_owned(),
        share_text: [("en".to_owned(), "Please send your file".to_owned())].into(),
        created_at: Timestamp::from_secs(1_795_000_000),
        expires_at: Timestamp::from_secs(1_795_600_000),
        max_files: 10,
        max_file_size: 20_000_000,
        accept: vec!["application/pdf".to_owned()],
        password: false,
        formats: Vec::new(),
        join: None,
        opened_at: None,
        uploads: 0,
        under_way: Vec::new(),
        files: Vec::new(),
        audit: AuditHead::default(),
    }
}

/// The link, opened, and one upload under way.
async fn link(State(edge): State<TestEdge>, headers: HeaderMap) -> Response {
    if !authorized(&headers) {
        return problem(ProblemCode::ApiKeyUnknown);
    }
    let inner = edge.lock();
    let Some((_, request)) = inner.links.last() else {
        return problem(ProblemCode::LinkNotFound);
    };
    let mut link = made(request);
    link.opened_at = Some(link.created_at);
    link.under_way = vec![UnderWay {
        id: UploadId::new(link_id(), [9; 6]),
        name: "video.mp4".to_owned(),
        size: 1_000,
        held: 400,
    }];
    Json(link).into_response()
}
