//! The rows of links, in SQLite.
//!
//! One transaction writes all that a decision changed, and when its link's alarm is due: after a crash
//! either all of it is there, or none.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use chatlift_edge::link::decide::PartWrite;
use chatlift_edge::link::flow::Held;
use chatlift_edge::link::state::{LinkState, Part};
use chatlift_edge::link::work::next_alarm;
use chatlift_shared::api::StagedPart;
use chatlift_shared::{LinkId, Timestamp, UploadId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteExecutor, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::error::Error;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS link (id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS upload (
        link TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (link, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS event (
        link TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (link, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS cleanup (
        link TEXT NOT NULL, id TEXT NOT NULL, row TEXT NOT NULL, PRIMARY KEY (link, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS part (
        upload TEXT NOT NULL, n INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (upload, n)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS stage (
        upload TEXT NOT NULL, n INTEGER NOT NULL, offset INTEGER NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY (upload, n, offset)
    );
    CREATE TABLE IF NOT EXISTS alarm (link TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS alarm_at ON alarm (at);
    CREATE TABLE IF NOT EXISTS list (
        app TEXT NOT NULL, shard INTEGER NOT NULL, created_at INTEGER NOT NULL, id TEXT NOT NULL,
        subject TEXT, state TEXT NOT NULL, version INTEGER NOT NULL, row TEXT NOT NULL,
        PRIMARY KEY (app, shard, created_at, id)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS endpoint (app TEXT PRIMARY KEY, disabled_at INTEGER NOT NULL) WITHOUT ROWID;
";

/// Opens the database, which is made where it is not there. A commit is on the disk when it returns.
///
/// # Errors
/// When it cannot be opened.
pub(crate) async fn open(path: &Path) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    // One writer: SQLite has no more, and rows that are read beside it come from the cache.
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await?;
    sqlx::raw_sql(SCHEMA).execute(&pool).await?;
    Ok(pool)
}

fn read<T: DeserializeOwned>(row: &str) -> Result<T, Error> {
    Ok(serde_json::from_str(row)?)
}

/// Reads a link; `None` if it was never made.
pub(crate) async fn load(pool: &SqlitePool, link: LinkId) -> Result<Option<LinkState>, Error> {
    let id = link.to_string();
    let row: Option<String> = sqlx::query_scalar("SELECT row FROM link WHERE id = ?")
        .bind(&id)
        .fetch_optional(pool)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(LinkState {
        link: read(&row)?,
        uploads: table(pool, "SELECT id, row FROM upload WHERE link = ?", &id).await?,
        events: table(pool, "SELECT id, row FROM event WHERE link = ?", &id).await?,
        cleanups: table(pool, "SELECT id, row FROM cleanup WHERE link = ?", &id).await?,
    }))
}

async fn table<K: FromStr + Ord, R: DeserializeOwned>(
    pool: &SqlitePool,
    query: &'static str,
    link: &str,
) -> Result<BTreeMap<K, R>, Error> {
    let rows = sqlx::query(query).bind(link).fetch_all(pool).await?;
    rows.into_iter()
        .map(|row| {
            let id: String = row.try_get("id")?;
            let key = id.parse().map_err(|_| Error::Row(id))?;
            let row: String = row.try_get("row")?;
            Ok((key, read(&row)?))
        })
        .collect()
}

/// Reads a part that is recorded.
pub(crate) async fn part(
    pool: &SqlitePool,
    upload: UploadId,
    n: u16,
) -> Result<Option<Part>, Error> {
    let row: Option<String> = sqlx::query_scalar("SELECT row FROM part WHERE upload = ? AND n = ?")
        .bind(upload.to_string())
        .bind(n)
        .fetch_optional(pool)
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// Reads what is held of an upload.
pub(crate) async fn held(pool: &SqlitePool, upload: UploadId) -> Result<Held, Error> {
    let id = upload.to_string();
    let parts = sqlx::query("SELECT n, row FROM part WHERE upload = ? ORDER BY n")
        .bind(&id)
        .fetch_all(pool)
        .await?;
    let parts = parts.into_iter().map(|row| {
        let part: String = row.try_get("row")?;
        Ok((row.try_get("n")?, read(&part)?))
    });
    let staged = sqlx::query(
        "SELECT n, SUM(LENGTH(bytes)) AS offset FROM stage WHERE upload = ? GROUP BY n",
    )
    .bind(&id)
    .fetch_all(pool)
    .await?;
    let staged = staged.into_iter().map(|row| {
        Ok(StagedPart {
            n: row.try_get("n")?,
            offset: u64::try_from(row.try_get::<i64, _>("offset")?).unwrap_or_default(),
        })
    });
    Ok(Held {
        parts: parts.collect::<Result<_, Error>>()?,
        staged: staged.collect::<Result<_, Error>>()?,
    })
}

/// Writes what changed between two states, the parts, and when the alarm is due.
pub(crate) async fn save(
    pool: &SqlitePool,
    old: Option<&LinkState>,
    next: &LinkState,
    part_writes: &[PartWrite],
    alarm: Option<Timestamp>,
) -> Result<(), Error> {
    let link = next.link.id.to_string();
    let unchanged = old == Some(next) && part_writes.is_empty();
    if unchanged && old.map(next_alarm) == Some(alarm) {
        return Ok(());
    }
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    if old.is_none_or(|o| o.link != next.link) {
        sqlx::query("INSERT OR REPLACE INTO link (id, row) VALUES (?, ?)")
            .bind(&link)
            .bind(serde_json::to_string(&next.link)?)
            .execute(&mut *tx)
            .await?;
    }
    changes(
        &mut tx,
        UPLOAD,
        &link,
        old.map(|o| &o.uploads),
        &next.uploads,
    )
    .await?;
    changes(&mut tx, EVENT, &link, old.map(|o| &o.events), &next.events).await?;
    changes(
        &mut tx,
        CLEANUP,
        &link,
        old.map(|o| &o.cleanups),
        &next.cleanups,
    )
    .await?;
    for write in part_writes {
        write_part(&mut tx, write).await?;
    }
    set_alarm(&mut *tx, next.link.id, alarm).await?;
    tx.commit().await?;
    Ok(())
}

/// The statements by which a table of a link's rows is changed.
#[derive(Clone, Copy)]
struct Table {
    put: &'static str,
    drop: &'static str,
}

const UPLOAD: Table = Table {
    put: "INSERT OR REPLACE INTO upload (link, id, row) VALUES (?, ?, ?)",
    drop: "DELETE FROM upload WHERE link = ? AND id = ?",
};
const EVENT: Table = Table {
    put: "INSERT OR REPLACE INTO event (link, id, row) VALUES (?, ?, ?)",
    drop: "DELETE FROM event WHERE link = ? AND id = ?",
};
const CLEANUP: Table = Table {
    put: "INSERT OR REPLACE INTO cleanup (link, id, row) VALUES (?, ?, ?)",
    drop: "DELETE FROM cleanup WHERE link = ? AND id = ?",
};

async fn changes<K: Ord + Display, R: Serialize + PartialEq>(
    tx: &mut Transaction<'_, Sqlite>,
    table: Table,
    link: &str,
    old: Option<&BTreeMap<K, R>>,
    next: &BTreeMap<K, R>,
) -> Result<(), Error> {
    for (id, row) in next {
        if old.and_then(|o| o.get(id)) != Some(row) {
            sqlx::query(table.put)
                .bind(link)
                .bind(id.to_string())
                .bind(serde_json::to_string(row)?)
                .execute(&mut **tx)
                .await?;
        }
    }
    let gone = old.into_iter().flat_map(BTreeMap::keys);
    for id in gone.filter(|id| !next.contains_key(id)) {
        sqlx::query(table.drop)
            .bind(link)
            .bind(id.to_string())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn write_part(tx: &mut SqliteConnection, write: &PartWrite) -> Result<(), Error> {
    let mut drop_part = async |query: &'static str, upload: UploadId, n: u16| {
        sqlx::query(query)
            .bind(upload.to_string())
            .bind(n)
            .execute(&mut *tx)
            .await
            .map(drop)
    };
    const DROP_STAGE: &str = "DELETE FROM stage WHERE upload = ? AND n = ?";
    const DROP_PART: &str = "DELETE FROM part WHERE upload = ? AND n = ?";
    match write {
        PartWrite::Put(upload, n, part) => {
            drop_part(DROP_STAGE, *upload, *n).await?;
            sqlx::query("INSERT OR REPLACE INTO part (upload, n, row) VALUES (?, ?, ?)")
                .bind(upload.to_string())
                .bind(n)
                .bind(serde_json::to_string(part)?)
                .execute(tx)
                .await?;
        }
        PartWrite::Drop(upload, n) => {
            drop_part(DROP_PART, *upload, *n).await?;
            drop_part(DROP_STAGE, *upload, *n).await?;
        }
        PartWrite::Truncate(upload, n, begin) => {
            sqlx::query(
                "DELETE FROM stage WHERE upload = ?1 AND (n > ?2 OR (n = ?2 AND offset >= ?3))",
            )
            .bind(upload.to_string())
            .bind(n)
            .bind(i64::try_from(*begin).unwrap_or(i64::MAX))
            .execute(tx)
            .await?;
        }
        PartWrite::DropAll(upload) => {
            for query in [
                "DELETE FROM part WHERE upload = ?",
                "DELETE FROM stage WHERE upload = ?",
            ] {
                sqlx::query(query)
                    .bind(upload.to_string())
                    .execute(&mut *tx)
                    .await?;
            }
        }
    }
    Ok(())
}

/// Drops everything of a link.
pub(crate) async fn forget(pool: &SqlitePool, state: &LinkState) -> Result<(), Error> {
    let link = state.link.id.to_string();
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    for upload in state.uploads.keys() {
        write_part(&mut tx, &PartWrite::DropAll(*upload)).await?;
    }
    for query in [
        "DELETE FROM link WHERE id = ?",
        "DELETE FROM upload WHERE link = ?",
        "DELETE FROM event WHERE link = ?",
        "DELETE FROM cleanup WHERE link = ?",
        "DELETE FROM alarm WHERE link = ?",
    ] {
        sqlx::query(query).bind(&link).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// How many bytes of a part are staged.
pub(crate) async fn staged(pool: &SqlitePool, upload: UploadId, n: u16) -> Result<u64, Error> {
    // Rows follow each other without a gap, so the last one tells.
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT offset + LENGTH(bytes) FROM stage WHERE upload = ? AND n = ?
         ORDER BY offset DESC LIMIT 1",
    )
    .bind(upload.to_string())
    .bind(n)
    .fetch_optional(pool)
    .await?;
    Ok(u64::try_from(last.unwrap_or_default()).unwrap_or_default())
}

/// Adds a row at `begin`.
pub(crate) async fn stage(
    pool: &SqlitePool,
    upload: UploadId,
    n: u16,
    begin: u64,
    bytes: &[u8],
) -> Result<(), Error> {
    sqlx::query("INSERT INTO stage (upload, n, offset, bytes) VALUES (?, ?, ?, ?)")
        .bind(upload.to_string())
        .bind(n)
        .bind(i64::try_from(begin).unwrap_or(i64::MAX))
        .bind(bytes)
        .execute(pool)
        .await?;
    Ok(())
}

/// The row at `offset`, if there is one.
pub(crate) async fn staged_row(
    pool: &SqlitePool,
    upload: UploadId,
    n: u16,
    offset: u64,
) -> Result<Option<Vec<u8>>, Error> {
    Ok(
        sqlx::query_scalar("SELECT bytes FROM stage WHERE upload = ? AND n = ? AND offset = ?")
            .bind(upload.to_string())
            .bind(n)
            .bind(i64::try_from(offset).unwrap_or(i64::MAX))
            .fetch_optional(pool)
            .await?,
    )
}

/// The links whose alarms are due first, and when.
pub(crate) async fn first_alarms(
    pool: &SqlitePool,
    most: usize,
) -> Result<Vec<(LinkId, Timestamp)>, Error> {
    let rows = sqlx::query("SELECT link, at FROM alarm ORDER BY at LIMIT ?")
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await?;
    let alarms = rows.into_iter().map(|row| {
        let link: String = row.try_get("link")?;
        let at: i64 = row.try_get("at")?;
        let id = link.parse().map_err(|_| Error::Row(link))?;
        Ok((id, Timestamp::from_millis(at)))
    });
    alarms.collect()
}

/// Sets when a link's alarm is due.
pub(crate) async fn set_alarm(
    database: impl SqliteExecutor<'_>,
    link: LinkId,
    alarm: Option<Timestamp>,
) -> Result<(), Error> {
    let query = match alarm {
        Some(at) => sqlx::query("INSERT OR REPLACE INTO alarm (link, at) VALUES (?, ?)")
            .bind(link.to_string())
            .bind(at.millis()),
        None => sqlx::query("DELETE FROM alarm WHERE link = ?").bind(link.to_string()),
    };
    query.execute(database).await?;
    Ok(())
}
