//! A page: the real uploader, and around it what `frontend/src/engine` does, with simulated files and requests.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_frontend::uploader::{
    Batch, CHUNK_FIRST, Chunk, Event, Failure, Job, Key, Refusal, State, Wake,
};
use chatlift_frontend::wire::{self, Upload};
use chatlift_shared::api::{HEADER_OFFSET, HEADER_TICKET};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::HEAD_MAX;
use chatlift_shared::{FileId, ProblemCode};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use serde_json::{Value as Json, json};

use super::Journey;
use super::network::{Answer, Ask, Js, foreign};
use super::tasks::Owner;
use crate::tests::model::faults::Fault;

/// Waits between the tries of what is asked in the background, in milliseconds.
const RETRY_MS: [u64; 5] = [1_000, 2_000, 4_000, 8_000, 16_000];

/// Longest time that a call beside the upload may move nothing, in milliseconds.
const PATIENCE_MS: f64 = 20_000.0;

/// Bytes that a phone digests in a millisecond.
const DIGEST_RATE: u64 = 60_000;

/// A tab: what it remembers when its page is reloaded.
#[derive(Default)]
pub(super) struct Tab {
    pub(super) remembered: RefCell<BTreeMap<String, String>>,
}

/// A file that a page has sent.
#[derive(Clone, Debug)]
struct Sent {
    key: Key,
    id: FileId,
    ticket: Option<String>,
}

/// A page that is open.
pub(super) struct Page {
    /// Counts pages.
    pub(super) number: usize,
    pub(super) tab: Rc<Tab>,
    pub(super) batch: RefCell<Batch>,
    /// The files at hand: by their keys, which of the person's each is.
    pub(super) files: RefCell<BTreeMap<Key, usize>>,
    sent: RefCell<Vec<Sent>>,
    picked: Cell<Key>,
    /// When the next timed [`Journey::pump`] is due.
    due: Cell<f64>,
}

impl Page {
    pub(super) fn new(number: usize, tab: Rc<Tab>) -> Self {
        Self {
            number,
            tab,
            batch: RefCell::default(),
            files: RefCell::default(),
            sent: RefCell::default(),
            picked: Cell::new(0),
            due: Cell::new(0.0),
        }
    }

    fn file(&self, key: Key) -> Option<usize> {
        self.files.borrow().get(&key).copied()
    }

    pub(super) fn state(&self, key: Key) -> Option<State> {
        let batch = self.batch.borrow();
        batch.get(key).map(|(_, transfer)| transfer.state().clone())
    }

    fn upload(&self, key: Key) -> Option<Upload> {
        let batch = self.batch.borrow();
        batch.get(key)?.1.upload().cloned()
    }

    pub(super) fn is_live(&self) -> bool {
        self.batch.borrow().is_live()
    }

    /// The files that this page has sent: pick, file and what takes it back.
    pub(super) fn sent(&self) -> Vec<(Key, FileId, Option<String>)> {
        let sent = self.sent.borrow();
        sent.iter()
            .map(|s| (s.key, s.id, s.ticket.clone()))
            .collect()
    }

    fn remember(&self, name: String, value: &str) {
        let mut remembered = self.tab.remembered.borrow_mut();
        remembered.insert(name, value.to_owned());
    }
}

/// By what name the tab remembers the ticket of a file's upload.
fn ticket_of(file: usize) -> String {
    format!("ticket of {file}")
}

impl Journey {
    /// The person picks a file.
    pub(super) fn pick(self: &Rc<Self>, page: &Rc<Page>, file: usize) {
        let key = page.picked.get() + 1;
        page.picked.set(key);
        page.files.borrow_mut().insert(key, file);
        let size = self.files[file].content.len();
        self.trace(|| format!("page {}: file {file} picked, {size} bytes", page.number));
        self.on_pick(file);
        page.batch
            .borrow_mut()
            .start(key, size, CHUNK_FIRST, self.digests.get());
        self.pump(page);
    }

    /// The person gives a file up.
    pub(super) fn cancel(self: &Rc<Self>, page: &Rc<Page>, key: Key) {
        self.trace(|| format!("page {}: pick {key} given up", page.number));
        let before = page.state(key);
        let stays = page.batch.borrow_mut().cancel(key);
        let upload = page.upload(key);
        if !stays || upload.is_some() {
            self.abort(page, key);
        }
        if !stays {
            let file = page.file(key);
            self.forget_pick(page, key);
            if before != Some(State::Stored) {
                if let Some(file) = file {
                    self.on_given_up(file);
                }
                if let Some(upload) = upload {
                    self.give_up(page, &upload);
                }
            }
        }
        self.pump(page);
    }

    /// Takes back a file that was stored, as a person does who looks at the list of them.
    pub(super) fn take_back(self: &Rc<Self>, page: &Rc<Page>, id: FileId, ticket: String) {
        self.trace(|| format!("page {}: {id} is to be taken back", page.number));
        let (journey, page) = (Rc::clone(self), Rc::clone(page));
        self.spawn(Owner::Page(page.number), async move {
            let ask = journey.withdrawal(&upload_of(&id.to_string()), &ticket);
            match journey.ask(ask, PATIENCE_MS, |_| {}).await {
                Err(failure) if !failure.is_gone() => {
                    journey.trace(|| format!("{id} is not taken back: {failure:?}"));
                }
                _ => {
                    page.sent.borrow_mut().retain(|sent| sent.id != id);
                    journey.on_taken_back(id);
                }
            }
        });
    }

    /// Holds a file, or lets it go on.
    pub(super) fn hold(self: &Rc<Self>, page: &Rc<Page>, key: Key, paused: bool) {
        self.trace(|| format!("page {}: pick {key} paused: {paused}", page.number));
        page.batch.borrow_mut().pause(key, paused, self.ms());
        if paused {
            self.abort(page, key);
        }
        self.pump(page);
    }

    /// Brings the next try forward.
    pub(super) fn wake(self: &Rc<Self>, page: &Rc<Page>, by: Wake) {
        page.batch.borrow_mut().wake(by, self.ms());
        self.pump(page);
    }

    fn forget_pick(&self, page: &Page, key: Key) {
        page.batch.borrow_mut().remove(key);
        page.files.borrow_mut().remove(&key);
    }

    /// Aborts the calls that send a file.
    fn abort(&self, page: &Page, key: Key) {
        // Whoever waits goes on when its sender is dropped.
        let calls = self.calls_of.borrow_mut().remove(&(page.number, key));
        drop(calls);
    }

    /// What comes of a call, unless it is aborted with its file.
    async fn unless_aborted(
        &self,
        page: usize,
        key: Key,
        call: impl Future<Output = Result<Js, Failure>>,
    ) -> Result<Js, Failure> {
        let (keeps, aborted) = oneshot::channel::<()>();
        {
            let mut calls = self.calls_of.borrow_mut();
            calls.entry((page, key)).or_default().push(keeps);
        }
        match select(pin!(call), aborted).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(Failure::Network),
        }
    }

    /// Tells the edge that an upload will not be completed.
    fn give_up(self: &Rc<Self>, page: &Page, upload: &Upload) {
        let (journey, ask) = (Rc::clone(self), self.withdrawal(&upload.id, &upload.ticket));
        self.spawn(Owner::Page(page.number), async move {
            for wait in RETRY_MS {
                match journey.ask(ask.clone(), PATIENCE_MS, |_| {}).await {
                    Err(failure) if failure.passes() => journey.sleep_ms(wait).await,
                    _ => break,
                }
            }
        });
    }

    fn withdrawal(&self, upload: &str, ticket: &str) -> Ask {
        self.on_withdrawal(upload);
        Ask {
            method: "DELETE",
            path: format!("{}/uploads/{upload}", self.path()),
            headers: vec![(HEADER_TICKET_LOWER, ticket.to_owned())],
            body: Default::default(),
        }
    }

    async fn ask(
        self: &Rc<Self>,
        ask: Ask,
        patience_ms: f64,
        loaded: impl Fn(u64),
    ) -> Result<Js, Failure> {
        let answer = self.call(ask, patience_ms, loaded).await;
        answer
            .as_ref()
            .map_or(Err(Failure::Network), Answer::understood)
    }

    /// Begins all that may begin now, and comes back when a wait is over.
    pub(super) fn pump(self: &Rc<Self>, page: &Rc<Page>) {
        loop {
            let next = page.batch.borrow_mut().next(self.ms());
            let Some((key, run, job)) = next else { break };
            let (journey, of) = (Rc::clone(self), Rc::clone(page));
            self.spawn(Owner::Page(page.number), async move {
                let event = match journey.carry_out(&of, key, run, job).await {
                    Ok(event) => event,
                    Err(failure) => Event::Failed(job, failure),
                };
                journey.on_event(&of, key, run, event);
                journey.pump(&of);
            });
        }
        let now = self.ms();
        let wakes = page.batch.borrow().wakes_at(now);
        if let Some(at) = wakes
            && (page.due.get() <= now || at < page.due.get())
        {
            page.due.set(at);
            let (journey, of) = (Rc::clone(self), Rc::clone(page));
            self.spawn(Owner::Page(page.number), async move {
                journey.sleep_ms((at - now) as u64 + 1).await;
                journey.pump(&of);
            });
        }
    }

    fn on_event(self: &Rc<Self>, page: &Rc<Page>, key: Key, run: u32, event: Event) {
        if let Event::Announced(upload) = &event
            && page.batch.borrow().get(key).is_none()
        {
            return self.give_up(page, upload);
        }
        if !matches!(event, Event::Loaded { .. }) {
            self.trace(|| format!("page {}: pick {key}: {}", page.number, told(&event)));
        }
        let random = self.share();
        let now = self.ms();
        let before = page.state(key);
        page.batch
            .borrow_mut()
            .on(key, run, event, now, true, random);
        let after = page.state(key);
        if before == after {
            return;
        }
        match after {
            Some(State::Cancelled) => {
                let file = page.file(key);
                self.forget_pick(page, key);
                file.into_iter().for_each(|file| self.on_cancelled(file));
            }
            Some(State::Failed(failure)) => {
                self.trace(|| format!("page {}: pick {key} failed", page.number));
                let cancelled = matches!(before, Some(State::Cancelling { .. }));
                self.on_failed(page, key, &failure, cancelled);
            }
            _ => {}
        }
    }

    async fn carry_out(
        self: &Rc<Self>,
        page: &Rc<Page>,
        key: Key,
        run: u32,
        job: Job,
    ) -> Result<Event, Failure> {
        let file = page.file(key).ok_or(Failure::Unreadable)?;
        let range = |n| {
            let batch = page.batch.borrow();
            batch.get(key).and_then(|(_, transfer)| transfer.range(n))
        };
        let content = &self.files[file].content;
        if let Job::Digest(n) = job {
            let (start, end) = range(n).ok_or(Failure::Unreadable)?;
            self.sleep_ms(1 + (end - start) / DIGEST_RATE).await;
            let digest = content.slice(start, end).digest();
            return Ok(Event::Digested { n, digest });
        }
        self.sleep_ms(self.machine.draw(3)).await;
        let ask = self.ask_for(page, key, job, file);
        let ask = ask.ok_or_else(|| match job {
            Job::Cancel => taken(),
            _ => Failure::Unreadable,
        })?;
        let patience = page.batch.borrow().patience_ms(job);
        let loaded = |bytes| {
            if matches!(job, Job::Whole | Job::Send(_)) {
                self.on_event(page, key, run, Event::Loaded { job, bytes });
            }
        };
        let call = self.ask(ask, patience, loaded);
        let answer = match job {
            // It is not aborted with its file.
            Job::Announce => call.await,
            _ => self.unless_aborted(page.number, key, call).await,
        };
        let answer = answer?;
        let event = self
            .understand(page, key, file, job, &answer)
            .ok_or_else(foreign)?;
        if let Event::Announced(upload) = &event {
            page.remember(ticket_of(file), &upload.ticket);
        }
        Ok(event)
    }

    /// What a job asks of the edge; nothing if the file is gone meanwhile.
    fn ask_for(&self, page: &Page, key: Key, job: Job, file: usize) -> Option<Ask> {
        let content = &self.files[file].content;
        let name = self.files[file].name.clone();
        let batch = page.batch.borrow();
        let (_, transfer) = batch.get(key)?;
        let of_parts = || {
            let digests = transfer.digests();
            (!digests.is_empty()).then(|| Sha256::of(&digests))
        };
        let path = self.path();
        Some(match job {
            Job::Whole => {
                let named = format!("attachment; filename*=UTF-8''{name}");
                let mut headers = vec![("content-disposition", named)];
                if self.digests.get() {
                    headers.push(("content-digest", content.digest().to_header()));
                }
                Ask {
                    method: "POST",
                    path: format!("{path}/files"),
                    headers,
                    body: content.clone(),
                }
            }
            Job::Announce => {
                let ticket = match transfer.upload() {
                    None => page.tab.remembered.borrow().get(&ticket_of(file)).cloned(),
                    Some(_) => transfer.earlier().map(str::to_owned),
                };
                let mut body = json!({
                    "name": name,
                    "size": content.len(),
                    "head": STANDARD.encode(content.head(HEAD_MAX)),
                    "alone": !transfer.has_digests(),
                });
                if let Some(ticket) = ticket {
                    body["ticket"] = ticket.into();
                }
                Ask::json("POST", format!("{path}/uploads"), &body)
            }
            Job::Send(chunk) => {
                let (start, _) = transfer.range(chunk.n)?;
                let upload = transfer.upload()?;
                let (id, n) = (&upload.id, chunk.n);
                let mut path = format!("{path}/uploads/{id}/parts/{n}");
                if let Chunk { ends: true, .. } = chunk
                    && let Some(parts) = of_parts()
                {
                    path += &format!("?parts_sha256={parts}");
                }
                let mut headers = vec![(HEADER_TICKET_LOWER, upload.ticket.clone())];
                if !chunk.direct {
                    headers.push((HEADER_OFFSET_LOWER, chunk.from.to_string()));
                }
                if let Some(digest) = transfer.part_digest(chunk.n) {
                    let name = match chunk.direct {
                        true => "content-digest",
                        false => "repr-digest",
                    };
                    headers.push((name, digest.to_header()));
                }
                Ask {
                    method: "PUT",
                    path,
                    headers,
                    body: content.slice(start + chunk.from, start + chunk.to),
                }
            }
            Job::Complete => {
                let id = &transfer.upload()?.id;
                let body = match of_parts() {
                    Some(parts) => json!({ "parts_sha256": parts.to_string() }),
                    None => json!({}),
                };
                Ask::json("POST", format!("{path}/uploads/{id}/complete"), &body)
            }
            Job::Cancel => {
                let upload = transfer.upload();
                let upload = upload.map(|upload| (upload.id.clone(), upload.ticket.clone()));
                let sent = || {
                    let sent = page.sent.borrow();
                    let sent = sent.iter().find(|sent| sent.key == key)?;
                    Some((upload_of(&sent.id.to_string()), sent.ticket.clone()?))
                };
                let (upload, ticket) = upload.or_else(sent)?;
                self.withdrawal(&upload, &ticket)
            }
            Job::Digest(_) => return None,
        })
    }

    /// What the edge's answer to a job says; nothing if it is no answer of the edge.
    fn understand(
        &self,
        page: &Page,
        key: Key,
        picked: usize,
        job: Job,
        answer: &Js,
    ) -> Option<Event> {
        if let Job::Announce = job {
            return Some(Event::Announced(Box::new(wire::upload(answer)?)));
        }
        if let Some(file) = wire::file(answer) {
            let upload = upload_of(&file.id);
            let (own, given_up) = {
                let batch = page.batch.borrow();
                let transfer = batch.get(key).map(|(_, transfer)| transfer);
                let own = transfer.and_then(|transfer| transfer.upload());
                let own = own.filter(|own| own.id == upload);
                (
                    own.map(|own| own.ticket.clone()),
                    transfer.is_some_and(|transfer| transfer.is_given_up()),
                )
            };
            let ticket = file.ticket.clone().or(own);
            if let Some(ticket) = &ticket {
                page.remember(file.id.clone(), ticket);
            }
            let id: FileId = file.id.parse().expect("a file id");
            page.sent.borrow_mut().push(Sent { key, id, ticket });
            if !given_up {
                self.on_stored(id, picked);
            }
            return Some(Event::Stored);
        }
        let is_empty = answer.0 == Json::Null;
        if let Job::Cancel = job {
            return is_empty.then_some(Event::Cancelled);
        }
        let Job::Send(chunk) = job else { return None };
        match wire::offset(answer) {
            Some(offset) => Some(Event::Staged { n: chunk.n, offset }),
            None => is_empty.then_some(Event::Sent(chunk.n)),
        }
    }

    /// The page is loaded anew: what it had under way is cut, and its files are to be picked again.
    pub(super) fn reload(self: &Rc<Self>, page: &Rc<Page>) -> Rc<Page> {
        self.machine.faults.strikes(Fault::Reload, true);
        self.trace(|| format!("page {} is reloaded", page.number));
        self.close(page);
        self.open(Rc::clone(&page.tab))
    }
}

/// [`HEADER_TICKET`] and [`HEADER_OFFSET`] as the `http` crate wants static names.
const HEADER_TICKET_LOWER: &str = "upload-ticket";
const HEADER_OFFSET_LOWER: &str = "upload-offset";

#[test]
fn the_page_sends_the_headers_that_the_edge_reads() {
    assert!(HEADER_TICKET.eq_ignore_ascii_case(HEADER_TICKET_LOWER));
    assert!(HEADER_OFFSET.eq_ignore_ascii_case(HEADER_OFFSET_LOWER));
}

/// The upload that a file came by.
fn upload_of(file: &str) -> String {
    format!("upl_{}", &file[4..])
}

/// As the edge says it of a file that cannot be taken back.
fn taken() -> Failure {
    Failure::Edge(Box::new(Refusal {
        status: ProblemCode::FileTaken.status(),
        code: Some(ProblemCode::FileTaken),
        ..Refusal::default()
    }))
}

/// What a trace says of an event.
fn told(event: &Event) -> String {
    match event {
        Event::Announced(upload) => format!(
            "announced as {}, parts {:?}, staged {:?}, sealed {}",
            upload.id,
            upload.parts.iter().map(|part| part.n).collect::<Vec<_>>(),
            upload
                .staged
                .iter()
                .map(|s| (s.n, s.offset))
                .collect::<Vec<_>>(),
            upload.sealed,
        ),
        Event::Digested { n, .. } => format!("part {n} is digested"),
        other => format!("{other:?}"),
    }
}
