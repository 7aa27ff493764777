//! Turns of the conversions: how many are under way at once, and who waits for whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Conversions under way at once in each lane: each may take a core and, for the largest image, 1 GiB.
const CONVERSIONS_AT_ONCE: usize = 2;

/// How long a conversion usually takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Seconds: images, PDFs, archives.
    Quick,
    /// Up to minutes: documents, sound and video.
    Slow,
}

/// Turns of the conversions. Slow ones have turns of their own, so that a photo waits for no film.
pub(super) struct Lanes {
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    /// Jobs that wait for a turn.
    pub(super) waiting: AtomicUsize,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            quick: Arc::new(Semaphore::new(CONVERSIONS_AT_ONCE)),
            slow: Arc::new(Semaphore::new(CONVERSIONS_AT_ONCE)),
            waiting: AtomicUsize::new(0),
        }
    }
}

/// One more waits, as long as this lives.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    /// Waits for a turn, which lasts as long as what is answered. Meanwhile other jobs may begin: `full`
    /// is called if there is none at once.
    pub(super) async fn turn(
        &self,
        lane: Lane,
        full: impl FnOnce(),
    ) -> Option<OwnedSemaphorePermit> {
        if let Some(turn) = self.free(lane) {
            return Some(turn);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        full();
        // They are never closed.
        Arc::clone(self.turns(lane)).acquire_owned().await.ok()
    }

    /// A turn, if there is one at once.
    pub(super) fn free(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        Arc::clone(self.turns(lane)).try_acquire_owned().ok()
    }

    /// Waits for all turns of all lanes, always in the same order, so that no two wait for each other.
    pub(super) async fn all(&self) -> Vec<OwnedSemaphorePermit> {
        let mut all = Vec::new();
        for turns in [&self.quick, &self.slow] {
            let every = u32::try_from(CONVERSIONS_AT_ONCE).unwrap_or(u32::MAX);
            all.extend(Arc::clone(turns).acquire_many_owned(every).await.ok());
        }
        all
    }

    fn turns(&self, lane: Lane) -> &Arc<Semaphore> {
        match lane {
            Lane::Quick => &self.quick,
            Lane::Slow => &self.slow,
        }
    }
}
