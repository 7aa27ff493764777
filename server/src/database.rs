//! The database: SQLite in the data folder for one machine, PostgreSQL for many.
//!
//! The same statements run on both, where they are not told apart by [`Database::shared`].

use std::path::Path;

use chatlift_shared::Timestamp;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, AssertSqlSafe, SqlSafeStr as _, Transaction};
use url::Url;

use crate::clock::now;
use crate::error::Error;

/// Connections to SQLite: it has one writer, and rows that are read beside it come from the cache.
const SQLITE_CONNECTIONS: u32 = 4;

/// Connections of a node to PostgreSQL, which has 100 as it comes.
const POSTGRES_CONNECTIONS: u32 = 16;

/// Settings of each connection to SQLite: a commit is on the disk when it returns.
const PRAGMAS: [&str; 3] = [
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
];

/// The database's tables.
const SQLITE: &str = include_str!("../migrations/sqlite/0001_all.sql");
const POSTGRES: &str = include_str!("../migrations/postgres/0001_all.sql");

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) pool: AnyPool,
    /// Whether other nodes work on it too.
    pub(crate) shared: bool,
}

impl Database {
    /// Opens the SQLite database at `path`, made if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        let mut url = Url::from_file_path(std::path::absolute(path)?)
            .map_err(|()| Error::Config("the data folder has no address".to_owned()))?;
        url.set_query(Some("mode=rwc"));
        let url = url.as_str().replacen("file:", "sqlite:", 1);
        let database = Self::connect(&url, SQLITE, false).await?;
        // Whoever had claimed them has ended.
        sqlx::query("UPDATE alarm SET claimed_until = 0")
            .execute(&database.pool)
            .await?;
        Ok(database)
    }

    /// Opens the PostgreSQL database at `url`, which other nodes may share.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(crate) async fn open_shared(url: &str) -> Result<Self, Error> {
        Self::connect(url, POSTGRES, true).await
    }

    async fn connect(url: &str, tables: &'static str, shared: bool) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = url.parse()?;
        let pool = AnyPoolOptions::new()
            .max_connections(if shared {
                POSTGRES_CONNECTIONS
            } else {
                SQLITE_CONNECTIONS
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
        let sql = AssertSqlSafe(tables).into_sql_str();
        let all = Migration::new(1, "all".into(), MigrationType::Simple, sql, false);
        // Of several nodes that start at once, one makes the tables.
        Migrator::with_migrations(vec![all]).run(&pool).await?;
        Ok(Self { pool, shared })
    }

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(match self.shared {
            true => self.pool.begin().await?,
            false => self.pool.begin_with("BEGIN IMMEDIATE").await?,
        })
    }

    /// Begins a transaction that sees the database as it is at its first statement.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, Error> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(match self.shared {
            true => self.pool.begin_with(SNAPSHOT).await?,
            false => self.pool.begin().await?,
        })
    }

    /// The time by which claims and leases go: that of the database, where nodes share it.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn now(&self) -> Result<Timestamp, Error> {
        if !self.shared {
            return Ok(now());
        }
        let millis: i64 =
            sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
                .fetch_one(&self.pool)
                .await?;
        Ok(Timestamp::from_millis(millis))
    }
}
