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

/// What changes on the page. It is nothing by itself, so that every closure of a view can have one.
#[derive(Clone, Copy)]
pub(crate) struct Signals;

impl Signals {
    pub(crate) fn phase(self) -> Live<Phase> {
        Live::of(|state| &state.phase)
    }

    pub(crate) fn rows(self) -> Live<Vec<Row>> {
        Live::of(|state| &state.rows)
    }

    pub(crate) fn sum(self) -> Live<Sum> {
        Live::of(|state| &state.sum)
    }

    /// What the link has, oldest first.
    pub(crate) fn files(self) -> Live<Vec<StoredFile>> {
        Live::of(|state| &state.files)
    }

    /// Whether some of them came from this visit's last pick.
    pub(crate) fn arrived(self) -> Live<bool> {
        Live::of(|state| &state.arrived)
    }

    /// How many more the link takes.
    pub(crate) fn left(self) -> Live<u32> {
        Live::of(|state| &state.left)
    }

    /// Why the link takes none, by its problem's code.
    pub(crate) fn trouble(self) -> Live<Option<String>> {
        Live::of(|state| &state.trouble)
    }

    /// What came of the last pick, if it is worth a word.
    pub(crate) fn notice(self) -> Live<String> {
        Live::of(|state| &state.notice)
    }

    /// For screen readers.
    pub(crate) fn live(self) -> Live<String> {
        Live::of(|state| &state.live)
    }
}

thread_local! {
    static LINK: RefCell<Option<Rc<Link>>> = const { RefCell::new(None) };
}

/// Takes the link over.
pub(crate) fn open(link: Link, trouble: Option<String>) -> (Rc<Link>, Signals) {
    let s = Signals;
    s.files().set(link.files.clone());
    s.left().set(link.files_left);
    s.trouble().set(trouble);
    let link = Rc::new(link);
    LINK.with(|own| own.replace(Some(link.clone())));
    (link, s)
}

fn page() -> Option<(Rc<Link>, Signals)> {
    LINK.with(|link| Some((link.borrow().clone()?, Signals)))
}

/// Whether files can be picked now.
pub(crate) fn is_open() -> bool {
    page().is_some_and(|(_, s)| takes(s))
}

/// Whether files can be picked now; tracked by the caller's view.
pub(crate) fn takes(s: Signals) -> bool {
    s.trouble().with(Option::is_none)
        && s.left().get() > 0
        && matches!(s.phase().get(), Phase::Picking | Phase::Done)
}

/// How many rows are in `state`; tracked.
pub(crate) fn count(s: Signals, state: RowState) -> usize {
    s.rows().with(|rows| {
        rows.iter()
            .filter(|row| row.view.with(|view| view.state == state))
            .count()
    })
}
