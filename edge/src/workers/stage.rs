//! The staging table of a link's Durable Object, and what fills it.

use core::cell::RefCell;
use std::rc::Rc;

use chatlift_shared::{Problem, UploadId};
use worker::{
    FixedLengthStream, Response, ResponseBody, Result, SqlStorageValue, Storage, worker_sys,
};

use super::counts;
use super::read::Reader;
use crate::link::serial::may_write;
use crate::link::stage::{Rows, Turns, check, check_room, offset_differs, overlap};
use crate::link::state::LinkState;
use crate::ports::Chunk;

/// The link as it is stored, once it was read.
pub(super) type Cached = Rc<RefCell<Option<LinkState>>>;

#[derive(serde::Deserialize)]
struct End {
    held: u64,
}

/// How many bytes of a part are staged.
fn staged(storage: &Storage, upload: UploadId, n: u16) -> Result<u64> {
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

/// Adds a row at `begin`, if the part is staged up to there and the chunk does not run over: another
/// request for the same part may have gone ahead. Answers where the row ends, or where to go on.
fn append(
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

/// A request that adds to a part, until a later one takes over.
pub(super) struct Keeper {
    storage: Storage,
    cached: Cached,
    turns: Rc<RefCell<Turns>>,
    chunk: Chunk,
    /// Bytes of its beginning that are held already.
    overlap: u64,
    /// `None` where there is nothing to add.
    turn: Option<u64>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let chunk = &self.chunk;
        if let Some(turn) = self.turn {
            self.turns.borrow_mut().end(chunk.upload, chunk.n, turn);
        }
    }
}

impl Keeper {
    /// Takes the part over, and refuses a chunk that does not continue it. That one takes over too:
    /// else the place that its sender is told to go on at would not be the end for long. One of no
    /// bytes only asks, and what is put away takes over from nobody: whoever adds came later.
    pub(super) fn begin(
        storage: Storage,
        cached: Cached,
        turns: Rc<RefCell<Turns>>,
        chunk: Chunk,
    ) -> Result<core::result::Result<Self, Problem>> {
        let adds = chunk.length > 0;
        let turn = if chunk.spilled {
            let free = turns.borrow_mut().take_if_free(chunk.upload, chunk.n);
            if free.is_none() {
                return Ok(Err(offset_differs(chunk.offset)));
            }
            free
        } else {
            adds.then(|| turns.borrow_mut().take(chunk.upload, chunk.n))
        };
        let mut keeper = Self {
            storage,
            cached,
            turns,
            chunk,
            overlap: 0,
            turn,
        };
        let held = staged(&keeper.storage, chunk.upload, chunk.n)?;
        let Chunk {
            offset,
            length,
            part_len,
            ..
        } = chunk;
        if adds && let Err(problem) = check_room(rows(&keeper.storage)?, length) {
            return Ok(Err(problem));
        }
        // Where one request at a time adds, its offset is the protocol's own and exact.
        if chunk.writer.is_some() {
            return Ok(check(held, offset, length, part_len).map(|()| keeper));
        }
        let row = row(&keeper.storage, chunk.upload, chunk.n, offset)?;
        // What is put away goes on where the request's chunk was let begin.
        let begins_row = || chunk.spilled || row.is_some();
        Ok(
            overlap(held, offset, length, part_len, begins_row).map(|overlap| {
                keeper.overlap = overlap;
                keeper
            }),
        )
    }

    /// Keeps what arrives; answers how much of the part is held then.
    pub(super) async fn keep(
        self,
        reader: Option<Reader>,
    ) -> Result<core::result::Result<u64, Problem>> {
        let mut kept = self.chunk.offset + self.overlap;
        let mut skip = self.overlap;
        let mut rows = Rows::default();
        if let Some(mut reader) = reader {
            // A stream that breaks off ends the chunk early; what arrived is kept.
            while let Ok(Some(piece)) = reader.next().await {
                let piece = piece.to_vec();
                let held = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
                skip -= held as u64;
                for row in rows.push(&piece[held..]) {
                    match self.add(kept, row)? {
                        Ok(end) => kept = end,
                        Err(problem) => return Ok(Err(problem)),
                    }
                }
            }
        }
        match rows.finish() {
            Some(row) => self.add(kept, row),
            None => Ok(self.may_write(kept).map(|()| kept)),
        }
    }

    fn add(&self, kept: u64, row: Vec<u8>) -> Result<core::result::Result<u64, Problem>> {
        if let Err(problem) = self.may_write(kept) {
            return Ok(Err(problem));
        }
        append(&self.storage, &self.chunk, kept, row)
    }

    /// Refuses rows of a request that another one has taken over from meanwhile.
    fn may_write(&self, kept: u64) -> core::result::Result<(), Problem> {
        let chunk = &self.chunk;
        let taken_over = |turn| !self.turns.borrow().has(chunk.upload, chunk.n, turn);
        if self.turn.is_some_and(taken_over) {
            return Err(offset_differs(kept));
        }
        match &*self.cached.borrow() {
            // The upload may have ended since: a row that it gets then nobody would remove.
            Some(state) => may_write(state, chunk.upload, chunk.writer),
            None => Ok(()),
        }
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
