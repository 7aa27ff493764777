//! The staging table of a link's Durable Object.

use chatlift_shared::{Problem, UploadId};
use worker::{Result, SqlStorageValue, Storage};

use super::counts;
use crate::core::stage::offset_differs;
use crate::ports::Chunk;

#[derive(serde::Deserialize)]
struct End {
    held: u64,
}

/// How many bytes of a part are staged.
pub(super) fn staged(storage: &Storage, upload: UploadId, n: u16) -> Result<u64> {
    // Rows follow each other without a gap, so the last one tells.
    let last: Vec<End> = storage
        .sql()
        .exec(
            "SELECT offset + LENGTH(bytes) AS held FROM stage WHERE upload = ? AND n = ?
             ORDER BY offset DESC LIMIT 1",
            vec![upload.to_string().into(), i32::from(n).into()],
        )?
        .to_array()?;
    Ok(last.first().map_or(0, |end| end.held))
}

/// Adds a row at `begin`, if the part is staged up to there and the chunk does not run over: another
/// request for the same part may have gone ahead. Answers where the row ends, or where to go on.
pub(super) fn append(
    storage: &Storage,
    chunk: &Chunk,
    begin: u64,
    row: Vec<u8>,
) -> Result<core::result::Result<u64, Problem>> {
    let end = begin + row.len() as u64;
    let held = staged(storage, chunk.upload, chunk.n)?;
    if end > chunk.part_len || held != begin {
        return Ok(Err(offset_differs(held)));
    }
    let cursor = storage.sql().exec(
        "INSERT INTO stage (upload, n, offset, bytes) VALUES (?, ?, ?, ?)",
        vec![
            chunk.upload.to_string().into(),
            i32::from(chunk.n).into(),
            // Far below 2^53: a part has 95 MiB at most.
            SqlStorageValue::Integer(i64::try_from(begin).unwrap_or(i64::MAX)),
            row.into(),
        ],
    )?;
    counts::rows_written(cursor.rows_written());
    Ok(Ok(end))
}

/// The row at `offset`, if there is one.
pub(super) fn row(
    storage: &Storage,
    upload: UploadId,
    n: u16,
    offset: u64,
) -> Result<Option<Vec<u8>>> {
    let Ok(offset) = i64::try_from(offset) else {
        return Ok(None);
    };
    let cursor = storage.sql().exec(
        "SELECT bytes FROM stage WHERE upload = ? AND n = ? AND offset = ?",
        vec![
            upload.to_string().into(),
            i32::from(n).into(),
            SqlStorageValue::Integer(offset),
        ],
    )?;
    match cursor.raw().next() {
        None => Ok(None),
        Some(columns) => match columns?.into_iter().next() {
            Some(SqlStorageValue::Blob(bytes)) => Ok(Some(bytes)),
            _ => Err(worker::Error::RustError(
                "a staged row is no blob".to_owned(),
            )),
        },
    }
}
