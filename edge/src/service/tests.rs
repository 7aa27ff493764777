//! The service against a bucket and links in memory. The bucket can store and then report
//! failure, and any step can be the last one before the worker dies.

mod last_part;
mod serial;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use chatlift_shared::api::{
    CompleteUpload, CreateLink, EventState, LinkState as Status, StagedPart,
};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{PART_SIZE, part_count, part_len};
use chatlift_shared::{AppId, LinkId, ProblemCode, Timestamp, UploadId};
use core::time::Duration;
use futures::executor::block_on;

mod manage;

use super::Service;
use super::uploads::{Sent, SentPart};
use crate::config::{App, Config, tests as config};
use crate::core::command::{Command, OpenUpload, Outcome, Reply};
use crate::core::decide::{Held, PartWrite, decide};
use crate::core::link::LinkState;
use crate::core::listing::{self, Entry, Query, ShardPage};
use crate::core::serial::SerialCommand;
use crate::core::stage;
use crate::core::ticket::Ticket;
use crate::core::work::{Send, due};
use crate::ports::{
    Bucket, BucketError, Chunk, CompleteError, Directory, Failure, Head, Incoming, Kept, Links,
    Put, PutError, Stage, Through, Webhooks, World,
};

/// What an operation of the bucket does beside its work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Fails and does nothing.
    Fail,
    /// Does its work and then fails.
    DoThenFail,
}

#[derive(Default)]
struct Stored {
    objects: BTreeMap<String, Vec<u8>>,
    multiparts: BTreeMap<String, BTreeMap<u16, Vec<u8>>>,
}

#[derive(Clone)]
struct Memory {
    stored: Rc<RefCell<Stored>>,
    fault: Rc<Cell<(&'static str, Fault)>>,
}

impl Memory {
    fn step<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Stored) -> T,
    ) -> Result<T, BucketError> {
        let (at, fault) = self.fault.get();
        let fault = if at == operation { fault } else { Fault::None };
        let error = BucketError {
            operation,
            reason: "injected".into(),
        };
        if fault == Fault::Fail {
            return Err(error);
        }
        let done = work(&mut self.stored.borrow_mut());
        if fault == Fault::DoThenFail {
            Err(error)
        } else {
            Ok(done)
        }
    }
}

fn etag(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_string()
}

fn head_of(bytes: &[u8]) -> Head {
    Head {
        size: bytes.len() as u64,
        etag: etag(bytes),
    }
}

fn part(n: u64, sha256: Sha256) -> SentPart {
    SentPart {
        n,
        sha256: Some(sha256),
        complete: None,
    }
}

impl Bucket for Memory {
    type Body = Vec<u8>;
    type Objects = serial::Bytes;

    fn objects(&self, objects: Vec<(String, u64)>) -> serial::Bytes {
        let stored = self.stored.borrow();
        let all = objects
            .iter()
            .flat_map(|(key, _)| stored.objects[key].clone());
        serial::Bytes::new(all.collect())
    }

    fn body(&self, bytes: Vec<u8>) -> Result<Vec<u8>, BucketError> {
        Ok(bytes)
    }

    async fn create(&self, key: &str) -> Result<String, BucketError> {
        self.step("create", |s| {
            let id = format!("{key}#{}", s.multiparts.len());
            s.multiparts.insert(id.clone(), BTreeMap::new());
            id
        })
    }

    async fn put_part(&self, _: &str, id: &str, n: u16, body: Vec<u8>) -> Result<Put, BucketError> {
        if body.is_empty() {
            return Err(BucketError {
                operation: "put part",
                reason: "it broke off".into(),
            });
        }
        let put = Put {
            etag: etag(&body),
            sha256: Sha256::of(&body),
        };
        let found = self.step("put part", |s| {
            s.multiparts.get_mut(id).map(|m| m.insert(n, body))
        });
        match found? {
            Some(_) => Ok(put),
            None => Err(BucketError {
                operation: "put part",
                reason: "no upload".into(),
            }),
        }
    }

    async fn complete(&self, key: &str, id: &str, etags: &[String]) -> Result<(), CompleteError> {
        let gone = BucketError {
            operation: "complete",
            reason: "no upload".into(),
        };
        let done = self.step("complete", |s| {
            let parts = s.multiparts.get(id).ok_or(CompleteError::Bucket(gone))?;
            let have: Vec<String> = parts.values().map(|p| etag(p)).collect();
            if have != etags {
                return Err(CompleteError::Parts);
            }
            let parts = s.multiparts.remove(id).unwrap_or_default();
            s.objects
                .insert(key.to_owned(), parts.into_values().flatten().collect());
            Ok(())
        });
        done.map_err(CompleteError::Bucket)?
    }

    async fn abort(&self, _: &str, id: &str) -> Result<(), BucketError> {
        self.step("abort", |s| drop(s.multiparts.remove(id)))
    }

    async fn put(
        &self,
        key: &str,
        body: Vec<u8>,
        expected: Option<Sha256>,
    ) -> Result<Put, PutError> {
        let put = Put {
            etag: etag(&body),
            sha256: Sha256::of(&body),
        };
        if expected.is_some_and(|e| e != put.sha256) {
            return Err(PutError::Digest);
        }
        self.step("put", |s| drop(s.objects.insert(key.to_owned(), body)))
            .map_err(PutError::Bucket)?;
        Ok(put)
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        self.step("head", |s| s.objects.get(key).map(|o| head_of(o)))
    }

    async fn read_head(
        &self,
        key: &str,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError> {
        self.step("read head", |s| {
            s.objects.get(key).map(|object| {
                let length = usize::try_from(length).expect("short");
                (
                    head_of(object),
                    object.iter().copied().take(length).collect(),
                )
            })
        })
    }

    async fn digest(&self, key: &str) -> Result<Sha256, BucketError> {
        self.step("digest", |s| {
            Sha256::of(s.objects.get(key).map_or(&[], Vec::as_slice))
        })
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.step("delete", |s| drop(s.objects.remove(key)))
    }
}

/// What is staged, by part.
type StagedBytes = BTreeMap<(UploadId, u16), Vec<u8>>;

#[derive(Clone)]
struct Objects {
    links: Rc<RefCell<BTreeMap<LinkId, LinkState>>>,
    held: Rc<RefCell<BTreeMap<UploadId, Held>>>,
    staged: Rc<RefCell<StagedBytes>>,
    now: Rc<Cell<Timestamp>>,
    /// Commands that are still carried out before the worker dies.
    left: Rc<Cell<usize>>,
}

impl Links for Objects {
    async fn execute(&self, link: LinkId, command: Command) -> Result<Reply, Failure> {
        if self.left.get() == 0 {
            return Err(Failure::Broken("dead".into()));
        }
        self.left.set(self.left.get() - 1);
        let look = |id| {
            let mut held = self.held.borrow().get(&id).cloned().unwrap_or_default();
            let staged = self.staged.borrow();
            held.staged = staged
                .iter()
                .filter(|((upload, _), _)| *upload == id)
                .map(|((_, n), bytes)| StagedPart {
                    n: *n,
                    offset: bytes.len() as u64,
                })
                .collect();
            held
        };
        let state = self.links.borrow().get(&link).cloned();
        let decision = decide(state.as_ref(), command, &look, self.now.get())?;
        for write in decision.parts {
            let mut staged = self.staged.borrow_mut();
            match &write {
                PartWrite::Put(id, n, _) | PartWrite::Drop(id, n) => {
                    drop(staged.remove(&(*id, *n)));
                }
                PartWrite::DropAll(id) => staged.retain(|(upload, _), _| upload != id),
                PartWrite::Truncate(id, n, begin) => {
                    staged.retain(|(upload, part), _| upload != id || part <= n);
                    if let Some(bytes) = staged.get_mut(&(*id, *n)) {
                        bytes.truncate(usize::try_from(*begin).expect("fits"));
                    }
                }
            }
            write.apply(&mut self.held.borrow_mut());
        }
        self.links.borrow_mut().insert(link, decision.next);
        Ok(decision.reply)
    }
}

impl Stage for Objects {
    type Body = Vec<u8>;

    async fn stage(&self, chunk: Chunk, body: Option<Vec<u8>>) -> Result<Kept, Failure> {
        let touch = match chunk.writer {
            Some(writer) => Command::Serial(chunk.upload, SerialCommand::Touch { writer }),
            None => Command::Touch {
                upload: chunk.upload,
            },
        };
        self.execute(chunk.upload.link(), touch).await?;
        let held = self.held.borrow();
        let recorded = held
            .get(&chunk.upload)
            .and_then(|held| held.parts.get(&chunk.n));
        if stage::is_recorded(recorded.map(|part| part.sha256), chunk.sha256) {
            return Ok(Kept::Recorded);
        }
        let mut staged = self.staged.borrow_mut();
        let bytes = staged.entry((chunk.upload, chunk.n)).or_default();
        let held = bytes.len() as u64;
        stage::check(held, chunk.offset, chunk.length, chunk.part_len)?;
        bytes.extend(body.unwrap_or_default());
        Ok(Kept::Staged(bytes.len() as u64))
    }

    async fn stage_through(
        &self,
        chunk: Chunk,
        body: Vec<u8>,
    ) -> Result<Through<Vec<u8>>, Failure> {
        match self.stage(chunk, Some(body)).await? {
            Kept::Staged(held) if held == chunk.part_len => {
                let part = self.staged(chunk.upload, chunk.n, held).await?;
                Ok(Through::Part(part))
            }
            // What is read of it ends early.
            Kept::Staged(_) => Ok(Through::Part(Vec::new())),
            kept => Ok(Through::Kept(kept)),
        }
    }

    async fn staged(&self, upload: UploadId, n: u16, length: u64) -> Result<Vec<u8>, Failure> {
        let bytes = self.staged.borrow()[&(upload, n)].clone();
        assert_eq!(bytes.len() as u64, length);
        Ok(bytes)
    }
}

struct Clock {
    now: Rc<Cell<Timestamp>>,
    drawn: Cell<u64>,
}

impl World for Clock {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn random(&self) -> u64 {
        self.drawn.set(self.drawn.get() + 1);
        self.drawn.get()
    }

    // The real one is the platform's; here only what differs must differ.
    async fn derive(
        &self,
        password: &str,
        salt: &[u8; 16],
        _iterations: u32,
    ) -> Result<[u8; 32], Failure> {
        Ok(Sha256::of(&[salt, password.as_bytes()].concat()).0)
    }
}

/// A list that answers or not, and what it has.
#[derive(Default)]
struct List {
    up: Cell<bool>,
    entries: RefCell<BTreeMap<LinkId, Entry>>,
}

impl Directory for List {
    async fn put(&self, _app: &AppId, entry: &Entry) -> Result<(), Failure> {
        if !self.up.get() {
            return Err(Failure::Broken("no list".into()));
        }
        let mut entries = self.entries.borrow_mut();
        let known = entries
            .entry(entry.link.id)
            .or_insert_with(|| entry.clone());
        if known.version < entry.version {
            *known = entry.clone();
        }
        Ok(())
    }

    async fn page(&self, _: &AppId, shard: u8, query: &Query) -> Result<ShardPage, Failure> {
        let entries = self.entries.borrow();
        let of_shard = entries.values().filter(|e| {
            listing::shard(e.link.subject.as_deref(), e.link.id) == shard
                && query
                    .subject
                    .as_ref()
                    .is_none_or(|s| e.link.subject.as_ref() == Some(s))
                && query.state.is_none_or(|s| e.link.state == s)
        });
        Ok(ShardPage {
            links: of_shard.map(|e| e.link.clone()).collect(),
            until: None,
        })
    }
}

/// A backend that acknowledges or not, and remembers what it was told.
#[derive(Default)]
struct Backend {
    up: Cell<bool>,
    heard: RefCell<Vec<String>>,
}

impl Webhooks for Backend {
    async fn send(&self, event: &Send) -> Outcome {
        if !self.up.get() {
            return Outcome::Failed { retry_after: None };
        }
        self.heard.borrow_mut().push(event.event.to_string());
        Outcome::Acknowledged
    }
}

struct Edge {
    service: Service<Objects, Memory, Clock>,
    config: Config,
    backend: Backend,
    list: List,
}

impl Edge {
    fn new() -> Self {
        let now = Rc::new(Cell::new(Timestamp::from_secs(1_795_000_000)));
        let edge = Self {
            service: Service {
                links: Objects {
                    links: Rc::default(),
                    held: Rc::default(),
                    staged: Rc::default(),
                    now: Rc::clone(&now),
                    left: Rc::new(Cell::new(usize::MAX)),
                },
                bucket: Memory {
                    stored: Rc::default(),
                    fault: Rc::new(Cell::new(("", Fault::None))),
                },
                world: Clock {
                    now,
                    drawn: Cell::new(0),
                },
            },
            config: Config::check(&config::raw()).expect("a good config"),
            backend: Backend::default(),
            list: List::default(),
        };
        edge.backend.up.set(true);
        edge.list.up.set(true);
        edge
    }

    fn app(&self) -> &App {
        self.config
            .app(&"demo".parse().expect("an app id"))
            .expect("the app")
    }

    fn create(&self, key: Option<&str>, subject: &str) -> Result<LinkId, Failure> {
        let request = CreateLink {
            subject: Some(subject.into()),
            ..CreateLink::new("docs".parse().expect("a scene id"))
        };
        block_on(
            self.service
                .create_link(&self.config, self.app(), request, key),
        )
        .map(|view| view.link.id)
    }

    fn link(&self) -> LinkId {
        self.create(None, "s").expect("a link")
    }

    fn put(&self, link: LinkId, body: &[u8], sha256: Option<Sha256>) -> Result<Sha256, Failure> {
        let length = body.len() as u64;
        let app = &self.app().id;
        block_on(
            self.service
                .put_file(app, link, "a.pdf".into(), length, sha256, body.to_vec()),
        )
        .map(|found| found.file.sha256)
    }

    fn announce(&self, link: LinkId, content: &[u8]) -> Result<OpenUpload, Failure> {
        let head = &content[..content.len().min(4096)];
        let size = content.len() as u64;
        block_on(
            self.service
                .announce(&self.app().id, link, "a.pdf".into(), size, head),
        )
        .map(|(upload, _)| upload)
    }

    fn ticket(&self, upload: &OpenUpload) -> Ticket {
        Ticket {
            upload: upload.id,
            app: self.app().id.clone(),
            r2_upload_id: upload.multipart.r2_upload_id.clone(),
            size: upload.size,
            part_size: upload.multipart.part_size,
            expires_at: u64::MAX,
        }
    }

    fn send_parts(&self, upload: &OpenUpload, content: &[u8]) -> Vec<Sha256> {
        let ticket = self.ticket(upload);
        let size = usize::try_from(upload.multipart.part_size).expect("fits");
        (1_u64..)
            .zip(content.chunks(size))
            .map(|(n, part)| {
                let sha256 = Sha256::of(part);
                let (sent, length) = (self::part(n, sha256), part.len() as u64);
                let put = self.service.put_part(&ticket, sent, length, part.to_vec());
                assert_eq!(block_on(put), Ok(Sent::Part));
                sha256
            })
            .collect()
    }

    fn complete(&self, upload: UploadId, content: &[u8], parts: &[Sha256]) -> Result<(), Failure> {
        let request = CompleteUpload {
            sha256: Sha256::of(content),
            parts_sha256: Sha256::of_parts(parts.iter().copied()),
        };
        block_on(self.service.complete(&self.app().id, upload, request)).map(drop)
    }

    /// Starts the worker again, lets time pass, and lets the alarm do all that is due by then.
    fn recover(&self) {
        self.service.links.left.set(usize::MAX);
        self.service.bucket.fault.set(("", Fault::None));
        for _ in 0..20 {
            let now = self.service.links.now.get().plus(Duration::from_secs(60));
            self.service.links.now.set(now);
            let links: Vec<LinkId> = self.service.links.links.borrow().keys().copied().collect();
            for link in links {
                block_on(self.service.links.execute(link, Command::Tick)).expect("a tick");
                let state = self.service.links.links.borrow()[&link].clone();
                for work in due(&state, now) {
                    let done = self.service.perform(
                        link,
                        &state.link.policy,
                        work,
                        &self.backend,
                        &self.list,
                    );
                    block_on(done).expect("work");
                }
            }
        }
    }

    /// After recovery: what is stored is referenced, and every file was told of once.
    fn check(&self, link: LinkId, files: usize) {
        let state = self.service.links.links.borrow()[&link].clone();
        let stored = self.service.bucket.stored.borrow();
        assert_eq!(state.files().len(), files, "files");
        let mut keys: Vec<String> = state
            .files()
            .iter()
            .map(|f| state.key(UploadId::new(link, f.id.suffix())))
            .collect();
        keys.sort();
        assert_eq!(
            stored.objects.keys().cloned().collect::<Vec<_>>(),
            keys,
            "objects"
        );
        for file in state.files() {
            let key = state.key(UploadId::new(link, file.id.suffix()));
            assert_eq!(Sha256::of(&stored.objects[&key]), file.sha256, "content");
        }
        let told = self.backend.heard.borrow().len();
        let ended = usize::from(matches!(
            state.link.status,
            Status::Completed | Status::Revoked
        ));
        assert_eq!(told, files + ended, "events");
        assert!(
            state
                .events
                .values()
                .all(|e| e.state == EventState::Acknowledged)
        );
        assert!(state.cleanups.is_empty(), "{:?}", state.cleanups);
    }
}

fn refusal(result: Result<impl core::fmt::Debug, Failure>) -> ProblemCode {
    match result {
        Err(Failure::Refused(problem)) => problem.code,
        other => panic!("no refusal: {other:?}"),
    }
}

const PDF: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n";

fn large_pdf() -> Vec<u8> {
    let mut content = PDF.to_vec();
    content.resize(usize::try_from(2 * PART_SIZE + 5).expect("fits"), 7);
    content
}

#[test]
fn a_small_file_is_stored_and_told_of() {
    let edge = Edge::new();
    let link = edge.link();
    edge.put(link, PDF, Some(Sha256::of(PDF))).expect("a file");
    // Again, as when the answer was lost.
    edge.put(link, PDF, Some(Sha256::of(PDF)))
        .expect("the same file");
    edge.put(link, PDF, None).expect("a file without a digest");
    edge.recover();
    edge.check(link, 2);
}

#[test]
fn a_large_file_is_stored_from_its_parts() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let upload = edge.announce(link, &content).expect("an upload");
    assert_eq!(part_count(upload.size, upload.multipart.part_size), 3);
    assert_eq!(
        part_len(upload.size, upload.multipart.part_size, 3),
        Some(5)
    );
    let parts = edge.send_parts(&upload, &content);
    edge.complete(upload.id, &content, &parts).expect("a file");
    edge.complete(upload.id, &content, &parts)
        .expect("the same file");
    edge.recover();
    edge.check(link, 1);
}

/// A file of a form, in pieces of whatever size.
struct Pieces(Vec<Vec<u8>>);

impl Incoming for Pieces {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
    }
}

#[test]
fn a_file_of_a_form_is_stored_whatever_its_length() {
    let part = usize::try_from(PART_SIZE).expect("fits");
    for length in [PDF.len(), part - 1, part, part + 1, 2 * part, 2 * part + 5] {
        let edge = Edge::new();
        let link = edge.link();
        let mut content = PDF.to_vec();
        content.resize(length, 3);
        let pieces = Pieces(content.chunks(1_000_003).map(<[u8]>::to_vec).collect());
        let app = edge.app().id.clone();
        let most = length as u64 + 300;
        let put = edge
            .service
            .put_incoming(&app, link, "a.pdf".into(), most, pieces);
        let file = block_on(put).expect("a file").file;
        assert_eq!(
            (file.size, file.sha256),
            (length as u64, Sha256::of(&content))
        );
        edge.recover();
        edge.check(link, 1);
    }
}

#[test]
fn a_file_of_a_form_that_is_refused_leaves_nothing() {
    for (content, code) in [
        (vec![], ProblemCode::FileEmpty),
        (vec![0; 9_000_000], ProblemCode::FileTypeNotAccepted),
        ([PDF, &[1; 20_000_000]].concat(), ProblemCode::FileTooLarge),
    ] {
        let edge = Edge::new();
        let link = edge.link();
        let most = content.len() as u64 + 300;
        let pieces = Pieces(content.chunks(1_000_003).map(<[u8]>::to_vec).collect());
        let app = edge.app().id.clone();
        let put = edge
            .service
            .put_incoming(&app, link, "a.pdf".into(), most, pieces);
        assert_eq!(refusal(block_on(put)), code);
        edge.recover();
        edge.check(link, 0);
        assert!(edge.service.bucket.stored.borrow().multiparts.is_empty());
    }
}

#[test]
fn what_is_refused_stores_nothing() {
    let edge = Edge::new();
    let link = edge.link();
    assert_eq!(
        refusal(edge.put(link, b"\x7fELF\x02\x01\x01\0", None)),
        ProblemCode::FileTypeNotAccepted
    );
    assert_eq!(
        refusal(edge.put(link, PDF, Some(Sha256::of(b"other")))),
        ProblemCode::DigestMismatch
    );
    assert_eq!(refusal(edge.put(link, b"", None)), ProblemCode::FileEmpty);
    let mut liar = large_pdf();
    liar[..PDF.len()].fill(0);
    assert_eq!(
        refusal(edge.announce(link, &liar)),
        ProblemCode::FileTypeNotAccepted
    );
    edge.recover();
    edge.check(link, 0);
}

/// A part with the wrong digest had replaced the right one in R2, and the upload could never be
/// completed.
#[test]
fn a_part_that_was_overwritten_is_asked_for_again() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let upload = edge.announce(link, &content).expect("an upload");
    let parts = edge.send_parts(&upload, &content);
    let ticket = edge.ticket(&upload);
    let last = edge
        .service
        .put_part(&ticket, part(3, parts[2]), 5, b"wrong".to_vec());
    assert_eq!(refusal(block_on(last)), ProblemCode::DigestMismatch);
    assert_eq!(
        refusal(edge.complete(upload.id, &content, &parts)),
        ProblemCode::PartsMissing
    );
    edge.send_parts(&upload, &content);
    // Two requests for one part that crossed: R2 kept the other one.
    let mut stored = edge.service.bucket.stored.borrow_mut();
    let multipart = stored.multiparts.get_mut(&upload.multipart.r2_upload_id);
    multipart
        .expect("the multipart upload")
        .insert(3, b"other".to_vec());
    drop(stored);
    assert_eq!(
        refusal(edge.complete(upload.id, &content, &parts)),
        ProblemCode::PartsMissing
    );
    edge.send_parts(&upload, &content);
    edge.complete(upload.id, &content, &parts).expect("a file");
    edge.recover();
    edge.check(link, 1);
}

/// Sends part 1 in pieces, the first of which was cut short.
fn send_part_1_in_chunks(edge: &Edge, upload: &OpenUpload, part: &[u8]) -> Result<(), Failure> {
    let ticket = edge.ticket(upload);
    let expected = Sha256::of(part);
    let chunk = |offset: usize, length: usize, arrives: usize| {
        let body = part[offset..offset + arrives].to_vec();
        let (offset, length) = (offset as u64, length as u64);
        let put =
            edge.service
                .put_chunk(&ticket, self::part(1, expected), offset, length, Some(body));
        block_on(put)
    };
    assert_eq!(chunk(0, 1000, 700)?, Sent::Staged(700));
    let elsewhere = chunk(1000, 500, 500);
    assert_eq!(refusal(elsewhere), ProblemCode::OffsetDiffers);
    assert_eq!(chunk(700, 300, 300)?, Sent::Staged(1000));
    let rest = part.len() - 1000;
    assert_eq!(
        refusal(chunk(1000, rest + 1, 0)),
        ProblemCode::PartSizeWrong
    );
    // The chunk that ends the part is cut too.
    assert_eq!(refusal(chunk(1000, rest, 500)), ProblemCode::OffsetDiffers);
    chunk(1500, rest - 500, rest - 500).map(|sent| assert_eq!(sent, Sent::Part))
}

#[test]
fn chunks_become_a_part_and_a_cut_one_counts_as_far_as_it_came() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let upload = edge.announce(link, &content).expect("an upload");
    let part = &content[..usize::try_from(PART_SIZE).expect("fits")];
    send_part_1_in_chunks(&edge, &upload, part).expect("a part");
    assert!(edge.service.links.staged.borrow().is_empty());
    let again = edge.announce(link, &content).expect("the upload");
    assert_eq!(again.parts.len(), 1);
    let parts = edge.send_parts(&upload, &content);
    edge.complete(upload.id, &content, &parts).expect("a file");
    edge.recover();
    edge.check(link, 1);
}

/// The page sent the part again from its beginning, since the edge refused the chunk with offset 0.
#[test]
fn a_chunk_of_a_part_that_another_request_made_whole_is_answered_as_held() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let upload = edge.announce(link, &content).expect("an upload");
    let part = &content[..usize::try_from(PART_SIZE).expect("fits")];
    send_part_1_in_chunks(&edge, &upload, part).expect("a part");
    let ticket = edge.ticket(&upload);
    let late = |offset: u64, said: Sha256| {
        let chunk =
            edge.service
                .put_chunk(&ticket, self::part(1, said), offset, 9, Some(vec![7; 9]));
        block_on(chunk)
    };
    for offset in [1000, 0] {
        assert_eq!(late(offset, Sha256::of(part)), Ok(Sent::Part));
    }
    assert!(edge.service.links.staged.borrow().is_empty());
    // Of another file, the part is taken anew.
    let other = Sha256::of(b"another file's part");
    assert_eq!(refusal(late(1000, other)), ProblemCode::OffsetDiffers);
    assert_eq!(late(0, other), Ok(Sent::Staged(9)));
    let parts = edge.send_parts(&upload, &content);
    edge.complete(upload.id, &content, &parts).expect("a file");
    edge.recover();
    edge.check(link, 1);
}

#[test]
fn a_beginning_of_another_file_is_not_joined() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let upload = edge.announce(link, &content).expect("an upload");
    let ticket = edge.ticket(&upload);
    let first = edge.service.put_chunk(
        &ticket,
        part(1, Sha256::of(b"another file's part")),
        0,
        9,
        Some(b"%PDF-9.9\n".to_vec()),
    );
    assert_eq!(block_on(first), Ok(Sent::Staged(9)));
    let again = edge.announce(link, &content).expect("the upload");
    assert_eq!(again.staged, [StagedPart { n: 1, offset: 9 }]);
    let part = &content[..usize::try_from(PART_SIZE).expect("fits")];
    let length = PART_SIZE - 9;
    let rest = edge.service.put_chunk(
        &ticket,
        self::part(1, Sha256::of(part)),
        9,
        length,
        Some(part[9..].to_vec()),
    );
    assert_eq!(refusal(block_on(rest)), ProblemCode::DigestMismatch);
    let parts = edge.send_parts(&upload, &content);
    edge.complete(upload.id, &content, &parts).expect("a file");
    edge.recover();
    edge.check(link, 1);
}

#[test]
fn a_type_that_was_announced_and_not_sent_is_refused_in_the_end() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let upload = edge.announce(link, &content).expect("an upload");
    let mut other = content;
    other[..PDF.len()].fill(0);
    let parts = edge.send_parts(&upload, &other);
    assert_eq!(
        refusal(edge.complete(upload.id, &other, &parts)),
        ProblemCode::FileTypeNotAccepted
    );
    edge.recover();
    edge.check(link, 0);
}

#[test]
fn a_worker_that_dies_at_any_step_loses_and_doubles_nothing() {
    for left in 1..4 {
        let edge = Edge::new();
        let link = edge.link();
        let content = large_pdf();
        let upload = edge.announce(link, &content).expect("an upload");
        let parts = edge.send_parts(&upload, &content);
        edge.service.links.left.set(left);
        let completed = edge.complete(upload.id, &content, &parts).is_ok();
        edge.recover();
        // The page asks again, as it does for as long as it has no answer.
        if !completed {
            edge.complete(upload.id, &content, &parts).expect("a file");
            edge.recover();
        }
        edge.check(link, 1);
        let edge = Edge::new();
        let small = edge.link();
        edge.service.links.left.set(left);
        // Whether or not the page heard of it: once reserved and put, it is settled.
        let _ = edge.put(small, PDF, None);
        edge.recover();
        edge.check(small, 1);
    }
}

#[test]
fn a_bucket_that_fails_loses_and_doubles_nothing() {
    for operation in ["complete", "head", "read head"] {
        for fault in [Fault::Fail, Fault::DoThenFail] {
            let edge = Edge::new();
            let link = edge.link();
            let content = large_pdf();
            let upload = edge.announce(link, &content).expect("an upload");
            let parts = edge.send_parts(&upload, &content);
            edge.service.bucket.fault.set((operation, fault));
            let first = edge.complete(upload.id, &content, &parts);
            edge.recover();
            if first.is_err() {
                edge.complete(upload.id, &content, &parts).expect("a file");
                edge.recover();
            }
            edge.check(link, 1);
        }
    }
}

#[test]
fn a_put_that_stored_and_reported_failure_leaves_no_orphan() {
    for fault in [Fault::Fail, Fault::DoThenFail] {
        let edge = Edge::new();
        let link = edge.link();
        edge.service.bucket.fault.set(("put", fault));
        assert!(matches!(edge.put(link, PDF, None), Err(Failure::Bucket(_))));
        edge.recover();
        edge.check(link, 0);
    }
}

#[test]
fn a_backend_that_was_down_hears_of_it_afterwards() {
    let edge = Edge::new();
    let link = edge.link();
    edge.backend.up.set(false);
    edge.put(link, PDF, None).expect("a file");
    edge.recover();
    assert!(edge.backend.heard.borrow().is_empty());
    edge.backend.up.set(true);
    for _ in 0..10 {
        edge.recover();
    }
    edge.check(link, 1);
}

#[test]
fn revoking_removes_what_was_under_way() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let upload = edge.announce(link, &content).expect("an upload");
    let parts = edge.send_parts(&upload, &content);
    block_on(edge.service.revoke(edge.app(), link)).expect("revoked");
    assert_eq!(
        refusal(edge.complete(upload.id, &content, &parts)),
        ProblemCode::LinkRevoked
    );
    edge.recover();
    edge.check(link, 0);
    assert!(edge.service.bucket.stored.borrow().multiparts.is_empty());
}

/// The answer was a 503, and a client tried for ever.
#[test]
fn a_part_for_an_upload_that_was_cancelled_is_told_so() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let upload = edge.announce(link, &content).expect("an upload");
    let ticket = edge.ticket(&upload);
    block_on(edge.service.abort_upload(upload.id)).expect("cancelled");
    edge.recover();
    let part = edge
        .service
        .put_part(&ticket, part(3, Sha256::of(b"bytes")), 5, b"bytes".to_vec());
    assert_eq!(refusal(block_on(part)), ProblemCode::UploadAborted);
}

#[test]
fn an_idempotency_key_leads_to_one_link() {
    let edge = Edge::new();
    let first = edge.create(Some("k"), "a").expect("a link");
    assert_eq!(edge.create(Some("k"), "a"), Ok(first));
    assert_ne!(edge.create(Some("k2"), "a"), Ok(first));
    assert_eq!(
        refusal(edge.create(Some("k"), "b")),
        ProblemCode::IdempotencyKeyReused
    );
    assert_eq!(
        refusal(edge.create(Some(""), "b")),
        ProblemCode::InvalidRequest
    );
}
