//! The page's state: what the link asks for, what was picked, and how far it is. Views read it
//! through [`Signals`].
//!
//! `pick` takes files in, `act` does what buttons say, `show` shows how the machine stands, `words`
//! says it, `follow` asks what became of stored files, and `wake` keeps the screen on.

mod act;
mod follow;
mod pick;
mod show;
mod wake;
mod words;

use std::cell::RefCell;
use std::rc::Rc;

use chatlift_frontend::uploader::Key;
use chatlift_frontend::wire::{File as StoredFile, Link};

use crate::live::{Live, LiveView};

pub(crate) use act::listen;
pub(crate) use pick::add;
pub(crate) use show::{stored, sync, sync_soon};

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

/// How far a picked file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowState {
    Ready,
    Refused,
    Queued,
    Uploading,
    Paused,
    Completing,
    Stored,
    Failed,
}

impl RowState {
    /// The `data-state`, see `components`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Refused => "refused",
            Self::Queued => "queued",
            Self::Uploading => "uploading",
            Self::Paused => "paused",
            Self::Completing => "completing",
            Self::Stored => "stored",
            Self::Failed => "failed",
        }
    }

    /// Whether it is begun and not at an end.
    pub(crate) fn is_under_way(self) -> bool {
        matches!(
            self,
            Self::Queued | Self::Uploading | Self::Paused | Self::Completing
        )
    }
}

/// What a row shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) state: RowState,
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
    /// How many there are.
    pub(crate) files: usize,
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
pub(crate) fn count(s: Signals, state: RowState) -> usize {
    s.rows.with(|rows| {
        rows.iter()
            .filter(|row| row.view.with(|view| view.state == state))
            .count()
    })
}
