//! The world of the model: one link, a bucket and a clock whose every call waits before and after it is
//! carried out, so that others come between and a caller can die at either place, and may fail, having
//! been carried out or not.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use chatlift_shared::api::StagedPart;
use chatlift_shared::{AppId, LinkId, Problem, Timestamp, UploadId};

use super::bucket::R2Upload;
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
use crate::link::stage::{Chunk, Turn, Turns};
use crate::link::state::LinkState;
use crate::link::work::Send;
use crate::ports::{Directory, Failure, Kept, Links, Stage, Webhooks, World};
use crate::tests::flow::Flow;

/// How often a command is looked at again that waits for the holders of leases, before it goes on
/// without them.
const COLLECTED_WITHIN: u32 = 12;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) now: Cell<Timestamp>,
    pub(super) dice: Cell<u64>,
    /// Whether calls fail at times.
    pub(super) faults: Cell<bool>,
    /// The request that runs.
    pub(super) running: Cell<usize>,
    pub(super) link: RefCell<BTreeMap<LinkId, LinkState>>,
    pub(super) held: RefCell<BTreeMap<UploadId, Held>>,
    pub(super) staged: RefCell<BTreeMap<(UploadId, u16), Rope>>,
    turns: Turns,
    leases: RefCell<Leases>,
    /// Uploads to which bytes of another file came.
    pub(super) altered: RefCell<BTreeSet<UploadId>>,
    pub(super) objects: RefCell<BTreeMap<String, Rope>>,
    pub(super) multiparts: RefCell<BTreeMap<String, R2Upload>>,
    pub(super) made: Cell<u64>,
    /// The events that the backend was told of.
    pub(super) told: RefCell<BTreeSet<String>>,
    pub(super) listed: RefCell<BTreeSet<LinkId>>,
}

/// A way to it.
#[derive(Clone, Debug)]
pub(super) struct Port(pub(super) Rc<Machine>);

impl Machine {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now: Cell::new(now),
            dice: Cell::new(1),
            faults: Cell::new(false),
            running: Cell::new(0),
            link: RefCell::default(),
            held: RefCell::default(),
            staged: RefCell::default(),
            turns: Turns::default(),
            leases: RefCell::default(),
            altered: RefCell::default(),
            objects: RefCell::default(),
            multiparts: RefCell::default(),
            made: Cell::new(0),
            told: RefCell::default(),
            listed: RefCell::default(),
        }
    }

    /// A number below `end` (splitmix64).
    pub(super) fn draw(&self, end: u64) -> u64 {
        let state = self.dice.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.dice.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    pub(super) fn fails(&self) -> bool {
        self.faults.get() && self.draw(24) == 0
    }

    /// Carries a command out, as the object does between two waits.
    pub(super) fn run<C: Decide>(&self, link: LinkId, command: C) -> Result<C::Reply, Problem> {
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
        let decision = decide(state.as_ref(), command, &look, self.now.get())?;
        for write in decision.change.parts {
            let mut staged = self.staged.borrow_mut();
            write.unstage(&mut staged, |bytes, begin| *bytes = bytes.slice(0, begin));
            staged.retain(|_, bytes| bytes.len() > 0);
            write.apply(&mut self.held.borrow_mut());
        }
        if let (Some(before), Some(after)) = (&state, &decision.change.next) {
            steps::check(before, &message, after, &self.held.borrow());
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
        for _ in 0..COLLECTED_WITHIN {
            waits.retain_mut(|wait| matches!(wait.try_recv(), Ok(None)));
            if waits.is_empty() {
                break;
            }
            pause().await;
        }
    }

    /// The turn of a chunk, where there is something of it to keep.
    async fn take_over(&self, chunk: Chunk) -> Result<Option<Keeper<'_>>, Failure> {
        let upload = chunk.upload;
        let writer = chunk.writer;
        if chunk.takes_over() {
            self.collect(upload, Some(chunk.n)).await;
        }
        self.run(upload.link(), command::Touch { upload, writer })?;
        if self.is_recorded(&chunk) {
            return Ok(chunk.of_recorded().map(|()| None)?);
        }
        let mut turn = Turn::take(&self.turns, chunk)?;
        turn.admit(self.staged_len(&chunk), 0)?;
        let machine = self;
        Ok(Some(Keeper { machine, turn }))
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
    turn: Turn,
}

impl Keeper<'_> {
    fn may_write(&self, at: u64) -> Result<(), Failure> {
        let links = self.machine.link.borrow();
        let gone = || Failure::Away("its tables are gone".into());
        let state = links
            .get(&self.turn.chunk().upload.link())
            .ok_or_else(gone)?;
        Ok(self.turn.may_write(at, Some(state))?)
    }

    async fn keep(&self, body: Option<Body>) -> Result<u64, Failure> {
        let mut at = self.turn.begin();
        let mut skip = at - self.turn.chunk().offset;
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
        let chunk = self.turn.chunk();
        while rest.len() > 0 {
            pause().await;
            let row = 1 + self.machine.draw(rest.len());
            self.may_write(at)?;
            let end = self.turn.end_of(at, row, self.machine.staged_len(chunk))?;
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
pub(super) async fn pause() {
    let mut waited = false;
    poll_fn(move |_| match std::mem::replace(&mut waited, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

impl Links for Port {
    async fn execute<C: Decide>(&self, link: LinkId, command: C) -> Result<C::Reply, Failure> {
        pause().await;
        if self.0.fails() {
            return Err(Failure::Away("before".into()));
        }
        let state = self.0.link.borrow().get(&link).cloned();
        let collects = state.and_then(|state| command.collects(&state));
        if let Some(upload) = collects {
            self.0.collect(upload, None).await;
        }
        let releases = command.releases();
        let answer = self.0.run(link, command);
        if let Some((upload, n)) = releases {
            self.0.leases.borrow_mut().end_part(upload, n);
        }
        pause().await;
        if self.0.fails() {
            return Err(Failure::Away("after".into()));
        }
        answer.map_err(Failure::Refused)
    }
}

impl Stage for Port {
    type Body = Body;

    async fn stage(&self, chunk: Chunk, body: Option<Body>) -> Result<Kept, Failure> {
        pause().await;
        if self.0.fails() {
            return Err(Failure::Away("stage".into()));
        }
        let kept = match self.0.take_over(chunk).await? {
            None => Ok(Kept::Recorded),
            Some(keeper) => match keeper.keep(body).await {
                Err(Failure::Refused(problem))
                    if problem.offset.is_some() && self.0.is_recorded(&chunk) =>
                {
                    Ok(Kept::Recorded)
                }
                kept => kept.map(Kept::Staged),
            },
        };
        pause().await;
        kept
    }

    async fn begin(&self, chunk: Chunk) -> Result<Body, Failure> {
        pause().await;
        self.0.take_over(chunk).await?;
        let before = {
            let staged = self.0.staged.borrow();
            let part = staged.get(&(chunk.upload, chunk.n));
            part.cloned().unwrap_or_default()
        };
        pause().await;
        Ok(Flow::of(vec![before.slice(0, chunk.offset)]))
    }

    async fn lease(&self, lease: Lease, comes: Option<Chunk>) -> Result<LeaseAnswer, Failure> {
        pause().await;
        if let Some(chunk) = comes {
            self.0.collect(lease.upload, Some(lease.n)).await;
            let (upload, writer) = (chunk.upload, chunk.writer);
            let takes = self.0.run(upload.link(), command::Touch { upload, writer });
            let held = match self.0.is_recorded(&chunk) {
                true => chunk.part_len,
                false => self.0.staged_len(&chunk),
            };
            if takes.is_ok() && held > chunk.offset {
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
        self.0.leases.borrow_mut().end(lease);
        Ok(())
    }

    async fn staged(&self, upload: UploadId, n: u16, length: u64) -> Result<Body, Failure> {
        pause().await;
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
        self.0.now.get()
    }

    fn random(&self) -> u64 {
        self.0.draw(u64::MAX)
    }

    async fn pause(&self, time: Duration) {
        let end = self.0.now.get().plus(time);
        poll_fn(|_| match self.0.now.get() >= end {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Webhooks for Port {
    async fn send(&self, event: &Send) -> Outcome {
        pause().await;
        if self.0.fails() {
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
