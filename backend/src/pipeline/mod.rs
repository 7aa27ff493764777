//! The durable pipeline: fetch, scan, convert, deliver, and the receipts that tell of it.
//!
//! Each stage is one file with one function. A stage does its work so that doing it again does no
//! harm, then moves the job on in one transaction with its receipt and its line on the live
//! stream. So the process may die at any step: what was not recorded is done again, what was
//! recorded is not.
//!
//! One process runs one pipeline; a job is in the hands of one task at a time. Processes that share
//! a PostgreSQL database lease the jobs that they work on, and share what is made: in a bucket, and then
//! the work folder is scratch of one machine; or in the data folder that is the same for all.

mod bounded;
pub mod convert;
mod deliver;
mod erase;
mod fetch;
pub mod folders;
mod lanes;
pub mod notices;
mod pictures;
mod produce;
mod receipts;
mod retention;
mod retry;
pub mod scan;
mod turn;
mod unite;
mod unpack;
mod work;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit};

use crate::metrics::Metrics;
use crate::objects::Objects;
use crate::ports::{Clock, Edge, EdgeError};
use crate::random::random;
pub use crate::rejection::Rejection;
use crate::sandbox::Sandbox;
use crate::store::{Job, State, Store, StoreError};
use convert::Converter;
pub use convert::thumbnail::Picture;
use folders::Folders;
pub use lanes::Lane;
use lanes::Lanes;
use notices::Notifier;
use scan::{Clamd, Unscanned};

/// Mismatches after which a file is rejected. One may be a fault on the way; the fourth is not.
const MISMATCHES_MAX: u32 = 4;

/// Why a stage did not end well.
#[derive(Debug)]
enum Failure {
    /// Another try may do. With `progress` the tries are counted anew.
    Again { error: String, progress: bool },
    /// Trouble of our own: the file waits until it is over, and no try of it is counted.
    Ours { trouble: Trouble, error: String },
    /// What was fetched is not what was announced, and has been removed.
    Mismatch,
    /// No try will ever do.
    Rejected { rejection: Rejection, error: String },
}

/// What of our own is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The disk or the system: full, broken, out of processes.
    System,
    /// Memory: a converter was killed by another than us. It may be the file that takes so much, so it
    /// waits longer each time, and not for ever.
    Memory,
    /// The work folder has no room for now.
    Room,
    /// The database.
    Store,
    /// The scanner.
    Scanner,
    /// Where results are kept.
    Objects,
}

impl Trouble {
    /// How the metrics call the end of a stage that it stopped.
    const fn as_str(self) -> &'static str {
        match self {
            Self::System => "waits-for-system",
            Self::Memory => "waits-for-memory",
            Self::Room => "waits-for-room",
            Self::Store => "waits-for-store",
            Self::Scanner => "waits-for-scanner",
            Self::Objects => "waits-for-objects",
        }
    }
}

impl Failure {
    fn ours(trouble: Trouble, error: impl ToString) -> Self {
        Self::Ours {
            trouble,
            error: error.to_string(),
        }
    }

    /// Where results are kept has failed.
    fn objects(error: io::Error) -> Self {
        Self::ours(Trouble::Objects, error)
    }

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
        Self::ours(Trouble::Store, error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::OutOfMemory => Self::ours(Trouble::Memory, error),
            _ => Self::ours(Trouble::System, error),
        }
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
    /// Where what is made of files is kept.
    pub objects: Objects,
    /// Where infected files are kept. Nothing reads them.
    pub quarantine: Objects,
    /// Where files lie on this machine.
    pub folders: Folders,
    /// Where outside programs run.
    pub sandbox: Sandbox,
    /// Who looks for malware, if anybody does.
    pub scanner: Option<Clamd>,
    /// Largest file, in bytes, that it scans to its end.
    pub scanned_max: u64,
    /// What becomes of a file that it could not scan to its end.
    pub unscanned: Unscanned,
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
    objects: Objects,
    quarantine: Objects,
    folders: Folders,
    sandbox: Sandbox,
    scanner: Option<Clamd>,
    scanned_max: u64,
    unscanned: Unscanned,
    notifier: Option<Notifier>,
    retention: Option<Duration>,
    quota: u64,
    /// Bytes of the files that are being fetched.
    reserved: AtomicU64,
    metrics: Metrics,
    converters: Vec<Arc<dyn Converter>>,
    lanes: Lanes,
    pictures: Mutex<()>,
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
            objects: parts.objects,
            quarantine: parts.quarantine,
            folders: parts.folders,
            sandbox: parts.sandbox,
            scanner: parts.scanner,
            scanned_max: parts.scanned_max,
            unscanned: parts.unscanned,
            notifier: parts.notifier,
            retention: parts.retention,
            quota: parts.quota,
            reserved: AtomicU64::new(0),
            metrics: parts.metrics,
            lanes: Lanes::default(),
            pictures: Mutex::new(()),
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

    /// Waits for a turn in a lane. Jobs for which there is room meanwhile are begun.
    async fn turn(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        self.lanes.turn(lane, || self.wake()).await
    }

    /// Says that there is a new job.
    pub fn wake(&self) {
        self.new_job.notify_one();
    }

    /// Runs the stage that `job` is in, and records what came of it; whether that went well.
    ///
    /// The caller guarantees that no other task runs the same job.
    ///
    /// # Errors
    /// [`StoreError`] when what came of it could not be recorded.
    pub async fn step(&self, job: &Job) -> Result<bool, StoreError> {
        let (link, file, event) = (job.announced.link.id, job.file(), job.event);
        let begun = self.clock.now();
        let outcome = match turn::begin(self, job).await {
            Err(failure) => Err(failure),
            Ok(_alone) => match &job.state {
                State::Fetch => fetch::run(self, job).await,
                State::Scan => scan::run(self, job).await,
                State::Convert => produce::run(self, job).await,
                State::Deliver(product) => deliver::run(self, job, product).await,
                State::Erase => erase::run(self, job).await,
                State::Wait(_) | State::Held | State::Done(_) | State::Parked(_) => {
                    return Ok(false);
                }
            },
        };
        let ended = match &outcome {
            Ok(()) => "done",
            Err(Failure::Rejected { rejection, .. }) => rejection.code(),
            Err(Failure::Ours { trouble, .. }) => trouble.as_str(),
            Err(Failure::Again { .. } | Failure::Mismatch) => "again",
        };
        let took = begun.until(self.clock.now()).as_secs_f64();
        self.metrics.stage(job.stage().as_str(), ended, took);
        let well = outcome.is_ok();
        match outcome {
            Ok(()) => {
                tracing::info!(%link, %file, %event, took, stage = job.stage().as_str(), "stage done")
            }
            Err(failure) => self.failed(job, failure).await?,
        }
        self.new_receipt.notify_one();
        self.new_notice.notify_one();
        Ok(well)
    }

    async fn failed(&self, job: &Job, failure: Failure) -> Result<(), StoreError> {
        let (link, file) = (job.announced.link.id, job.file());
        let now = self.clock.now();
        let (mut attempts, mut mismatches) = (job.attempts.saturating_add(1), job.mismatches);
        let (rejection, error) = match failure {
            Failure::Ours {
                trouble: Trouble::Memory,
                error,
            } => {
                let over = attempts >= retry::KILLED_MAX;
                (over.then_some(Rejection::TooComplex), error)
            }
            Failure::Ours { trouble, error } => {
                let stage = job.stage().as_str();
                tracing::warn!(%link, %file, stage, ?trouble, error, "waits, through no fault of its own");
                let next_at = now.plus(retry::pause(random()));
                return self
                    .store
                    .try_again(job, job.attempts, mismatches, &error, next_at)
                    .await;
            }
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
        let stage = job.stage().as_str();
        if let Some(rejection) = rejection {
            tracing::warn!(%link, %file, stage, error, ?rejection, "parked");
            let mut over = vec![job.clone()];
            if job.is_joined() {
                over.extend(self.store.ready_parts(job).await?);
            }
            if !self.store.park(job, rejection, &error, now).await? {
                return Ok(());
            }
            for job in over {
                let file = job.file();
                if let Err(error) = self.folders.clear(file).await {
                    tracing::warn!(%link, %file, %error, "work files remain until the next start");
                }
                if let Err(error) = self.objects.remove_all(&job, None).await {
                    tracing::warn!(%link, %file, %error, "what was made of it remains");
                }
            }
            // What waited for this one may go on.
            self.new_job.notify_one();
            return Ok(());
        }
        tracing::warn!(%link, %file, stage, attempts, mismatches, error, "will be tried again");
        let next_at = now.plus(retry::delay(attempts, random()));
        self.store
            .try_again(job, attempts, mismatches, &error, next_at)
            .await
    }
}
