//! Carries out what the machine in `uploader` decides: reads the files, calls the edge, and tells
//! the machine what happened.
//!
//! The browser runs one task at a time, and no borrow of a cell here lives across an `await`, so
//! none is ever taken twice. A file's bytes do not pass through the program: the browser digests them, in
//! `digest`, and a request's body is its own slice of the file.

mod digest;
mod read;
mod waiting;

use std::cell::{Cell, RefCell};

use chatlift_frontend::uploader::{
    Batch, CHUNK_FIRST, Chunk, Event, Failure, Job, Key, Progress, Refusal, State, Transfer, Wake,
    probe_ms,
};
use chatlift_frontend::wire::{self, Upload};
use chatlift_shared::ProblemCode;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::HEAD_MAX;
use js_sys::Uint8Array;
use web_sys::File;

use crate::{api, dom, page};
use read::Reader;

pub(crate) use read::with_its_size;
pub(crate) use waiting::{Waiting, waiting};

/// Waits between the tries of [`retry`], in milliseconds.
const RETRY_MS: [f64; 5] = [1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0];

thread_local! {
    static BATCH: RefCell<Batch> = RefCell::default();
    static FILES: RefCell<Vec<Picked>> = const { RefCell::new(Vec::new()) };
    /// When the next timed [`pump`] is due.
    static DUE: Cell<f64> = const { Cell::new(0.0) };
    /// The files that this page has sent.
    static SENT: RefCell<Vec<Sent>> = const { RefCell::new(Vec::new()) };
    /// Whether the edge is asked from time to time whether it can be reached.
    static PROBING: Cell<bool> = const { Cell::new(false) };
}

/// A picked file.
#[derive(Clone)]
struct Picked {
    key: Key,
    file: File,
    /// What goes to the app with it: a note, which may be empty, and by how many degrees its pages are turned.
    said: (String, u16),
}

/// A file that this page has sent.
#[derive(Clone)]
struct Sent {
    /// The pick.
    key: Key,
    /// The id of the file.
    id: String,
    /// What takes it back; none for one that was there already.
    ticket: Option<String>,
}

/// Keeps a picked file at hand.
pub(crate) fn keep(key: Key, file: File) {
    let said = Default::default();
    FILES.with(|files| files.borrow_mut().push(Picked { key, file, said }));
}

/// Whether the same file, by all that the browser tells of one, is at hand already.
pub(crate) fn has(file: &File) -> bool {
    // Size first: it tells nearly all apart, and asks for no text, among hundreds of files.
    let (size, modified) = (file.size(), file.last_modified());
    FILES.with(|files| {
        files.borrow().iter().any(|Picked { file: known, .. }| {
            known.size() == size
                && known.last_modified() == modified
                && dom::text(known, "name") == dom::text(file, "name")
        })
    })
}

/// Begins a file, or begins it anew, so that a tab that is reloaded knows of it. What is larger than a first chunk goes in chunks, so that a
/// cut costs nothing. `said` goes to the app with it, by its announcement: a note, which may be empty, and by how
/// many degrees its pages are turned.
pub(crate) fn start(key: Key, size: u64, single_max: u64, said: (String, u16)) {
    let single_max = match said.0.is_empty() && said.1 == 0 {
        true => single_max.min(CHUNK_FIRST),
        false => 0,
    };
    FILES.with(|files| {
        let mut files = files.borrow_mut();
        if let Some(picked) = files.iter_mut().find(|picked| picked.key == key) {
            picked.said = said;
        }
    });
    BATCH.with(|batch| {
        batch
            .borrow_mut()
            .start(key, size, single_max, digest::are_there())
    });
    waiting::note(key);
}

/// Stops a file. Whether it stays until the edge has taken it back, since the edge may have stored it;
/// else it is forgotten, here and at the edge. One that is being announced is given up once the edge has
/// answered, in [`on_event`].
pub(crate) fn cancel(key: Key) -> bool {
    let stays = BATCH.with(|batch| batch.borrow_mut().cancel(key));
    // One that goes in one request has no ticket before that is answered.
    let upload = read(key, |_, transfer| transfer.upload().cloned()).flatten();
    if !stays || upload.is_some() {
        api::abort(key);
    }
    if !stays {
        let stored = read(key, |_, transfer| *transfer.state() == State::Stored);
        forget(key);
        if let Some(upload) = upload.filter(|_| stored == Some(false)) {
            give_up(upload);
        }
    }
    stays
}

/// Forgets a file.
fn forget(key: Key) {
    waiting::drop(key);
    BATCH.with(|batch| batch.borrow_mut().remove(key));
    FILES.with(|files| files.borrow_mut().retain(|file| file.key != key));
}

/// Tells the edge that an upload will not be completed. What it is not told, it cleans away by
/// itself, but only days later or when the link ends.
fn give_up(upload: Upload) {
    retry(Box::new(move || api::withdraw(&upload.id, &upload.ticket)));
}

/// Asks until the edge has answered, some times, in the background: it sees to what it is never told by
/// itself. Boxed, so that there is one copy of what repeats.
fn retry(ask: Box<dyn Fn() -> api::Answer>) {
    dom::spawn(async move {
        for wait in RETRY_MS {
            match ask().await {
                Err(failure) if failure.passes() => dom::sleep(wait).await,
                _ => break,
            }
        }
    });
}

/// Forgets all files.
pub(crate) fn clear() {
    BATCH.take();
    FILES.take();
}

/// Looks at a file on its way.
pub(crate) fn read<T>(key: Key, look: impl FnOnce(u32, &Transfer) -> T) -> Option<T> {
    BATCH.with(|batch| {
        batch
            .borrow()
            .get(key)
            .map(|(run, transfer)| look(run, transfer))
    })
}

/// How far all are, whether some file is under way, and what the network has carried.
pub(crate) fn progress() -> (Progress, bool, u64) {
    BATCH.with(|batch| {
        let batch = batch.borrow();
        (batch.progress(), batch.is_live(), batch.carried())
    })
}

/// Brings the next try of each file forward.
pub(crate) fn wake(by: Wake) {
    BATCH.with(|batch| batch.borrow_mut().wake(by, dom::now()));
    pump();
}

/// The page was not visible for so many milliseconds: they do not count as time of trying.
pub(crate) fn hidden(ms: f64) {
    BATCH.with(|batch| batch.borrow_mut().hidden(ms));
}

/// Holds a file, or lets it go on.
pub(crate) fn pause(key: Key, paused: bool) {
    BATCH.with(|batch| batch.borrow_mut().pause(key, paused, dom::now()));
    if paused {
        api::abort(key);
    }
}

/// Time after which a probe that has no answer gets a second one beside it, in milliseconds: one
/// that was sent while the network was away may hang long after its return.
const PROBE_AGAIN_MS: f64 = 1_000.0;

/// While files wait for the network, asks whether it is back, and goes on as soon as it is. A wait
/// alone would end late: it doubles, and the network does not keep to it.
fn probe() {
    thread_local! {
        /// Probes under way, and when the last one began.
        static PROBES: Cell<(u32, f64)> = const { Cell::new((0, 0.0)) };
    }
    let cut_ms = || BATCH.with(|batch| batch.borrow().cut_ms(dom::now()));
    if cut_ms().is_none() || PROBING.replace(true) {
        return;
    }
    dom::spawn(async move {
        while let Some(ms) = cut_ms() {
            // A device that knows of no connection tells when it has one; asking is for those that
            // are wrong about it.
            let wait = if dom::online() { ms } else { f64::MAX };
            dom::sleep(probe_ms(wait, dom::random())).await;
            let ((under_way, begun), now) = (PROBES.get(), dom::now());
            if cut_ms().is_none() || (under_way > 0 && now - begun < PROBE_AGAIN_MS) {
                continue;
            }
            PROBES.set((under_way + 1, now));
            dom::spawn(async move {
                let there = api::is_there().await;
                let (under_way, begun) = PROBES.get();
                PROBES.set((under_way - 1, begun));
                if there && cut_ms().is_some() {
                    wake(Wake::Probe);
                }
            });
        }
        PROBING.set(false);
    });
}

/// Begins all that may begin now, shows how things are, and comes back when a wait is over.
pub(crate) fn pump() {
    while let Some((key, run, job)) = BATCH.with(|batch| batch.borrow_mut().next(dom::now())) {
        dom::spawn(async move {
            let event = match carry_out(key, run, job).await {
                Ok(event) => event,
                Err(failure) => Event::Failed(job, failure),
            };
            on_event(key, run, event);
            pump();
        });
    }
    page::sync();
    let now = dom::now();
    if let Some(at) = BATCH.with(|batch| batch.borrow().wakes_at(now))
        && (DUE.get() <= now || at < DUE.get())
    {
        DUE.set(at);
        dom::after(at - now + 1.0, pump);
    }
    probe();
}

fn on_event(key: Key, run: u32, event: Event) {
    if let Event::Announced(upload) = &event
        && read(key, |_, _| ()).is_none()
    {
        // Its file was dropped meanwhile.
        return give_up(Upload::clone(upload));
    }
    // Others tell nothing of what the edge has.
    let told = matches!(
        event,
        Event::Announced(_) | Event::Staged { .. } | Event::Sent(_) | Event::Stored
    );
    BATCH.with(|batch| {
        let mut batch = batch.borrow_mut();
        batch.on(key, run, event, dom::now(), dom::online(), dom::random());
    });
    if told {
        waiting::note(key);
    }
    if read(key, |_, transfer| *transfer.state() == State::Cancelled) == Some(true) {
        forget(key);
        page::gone(key);
    }
}

/// What a job reads of its file comes first, then what it asks of the edge: two waits in all, so
/// that the future is small, whatever the job.
async fn carry_out(key: Key, run: u32, job: Job) -> Result<Event, Failure> {
    let picked = FILES.with(|files| {
        let files = files.borrow();
        files.iter().find(|file| file.key == key).cloned()
    });
    let Picked { file, said, .. } = picked.ok_or(Failure::Unreadable)?;
    let reader = Reader::new(file.clone(), move || {
        on_event(key, run, Event::Stalled(job));
        pump();
    });
    let (start, end) = match job {
        Job::Whole => (0.0, file.size()),
        Job::Announce => (0.0, file.size().min(HEAD_MAX as f64)),
        Job::Digest(n) => range(key, n).ok_or(Failure::Unreadable)?,
        Job::Send(_) | Job::Complete | Job::Cancel => (0.0, 0.0),
    };
    let mut bytes = reader.read(start, end).await?;
    drop(reader);
    if let Job::Complete | Job::Send(Chunk { ends: true, .. }) = job {
        let digests = read(key, |_, transfer| transfer.digests());
        bytes = Uint8Array::from(digests.unwrap_or_default().as_slice());
    }
    // Of nothing there is no digest, and an announcement tells of none.
    let digest = match job {
        _ if bytes.length() == 0 => None,
        Job::Announce => None,
        _ => digest::of(&bytes).await,
    };
    if let Job::Digest(n) = job {
        let digest = digest.ok_or(Failure::Unreadable)?;
        return Ok(Event::Digested { n, digest });
    }
    let call = ask(key, run, job, (&file, said), &bytes, digest);
    let call = call.ok_or_else(|| match job {
        Job::Cancel => taken(),
        _ => Failure::Unreadable,
    })?;
    let answer = match call.await {
        Err(Failure::Network) if matches!(job, Job::Send(_) | Job::Whole) => {
            // A file that changed or vanished looks like a cut. Reading tells: the last byte of what
            // was to be sent, which is also the first to be missing when a file became shorter.
            let end = match job {
                Job::Send(chunk) => range(key, chunk.n).map_or(0.0, |at| at.0) + chunk.to as f64,
                _ => file.size(),
            };
            let reader = Reader::new(file, || {});
            let last = reader.read((end - 1.0).max(0.0), end).await;
            return Err(last.err().unwrap_or(Failure::Network));
        }
        answer => answer?,
    };
    let event = understand(key, job, &answer).ok_or_else(api::foreign)?;
    if let Event::Announced(upload) = &event {
        dom::remember(&ticket_of(&file), &upload.ticket);
    }
    Ok(event)
}

/// By what name the tab remembers the ticket of a file's upload, for when it is reloaded: what the page
/// before has on its way may store the file then.
fn ticket_of(file: &File) -> String {
    let number = |number: f64| chatlift_frontend::format::decimal(number as u64);
    [
        &*dom::text(file, "name"),
        " ",
        &number(file.size()),
        " ",
        &number(file.last_modified()),
    ]
    .concat()
}

fn range(key: Key, n: u16) -> Option<(f64, f64)> {
    let (start, end) = read(key, |_, transfer| transfer.range(n))??;
    Some((start as f64, end as f64))
}

/// Asks of the edge what a job asks; nothing if the file is gone meanwhile. `bytes` were read for it, and
/// `digest` is theirs.
fn ask(
    key: Key,
    run: u32,
    job: Job,
    (file, said): (&File, (String, u16)),
    bytes: &Uint8Array,
    digest: Option<Sha256>,
) -> Option<api::Answer> {
    let loaded: api::Loaded = Box::new(move |bytes: f64| {
        // A count of bytes: whole and not negative.
        let bytes = bytes as u64;
        on_event(key, run, Event::Loaded { job, bytes });
        page::sync_soon();
    });
    let name = dom::text(file, "name");
    let patience = BATCH.with(|batch| batch.borrow().patience_ms(job));
    let whose = api::For(key, patience);
    Some(match job {
        Job::Whole => api::send_whole(whose, &name, digest, file, loaded),
        Job::Announce => {
            let (first, own, alone) = read(key, |_, transfer| {
                let own = transfer.earlier().map(str::to_owned);
                (transfer.upload().is_none(), own, !transfer.has_digests())
            })?;
            let ticket = if first {
                dom::recall(&ticket_of(file))
            } else {
                own
            };
            api::announce(
                patience,
                (&name, said),
                file.size(),
                &bytes.to_vec(),
                ticket,
                alone,
            )
        }
        Job::Send(chunk) => {
            let (start, _) = range(key, chunk.n)?;
            // Offsets in a file are far below 2^53.
            let (from, to) = (start + chunk.from as f64, start + chunk.to as f64);
            let body = file.slice_with_f64_and_f64(from, to).ok()?;
            read(key, |_, transfer| {
                let digests = (transfer.part_digest(chunk.n), digest);
                let upload = transfer.upload()?;
                Some(api::send_chunk(
                    whose, upload, chunk, digests, &body, loaded,
                ))
            })??
        }
        Job::Complete => read(key, |_, transfer| {
            Some(api::complete(whose, transfer.upload()?, digest))
        })??,
        Job::Cancel => {
            let upload = read(key, |_, transfer| {
                let upload = transfer.upload()?;
                Some((upload.id.clone(), upload.ticket.clone()))
            })?;
            // None for one that was there before this page sent it.
            let (upload, ticket) = upload.or_else(|| sent(key))?;
            api::withdraw(&upload, &ticket)
        }
        // Nothing is asked for a digest.
        Job::Digest(_) => return None,
    })
}

/// The upload of a file that this page has sent, and its ticket.
fn sent(key: Key) -> Option<(String, String)> {
    SENT.with(|all| {
        let all = all.borrow();
        let sent = all.iter().find(|sent| sent.key == key)?;
        Some((upload_of(&sent.id)?, sent.ticket.clone()?))
    })
}

/// The upload of a file that this tab has sent, by the file's id, and what takes it back.
pub(crate) fn ticket_of_stored(id: &str) -> Option<(String, String)> {
    Some((upload_of(id)?, dom::recall(id)?))
}

/// A file was taken back.
pub(crate) fn forget_stored(id: &str) {
    SENT.with(|all| all.borrow_mut().retain(|sent| sent.id != id));
    dom::forget(id);
}

/// The upload that a file came by: it has its id, but for what that begins with.
fn upload_of(file: &str) -> Option<String> {
    Some(["upl_", file.get(4..)?].concat())
}

/// As the edge says it of a file that cannot be taken back.
fn taken() -> Failure {
    Failure::Edge(Box::new(Refusal {
        status: ProblemCode::FileTaken.status(),
        code: Some(ProblemCode::FileTaken),
        ..Refusal::default()
    }))
}

/// Tells the edge that the person is done, and in which order the files are wanted: those of `order`. Nothing is
/// sorted, for the code of that is 1 kB.
pub(crate) fn finish(order: &[Key]) {
    let mut ids = Vec::new();
    SENT.with(|sent| {
        let sent = sent.borrow();
        for key in order {
            ids.extend(
                sent.iter()
                    .find(|sent| sent.key == *key)
                    .map(|sent| sent.id.clone()),
            );
        }
    });
    // What is not told now, the link's end tells the backend later.
    retry(Box::new(move || api::done(&ids)));
}

/// What the edge's answer to a job says; nothing if it is no answer of the edge.
fn understand(key: Key, job: Job, answer: &api::Js) -> Option<Event> {
    if let Job::Announce = job {
        return Some(Event::Announced(Box::new(wire::upload(answer)?)));
    }
    // Any other answer with a file is that it is stored.
    if let Some(file) = wire::file(answer) {
        let upload = upload_of(&file.id);
        let announced = read(key, |_, transfer| {
            let own = transfer
                .upload()
                .filter(|own| Some(&own.id) == upload.as_ref());
            (own.map(|own| own.ticket.clone()), transfer.is_given_up())
        });
        let (ticket, given_up) = announced.unwrap_or_default();
        let ticket = file.ticket.clone().or(ticket);
        if let Some(ticket) = &ticket {
            // Also for when the page is reloaded.
            dom::remember(&file.id, ticket);
        }
        SENT.with(|all| {
            all.borrow_mut().push(Sent {
                key,
                id: file.id.clone(),
                ticket,
            });
        });
        if !given_up {
            page::stored(file);
        }
        return Some(Event::Stored);
    }
    if let Job::Cancel = job {
        return answer.0.is_undefined().then_some(Event::Cancelled);
    }
    let Job::Send(chunk) = job else { return None };
    match wire::offset(answer) {
        Some(offset) => Some(Event::Staged { n: chunk.n, offset }),
        None => answer.0.is_undefined().then_some(Event::Sent(chunk.n)),
    }
}
