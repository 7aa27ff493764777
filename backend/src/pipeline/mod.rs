//! The durable pipeline: fetch, scan, convert, deliver, and the receipts that tell of it.
//!
//! Each stage is one file with one function. A stage does its work so that doing it again does no
//! harm, then moves the job on in one transaction with its receipt and its line on the live
//! stream. So the process may die at any step: what was not recorded is done again, what was
//! recorded is not.
//!
//! One process runs one pipeline; a job is in the hands of one task at a time. Processes that share
//! a PostgreSQL database share their data folder too, and claim the jobs that they work on.

pub mod convert;
mod deliver;
mod fetch;
pub mod folders;
pub mod notices;
mod receipts;
mod rejection;
mod retention;
mod retry;
pub mod scan;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use chatlift_shared::{FileId, Timestamp};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::random;
use crate::metrics::Metrics;
use crate::ports::{Clock, Edge, EdgeError};
use crate::sandbox::Sandbox;
use crate::store::{Job, Stage, Store, StoreError};
use convert::Converter;
use folders::Folders;
use notices::Notifier;
pub use rejection::Rejection;
use scan::Clamd;

/// Jobs under way at once. Most of the time they wait for the network.
const JOBS_AT_ONCE: usize = 4;
/// Conversions under way at once: each may take a core and, for the largest image, 1 GiB.
const CONVERSIONS_AT_ONCE: usize = 2;
/// Receipts read at once.
const RECEIPTS_AT_ONCE: u32 = 32;
/// Mismatches after which a file is rejected. One may be a fault on the way; the fourth is not.
const MISMATCHES_MAX: u32 = 4;
/// Time between two looks at the store for what another process made due.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long a job belongs to the process that works on it, unless that says again that it does,
/// which it does every [`LOOK_AGAIN`]. For a store that several processes share.
const CLAIM: Duration = Duration::from_secs(60);
/// Wait before the database is asked again after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Why a stage did not end well.
#[derive(Debug)]
enum Failure {
    /// Another try may do. With `progress` the tries are counted anew.
    Again { error: String, progress: bool },
    /// What was fetched is not what was announced, and has been removed.
    Mismatch,
    /// No try will ever do.
    Rejected { rejection: Rejection, error: String },
}

impl Failure {
    fn again(error: impl ToString) -> Self {
        Self::Again {
            error: error.to_string(),
            progress: false,
        }
    }

    fn rejected(rejection: Rejection, error: impl Into<String>) -> Self {
        Self::Rejected {
            rejection,
            error: error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::again(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::again(error)
    }
}

impl From<EdgeError> for Failure {
    fn from(error: EdgeError) -> Self {
        Self::again(error)
    }
}

/// What a pipeline works with.
pub struct Parts {
    /// The memory.
    pub store: Store,
    /// Where files come from.
    pub edge: Arc<dyn Edge>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where files lie.
    pub folders: Folders,
    /// Where outside programs run.
    pub sandbox: Sandbox,
    /// Who looks for malware, if anybody does.
    pub scanner: Option<Clamd>,
    /// Who tells the app, if it wants to be told.
    pub notifier: Option<Notifier>,
    /// How long what was acknowledged is kept; for ever if `None`.
    pub retention: Option<Duration>,
    /// Most bytes in the work folder.
    pub quota: u64,
    /// What counts.
    pub metrics: Metrics,
}

/// The pipeline.
pub struct Pipeline {
    store: Store,
    edge: Arc<dyn Edge>,
    clock: Arc<dyn Clock>,
    folders: Folders,
    sandbox: Sandbox,
    scanner: Option<Clamd>,
    notifier: Option<Notifier>,
    retention: Option<Duration>,
    quota: u64,
    /// Bytes of the files that are being fetched.
    reserved: AtomicU64,
    metrics: Metrics,
    converters: Vec<Arc<dyn Converter>>,
    conversions: Semaphore,
    new_job: Notify,
    new_receipt: Notify,
    new_notice: Notify,
}

impl Pipeline {
    /// A pipeline of these parts, with all converters of this build.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            converters: convert::all(&parts.sandbox),
            store: parts.store,
            edge: parts.edge,
            clock: parts.clock,
            folders: parts.folders,
            sandbox: parts.sandbox,
            scanner: parts.scanner,
            notifier: parts.notifier,
            retention: parts.retention,
            quota: parts.quota,
            reserved: AtomicU64::new(0),
            metrics: parts.metrics,
            conversions: Semaphore::new(CONVERSIONS_AT_ONCE),
            new_job: Notify::new(),
            new_receipt: Notify::new(),
            new_notice: Notify::new(),
        }
    }

    /// What this process counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Where a small picture of a delivery lies, which is made if there is none yet.
    ///
    /// # Errors
    /// When none can be made of it.
    pub async fn thumbnail(&self, file: FileId, media_type: &str) -> io::Result<PathBuf> {
        let made = self.folders.thumbnail(file);
        if tokio::fs::try_exists(&made).await? {
            return Ok(made);
        }
        if !convert::thumbnail::possible(media_type) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let _turn = self.conversions.acquire().await;
        let (folder, result) = (self.folders.thumbnail_run(file), made.clone());
        let (source, sandbox) = (self.folders.delivery(file), self.sandbox.clone());
        let media_type = media_type.to_owned();
        folders::blocking(move || {
            folders::remove_folder(&folder)?;
            std::fs::create_dir(&folder)?;
            let small = folder.join("small.jpg");
            let outcome = convert::thumbnail::make(&sandbox, &source, &media_type, &folder, &small);
            let outcome = outcome
                .map_err(io::Error::other)
                .and_then(|()| std::fs::rename(&small, &result));
            folders::remove_folder(&folder)?;
            outcome
        })
        .await?;
        Ok(made)
    }

    /// Says that there is a new job.
    pub fn wake(&self) {
        self.new_job.notify_one();
    }

    /// Works until `stop`. What is under way then is left where it can be taken up again.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.sweep().await;
        tokio::join!(
            Arc::clone(&self).run_jobs(stop.clone()),
            self.run_receipts(stop.clone()),
            self.run_notices(stop.clone()),
            self.run_retention(stop),
        );
    }

    async fn run_jobs(self: Arc<Self>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut running: HashMap<Id, Job> = HashMap::new();
        loop {
            let now = self.clock.now();
            let next = match self.due_jobs(now, &running).await {
                Ok((due, next)) => {
                    for job in due {
                        let (pipeline, copy) = (Arc::clone(&self), job.clone());
                        let task = tasks.spawn(async move { pipeline.step(&copy).await });
                        running.insert(task.id(), job);
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
                    let (id, outcome) = match ended {
                        Ok((id, outcome)) => (id, outcome.err().map(|e| e.to_string())),
                        Err(error) => (error.id(), Some(error.to_string())),
                    };
                    let job = running.remove(&id);
                    if let (Some(job), Some(error)) = (job, outcome) {
                        self.not_recorded(&job, error).await;
                    }
                }
                () = sleep(&*self.clock, next) => {}
                // Another process, such as `jobs retry`, may have made a job due.
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
        self.sandbox.stop();
        tasks.shutdown().await;
        for job in running.into_values() {
            if let Err(error) = self.store.hand_back(job.file(), self.clock.now()).await {
                tracing::error!(file = %job.file(), %error, "the store failed");
            }
        }
    }

    /// Jobs that are due and not under way here, as many as there is room for; and when the next
    /// one is due.
    async fn due_jobs(
        &self,
        now: Timestamp,
        running: &HashMap<Id, Job>,
    ) -> Result<(Vec<Job>, Option<Timestamp>), StoreError> {
        let free = JOBS_AT_ONCE.saturating_sub(running.len());
        let next = self.store.next_job_due(now).await?;
        if self.store.shared() {
            let until = now.plus(CLAIM);
            for job in running.values() {
                self.store.hold_job(job.file(), until).await?;
            }
            let free = u32::try_from(free).unwrap_or(u32::MAX);
            let due = match free {
                0 => Vec::new(),
                free => self.store.claim_jobs(now, until, free).await?,
            };
            return Ok((due, next));
        }
        // Those under way are due as well: ask for enough to find others behind them.
        let limit = u32::try_from(2 * JOBS_AT_ONCE).unwrap_or(u32::MAX);
        let mut due = self.store.due_jobs(now, limit).await?;
        due.retain(|job| running.values().all(|r| r.file() != job.file()));
        due.truncate(free);
        Ok((due, next))
    }

    /// A step panicked, or the store failed under it: see that it is not tried at once again.
    async fn not_recorded(&self, job: &Job, error: String) {
        tracing::error!(file = %job.file(), error, "a step was not recorded");
        if let Err(error) = self.failed(job, Failure::again(error)).await {
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
            }
        }
    }

    async fn send_due_notices(&self, notifier: &Notifier) -> Result<Option<Timestamp>, StoreError> {
        loop {
            let now = self.clock.now();
            let due = self.store.due_notices(now, RECEIPTS_AT_ONCE).await?;
            if due.is_empty() {
                return self.store.next_notice_due(now).await;
            }
            for notice in due {
                notices::send(self, notifier, &notice).await?;
            }
        }
    }

    async fn run_retention(&self, stop: CancellationToken) {
        let Some(keep) = self.retention else {
            return;
        };
        loop {
            if let Err(failure) = retention::run(self, keep).await {
                tracing::warn!(?failure, "what is over its time could not be deleted");
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(&*self.clock, Some(self.clock.now().plus(retention::EVERY))) => {}
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
            let due = self.store.due_receipts(now, RECEIPTS_AT_ONCE).await?;
            if due.is_empty() {
                return self.store.next_receipt_due(now).await;
            }
            for receipt in due {
                receipts::send(self, &receipt).await?;
            }
        }
    }

    /// Runs the stage that `job` is in, and records what came of it.
    ///
    /// The caller guarantees that no other task runs the same job.
    ///
    /// # Errors
    /// [`StoreError`] when what came of it could not be recorded.
    pub async fn step(&self, job: &Job) -> Result<(), StoreError> {
        let (link, file, event) = (job.announced.link.id, job.file(), job.event);
        let begun = self.clock.now();
        let outcome = match job.stage {
            Stage::Fetch => fetch::run(self, job).await,
            Stage::Scan => scan::run(self, job).await,
            Stage::Convert => convert::run(self, job).await,
            Stage::Deliver => deliver::run(self, job).await,
            Stage::Done | Stage::Parked => return Ok(()),
        };
        let ended = match &outcome {
            Ok(()) => "done",
            Err(Failure::Rejected { rejection, .. }) => rejection.code(),
            Err(_) => "again",
        };
        let took = begun.until(self.clock.now()).as_secs_f64();
        self.metrics.stage(job.stage.as_str(), ended, took);
        match outcome {
            Ok(()) => {
                tracing::info!(%link, %file, %event, took, stage = job.stage.as_str(), "stage done")
            }
            Err(failure) => self.failed(job, failure).await?,
        }
        self.new_receipt.notify_one();
        self.new_notice.notify_one();
        Ok(())
    }

    async fn failed(&self, job: &Job, failure: Failure) -> Result<(), StoreError> {
        let (link, file) = (job.announced.link.id, job.file());
        let now = self.clock.now();
        let (mut attempts, mut mismatches) = (job.attempts.saturating_add(1), job.mismatches);
        let (rejection, error) = match failure {
            Failure::Again { error, progress } => {
                if progress {
                    attempts = 1;
                }
                let over = attempts >= retry::ATTEMPTS_MAX;
                (over.then_some(Rejection::GaveUp), error)
            }
            Failure::Mismatch => {
                mismatches = mismatches.saturating_add(1);
                let over = mismatches >= MISMATCHES_MAX;
                let error = "the content is not what was announced".to_owned();
                (over.then_some(Rejection::Altered), error)
            }
            Failure::Rejected { rejection, error } => (Some(rejection), error),
        };
        let stage = job.stage.as_str();
        if let Some(rejection) = rejection {
            tracing::warn!(%link, %file, stage, error, ?rejection, "parked");
            self.store.park(job, rejection, &error, now).await?;
            if let Err(error) = self.folders.clear(file).await {
                tracing::warn!(%link, %file, %error, "work files remain until the next start");
            }
            return Ok(());
        }
        tracing::warn!(%link, %file, stage, attempts, mismatches, error, "will be tried again");
        let next_at = now.plus(retry::delay(attempts, random()));
        self.store
            .try_again(job, attempts, mismatches, &error, next_at)
            .await
    }

    /// Removes what a crash left in the work folder of jobs that have ended.
    async fn sweep(&self) {
        let swept = async {
            let (files, strange) = self.folders.at_work().await.map_err(Failure::from)?;
            if strange > 0 {
                tracing::warn!(strange, "the work folder holds what is not ours");
            }
            for file in files {
                let ended = match self.store.job(file).await? {
                    Some(job) => matches!(job.stage, Stage::Done | Stage::Parked),
                    None => true,
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

async fn sleep(clock: &dyn Clock, until: Option<Timestamp>) {
    match until {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}
