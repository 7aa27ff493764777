//! The links: each carries out its commands one after the other, and does by its alarm what is due.
//!
//! Safe under concurrency: a link's state is behind a lock that is held from the load to the commit.
//! Safe under a crash: what must happen later stands in a row, and the alarm with it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use chatlift_edge::http::sse;
use chatlift_edge::link::command::{Command, Reply};
use chatlift_edge::link::decide::decide;
use chatlift_edge::link::flow::Held;
use chatlift_edge::link::lease;
use chatlift_edge::link::lease::{Asked, Lease, Leases};
use chatlift_edge::link::serial::{SerialCommand, may_write};
use chatlift_edge::link::stage;
use chatlift_edge::link::stage::{Rows, Turns, offset_differs};
use chatlift_edge::link::state::LinkState;
use chatlift_edge::link::work::{next_alarm, wake_at};
use chatlift_edge::ports;
use chatlift_edge::ports::{Begun, Chunk, Failure, Kept, Stage};
use chatlift_shared::{LinkId, Problem, Timestamp, UploadId};
use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::future::{Either, join_all, select};
use futures_util::stream::{self, StreamExt as _};
use sqlx::SqlitePool;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::sleep;

use crate::body::Body;
use crate::clock::now;
use crate::error::Error;
use crate::rows;

/// How long a lease is held without a word. A holder that is alive holds it anew then.
const LEASED_FOR: Duration = Duration::from_secs(20);

/// How long is waited for holders to put away what they have.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(3);

/// How long a stream of events may be quiet, and how long it goes on.
const QUIET: Duration = Duration::from_secs(20);
const STREAM_FOR: Duration = Duration::from_secs(5 * 60);

/// Links that are kept in memory; beyond it those that nobody uses are read again when they are.
const CACHED_MAX: usize = 4096;

/// One link in memory.
#[derive(Default)]
struct Entry {
    /// As it is stored, once it was read. Emptied when a write fails.
    state: Mutex<Option<LinkState>>,
    /// Until when failed work rests, whatever is asked meanwhile.
    rest_until: Cell<Option<Timestamp>>,
    turns: RefCell<Turns>,
    leases: RefCell<Leases>,
    watchers: RefCell<Vec<UnboundedSender<String>>>,
}

impl Entry {
    /// Tells those who watch what a decision has put into the outbox.
    fn tell(&self, before: Option<&LinkState>, after: &LinkState) {
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
    pool: SqlitePool,
    entries: RefCell<HashMap<LinkId, Rc<Entry>>>,
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

/// The turn of a request that adds to a part, until a later one takes over.
struct Turn {
    entry: Rc<Entry>,
    chunk: Chunk,
    /// Bytes of the chunk's beginning that are held already.
    overlap: u64,
    /// `None` where there is nothing to add.
    turn: Option<u64>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turn) = self.turn {
            let mut turns = self.entry.turns.borrow_mut();
            turns.end(self.chunk.upload, self.chunk.n, turn);
        }
    }
}

impl Turn {
    /// Refuses rows of a request that another one has taken over from meanwhile.
    fn may_write(&self, kept: u64, state: Option<&LinkState>) -> Result<(), Problem> {
        let chunk = &self.chunk;
        let turns = self.entry.turns.borrow();
        if self
            .turn
            .is_some_and(|turn| !turns.has(chunk.upload, chunk.n, turn))
        {
            return Err(offset_differs(kept));
        }
        match state {
            // The upload may have ended since: a row that it gets then nobody would remove.
            Some(state) => may_write(state, chunk.upload, chunk.writer),
            None => Ok(()),
        }
    }
}

impl Links {
    /// The links of a database.
    pub(crate) fn new(pool: SqlitePool) -> Self {
        Self(Rc::new(Inner {
            pool,
            entries: RefCell::default(),
            alarm: Notify::new(),
        }))
    }

    fn entry(&self, link: LinkId) -> Rc<Entry> {
        let mut entries = self.0.entries.borrow_mut();
        if entries.len() >= CACHED_MAX {
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

    /// The link whose alarm is due first, but for those that are `busy`, and when.
    pub(crate) async fn first_alarm(
        &self,
        busy: &BTreeSet<LinkId>,
    ) -> Result<Option<(LinkId, Timestamp)>, Error> {
        let due = rows::first_alarms(&self.0.pool, busy.len() + 1).await?;
        Ok(due.into_iter().find(|(link, _)| !busy.contains(link)))
    }

    /// The link as it is stored.
    pub(crate) async fn state(&self, link: LinkId) -> Result<Option<LinkState>, Error> {
        let entry = self.entry(link);
        let mut state = entry.state.lock().await;
        self.load(link, &mut state).await?;
        Ok(state.clone())
    }

    /// Has failed work rest until then, and sets the alarm for what is due next.
    pub(crate) async fn rest(&self, link: LinkId, until: Option<Timestamp>) -> Result<(), Error> {
        let entry = self.entry(link);
        entry.rest_until.set(until);
        let state = entry.state.lock().await;
        let next = wake_at(state.as_ref().and_then(next_alarm), until);
        rows::set_alarm(&self.0.pool, link, next).await?;
        self.0.alarm.notify_one();
        Ok(())
    }

    async fn load(
        &self,
        link: LinkId,
        state: &mut MutexGuard<'_, Option<LinkState>>,
    ) -> Result<(), Error> {
        if state.is_none() {
            **state = rows::load(&self.0.pool, link).await?;
        }
        Ok(())
    }

    /// Carries out a command: load, decide, store.
    async fn decide(
        &self,
        link: LinkId,
        entry: &Entry,
        command: Command,
    ) -> Result<Result<Reply, Problem>, Error> {
        let mut state = entry.state.lock().await;
        self.load(link, &mut state).await?;
        // What the rules ask of parts is read when they have asked; then they decide again.
        let known: RefCell<BTreeMap<UploadId, Held>> = RefCell::default();
        let decision = loop {
            let missing = RefCell::new(Vec::new());
            let held = |upload| {
                known.borrow().get(&upload).cloned().unwrap_or_else(|| {
                    missing.borrow_mut().push(upload);
                    Held::default()
                })
            };
            let decision = decide(state.as_ref(), command.clone(), &held, now());
            let missing = missing.into_inner();
            if missing.is_empty() {
                break decision;
            }
            for upload in missing {
                let held = rows::held(&self.0.pool, upload).await?;
                known.borrow_mut().insert(upload, held);
            }
        };
        let decision = match decision {
            Ok(decision) => decision,
            Err(problem) => return Ok(Err(problem)),
        };
        if decision.reply == Reply::Forgotten {
            rows::forget(&self.0.pool, &decision.next).await?;
            *state = None;
            return Ok(Ok(decision.reply));
        }
        let alarm = wake_at(next_alarm(&decision.next), entry.rest_until.get());
        let saved = rows::save(
            &self.0.pool,
            state.as_ref(),
            &decision.next,
            &decision.parts,
            alarm,
        )
        .await;
        match saved {
            Ok(()) => {
                entry.tell(state.as_ref(), &decision.next);
                *state = Some(decision.next);
                self.0.alarm.notify_one();
                Ok(Ok(decision.reply))
            }
            Err(error) => {
                *state = None;
                Err(error)
            }
        }
    }

    /// Has the holders of leases stage the bytes that they have of an upload, and waits until they have.
    async fn hand_over(&self, entry: &Entry, upload: UploadId) {
        let waits = entry.leases.borrow_mut().ask(upload);
        if !waits.is_empty() {
            select(join_all(waits), pin!(sleep(HANDED_OVER_WITHIN))).await;
        }
    }

    async fn is_recorded(&self, chunk: &Chunk) -> Result<bool, Error> {
        let recorded = match chunk.sha256 {
            Some(_) => rows::part(&self.0.pool, chunk.upload, chunk.n).await?,
            None => None,
        };
        Ok(stage::is_recorded(
            recorded.map(|part| part.sha256),
            chunk.sha256,
        ))
    }

    /// Takes a part over for a chunk; `None` where the part is recorded, so that there is nothing to
    /// keep.
    async fn take_over(&self, chunk: Chunk) -> Result<Option<Turn>, Failure> {
        let touch = match chunk.writer {
            Some(writer) => Command::Serial(chunk.upload, SerialCommand::Touch { writer }),
            None => Command::Touch {
                upload: chunk.upload,
            },
        };
        let link = chunk.upload.link();
        let entry = self.entry(link);
        self.decide(link, &entry, touch).await??;
        if self.is_recorded(&chunk).await? {
            return Ok(None);
        }
        let turn = if chunk.spilled {
            let free = entry.turns.borrow_mut().take_if_free(chunk.upload, chunk.n);
            if free.is_none() {
                return Err(offset_differs(chunk.offset).into());
            }
            free
        } else {
            (chunk.length > 0).then(|| entry.turns.borrow_mut().take(chunk.upload, chunk.n))
        };
        let mut turn = Turn {
            entry,
            chunk,
            overlap: 0,
            turn,
        };
        turn.overlap = self.overlap(&chunk).await?;
        Ok(Some(turn))
    }

    /// Refuses a chunk that does not continue its part; answers how much of its beginning is held already.
    async fn overlap(&self, chunk: &Chunk) -> Result<u64, Failure> {
        let Chunk {
            upload,
            n,
            offset,
            length,
            part_len,
            ..
        } = *chunk;
        let held = rows::staged(&self.0.pool, upload, n).await?;
        // Where one request at a time adds, its offset is the protocol's own and exact.
        if chunk.writer.is_some() {
            stage::check(held, offset, length, part_len)?;
            return Ok(0);
        }
        // What is put away goes on where the request's chunk was let begin.
        let begins_row = chunk.spilled
            || rows::staged_row(&self.0.pool, upload, n, offset)
                .await?
                .is_some();
        Ok(stage::overlap(held, offset, length, part_len, || {
            begins_row
        })?)
    }

    /// Keeps what arrives of a chunk. Every row is written as soon as it is full, and the last one also
    /// when the stream breaks off, so a cut costs nothing that had arrived.
    async fn keep(&self, turn: &Turn, body: Option<Body>) -> Result<u64, Failure> {
        let mut kept = turn.chunk.offset + turn.overlap;
        let mut skip = turn.overlap;
        let mut rows = Rows::default();
        if let Some(mut body) = body {
            while let Some(Ok(piece)) = body.0.next().await {
                let held = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
                skip -= held as u64;
                for row in rows.push(&piece[held..]) {
                    kept = self.add(turn, kept, row).await?;
                }
            }
        }
        match rows.finish() {
            Some(row) => self.add(turn, kept, row).await,
            None => {
                let state = turn.entry.state.lock().await;
                turn.may_write(kept, state.as_ref())?;
                Ok(kept)
            }
        }
    }

    async fn add(&self, turn: &Turn, kept: u64, row: Vec<u8>) -> Result<u64, Failure> {
        let state = turn.entry.state.lock().await;
        turn.may_write(kept, state.as_ref())?;
        let chunk = &turn.chunk;
        let end = kept + row.len() as u64;
        let held = rows::staged(&self.0.pool, chunk.upload, chunk.n).await?;
        if end > chunk.part_len || held != kept {
            return Err(offset_differs(held).into());
        }
        rows::stage(&self.0.pool, chunk.upload, chunk.n, kept, &row).await?;
        Ok(end)
    }

    /// The first `length` bytes of a part, row by row. No row goes on beyond them.
    fn beginning(&self, upload: UploadId, n: u16, length: u64) -> Body {
        let pool = self.0.pool.clone();
        let rows = stream::unfold(0, move |offset| {
            let pool = pool.clone();
            async move {
                if offset >= length {
                    return None;
                }
                let row = rows::staged_row(&pool, upload, n, offset).await;
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
    pub(crate) async fn watch(&self, link: LinkId, command: Command) -> Result<Body, Failure> {
        let entry = self.entry(link);
        // Nothing falls between: whoever watches is told twice rather than not.
        let (sender, receiver) = unbounded();
        let Reply::Events(events) = self.decide(link, &entry, command).await?? else {
            return Err(Failure::Broken("the answer is not events".to_owned()));
        };
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
        // The link stays in memory while it is watched.
        let blocks = blocks.map(move |block| {
            let _watched = &entry;
            Ok(Bytes::from(block))
        });
        Ok(Body(blocks.boxed_local()))
    }
}

impl ports::Links for Links {
    async fn execute(&self, link: LinkId, command: Command) -> Result<Reply, Failure> {
        let entry = self.entry(link);
        let asks_for = {
            let mut state = entry.state.lock().await;
            self.load(link, &mut state).await?;
            state.as_ref().and_then(|s| lease::asks_for(s, &command))
        };
        if let Some(upload) = asks_for {
            self.hand_over(&entry, upload).await;
        }
        let puts_away = lease::puts_away(&command);
        let reply = self.decide(link, &entry, command).await?;
        if let Some((upload, n)) = puts_away {
            entry.leases.borrow_mut().end_part(upload, n);
        }
        Ok(reply?)
    }
}

impl Stage for Links {
    type Body = Body;

    async fn stage(&self, chunk: Chunk, body: Option<Body>) -> Result<Kept, Failure> {
        let Some(turn) = self.take_over(chunk).await? else {
            return Ok(Kept::Recorded);
        };
        match self.keep(&turn, body).await {
            Ok(kept) => Ok(Kept::Staged(kept)),
            // Another request made the part whole while this one arrived.
            Err(Failure::Refused(problem))
                if problem.offset.is_some() && self.is_recorded(&chunk).await? =>
            {
                Ok(Kept::Recorded)
            }
            Err(other) => Err(other),
        }
    }

    async fn begin(&self, chunk: Chunk) -> Result<Begun<Body>, Failure> {
        Ok(match self.take_over(chunk).await? {
            Some(_) => Begun::From(self.beginning(chunk.upload, chunk.n, chunk.offset)),
            None => Begun::Recorded,
        })
    }

    async fn lease(&self, lease: Lease) -> Result<Asked, Failure> {
        let entry = self.entry(lease.upload.link());
        let asked = entry.leases.borrow_mut().hold(lease);
        Ok(match select(asked, pin!(sleep(LEASED_FOR))).await {
            Either::Left((Ok(()), _)) => Asked::Now,
            // It was ended: its holder has its answer, or will have it.
            Either::Left((Err(_), _)) | Either::Right(_) => Asked::NotYet,
        })
    }

    async fn end_lease(&self, lease: Lease) -> Result<(), Failure> {
        let entry = self.entry(lease.upload.link());
        entry.leases.borrow_mut().end(lease);
        Ok(())
    }

    async fn staged(&self, upload: UploadId, n: u16, length: u64) -> Result<Body, Failure> {
        Ok(self.beginning(upload, n, length))
    }
}
