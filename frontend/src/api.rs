//! Calls to the edge.
//!
//! By `fetch`, as `gloo-net` has it, but for a file's content: that goes by `XMLHttpRequest`, since `fetch` does
//! not tell how much of a body has left. A call that moves nothing for longer than its network explains is cut
//! and counts as a network failure; so a connection that died silently costs that long and no longer.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;

use chatlift_frontend::format;
use chatlift_frontend::uploader::{Chunk, Failure, Refusal};
use chatlift_frontend::wire::Upload;
use chatlift_frontend::wire::{self, Value};
use chatlift_shared::api::{HEADER_OFFSET, HEADER_TICKET};
use chatlift_shared::digest::Sha256;
use futures_util::future::{Either, select};
use gloo_net::http::{Method, RequestBuilder};
use js_sys::{Array, Function, JSON, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, Blob, XmlHttpRequest};

use crate::dom;

/// How often calls are checked for a stall, in milliseconds.
const STALL_CHECK_MS: f64 = 1_000.0;

/// Longest time that a call beside the upload may move nothing, in milliseconds.
const PATIENCE_MS: f64 = 20_000.0;

/// Longest time that a body of which a part has left may not go on, in milliseconds. A line that
/// carries it moves many times in a second.
const STALL_MS: f64 = 5_000.0;

/// A call under way: whose it is, what cuts it, and when it last moved and how long it may not.
type UnderWay = (u32, Function, Moved);

/// When a call last moved, and how long it may not.
type Moved = Rc<Cell<(f64, f64)>>;

thread_local! {
    static TOKEN: RefCell<String> = const { RefCell::new(String::new()) };
    static UNDER_WAY: RefCell<Vec<UnderWay>> = const { RefCell::new(Vec::new()) };
    /// Whether [`abort_stalled`] is due.
    static CHECKING: Cell<bool> = const { Cell::new(false) };
}

/// Calls of nobody: they are not aborted with a file.
const NOBODY: u32 = u32::MAX;

/// Whose a call is, and how long it may move nothing, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct For(pub(crate) u32, pub(crate) f64);

/// Told how many bytes of a body have left.
pub(crate) type Loaded = Box<dyn Fn(f64)>;

/// What a call comes to.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Js, Failure>>>>;

/// A JSON value that the browser has parsed.
pub(crate) struct Js(pub(crate) JsValue);

impl Value for Js {
    fn get(&self, name: &str) -> Option<Self> {
        dom::get(&self.0, name).map(Self)
    }

    fn text(&self) -> Option<String> {
        self.0.as_string()
    }

    fn number(&self) -> Option<f64> {
        self.0.as_f64()
    }

    fn items(&self) -> Vec<Self> {
        match self.0.dyn_ref::<Array>() {
            Some(array) => array.iter().map(Self).collect(),
            None => Vec::new(),
        }
    }
}

/// Sets the link's token, which is the credential of every call.
pub(crate) fn set_token(token: String) {
    TOKEN.with(|own| own.replace(token));
}

/// The link's token.
pub(crate) fn token() -> String {
    TOKEN.with(|token| token.borrow().clone())
}

/// The page's data anew. `query` is empty or `?lang=...`.
pub(crate) fn page(query: &str) -> Answer {
    let path = ["/page", query].concat();
    ask(For(NOBODY, PATIENCE_MS), Method::GET, &path, &[], None)
}

/// Where the edge says that it is up. It reads nothing for that, so many pages may ask.
const HEALTH: &str = "/healthz";

/// Longest time that a probe may take, in milliseconds.
const PROBE_PATIENCE_MS: f64 = 4_000.0;

/// Whether the edge can be reached. A portal on the way answers too, but not as the edge does.
pub(crate) async fn is_there() -> bool {
    let whose = For(NOBODY, PROBE_PATIENCE_MS);
    let answer = ask(whose, Method::GET, HEALTH, &[], None).await;
    answer.is_ok_and(|health| health.get("status").is_some())
}

/// Sends a whole file.
pub(crate) fn send_whole(
    whose: For,
    name: &str,
    digest: Option<Sha256>,
    body: &Blob,
    loaded: Loaded,
) -> Answer {
    let mut headers = vec![("content-disposition", attachment(name))];
    if let Some(digest) = &digest {
        headers.push(("content-digest", digest_header(digest)));
    }
    send(whose, "POST", "/files", &headers, body, loaded)
}

/// Announces a file by its name, and what is said of it to the app; `head` are its first bytes, `ticket` is that of an earlier upload of it, and nobody
/// joins one that is `alone`. It is not aborted with its file: the edge may have begun the upload
/// already, and the answer tells which.
pub(crate) fn announce(
    patience_ms: f64,
    (name, (note, turned)): (&str, (String, u16)),
    size: f64,
    head: &[u8],
    ticket: Option<String>,
    alone: bool,
) -> Answer {
    let head = base64(head);
    // Undefined, a field is left out.
    let body = json(&[
        ("name", name.into()),
        ("size", size.into()),
        ("head", head.into()),
        ("ticket", ticket.into()),
        ("alone", alone.into()),
        ("note", Some(note).filter(|note| !note.is_empty()).into()),
        ("rotate", Some(turned).filter(|turned| *turned > 0).into()),
    ]);
    let whose = For(NOBODY, patience_ms);
    ask(whose, Method::POST, "/uploads", &json_body(), Some(&body))
}

/// Sends a chunk of an upload; the first of `digests` is that of its whole part, if it is known yet,
/// and that of all parts' digests follows where it may complete the file.
pub(crate) fn send_chunk(
    whose: For,
    upload: &Upload,
    chunk: Chunk,
    digests: (Option<Sha256>, Option<Sha256>),
    body: &Blob,
    loaded: Loaded,
) -> Answer {
    let n = format::decimal(chunk.n.into());
    let mut path = ["/uploads/", &upload.id, "/parts/", &n].concat();
    if let Some(parts) = &digests.1 {
        path.push_str("?parts_sha256=");
        path.push_str(&hex(parts));
    }
    let mut headers = vec![(HEADER_TICKET, upload.ticket.clone())];
    if !chunk.direct {
        headers.push((HEADER_OFFSET, format::decimal(chunk.from)));
    }
    if let Some(digest) = &digests.0 {
        let name = if chunk.direct {
            "content-digest"
        } else {
            "repr-digest"
        };
        headers.push((name, digest_header(digest)));
    }
    send(whose, "PUT", &path, &headers, body, loaded)
}

/// Completes an upload.
pub(crate) fn complete(whose: For, upload: &Upload, parts_sha256: Option<Sha256>) -> Answer {
    let path = ["/uploads/", &upload.id, "/complete"].concat();
    let body = json(&[("parts_sha256", parts_sha256.as_ref().map(hex).into())]);
    ask(whose, Method::POST, &path, &json_body(), Some(&body))
}

/// Tells the edge that the person is done, with the files in the order of the pick.
pub(crate) fn done(files: &[String]) -> Answer {
    let order: Array = files.iter().map(JsValue::from).collect();
    let body = json(&[("order", order.into())]);
    let whose = For(NOBODY, PATIENCE_MS);
    ask(whose, Method::POST, "/done", &json_body(), Some(&body))
}

/// Takes back an upload, or the file that it became: with its ticket, in whatever state it is.
pub(crate) fn withdraw(upload: &str, ticket: &str) -> Answer {
    let path = ["/uploads/", upload].concat();
    let headers = [(HEADER_TICKET, ticket.to_owned())];
    let whose = For(NOBODY, PATIENCE_MS);
    ask(whose, Method::DELETE, &path, &headers, None)
}

/// Cuts the calls that send a file.
pub(crate) fn abort(key: u32) {
    cut(|call| call.0 == key);
}

/// Base64, by the browser's own encoder.
fn base64(bytes: &[u8]) -> String {
    // It takes one character for each byte, and fails for no character below U+0100.
    let latin1: String = bytes.iter().copied().map(char::from).collect();
    dom::window().btoa(&latin1).unwrap_or_default()
}

/// A digest as [`Sha256`] writes itself, without the formatting machinery.
fn hex(digest: &Sha256) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = digest.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .map(|nibble| char::from(DIGITS[usize::from(nibble & 15)]))
        .collect()
}

/// A `Content-Disposition` that names a file (RFC 8187), as `shared::disposition` writes it, by
/// the browser's own encoder.
fn attachment(name: &str) -> String {
    let mut value = String::from("attachment; filename*=UTF-8''");
    for c in String::from(js_sys::encode_uri_component(name)).chars() {
        match c {
            '\'' => value.push_str("%27"),
            '(' => value.push_str("%28"),
            ')' => value.push_str("%29"),
            '*' => value.push_str("%2A"),
            c => value.push(c),
        }
    }
    value
}

/// The value of a `Content-Digest` header (RFC 9530), as [`Sha256::to_header`] writes it.
fn digest_header(digest: &Sha256) -> String {
    ["sha-256=:", &base64(&digest.0), ":"].concat()
}

fn json(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    JSON::stringify(&object)
        .map(JsValue::from)
        .unwrap_or_default()
}

fn json_body() -> [(&'static str, String); 1] {
    [("content-type", "application/json".to_owned())]
}

/// The address of a path under the link's own, or of [`HEALTH`].
fn address(path: &str) -> String {
    match path {
        HEALTH => HEALTH.to_owned(),
        path => TOKEN.with(|token| ["/u/", &token.borrow(), path].concat()),
    }
}

/// Makes a call whose progress nobody watches.
fn ask(
    whose: For,
    method: Method,
    path: &str,
    headers: &[(&str, String)],
    body: Option<&JsValue>,
) -> Answer {
    // Engines before Chrome 66 have none: a call that is cut keeps its connection there until that fails.
    let controller = AbortController::new().ok();
    let signal = controller.as_ref().map(AbortController::signal);
    let mut request = RequestBuilder::new(&address(path))
        .method(method)
        .abort_signal(signal.as_ref());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = match body {
        Some(body) => request.body(body.clone()),
        None => request.build(),
    };
    Box::pin(async move {
        let request = request.map_err(|_| Failure::Network)?;
        let mut cut = None;
        let is_cut = Promise::new(&mut |resolve: Function, _| cut = Some(resolve));
        let cut = cut.ok_or(Failure::Network)?;
        watch(whose, &cut, &Rc::new(Cell::new((dom::now(), whose.1))));
        let answer = Box::pin(async {
            let response = request.send().await.ok()?;
            let text = response.text().await.ok()?;
            let retry_after = response.headers().get("retry-after");
            Some(answer(response.status(), &text, retry_after))
        });
        let said = match select(answer, JsFuture::from(is_cut)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                if let Some(controller) = controller {
                    controller.abort();
                }
                None
            }
        };
        ended(&cut);
        said.unwrap_or(Err(Failure::Network))
    })
}

/// Sends a file's content, and tells how much of it has left.
fn send(
    whose: For,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &Blob,
    loaded: Loaded,
) -> Answer {
    let begun = begin(whose, method, path, headers, body, loaded);
    Box::pin(async move {
        let Ok((xhr, cut, end, _progress)) = begun else {
            return Err(Failure::Network);
        };
        let _ = JsFuture::from(end).await;
        ended(&cut);
        match xhr.status().unwrap_or(0) {
            0 => Err(Failure::Network),
            status => {
                let retry_after = xhr.get_response_header("retry-after").ok().flatten();
                answer(status, &dom::text(&xhr, "responseText"), retry_after)
            }
        }
    })
}

type Progress = Closure<dyn FnMut(JsValue)>;

fn begin(
    whose: For,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &Blob,
    loaded: Loaded,
) -> Result<(XmlHttpRequest, Function, Promise, Progress), JsValue> {
    let xhr = XmlHttpRequest::new()?;
    xhr.open(method, &address(path))?;
    for (name, value) in headers {
        xhr.set_request_header(name, value)?;
    }
    let moved = Rc::new(Cell::new((dom::now(), whose.1)));
    let last = moved.clone();
    let progress: Progress = Closure::new(move |event: JsValue| {
        let event = Js(event);
        let number = |name| event.get(name).and_then(|value| value.number());
        let bytes = number("loaded").unwrap_or_default();
        let all = number("total").is_none_or(|total| bytes >= total);
        last.set((dom::now(), if all { whose.1 } else { STALL_MS }));
        loaded(bytes);
    });
    if let Some(upload) = dom::get(&xhr, "upload") {
        dom::set(&upload, "onprogress", progress.as_ref());
    }
    let end = Promise::new(&mut |resolve: Function, _| dom::set(&xhr, "onloadend", resolve));
    xhr.send_with_opt_blob(Some(body))?;
    let cut = Reflect::get(&xhr, &"abort".into())?.unchecked_into::<Function>();
    let cut = cut.bind0(&xhr);
    watch(whose, &cut, &moved);
    Ok((xhr, cut, end, progress))
}

/// Keeps a call on the list of those under way, and the list checked.
fn watch(whose: For, cut: &Function, moved: &Moved) {
    UNDER_WAY.with(|all| all.borrow_mut().push((whose.0, cut.clone(), moved.clone())));
    if !CHECKING.replace(true) {
        dom::after(STALL_CHECK_MS, cut_stalled);
    }
}

/// Takes a call off the list.
fn ended(cut: &Function) {
    UNDER_WAY.with(|all| all.borrow_mut().retain(|call| call.1 != *cut));
}

/// Cuts the calls that `which` says.
fn cut(which: impl Fn(&UnderWay) -> bool) {
    // Out of the list first: a call that is cut ends, and takes itself off the list.
    let calls: Vec<_> = UNDER_WAY.with(|all| {
        let all = all.borrow();
        all.iter()
            .filter(|call| which(call))
            .map(|call| call.1.clone())
            .collect()
    });
    for call in calls {
        let _ = call.call0(&JsValue::UNDEFINED);
    }
}

/// Cuts the calls that have moved nothing for too long.
fn cut_stalled() {
    let now = dom::now();
    cut(|call| {
        let (moved, patience) = call.2.get();
        now - moved > patience
    });
    let any = UNDER_WAY.with(|all| !all.borrow().is_empty());
    CHECKING.set(any);
    if any {
        dom::after(STALL_CHECK_MS, cut_stalled);
    }
}

/// A success that the edge did not send: a proxy's or a portal's page in its place.
pub(crate) fn foreign() -> Failure {
    Failure::Edge(Box::new(Refusal {
        status: 502,
        foreign: true,
        ..Refusal::default()
    }))
}

fn answer(status: u16, text: &str, retry_after: Option<String>) -> Result<Js, Failure> {
    let parsed = JSON::parse(text);
    if (200..300).contains(&status) {
        return match parsed {
            Ok(body) => Ok(Js(body)),
            Err(_) if status == 204 => Ok(Js(JsValue::UNDEFINED)),
            // The edge answers in JSON or with 204.
            Err(_) => Err(foreign()),
        };
    }
    let body = Js(parsed.unwrap_or_default());
    // An HTTP date is passed over: the page's clock may be wrong.
    let seconds = retry_after.and_then(|text| format::number(&text));
    Err(Failure::Edge(Box::new(Refusal {
        status,
        foreign: body.get("code").is_none(),
        retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1000)),
        ..wire::problem(&body)
    })))
}
