//! What the backend remembers: in SQLite, which needs nothing set up, or in PostgreSQL, which
//! several backend processes may share. The statements are the same.
//!
//! Promise: what a method has returned from survives `kill -9` and a power cut (WAL with full
//! synchronisation), and everything that belongs together is one transaction: a stage's end, its
//! receipt and its line on the live stream are all there or none is.
//!
//! Concurrency: SQLite has one writer. Writing transactions begin as writers (`BEGIN IMMEDIATE`),
//! so two never wait for each other's read locks. In PostgreSQL they begin with an advisory lock, so
//! that entries of the live stream become visible in their order and none is passed over by a reader.
//! A job is leased for a while to the process that works on it (`FOR UPDATE SKIP LOCKED`), by the
//! database's clock; one that dies leaves its jobs to the others when the lease is over. Each lease has
//! a number, and what a process writes of a job counts only while the job is still under that number.

mod erasure;
mod events;
mod feed;
mod groups;
mod job;
mod jobs;
mod moves;
mod notices;
mod receipts;
mod requests;
mod transitions;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use chatlift_shared::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, AssertSqlSafe, Connection as _, SqlSafeStr as _, Transaction};
use tokio::sync::watch;
use url::Url;

pub use events::Recorded;
pub use feed::{FeedEntry, FeedKind};
pub use groups::Member;
pub use job::{Awaited, Job, Product, Role, Stage, State, joined_id, member_id};
pub use notices::DueNotice;
pub use receipts::DueReceipt;
pub use requests::{Delivery, FileState, Request};

/// Migrations of SQLite in order. A migration that has been released is never edited.
const SQLITE: &[(i64, &str, &str)] = &[
    (
        1,
        "pipeline",
        include_str!("../../migrations/sqlite/0001_pipeline.sql"),
    ),
    (
        2,
        "notices",
        include_str!("../../migrations/sqlite/0002_notices.sql"),
    ),
    (
        3,
        "claims",
        include_str!("../../migrations/sqlite/0003_claims.sql"),
    ),
    (
        4,
        "families",
        include_str!("../../migrations/sqlite/0004_families.sql"),
    ),
    (
        5,
        "erasure",
        include_str!("../../migrations/sqlite/0005_erasure.sql"),
    ),
    (
        6,
        "leases",
        include_str!("../../migrations/sqlite/0006_leases.sql"),
    ),
    (
        7,
        "rejections",
        include_str!("../../migrations/sqlite/0007_rejections.sql"),
    ),
];

/// Migrations of PostgreSQL in order.
const POSTGRES: &[(i64, &str, &str)] = &[
    (
        1,
        "all",
        include_str!("../../migrations/postgres/0001_all.sql"),
    ),
    (
        2,
        "families",
        include_str!("../../migrations/postgres/0002_families.sql"),
    ),
    (
        3,
        "erasure",
        include_str!("../../migrations/postgres/0003_erasure.sql"),
    ),
    (
        4,
        "leases",
        include_str!("../../migrations/postgres/0004_leases.sql"),
    ),
    (
        5,
        "rejections",
        include_str!("../../migrations/postgres/0005_rejections.sql"),
    ),
];

/// Settings of each connection to SQLite: see the promise above. What is deleted is overwritten.
const PRAGMAS: [&str; 5] = [
    "PRAGMA secure_delete = ON",
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
];

/// How long another process leaves a claimed receipt or notice alone: longer than a try takes, which is
/// 15 s, and so short that what a process left that died is sent within a minute.
const CLAIM: Duration = Duration::from_secs(30);
/// How long a job is leased to a process, unless that says again that it works on it.
const LEASE: Duration = Duration::from_secs(60);
/// The advisory lock of those that write, a number drawn at random. Unlike a lock on a table it makes
/// no vacuum wait, nor waits for one.
const WRITERS: i64 = 6_027_188_043_201_117_341;

/// Connections: one writer and a few readers.
const CONNECTIONS: u32 = 4;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database or the disk below it failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The database could not be brought to this version's tables.
    #[error("the database could not be migrated: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this version did not write.
    #[error("the column {column} is unreadable: {problem}")]
    Unreadable {
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// The backend's memory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// Whether other processes work on it too.
    shared: bool,
    /// Counts changes of the live stream, so that readers know when to look again.
    changes: watch::Sender<u64>,
    /// Whether the app is told by webhook of what ends.
    notices: bool,
}

impl Store {
    /// Opens the SQLite database at `path`, made if it is not there, and brings its tables up to
    /// date.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the file cannot be opened, [`StoreError::Migration`] when it
    /// is of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let mut url = Url::from_file_path(std::path::absolute(path).map_err(sqlx::Error::Io)?)
            .map_err(|()| sqlx::Error::Configuration("no path of a database".into()))?;
        url.set_query(Some("mode=rwc"));
        let url = url.as_str().replacen("file:", "sqlite:", 1);
        Self::connect(&url, SQLITE, false).await
    }

    /// Opens the PostgreSQL database at `url`, which several processes may share, and brings its
    /// tables up to date.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_shared(url: &str) -> Result<Self, StoreError> {
        Self::connect(url, POSTGRES, true).await
    }

    async fn connect(
        url: &str,
        migrations: &[(i64, &'static str, &'static str)],
        shared: bool,
    ) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = url.parse()?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            // When the disk is full SQLite ends a transaction by itself, and sqlx never learns of it: such a
            // connection would begin no other one.
            .before_acquire(|connection, _| {
                Box::pin(async move { Ok(!connection.is_in_transaction()) })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for pragma in PRAGMAS.into_iter().filter(|_| !shared) {
                        sqlx::query(pragma).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        let migrations = migrations
            .iter()
            .map(|&(version, name, sql)| {
                let sql = AssertSqlSafe(sql).into_sql_str();
                Migration::new(version, name.into(), MigrationType::Simple, sql, false)
            })
            .collect();
        Migrator::with_migrations(migrations).run(&pool).await?;
        Ok(Self {
            pool,
            shared,
            changes: watch::Sender::new(0),
            notices: false,
        })
    }

    /// Whether other processes work on it too.
    #[must_use]
    pub fn shared(&self) -> bool {
        self.shared
    }

    /// The same, with a notice queued for the app of each job that ends.
    #[must_use]
    pub fn with_notices(mut self, notices: bool) -> Self {
        self.notices = notices;
        self
    }

    /// Closes every connection, after what is under way. Nothing that was erased is left in SQLite's log of
    /// writes, also where a connection of a job that was stopped is still being closed.
    pub async fn close(&self) {
        if !self.shared {
            // What this cannot fold in, the last connection does.
            let fold = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
            let _ = fold.execute(&self.pool).await;
        }
        self.pool.close().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Database`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Changes whenever the live stream has grown.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn write(&self) -> Result<Transaction<'static, Any>, StoreError> {
        if !self.shared {
            return Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?);
        }
        let mut tx = self.pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(WRITERS)
            .execute(&mut *tx)
            .await?;
        Ok(tx)
    }

    /// A transaction that reads; one that claims what it reads where others read too.
    async fn read_or_claim(&self) -> Result<Transaction<'static, Any>, StoreError> {
        if self.shared {
            return self.write().await;
        }
        Ok(self.pool.begin().await?)
    }

    /// The time by which leases and claims go: that of the database, which is the same for all
    /// processes, and `now` where there is one.
    async fn time(
        &self,
        tx: &mut Transaction<'static, Any>,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        if !self.shared {
            return Ok(now);
        }
        let millis: i64 =
            sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
                .fetch_one(&mut **tx)
                .await?;
        Ok(Timestamp::from_millis(millis))
    }

    /// Commits, then tells the live stream's readers.
    async fn commit(&self, tx: Transaction<'static, Any>) -> Result<(), StoreError> {
        tx.commit().await?;
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
        Ok(())
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(
    column: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|e: T::Err| StoreError::Unreadable {
        column,
        problem: e.to_string(),
    })
}

fn from_json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Unreadable {
        column,
        problem: e.to_string(),
    })
}

fn to_json(column: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unreadable {
        column,
        problem: e.to_string(),
    })
}

fn unsigned(column: &'static str, value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|e| StoreError::Unreadable {
        column,
        problem: e.to_string(),
    })
}
