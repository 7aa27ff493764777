//! The database: SQLite in the data folder for one machine, PostgreSQL for many.
//!
//! The same statements run on both, where they are not told apart by [`Database::shared`].
//!
//! Promise: PostgreSQL has on its disk what is committed. SQLite has it in its log, which is synced for all who
//! wait at once, and is waited for before anybody outside is told and before a file is moved or removed
//! ([`Database::on_disk`]). A crash of the machine takes the last commits and none before them.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chatlift_shared::Timestamp;
use futures_util::StreamExt as _;
use sqlx::any::{AnyArguments, AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Either, Executor as _, SqlSafeStr, Transaction,
};
use tokio::sync::{Mutex, OwnedMutexGuard};
use url::Url;

use crate::clock::now;
use crate::disk;
use crate::error::Error;
use crate::group_sync::GroupSync;

/// Connections to SQLite. It has one writer; of a second connection each write would empty the cache.
const SQLITE_CONNECTIONS: u32 = 1;

/// Connections of a node to PostgreSQL, which has 100 as it comes.
const POSTGRES_CONNECTIONS: u32 = 16;

/// Settings of each connection to SQLite. A commit is not synced by it, but what is synced later keeps the order
/// of commits (<https://www.sqlite.org/pragma.html#pragma_synchronous>): [`Log`] syncs it.
/// What it has read it keeps at most 0.5 MB of, a quarter of what is usual: the system keeps it too.
const PRAGMAS: [&str; 4] = [
    "PRAGMA busy_timeout = 10000",
    "PRAGMA cache_size = -500",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
];

/// The database's tables.
const SQLITE: Tables = [
    ("all", include_str!("../migrations/sqlite/0001_all.sql")),
    ("audit", include_str!("../migrations/sqlite/0002_audit.sql")),
    (
        "outbox",
        include_str!("../migrations/sqlite/0003_outbox.sql"),
    ),
];
const POSTGRES: Tables = [
    ("all", include_str!("../migrations/postgres/0001_all.sql")),
    (
        "audit",
        include_str!("../migrations/postgres/0002_audit.sql"),
    ),
    (
        "outbox",
        include_str!("../migrations/postgres/0003_outbox.sql"),
    ),
];

/// The migrations that make the tables, by name, from the first.
type Tables = [(&'static str, &'static str); 3];

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

/// A statement with its values, of which the first is `$1`.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    sql: &'static str,
    values: Vec<Value<'a>>,
}

#[derive(Debug)]
enum Value<'a> {
    Text(String),
    Number(i64),
    Bytes(&'a [u8]),
}

impl<'a> Statement<'a> {
    /// A statement that has no values yet. It has no `$` but before the number of a value.
    pub(crate) const fn of(sql: &'static str) -> Self {
        Self {
            sql,
            values: Vec::new(),
        }
    }

    /// Adds a value that is a text.
    pub(crate) fn text(mut self, text: impl ToString) -> Self {
        self.values.push(Value::Text(text.to_string()));
        self
    }

    /// Adds a value that is a number.
    pub(crate) fn number(mut self, number: impl Into<i64>) -> Self {
        self.values.push(Value::Number(number.into()));
        self
    }

    /// Adds a value that is bytes.
    pub(crate) fn bytes(mut self, bytes: &'a [u8]) -> Self {
        self.values.push(Value::Bytes(bytes));
        self
    }

    /// Adds it to the text and the values of others, whose numbers come before its own.
    fn join(self, text: &mut String, values: &mut Vec<Value<'a>>) {
        let mut pieces = self.sql.split('$');
        text.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let digits = piece.find(|c: char| !c.is_ascii_digit());
            let (number, rest) = piece.split_at(digits.unwrap_or(piece.len()));
            let number = number.parse().unwrap_or(0) + values.len();
            let _ = write!(text, "${number}{rest}");
        }
        text.push_str(";\n");
        values.extend(self.values);
    }
}

fn query<'q>(sql: impl SqlSafeStr, values: Vec<Value<'q>>) -> Query<'q, Any, AnyArguments> {
    values
        .into_iter()
        .fold(sqlx::query(sql), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        })
}

/// Statements that SQLite is given in one call. To prepare one it copies the text of all that come behind it, so a
/// hundred thousand in one call take minutes.
const AT_ONCE: usize = 64;

/// The rows of each statement.
type Answers = Vec<Vec<AnyRow>>;

/// A transaction that writes. Dropped, nothing of it was done.
#[derive(Debug)]
pub(crate) struct Write {
    connection: Option<PoolConnection<Any>>,
    shared: bool,
    // Given on once the transaction is over.
    turn: Option<OwnedMutexGuard<()>>,
}

impl Write {
    /// Carries out statements in it. SQLite is given [`AT_ONCE`] of them in one call, with what comes `first` and
    /// `last`: each call costs two threads waking each other, which is more than most statements.
    async fn carry_out(
        &mut self,
        first: &str,
        statements: Vec<Statement<'_>>,
        last: &str,
    ) -> Result<Answers, sqlx::Error> {
        let Some(connection) = &mut self.connection else {
            return Err(sqlx::Error::PoolClosed);
        };
        if self.shared {
            let mut answers = Answers::new();
            raw(connection, first).await?;
            for Statement { sql, values } in statements {
                answers.push(query(sql, values).fetch_all(&mut **connection).await?);
            }
            raw(connection, last).await?;
            return Ok(answers);
        }
        let mut statements = statements.into_iter().peekable();
        let (mut answers, mut begin) = (Answers::new(), first);
        loop {
            let (mut text, mut values) = (begin.to_owned(), Vec::new());
            for statement in statements.by_ref().take(AT_ONCE) {
                statement.join(&mut text, &mut values);
            }
            let is_last = statements.peek().is_none();
            if is_last {
                text.push_str(last);
            }
            let mut rows = connection.fetch_many(query(AssertSqlSafe(text), values));
            let mut answer = Vec::new();
            while let Some(next) = rows.next().await.transpose()? {
                match next {
                    Either::Right(row) => answer.push(row),
                    // The statement has ended.
                    Either::Left(_) => answers.push(std::mem::take(&mut answer)),
                }
            }
            if is_last {
                break;
            }
            begin = "";
        }
        if !first.is_empty() {
            answers.remove(0);
        }
        Ok(answers)
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        let turn = self.turn.take();
        if let Some(mut connection) = self.connection.take() {
            tokio::spawn(async move {
                // What was cut may have ended it, or never have begun it.
                if raw(&mut connection, "ROLLBACK").await.is_err() {
                    let _ = connection.close().await;
                }
                drop(turn);
            });
        }
    }
}

/// Carries out what has neither values nor rows.
async fn raw(connection: &mut AnyConnection, sql: &str) -> Result<(), sqlx::Error> {
    if !sql.is_empty() {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(connection)
            .await?;
    }
    Ok(())
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

    async fn connect(url: &str, tables: Tables, shared: bool) -> Result<Self, Error> {
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
        let migrations = (1..).zip(tables).map(|(n, (name, sql))| {
            let sql = AssertSqlSafe(sql).into_sql_str();
            Migration::new(n, name.into(), MigrationType::Simple, sql, false)
        });
        // Of several nodes that start at once, one makes the tables.
        Migrator::with_migrations(migrations.collect())
            .run(&pool)
            .await?;
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

    /// Begins a transaction that writes, and carries out statements in it; answers the rows of each.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn write(
        &self,
        statements: Vec<Statement<'_>>,
    ) -> Result<(Write, Answers), Error> {
        let turn = self.turn().await;
        let mut write = Write {
            connection: Some(self.pool.acquire().await?),
            shared: self.shared,
            turn,
        };
        let begin = match self.shared {
            true => "BEGIN",
            false => "BEGIN IMMEDIATE;\n",
        };
        let answers = write.carry_out(begin, statements, "").await?;
        Ok((write, answers))
    }

    /// Carries out statements and ends a transaction that writes: all of it is there, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn commit(
        &self,
        mut write: Write,
        statements: Vec<Statement<'_>>,
    ) -> Result<(), Error> {
        write.carry_out("", statements, "COMMIT").await?;
        write.connection = None;
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

    use sqlx::Row as _;

    use super::*;

    async fn add(db: &Database, n: i64) {
        let (write, _) = db.write(Vec::new()).await.expect("a transaction");
        let add = Statement::of("INSERT INTO revision (link, n) VALUES ($1, $2)");
        let add = add.text(n).number(n);
        db.commit(write, vec![add]).await.expect("committed");
    }

    async fn rows(db: &Database) -> Vec<i64> {
        sqlx::query_scalar("SELECT n FROM revision ORDER BY n")
            .fetch_all(&db.pool)
            .await
            .expect("rows")
    }

    #[tokio::test]
    async fn more_statements_than_go_in_one_call_are_carried_out_in_order_and_answered_one_by_one()
    {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Database::open(&folder.path().join("edge.sqlite")).await;
        let db = db.expect("a database");
        let all = 0..3 * i64::try_from(AT_ONCE).expect("few") + 1;
        let add = |n| {
            Statement::of("INSERT INTO revision (link, n) VALUES ($1, $2)")
                .text(n)
                .number(n)
        };
        let (write, _) = db.write(Vec::new()).await.expect("a transaction");
        let added = db.commit(write, all.clone().map(add).collect()).await;
        added.expect("committed");
        let read = |n: i64| Statement::of("SELECT n FROM revision WHERE link = $1").text(n);
        let (_write, answers) = db
            .write(all.clone().map(read).collect())
            .await
            .expect("rows");
        let answers: Vec<Vec<i64>> = answers
            .iter()
            .map(|rows| rows.iter().map(|row| row.get::<i64, _>(0)).collect())
            .collect();
        assert_eq!(answers, all.map(|n| vec![n]).collect::<Vec<_>>());
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
