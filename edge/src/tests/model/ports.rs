//! The world of the model: one link, a bucket and a clock whose every call waits before and after it is
//! carried out, so that others come between and a caller can die at either place, and may fail, having
//! been carried out or not.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use chatlift_shared::api::StagedPart;
use chatlift_shared::{AppId, LinkId, Problem, Timestamp, UploadId};

use futures_util::future::{join_all, select};

use super::bucket::R2Upload;
use super::faults::{Fault, Faults};
use super::feed::Body;
use super::rope::Rope;
use super::steps;
use crate::link::command;
use crate::link::command::Outcome;
use crate::link::decide::{Decide, decide};
use crate::link::flow::Held;
use crate::link::lease::{Lease, LeaseAnswer, Leases};
use crate::link::listing::{Entry, Query, ShardPage};
use crate::link::stage;
use crate::link::stage::{Appender, Appenders, Chunk};
use crate::link::state::LinkState;
use crate::link::waiters::AttemptWaiters;
use crate::link::work::Send;
use crate::ports::{Directory, Failure, Links, Stage, StageAnswer, Webhooks, World};
use crate::tests::flow::Flow;

/// How often a command is looked at again that waits for the holders of leases, before it goes on
/// without them.
const COLLECTED_WITHIN: u32 = 12;

/// The same where time passes by itself, as the platforms have it.
const COLLECTED_WITHIN_TIME: Duration = Duration::from_secs(3);

/// The link's object as it was deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tests) struct Deployed {
    /// Version of the messages that it takes.
    pub(in crate::tests) version: u32,
    /// How often it was started: what it has in memory is gone then.
    pub(in crate::tests) started: u32,
}

#[derive(Debug)]
pub(in crate::tests) struct Machine {
    pub(in crate::tests) now: Cell<Timestamp>,
    /// By how many milliseconds the edge's clocks are ahead of `now`.
    pub(in crate::tests) skew: Cell<i64>,
    /// Who is to be woken, and when.
    pub(in crate::tests) timers: RefCell<BTreeMap<Timestamp, Vec<Waker>>>,
    /// Whether time passes by itself.
    pub(in crate::tests) is_timed: Cell<bool>,
    pub(in crate::tests) dice: Cell<u64>,
    pub(in crate::tests) faults: Faults,
    /// The request that runs.
    pub(in crate::tests) running: Cell<usize>,
    /// Version of the messages of the worker that runs.
    pub(in crate::tests) worker: Cell<u32>,
    pub(in crate::tests) object: Cell<Deployed>,
    /// Version of the code that wrote the link's rows.
    pub(in crate::tests) rows: Cell<u32>,
    /// How often the link has changed.
    pub(in crate::tests) changes: Cell<u64>,
    pub(in crate::tests) link: RefCell<BTreeMap<LinkId, LinkState>>,
    pub(in crate::tests) held: RefCell<BTreeMap<UploadId, Held>>,
    pub(in crate::tests) staged: RefCell<BTreeMap<(UploadId, u16), Rope>>,
    appenders: RefCell<Appenders>,
    leases: RefCell<Leases>,
    waiters: RefCell<Rc<AttemptWaiters>>,
    /// Uploads to which bytes of another file came.
    pub(in crate::tests) altered: RefCell<BTreeSet<UploadId>>,
    pub(in crate::tests) objects: RefCell<BTreeMap<String, Rope>>,
    pub(in crate::tests) multiparts: RefCell<BTreeMap<String, R2Upload>>,
    pub(in crate::tests) made: Cell<u64>,
    /// The events that the backend was told of.
    pub(in crate::tests) told: RefCell<BTreeSet<String>>,
    pub(in crate::tests) listed: RefCell<BTreeSet<LinkId>>,
}

/// A way to it.
#[derive(Clone, Debug)]
pub(in crate::tests) struct Port(pub(in crate::tests) Rc<Machine>);

impl Machine {
    pub(in crate::tests) fn new(now: Timestamp) -> Self {
        Self {
            now: Cell::new(now),
            skew: Cell::new(0),
            timers: RefCell::default(),
            is_timed: Cell::new(false),
            dice: Cell::new(1),
            faults: Faults::default(),
            running: Cell::new(0),
            worker: Cell::new(1),
            object: Cell::new(Deployed {
                version: 1,
                started: 0,
            }),
            rows: Cell::new(1),
            changes: Cell::new(0),
            link: RefCell::default(),
            held: RefCell::default(),
            staged: RefCell::default(),
            appenders: RefCell::default(),
            leases: RefCell::default(),
            waiters: RefCell::default(),
            altered: RefCell::default(),
            objects: RefCell::default(),
            multiparts: RefCell::default(),
            made: Cell::new(0),
            told: RefCell::default(),
            listed: RefCell::default(),
        }
    }

    /// A number below `end` (splitmix64).
    pub(in crate::tests) fn draw(&self, end: u64) -> u64 {
        let state = self.dice.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.dice.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    /// Whether a fault strikes here, as it does at one of `odds` places.
    pub(in crate::tests) fn strikes(&self, fault: Fault, odds: u64) -> bool {
        self.faults.is_on() && {
            let drawn = self.draw(odds.saturating_mul(self.faults.rarity.get())) == 0;
            self.faults.strikes(fault, drawn)
        }
    }

    /// Whether a call fails here.
    pub(in crate::tests) fn fails(&self, fault: Fault) -> bool {
        self.strikes(fault, 24)
    }

    /// What the edge's clocks say.
    pub(in crate::tests) fn clock(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get().millis() + self.skew.get())
    }

    /// Waits so long.
    pub(in crate::tests) async fn sleep(&self, time: Duration) {
        let end = self.now.get().plus(time);
        poll_fn(|cx| {
            if self.now.get() >= end {
                return Poll::Ready(());
            }
            if self.is_timed.get() {
                let mut timers = self.timers.borrow_mut();
                timers.entry(end).or_default().push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Replaces the link's object, as at a deploy: what it had in memory is gone, and requests to it fail.
    pub(in crate::tests) fn restart(&self, version: u32) {
        let started = self.object.get().started + 1;
        self.object.set(Deployed { version, started });
        self.appenders.replace(Appenders::default());
        self.leases.replace(Leases::default());
        self.waiters.replace(Rc::default());
    }

    /// Refuses a message of a worker of another version, or about rows of a newer one.
    fn reach(&self) -> Result<Deployed, Failure> {
        let object = self.object.get();
        match object.version == self.worker.get() && self.rows.get() <= object.version {
            true => Ok(object),
            false => Err(Failure::Away("another version".into())),
        }
    }

    /// Refuses an answer of an object that was replaced since it was `reached`.
    fn is_there(&self, reached: Deployed) -> Result<(), Failure> {
        match self.object.get() == reached {
            true => Ok(()),
            false => Err(Failure::Away("replaced".into())),
        }
    }

    /// Carries a command out, as the object does between two waits.
    pub(in crate::tests) fn run<C: Decide>(
        &self,
        link: LinkId,
        command: C,
    ) -> Result<C::Reply, Problem> {
        let look = |id| {
            let mut held = self.held.borrow().get(&id).cloned().unwrap_or_default();
            let staged = self.staged.borrow();
            let of_upload = staged.range((id, 0)..=(id, u16::MAX));
            held.staged = of_upload
                .map(|((_, n), bytes)| StagedPart {
                    n: *n,
                    offset: bytes.len(),
                })
                .collect();
            held
        };
        let state = self.link.borrow().get(&link).cloned();
        let message = command.clone().message().command;
        let decision = decide(state.as_ref(), command, &look, self.clock())?;
        for write in decision.change.parts {
            let mut staged = self.staged.borrow_mut();
            write.unstage(&mut staged, |bytes, begin| *bytes = bytes.slice(0, begin));
            staged.retain(|_, bytes| bytes.len() > 0);
            write.apply(&mut self.held.borrow_mut());
        }
        if let (Some(before), Some(after)) = (&state, &decision.change.next) {
            steps::check(before, &message, after, &self.held.borrow());
        }
        self.changes.set(self.changes.get() + 1);
        self.rows.set(self.object.get().version);
        if let Some(after) = &decision.change.next {
            self.waiters.borrow().tell(state.as_ref(), after);
        }
        match decision.change.next {
            None => {
                self.link.borrow_mut().remove(&link);
                self.held.borrow_mut().clear();
                self.staged.borrow_mut().clear();
            }
            Some(next) => drop(self.link.borrow_mut().insert(link, next)),
        }
        Ok(decision.reply)
    }

    /// Has the holders of leases put away what they have, and waits for them a while.
    async fn collect(&self, upload: UploadId, n: Option<u16>) {
        let mut waits = self.leases.borrow_mut().ask(upload, n);
        if self.is_timed.get() {
            let over = pin!(self.sleep(COLLECTED_WITHIN_TIME));
            select(join_all(waits), over).await;
            return;
        }
        for _ in 0..COLLECTED_WITHIN {
            waits.retain_mut(|wait| matches!(wait.try_recv(), Ok(None)));
            if waits.is_empty() {
                break;
            }
            pause().await;
        }
    }

    /// Who adds a chunk, where there is something of it to keep.
    async fn take_over(&self, chunk: Chunk) -> Result<Option<Keeper<'_>>, Failure> {
        let upload = chunk.upload;
        let writer = chunk.writer;
        let object = self.object.get();
        if chunk.takes_over() {
            self.collect(upload, Some(chunk.n)).await;
            self.is_there(object)?;
        }
        self.run(upload.link(), command::Touch { upload, writer })?;
        if self.is_recorded(&chunk) {
            return Ok(chunk.of_recorded().map(|()| None)?);
        }
        let mut appender = Appender::take(&self.appenders.borrow(), chunk)?;
        appender.admit(self.staged_len(&chunk), 0)?;
        Ok(Some(Keeper {
            machine: self,
            appender,
            object,
        }))
    }

    fn staged_len(&self, chunk: &Chunk) -> u64 {
        let staged = self.staged.borrow();
        staged.get(&(chunk.upload, chunk.n)).map_or(0, Rope::len)
    }

    fn is_recorded(&self, chunk: &Chunk) -> bool {
        let held = self.held.borrow();
        let recorded = held.get(&chunk.upload).and_then(|h| h.parts.get(&chunk.n));
        stage::is_recorded(recorded.map(|part| part.sha256), chunk.sha256)
    }
}

/// What keeps a chunk.
struct Keeper<'a> {
    machine: &'a Machine,
    appender: Appender,
    /// The object that keeps it.
    object: Deployed,
}

impl Keeper<'_> {
    fn may_write(&self, at: u64) -> Result<(), Failure> {
        self.machine.is_there(self.object)?;
        let links = self.machine.link.borrow();
        let gone = || Failure::Away("its tables are gone".into());
        let state = links
            .get(&self.appender.chunk().upload.link())
            .ok_or_else(gone)?;
        Ok(self.appender.may_write(at, Some(state))?)
    }

    async fn keep(&self, body: Option<Body>) -> Result<u64, Failure> {
        let mut at = self.appender.begin();
        let mut skip = at - self.appender.chunk().offset;
        if let Some(mut body) = body {
            while let Ok(Some(piece)) = body.next().await {
                let known = skip.min(piece.len());
                skip -= known;
                at = self.add(at, piece.slice(known, piece.len())).await?;
            }
        }
        self.may_write(at).map(|()| at)
    }

    async fn add(&self, mut at: u64, mut rest: Rope) -> Result<u64, Failure> {
        let chunk = self.appender.chunk();
        while rest.len() > 0 {
            pause().await;
            let row = 1 + self.machine.draw(rest.len());
            self.may_write(at)?;
            let end = self
                .appender
                .end_of(at, row, self.machine.staged_len(chunk))?;
            let mut staged = self.machine.staged.borrow_mut();
            let part = staged.entry((chunk.upload, chunk.n)).or_default();
            part.append(rest.slice(0, row));
            rest = rest.slice(row, rest.len());
            at = end;
        }
        Ok(at)
    }
}

/// Lets others come between.
pub(in crate::tests) async fn pause() {
    let mut waited = false;
    poll_fn(move |cx| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

impl Links for Port {
    async fn execute<C: Decide>(&self, link: LinkId, command: C) -> Result<C::Reply, Failure> {
        pause().await;
        if self.0.fails(Fault::LinkFails) {
            return Err(Failure::Away("before".into()));
        }
        let object = self.0.reach()?;
        let state = self.0.link.borrow().get(&link).cloned();
        if let Some(upload) = state.and_then(|state| command.collects(&state)) {
            self.0.collect(upload, None).await;
            self.0.is_there(object)?;
        }
        let releases = command.releases();
        let decide = async || -> Result<_, Failure> {
            self.0.is_there(object)?;
            Ok(self.0.run(link, command.clone()))
        };
        let answer = match self.0.is_timed.get() {
            true => {
                let waiters = Rc::clone(&self.0.waiters.borrow());
                let pause = async |time| self.0.sleep(time).await;
                waiters.decide(pause, decide).await
            }
            false => decide().await,
        };
        let answer = answer?;
        if let Some((upload, n)) = releases {
            self.0.leases.borrow_mut().end_part(upload, n);
        }
        pause().await;
        self.0.is_there(object)?;
        if self.0.fails(Fault::LinkFailsAfter) {
            return Err(Failure::Away("after".into()));
        }
        answer.map_err(Failure::Refused)
    }
}

impl Stage for Port {
    type Body = Body;

    async fn stage(&self, chunk: Chunk, body: Option<Body>) -> Result<StageAnswer, Failure> {
        pause().await;
        if self.0.fails(Fault::LinkFails) {
            return Err(Failure::Away("stage".into()));
        }
        let object = self.0.reach()?;
        let kept = match self.0.take_over(chunk).await? {
            None => Ok(StageAnswer::Recorded),
            Some(keeper) => match keeper.keep(body).await {
                Err(Failure::Refused(problem))
                    if problem.offset.is_some() && self.0.is_recorded(&chunk) =>
                {
                    Ok(StageAnswer::Recorded)
                }
                kept => kept.map(StageAnswer::Staged),
            },
        };
        pause().await;
        self.0.is_there(object)?;
        kept
    }

    async fn begin(&self, chunk: Chunk) -> Result<Body, Failure> {
        pause().await;
        let object = self.0.reach()?;
        self.0.take_over(chunk).await?;
        let before = {
            let staged = self.0.staged.borrow();
            let part = staged.get(&(chunk.upload, chunk.n));
            part.cloned().unwrap_or_default()
        };
        pause().await;
        self.0.is_there(object)?;
        Ok(Flow::of(vec![before.slice(0, chunk.offset)]))
    }

    async fn lease(&self, lease: Lease, comes: Option<Chunk>) -> Result<LeaseAnswer, Failure> {
        pause().await;
        let object = self.0.reach()?;
        if let Some(chunk) = comes {
            self.0.collect(lease.upload, Some(lease.n)).await;
            self.0.is_there(object)?;
            let (upload, writer) = (chunk.upload, chunk.writer);
            let takes = self.0.run(upload.link(), command::Touch { upload, writer });
            let held = chunk.already_held(self.0.is_recorded(&chunk), self.0.staged_len(&chunk));
            if takes.is_ok()
                && let Some(held) = held
            {
                return Ok(LeaseAnswer::Held(held));
            }
        }
        let asked = self.0.leases.borrow_mut().hold(lease);
        match asked.await {
            Ok(()) => Ok(LeaseAnswer::Collect),
            Err(_) => Ok(LeaseAnswer::Renew),
        }
    }

    async fn end_lease(&self, lease: Lease) -> Result<(), Failure> {
        pause().await;
        self.0.reach()?;
        self.0.leases.borrow_mut().end(lease);
        Ok(())
    }

    async fn staged(&self, upload: UploadId, n: u16, length: u64) -> Result<Body, Failure> {
        pause().await;
        self.0.reach()?;
        let staged = self.0.staged.borrow();
        let part = staged.get(&(upload, n)).cloned().unwrap_or_default();
        // One that is shorter by now breaks off.
        let pieces = vec![part.slice(0, length)];
        Ok(match part.len() < length {
            true => Flow::broken(pieces),
            false => Flow::of(pieces),
        })
    }
}

impl World for Port {
    fn now(&self) -> Timestamp {
        self.0.clock()
    }

    fn random(&self) -> u64 {
        self.0.draw(u64::MAX)
    }

    async fn pause(&self, time: Duration) {
        self.0.sleep(time).await;
    }

    fn comes_again(&self, _: UploadId, _: u16) -> bool {
        self.0.draw(2) > 0
    }
}

impl Webhooks for Port {
    async fn send(&self, event: &Send) -> Outcome {
        pause().await;
        if self.0.fails(Fault::WebhookFails) {
            return Outcome::Failed { retry_after: None };
        }
        self.0.told.borrow_mut().insert(event.event.to_string());
        pause().await;
        Outcome::Acknowledged
    }
}

impl Directory for Port {
    async fn put(&self, _: &AppId, entry: &Entry) -> Result<(), Failure> {
        pause().await;
        self.0.listed.borrow_mut().insert(entry.link.id);
        Ok(())
    }

    async fn remove(&self, _: &AppId, entry: &Entry) -> Result<(), Failure> {
        pause().await;
        self.0.listed.borrow_mut().remove(&entry.link.id);
        Ok(())
    }

    async fn page(&self, _: &AppId, _: u8, _: &Query) -> Result<ShardPage, Failure> {
        Err(Failure::Broken("nobody asks for it here".into()))
    }
}
