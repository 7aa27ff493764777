//! The links: each carries out its commands one after the other, and does by its alarm what is due.
//!
//! Safe under concurrency: a link's state is behind a lock that is held from the load to the commit, and its
//! revision is checked where it is written, since another node may have gone ahead.
//! Safe under a crash: what must happen later stands in a row, and the alarm with it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use chatlift_edge::http::sse;
use chatlift_edge::link::command;
use chatlift_edge::link::command::ReadEvents;
use chatlift_edge::link::decide::{Change, Decide, Decision, decide};
use chatlift_edge::link::flow::Held;
use chatlift_edge::link::lease::{Lease, LeaseAnswer, Leases};
use chatlift_edge::link::message::For;
use chatlift_edge::link::stage;
use chatlift_edge::link::stage::{Appender, Appenders, Chunk, offset_differs};
use chatlift_edge::link::state::LinkState;
use chatlift_edge::link::waiters::AttemptWaiters;
use chatlift_edge::log;
use chatlift_edge::ports;
use chatlift_edge::ports::{Failure, Stage, StageAnswer};
use chatlift_shared::{LinkId, Problem, ProblemCode, UploadId};
use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::future::{Either, join, join_all, select};
use futures_util::stream::{self, StreamExt as _};
use sqlx::AnyPool;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::body::Body;
use crate::cache::{Cached, CachedRows};
use crate::clock::now;
use crate::database::Database;
use crate::error::Error;
use crate::nodes::Nodes;
use crate::rows::{self, Added, Known, NewRow};

/// How long a lease is held without a word. A holder that is alive holds it anew then.
const LEASED_FOR: Duration = Duration::from_secs(20);

/// How long is waited for holders to put away what they have.
const COLLECTED_WITHIN: Duration = Duration::from_secs(3);

/// How long a stream of events may be quiet, and how long it goes on.
const QUIET: Duration = Duration::from_secs(20);
const STREAM_FOR: Duration = Duration::from_secs(5 * 60);

/// How often is removed what other nodes have left.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// How often a decision is tried whose link has changed meanwhile, on another node.
const TRIES: usize = 100;

/// Size of a row that is staged, in bytes. A row costs little here, and each of many requests may have two in memory.
const ROW_SIZE: usize = stage::ROW_SIZE / 2;

/// Rows of links that are kept in memory, some 200 bytes each; beyond it links that nobody uses are read again when
/// they are.
const CACHED_ROWS_MAX: usize = 32_768;

/// One link in memory.
#[derive(Default)]
struct Entry {
    /// As it is stored, once it was read. Emptied when a write fails.
    state: Mutex<Option<Cached>>,
    appenders: Appenders,
    leases: RefCell<Leases>,
    waiters: AttemptWaiters,
    watchers: RefCell<Vec<UnboundedSender<String>>>,
}

impl Entry {
    /// Tells those who watch what a decision has put into the outbox, and those who wait for an attempt.
    fn tell(&self, before: Option<&LinkState>, after: &LinkState) {
        self.waiters.tell(before, after);
        let mut watchers = self.watchers.borrow_mut();
        if watchers.is_empty() {
            return;
        }
        for block in sse::new_events(before, after) {
            // Whoever has gone away is forgotten.
            watchers.retain(|w| w.unbounded_send(block.clone()).is_ok());
        }
    }
}

struct Inner {
    db: Database,
    /// What is agreed with other nodes, where there are any.
    nodes: Option<Nodes>,
    entries: RefCell<HashMap<LinkId, Rc<Entry>>>,
    /// What of them is in memory, and the most of it that stays unused.
    cached: CachedRows,
    cached_max: usize,
    /// Told when an alarm may be due sooner than it was.
    alarm: Notify,
}

/// The links.
#[derive(Clone)]
pub(crate) struct Links(Rc<Inner>);

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links")
    }
}

/// What keeps a chunk as rows.
struct Keeper {
    entry: Rc<Entry>,
    appender: Appender,
    /// Its turn among nodes, and where that is kept.
    among_nodes: Option<(AnyPool, i64)>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some((pool, holder)) = self.among_nodes.take() {
            let Chunk { upload, n, .. } = *self.appender.chunk();
            // One that is not ended so ends by itself.
            spawn_local(Nodes::end_turn(pool, upload, n, holder));
        }
    }
}

impl Links {
    /// The links of a database, which other nodes may share.
    pub(crate) fn new(db: Database, nodes: Option<Nodes>) -> Self {
        Self::caching(CACHED_ROWS_MAX, db, nodes)
    }

    fn caching(cached_max: usize, db: Database, nodes: Option<Nodes>) -> Self {
        Self(Rc::new(Inner {
            db,
            nodes,
            entries: RefCell::default(),
            cached: CachedRows::default(),
            cached_max,
            alarm: Notify::new(),
        }))
    }

    fn entry(&self, link: LinkId) -> Rc<Entry> {
        let mut entries = self.0.entries.borrow_mut();
        if let Some(entry) = entries.get(&link) {
            return Rc::clone(entry);
        }
        if self.0.cached.count() + entries.len() >= self.0.cached_max {
            entries.retain(|_, entry| Rc::strong_count(entry) > 1);
        }
        Rc::clone(entries.entry(link).or_default())
    }

    /// Waits until an alarm may be due sooner than it was.
    pub(crate) async fn alarm_changed(&self) {
        self.0.alarm.notified().await;
    }

    /// Has whoever waits for alarms look again.
    pub(crate) fn look_again(&self) {
        self.0.alarm.notify_one();
    }

    /// The link as it is stored.
    pub(crate) async fn state(&self, link: LinkId) -> Result<Option<LinkState>, Error> {
        let entry = self.entry(link);
        let mut state = entry.state.lock().await;
        self.load(link, &entry, &mut state).await?;
        Ok(state.as_ref().map(|known| known.state.clone()))
    }

    /// Reads the link, unless it is in memory as it is stored.
    async fn load(
        &self,
        link: LinkId,
        entry: &Entry,
        state: &mut MutexGuard<'_, Option<Cached>>,
    ) -> Result<(), Error> {
        if let Some(known) = &**state
            && (!self.0.db.shared
                || rows::revision(&self.0.db, link).await? == Some(known.revision))
        {
            return Ok(());
        }
        let stored = rows::load(&self.0.db, link).await?;
        if let (Some(known), Some(stored)) = (&**state, &stored) {
            entry.tell(Some(&known.state), &stored.state);
        }
        **state = stored.map(|known| self.0.cached.keep(known));
        Ok(())
    }

    /// Notes that what is in memory is not what is stored.
    fn outdated(&self, state: &mut MutexGuard<'_, Option<Cached>>) {
        // Among nodes the revision tells; what is known is kept, to tell those who watch what is new.
        if !self.0.db.shared {
            **state = None;
        }
    }

    /// Carries out a command: load, decide, store.
    async fn decide<C: Decide>(
        &self,
        link: LinkId,
        entry: &Entry,
        command: C,
    ) -> Result<Result<C::Reply, Problem>, Error> {
        let mut state = entry.state.lock().await;
        for _ in 0..TRIES {
            self.load(link, entry, &mut state).await?;
            let decision = match self.ask_rules(state.as_deref(), &command).await? {
                Ok(decision) => decision,
                Err(problem) => return Ok(Err(problem)),
            };
            let Change { next, parts } = decision.change;
            match (next, state.as_deref()) {
                (None, None) => return Ok(Ok(decision.reply)),
                (None, Some(known)) => {
                    if rows::forget(&self.0.db, known).await? {
                        *state = None;
                        return Ok(Ok(decision.reply));
                    }
                }
                (Some(next), known) => match rows::save(&self.0.db, known, &next, &parts).await {
                    Ok(Some(saved)) => {
                        entry.tell(known.map(|known| &known.state), &next);
                        let held = known.filter(|_| parts.is_empty());
                        let held = held.map(|known| known.held.take());
                        *state = Some(self.0.cached.keep(Known {
                            state: next,
                            revision: saved.revision,
                            held: held.unwrap_or_default().into(),
                        }));
                        if saved.sooner {
                            self.0.alarm.notify_one();
                        }
                        return Ok(Ok(decision.reply));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        *state = None;
                        return Err(error);
                    }
                },
            }
            self.outdated(&mut state);
        }
        Err(Error::Contended)
    }

    /// What the rules decide. What they ask of parts is read when they have asked; then they decide again.
    async fn ask_rules<C: Decide>(
        &self,
        state: Option<&Known>,
        command: &C,
    ) -> Result<Result<Decision<C::Reply>, Problem>, Error> {
        loop {
            let missing = RefCell::new(Vec::new());
            let held = |upload| {
                let held = state.and_then(|known| known.held.borrow().get(&upload).cloned());
                held.unwrap_or_else(|| {
                    missing.borrow_mut().push(upload);
                    Held::default()
                })
            };
            let known = state.map(|known| &known.state);
            let decision = decide(known, command.clone(), &held, now());
            // Of a link that was never made nothing is held.
            let missing = missing.into_inner();
            let Some(known) = state.filter(|_| !missing.is_empty()) else {
                return Ok(decision);
            };
            for upload in missing {
                let held = rows::held(&self.0.db, upload).await?;
                known.held.borrow_mut().insert(upload, held);
            }
        }
    }

    /// Looks at what other nodes have asked and decided, for ever.
    pub(crate) async fn attend(&self) {
        let Some(nodes) = &self.0.nodes else {
            return;
        };
        let looking = nodes.listen(async |link| {
            if let Err(error) = self.look_at_nodes(nodes, link).await {
                log::error("nodes", &[("reason", error.to_string())]);
            }
        });
        let tidying = async {
            loop {
                sleep(TIDY_EVERY).await;
                if let Err(error) = nodes.tidy().await {
                    log::error("nodes", &[("reason", error.to_string())]);
                }
            }
        };
        join(looking, tidying).await;
    }

    async fn look_at_nodes(&self, nodes: &Nodes, link: Option<LinkId>) -> Result<(), Error> {
        for (upload, n) in nodes.asked().await? {
            let entry = self.entry(upload.link());
            let waits = entry.leases.borrow_mut().ask(upload, Some(n));
            spawn_local(timeout(COLLECTED_WITHIN, join_all(waits)));
        }
        let watched: Vec<(LinkId, Rc<Entry>)> = {
            let entries = self.0.entries.borrow();
            let watched = entries.iter().filter(|(id, entry)| {
                let mut watchers = entry.watchers.borrow_mut();
                watchers.retain(|watcher| !watcher.is_closed());
                (!watchers.is_empty() || entry.waiters.is_awaited())
                    && link.is_none_or(|link| link == **id)
            });
            watched.map(|(id, e)| (*id, Rc::clone(e))).collect()
        };
        for (link, entry) in watched {
            let mut state = entry.state.lock().await;
            self.load(link, &entry, &mut state).await?;
        }
        Ok(())
    }

    /// Has the holders of leases stage the bytes that they have of an upload, or of part `n` alone, and waits
    /// until they have.
    async fn collect(&self, entry: &Entry, upload: UploadId, n: Option<u16>) -> Result<(), Error> {
        let waits = entry.leases.borrow_mut().ask(upload, n);
        if !waits.is_empty() {
            select(join_all(waits), pin!(sleep(COLLECTED_WITHIN))).await;
        }
        match &self.0.nodes {
            Some(nodes) => nodes.ask(upload, n, COLLECTED_WITHIN).await,
            None => Ok(()),
        }
    }

    async fn is_recorded(&self, chunk: &Chunk) -> Result<bool, Error> {
        let recorded = match chunk.sha256 {
            Some(_) => rows::part(&self.0.db, chunk.upload, chunk.n).await?,
            None => None,
        };
        Ok(stage::is_recorded(
            recorded.map(|part| part.sha256),
            chunk.sha256,
        ))
    }

    /// Holds a lease, as [`Stage::lease`] says.
    async fn hold(self, lease: Lease, comes: Option<Chunk>) -> Result<LeaseAnswer, Failure> {
        let Lease { upload, n, .. } = lease;
        let entry = self.entry(upload.link());
        if let Some(chunk) = comes {
            self.collect(&entry, upload, Some(n)).await?;
            if let Some(held) = self.already_held(&entry, &chunk).await? {
                return Ok(LeaseAnswer::Held(held));
            }
        }
        let asked = entry.leases.borrow_mut().hold(lease);
        if let Some(nodes) = &self.0.nodes {
            nodes.hold(lease).await?;
        }
        Ok(match select(asked, pin!(sleep(LEASED_FOR))).await {
            Either::Left((Ok(()), _)) => LeaseAnswer::Collect,
            // It was ended: its holder has its answer, or will have it.
            Either::Left((Err(_), _)) | Either::Right(_) => LeaseAnswer::Renew,
        })
    }

    /// As [`Chunk::already_held`], of an upload that takes bytes.
    async fn already_held(&self, entry: &Entry, chunk: &Chunk) -> Result<Option<u64>, Failure> {
        let (upload, writer) = (chunk.upload, chunk.writer);
        let touch = command::Touch { upload, writer };
        if self.decide(upload.link(), entry, touch).await?.is_err() {
            return Ok(None);
        }
        let staged = rows::staged(&self.0.db, upload, chunk.n).await?;
        Ok(chunk.already_held(self.is_recorded(chunk).await?, staged))
    }

    /// Takes a part over for a chunk, after what whoever kept it before has put away; `None` where the part is
    /// recorded, so that there is nothing to keep.
    async fn take_over(&self, chunk: Chunk) -> Result<Option<Keeper>, Failure> {
        let Chunk { upload, n, .. } = chunk;
        let link = upload.link();
        let entry = self.entry(link);
        let writer = chunk.writer;
        if chunk.takes_over() {
            self.collect(&entry, upload, Some(n)).await?;
        }
        let touch = command::Touch { upload, writer };
        self.decide(link, &entry, touch).await??;
        if self.is_recorded(&chunk).await? {
            return Ok(chunk.of_recorded().map(|()| None)?);
        }
        let appender = Appender::take(&entry.appenders, chunk)?;
        let mut keeper = Keeper {
            entry,
            appender,
            among_nodes: None,
        };
        self.take_among_nodes(&mut keeper).await?;
        let held = rows::staged(&self.0.db, upload, n).await?;
        let rows = rows::staged_rows(&self.0.db, link).await?;
        let rows = rows * ROW_SIZE as u64 / stage::ROW_SIZE as u64;
        keeper.appender.admit(held, rows)?;
        Ok(Some(keeper))
    }

    /// Takes the turn among nodes too, where there are any.
    async fn take_among_nodes(&self, keeper: &mut Keeper) -> Result<(), Failure> {
        let chunk = keeper.appender.chunk();
        let Some(nodes) = self.0.nodes.as_ref().filter(|_| keeper.appender.adds()) else {
            return Ok(());
        };
        let holder = match chunk.spilled {
            true => {
                let free = nodes.take_turn_if_free(chunk.upload, chunk.n).await?;
                free.ok_or_else(|| offset_differs(chunk.offset))?
            }
            false => nodes.take_turn(chunk.upload, chunk.n).await?,
        };
        keeper.among_nodes = Some((self.0.db.pool.clone(), holder));
        Ok(())
    }

    /// Keeps what arrives of a chunk. Every row is written as soon as it is full, and the last one also
    /// when the stream breaks off, so a cut costs nothing that had arrived.
    async fn keep(&self, keeper: &Keeper, body: Option<Body>) -> Result<u64, Failure> {
        let mut body = body;
        let next = async || match &mut body {
            Some(body) => body.0.next().await?.ok(),
            None => None,
        };
        let add = async |begin, row| self.add(keeper, begin, row).await;
        stage::keep(
            &keeper.appender,
            &keeper.entry.leases,
            sleep,
            ROW_SIZE,
            next,
            add,
        )
        .await
    }

    /// Adds a row, and answers where it ends; of an empty one it checks that it would be let in.
    async fn add(&self, keeper: &Keeper, begin: u64, row: Vec<u8>) -> Result<u64, Failure> {
        let Keeper {
            entry,
            appender,
            among_nodes,
        } = keeper;
        let Chunk { upload, n, .. } = *appender.chunk();
        let mut state = entry.state.lock().await;
        for _ in 0..TRIES {
            if state.is_none() {
                self.load(upload.link(), entry, &mut state).await?;
            }
            appender.may_write(begin, state.as_ref().map(|known| &known.state))?;
            if row.is_empty() {
                return Ok(begin);
            }
            let Some(known) = state.as_mut() else {
                return Err(ProblemCode::NotFound.into());
            };
            // What is staged is compared where the row is written.
            let end = appender.end_of(begin, row.len() as u64, begin)?;
            let new = NewRow {
                upload,
                n,
                begin,
                bytes: &row,
            };
            let holder = among_nodes.as_ref().map(|(_, holder)| *holder);
            match rows::stage(&self.0.db, known.revision, holder, new).await? {
                Added::At(revision) => {
                    known.revision = revision;
                    known.held.take();
                    return Ok(end);
                }
                Added::Elsewhere(held) => return Err(offset_differs(held).into()),
                Added::TakenOver => return Err(offset_differs(begin).into()),
                Added::Changed => {
                    self.outdated(&mut state);
                    self.load(upload.link(), entry, &mut state).await?;
                }
            }
        }
        Err(Error::Contended.into())
    }

    /// The first `length` bytes of a part, row by row. No row goes on beyond them.
    fn beginning(&self, upload: UploadId, n: u16, length: u64) -> Body {
        let db = self.0.db.clone();
        let rows = stream::unfold(0, move |offset| {
            let db = db.clone();
            async move {
                if offset >= length {
                    return None;
                }
                let row = rows::staged_row(&db, upload, n, offset).await;
                match row {
                    Ok(Some(bytes)) => {
                        let next = offset + bytes.len() as u64;
                        Some((Ok(Bytes::from(bytes)), next))
                    }
                    Ok(None) => Some((Err(io::ErrorKind::UnexpectedEof.into()), length)),
                    Err(error) => Some((Err(io::Error::other(error)), length)),
                }
            }
        });
        Body(rows.boxed_local())
    }

    /// A link's events: those so far, and those to come for some minutes.
    pub(crate) async fn watch(&self, link: LinkId, read: For<ReadEvents>) -> Result<Body, Failure> {
        let entry = self.entry(link);
        // Nothing falls between: whoever watches is told twice rather than not.
        let (sender, receiver) = unbounded();
        let events = self.decide(link, &entry, read).await??;
        entry.watchers.borrow_mut().push(sender);
        let mut beginning = sse::BEGINNING.to_owned();
        for logged in events {
            let body = serde_json::to_string(&logged.event)
                .map_err(|e| Failure::unreadable("event", &e))?;
            beginning.push_str(&sse::event(logged.id, logged.event.kind.name(), &body));
        }
        let quiet = stream::unfold((), |()| async {
            sleep(QUIET).await;
            Some((sse::KEEP_ALIVE.to_owned(), ()))
        });
        let to_come = stream::select(receiver, quiet.boxed_local());
        let to_come = to_come.take_until(Box::pin(sleep(STREAM_FOR)));
        let blocks = stream::once(std::future::ready(beginning)).chain(to_come);
        let db = self.0.db.clone();
        let blocks = blocks.then(move |block| {
            // The link stays in memory while it is watched.
            let (_watched, db) = (&entry, db.clone());
            async move {
                db.on_disk().await?;
                Ok(Bytes::from(block))
            }
        });
        Ok(Body(blocks.boxed_local()))
    }
}

impl ports::Links for Links {
    async fn execute<C: Decide>(&self, link: LinkId, command: C) -> Result<C::Reply, Failure> {
        let entry = self.entry(link);
        let collects = {
            let mut state = entry.state.lock().await;
            self.load(link, &entry, &mut state).await?;
            let known = state.as_ref();
            known.and_then(|known| command.collects(&known.state))
        };
        if let Some(upload) = collects {
            self.collect(&entry, upload, None).await?;
        }
        let releases = command.releases();
        let decide = async || self.decide(link, &entry, command.clone()).await;
        let reply = entry.waiters.decide(sleep, decide).await?;
        if let Some((upload, n)) = releases {
            entry.leases.borrow_mut().end_part(upload, n);
            if let Some(nodes) = &self.0.nodes {
                nodes.end_part(upload, n).await?;
            }
        }
        Ok(reply?)
    }
}

impl Stage for Links {
    type Body = Body;

    async fn stage(&self, chunk: Chunk, body: Option<Body>) -> Result<StageAnswer, Failure> {
        let Some(keeper) = self.take_over(chunk).await? else {
            return Ok(StageAnswer::Recorded);
        };
        match self.keep(&keeper, body).await {
            Ok(kept) => Ok(StageAnswer::Staged(kept)),
            // Another request made the part whole while this one arrived.
            Err(Failure::Refused(problem))
                if problem.offset.is_some() && self.is_recorded(&chunk).await? =>
            {
                Ok(StageAnswer::Recorded)
            }
            Err(other) => Err(other),
        }
    }

    async fn begin(&self, chunk: Chunk) -> Result<Body, Failure> {
        self.take_over(chunk).await?;
        Ok(self.beginning(chunk.upload, chunk.n, chunk.offset))
    }

    async fn lease(&self, lease: Lease, comes: Option<Chunk>) -> Result<LeaseAnswer, Failure> {
        // Its holder may ask no more before what it has read is put away; it holds the lease until it ends it.
        let held = spawn_local(self.clone().hold(lease, comes));
        held.await
            .unwrap_or_else(|e| Err(Failure::Broken(format!("lease: {e}"))))
    }

    async fn end_lease(&self, lease: Lease) -> Result<(), Failure> {
        let entry = self.entry(lease.upload.link());
        entry.leases.borrow_mut().end(lease);
        match &self.0.nodes {
            Some(nodes) => Ok(nodes.end(lease).await?),
            None => Ok(()),
        }
    }

    async fn staged(&self, upload: UploadId, n: u16, length: u64) -> Result<Body, Failure> {
        Ok(self.beginning(upload, n, length))
    }
}

#[cfg(test)]
mod tests {
    use chatlift_edge::link::state::LinkRow;
    use serde_json::json;

    use super::*;

    fn link(n: u8) -> LinkRow {
        let link = json!({
            "id": LinkId::from_bytes([n; 12]), "app": "insurer", "scene": "claim", "bucket": "FILES",
            "policy": { "accept": ["*/*"], "max_file_size": 1, "max_files": 1, "formats": [], "file_retention": 60 },
            "subject": null, "metadata": {}, "created_at": now(), "expires_at": now().plus(STREAM_FOR),
            "status": "active", "request": null, "next_event": 1, "words": {},
        });
        serde_json::from_value(link).expect("a link")
    }

    #[tokio::test]
    async fn links_that_nobody_uses_leave_memory_and_are_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Database::open(&folder.path().join("edge.sqlite")).await;
        let most = 50;
        let links = Links::caching(most, db.expect("a database"), None);
        let inner = &links.0;
        for n in 0..=u8::MAX {
            let create = command::Create(Box::new(link(n)));
            let made = ports::Links::execute(&links, LinkId::from_bytes([n; 12]), create).await;
            made.expect("a link");
            let (rows, entries) = (inner.cached.count(), inner.entries.borrow().len());
            assert!(rows >= entries, "{rows} rows of {entries} links");
            // What one link has may come on top.
            assert!(rows + entries <= most + 8, "{rows} rows of {entries} links");
        }
        let first = links.state(LinkId::from_bytes([0; 12])).await;
        assert!(first.expect("read again").is_some());
        inner.entries.borrow_mut().clear();
        assert_eq!(inner.cached.count(), 0);
    }
}
