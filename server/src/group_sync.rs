//! One sync for all that wait for it.

use std::cell::Cell;
use std::io;

use tokio::sync::Mutex;

/// Something that many write to and that is synced for all of them at once: a folder's names, a log.
#[derive(Debug, Default)]
pub(crate) struct GroupSync {
    /// How often it was written to.
    written: Cell<u64>,
    /// How many of those are on the disk.
    synced: Cell<u64>,
    turn: Mutex<()>,
}

impl GroupSync {
    /// Notes that it was written to.
    pub(crate) fn wrote(&self) {
        self.written.set(self.written.get() + 1);
    }

    /// Waits until all that was written to it by now is on the disk: by a `sync` of its own, or of another
    /// who waits.
    ///
    /// # Errors
    /// Those of its own `sync`.
    pub(crate) async fn on_disk(
        &self,
        sync: impl AsyncFnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let wanted = self.written.get();
        if self.synced.get() >= wanted {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if self.synced.get() >= wanted {
            return Ok(());
        }
        let all = self.written.get();
        sync().await?;
        self.synced.set(all);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn one_sync_serves_all_that_wait_and_none_that_writes_meanwhile() {
        let (group, syncs) = (GroupSync::default(), Cell::new(0));
        let sync = async || {
            yield_now().await;
            syncs.set(syncs.get() + 1);
            // Written while it was being synced, which it may have missed.
            if syncs.get() == 1 {
                group.wrote();
            }
            Ok(())
        };
        let wait = async || {
            group.wrote();
            group.on_disk(sync).await.expect("synced");
        };
        join_all([wait(), wait(), wait()]).await;
        // The first had begun before the others had written.
        assert_eq!(syncs.get(), 2);
        group.on_disk(sync).await.expect("synced");
        assert_eq!(syncs.get(), 2, "nothing was written since");
    }

    #[tokio::test]
    async fn what_was_not_synced_is_synced_by_the_next() {
        let group = GroupSync::default();
        group.wrote();
        let failed = group.on_disk(async || Err(io::Error::other("no disk")));
        assert!(failed.await.is_err());
        let synced = Cell::new(false);
        let sync = async || {
            synced.set(true);
            Ok(())
        };
        group.on_disk(sync).await.expect("synced");
        assert!(synced.get());
    }
}
