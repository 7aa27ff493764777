//! The pipeline's loops: jobs, receipts, notices and retention, each until the process stops.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chatlift_shared::Timestamp;
use futures_util::future::try_join_all;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::notices::{self, Notifier};
use super::{Failure, Pipeline, receipts, retention};
use crate::ports::Clock;
use crate::store::{Job, Stage, StoreError};

/// Jobs under way at once, beside those that wait for a turn to be converted. Most of the time they wait
/// for the network.
const JOBS_AT_ONCE: usize = 4;
/// Most jobs that are held at once, those that wait for a turn included.
const JOBS_HELD_MAX: usize = 64;
/// Receipts read at once, and sent one after the other.
const RECEIPTS_AT_ONCE: u32 = 32;
/// The same where other processes send some too: these are sent together, so that the claim of none is
/// over while others are sent.
const RECEIPTS_TOGETHER: u32 = 8;
/// Time between two looks at the store for what another process made due.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Time between two looks for what other machines are done with, of which something lies here.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Wait before the database is asked again after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Works until `stop`. What is under way then is left where it can be taken up again.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.sweep(true).await;
        tokio::join!(
            Arc::clone(&self).run_jobs(stop.clone()),
            self.run_receipts(stop.clone()),
            self.run_notices(stop.clone()),
            self.run_retention(stop.clone()),
            self.run_sweeps(stop),
        );
    }

    async fn run_jobs(self: Arc<Self>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut running: HashMap<Id, (Arc<Mutex<Job>>, AbortHandle)> = HashMap::new();
        loop {
            let now = self.clock.now();
            let next = match self.due_jobs(now, &running).await {
                Ok((due, next)) => {
                    for job in due {
                        let job = Arc::new(Mutex::new(job));
                        let (pipeline, held) = (Arc::clone(&self), Arc::clone(&job));
                        let task = tasks.spawn(async move { pipeline.steps(&held).await });
                        running.insert(task.id(), (job, task));
                    }
                    next
                }
                Err(error) => {
                    tracing::error!(%error, "the store failed");
                    Some(now.plus(STORE_PAUSE))
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.new_job.notified() => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let (id, failure) = match ended {
                        Ok((id, outcome)) => (id, outcome.err().map(Failure::from)),
                        // Another process has its job.
                        Err(end) if end.is_cancelled() => (end.id(), None),
                        Err(panic) => (panic.id(), Some(Failure::again(panic))),
                    };
                    if let Some((job, _)) = running.remove(&id) {
                        let job = copy(&job);
                        match failure {
                            Some(failure) => self.not_recorded(&job, failure).await,
                            None => self.clear_scratch(&job).await,
                        }
                    }
                }
                () = sleep(&*self.clock, next) => {}
                // Another process, such as `jobs retry`, may have made a job due.
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        let sandbox = self.sandbox.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || sandbox.stop()).await {
            tracing::error!(%error, "the converters could not be stopped");
        }
        tasks.shutdown().await;
        for (job, _) in running.into_values() {
            let job = copy(&job);
            if let Err(error) = self.store.hand_back(&job, self.clock.now()).await {
                tracing::error!(file = %job.file(), %error, "the store failed");
            }
        }
    }

    /// Jobs that are due and not under way here, as many as there is room for; and when the next
    /// one is due.
    async fn due_jobs(
        &self,
        now: Timestamp,
        running: &HashMap<Id, (Arc<Mutex<Job>>, AbortHandle)>,
    ) -> Result<(Vec<Job>, Option<Timestamp>), StoreError> {
        let waiting = self.lanes.waiting.load(Ordering::Relaxed);
        let under_way = running.len().saturating_sub(waiting);
        let free = JOBS_AT_ONCE
            .saturating_sub(under_way)
            .min(JOBS_HELD_MAX.saturating_sub(running.len()));
        let next = self.store.next_job_due(now).await?;
        if self.store.shared() {
            for (job, task) in running.values() {
                let job = &copy(job);
                if !self.store.extend_lease(job, now).await? {
                    tracing::warn!(file = %job.file(), "another process has the job");
                    task.abort();
                }
            }
            let free = u32::try_from(free).unwrap_or(u32::MAX);
            let due = match free {
                0 => Vec::new(),
                free => self.store.lease_jobs(now, free).await?,
            };
            return Ok((due, next));
        }
        // Those under way are due as well: ask for enough to find others behind them.
        let limit = u32::try_from(running.len() + free).unwrap_or(u32::MAX);
        let mut due = self.store.due_jobs(now, limit).await?;
        due.retain(|job| running.values().all(|(r, _)| copy(r).file() != job.file()));
        due.truncate(free);
        Ok((due, next))
    }

    /// Runs the stages of a job: one where there is one process, which looks at what is due again; all
    /// that follow where there are several, so that a file stays on one machine.
    async fn steps(&self, held: &Mutex<Job>) -> Result<(), StoreError> {
        loop {
            let job = copy(held);
            let well = self.step(&job).await?;
            if !self.store.shared() {
                return Ok(());
            }
            let next = match well {
                true => self.store.job(job.file()).await?,
                false => None,
            };
            match next.filter(|next| next.lease == job.lease && next.stage().is_work()) {
                Some(next) => *lock(held) = next,
                None => return self.store.end_lease(&job).await,
            }
        }
    }

    /// Removes what lies on this machine of a job that is not worked on here any more, unless it may be
    /// needed again.
    async fn clear_scratch(&self, job: &Job) {
        if !self.objects.shared() {
            return;
        }
        let cleared = async {
            // What waits to be tried again may go on where it was.
            let now_is = self.store.job(job.file()).await?;
            if now_is.is_none_or(|now_is| now_is.lease != job.lease || !now_is.stage().is_work()) {
                self.folders.clear(job.file()).await?;
            }
            Ok::<_, Failure>(())
        };
        if let Err(failure) = cleared.await {
            tracing::warn!(file = %job.file(), ?failure, "the work folder could not be cleared");
        }
    }

    /// A step panicked, or the store failed under it: see that it is not tried at once again.
    async fn not_recorded(&self, job: &Job, failure: Failure) {
        tracing::error!(file = %job.file(), ?failure, "a step was not recorded");
        if let Err(error) = self.failed(job, failure).await {
            tracing::error!(%error, "the store failed");
            self.clock
                .sleep_until(self.clock.now().plus(STORE_PAUSE))
                .await;
        }
    }

    async fn run_receipts(&self, stop: CancellationToken) {
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => break,
                next = self.send_due_receipts() => next,
            };
            let next = next.unwrap_or_else(|error| {
                tracing::error!(%error, "the store failed");
                Some(self.clock.now().plus(STORE_PAUSE))
            });
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.new_receipt.notified() => {}
                () = sleep(&*self.clock, next) => {}
                // A process that died may have left some.
                () = tokio::time::sleep(LOOK_AGAIN), if self.store.shared() => {}
            }
        }
    }

    async fn run_notices(&self, stop: CancellationToken) {
        let Some(notifier) = &self.notifier else {
            return;
        };
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => break,
                next = self.send_due_notices(notifier) => next,
            };
            let next = next.unwrap_or_else(|error| {
                tracing::error!(%error, "the store failed");
                Some(self.clock.now().plus(STORE_PAUSE))
            });
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.new_notice.notified() => {}
                () = sleep(&*self.clock, next) => {}
                () = tokio::time::sleep(LOOK_AGAIN), if self.store.shared() => {}
            }
        }
    }

    async fn send_due_notices(&self, notifier: &Notifier) -> Result<Option<Timestamp>, StoreError> {
        loop {
            let now = self.clock.now();
            let due = self.store.due_notices(now, self.at_once()).await?;
            if due.is_empty() {
                return self.store.next_notice_due(now).await;
            }
            if self.store.shared() {
                try_join_all(due.iter().map(|due| notices::send(self, notifier, due))).await?;
                continue;
            }
            for notice in due {
                notices::send(self, notifier, &notice).await?;
            }
        }
    }

    /// Receipts or notices to take at once.
    fn at_once(&self) -> u32 {
        if self.store.shared() {
            RECEIPTS_TOGETHER
        } else {
            RECEIPTS_AT_ONCE
        }
    }

    /// Where each machine has scratch of its own, a job that another one ends leaves some here.
    async fn run_sweeps(&self, stop: CancellationToken) {
        while self.objects.shared() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(SWEEP_EVERY) => self.sweep(false).await,
            }
        }
    }

    async fn run_retention(&self, stop: CancellationToken) {
        loop {
            if let Err(failure) = retention::run(self, self.retention).await {
                tracing::warn!(?failure, "what is over its time could not be deleted");
            }
            let next = self
                .retention
                .map(|_| self.clock.now().plus(retention::EVERY));
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(&*self.clock, next) => {}
                // With nothing but a quarantine to look at, the machine's own time will do.
                () = tokio::time::sleep(retention::EVERY) => {}
            }
        }
    }

    /// Sends the receipts that are due until none is, and returns when the next one is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn send_due_receipts(&self) -> Result<Option<Timestamp>, StoreError> {
        loop {
            let now = self.clock.now();
            let due = self.store.due_receipts(now, self.at_once()).await?;
            if due.is_empty() {
                return self.store.next_receipt_due(now).await;
            }
            if self.store.shared() {
                try_join_all(due.iter().map(|due| receipts::send(self, due))).await?;
                continue;
            }
            for receipt in due {
                receipts::send(self, &receipt).await?;
            }
        }
    }

    /// Removes what a crash left in the work folder of jobs that have ended; and all that lies there at
    /// the start, where it is this machine's scratch and other machines have gone on meanwhile.
    async fn sweep(&self, start: bool) {
        let swept = async {
            let (files, strange) = self.folders.at_work().await.map_err(Failure::from)?;
            if strange > 0 {
                tracing::warn!(strange, "the work folder holds what is not ours");
            }
            for file in files {
                let scratch = self.objects.shared();
                let ended = match self.store.job(file).await? {
                    _ if start && scratch => true,
                    Some(job) => match job.stage() {
                        Stage::Done | Stage::Parked => true,
                        // An archive that waits for its members is unpacked, and what waits to be joined
                        // is kept elsewhere.
                        Stage::Wait => scratch || job.product().is_none(),
                        _ => false,
                    },
                    // Where others work too, a member that one of them has unpacked and not told of.
                    None => !self.store.shared(),
                };
                if ended {
                    self.folders.clear(file).await?;
                }
            }
            Ok::<_, Failure>(())
        };
        if let Err(failure) = swept.await {
            tracing::warn!(?failure, "the work folder could not be swept");
        }
    }
}

fn lock(job: &Mutex<Job>) -> MutexGuard<'_, Job> {
    // What it guards is whole at every moment.
    job.lock().unwrap_or_else(PoisonError::into_inner)
}

fn copy(job: &Mutex<Job>) -> Job {
    lock(job).clone()
}

async fn sleep(clock: &dyn Clock, until: Option<Timestamp>) {
    match until {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}
