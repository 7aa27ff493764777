//! The link's Durable Object: the one writer for its link.
//!
//! Safe under concurrency: a command is loaded, decided and stored without awaiting anything in
//! between. Safe under a crash: what must happen later stands in a row, and the alarm is set with
//! every change.

use core::cell::{Cell, RefCell};
use core::time::Duration;

use chatlift_shared::{LinkId, Problem, ProblemCode, Timestamp};
use futures_util::StreamExt as _;
use worker::{
    DurableObject, Env, FixedLengthStream, Request, Response, ResponseBody, Result, State,
    durable_object, worker_sys,
};

use super::bucket::R2;
use super::directory::Directories;
use super::watch::Watchers;
use super::webhooks::Endpoints;
use super::world::{Workers, now};
use super::{counts, links, log, setup, stage, store};
use crate::core::command::{Answer, Command, Reply};
use crate::core::decide::decide;
use crate::core::link::LinkState;
use crate::core::serial::{SerialCommand, may_write};
use crate::core::stage as rules;
use crate::core::work::{due, next_alarm};
use crate::ports::{Chunk, Failure, Kept, Links};
use crate::service::Service;

/// Most pieces of work that one alarm does; the rest is left to the next, at once.
const WORK_PER_ALARM: usize = 20;

/// Shortest wait before an alarm whose work failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// One link.
#[durable_object]
pub struct LinkObject {
    state: State,
    env: Env,
    /// The link as it is stored, once it was read. Emptied when a write fails.
    cached: RefCell<Option<LinkState>>,
    /// When the alarm is set for, as far as this instance knows.
    alarm_at: Cell<Option<Timestamp>>,
    watchers: Watchers,
    turns: RefCell<rules::Turns>,
}

impl DurableObject for LinkObject {
    fn new(state: State, env: Env) -> Self {
        Self {
            state,
            env,
            cached: RefCell::new(None),
            alarm_at: Cell::new(None),
            watchers: Watchers::default(),
            turns: RefCell::default(),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        self.answer(request).await.map_err(log::thrown)
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
    async fn answer(&self, mut request: Request) -> Result<Response> {
        match request.path().as_str() {
            links::PATH_STAGE => return self.stage(request).await,
            links::PATH_STAGED => return self.staged(&request),
            links::PATH_WATCH => return self.watch(request).await,
            _ => {}
        }
        let command: Command = serde_json::from_str(&request.text().await?)?;
        let answer = self.execute(command);
        self.set_alarm().await?;
        Response::from_bytes(serde_json::to_vec(&answer?)?)
    }

    /// Carries out a command: load, decide, store.
    fn execute(&self, command: Command) -> Result<Answer> {
        let storage = self.state.storage();
        let mut cached = self.cached.borrow_mut();
        if cached.is_none() {
            *cached = store::load(&storage)?;
        }
        let unreadable = RefCell::new(None);
        let held = |upload| {
            store::held(&storage, upload).unwrap_or_else(|error| {
                *unreadable.borrow_mut() = Some(error);
                Default::default()
            })
        };
        let decision = decide(cached.as_ref(), command, &held, now());
        if let Some(error) = unreadable.into_inner() {
            return Err(error);
        }
        let decision = match decision {
            Ok(decision) => decision,
            Err(problem) => return Ok(Err(problem)),
        };
        let saved = store::save(&storage, cached.as_ref(), &decision.next, &decision.parts);
        if saved.is_ok() {
            self.watchers.tell(cached.as_ref(), &decision.next);
        }
        *cached = saved.is_ok().then_some(decision.next);
        saved?;
        Ok(Ok(decision.reply))
    }

    /// Keeps what arrives of a chunk. Every row is written as soon as it is full, and the last one
    /// also when the stream breaks off, so a cut costs nothing that had arrived.
    async fn stage(&self, mut request: Request) -> Result<Response> {
        let chunk: Chunk = links::argument(&request)?;
        let touch = match chunk.writer {
            Some(writer) => Command::Serial(chunk.upload, SerialCommand::Touch { writer }),
            None => Command::Touch {
                upload: chunk.upload,
            },
        };
        let answer = match self.execute(touch)? {
            Ok(_) if self.is_recorded(&chunk)? => {
                // Its connection is of no use for a next request while some of the body is unread.
                if request.inner().body().is_some() {
                    let mut stream = request.stream()?;
                    while let Some(Ok(_)) = stream.next().await {}
                }
                Ok(Kept::Recorded)
            }
            Ok(_) => match self.keep(&chunk, &mut request).await? {
                // Another request made the part whole while this one arrived.
                Err(problem)
                    if problem.code == ProblemCode::OffsetDiffers
                        && self.is_recorded(&chunk)? =>
                {
                    Ok(Kept::Recorded)
                }
                kept => kept.map(Kept::Staged),
            },
            Err(problem) => Err(problem),
        };
        self.set_alarm().await?;
        Response::from_bytes(serde_json::to_vec(&answer)?)
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

    async fn keep(
        &self,
        chunk: &Chunk,
        request: &mut Request,
    ) -> Result<core::result::Result<u64, Problem>> {
        let turn = self.turns.borrow_mut().take(chunk.upload, chunk.n);
        let kept = self.keep_in_turn(chunk, turn, request).await;
        self.turns.borrow_mut().end(chunk.upload, chunk.n, turn);
        kept
    }

    async fn keep_in_turn(
        &self,
        chunk: &Chunk,
        turn: u64,
        request: &mut Request,
    ) -> Result<core::result::Result<u64, Problem>> {
        let storage = self.state.storage();
        let held = stage::staged(&storage, chunk.upload, chunk.n)?;
        if let Err(problem) = rules::check(held, chunk.offset, chunk.length, chunk.part_len) {
            return Ok(Err(problem));
        }
        let mut kept = chunk.offset;
        let mut rows = rules::Rows::default();
        if request.inner().body().is_some() {
            let mut stream = request.stream()?;
            // A stream that breaks off ends the chunk early; what arrived is kept.
            while let Some(Ok(bytes)) = stream.next().await {
                for row in rows.push(&bytes) {
                    if let Err(problem) = self.may_write(chunk, turn, kept) {
                        return Ok(Err(problem));
                    }
                    match stage::append(&storage, chunk, kept, row)? {
                        Ok(end) => kept = end,
                        Err(problem) => return Ok(Err(problem)),
                    }
                }
            }
        }
        if let Err(problem) = self.may_write(chunk, turn, kept) {
            return Ok(Err(problem));
        }
        match rows.finish() {
            Some(row) => stage::append(&storage, chunk, kept, row),
            None => Ok(Ok(kept)),
        }
    }

    /// Refuses rows of a request that another one has taken over from meanwhile.
    fn may_write(&self, chunk: &Chunk, turn: u64, kept: u64) -> core::result::Result<(), Problem> {
        if !self.turns.borrow().has(chunk.upload, chunk.n, turn) {
            return Err(rules::offset_differs(kept));
        }
        match (chunk.writer, &*self.cached.borrow()) {
            (Some(writer), Some(state)) => may_write(state, chunk.upload, writer),
            _ => Ok(()),
        }
    }

    /// A part of which everything is staged, row by row.
    fn staged(&self, request: &Request) -> Result<Response> {
        let chunk: Chunk = links::argument(request)?;
        let storage = self.state.storage();
        let rows = futures_util::stream::unfold(0_u64, move |offset| {
            let row = stage::row(&storage, chunk.upload, chunk.n, offset);
            core::future::ready(match row {
                Ok(Some(bytes)) => {
                    let next = offset + bytes.len() as u64;
                    Some((Ok(bytes), next))
                }
                Ok(None) => None,
                Err(error) => Some((Err(error), u64::MAX)),
            })
        });
        // R2 takes no part whose length is not known beforehand.
        let stream: worker_sys::FixedLengthStream =
            FixedLengthStream::wrap(rows, chunk.part_len).into();
        Response::from_body(ResponseBody::Stream(stream.readable()))
    }

    /// The link's events as they happen.
    async fn watch(&self, mut request: Request) -> Result<Response> {
        let command: Command = serde_json::from_str(&request.text().await?)?;
        match self.execute(command)? {
            Ok(Reply::Events(events)) => Response::from_stream(self.watchers.watch(&events)?),
            Ok(_) => Err(worker::Error::RustError("the answer is not events".into())),
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
        self.set_alarm_for(next).await
    }

    async fn set_alarm_for(&self, next: Option<Timestamp>) -> Result<()> {
        if next == self.alarm_at.get() {
            return Ok(());
        }
        if let Some(at) = next {
            // An offset from now, in milliseconds.
            self.state.storage().set_alarm(now().until(at)).await?;
            counts::alarm_set();
            self.alarm_at.set(Some(at));
        }
        Ok(())
    }

    async fn work(&self) -> Result<()> {
        if let Err(problem) = self.execute(Command::Tick)? {
            // The object was never given a link.
            log::error(
                "alarm without a link",
                &[("code", problem.code.code().to_owned())],
            );
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
        let directory = Directories::new(&self.env).map_err(broken)?;
        let endpoints = Endpoints {
            config,
            directory: &directory,
        };
        let mut failed = false;
        for piece in work.into_iter().take(WORK_PER_ALARM) {
            let done = service
                .perform(link, &policy, piece, &endpoints, &directory)
                .await;
            if let Err(failure) = done {
                failed = true;
                log::error(
                    "alarm work failed",
                    &[("link", link.to_string()), ("reason", failure.reason())],
                );
            }
        }
        let next = self.cached.borrow().as_ref().and_then(next_alarm);
        let not_before = if failed { now().plus(RETRY) } else { now() };
        self.set_alarm_for(next.map(|at| at.max(not_before))).await
    }
}

/// The object's own link, for the service that its alarm runs.
struct Local<'a>(&'a LinkObject);

impl Links for Local<'_> {
    async fn execute(
        &self,
        _link: LinkId,
        command: Command,
    ) -> core::result::Result<Reply, Failure> {
        match self.0.execute(command) {
            Ok(answer) => answer.map_err(Failure::Refused),
            Err(error) => Err(Failure::Broken(log::text(&error))),
        }
    }
}
