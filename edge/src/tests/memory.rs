//! What the edge stands on, in memory: a bucket that can store and then report failure, links whose
//! worker can die before any step, a clock, a list and a backend.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use chatlift_shared::api::StagedPart;
use chatlift_shared::digest::Sha256;
use chatlift_shared::{AppId, LinkId, Timestamp, UploadId};

use super::bytes::Bytes;
use super::flow::Flow;
use crate::link::command;
use crate::link::command::Outcome;
use crate::link::decide::{Decide, decide};
use crate::link::flow::Held;
use crate::link::lease::{Lease, LeaseAnswer};
use crate::link::listing;
use crate::link::listing::{Entry, Query, ShardPage};
use crate::link::stage;
use crate::link::stage::{Appender, Appenders, Chunk};
use crate::link::state::LinkState;
use crate::link::work::Send;
use crate::ports::Selection;
use crate::ports::{
    Bucket, BucketError, CompleteError, Directory, Failure, Head, Links, Put, PutError, Stage,
    StageAnswer, Webhooks, World,
};

/// What an operation of the bucket does beside its work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Fails and does nothing.
    Fail,
    /// Does its work and then fails.
    DoThenFail,
}

#[derive(Default)]
pub(super) struct Stored {
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    pub(super) multiparts: BTreeMap<String, BTreeMap<u16, Vec<u8>>>,
}

#[derive(Clone)]
pub(super) struct Memory {
    pub(super) stored: Rc<RefCell<Stored>>,
    pub(super) fault: Rc<Cell<(&'static str, Fault)>>,
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
            gone: false,
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

/// All of a body.
async fn all_of(operation: &'static str, body: Flow<Vec<u8>>) -> Result<Vec<u8>, BucketError> {
    match body.read().await {
        (pieces, true) => Ok(pieces.concat()),
        (_, false) => Err(BucketError {
            operation,
            reason: "it broke off".into(),
            gone: false,
        }),
    }
}

impl Bucket for Memory {
    type Body = Flow<Vec<u8>>;
    type Objects = Bytes;

    fn objects(&self, objects: Vec<(String, u64)>) -> Bytes {
        let stored = self.stored.borrow();
        let all = objects
            .iter()
            .flat_map(|(key, _)| stored.objects[key].clone());
        Bytes::new(all.collect())
    }

    fn body(&self, bytes: Vec<u8>) -> Result<Flow<Vec<u8>>, BucketError> {
        Ok(Flow::of(vec![bytes]))
    }

    async fn create(&self, key: &str, _part_size: u64) -> Result<String, BucketError> {
        self.step("create", |s| {
            let id = format!("{key}#{}", s.multiparts.len());
            s.multiparts.insert(id.clone(), BTreeMap::new());
            id
        })
    }

    async fn put_part(
        &self,
        _: &str,
        id: &str,
        n: u16,
        body: Flow<Vec<u8>>,
    ) -> Result<Put, BucketError> {
        let body = all_of("put part", body).await?;
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
                gone: true,
            }),
        }
    }

    async fn complete(&self, key: &str, id: &str, etags: &[String]) -> Result<(), CompleteError> {
        let gone = BucketError {
            operation: "complete",
            reason: "no upload".into(),
            gone: true,
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
        body: Flow<Vec<u8>>,
        expected: Option<Sha256>,
    ) -> Result<Put, PutError> {
        let body = all_of("put", body).await.map_err(PutError::Bucket)?;
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

    async fn read(
        &self,
        key: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError> {
        let operation = if offset == 0 { "read head" } else { "read" };
        self.step(operation, |s| {
            s.objects.get(key).map(|object| {
                let [offset, length] = [offset, length].map(|n| usize::try_from(n).expect("short"));
                let bytes = object.iter().copied().skip(offset).take(length);
                (head_of(object), bytes.collect())
            })
        })
    }

    async fn open(&self, key: &str, what: Selection) -> Result<Option<Flow<Vec<u8>>>, BucketError> {
        self.step("open", |s| {
            let object = s.objects.get(key)?;
            let (offset, length) = match what {
                Selection::Whole => (0, object.len() as u64),
                Selection::Part { offset, length } => (offset, length),
            };
            let range = usize::try_from(offset).expect("fits")
                ..usize::try_from(offset + length).expect("fits");
            Some(Flow::of(vec![object[range].to_vec()]))
        })
    }

    async fn digest(&self, body: Flow<Vec<u8>>) -> Result<Sha256, BucketError> {
        let body = all_of("digest", body).await?;
        self.step("digest", |_| Sha256::of(&body))
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.step("delete", |s| drop(s.objects.remove(key)))
    }
}

/// What is staged, by part.
pub(super) type StagedBytes = BTreeMap<(UploadId, u16), Vec<u8>>;

#[derive(Clone)]
pub(super) struct Objects {
    pub(super) links: Rc<RefCell<BTreeMap<LinkId, LinkState>>>,
    pub(super) held: Rc<RefCell<BTreeMap<UploadId, Held>>>,
    pub(super) staged: Rc<RefCell<StagedBytes>>,
    pub(super) now: Rc<Cell<Timestamp>>,
    /// Commands that are still carried out before the worker dies.
    pub(super) left: Rc<Cell<usize>>,
}

impl Links for Objects {
    async fn execute<C: Decide>(&self, link: LinkId, command: C) -> Result<C::Reply, Failure> {
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
        for write in decision.change.parts {
            let mut staged = self.staged.borrow_mut();
            write.unstage(&mut staged, |bytes, begin| {
                bytes.truncate(usize::try_from(begin).expect("fits"));
            });
            write.apply(&mut self.held.borrow_mut());
        }
        let mut links = self.links.borrow_mut();
        match decision.change.next {
            None => drop(links.remove(&link)),
            Some(next) => drop(links.insert(link, next)),
        }
        Ok(decision.reply)
    }
}

impl Objects {
    fn is_recorded(&self, chunk: &Chunk) -> bool {
        let held = self.held.borrow();
        let held = held.get(&chunk.upload);
        let recorded = held.and_then(|held| held.parts.get(&chunk.n));
        stage::is_recorded(recorded.map(|part| part.sha256), chunk.sha256)
    }
}

impl Stage for Objects {
    type Body = Flow<Vec<u8>>;

    async fn stage(
        &self,
        chunk: Chunk,
        body: Option<Flow<Vec<u8>>>,
    ) -> Result<StageAnswer, Failure> {
        let upload = chunk.upload;
        let writer = chunk.writer;
        let touch = command::Touch { upload, writer };
        self.execute(upload.link(), touch).await?;
        if self.is_recorded(&chunk) {
            return Ok(chunk.of_recorded().map(|()| StageAnswer::Recorded)?);
        }
        let place = (chunk.upload, chunk.n);
        let held = self.staged.borrow().get(&place).map_or(0, Vec::len);
        let mut appender = Appender::take(&Appenders::default(), chunk)?;
        appender.admit(held as u64, 0)?;
        let come = match body {
            Some(body) => body.read().await.0.concat(),
            None => Vec::new(),
        };
        let mut staged = self.staged.borrow_mut();
        let bytes = staged.entry(place).or_default();
        bytes.extend(come);
        Ok(StageAnswer::Staged(bytes.len() as u64))
    }

    async fn begin(&self, chunk: Chunk) -> Result<Flow<Vec<u8>>, Failure> {
        if self.is_recorded(&chunk) {
            chunk.of_recorded()?;
        }
        let nothing = Chunk { length: 0, ..chunk };
        let held = self.stage(nothing, None).await?.bytes(chunk.part_len);
        self.staged(chunk.upload, chunk.n, held).await
    }

    async fn lease(&self, _: Lease, _: Option<Chunk>) -> Result<LeaseAnswer, Failure> {
        std::future::pending().await
    }

    async fn end_lease(&self, _: Lease) -> Result<(), Failure> {
        Ok(())
    }

    async fn staged(
        &self,
        upload: UploadId,
        n: u16,
        length: u64,
    ) -> Result<Flow<Vec<u8>>, Failure> {
        let bytes = self.staged.borrow()[&(upload, n)].clone();
        assert_eq!(bytes.len() as u64, length);
        Ok(Flow::of(vec![bytes]))
    }
}

#[derive(Clone)]
pub(super) struct Clock {
    pub(super) now: Rc<Cell<Timestamp>>,
    pub(super) drawn: Rc<Cell<u64>>,
    /// Whether each part counts as one that came before.
    pub(super) again: Rc<Cell<bool>>,
}

impl World for Clock {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn random(&self) -> u64 {
        self.drawn.set(self.drawn.get() + 1);
        self.drawn.get()
    }

    async fn pause(&self, time: Duration) {
        self.now.set(self.now.get().plus(time));
    }

    fn comes_again(&self, _: UploadId, _: u16) -> bool {
        self.again.get()
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
pub(super) struct List {
    pub(super) up: Cell<bool>,
    pub(super) entries: RefCell<BTreeMap<LinkId, Entry>>,
}

impl Directory for Rc<List> {
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

    async fn remove(&self, _app: &AppId, entry: &Entry) -> Result<(), Failure> {
        self.entries.borrow_mut().remove(&entry.link.id);
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
pub(super) struct Backend {
    pub(super) up: Cell<bool>,
    pub(super) heard: RefCell<Vec<String>>,
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
