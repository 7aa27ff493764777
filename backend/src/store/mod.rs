//! What the backend remembers, in SQLite.
//!
//! Promise: what a method has returned from survives `kill -9` and a power cut (WAL with full
//! synchronisation), and everything that belongs together is one transaction: a stage's end, its
//! receipt and its line on the live stream are all there or none is.
//!
//! Concurrency: SQLite has one writer. Writing transactions begin as writers (`BEGIN IMMEDIATE`),
//! so two never wait for each other's read locks.

mod events;
mod feed;
mod jobs;
mod receipts;
mod requests;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, Sqlite, SqlitePool, Transaction};
use tokio::sync::watch;

pub use events::Recorded;
pub use feed::{FeedEntry, FeedKind};
pub use jobs::{Job, Product, Stage};
pub use receipts::DueReceipt;
pub use requests::{Delivery, FileState, Request};

/// Migrations in order. A migration that has been released is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[(
    1,
    "pipeline",
    include_str!("../../migrations/0001_pipeline.sql"),
)];

/// How long a statement waits for another process's lock on the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections: one writer and a few readers.
const CONNECTIONS: u32 = 4;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite or the disk below it failed.
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
    pool: SqlitePool,
    /// Counts changes of the live stream, so that readers know when to look again.
    changes: watch::Sender<u64>,
}

impl Store {
    /// Opens the database at `path`, made if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Database`] when the file cannot be opened, [`StoreError::Migration`] when it
    /// is of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_with(options)
            .await?;
        let migrations = MIGRATIONS
            .iter()
            .map(|&(version, name, sql)| {
                let sql = AssertSqlSafe(sql).into_sql_str();
                Migration::new(version, name.into(), MigrationType::Simple, sql, false)
            })
            .collect();
        Migrator::with_migrations(migrations).run(&pool).await?;
        Ok(Self {
            pool,
            changes: watch::Sender::new(0),
        })
    }

    /// Closes every connection, after what is under way.
    pub async fn close(&self) {
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

    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Commits, then tells the live stream's readers.
    async fn commit(&self, tx: Transaction<'static, Sqlite>) -> Result<(), StoreError> {
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
