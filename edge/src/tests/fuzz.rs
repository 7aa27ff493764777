//! Fuzz tests of what a client sends. `chatlift_fuzz` says how they are played.
//!
//! Most play requests, one after the other, to an edge in memory: `METHOD path`, header lines, an empty line and
//! the body, with a line `%%` between two. `{link}`, `{key}` and what the answers so far have named stand for
//! themselves, so that a mutation reaches what is behind a token.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatlift_fuzz::check;
use chatlift_shared::api::LinkState as Status;
use chatlift_shared::limits::NAME_MAX;
use chatlift_shared::mac::Domain;
use chatlift_shared::problem::MEDIA_TYPE;
use chatlift_shared::{LinkId, ProblemCode, Timestamp, UploadId, name};
use futures::executor::block_on;
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::config;
use super::http::{Answer, FORM, InMemory, KEY};
use crate::config::Config;
use crate::http::fields::{digest, resumable, tus};
use crate::http::range::select;
use crate::http::route::{self, PageRoute, Route};
use crate::link::command;
use crate::link::state::{LinkState, UploadState};
use crate::link::work::{due, next_alarm};
use crate::ports::{Links as _, Selection};
use crate::upload::ticket;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The input is a ticket, and what stands in one before its tag.
#[test]
fn fuzz_ticket() {
    let keys = Config::check(&config::raw()).expect("a good config").keys;
    check("ticket", |bytes| {
        assert_eq!(ticket::read(&keys, &text(bytes), NOW), None, "forged");
        let tag = keys.signing().short_tag(Domain::Ticket, bytes);
        let signed = URL_SAFE_NO_PAD.encode([bytes, &tag].concat());
        let Some(read) = ticket::read(&keys, &signed, NOW) else {
            return;
        };
        assert!(
            i64::try_from(read.expires_at).is_ok_and(|end| end > NOW.secs())
                || read.expires_at > i64::MAX as u64
        );
        let again = ticket::issue(&keys, &read);
        assert_eq!(ticket::read(&keys, &again, NOW), Some(read));
    });
}

/// What stands for itself in a request, by its name.
type Named = BTreeMap<&'static str, String>;

/// A request, as it stands in an input.
struct Sent {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    /// Reads one; none where no HTTP server would hand it on.
    fn read(bytes: &[u8], named: &Named) -> Option<Self> {
        let mut bytes = bytes.to_vec();
        for (name, value) in named {
            bytes = replace(&bytes, format!("{{{name}}}").as_bytes(), value.as_bytes());
        }
        let at = memchr::memmem::find(&bytes, b"\n\n");
        let (head, body) = bytes.split_at(at.unwrap_or(bytes.len()));
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = text(lines.next()?);
        let (method, path) = first.split_once(' ')?;
        Method::from_bytes(method.as_bytes()).ok()?;
        let base = Url::parse("https://edge.example").expect("an address");
        base.join(path)
            .ok()
            .filter(|url| url.host_str() == base.host_str())?;
        let headers = lines.filter_map(|line| {
            let line = text(line);
            let (name, value) = line.split_once(':')?;
            let good = HeaderName::from_bytes(name.as_bytes()).is_ok()
                && HeaderValue::from_str(value.trim()).is_ok();
            // A server has the length from what it received.
            (good && !name.eq_ignore_ascii_case("content-length"))
                .then(|| (name.to_owned(), value.trim().to_owned()))
        });
        let mut headers: Vec<_> = headers.collect();
        let body = body.get(2..).unwrap_or_default().to_vec();
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"))
        {
            headers.push(("content-length".to_owned(), body.len().to_string()));
        }
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers,
            body,
        })
    }

    fn send(&self, edge: &InMemory) -> Answer {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        edge.send(&self.method, &self.path, &headers, &self.body)
    }
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some(at) = memchr::memmem::find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Splits an input at its lines of `%%`.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while let Some(at) = memchr::memmem::find(rest, b"\n%%\n") {
        pieces.push(&rest[..at]);
        rest = &rest[at + 4..];
    }
    pieces.push(rest);
    pieces
}

/// Whether an edge in memory lacks what a request needs: the built page, or a chat platform.
fn is_out_of_reach(sent: &Sent) -> bool {
    let url = Url::parse("https://edge.example")
        .expect("an address")
        .join(&sent.path);
    let path = url.expect("an address").path().to_owned();
    matches!(
        route::parse(&sent.method, &path),
        Ok(Route::Page(
            _,
            PageRoute::Html | PageRoute::ChatConfig | PageRoute::Password
        ))
    )
}

/// What every answer is, whatever was asked.
fn check_answer(sent: &Sent, answer: &Answer) {
    let said = format!(
        "{} {}: {} {}",
        sent.method,
        sent.path,
        answer.status,
        text(&answer.body)
    );
    assert!(answer.status < 500 || is_out_of_reach(sent), "{said}");
    let media_type = answer.header("content-type").unwrap_or_default().to_owned();
    let json: Option<Value> = media_type.contains("json").then(|| answer.json());
    if answer.status >= 400 && answer.status < 500 && media_type == MEDIA_TYPE {
        let problem = json.as_ref().expect("a problem");
        assert_eq!(problem["status"], answer.status, "{said}");
        assert!(
            problem["type"].is_string() && problem["title"].is_string(),
            "{said}"
        );
        let code = &problem["code"];
        assert!(
            ProblemCode::ALL.iter().any(|known| code == known.code()),
            "{said}"
        );
    } else if answer.status >= 400 && !answer.body.is_empty() {
        // A form's answer says what became of each file.
        assert!(
            media_type.contains("json") || media_type.contains("html"),
            "{said}"
        );
    }
    if answer.status == 405 {
        assert!(answer.header("allow").is_some(), "{said}");
    }
    for (header, value) in &answer.headers {
        let plain = |byte: &u8| (b' '..=b'~').contains(byte) || *byte >= 0x80;
        assert!(value.as_bytes().iter().all(plain), "{header}: {value:?}");
    }
    if let Some(json) = json {
        check_names(&json, &said);
    }
}

/// Every file that is told of has a safe name.
fn check_names(json: &Value, said: &str) {
    match json {
        Value::Object(map) => {
            if let (Some(Value::String(told)), true) = (
                map.get("name"),
                map.contains_key("size") || map.contains_key("file"),
            ) {
                assert!(
                    told.len() <= NAME_MAX && *told == name::safe(told),
                    "{said}"
                );
            }
            map.values().for_each(|value| check_names(value, said));
        }
        Value::Array(values) => values.iter().for_each(|value| check_names(value, said)),
        _ => {}
    }
}

/// Learns what an answer names.
fn learn(answer: &Answer, named: &mut Named) {
    if let Some(location) = answer.header("location") {
        let known = location.starts_with('/') || location.starts_with("https://edge.example/");
        assert!(known, "leads away: {location}");
        named.insert("location", location.to_owned());
    }
    let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else {
        return;
    };
    let id = json["id"].as_str().unwrap_or_default();
    for (name, begins) in [("id", "lnk_"), ("upload", "upl_"), ("file", "fil_")] {
        if id.starts_with(begins) {
            named.insert(name, id.to_owned());
        }
    }
    for (name, field) in [
        ("ticket", "ticket"),
        ("pass", "pass"),
        ("token", "url"),
        ("url", "url"),
    ] {
        if let Some(value) = json[field].as_str() {
            named.insert(name, value.rsplit('/').next().unwrap_or(value).to_owned());
        }
    }
}

impl InMemory {
    fn links(&self) -> Vec<(LinkId, LinkState)> {
        let links = self.edge.service.links.links.borrow();
        links
            .iter()
            .map(|(id, state)| (*id, state.clone()))
            .collect()
    }

    /// Lets the alarms do all that is due within twenty minutes.
    fn rest(&self) {
        let clock = &self.edge.service.links.now;
        let end = clock.get().plus(Duration::from_secs(20 * 60));
        for _ in 0..100 {
            let states = self.links();
            let next = states
                .iter()
                .filter_map(|(_, state)| next_alarm(state))
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                clock.set(end);
                return;
            };
            clock.set(clock.get().max(next));
            for (link, _) in states {
                self.ring(link);
            }
        }
        panic!("an alarm is never done");
    }

    /// A link's alarm.
    fn ring(&self, link: LinkId) {
        let (service, edge) = (&self.edge.service, &self.edge);
        block_on(service.links.execute(link, command::Tick)).expect("a tick");
        let Some((_, state)) = self.links().into_iter().find(|(id, _)| *id == link) else {
            return;
        };
        for work in due(&state, service.links.now.get()) {
            let done = service.perform(link, &state.link.policy, work, &edge.backend, &edge.list);
            block_on(done).expect("work");
        }
    }

    /// The books of all links balance: each file is an object, and each object a file or an upload's.
    fn check_books(&self) {
        let stored = self.edge.service.bucket.stored.borrow();
        let (mut objects, mut multiparts) = (Vec::new(), Vec::new());
        for (_, state) in self.links() {
            let policy = &state.link.policy;
            let files = state.files();
            assert!(
                state.files_stored() <= policy.max_files,
                "more files than the link takes"
            );
            for file in files.iter().filter(|file| file.deleted_at.is_none()) {
                let upload = UploadId::new(state.link.id, file.id.suffix());
                let key = state.key(upload);
                let object = stored.objects.get(&key).expect("the file's object");
                assert_eq!(object.len() as u64, file.size);
                assert!(
                    file.size <= policy.max_file_size && file.size > 0,
                    "a file of {}",
                    file.size
                );
                assert!(
                    chatlift_shared::kind::is_accepted(&policy.accept, &file.media_type),
                    "{}",
                    file.media_type
                );
                assert_eq!(file.name, name::safe(&file.name));
                objects.push(key);
            }
            for (id, row) in &state.uploads {
                match &row.state {
                    UploadState::Receiving { multipart, .. } => {
                        multiparts.push(multipart.r2_upload_id.clone())
                    }
                    UploadState::Completing { .. } => panic!("completing for ever"),
                    UploadState::Piece { .. } => objects.push(state.key(*id)),
                    UploadState::Stored(_) | UploadState::Aborted { .. } => {}
                }
            }
            let due = state
                .cleanups
                .values()
                .filter(|row| row.due <= self.edge.service.links.now.get());
            assert_eq!(due.count(), 0, "{:?}", state.cleanups);
            if state.link.status == Status::Active {
                assert!(state.link.expires_at > self.edge.service.links.now.get());
            }
        }
        assert!(
            stored.objects.keys().all(|key| objects.contains(key)),
            "an object of nobody"
        );
        assert!(
            stored.multiparts.keys().all(|id| multiparts.contains(id)),
            "a multipart upload of nobody"
        );
    }
}

/// Plays the requests of an input.
fn play(bytes: &[u8]) {
    let edge = InMemory::new();
    let mut named = Named::from([("link", edge.link()), ("key", KEY.1.to_owned())]);
    for piece in split(bytes).into_iter().take(12) {
        let Some(sent) = Sent::read(piece, &named) else {
            continue;
        };
        let answer = sent.send(&edge);
        check_answer(&sent, &answer);
        learn(&answer, &mut named);
    }
    edge.rest();
    edge.check_books();
}

/// The input is requests of the page and of a backend.
#[test]
fn fuzz_requests() {
    check("requests", play);
}

/// The input is requests of a tus client.
#[test]
fn fuzz_tus() {
    check("tus", play);
}

/// The input is requests of Resumable Uploads for HTTP.
#[test]
fn fuzz_resumable() {
    check("resumable", play);
}

/// The input is the body of a form, and what a browser makes a form of: names and contents, by turns.
#[test]
fn fuzz_form() {
    check("form", |bytes| {
        play(&[b"POST {link}\ncontent-type: multipart/form-data; boundary=x\naccept: application/json\n\n", bytes].concat());
        let pieces: Vec<_> = bytes.split(|byte| *byte == b'\n').take(6).collect();
        let (mut body, mut files) = (Vec::new(), Vec::new());
        for (n, pair) in pieces.chunks(2).enumerate() {
            let raw = text(pair[0]).replace(['"', '\r', '\\', '%'], "");
            // Those that come to the same are one file.
            let content = [
                format!("%PDF-1.7 {n} ").as_bytes(),
                pair.get(1).unwrap_or(&&b""[..]),
            ]
            .concat();
            if memchr::memmem::find(&content, b"--x").is_some() {
                return;
            }
            body.extend(
                format!(
                    "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{raw}\"\r\n\r\n"
                )
                .bytes(),
            );
            body.extend_from_slice(&content);
            body.extend(b"\r\n");
            files.push((name::safe(&raw), content));
        }
        body.extend(b"--x--\r\n");
        let edge = InMemory::new();
        let link = edge.link();
        let answer = edge.send("POST", &link, &FORM, &body);
        let told = answer.json::<Value>();
        let told = told["files"].as_array().expect("files");
        assert_eq!(told.len(), files.len(), "{told:?}");
        // The link takes two.
        for (n, (told, (name, content))) in told.iter().zip(&files).enumerate() {
            assert_eq!(told["name"], **name);
            if n < 2 {
                let id = told["file"]["id"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{told}"));
                let path = format!("/v1/files/{id}/content");
                let read = edge.send("GET", &path, &[KEY], b"");
                assert!(read.body == *content, "another content");
            } else {
                assert!(told["problem"].is_object(), "{told}");
            }
        }
    });
}

/// The input is header fields of a request for a file's content, and values of fields alone.
#[test]
fn fuzz_range() {
    const FILE: &[u8] = b"%PDF-1.7 ten more";
    let edge = InMemory::new();
    let headers = [("content-length", "17")];
    let file = edge.send("POST", &format!("{}/files", edge.link()), &headers, FILE);
    let id = file.json::<Value>()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/files/{id}/content");
    let tag = edge
        .send("HEAD", &path, &[KEY], b"")
        .header("etag")
        .expect("a tag")
        .to_owned();
    check("range", |bytes| {
        let value = text(bytes);
        for size in [0, 1, 17, u64::MAX] {
            if let Ok(Selection::Part { offset, length }) = select(Some(&value), size) {
                assert!(length >= 1 && offset.checked_add(length).is_some_and(|end| end <= size));
            }
        }
        let named = Named::from([("tag", tag.clone()), ("key", KEY.1.to_owned())]);
        let request = [
            format!("GET {path}\nauthorization: {}\n", KEY.1).as_bytes(),
            bytes,
        ]
        .concat();
        let sent = Sent::read(&request, &named).expect("a request");
        let answer = sent.send(&edge);
        check_answer(&sent, &answer);
        let length = answer
            .header("content-length")
            .map(|length| length.parse().expect("a length"));
        match answer.status {
            200 => assert_eq!(answer.body, FILE),
            206 => {
                let range = answer.header("content-range").expect("a range");
                let range = range
                    .strip_prefix("bytes ")
                    .and_then(|range| range.strip_suffix("/17"));
                let (first, last) = range
                    .and_then(|range| range.split_once('-'))
                    .expect("a range");
                let (first, last): (usize, usize) =
                    (first.parse().expect("first"), last.parse().expect("last"));
                assert_eq!(answer.body, FILE[first..=last]);
            }
            304 | 401 | 412 | 416 => {}
            other => panic!("{other}"),
        }
        if matches!(answer.status, 200 | 206) {
            assert_eq!(length, Some(answer.body.len()));
        }
    });
}

/// The input is the value of a header field of the upload protocols.
#[test]
fn fuzz_fields() {
    let link = LinkId::from_bytes([1; 12]);
    check("fields", |bytes| {
        let value = text(bytes);
        if let Ok(pairs) = tus::metadata(&value) {
            let written: Vec<_> = pairs
                .iter()
                .map(|(key, value)| {
                    format!(
                        "{key} {}",
                        base64::engine::general_purpose::STANDARD.encode(value)
                    )
                })
                .collect();
            assert_eq!(
                tus::metadata(&written.join(",")),
                Ok(pairs.clone()),
                "{written:?}"
            );
            let named = tus::file_name(&pairs);
            assert_eq!(name::safe(&named), name::safe(&name::safe(&named)));
        }
        if let Ok(n) = tus::number("Upload-Offset", &value) {
            assert_eq!(
                value.trim_start_matches('0'),
                n.to_string().trim_start_matches('0')
            );
        }
        if let Ok(checksum) = tus::checksum(&value) {
            assert_eq!(checksum.digest.len(), checksum.algorithm.length());
        }
        if let Ok(role) = tus::concat(Some(&value), link)
            && let Some(written) = tus::concat_header(&role, "/u/t/tus")
        {
            assert_eq!(tus::concat(Some(&written), link), Ok(role));
        }
        if let Ok(Some(n)) = resumable::integer("Upload-Length", Some(&value)) {
            assert_eq!(
                resumable::integer("Upload-Length", Some(&n.to_string())),
                Ok(Some(n))
            );
        }
        if let Ok(Some(complete)) = resumable::boolean(Some(&value)) {
            let written = resumable::complete(complete);
            assert_eq!(resumable::boolean(Some(written)), Ok(Some(complete)));
        }
        if let Some(sha256) = digest::sha256(&value) {
            assert_eq!(digest::sha256(&sha256.to_header()), Some(sha256));
        }
    });
}

/// What stands for a secret in a configuration, and may be in no error.
const SECRET: &str = "Zq7XkT4hVvB2mC9wLs0PfRyJd1NuGe8A";

/// The input is variables of the edge, a line `%%` between two. `{secret}` stands for one that is no secret of ours.
#[test]
fn fuzz_config() {
    check("config", |bytes| {
        let bytes = replace(bytes, b"{secret}", SECRET.as_bytes());
        let mut pieces = split(&bytes).into_iter().map(text);
        let mut next = || pieces.next().unwrap_or_default();
        let mut raw = config::raw();
        (raw.apps, raw.app_secrets) = (next(), next());
        (raw.environment, raw.public_url, raw.domain_files) = (next(), next(), next());
        (raw.chat, raw.chat_secrets, raw.faults) = (next(), next(), next());
        let config = match Config::check(&raw) {
            Ok(config) => config,
            Err(error) => {
                let told = error.to_string();
                let secret = ["LINK_KEYS", "APP_SECRETS", "CHAT_SECRETS"].contains(&error.variable);
                let window = SECRET
                    .as_bytes()
                    .windows(8)
                    .find(|window| told.contains(&text(window)));
                assert!(!secret || window.is_none(), "{told}");
                return;
            }
        };
        let told = format!("{config:?}");
        assert!(
            raw.apps.contains(SECRET)
                || !raw.app_secrets.contains(SECRET)
                || !told.contains(SECRET),
            "{told}"
        );
        assert!(!config.faults || config.development);
        assert!(
            config.development
                || config
                    .public_url
                    .iter()
                    .all(|url| url.starts_with("https://"))
        );
        if let Some(origin) = config.public_url {
            assert!(
                Url::parse(&origin).is_ok_and(|url| url.origin().ascii_serialization() == origin),
                "{origin}"
            );
        }
    });
}
