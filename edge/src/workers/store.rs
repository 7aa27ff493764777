//! Rows of a link in its Durable Object's SQLite.
//!
//! One transaction writes all that a decision changed: either the whole decision is there after a
//! crash, or none of it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use chatlift_shared::UploadId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::js_sys::{Function, Reflect};
use worker::wasm_bindgen::closure::Closure;
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::{Result, SqlStorageValue, Storage};

use super::counts;
use crate::link::audit::Trail;
use crate::link::decide::PartWrite;
use crate::link::flow::Held;
use crate::link::state::{LinkState, Part};
use crate::link::version::{OtherVersion, RowError, read_link};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS link (id INTEGER PRIMARY KEY CHECK (id = 1), row TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS upload (id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS cleanup (id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS audit (n INTEGER PRIMARY KEY, row TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS stage (
        upload TEXT NOT NULL, n INTEGER NOT NULL, offset INTEGER NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY (upload, n, offset)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS part (
        upload TEXT NOT NULL, n INTEGER NOT NULL, row TEXT NOT NULL, PRIMARY KEY (upload, n)
    ) WITHOUT ROWID;
";

/// A statement with its bindings.
type Statement = (String, Vec<SqlStorageValue>);

/// A row as SQLite has it.
#[derive(serde::Deserialize)]
struct Row {
    id: String,
    row: String,
}

#[derive(serde::Deserialize)]
struct TrailRow {
    row: String,
}

#[derive(serde::Deserialize)]
struct PartRow {
    n: u16,
    row: String,
}

/// Reads the link; `None` if it was never made. An object that was only asked stays without a
/// table, and so without a bill. Rows of a newer version are left as they are.
pub(super) fn load(
    storage: &Storage,
) -> Result<core::result::Result<Option<LinkState>, OtherVersion>> {
    let sql = storage.sql();
    let tables: Vec<serde_json::Value> = sql
        .exec("SELECT 1 FROM sqlite_master WHERE name = 'link'", None)?
        .to_array()?;
    if tables.is_empty() {
        return Ok(Ok(None));
    }
    let links: Vec<Row> = sql
        .exec("SELECT '' AS id, row FROM link", None)?
        .to_array()?;
    let Some(link) = links.first() else {
        return Ok(Ok(None));
    };
    let link_row = match read_link(&link.row) {
        Ok(row) => row,
        Err(RowError::Newer(newer)) => return Ok(Err(newer)),
        Err(RowError::Broken(error)) => return Err(error.into()),
    };
    // Tables that a later version of this code has brought.
    sql.exec(SCHEMA, None)?;
    Ok(Ok(Some(LinkState {
        link: link_row,
        uploads: table(storage, "upload")?,
        events: table(storage, "event")?,
        cleanups: table(storage, "cleanup")?,
        audit: trail(storage)?,
    })))
}

fn trail(storage: &Storage) -> Result<Trail> {
    let rows: Vec<TrailRow> = storage
        .sql()
        .exec("SELECT row FROM audit ORDER BY n", None)?
        .to_array()?;
    rows.iter()
        .map(|r| Ok(serde_json::from_str(&r.row)?))
        .collect()
}

fn table<K: FromStr + Ord, R: DeserializeOwned>(
    storage: &Storage,
    name: &str,
) -> Result<BTreeMap<K, R>> {
    let rows: Vec<Row> = storage
        .sql()
        .exec(&format!("SELECT id, row FROM {name}"), None)?
        .to_array()?;
    rows.into_iter()
        .map(|r| {
            let id =
                r.id.parse()
                    .map_err(|_| worker::Error::RustError(format!("{name}: bad id {}", r.id)))?;
            Ok((id, serde_json::from_str(&r.row)?))
        })
        .collect()
}

/// Reads a part that is recorded.
pub(super) fn part(storage: &Storage, upload: UploadId, n: u16) -> Result<Option<Part>> {
    let rows: Vec<PartRow> = storage
        .sql()
        .exec(
            "SELECT n, row FROM part WHERE upload = ? AND n = ?",
            vec![upload.to_string().into(), i32::from(n).into()],
        )?
        .to_array()?;
    Ok(match rows.first() {
        Some(part) => Some(serde_json::from_str(&part.row)?),
        None => None,
    })
}

/// Reads what is held of an upload.
pub(super) fn held(storage: &Storage, upload: UploadId) -> Result<Held> {
    let rows: Vec<PartRow> = storage
        .sql()
        .exec(
            "SELECT n, row FROM part WHERE upload = ? ORDER BY n",
            vec![upload.to_string().into()],
        )?
        .to_array()?;
    let parts = rows
        .into_iter()
        .map(|r| Ok((r.n, serde_json::from_str(&r.row)?)))
        .collect::<Result<_>>()?;
    let staged = storage
        .sql()
        .exec(
            "SELECT n, SUM(LENGTH(bytes)) AS offset FROM stage WHERE upload = ? GROUP BY n",
            vec![upload.to_string().into()],
        )?
        .to_array()?;
    Ok(Held { parts, staged })
}

/// Writes what changed between two states, and the parts, in one transaction.
pub(super) fn save(
    storage: &Storage,
    old: Option<&LinkState>,
    next: &LinkState,
    part_writes: &[PartWrite],
) -> Result<()> {
    let mut statements = Vec::new();
    if old.is_none_or(|o| o.link != next.link) {
        let row = serde_json::to_string(&next.link)?;
        statements.push((
            "INSERT OR REPLACE INTO link (id, row) VALUES (1, ?)".to_owned(),
            vec![row.into()],
        ));
    }
    changes(
        &mut statements,
        "upload",
        old.map(|o| &o.uploads),
        &next.uploads,
    )?;
    changes(
        &mut statements,
        "event",
        old.map(|o| &o.events),
        &next.events,
    )?;
    changes(
        &mut statements,
        "cleanup",
        old.map(|o| &o.cleanups),
        &next.cleanups,
    )?;
    let (removed, added) = next.audit.since(old.map(|o| &o.audit));
    if removed {
        statements.push(("DELETE FROM audit".to_owned(), vec![]));
    }
    for (n, row) in added {
        statements.push((
            "INSERT INTO audit (n, row) VALUES (?, ?)".to_owned(),
            vec![
                SqlStorageValue::Integer(n),
                serde_json::to_string(row)?.into(),
            ],
        ));
    }
    for write in part_writes {
        match write {
            PartWrite::Put(upload, n, part) => {
                let row = serde_json::to_string(part)?;
                statements.push((
                    "INSERT OR REPLACE INTO part (upload, n, row) VALUES (?, ?, ?)".to_owned(),
                    vec![upload.to_string().into(), i32::from(*n).into(), row.into()],
                ));
                statements.push(delete_part("stage", *upload, *n));
            }
            PartWrite::Drop(upload, n) => {
                for table in ["part", "stage"] {
                    statements.push(delete_part(table, *upload, *n));
                }
            }
            PartWrite::Truncate(upload, n, begin) => statements.push((
                "DELETE FROM stage WHERE upload = ?1 AND (n > ?2 OR (n = ?2 AND offset >= ?3))"
                    .to_owned(),
                vec![
                    upload.to_string().into(),
                    i32::from(*n).into(),
                    SqlStorageValue::Integer(i64::try_from(*begin).unwrap_or(i64::MAX)),
                ],
            )),
            PartWrite::DropAll(upload) => {
                for table in ["part", "stage"] {
                    statements.push((
                        format!("DELETE FROM {table} WHERE upload = ?"),
                        vec![upload.to_string().into()],
                    ));
                }
            }
        }
    }
    if statements.is_empty() {
        return Ok(());
    }
    if old.is_none() {
        counts::rows_written(storage.sql().exec(SCHEMA, None)?.rows_written());
    }
    transaction(storage, statements)
}

fn delete_part(table: &str, upload: UploadId, n: u16) -> Statement {
    (
        format!("DELETE FROM {table} WHERE upload = ? AND n = ?"),
        vec![upload.to_string().into(), i32::from(n).into()],
    )
}

fn changes<K: Ord + Display, R: Serialize + PartialEq>(
    statements: &mut Vec<Statement>,
    table: &str,
    old: Option<&BTreeMap<K, R>>,
    next: &BTreeMap<K, R>,
) -> Result<()> {
    for (id, row) in next {
        if old.and_then(|o| o.get(id)) != Some(row) {
            statements.push((
                format!("INSERT OR REPLACE INTO {table} (id, row) VALUES (?, ?)"),
                vec![id.to_string().into(), serde_json::to_string(row)?.into()],
            ));
        }
    }
    for id in old
        .into_iter()
        .flat_map(BTreeMap::keys)
        .filter(|id| !next.contains_key(id))
    {
        statements.push((
            format!("DELETE FROM {table} WHERE id = ?"),
            vec![id.to_string().into()],
        ));
    }
    Ok(())
}

/// Runs statements in `transactionSync`, for which the `worker` crate has no wrapper. An error
/// rolls all of them back.
fn transaction(storage: &Storage, statements: Vec<Statement>) -> Result<()> {
    let sql = storage.sql();
    let mut statements = Some(statements);
    let run = Closure::<dyn FnMut() -> core::result::Result<(), JsValue>>::new(move || {
        for (query, bindings) in statements.take().into_iter().flatten() {
            let cursor = sql.exec(&query, bindings).map_err(JsValue::from)?;
            counts::rows_written(cursor.rows_written());
        }
        Ok(())
    });
    let raw: &JsValue = storage.as_raw().as_ref();
    let transaction_sync: Function =
        Reflect::get(raw, &JsValue::from_str("transactionSync"))?.dyn_into()?;
    transaction_sync.call1(raw, run.as_ref())?;
    Ok(())
}
