//! What of the links is in memory, counted in rows, so that it can be bounded.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use chatlift_edge::link::state::LinkState;

use crate::rows::Known;

/// How many rows of links are in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct CachedRows(Rc<Cell<usize>>);

impl CachedRows {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.get()
    }

    /// Counts a link's rows for as long as it is kept.
    pub(crate) fn keep(&self, known: Known) -> Cached {
        let rows = rows(&known.state);
        self.0.set(self.0.get() + rows);
        Cached {
            known,
            rows,
            all: self.clone(),
        }
    }
}

/// The link's own row, and those of its uploads, events, cleanups and audit trail.
fn rows(state: &LinkState) -> usize {
    1 + state.uploads.len() + state.events.len() + state.cleanups.len() + state.audit.rows().len()
}

/// A link in memory. Its rows are counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Cached {
    known: Known,
    rows: usize,
    all: CachedRows,
}

impl Deref for Cached {
    type Target = Known;

    fn deref(&self) -> &Known {
        &self.known
    }
}

impl DerefMut for Cached {
    fn deref_mut(&mut self) -> &mut Known {
        &mut self.known
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        let CachedRows(all) = &self.all;
        all.set(all.get().saturating_sub(self.rows));
    }
}
