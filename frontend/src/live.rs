//! Values that views follow.
//!
//! Leptos's signals carry their values in an arena, and the compiler builds their code for each
//! type of value. Here the values lie in one place beside, and Leptos's trigger, its signal without
//! a value, only says that one changed: one type, whose code is loaded once. Reading and writing
//! look as they do with Leptos.

use std::cell::RefCell;

use chatlift_frontend::uploader::Key;
use chatlift_frontend::wire::File;
use reactive_graph::signal::ArcTrigger;
use reactive_graph::traits::{Notify as _, Track as _};

use crate::page::{Phase, Row, Sum, View};

/// A value, and what says that it changed.
#[derive(Default)]
pub(crate) struct Slot<T> {
    value: RefCell<T>,
    tick: ArcTrigger,
}

/// The values of the page, each in its own cell so that one can be read while another is.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) phase: Slot<Phase>,
    pub(crate) rows: Slot<Vec<Row>>,
    pub(crate) sum: Slot<Sum>,
    pub(crate) files: Slot<Vec<File>>,
    pub(crate) arrived: Slot<bool>,
    pub(crate) left: Slot<u32>,
    pub(crate) trouble: Slot<Option<String>>,
    pub(crate) notice: Slot<String>,
    pub(crate) live: Slot<String>,
    views: RefCell<Vec<(Key, View, ArcTrigger)>>,
}

thread_local! {
    static STATE: State = State::default();
}

#[inline(never)]
fn track(tick: &ArcTrigger) {
    tick.track();
}

#[inline(never)]
fn notify(tick: &ArcTrigger) {
    tick.notify();
}

/// One value of the page.
pub(crate) struct Live<T: 'static> {
    slot: fn(&State) -> &Slot<T>,
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Live<T> {}

impl<T> Live<T> {
    pub(crate) fn of(slot: fn(&State) -> &Slot<T>) -> Self {
        Self { slot }
    }

    /// Reads; the view that asks is drawn again when the value changes.
    pub(crate) fn with<R>(self, read: impl FnOnce(&T) -> R) -> R {
        STATE.with(|state| {
            let slot = (self.slot)(state);
            track(&slot.tick);
            read(&slot.value.borrow())
        })
    }

    pub(crate) fn with_untracked<R>(self, read: impl FnOnce(&T) -> R) -> R {
        STATE.with(|state| read(&(self.slot)(state).value.borrow()))
    }

    pub(crate) fn set(self, value: T) {
        self.update(|own| *own = value);
    }

    pub(crate) fn update(self, change: impl FnOnce(&mut T)) {
        STATE.with(|state| {
            let slot = (self.slot)(state);
            change(&mut slot.value.borrow_mut());
            notify(&slot.tick);
        });
    }
}

impl<T: Clone> Live<T> {
    pub(crate) fn get(self) -> T {
        self.with(T::clone)
    }

    pub(crate) fn get_untracked(self) -> T {
        self.with_untracked(T::clone)
    }
}

/// What a row shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveView {
    key: Key,
}

impl LiveView {
    pub(crate) fn new(key: Key, view: View) -> Self {
        STATE.with(|state| {
            let mut views = state.views.borrow_mut();
            views.push((key, view, ArcTrigger::new()));
        });
        Self { key }
    }

    /// Reads; the view that asks is drawn again when it changes.
    pub(crate) fn with<R: Default>(self, read: impl FnOnce(&View) -> R) -> R {
        self.look(read, true)
    }

    pub(crate) fn with_untracked<R: Default>(self, read: impl FnOnce(&View) -> R) -> R {
        self.look(read, false)
    }

    fn look<R: Default>(self, read: impl FnOnce(&View) -> R, tracked: bool) -> R {
        STATE.with(|state| {
            let views = state.views.borrow();
            let Some(at) = place(&views, self.key) else {
                return R::default();
            };
            if tracked {
                track(&views[at].2);
            }
            read(&views[at].1)
        })
    }

    pub(crate) fn set(self, view: View) {
        let tick = STATE.with(|state| {
            let mut views = state.views.borrow_mut();
            let at = place(&views, self.key)?;
            views[at].1 = view;
            Some(views[at].2.clone())
        });
        if let Some(tick) = tick {
            notify(&tick);
        }
    }

    /// Forgets what the row of `key` showed; the row is gone.
    pub(crate) fn forget(key: Key) {
        STATE.with(|state| state.views.borrow_mut().retain(|view| view.0 != key));
    }
}

/// Where a file's view is. Keys only grow and views are added at the end, so it is looked up in
/// few steps, also among hundreds.
fn place(views: &[(Key, View, ArcTrigger)], key: Key) -> Option<usize> {
    views.binary_search_by_key(&key, |view| view.0).ok()
}
