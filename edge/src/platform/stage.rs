//! The staging table of a link's Durable Object.

use chatlift_shared::UploadId;
use worker::{Result, SqlStorageValue, Storage};

use crate::ports::Chunk;

#[derive(serde::Deserialize)]
struct Sum {
    held: u64,
}

/// How many bytes of a part are staged.
pub(super) fn staged(storage: &Storage, upload: UploadId, n: u16) -> Result<u64> {
    let sum: Sum = storage
        .sql()
        .exec(
            "SELECT COALESCE(SUM(LENGTH(bytes)), 0) AS held FROM stage WHERE upload = ? AND n = ?",
            vec![upload.to_string().into(), i32::from(n).into()],
        )?
        .one()?;
    Ok(sum.held)
}

/// Adds a row that ends at `end`, if the part is staged up to where the row begins and the chunk
/// does not run over. Answers whether it was added.
pub(super) fn append(storage: &Storage, chunk: &Chunk, end: u64, row: Vec<u8>) -> Result<bool> {
    let begin = end - row.len() as u64;
    if end > chunk.part_len || staged(storage, chunk.upload, chunk.n)? != begin {
        return Ok(false);
    }
    storage.sql().exec(
        "INSERT INTO stage (upload, n, offset, bytes) VALUES (?, ?, ?, ?)",
        vec![
            chunk.upload.to_string().into(),
            i32::from(chunk.n).into(),
            // Far below 2^53: a part has 95 MiB at most.
            SqlStorageValue::Integer(i64::try_from(begin).unwrap_or(i64::MAX)),
            row.into(),
        ],
    )?;
    Ok(true)
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
