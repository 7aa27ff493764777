//! The durable pipeline: fetch, convert, deliver, and the receipts that tell of it.
//!
//! Each stage is one file with one function. A stage does its work so that doing it again does no
//! harm, then moves the job on in one transaction with its receipt and its line on the live
//! stream. So the process may die at any step: what was not recorded is done again, what was
//! recorded is not.
//!
//! One process runs one pipeline; a job is in the hands of one task at a time.

pub mod convert;
mod deliver;
mod fetch;
pub mod folders;
mod receipts;
mod retry;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chatlift_shared::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::random;
use crate::ports::{Clock, Edge, EdgeError};
use crate::store::{Job, Stage, Store, StoreError};
use convert::Converter;
use folders::Folders;

/// Jobs under way at once. Most of the time they wait for the network.
const JOBS_AT_ONCE: usize = 4;
/// Conversions under way at once: each may take a core and, for the largest image, 1 GiB.
const CONVERSIONS_AT_ONCE: usize = 2;
/// Receipts read at once.
const RECEIPTS_AT_ONCE: u32 = 32;
/// Mismatches after which a file is rejected. One may be a fault on the way; the fourth is not.
const MISMATCHES_MAX: u32 = 4;
/// Wait before the database is asked again after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Why a file is rejected, in words for the person who sent it. The operator's words are in the
/// job's `last_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The edge does not have the file any more.
    #[error("The file was removed before it could be fetched.")]
    Gone,
    /// What was fetched was not what was uploaded, several times over.
    #[error("The file did not arrive intact. Please send it again.")]
    Altered,
    /// No converter makes any of the app's formats of it.
    #[error("This kind of file cannot be turned into a format that the app can use.")]
    NoUsableFormat,
    /// The file is damaged, or not what its first bytes say.
    #[error("The file is damaged and cannot be opened.")]
    Unreadable,
    /// The image has more pixels or bytes than are processed.
    #[error("The image is too large to be processed.")]
    ImageTooLarge,
    /// It failed for days.
    #[error("The file could not be processed. Please send it again later.")]
    GaveUp,
}

impl Rejection {
    /// The stable code, by which a reader in another language finds its own words.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Altered => "altered",
            Self::NoUsableFormat => "no-usable-format",
            Self::Unreadable => "unreadable",
            Self::ImageTooLarge => "image-too-large",
            Self::GaveUp => "gave-up",
        }
    }
}

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

/// The pipeline and what it works with.
pub struct Pipeline {
    store: Store,
    edge: Arc<dyn Edge>,
    clock: Arc<dyn Clock>,
    folders: Folders,
    converters: Vec<Arc<dyn Converter>>,
    conversions: Semaphore,
    new_job: Notify,
    new_receipt: Notify,
}

impl Pipeline {
    /// A pipeline over `store` and `folders`, with all converters of this build.
    #[must_use]
    pub fn new(store: Store, edge: Arc<dyn Edge>, clock: Arc<dyn Clock>, folders: Folders) -> Self {
        Self {
            store,
            edge,
            clock,
            folders,
            converters: convert::all(),
            conversions: Semaphore::new(CONVERSIONS_AT_ONCE),
            new_job: Notify::new(),
            new_receipt: Notify::new(),
        }
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
            self.run_receipts(stop)
        );
    }

    async fn run_jobs(self: Arc<Self>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut running: HashMap<Id, Job> = HashMap::new();
        loop {
            let now = self.clock.now();
            // Those under way are due as well: ask for enough to find others behind them.
            let next = match self.due_jobs(now).await {
                Ok((due, next)) => {
                    for job in due {
                        let free = tasks.len() < JOBS_AT_ONCE;
                        if free && running.values().all(|r| r.file() != job.file()) {
                            let (pipeline, copy) = (Arc::clone(&self), job.clone());
                            let task = tasks.spawn(async move { pipeline.step(&copy).await });
                            running.insert(task.id(), job);
                        }
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
            }
        }
        tasks.shutdown().await;
    }

    async fn due_jobs(&self, now: Timestamp) -> Result<(Vec<Job>, Option<Timestamp>), StoreError> {
        let limit = u32::try_from(2 * JOBS_AT_ONCE).unwrap_or(u32::MAX);
        let due = self.store.due_jobs(now, limit).await?;
        Ok((due, self.store.next_job_due(now).await?))
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
        let (link, file) = (job.announced.link.id, job.file());
        let outcome = match job.stage {
            Stage::Fetch => fetch::run(self, job).await,
            Stage::Convert => convert::run(self, job).await,
            Stage::Deliver => deliver::run(self, job).await,
            Stage::Done | Stage::Parked => return Ok(()),
        };
        match outcome {
            Ok(()) => tracing::info!(%link, %file, stage = job.stage.as_str(), "stage done"),
            Err(failure) => self.failed(job, failure).await?,
        }
        self.new_receipt.notify_one();
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
