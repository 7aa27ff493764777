//! The database: SQLite in the data folder for one machine, PostgreSQL for many.
//!
//! The same statements run on both, where they are not told apart by [`Database::shared`].
//!
//! Promise: PostgreSQL has on its disk what is committed. SQLite has it in its log, which is synced for all who
//! wait at once, and is waited for before anybody outside is told and before a file is moved or removed
//! ([`Database::on_disk`]). A crash of the machine takes the last commits and none before them.

use std::fs::File;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chatlift_shared::Timestamp;
use sqlx::any::{AnyArguments, AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, AssertSqlSafe, SqlSafeStr as _, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};
use url::Url;

use crate::clock::now;
use crate::disk;
use crate::error::Error;
use crate::group_sync::GroupSync;

/// Connections to SQLite: it has one writer, and rows that are read beside it come from the cache.
const SQLITE_CONNECTIONS: u32 = 4;

/// Connections of a node to PostgreSQL, which has 100 as it comes.
const POSTGRES_CONNECTIONS: u32 = 16;

/// Settings of each connection to SQLite. A commit is not synced by it, but what is synced later keeps the order
/// of commits (<https://www.sqlite.org/pragma.html#pragma_synchronous>): [`Log`] syncs it.
const PRAGMAS: [&str; 3] = [
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
];

/// The database's tables.
const SQLITE: &str = include_str!("../migrations/sqlite/0001_all.sql");
const POSTGRES: &str = include_str!("../migrations/postgres/0001_all.sql");

/// SQLite's log, which has every commit until a checkpoint has synced it and moved it into the database's own
/// file (<https://www.sqlite.org/fileformat2.html#walformat>).
#[derive(Debug)]
struct Log {
    path: PathBuf,
    commits: GroupSync,
    /// Whether a sync has failed: what it left in memory the next one would pass over.
    failed: Arc<AtomicBool>,
}

impl Log {
    async fn on_disk(&self) -> io::Result<()> {
        let sync = async || {
            let (path, failed) = (self.path.clone(), Arc::clone(&self.failed));
            disk::blocking(move || {
                if failed.load(Ordering::Relaxed) {
                    return Err(io::Error::other("the database's log could not be synced"));
                }
                let log = match File::open(path) {
                    // Whoever closes the last connection moves all of it into the database.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    log => log?,
                };
                disk::count_sync();
                let synced = log.sync_data();
                failed.store(synced.is_err(), Ordering::Relaxed);
                synced
            })
            .await
        };
        self.commits.on_disk(sync).await
    }
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub(crate) pool: AnyPool,
    /// Whether other nodes work on it too.
    pub(crate) shared: bool,
    /// SQLite's log.
    log: Option<Rc<Log>>,
    /// Held by who writes to SQLite.
    turn: Arc<Mutex<()>>,
}

/// A transaction that writes.
#[derive(Debug)]
pub(crate) struct Write {
    transaction: Transaction<'static, Any>,
    // Given on once the transaction is over.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Deref for Write {
    type Target = Transaction<'static, Any>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.transaction
    }
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
        let mut database = Self::connect(&url, SQLITE, false).await?;
        let mut log = path.to_owned().into_os_string();
        log.push("-wal");
        database.log = Some(Rc::new(Log {
            path: log.into(),
            commits: GroupSync::default(),
            failed: Arc::default(),
        }));
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
        let pool = match shared {
            true => AnyPoolOptions::new().max_connections(POSTGRES_CONNECTIONS),
            // There is no network that could take one of them away.
            false => AnyPoolOptions::new()
                .max_connections(SQLITE_CONNECTIONS)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false),
        };
        let pool = pool
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
        Ok(Self {
            pool,
            shared,
            log: None,
            turn: Arc::default(),
        })
    }

    /// Waits for the turn to write to SQLite, which has one writer at a time and lets others only look for
    /// theirs now and then.
    pub(crate) async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        match self.shared {
            true => None,
            false => Some(Arc::clone(&self.turn).lock_owned().await),
        }
    }

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn write(&self) -> Result<Write, Error> {
        let turn = self.turn().await;
        let transaction = match self.shared {
            true => self.pool.begin().await?,
            false => self.pool.begin_with("BEGIN IMMEDIATE").await?,
        };
        Ok(Write {
            transaction,
            _turn: turn,
        })
    }

    /// Ends a transaction that writes: all of it is there, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn commit(&self, write: Write) -> Result<(), Error> {
        write.transaction.commit().await?;
        self.wrote();
        Ok(())
    }

    /// Carries out a statement that writes by itself, in its turn.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn run(&self, statement: Query<'_, Any, AnyArguments>) -> Result<(), Error> {
        let _turn = self.turn().await;
        statement.execute(&self.pool).await?;
        self.wrote();
        Ok(())
    }

    /// Notes that something was written that somebody is told of.
    fn wrote(&self) {
        if let Some(log) = &self.log {
            log.commits.wrote();
        }
    }

    /// Waits until what was committed by now is on the disk.
    ///
    /// # Errors
    /// When it cannot be synced. It never will be then, until the program is started again.
    pub(crate) async fn on_disk(&self) -> io::Result<()> {
        match &self.log {
            Some(log) => log.on_disk().await,
            None => Ok(()),
        }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    async fn add(db: &Database, n: i64) {
        let mut tx = db.write().await.expect("a transaction");
        sqlx::query("INSERT INTO revision (link, n) VALUES ($1, $2)")
            .bind(n.to_string())
            .bind(n)
            .execute(&mut **tx)
            .await
            .expect("a row");
        db.commit(tx).await.expect("committed");
    }

    async fn rows(db: &Database) -> Vec<i64> {
        sqlx::query_scalar("SELECT n FROM revision ORDER BY n")
            .fetch_all(&db.pool)
            .await
            .expect("rows")
    }

    #[tokio::test]
    async fn a_power_cut_takes_the_last_commits_and_none_that_was_synced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, log) = (
            folder.path().join("edge.sqlite"),
            folder.path().join("edge.sqlite-wal"),
        );
        let db = Database::open(&path).await.expect("a database");
        for n in 0..3 {
            add(&db, n).await;
        }
        db.on_disk().await.expect("synced");
        let synced = fs::read(&log).expect("the log").len();
        for n in 3..6 {
            add(&db, n).await;
        }
        let all = fs::read(&log).expect("the log");
        assert!(all.len() > synced, "nothing is left to be cut");
        for length in (synced..=all.len()).step_by(1000) {
            let found = tempfile::tempdir().expect("a folder");
            let path = found.path().join("edge.sqlite");
            fs::copy(folder.path().join("edge.sqlite"), &path).expect("a copy");
            fs::write(found.path().join("edge.sqlite-wal"), &all[..length]).expect("a copy");
            let rows = rows(&Database::open(&path).await.expect("a database")).await;
            let until = i64::try_from(rows.len()).expect("few");
            assert!(until >= 3, "{length}: {rows:?}");
            assert_eq!(rows, (0..until).collect::<Vec<_>>(), "{length}");
        }
    }

    #[tokio::test]
    async fn a_log_that_could_not_be_synced_once_is_never_said_to_be_on_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        // A device that takes bytes and no sync.
        symlink("/dev/null", &path).expect("a file");
        let log = Log {
            path: path.clone(),
            commits: GroupSync::default(),
            failed: Arc::default(),
        };
        log.on_disk().await.expect("nothing was committed");
        log.commits.wrote();
        assert!(log.on_disk().await.is_err());
        fs::remove_file(&path).expect("removed");
        fs::write(&path, b"right again").expect("a file");
        assert!(log.on_disk().await.is_err());
    }
}
