//! The page's state: what the link asks for, what was picked, and how far it is. Views read it
//! through [`Page`].
//!
//! `pick` takes files in, `act` does what buttons say, `show` shows how the machine stands, `words`
//! says it, `back` takes stored files back, `follow` asks what became of stored files, and `wake` keeps the screen on.

mod act;
mod back;
mod follow;
mod pick;
mod show;
mod wake;
mod words;

use std::cell::Cell;

use chatlift_frontend::uploader::Key;
use chatlift_frontend::wire::{File as StoredFile, Link};

use leptos::prelude::*;

pub(crate) use act::{
    cancel_all, choose_another, confirm, copy_address, gone, listen, pause, remove, retry, say,
    shift, skip_failed, turn,
};
pub(crate) use back::{answer_take_back, ask_take_back, can_be_taken_back};
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
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) name: String,
    pub(crate) size: u64,
    /// Lives as long as the program, as all of a page does.
    pub(crate) view: RwSignal<View>,
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
    /// Given up, and not yet taken back.
    Cancelling,
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
            Self::Cancelling => "cancelling",
            Self::Stored => "stored",
            Self::Failed => "failed",
        }
    }

    /// Whether it is begun, and neither given up nor at an end.
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
    /// By how many degrees clockwise its user has turned it.
    pub(crate) turned: u16,
}

impl View {
    /// Whether only another file helps.
    pub(crate) fn wants_another(&self) -> bool {
        !self.error.is_empty() && !self.can_retry
    }
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

/// What the link has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Oldest first.
    pub(crate) files: Vec<StoredFile>,
    /// How many more it takes.
    pub(crate) left: u32,
    /// The file of them that is being taken back, by its id.
    pub(crate) back: Option<(String, TakeBack)>,
}

/// How far the person is with taking a file back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TakeBack {
    /// Asked whether that is meant.
    Asked,
    /// The edge has not answered yet.
    Running,
    /// It was not taken back, for this reason.
    Failed(String),
}

/// The link, and what changes on its page. In the context of every component, and at hand for the
/// machine by [`page`]. There is one for as long as the program runs.
#[derive(Clone, Copy)]
pub(crate) struct Page {
    pub(crate) link: &'static Link,
    pub(crate) phase: RwSignal<Phase>,
    pub(crate) rows: RwSignal<Vec<Row>>,
    pub(crate) sum: RwSignal<Sum>,
    pub(crate) held: RwSignal<Held>,
    /// Why the link takes none, by its problem's code; empty if it takes some.
    pub(crate) trouble: RwSignal<String>,
    /// What came of the last pick, if it is worth a word.
    pub(crate) notice: RwSignal<String>,
    /// For screen readers.
    pub(crate) live: RwSignal<String>,
}

thread_local! {
    static PAGE: Cell<Option<Page>> = const { Cell::new(None) };
    /// Whether some of the link's files came from this visit's last pick.
    static ARRIVED: Cell<bool> = const { Cell::new(false) };
    /// The file that the next pick takes the place of.
    static REPLACED: Cell<Option<Key>> = const { Cell::new(None) };
}

/// Takes the link over.
pub(crate) fn open(link: Link, trouble: String) -> Page {
    let page = Page {
        phase: RwSignal::default(),
        rows: RwSignal::default(),
        sum: RwSignal::default(),
        held: RwSignal::new(Held {
            files: link.files.clone(),
            left: link.files_left,
            back: None,
        }),
        trouble: RwSignal::new(trouble),
        notice: RwSignal::default(),
        live: RwSignal::default(),
        link: Box::leak(Box::new(link)),
    };
    PAGE.set(Some(page));
    page
}

/// The page, once its link is known.
fn page() -> Option<Page> {
    PAGE.get()
}

/// Whether files can be picked now.
pub(crate) fn is_open() -> bool {
    page().is_some_and(|page| untrack(|| page.takes()))
}

impl Page {
    /// How many more files the link takes; tracked.
    pub(crate) fn left(&self) -> u32 {
        self.held.with(|held| held.left)
    }

    /// Whether files can be picked now, whatever else goes on; tracked by the caller's view.
    pub(crate) fn takes(&self) -> bool {
        self.trouble.with(String::is_empty) && self.left() > 0
    }

    /// How many files can be picked besides those that are ready or on their way; tracked.
    pub(crate) fn room(&self) -> usize {
        let taken = self.rows.with(|rows| {
            let takes = |view: &View| view.state == RowState::Ready || view.state.is_under_way();
            rows.iter().filter(|row| row.view.with(takes)).count()
        });
        (self.left() as usize).saturating_sub(taken)
    }

    /// How many rows are in `state`; tracked.
    pub(crate) fn count(&self, state: RowState) -> usize {
        self.rows.with(|rows| {
            let rows = rows.iter();
            rows.filter(|row| row.view.with(|view| view.state == state))
                .count()
        })
    }

    /// Bytes of all that is ready to be sent; tracked.
    pub(crate) fn ready_size(&self) -> u64 {
        self.rows.with(|rows| {
            let ready = rows
                .iter()
                .filter(|row| row.view.with(|view| view.state == RowState::Ready));
            ready.map(|row| row.size).sum()
        })
    }

    /// Whether trying again can help some file; tracked.
    pub(crate) fn some_can_retry(&self) -> bool {
        self.rows
            .with(|rows| rows.iter().any(|row| row.view.with(|view| view.can_retry)))
    }
}
