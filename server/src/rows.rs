//! The rows of links.
//!
//! One transaction writes all that a decision changed, and when its link's alarm is due: after a crash
//! either all of it is there, or none. A link has a revision, which each write checks and raises: of two
//! nodes that decide at once, one decides again.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use chatlift_edge::link::decide::PartWrite;
use chatlift_edge::link::flow::Held;
use chatlift_edge::link::state::{LinkState, Part};
use chatlift_edge::link::version::read_link;
use chatlift_edge::link::work::next_alarm;
use chatlift_shared::api::StagedPart;
use chatlift_shared::{LinkId, Timestamp, UploadId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{Any, AnyConnection, Row as _, Transaction};

use crate::database::Database;
use crate::error::Error;

/// A link as it is stored, and its revision.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) state: LinkState,
    pub(crate) revision: i64,
}

fn read<T: DeserializeOwned>(row: &str) -> Result<T, Error> {
    Ok(serde_json::from_str(row)?)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The revision of a link; `None` if it was never made.
pub(crate) async fn revision(db: &Database, link: LinkId) -> Result<Option<i64>, Error> {
    Ok(sqlx::query_scalar("SELECT n FROM revision WHERE link = $1")
        .bind(link.to_string())
        .fetch_optional(&db.pool)
        .await?)
}

/// Reads a link; `None` if it was never made.
pub(crate) async fn load(db: &Database, link: LinkId) -> Result<Option<Known>, Error> {
    let id = link.to_string();
    let mut tx = db.snapshot().await?;
    let row = sqlx::query("SELECT n, row FROM link JOIN revision ON link = id WHERE id = $1")
        .bind(&id)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let text: String = row.try_get("row")?;
    let state = LinkState {
        link: read_link(&text)?,
        uploads: table(&mut tx, "SELECT id, row FROM upload WHERE link = $1", &id).await?,
        events: table(&mut tx, "SELECT id, row FROM event WHERE link = $1", &id).await?,
        cleanups: table(&mut tx, "SELECT id, row FROM cleanup WHERE link = $1", &id).await?,
    };
    tx.commit().await?;
    Ok(Some(Known {
        state,
        revision: row.try_get("n")?,
    }))
}

async fn table<K: FromStr + Ord, R: DeserializeOwned>(
    tx: &mut AnyConnection,
    query: &'static str,
    link: &str,
) -> Result<BTreeMap<K, R>, Error> {
    let rows = sqlx::query(query).bind(link).fetch_all(tx).await?;
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
pub(crate) async fn part(db: &Database, upload: UploadId, n: u16) -> Result<Option<Part>, Error> {
    let row: Option<String> =
        sqlx::query_scalar("SELECT row FROM part WHERE upload = $1 AND n = $2")
            .bind(upload.to_string())
            .bind(i32::from(n))
            .fetch_optional(&db.pool)
            .await?;
    row.map(|row| read(&row)).transpose()
}

fn number(row: &sqlx::any::AnyRow) -> Result<u16, Error> {
    let n: i32 = row.try_get("n")?;
    u16::try_from(n).map_err(|_| Error::Row(n.to_string()))
}

/// Reads what is held of an upload.
pub(crate) async fn held(db: &Database, upload: UploadId) -> Result<Held, Error> {
    let id = upload.to_string();
    let parts = sqlx::query("SELECT n, row FROM part WHERE upload = $1 ORDER BY n")
        .bind(&id)
        .fetch_all(&db.pool)
        .await?;
    let parts = parts.into_iter().map(|row| {
        let part: String = row.try_get("row")?;
        Ok((number(&row)?, read(&part)?))
    });
    let staged = sqlx::query(
        "SELECT n, CAST(SUM(LENGTH(bytes)) AS BIGINT) AS held
         FROM stage WHERE upload = $1 GROUP BY n ORDER BY n",
    )
    .bind(&id)
    .fetch_all(&db.pool)
    .await?;
    let staged = staged.into_iter().map(|row| {
        Ok(StagedPart {
            n: number(&row)?,
            offset: u64::try_from(row.try_get::<i64, _>("held")?).unwrap_or_default(),
        })
    });
    Ok(Held {
        parts: parts.collect::<Result<_, Error>>()?,
        staged: staged.collect::<Result<_, Error>>()?,
    })
}

/// What became of a link that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saved {
    pub(crate) revision: i64,
    /// Whether its alarm is due at another time.
    pub(crate) alarm_changed: bool,
}

/// Writes what changed between two states, the parts, and when the alarm is due; `None` where the link has changed since it was read, so that nothing is written.
pub(crate) async fn save(
    db: &Database,
    old: Option<&Known>,
    next: &LinkState,
    part_writes: &[PartWrite],
) -> Result<Option<Saved>, Error> {
    let state = old.map(|old| &old.state);
    if let Some(old) = old
        && old.state == *next
        && part_writes.is_empty()
    {
        return Ok(Some(Saved {
            revision: old.revision,
            alarm_changed: false,
        }));
    }
    let link = next.link.id.to_string();
    let mut tx = db.write().await?;
    let (query, revision) = match old {
        None => (
            "INSERT INTO revision (link, n) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            1,
        ),
        Some(old) => (
            "UPDATE revision SET n = $2 WHERE link = $1 AND n = $2 - 1",
            old.revision + 1,
        ),
    };
    let written = sqlx::query(query)
        .bind(&link)
        .bind(revision)
        .execute(&mut **tx)
        .await?;
    if written.rows_affected() == 0 {
        return Ok(None);
    }
    if state.is_none_or(|old| old.link != next.link) {
        sqlx::query(
            "INSERT INTO link (id, row) VALUES ($1, $2)
             ON CONFLICT (id) DO UPDATE SET row = excluded.row",
        )
        .bind(&link)
        .bind(serde_json::to_string(&next.link)?)
        .execute(&mut **tx)
        .await?;
    }
    changes(
        &mut tx,
        UPLOAD,
        &link,
        state.map(|o| &o.uploads),
        &next.uploads,
    )
    .await?;
    changes(
        &mut tx,
        EVENT,
        &link,
        state.map(|o| &o.events),
        &next.events,
    )
    .await?;
    changes(
        &mut tx,
        CLEANUP,
        &link,
        state.map(|o| &o.cleanups),
        &next.cleanups,
    )
    .await?;
    for write in part_writes {
        write_part(&mut tx, write).await?;
    }
    let alarm = next_alarm(next);
    let alarm_changed = state.map(next_alarm) != Some(alarm);
    if alarm_changed {
        set_alarm(&mut tx, &link, alarm).await?;
    }
    if db.shared && state.is_some_and(|state| state.events != next.events) {
        // A hint: whoever watches on another node looks at once, and now and then in any case.
        sqlx::query("SELECT pg_notify('chatlift_edge', $1)")
            .bind(&link)
            .execute(&mut **tx)
            .await?;
    }
    db.commit(tx).await?;
    Ok(Some(Saved {
        revision,
        alarm_changed,
    }))
}

/// The statements by which a table of a link's rows is changed.
#[derive(Clone, Copy)]
struct Table {
    put: &'static str,
    drop: &'static str,
}

const UPLOAD: Table = Table {
    put: "INSERT INTO upload (link, id, row) VALUES ($1, $2, $3)
          ON CONFLICT (link, id) DO UPDATE SET row = excluded.row",
    drop: "DELETE FROM upload WHERE link = $1 AND id = $2",
};
const EVENT: Table = Table {
    put: "INSERT INTO event (link, id, row) VALUES ($1, $2, $3)
          ON CONFLICT (link, id) DO UPDATE SET row = excluded.row",
    drop: "DELETE FROM event WHERE link = $1 AND id = $2",
};
const CLEANUP: Table = Table {
    put: "INSERT INTO cleanup (link, id, row) VALUES ($1, $2, $3)
          ON CONFLICT (link, id) DO UPDATE SET row = excluded.row",
    drop: "DELETE FROM cleanup WHERE link = $1 AND id = $2",
};

async fn changes<K: Ord + Display, R: Serialize + PartialEq>(
    tx: &mut Transaction<'_, Any>,
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

const DROP_PART: &str = "DELETE FROM part WHERE upload = $1 AND n = $2";
const DROP_STAGE: &str = "DELETE FROM stage WHERE upload = $1 AND n = $2";

async fn write_part(tx: &mut Transaction<'_, Any>, write: &PartWrite) -> Result<(), Error> {
    let (upload, n, queries): (UploadId, u16, &[&'static str]) = match write {
        PartWrite::Put(upload, n, _) => (*upload, *n, &[DROP_STAGE]),
        PartWrite::Drop(upload, n) => (*upload, *n, &[DROP_PART, DROP_STAGE]),
        PartWrite::Truncate(upload, n, begin) => {
            sqlx::query(
                r#"DELETE FROM stage WHERE upload = $1 AND (n > $2 OR (n = $2 AND "offset" >= $3))"#,
            )
            .bind(upload.to_string())
            .bind(i32::from(*n))
            .bind(signed(*begin))
            .execute(&mut **tx)
            .await?;
            return Ok(());
        }
        PartWrite::DropAll(upload) => {
            for query in [
                "DELETE FROM part WHERE upload = $1",
                "DELETE FROM stage WHERE upload = $1",
            ] {
                sqlx::query(query)
                    .bind(upload.to_string())
                    .execute(&mut **tx)
                    .await?;
            }
            return Ok(());
        }
    };
    for query in queries {
        sqlx::query(*query)
            .bind(upload.to_string())
            .bind(i32::from(n))
            .execute(&mut **tx)
            .await?;
    }
    if let PartWrite::Put(_, _, part) = write {
        sqlx::query(
            "INSERT INTO part (upload, n, row) VALUES ($1, $2, $3)
             ON CONFLICT (upload, n) DO UPDATE SET row = excluded.row",
        )
        .bind(upload.to_string())
        .bind(i32::from(n))
        .bind(serde_json::to_string(part)?)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Sets when a link's alarm is due. Whoever is at work on it stays so.
async fn set_alarm(
    tx: &mut Transaction<'_, Any>,
    link: &str,
    alarm: Option<Timestamp>,
) -> Result<(), Error> {
    let query = match alarm {
        Some(at) => sqlx::query(
            "INSERT INTO alarm (link, at) VALUES ($1, $2)
             ON CONFLICT (link) DO UPDATE SET at = excluded.at",
        )
        .bind(link)
        .bind(at.millis()),
        None => sqlx::query("DELETE FROM alarm WHERE link = $1").bind(link),
    };
    query.execute(&mut **tx).await?;
    Ok(())
}

/// Drops everything of a link, unless it has changed since it was read; answers whether it did.
pub(crate) async fn forget(db: &Database, old: &Known) -> Result<bool, Error> {
    let link = old.state.link.id.to_string();
    let mut tx = db.write().await?;
    let dropped = sqlx::query("DELETE FROM revision WHERE link = $1 AND n = $2")
        .bind(&link)
        .bind(old.revision)
        .execute(&mut **tx)
        .await?;
    if dropped.rows_affected() == 0 {
        return Ok(false);
    }
    for upload in old.state.uploads.keys() {
        write_part(&mut tx, &PartWrite::DropAll(*upload)).await?;
    }
    for query in [
        "DELETE FROM link WHERE id = $1",
        "DELETE FROM upload WHERE link = $1",
        "DELETE FROM event WHERE link = $1",
        "DELETE FROM cleanup WHERE link = $1",
        "DELETE FROM alarm WHERE link = $1",
    ] {
        sqlx::query(query).bind(&link).execute(&mut **tx).await?;
    }
    db.commit(tx).await?;
    Ok(true)
}

/// How many bytes of a part are staged.
pub(crate) async fn staged(
    database: impl sqlx::Executor<'_, Database = Any>,
    upload: UploadId,
    n: u16,
) -> Result<u64, Error> {
    // Rows follow each other without a gap, so the last one tells.
    let last: Option<i64> = sqlx::query_scalar(
        r#"SELECT "offset" + LENGTH(bytes) FROM stage WHERE upload = $1 AND n = $2
           ORDER BY "offset" DESC LIMIT 1"#,
    )
    .bind(upload.to_string())
    .bind(i32::from(n))
    .fetch_optional(database)
    .await?;
    Ok(u64::try_from(last.unwrap_or_default()).unwrap_or_default())
}

/// How many rows are staged of a link's parts.
pub(crate) async fn staged_rows(db: &Database, link: LinkId) -> Result<u64, Error> {
    let rows: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM stage JOIN upload ON upload.id = stage.upload WHERE upload.link = $1",
    )
    .bind(link.to_string())
    .fetch_one(&db.pool)
    .await?;
    Ok(u64::try_from(rows).unwrap_or_default())
}

/// A row of a part that is about to be staged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) upload: UploadId,
    pub(crate) n: u16,
    /// Where in the part it begins, in bytes.
    pub(crate) begin: u64,
    pub(crate) bytes: &'a [u8],
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is there; the link's revision now.
    At(i64),
    /// The part is staged up to here, which is not where the row begins.
    Elsewhere(u64),
    /// The link has changed since it was read.
    Changed,
    /// Another request adds to the part.
    TakenOver,
}

/// Adds a row where its part ends, unless the link has another `revision` or another request than
/// `holder` adds to the part, where nodes share the database.
pub(crate) async fn stage(
    db: &Database,
    revision: i64,
    holder: Option<i64>,
    row: NewRow<'_>,
) -> Result<Added, Error> {
    let mut tx = db.write().await?;
    // Raised, so that who decided by what was staged before decides again.
    let same = sqlx::query("UPDATE revision SET n = n + 1 WHERE link = $1 AND n = $2")
        .bind(row.upload.link().to_string())
        .bind(revision)
        .execute(&mut **tx)
        .await?;
    if same.rows_affected() == 0 {
        return Ok(Added::Changed);
    }
    if let Some(holder) = holder {
        let same = sqlx::query(
            "UPDATE turn SET until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 30000
             WHERE upload = $1 AND n = $2 AND holder = $3",
        )
        .bind(row.upload.to_string())
        .bind(i32::from(row.n))
        .bind(holder)
        .execute(&mut **tx)
        .await?;
        if same.rows_affected() == 0 {
            return Ok(Added::TakenOver);
        }
    }
    let held = staged(&mut **tx, row.upload, row.n).await?;
    if held != row.begin {
        return Ok(Added::Elsewhere(held));
    }
    sqlx::query(r#"INSERT INTO stage (upload, n, "offset", bytes) VALUES ($1, $2, $3, $4)"#)
        .bind(row.upload.to_string())
        .bind(i32::from(row.n))
        .bind(signed(row.begin))
        .bind(row.bytes)
        .execute(&mut **tx)
        .await?;
    db.commit(tx).await?;
    Ok(Added::At(revision + 1))
}

/// The row at `offset`, if there is one.
pub(crate) async fn staged_row(
    db: &Database,
    upload: UploadId,
    n: u16,
    offset: u64,
) -> Result<Option<Vec<u8>>, Error> {
    Ok(sqlx::query_scalar(
        r#"SELECT bytes FROM stage WHERE upload = $1 AND n = $2 AND "offset" = $3"#,
    )
    .bind(upload.to_string())
    .bind(i32::from(n))
    .bind(signed(offset))
    .fetch_optional(&db.pool)
    .await?)
}
