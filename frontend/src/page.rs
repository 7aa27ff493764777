//! The page's state: what the link asks for, what was picked, and how far it is. Views read it
//! through [`Signals`]; pickers and buttons call the functions.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use chatlift_frontend::uploader::{Failure, Key, Refusal, Speed, State};
use chatlift_frontend::wire::{File as StoredFile, Link};
use chatlift_frontend::{accept, format, wire};
use chatlift_shared::ProblemCode;
use chatlift_shared::api::ReceiptStatus;
use js_sys::Promise;
use leptos::prelude::untrack;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, Event, File};

use crate::i18n::{problem, t, tf};
use crate::live::{Live, LiveView};
use crate::{api, dom, engine};

/// What the page is about at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Files are picked and confirmed.
    #[default]
    Picking,
    /// Files are on their way.
    Sending,
    /// Nothing is on its way, and some file has failed.
    Settled,
    /// All that was sent has arrived.
    Done,
}

/// A picked file.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) view: LiveView,
}

/// What a row shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The `data-state`, see `components`.
    pub(crate) state: &'static str,
    pub(crate) percent: u8,
    /// The same with what is on its way.
    pub(crate) reach: u8,
    pub(crate) note: String,
    /// Why it does not go on; empty if it does.
    pub(crate) error: String,
    pub(crate) can_retry: bool,
}

/// All files together, while they are on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) percent: u8,
    /// The same with what is on its way.
    pub(crate) reach: u8,
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) cut: bool,
    /// Nothing goes on before its user lets it.
    pub(crate) paused: bool,
    /// Bytes per second.
    pub(crate) rate: Option<u64>,
    /// Seconds left.
    pub(crate) left: Option<u32>,
}

/// What changes on the page.
#[derive(Clone, Copy)]
pub(crate) struct Signals {
    pub(crate) phase: Live<Phase>,
    pub(crate) rows: Live<Vec<Row>>,
    pub(crate) sum: Live<Sum>,
    /// What the link has, oldest first.
    pub(crate) files: Live<Vec<StoredFile>>,
    /// How many of them came from this visit's last pick.
    pub(crate) arrived: Live<usize>,
    /// How many more the link takes.
    pub(crate) left: Live<u32>,
    /// Why the link takes none, by its problem's code.
    pub(crate) trouble: Live<Option<String>>,
    /// What came of the last pick, if it is worth a word.
    pub(crate) notice: Live<String>,
    /// For screen readers.
    pub(crate) live: Live<String>,
}

thread_local! {
    static PAGE: RefCell<Option<(Rc<Link>, Signals)>> = const { RefCell::new(None) };
    static KEYS: Cell<Key> = const { Cell::new(0) };
    static POLLING: Cell<bool> = const { Cell::new(false) };
    static SPEED: RefCell<Speed> = RefCell::default();
    /// Whether a [`sync`] is due.
    static DUE: Cell<bool> = const { Cell::new(false) };
}

/// Takes the link over.
pub(crate) fn open(link: Link, trouble: Option<String>) -> (Rc<Link>, Signals) {
    let signals = Signals {
        phase: Live::new(Phase::Picking, |state| &state.phase),
        rows: Live::new(Vec::new(), |state| &state.rows),
        sum: Live::new(Sum::default(), |state| &state.sum),
        files: Live::new(link.files.clone(), |state| &state.files),
        arrived: Live::new(0, |state| &state.arrived),
        left: Live::new(link.files_left, |state| &state.left),
        trouble: Live::new(trouble, |state| &state.trouble),
        notice: Live::new(String::new(), |state| &state.notice),
        live: Live::new(String::new(), |state| &state.live),
    };
    let page = (Rc::new(link), signals);
    PAGE.with(|own| own.replace(Some(page.clone())));
    page
}

fn page() -> Option<(Rc<Link>, Signals)> {
    PAGE.with(|page| page.borrow().clone())
}

/// Listens to what concerns the whole page.
pub(crate) fn listen() {
    dom::listen(&dom::window(), "online", |_| engine::wake(true));
    dom::listen(&dom::document(), "click", |event| {
        if let Some((what, key)) = clicked(&event) {
            event.prevent_default();
            act(&what, key);
        }
    });
    dom::listen(&dom::document(), "submit", |event| event.prevent_default());
    dom::listen(&dom::document(), "visibilitychange", |_| wakeful());
    dom::listen(&dom::window(), "offline", |_| sync());
    dom::listen(&dom::window(), "beforeunload", |event| {
        if engine::progress().1 {
            event.prevent_default();
            // Older browsers ask only for this.
            let _ = js_sys::Reflect::set(&event, &"returnValue".into(), &"".into());
        }
    });
    poll();
}

/// What a clicked element does, and for which file.
fn clicked(event: &Event) -> Option<(String, Option<Key>)> {
    let target: Element = event.target()?.dyn_into().ok()?;
    let element = target.closest("[data-do]").ok()??;
    let key = element.get_attribute("data-key");
    let key = key.and_then(|key| format::number(&key));
    Some((element.get_attribute("data-do")?, key))
}

/// Does what a button says.
fn act(what: &str, key: Option<Key>) {
    match (what, key) {
        ("confirm", _) => confirm(),
        ("retry", key) => retry(key),
        ("pause", key) => pause(key, true),
        ("resume", key) => pause(key, false),
        ("remove", Some(key)) => remove(key),
        ("cancel-all", _) => give_up(is_on_its_way),
        ("skip", _) => give_up(|state| state == "failed"),
        ("copy", _) => copy(),
        _ => {
            let _ = dom::window().location().reload();
        }
    }
}

fn is_on_its_way(state: &str) -> bool {
    matches!(state, "queued" | "uploading" | "paused" | "completing")
}

/// Copies the page's address, to be opened in another browser.
fn copy() {
    let Some((_, s)) = page() else { return };
    let address = dom::window().location().href().unwrap_or_default();
    let clipboard = dom::get(&dom::window().navigator(), "clipboard");
    let copied = clipboard.and_then(|clipboard| dom::call(&clipboard, "writeText", &address));
    // Without a clipboard, the address itself can be copied by hand.
    s.notice.set(match copied {
        Some(_) => t("inapp.copied"),
        None => address,
    });
}

/// Keeps the screen awake while files are on their way, where the browser can.
fn wakeful() {
    thread_local! {
        static LOCK: RefCell<Option<JsValue>> = const { RefCell::new(None) };
    }
    let live = engine::progress().1 && !dom::document().hidden();
    let held = LOCK.with(|lock| lock.borrow().is_some());
    if live == held {
        return;
    }
    // A promise of a lock; to release it one waits for it.
    let lock = if live {
        let wake_lock = dom::get(&dom::window().navigator(), "wakeLock");
        wake_lock.and_then(|wake_lock| dom::call(&wake_lock, "request", "screen"))
    } else {
        None
    };
    if let Some(old) = LOCK.with(|own| own.replace(lock))
        && let Ok(promise) = old.dyn_into::<Promise>()
    {
        dom::spawn(async move {
            if let Ok(sentinel) = JsFuture::from(promise).await {
                dom::call(&sentinel, "release", "");
            }
        });
    }
}

/// Whether files can be picked now.
pub(crate) fn is_open() -> bool {
    page().is_some_and(|(_, s)| takes(s))
}

/// Whether files can be picked now; tracked by the caller's view.
pub(crate) fn takes(s: Signals) -> bool {
    s.trouble.with(Option::is_none)
        && s.left.get() > 0
        && matches!(s.phase.get(), Phase::Picking | Phase::Done)
}

/// How many rows are in `state`; tracked.
pub(crate) fn count(s: Signals, state: &str) -> usize {
    s.rows.with(|rows| {
        rows.iter()
            .filter(|row| row.view.with(|view| view.state == state))
            .count()
    })
}

/// Takes picked files in.
pub(crate) fn add(files: Vec<File>) {
    let Some((link, s)) = page() else { return };
    if !untrack(|| takes(s)) {
        return;
    }
    let mut room = (s.left.get_untracked() as usize).saturating_sub(untrack(|| count(s, "ready")));
    let (mut already, mut left_out) = (0, 0);
    let mut added = Vec::new();
    for file in files {
        // The size of a file: whole and not negative.
        let (name, size) = (file.name(), file.size() as u64);
        let error = refusal(&link, &name, size, &file.type_());
        if engine::has(&file) {
            already += 1;
        } else if error.is_empty() && room == 0 {
            left_out += 1;
        } else {
            room -= usize::from(error.is_empty());
            let key = KEYS.get() + 1;
            KEYS.set(key);
            let ready = error.is_empty();
            let view = View {
                state: if ready { "ready" } else { "refused" },
                percent: 0,
                reach: 0,
                note: if ready {
                    t("state.ready")
                } else {
                    String::new()
                },
                error,
                can_retry: false,
            };
            engine::keep(key, file);
            added.push(Row {
                key,
                name,
                size,
                view: LiveView::new(key, view),
            });
        }
    }
    let mut notice = Vec::new();
    for (key, n) in [("notice.already", already), ("notice.left-out", left_out)] {
        if n > 0 {
            notice.push(crate::i18n::tn(key, n, &[]));
        }
    }
    s.notice.set(notice.join(" "));
    if !added.is_empty() {
        s.phase.set(Phase::Picking);
        s.rows.update(|rows| rows.extend(added));
    }
}

/// Why a file cannot be sent, as far as the page can tell; empty if it can.
fn refusal(link: &Link, name: &str, size: u64, media_type: &str) -> String {
    if size == 0 {
        problem("file-empty")
    } else if size > link.max_file_size {
        too_large(size, link.max_file_size)
    } else if accept::is_clearly_wrong(&link.accept, media_type, name) {
        problem("file-type-not-accepted")
    } else {
        String::new()
    }
}

fn too_large(size: u64, limit: u64) -> String {
    tf(
        "problem.too-large-here",
        &[
            ("size", &format::size(size)),
            ("limit", &format::size(limit)),
        ],
    )
}

/// Takes a file off the list: a pick, one on its way, or one that failed.
pub(crate) fn remove(key: Key) {
    let Some((_, s)) = page() else { return };
    engine::drop_file(key);
    LiveView::forget(key);
    s.notice.set(String::new());
    s.rows.update(|rows| rows.retain(|row| row.key != key));
    engine::pump();
}

/// Goes on without some of the files.
fn give_up(which: fn(&str) -> bool) {
    let Some((_, s)) = page() else { return };
    for row in s.rows.get_untracked() {
        if row.view.with_untracked(|view| which(view.state)) {
            remove(row.key);
        }
    }
}

/// Holds a file, or lets it go on; all, if `key` is `None`.
fn pause(key: Option<Key>, paused: bool) {
    let Some((_, s)) = page() else { return };
    SPEED.with(|speed| speed.borrow_mut().reset());
    for row in s.rows.get_untracked() {
        if key.is_none_or(|key| key == row.key) {
            engine::pause(row.key, paused);
        }
    }
    engine::pump();
}

/// Sends what was picked.
pub(crate) fn confirm() {
    let Some((link, s)) = page() else { return };
    for row in s.rows.get_untracked() {
        if row.view.with_untracked(|view| view.state == "ready") {
            engine::start(row.key, row.size, link.single_request_max);
        }
    }
    s.notice.set(String::new());
    s.arrived.set(0);
    s.phase.set(Phase::Sending);
    engine::pump();
}

/// Sends a file that failed once more; all that can be, if `key` is `None`.
pub(crate) fn retry(key: Option<Key>) {
    let Some((link, s)) = page() else { return };
    for row in s.rows.get_untracked() {
        let wanted = key.is_none_or(|key| key == row.key);
        if wanted && row.view.with_untracked(|view| view.can_retry) {
            engine::start(row.key, row.size, link.single_request_max);
        }
    }
    s.phase.set(Phase::Sending);
    engine::pump();
}

/// The edge has stored a file.
pub(crate) fn stored(file: StoredFile) {
    let Some((_, s)) = page() else { return };
    // The same file twice is one that was retried after its answer got lost.
    if !s
        .files
        .with_untracked(|files| files.iter().any(|known| known.id == file.id))
    {
        s.files.update(|files| files.push(file));
        s.left.update(|left| *left = left.saturating_sub(1));
    }
    s.arrived.update(|arrived| *arrived += 1);
}

/// Shows how the machine stands.
pub(crate) fn sync() {
    let Some((_, s)) = page() else { return };
    let now = dom::now();
    for row in s.rows.get_untracked() {
        if let Some(view) = engine::read(row.key, |_, transfer| view(&row, transfer, now))
            && row.view.with_untracked(|old| *old != view)
        {
            row.view.set(view);
        }
    }
    let (progress, live) = engine::progress();
    let count = |state: &str| untrack(|| count(s, state));
    let paused = count("paused") > 0 && count("uploading") + count("queued") == 0;
    let speed = SPEED.with(|speed| {
        let mut speed = speed.borrow_mut();
        speed.sample(now, progress.done);
        *speed
    });
    let cut = !dom::online() && count("uploading") > 0;
    let shown = !paused && live;
    let rest = progress.total.saturating_sub(progress.done);
    let sum = Sum {
        percent: progress.percent(),
        reach: progress.reach(),
        done: progress.done,
        total: progress.total,
        cut,
        paused,
        rate: speed.per_second().filter(|_| shown),
        left: speed.seconds_left(rest).filter(|_| shown),
    };
    if s.sum.with_untracked(|old| *old != sum) {
        // Each quarter is worth a word, not each percent.
        if sum.percent / 25 != s.sum.with_untracked(|old| old.percent / 25) && live {
            s.live.set(tf(
                "progress.live",
                &[("percent", &sum.percent.to_string())],
            ));
        }
        s.sum.set(sum);
    }
    wakeful();
    let phase = s.phase.get_untracked();
    if !live && matches!(phase, Phase::Sending | Phase::Settled) {
        settle(s, phase);
    }
}

/// Shows how the machine stands, soon: bytes move far more often than an eye follows.
pub(crate) fn sync_soon() {
    if !DUE.replace(true) {
        dom::after(200.0, || {
            DUE.set(false);
            sync();
        });
    }
}

/// Nothing is on its way any more.
fn settle(s: Signals, was: Phase) {
    let failed = untrack(|| count(s, "failed"));
    let phase = if failed > 0 {
        Phase::Settled
    } else if s.arrived.get_untracked() > 0 {
        Phase::Done
    } else {
        Phase::Picking
    };
    if phase == was {
        return;
    }
    if phase == Phase::Done {
        engine::clear();
        for row in s.rows.get_untracked() {
            LiveView::forget(row.key);
        }
        s.rows.set(Vec::new());
        s.live.set(crate::i18n::tn(
            "success.title",
            s.arrived.get_untracked(),
            &[],
        ));
        dom::window().scroll_to_with_x_and_y(0.0, 0.0);
    } else if phase == Phase::Settled {
        s.live.set(crate::i18n::tn("result.failed", failed, &[]));
    }
    s.phase.set(phase);
    SPEED.with(|speed| speed.borrow_mut().reset());
    poll();
}

fn view(row: &Row, transfer: &chatlift_frontend::uploader::Transfer, now: f64) -> View {
    let (percent, reach) = (transfer.progress().percent(), transfer.progress().reach());
    let text = percent.to_string();
    let values = [("percent", text.as_str())];
    let (state, note) = match transfer.state() {
        _ if transfer.is_paused() => ("paused", tf("state.paused", &values)),
        State::Queued => ("queued", t("state.queued")),
        State::Uploading if transfer.is_waiting(now) && !dom::online() => {
            ("uploading", tf("state.offline", &values))
        }
        State::Uploading if transfer.is_waiting(now) => {
            ("uploading", tf("state.retrying", &values))
        }
        State::Uploading => {
            let size = format::size(row.size);
            (
                "uploading",
                tf("state.uploading", &[("percent", &text), ("size", &size)]),
            )
        }
        State::Completing => ("completing", t("state.completing")),
        State::Stored => ("stored", t("state.stored")),
        State::Failed(failure) => {
            let (error, can_retry) = explain(row, failure);
            return View {
                state: "failed",
                percent,
                reach: percent,
                note: String::new(),
                error,
                can_retry,
            };
        }
    };
    View {
        state,
        percent,
        reach,
        note,
        error: String::new(),
        can_retry: false,
    }
}

/// What to say of a failure, and whether trying again can help.
fn explain(row: &Row, failure: &Failure) -> (String, bool) {
    use ProblemCode as P;
    match failure {
        Failure::Network if !dom::online() => (problem("offline"), true),
        Failure::Network => (problem("edge-down"), true),
        Failure::Unreadable => (problem("file-unreadable"), false),
        Failure::Edge(Refusal {
            code: None, status, ..
        }) if *status >= 500 => (problem("edge-down"), true),
        Failure::Edge(Refusal { code: None, .. }) => (problem("internal"), true),
        Failure::Edge(Refusal {
            code: Some(P::FileTooLarge),
            limit: Some(limit),
            ..
        }) => (too_large(row.size, *limit), false),
        Failure::Edge(Refusal {
            code: Some(code), ..
        }) => {
            let for_good = matches!(
                code,
                P::FileTooLarge
                    | P::FileEmpty
                    | P::FileTypeNotAccepted
                    | P::BodyTooLarge
                    | P::LinkFull
                    | P::LinkExpired
                    | P::LinkRevoked
                    | P::LinkNotFound
                    | P::LinkTokenInvalid
            );
            (problem(code.code()), !for_good)
        }
    }
}

/// First and longest wait between two looks at what became of the files, in milliseconds.
const POLL_MS: (f64, f64) = (3_000.0, 30_000.0);

/// Looks at what became of the files after which the page gives up: about ten minutes.
const POLLS_MAX: u32 = 28;

/// Asks the edge from time to time what became of the files, until each has its final receipt.
fn poll() {
    let Some((_, s)) = page() else { return };
    if POLLING.replace(true) {
        return;
    }
    dom::spawn(async move {
        let mut wait = POLL_MS.0;
        for _ in 0..POLLS_MAX {
            if !s
                .files
                .with_untracked(|files| files.iter().any(is_open_ended))
            {
                break;
            }
            dom::sleep(wait).await;
            wait = (wait * 1.3).min(POLL_MS.1);
            if dom::document().hidden() || s.phase.get_untracked() == Phase::Sending {
                continue;
            }
            let answer = api::page("").await;
            let link = answer
                .ok()
                .and_then(|data| wire::link(&wire::Value::get(&data, "link")?));
            if let Some(link) = link
                && s.phase.get_untracked() != Phase::Sending
            {
                s.left.set(link.files_left);
                if s.files.with_untracked(|files| *files != link.files) {
                    s.files.set(link.files);
                }
            }
        }
        POLLING.set(false);
    });
}

fn is_open_ended(file: &StoredFile) -> bool {
    let status = file.receipt.as_ref().map(|receipt| receipt.status);
    !matches!(
        status,
        Some(ReceiptStatus::Delivered | ReceiptStatus::Rejected)
    )
}
