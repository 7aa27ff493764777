//! The link's Durable Object: the one writer for its link.
//!
//! Safe under concurrency: a command is loaded, decided and stored without awaiting anything in
//! between. Safe under a crash: what must happen later stands in a row, and the alarm is set with
//! every change.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::rc::Rc;

use chatlift_shared::{LinkId, Problem, ProblemCode, Timestamp, UploadId};
use futures_util::future::{Either, join_all, select};
use worker::{
    Delay, DurableObject, Env, Request, Response, Result, State, Storage, durable_object,
};

use super::directory::Directories;
use super::r2::R2;
use super::read::Reader;
use super::stage::{Cached, Keeper};
use super::watch::Watchers;
use super::webhooks::Endpoints;
use super::world::{Workers, now};
use super::{counts, links, log, rpc, setup, stage, store};
use crate::link::command;
use crate::link::command::ReadEvents;
use crate::link::decide::{Change, Decide, Visitor, decide};
use crate::link::flow::Held;
use crate::link::lease::{Lease, LeaseAnswer, Leases};
use crate::link::message::{For, Message};
use crate::link::stage as rules;
use crate::link::stage::Chunk;
use crate::link::state::LinkState;
use crate::link::version;
use crate::link::version::OtherVersion;
use crate::link::waiters::AttemptWaiters;
use crate::link::work::{due, next_alarm, wake_at};
use crate::ports::{Failure, Links, StageAnswer};
use crate::service::Service;

/// Shortest wait before an alarm whose work failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// How long a lease is held without a word. A holder that is alive holds it anew then; of one that has
/// died nothing is kept longer.
const LEASED_FOR: Duration = Duration::from_secs(20);

/// How long is waited for holders to put away what they have: more than a part takes to get from a
/// worker to here. A holder that has died lets a request wait that long, once.
const COLLECTED_WITHIN: Duration = Duration::from_secs(3);

/// One link.
#[durable_object]
pub struct LinkObject {
    state: State,
    env: Env,
    /// The link as it is stored, once it was read. Emptied when a write fails.
    cached: Cached,
    /// When the alarm is set for, as far as this instance knows.
    alarm_at: Cell<Option<Timestamp>>,
    /// Until when failed work rests, whatever is asked meanwhile.
    rest_until: Cell<Option<Timestamp>>,
    /// Whether the link was forgotten, and what the object has is still to be dropped.
    over: Cell<bool>,
    watchers: Watchers,
    waiters: AttemptWaiters,
    appenders: rules::Appenders,
    leases: RefCell<Leases>,
}

impl DurableObject for LinkObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            cached: Cached::default(),
            alarm_at: Cell::new(None),
            rest_until: Cell::new(None),
            over: Cell::new(false),
            watchers: Watchers::default(),
            waiters: AttemptWaiters::default(),
            appenders: rules::Appenders::default(),
            leases: RefCell::default(),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let checked = self.same_version(&request);
        rpc::answer(checked, self.answer(request)).await
    }

    async fn alarm(&self) -> Result<Response> {
        counts::alarm();
        self.alarm_at.set(None);
        // An error here would have the platform retry for two minutes and then never again.
        if let Err(error) = self.work().await {
            log::error("alarm failed", &[("reason", log::text(&error))]);
            self.state.storage().set_alarm(RETRY).await?;
        }
        Response::empty()
    }
}

impl LinkObject {
    /// Refuses a message of another version, and to touch rows of a newer one.
    fn same_version(&self, request: &Request) -> Result<core::result::Result<(), OtherVersion>> {
        match rpc::check_version(request.headers()) {
            Ok(()) => self.load(),
            Err(other) => Ok(Err(other)),
        }
    }

    /// Reads the link, unless it was read.
    fn load(&self) -> Result<core::result::Result<(), OtherVersion>> {
        let mut cached = self.cached.borrow_mut();
        if cached.is_some() {
            return Ok(Ok(()));
        }
        Ok(store::load(&self.state.storage())?.map(|state| *cached = state))
    }

    async fn answer(&self, mut request: Request) -> Result<Response> {
        match request.path().as_str() {
            links::PATH_STAGE => return self.stage(request).await,
            links::PATH_BEGIN => return self.begin(&request).await,
            links::PATH_STAGED => {
                let chunk: Chunk = links::argument(&request)?;
                return stage::beginning(self.state.storage(), chunk, chunk.part_len);
            }
            links::PATH_LEASE => {
                let (lease, comes) = links::argument(&request)?;
                return self.lease(lease, comes).await;
            }
            links::PATH_LEASE_END => {
                self.leases.borrow_mut().end(links::argument(&request)?);
                return Response::empty();
            }
            links::PATH_WATCH => return self.watch(request).await,
            _ => {}
        }
        let Message { owner, command } = serde_json::from_str(&request.text().await?)?;
        let collects = match self.cached.borrow().as_ref() {
            Some(state) => command.collects(state),
            // An object that just began holds no leases.
            None => None,
        };
        if let Some(upload) = collects {
            self.collect(upload, None).await;
        }
        self.load_known()?;
        let allowed = owner.map_or(Ok(()), |owner| owner.check(self.cached.borrow().as_ref()));
        let answer = match allowed {
            Err(problem) => Err(problem),
            Ok(()) => {
                let execute = async || command.clone().visit(Execute(self));
                let answer = self.waiters.decide(Delay::from, execute).await?;
                if let Some((upload, n)) = command.releases() {
                    self.leases.borrow_mut().end_part(upload, n);
                }
                answer
            }
        };
        self.forget_if_over().await?;
        self.set_alarm().await?;
        Response::from_bytes(match answer {
            Ok(reply) => reply,
            Err(problem) => serde_json::to_vec(&Err::<(), _>(problem))?,
        })
    }

    /// Drops everything that the object has once its link is forgotten, so that nothing of it is kept or
    /// paid for.
    async fn forget_if_over(&self) -> Result<()> {
        if !self.over.take() {
            return Ok(());
        }
        self.rest_until.set(None);
        let storage = self.state.storage();
        storage.delete_alarm().await?;
        self.alarm_at.set(None);
        storage.delete_all().await
    }

    /// Holds a lease until somebody asks for what its holder has. One that `comes` and of which more is held
    /// than is before it holds none.
    async fn lease(&self, lease: Lease, comes: Option<Chunk>) -> Result<Response> {
        if let Some(chunk) = comes {
            self.collect(chunk.upload, Some(chunk.n)).await;
            if let Some(held) = self.already_held(&chunk)? {
                return Response::from_json(&LeaseAnswer::Held(held));
            }
        }
        let asked = self.leases.borrow_mut().hold(lease);
        let asked = match select(asked, Delay::from(LEASED_FOR)).await {
            Either::Left((Ok(()), _)) => LeaseAnswer::Collect,
            // It was ended: its holder has its answer, or will have it.
            Either::Left((Err(_), _)) => LeaseAnswer::Renew,
            Either::Right(_) => LeaseAnswer::Renew,
        };
        Response::from_json(&asked)
    }

    /// As [`Chunk::already_held`], of an upload that takes bytes.
    fn already_held(&self, chunk: &Chunk) -> Result<Option<u64>> {
        let (upload, writer) = (chunk.upload, chunk.writer);
        if self.execute(command::Touch { upload, writer })?.is_err() {
            return Ok(None);
        }
        let staged = stage::staged(&self.state.storage(), upload, chunk.n)?;
        Ok(chunk.already_held(self.is_recorded(chunk)?, staged))
    }

    /// Has the holders of leases stage the bytes that they have of an upload, or of part `n` alone, and waits
    /// until they have.
    async fn collect(&self, upload: UploadId, n: Option<u16>) {
        let waits = self.leases.borrow_mut().ask(upload, n);
        if !waits.is_empty() {
            select(join_all(waits), Delay::from(COLLECTED_WITHIN)).await;
        }
    }

    /// Reads the link, unless it was read.
    fn load_known(&self) -> Result<()> {
        let newer = |newer: OtherVersion| worker::Error::RustError(newer.to_string());
        self.load()?.map_err(newer)
    }

    /// Carries out a command: load, decide, store. What is to be awaited after it is
    /// [`Self::forget_if_over`].
    fn execute<C: Decide>(&self, command: C) -> Result<core::result::Result<C::Reply, Problem>> {
        self.load_known()?;
        let mut cached = self.cached.borrow_mut();
        let rows = Rows::new(&self.state);
        let decision = decide(cached.as_ref(), command, &|upload| rows.held(upload), now());
        rows.were_read()?;
        match decision {
            Ok(decision) => {
                self.store(&mut cached, decision.change)?;
                Ok(Ok(decision.reply))
            }
            Err(problem) => Ok(Err(problem)),
        }
    }

    fn store(&self, cached: &mut Option<LinkState>, change: Change) -> Result<()> {
        let before = cached.take();
        let Some(next) = change.next else {
            self.over.set(true);
            return Ok(());
        };
        store::save(&self.state.storage(), before.as_ref(), &next, &change.parts)?;
        self.watchers.tell(before.as_ref(), &next);
        self.waiters.tell(before.as_ref(), &next);
        *cached = Some(next);
        Ok(())
    }

    /// Keeps what arrives of a chunk. Every row is written as soon as it is full, and the last one
    /// also when the stream breaks off, so a cut costs nothing that had arrived.
    async fn stage(&self, request: Request) -> Result<Response> {
        let chunk: Chunk = links::argument(&request)?;
        let answer = match self.take_over(chunk).await? {
            Ok(Some(keeper)) => match keeper.keep(reader(&request)?, &self.leases).await? {
                // Another request made the part whole while this one arrived.
                Err(problem)
                    if problem.code == ProblemCode::OffsetDiffers
                        && self.is_recorded(&chunk)? =>
                {
                    Ok(StageAnswer::Recorded)
                }
                kept => kept.map(StageAnswer::Staged),
            },
            Ok(None) => Ok(StageAnswer::Recorded),
            Err(problem) => Err(problem),
        };
        self.tell_kept(&answer).await
    }

    /// Takes a part over for a chunk that ends it, and answers with what is held before that chunk.
    async fn begin(&self, request: &Request) -> Result<Response> {
        let chunk: Chunk = links::argument(request)?;
        let answer = match self.take_over(chunk).await? {
            Ok(Some(_)) => {
                let mut held = stage::beginning(self.state.storage(), chunk, chunk.offset)?;
                held.headers_mut().set(links::HEADER_PART, "1")?;
                self.set_alarm().await?;
                return Ok(held);
            }
            Ok(None) => Ok(StageAnswer::Recorded),
            Err(problem) => Err(problem),
        };
        self.tell_kept(&answer).await
    }

    /// Answers with what became of a chunk.
    async fn tell_kept(
        &self,
        kept: &core::result::Result<StageAnswer, Problem>,
    ) -> Result<Response> {
        self.set_alarm().await?;
        Response::from_bytes(serde_json::to_vec(kept)?)
    }

    /// What keeps a chunk from here on, after what whoever kept the part before has put away; `None` where the
    /// part is recorded, so that there is nothing to keep.
    async fn take_over(
        &self,
        chunk: Chunk,
    ) -> Result<core::result::Result<Option<Keeper>, Problem>> {
        let upload = chunk.upload;
        let writer = chunk.writer;
        if chunk.takes_over() {
            self.collect(upload, Some(chunk.n)).await;
        }
        match self.execute(command::Touch { upload, writer })? {
            Ok(()) if self.is_recorded(&chunk)? => Ok(chunk.of_recorded().map(|()| None)),
            Ok(()) => Ok(self.keeper(chunk)?.map(Some)),
            Err(problem) => Ok(Err(problem)),
        }
    }

    fn keeper(&self, chunk: Chunk) -> Result<core::result::Result<Keeper, Problem>> {
        let storage = self.state.storage();
        Keeper::begin(storage, Rc::clone(&self.cached), &self.appenders, chunk)
    }

    fn is_recorded(&self, chunk: &Chunk) -> Result<bool> {
        let recorded = match chunk.sha256 {
            Some(_) => store::part(&self.state.storage(), chunk.upload, chunk.n)?,
            None => None,
        };
        Ok(rules::is_recorded(
            recorded.map(|part| part.sha256),
            chunk.sha256,
        ))
    }

    /// The link's events as they happen.
    async fn watch(&self, mut request: Request) -> Result<Response> {
        let read: For<ReadEvents> = serde_json::from_str(&request.text().await?)?;
        match self.execute(read)? {
            Ok(events) => Response::from_stream(self.watchers.watch(&events)?),
            Err(problem) => {
                let mut response = Response::from_json(&problem)?;
                response.headers_mut().set("chatlift-refused", "1")?;
                Ok(response)
            }
        }
    }

    /// Sets the alarm for what is due next.
    async fn set_alarm(&self) -> Result<()> {
        let next = self.cached.borrow().as_ref().and_then(next_alarm);
        let next = wake_at(next, self.rest_until.get());
        if next == self.alarm_at.get() {
            return Ok(());
        }
        match next {
            Some(at) => {
                // An offset from now, in milliseconds.
                self.state.storage().set_alarm(now().until(at)).await?;
                counts::alarm_set();
            }
            None => self.state.storage().delete_alarm().await?,
        }
        self.alarm_at.set(next);
        Ok(())
    }

    async fn work(&self) -> Result<()> {
        if self.execute(command::Tick)?.is_err() {
            // It was erased as its work began.
            return Ok(());
        }
        let Some((link, policy, work)) = self
            .cached
            .borrow()
            .as_ref()
            .map(|state| (state.link.id, state.link.policy.clone(), due(state, now())))
        else {
            return Ok(());
        };
        let broken = |failure: Failure| worker::Error::RustError(failure.reason());
        let config = setup::config(&self.env).map_err(broken)?;
        let service = Service {
            links: Local(self),
            bucket: R2::new(&self.env).map_err(broken)?,
            world: Workers::new(None),
        };
        let directory = Directories::new(&self.env, version::MESSAGES).map_err(broken)?;
        let endpoints = Endpoints {
            config,
            directory: &directory,
        };
        let failed = service
            .perform_due(link, &policy, work, &endpoints, &directory)
            .await;
        self.rest_until.set(failed.then(|| now().plus(RETRY)));
        self.set_alarm().await
    }
}

/// The object's own link, for the service that its alarm runs.
struct Local<'a>(&'a LinkObject);

impl Links for Local<'_> {
    async fn execute<C: Decide>(
        &self,
        _link: LinkId,
        command: C,
    ) -> core::result::Result<C::Reply, Failure> {
        let broken = |error| Failure::Broken(log::text(&error));
        let answer = self.0.execute(command).map_err(broken)?;
        self.0.forget_if_over().await.map_err(broken)?;
        answer.map_err(Failure::Refused)
    }
}

/// Carries out a command that came as a message; the answer where it was not refused, as JSON.
struct Execute<'a>(&'a LinkObject);

impl Visitor for Execute<'_> {
    type Output = Result<core::result::Result<Vec<u8>, Problem>>;

    fn visit<C: Decide>(self, command: C) -> Self::Output {
        Ok(match self.0.execute(command)? {
            Ok(reply) => Ok(serde_json::to_vec(&Ok::<_, Problem>(reply))?),
            Err(problem) => Err(problem),
        })
    }
}

/// The rows of parts, as a decision asks for them.
struct Rows {
    storage: Storage,
    unreadable: RefCell<Option<worker::Error>>,
}

impl Rows {
    fn new(state: &State) -> Self {
        Self {
            storage: state.storage(),
            unreadable: RefCell::default(),
        }
    }

    fn held(&self, upload: UploadId) -> Held {
        store::held(&self.storage, upload).unwrap_or_else(|error| {
            *self.unreadable.borrow_mut() = Some(error);
            Held::default()
        })
    }

    /// Fails when one could not be read: what was decided then is decided on nothing.
    fn were_read(self) -> Result<()> {
        self.unreadable.into_inner().map_or(Ok(()), Err)
    }
}

/// What reads the body of a request; `None` where it has none.
fn reader(request: &Request) -> Result<Option<Reader>> {
    let body = request.inner().body();
    Ok(body.map(|body| Reader::of(&body)).transpose()?)
}
