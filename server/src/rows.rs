//! The rows of links.
//!
//! One transaction writes all that a decision changed, and when its link's alarm is due: after a crash
//! either all of it is there, or none. A link has a revision, which each write checks and raises: of two
//! nodes that decide at once, one decides again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use chatlift_edge::link::audit::Trail;
use chatlift_edge::link::decide::PartWrite;
use chatlift_edge::link::flow::Held;
use chatlift_edge::link::state::{LinkState, Part};
use chatlift_edge::link::version::read_link;
use chatlift_edge::link::work::next_alarm;
use chatlift_shared::api::StagedPart;
use chatlift_shared::{LinkId, Timestamp, UploadId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{AnyConnection, Row as _};

use crate::database::{Database, Statement};
use crate::error::Error;

/// A link as it is stored, and its revision.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) state: LinkState,
    pub(crate) revision: i64,
    /// What is held of uploads that was asked for at this revision.
    pub(crate) held: RefCell<BTreeMap<UploadId, Held>>,
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
        audit: trail(&mut tx, &id).await?,
    };
    tx.commit().await?;
    Ok(Some(Known {
        state,
        revision: row.try_get("n")?,
        held: RefCell::default(),
    }))
}

async fn trail(tx: &mut AnyConnection, link: &str) -> Result<Trail, Error> {
    let rows: Vec<String> = sqlx::query_scalar("SELECT row FROM audit WHERE link = $1 ORDER BY n")
        .bind(link)
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| read(row)).collect()
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

/// How many events are still to be told, and when the oldest of them happened. The index has both.
///
/// # Errors
/// When the database fails.
pub(crate) async fn outbox(db: &Database) -> Result<(i64, Option<Timestamp>), Error> {
    const SQLITE: &str = "SELECT COUNT(*) AS n, MIN(row ->> '$.created_at') AS oldest FROM event
        WHERE row ->> '$.state' = 'pending'";
    const POSTGRES: &str =
        "SELECT COUNT(*) AS n, MIN(row::jsonb ->> 'created_at') AS oldest FROM event
        WHERE row::jsonb ->> 'state' = 'pending'";
    let row = sqlx::query(if db.shared { POSTGRES } else { SQLITE })
        .fetch_one(&db.pool)
        .await?;
    let oldest: Option<String> = row.try_get("oldest")?;
    let oldest = oldest.map(|at| at.parse().map_err(|_| Error::Row(at)));
    Ok((row.try_get("n")?, oldest.transpose()?))
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
    let rows = sqlx::query(
        "SELECT n, row, 0 AS held FROM part WHERE upload = $1
         UNION ALL
         SELECT n, NULL, CAST(SUM(LENGTH(bytes)) AS BIGINT) FROM stage WHERE upload = $1 GROUP BY n
         ORDER BY n",
    )
    .bind(upload.to_string())
    .fetch_all(&db.pool)
    .await?;
    let mut held = Held::default();
    for row in rows {
        let n = number(&row)?;
        match row.try_get::<Option<String>, _>("row")? {
            Some(part) => {
                held.parts.insert(n, read(&part)?);
            }
            None => held.staged.push(StagedPart {
                n,
                offset: u64::try_from(row.try_get::<i64, _>("held")?).unwrap_or_default(),
            }),
        }
    }
    Ok(held)
}

/// What became of a link that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Saved {
    pub(crate) revision: i64,
    /// Whether its alarm is due sooner than it was.
    pub(crate) sooner: bool,
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
            sooner: false,
        }));
    }
    let link = next.link.id;
    let (sql, revision) = match old {
        None => (
            "INSERT INTO revision (link, n) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING n",
            1,
        ),
        Some(old) => (
            "UPDATE revision SET n = $2 WHERE link = $1 AND n = $2 - 1 RETURNING n",
            old.revision + 1,
        ),
    };
    let raise = Statement::of(sql).text(link).number(revision);
    let (write, raised) = db.write(vec![raise]).await?;
    if raised.concat().is_empty() {
        return Ok(None);
    }
    let mut statements = Vec::new();
    if state.is_none_or(|old| old.link != next.link) {
        let put = Statement::of(
            "INSERT INTO link (id, row) VALUES ($1, $2)
             ON CONFLICT (id) DO UPDATE SET row = excluded.row",
        );
        statements.push(put.text(link).text(serde_json::to_string(&next.link)?));
    }
    let uploads = state.map(|o| &o.uploads);
    changes(&mut statements, UPLOAD, link, uploads, &next.uploads)?;
    let events = state.map(|o| &o.events);
    changes(&mut statements, EVENT, link, events, &next.events)?;
    let cleanups = state.map(|o| &o.cleanups);
    changes(&mut statements, CLEANUP, link, cleanups, &next.cleanups)?;
    let (removed, added) = next.audit.since(state.map(|o| &o.audit));
    if removed {
        statements.push(Statement::of("DELETE FROM audit WHERE link = $1").text(link));
    }
    for (n, row) in added {
        let put = Statement::of("INSERT INTO audit (link, n, row) VALUES ($1, $2, $3)");
        let row = serde_json::to_string(row)?;
        statements.push(put.text(link).number(n).text(row));
    }
    for write in part_writes {
        write_part(&mut statements, write)?;
    }
    let (before, alarm) = (state.and_then(next_alarm), next_alarm(next));
    if before != alarm {
        statements.push(set_alarm(link, alarm));
    }
    if db.shared && events.is_some_and(|events| *events != next.events) {
        // A hint: whoever watches on another node looks at once, and now and then in any case.
        statements.push(Statement::of("SELECT pg_notify('chatlift_edge', $1)").text(link));
    }
    db.commit(write, statements).await?;
    Ok(Some(Saved {
        revision,
        sooner: alarm.is_some_and(|alarm| before.is_none_or(|before| alarm < before)),
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

fn changes<K: Ord + Display, R: Serialize + PartialEq>(
    statements: &mut Vec<Statement<'_>>,
    table: Table,
    link: LinkId,
    old: Option<&BTreeMap<K, R>>,
    next: &BTreeMap<K, R>,
) -> Result<(), Error> {
    for (id, row) in next {
        if old.and_then(|o| o.get(id)) != Some(row) {
            let put = Statement::of(table.put).text(link).text(id);
            statements.push(put.text(serde_json::to_string(row)?));
        }
    }
    let gone = old.into_iter().flat_map(BTreeMap::keys);
    for id in gone.filter(|id| !next.contains_key(id)) {
        statements.push(Statement::of(table.drop).text(link).text(id));
    }
    Ok(())
}

fn write_part(statements: &mut Vec<Statement<'_>>, write: &PartWrite) -> Result<(), Error> {
    const DROP_PART: &str = "DELETE FROM part WHERE upload = $1 AND n = $2";
    const DROP_STAGE: &str = "DELETE FROM stage WHERE upload = $1 AND n = $2";
    match write {
        PartWrite::Put(upload, n, part) => {
            statements.push(Statement::of(DROP_STAGE).text(upload).number(*n));
            let put = Statement::of(
                "INSERT INTO part (upload, n, row) VALUES ($1, $2, $3)
                 ON CONFLICT (upload, n) DO UPDATE SET row = excluded.row",
            );
            let put = put.text(upload).number(*n);
            statements.push(put.text(serde_json::to_string(part)?));
        }
        PartWrite::Drop(upload, n) => {
            for sql in [DROP_PART, DROP_STAGE] {
                statements.push(Statement::of(sql).text(upload).number(*n));
            }
        }
        PartWrite::Truncate(upload, n, begin) => {
            let cut = Statement::of(
                r#"DELETE FROM stage WHERE upload = $1 AND (n > $2 OR (n = $2 AND "offset" >= $3))"#,
            );
            statements.push(cut.text(upload).number(*n).number(signed(*begin)));
        }
        PartWrite::DropAll(upload) => {
            for sql in [
                "DELETE FROM part WHERE upload = $1",
                "DELETE FROM stage WHERE upload = $1",
            ] {
                statements.push(Statement::of(sql).text(upload));
            }
        }
    }
    Ok(())
}

/// Sets when a link's alarm is due. Whoever is at work on it stays so.
fn set_alarm(link: LinkId, alarm: Option<Timestamp>) -> Statement<'static> {
    match alarm {
        Some(at) => Statement::of(
            "INSERT INTO alarm (link, at) VALUES ($1, $2)
             ON CONFLICT (link) DO UPDATE SET at = excluded.at",
        )
        .text(link)
        .number(at.millis()),
        None => Statement::of("DELETE FROM alarm WHERE link = $1").text(link),
    }
}

/// Drops everything of a link, unless it has changed since it was read; answers whether it did.
pub(crate) async fn forget(db: &Database, old: &Known) -> Result<bool, Error> {
    let link = old.state.link.id;
    let revision = Statement::of("DELETE FROM revision WHERE link = $1 AND n = $2 RETURNING n");
    let revision = revision.text(link).number(old.revision);
    let (write, dropped) = db.write(vec![revision]).await?;
    if dropped.concat().is_empty() {
        return Ok(false);
    }
    let mut statements = Vec::new();
    for upload in old.state.uploads.keys() {
        write_part(&mut statements, &PartWrite::DropAll(*upload))?;
    }
    for sql in [
        "DELETE FROM link WHERE id = $1",
        "DELETE FROM upload WHERE link = $1",
        "DELETE FROM event WHERE link = $1",
        "DELETE FROM cleanup WHERE link = $1",
        "DELETE FROM audit WHERE link = $1",
        "DELETE FROM alarm WHERE link = $1",
    ] {
        statements.push(Statement::of(sql).text(link));
    }
    db.commit(write, statements).await?;
    Ok(true)
}

/// How many bytes of a part are staged, which is where its last row ends: they follow each other without a gap.
const STAGED: &str = r#"SELECT COALESCE((
    SELECT "offset" + LENGTH(bytes) FROM stage WHERE upload = $1 AND n = $2
    ORDER BY "offset" DESC LIMIT 1), 0)"#;

/// How many bytes of a part are staged.
pub(crate) async fn staged(db: &Database, upload: UploadId, n: u16) -> Result<u64, Error> {
    let held: i64 = sqlx::query_scalar(STAGED)
        .bind(upload.to_string())
        .bind(i64::from(n))
        .fetch_one(&db.pool)
        .await?;
    Ok(u64::try_from(held).unwrap_or_default())
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
    let NewRow { upload, n, .. } = row;
    // Raised, so that who decided by what was staged before decides again.
    let raise =
        Statement::of("UPDATE revision SET n = n + 1 WHERE link = $1 AND n = $2 RETURNING n");
    let mut statements = vec![
        raise.text(upload.link()).number(revision),
        Statement::of(STAGED).text(upload).number(n),
    ];
    if let Some(holder) = holder {
        let turn = Statement::of(
            "UPDATE turn SET until = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 30000
             WHERE upload = $1 AND n = $2 AND holder = $3 RETURNING holder",
        );
        statements.push(turn.text(upload).number(n).number(holder));
    }
    let (write, answers) = db.write(statements).await?;
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or_default();
    if next().is_empty() {
        return Ok(Added::Changed);
    }
    let held = match next().first() {
        Some(row) => u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default(),
        None => 0,
    };
    if holder.is_some() && next().is_empty() {
        return Ok(Added::TakenOver);
    }
    if held != row.begin {
        return Ok(Added::Elsewhere(held));
    }
    let add =
        Statement::of(r#"INSERT INTO stage (upload, n, "offset", bytes) VALUES ($1, $2, $3, $4)"#);
    let add = add.text(upload).number(n).number(signed(row.begin));
    db.commit(write, vec![add.bytes(row.bytes)]).await?;
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
