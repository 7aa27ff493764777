//! The edge's API as its two kinds of clients use it: [`App`] with a key, [`Page`] with a token.
//! Each call returns the answer as it came; the ones that end in a type panic when it is refused.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_client::Check;
use chatlift_shared::api::{
    CompleteUpload, EventLog, File, HEADER_OFFSET, HEADER_TICKET, HeldPart, Link, PageData,
    PageFile, Upload,
};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{FileId, LinkId, UploadId, disposition, limits};
use serde_json::{Value, json};

use crate::fixtures::Random;
use crate::http::{Answer, TIMEOUT, send, send_refusable, send_within};
use crate::scratch::wait_for;

fn must(answer: Result<Answer, ureq::Error>, what: &str) -> Answer {
    answer.unwrap_or_else(|e| panic!("no answer to {what}: {e}"))
}

/// A business backend.
#[derive(Clone)]
pub struct App {
    origin: String,
    key: String,
}

impl App {
    /// With this API key.
    #[must_use]
    pub fn new(origin: String, key: String) -> Self {
        Self { origin, key }
    }

    /// The API key, for another program that plays this backend.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Any call of the API, with the key.
    #[must_use]
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        let url = format!("{}{path}", self.origin);
        let text = body.map(Value::to_string);
        if text.is_some() {
            all.push(("content-type", "application/json"));
        }
        must(
            send(method, &url, &all, text.as_deref().map(str::as_bytes)),
            path,
        )
    }

    /// Makes a link under a scene.
    #[must_use]
    pub fn link(&self, scene: &str) -> Link {
        self.link_with(json!({ "scene": scene, "subject": "case-7" }))
    }

    /// Makes a link with a body of one's own.
    #[must_use]
    pub fn link_with(&self, body: Value) -> Link {
        self.call("POST", "/v1/links", &[], Some(&body)).ok(201)
    }

    /// The link as it stands.
    #[must_use]
    pub fn get_link(&self, id: LinkId) -> Link {
        self.call("GET", &format!("/v1/links/{id}"), &[], None)
            .ok(200)
    }

    /// The event log of a link.
    #[must_use]
    pub fn event_log(&self, link: LinkId, headers: &[(&str, &str)]) -> EventLog {
        self.call("GET", &format!("/v1/links/{link}/events"), headers, None)
            .ok(200)
    }

    /// Waits until the edge holds so many bytes of the one upload that a link has under way. To ask
    /// so does not take the upload over from a request that still puts bytes away.
    pub fn wait_held(&self, link: LinkId, bytes: u64) {
        let held = || {
            self.get_link(link)
                .under_way
                .first()
                .map(|upload| upload.held)
        };
        wait_for(
            &format!("{bytes} bytes held"),
            Duration::from_secs(30),
            || (held() == Some(bytes)).then_some(()),
        );
    }

    /// Takes a link back.
    #[must_use]
    pub fn revoke(&self, id: LinkId) -> Answer {
        self.call("DELETE", &format!("/v1/links/{id}"), &[], None)
    }

    /// A file's content.
    #[must_use]
    pub fn content(&self, id: FileId, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", &format!("/v1/files/{id}/content"), headers, None)
    }

    /// Digest of a file's content as it is served, which must be that of its record.
    #[must_use]
    pub fn sha256(&self, id: FileId) -> Sha256 {
        let file: File = self
            .call("GET", &format!("/v1/files/{id}"), &[], None)
            .ok(200);
        let mut check = Check::new(&file);
        let whole = check
            .update(&self.content(id, &[]).body)
            .and_then(|()| check.finish());
        whole.expect("the content of the record")
    }

    /// The page of a link.
    #[must_use]
    pub fn page(&self, link: &Link) -> Page {
        Page::of(&link.url)
    }
}

/// The upload page.
#[derive(Clone, Debug)]
pub struct Page {
    url: String,
    patience: Duration,
    headers: Vec<(String, String)>,
}

impl Page {
    /// Of the link with this address.
    #[must_use]
    pub fn of(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            patience: TIMEOUT,
            headers: Vec::new(),
        }
    }

    /// One that sends a header with each of its requests, such as the address that a proxy names.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A request's headers, and those that all of the page's have.
    fn all<'a>(&'a self, headers: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.headers.iter().map(|(name, value)| (&**name, &**value));
        headers.iter().copied().chain(own).collect()
    }

    /// One that gives each exchange up after some time of its own.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The link's token.
    #[must_use]
    pub fn token(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }

    /// Any call under the link's address.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        self.try_call_at(method, &format!("{}{path}", self.url), headers, body)
    }

    /// As [`Self::try_call`], at an address that the edge gave.
    ///
    /// # Errors
    /// When there is no whole answer.
    pub fn try_call_at(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        send_within(self.patience, method, url, &self.all(headers), body)
    }

    /// As [`Self::try_call`], where an answer must come.
    #[must_use]
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        must(self.try_call(method, path, headers, body), path)
    }

    /// What the page begins with.
    #[must_use]
    pub fn data(&self) -> PageData {
        self.call("GET", "/page", &[], None).ok(200)
    }

    /// A small file in one request, with more headers if wanted.
    #[must_use]
    pub fn send_file(&self, name: &str, bytes: &[u8], headers: &[(&str, &str)]) -> Answer {
        let disposition = disposition::attachment(name);
        let mut all = vec![("content-disposition", disposition.as_str())];
        all.extend_from_slice(headers);
        self.call("POST", "/files", &all, Some(bytes))
    }

    /// A small file in one request, that must be stored.
    #[must_use]
    pub fn store(&self, name: &str, bytes: &[u8]) -> PageFile {
        self.send_file(name, bytes, &[]).ok(201)
    }

    /// Announces a file that comes in parts. Its beginning is filled up with spaces to the length
    /// that the edge wants.
    #[must_use]
    pub fn announce(&self, name: &str, size: u64, head: &[u8]) -> Answer {
        self.announce_with(name, size, head, None)
    }

    /// As [`Self::announce`], with the ticket of an earlier upload.
    #[must_use]
    pub fn announce_with(
        &self,
        name: &str,
        size: u64,
        head: &[u8],
        ticket: Option<&str>,
    ) -> Answer {
        let ticket = ticket.map_or_else(|| json!({}), |ticket| json!({ "ticket": ticket }));
        self.announce_saying(name, size, head, &ticket)
    }

    /// As [`Self::announce`], with more fields.
    ///
    /// # Panics
    /// When `more` is no object.
    #[must_use]
    pub fn announce_saying(&self, name: &str, size: u64, head: &[u8], more: &Value) -> Answer {
        let len = usize::try_from(size.min(limits::HEAD_MAX)).unwrap_or(0);
        let mut head = head.to_vec();
        head.resize(len, b' ');
        let mut body = json!({ "name": name, "size": size, "head": STANDARD.encode(head) });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let json = ("content-type", "application/json");
        self.call(
            "POST",
            "/uploads",
            &[json],
            Some(body.to_string().as_bytes()),
        )
    }

    /// Announces a random file, that must be taken; new or known.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn announce_random(&self, name: &str, file: Random) -> Upload {
        let answer = self.announce(name, file.size, &file.read(0, limits::HEAD_MAX));
        assert!(
            matches!(answer.status, 200 | 201),
            "{} {}",
            answer.status,
            answer.text()
        );
        answer.ok(answer.status)
    }

    /// Sends a part as it is to be sent.
    #[must_use]
    pub fn send_part(&self, upload: &Upload, n: u64, bytes: &[u8]) -> Answer {
        let digest = Sha256::of(bytes).to_header();
        self.send_part_with(
            upload,
            n,
            bytes,
            &[("content-digest", &digest), (HEADER_TICKET, &upload.ticket)],
        )
    }

    /// Sends a chunk of a part, which begins at `offset`.
    #[must_use]
    pub fn send_chunk(&self, upload: &Upload, part: HeldPart, offset: u64, bytes: &[u8]) -> Answer {
        let headers = [
            (HEADER_OFFSET, &*offset.to_string()),
            ("repr-digest", &part.sha256.to_header()),
            (HEADER_TICKET, &upload.ticket),
        ];
        self.send_part_with(upload, part.n.into(), bytes, &headers)
    }

    /// Sends a part with headers of one's own.
    #[must_use]
    pub fn send_part_with(
        &self,
        upload: &Upload,
        n: u64,
        bytes: &[u8],
        headers: &[(&str, &str)],
    ) -> Answer {
        self.put(&format!("/uploads/{}/parts/{n}", upload.id), headers, bytes)
    }

    fn put(&self, path: &str, headers: &[(&str, &str)], bytes: &[u8]) -> Answer {
        let url = format!("{}{path}", self.url);
        let answer = send_refusable("PUT", &url, &self.all(headers), bytes);
        answer.unwrap_or_else(|e| panic!("no answer to {path}: {e}"))
    }

    /// Sends a part, to complete the upload if it is the last.
    #[must_use]
    pub fn send_last(
        &self,
        upload: &Upload,
        n: u64,
        bytes: &[u8],
        (sha256, parts_sha256): (Sha256, Sha256),
    ) -> Answer {
        let digest = Sha256::of(bytes).to_header();
        let id = upload.id;
        self.put(
            &format!("/uploads/{id}/parts/{n}?sha256={sha256}&parts_sha256={parts_sha256}"),
            &[("content-digest", &digest), (HEADER_TICKET, &upload.ticket)],
            bytes,
        )
    }

    /// Sends what the edge does not hold of the parts, as far as the upload says, and returns all of them.
    ///
    /// # Panics
    /// When one is refused.
    #[must_use]
    pub fn send_parts(&self, upload: &Upload, file: Random) -> Vec<HeldPart> {
        let count = limits::part_count(upload.size, upload.part_size);
        (1..=count)
            .map(|n| {
                let bytes = file.read((n - 1) * upload.part_size, upload.part_size);
                let part = HeldPart {
                    n: u16::try_from(n).expect("a part number"),
                    sha256: Sha256::of(&bytes),
                };
                if !upload.parts.iter().any(|held| held.n == part.n) {
                    let staged = upload.staged.iter().find(|staged| staged.n == part.n);
                    let answer = match staged {
                        Some(staged) => {
                            let at = usize::try_from(staged.offset).expect("fits");
                            self.send_chunk(upload, part, staged.offset, &bytes[at..])
                        }
                        None => self.send_part(upload, n, &bytes),
                    };
                    assert_eq!(answer.status, 204, "part {n}: {}", answer.text());
                }
                part
            })
            .collect()
    }

    /// Completes an upload of these parts.
    #[must_use]
    pub fn complete(
        &self,
        upload: UploadId,
        sha256: Sha256,
        parts: &[HeldPart],
        headers: &[(&str, &str)],
    ) -> Answer {
        must(
            self.try_complete(upload, sha256, parts, headers),
            "complete",
        )
    }

    /// As [`Self::complete`], where there may be no answer.
    ///
    /// # Errors
    /// When there is no whole answer.
    ///
    /// # Panics
    /// Never: a digest has a JSON form.
    pub fn try_complete(
        &self,
        upload: UploadId,
        sha256: Sha256,
        parts: &[HeldPart],
        headers: &[(&str, &str)],
    ) -> Result<Answer, ureq::Error> {
        let parts_sha256 = Sha256::of_parts(parts.iter().map(|part| part.sha256));
        let body = serde_json::to_vec(&CompleteUpload {
            sha256: Some(sha256),
            parts_sha256: Some(parts_sha256),
        })
        .expect("JSON");
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.try_call(
            "POST",
            &format!("/uploads/{upload}/complete"),
            &all,
            Some(&body),
        )
    }

    /// Uploads a random file in parts, from announcement to completion.
    #[must_use]
    pub fn store_random(&self, name: &str, file: Random) -> PageFile {
        let upload = self.announce_random(name, file);
        let parts = self.send_parts(&upload, file);
        self.complete(upload.id, file.sha256(), &parts, &[]).ok(200)
    }
}
