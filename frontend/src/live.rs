//! Values that views follow.
//!
//! Leptos's signals carry their values, and the compiler builds their code for each type of value.
//! Here the values lie in one place beside, and the signals only say that one changed: one type of
//! signal, whose code is loaded once. Reading and writing look as they do with Leptos.

use std::cell::RefCell;

use chatlift_frontend::uploader::Key;
use chatlift_frontend::wire::File;
use leptos::prelude::*;

use crate::page::{Phase, Row, Sum, View};

/// The values of the page, each in its own cell so that one can be read while another is.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) phase: RefCell<Phase>,
    pub(crate) rows: RefCell<Vec<Row>>,
    pub(crate) sum: RefCell<Sum>,
    pub(crate) files: RefCell<Vec<File>>,
    pub(crate) arrived: RefCell<usize>,
    pub(crate) left: RefCell<u32>,
    pub(crate) trouble: RefCell<Option<String>>,
    pub(crate) notice: RefCell<String>,
    pub(crate) live: RefCell<String>,
    views: RefCell<Vec<(Key, View)>>,
}

thread_local! {
    static STATE: State = State::default();
}

/// Says that a value changed; never carries it.
type Tick = RwSignal<()>;

#[inline(never)]
fn track(tick: Tick) {
    tick.track();
}

#[inline(never)]
fn notify(tick: Tick) {
    tick.notify();
}

#[inline(never)]
fn tick() -> Tick {
    RwSignal::new(())
}

/// One value of the page.
pub(crate) struct Live<T: 'static> {
    tick: Tick,
    slot: fn(&State) -> &RefCell<T>,
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Live<T> {}

impl<T> Live<T> {
    pub(crate) fn new(value: T, slot: fn(&State) -> &RefCell<T>) -> Self {
        STATE.with(|state| slot(state).replace(value));
        Self { tick: tick(), slot }
    }

    /// Reads; the view that asks is drawn again when the value changes.
    pub(crate) fn with<R>(self, read: impl FnOnce(&T) -> R) -> R {
        track(self.tick);
        self.with_untracked(read)
    }

    pub(crate) fn with_untracked<R>(self, read: impl FnOnce(&T) -> R) -> R {
        STATE.with(|state| read(&(self.slot)(state).borrow()))
    }

    pub(crate) fn set(self, value: T) {
        STATE.with(|state| (self.slot)(state).replace(value));
        notify(self.tick);
    }

    pub(crate) fn update(self, change: impl FnOnce(&mut T)) {
        STATE.with(|state| change(&mut (self.slot)(state).borrow_mut()));
        notify(self.tick);
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
    tick: Tick,
    key: Key,
}

impl LiveView {
    pub(crate) fn new(key: Key, view: View) -> Self {
        STATE.with(|state| state.views.borrow_mut().push((key, view)));
        Self { tick: tick(), key }
    }

    /// Reads; the view that asks is drawn again when it changes.
    pub(crate) fn with<R: Default>(self, read: impl FnOnce(&View) -> R) -> R {
        track(self.tick);
        self.with_untracked(read)
    }

    pub(crate) fn with_untracked<R: Default>(self, read: impl FnOnce(&View) -> R) -> R {
        STATE.with(|state| {
            let views = state.views.borrow();
            let view = views.iter().find(|view| view.0 == self.key);
            view.map(|view| read(&view.1)).unwrap_or_default()
        })
    }

    pub(crate) fn set(self, view: View) {
        STATE.with(|state| {
            let mut views = state.views.borrow_mut();
            if let Some(known) = views.iter_mut().find(|view| view.0 == self.key) {
                known.1 = view;
            }
        });
        notify(self.tick);
    }

    /// Forgets what the row of `key` showed; the row is gone.
    pub(crate) fn forget(key: Key) {
        STATE.with(|state| state.views.borrow_mut().retain(|view| view.0 != key));
    }
}
