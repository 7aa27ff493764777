//! The staging table of a link's Durable Object, and what fills it.

use core::cell::RefCell;
use std::rc::Rc;

use chatlift_shared::{Problem, UploadId};
use worker::{
    Delay, FixedLengthStream, Response, ResponseBody, Result, SqlStorageValue, Storage, worker_sys,
};

use super::counts;
use super::read::Reader;
use crate::link::lease::Leases;
use crate::link::stage;
use crate::link::stage::{Appender, Appenders, Chunk};
use crate::link::state::LinkState;

/// The link as it is stored, once it was read.
pub(super) type Cached = Rc<RefCell<Option<LinkState>>>;

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

/// How many rows the link has of all parts.
fn rows(storage: &Storage) -> Result<u64> {
    let rows: Vec<End> = storage
        .sql()
        .exec("SELECT COUNT(*) AS held FROM stage", None)?
        .to_array()?;
    Ok(rows.first().map_or(0, |rows| rows.held))
}

/// The row at `offset`, if there is one.
fn row(storage: &Storage, upload: UploadId, n: u16, offset: u64) -> Result<Option<Vec<u8>>> {
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

/// What keeps a chunk as rows.
pub(super) struct Keeper {
    storage: Storage,
    cached: Cached,
    appender: Appender,
}

impl Keeper {
    /// Takes the part over, and refuses a chunk that does not continue it.
    pub(super) fn begin(
        storage: Storage,
        cached: Cached,
        appenders: &Appenders,
        chunk: Chunk,
    ) -> Result<core::result::Result<Self, Problem>> {
        let mut appender = match Appender::take(appenders, chunk) {
            Ok(appender) => appender,
            Err(problem) => return Ok(Err(problem)),
        };
        let held = staged(&storage, chunk.upload, chunk.n)?;
        let admitted = appender.admit(held, rows(&storage)?);
        Ok(admitted.map(|()| Self {
            storage,
            cached,
            appender,
        }))
    }

    /// Keeps what arrives; answers how much of the part is held then.
    pub(super) async fn keep(
        self,
        reader: Option<Reader>,
        leases: &RefCell<Leases>,
    ) -> Result<core::result::Result<u64, Problem>> {
        let mut reader = reader;
        // A stream that breaks off ends the chunk early; what arrived is kept.
        let next = async || match &mut reader {
            Some(reader) => reader
                .next()
                .await
                .ok()
                .flatten()
                .map(|piece| piece.to_vec()),
            None => None,
        };
        let add = async |begin, row| self.add(begin, row);
        let size = stage::ROW_SIZE;
        match stage::keep(&self.appender, leases, Delay::from, size, next, add).await {
            Ok(held) => Ok(Ok(held)),
            Err(Refused::Problem(problem)) => Ok(Err(problem)),
            Err(Refused::Storage(error)) => Err(error),
        }
    }

    /// Adds a row; answers where it ends.
    fn add(&self, begin: u64, row: Vec<u8>) -> core::result::Result<u64, Refused> {
        let Chunk { upload, n, .. } = *self.appender.chunk();
        self.appender
            .may_write(begin, self.cached.borrow().as_ref())?;
        if row.is_empty() {
            return Ok(begin);
        }
        let held = staged(&self.storage, upload, n)?;
        let end = self.appender.end_of(begin, row.len() as u64, held)?;
        let cursor = self.storage.sql().exec(
            "INSERT INTO stage (upload, n, offset, bytes) VALUES (?, ?, ?, ?)",
            vec![
                upload.to_string().into(),
                i32::from(n).into(),
                // Far below 2^53: a part has 95 MiB at most.
                SqlStorageValue::Integer(i64::try_from(begin).unwrap_or(i64::MAX)),
                row.into(),
            ],
        )?;
        counts::rows_written(cursor.rows_written());
        Ok(end)
    }
}

/// Why a row was not added.
#[derive(Debug)]
enum Refused {
    Problem(Problem),
    Storage(worker::Error),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<worker::Error> for Refused {
    fn from(error: worker::Error) -> Self {
        Self::Storage(error)
    }
}

/// The first `length` bytes of a part, row by row. A row ends there.
pub(super) fn beginning(storage: Storage, chunk: Chunk, length: u64) -> Result<Response> {
    let rows = futures_util::stream::unfold((storage, 0), move |(storage, offset)| async move {
        if offset >= length {
            return None;
        }
        match row(&storage, chunk.upload, chunk.n, offset) {
            Ok(Some(bytes)) => {
                let next = offset + bytes.len() as u64;
                Some((Ok(bytes), (storage, next)))
            }
            Ok(None) => None,
            Err(error) => Some((Err(error), (storage, u64::MAX))),
        }
    });
    // R2 takes no part whose length is not known beforehand. One that ends early fails.
    let stream: worker_sys::FixedLengthStream = FixedLengthStream::wrap(rows, length).into();
    Response::from_body(ResponseBody::Stream(stream.readable()))
}
