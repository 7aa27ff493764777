//! Staging: the beginnings of parts, kept in the link's own storage until the part is whole.
//!
//! R2 takes parts of 5 MiB or more and nothing of a part that was cut. So what travels in chunks,
//! or was cut, is kept as rows, and becomes R2's part when it is whole. Whatever arrived counts:
//! the row that was being filled is written too when the stream breaks off, and when somebody asks
//! what is held. A request that takes a part over asks too, and begins where what is held then ends.

use core::cell::RefCell;
use core::future::pending;
use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use chatlift_shared::digest::Sha256;
use chatlift_shared::{Problem, ProblemCode, UploadId};
use serde::{Deserialize, Serialize};

use super::lease::{Holder, Lease, Leases, Read};
use super::serial::may_write;
use super::state::LinkState;

/// Size of a row, in bytes. SQLite in a Durable Object takes values of up to 2 MB
/// (<https://developers.cloudflare.com/durable-objects/platform/limits/>); a row this small costs
/// little memory, and 64 of them make a usual part. Each that is written costs there, so they are not smaller.
pub const ROW_SIZE: usize = 128 * 1024;

/// Most rows that a link has: 512 MiB, of the 10 GB of a Durable Object
/// (<https://developers.cloudflare.com/durable-objects/platform/limits/>). Each part that has begun has
/// fewer than 64 of them at the usual size of parts, and a page sends three parts at a time.
pub const ROWS_MAX: u64 = 4096;

/// Checks that a link of `rows` rows has room for a chunk of `length` bytes.
///
/// # Errors
/// `rate-limited`: parts that are whole, and uploads that end, make room.
fn check_room(rows: u64, length: u64) -> Result<(), Problem> {
    if length == 0 || rows + length.div_ceil(ROW_SIZE as u64) <= ROWS_MAX {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::RateLimited)
        .field("Content-Length")
        .limit(ROWS_MAX * ROW_SIZE as u64)
        .retry_after(60)
        .detail("Too many parts of this link's uploads have begun: end them first."))
}

/// A piece of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The upload.
    pub upload: UploadId,
    /// Part number, from 1.
    pub n: u16,
    /// Where in the part it begins, in bytes.
    pub offset: u64,
    /// Its length, in bytes.
    pub length: u64,
    /// Length of the whole part, in bytes.
    pub part_len: u64,
    /// Digest of the whole part, where the sender says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// The request that stages, where an upload takes bytes of one request at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<u64>,
    /// Whether it was on its way into R2 and is staged from memory. It takes over from nobody.
    #[serde(default)]
    pub spilled: bool,
}

impl Chunk {
    /// Whether it takes its part over from whoever adds to it. One of no bytes only asks, and what is staged
    /// from memory takes over from nobody: whoever adds came later.
    #[must_use]
    pub fn takes_over(&self) -> bool {
        self.length > 0 && !self.spilled
    }

    /// How many bytes of its part are held, where some of its own are among them: all where the part [is
    /// recorded](is_recorded), else as many as are `staged`.
    #[must_use]
    pub fn already_held(&self, recorded: bool, staged: u64) -> Option<u64> {
        let held = if recorded { self.part_len } else { staged };
        (held > self.offset).then_some(held)
    }

    /// What becomes of it where its part [is recorded](is_recorded): there is nothing to keep, and its sender
    /// need not send it.
    ///
    /// # Errors
    /// `offset-differs` with the end of the part, for bytes that are still to come.
    pub fn of_recorded(&self) -> Result<(), Problem> {
        match self.takes_over() {
            true => Err(offset_differs(self.part_len)),
            false => Ok(()),
        }
    }
}

/// Gathers what arrives into rows.
#[derive(Debug)]
struct Rows {
    /// Their size, in bytes.
    size: usize,
    buffer: Vec<u8>,
    /// Bytes that are still to come and that are held already.
    skip: u64,
}

impl Rows {
    /// Adds bytes that arrived; answers the rows that are full.
    fn push(&mut self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let held = usize::try_from(self.skip).unwrap_or(usize::MAX);
        let held = held.min(bytes.len());
        self.skip -= held as u64;
        bytes = &bytes[held..];
        let mut full = Vec::new();
        while !bytes.is_empty() {
            let room = self.size - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == self.size {
                full.push(core::mem::take(&mut self.buffer));
            }
        }
        full
    }

    /// Takes the row that is not full; empty if there is none.
    fn take_rest(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.buffer)
    }
}

/// Which request may add to a part: the one that came last. What a page had under way when it was
/// closed goes on arriving, and the end of what is staged would run away from the next page.
#[derive(Clone, Debug, Default)]
pub struct Appenders(Rc<RefCell<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    parts: BTreeMap<(UploadId, u16), u64>,
}

impl Taken {
    /// The number of a request that begins, which takes over from any before it.
    fn take(&mut self, upload: UploadId, n: u16) -> u64 {
        self.last += 1;
        self.parts.insert((upload, n), self.last);
        self.last
    }

    /// As [`Self::take`], where no other request adds.
    fn take_if_free(&mut self, upload: UploadId, n: u16) -> Option<u64> {
        let free = !self.parts.contains_key(&(upload, n));
        free.then(|| self.take(upload, n))
    }

    /// Whether no later request has taken over from the one of this number.
    fn has(&self, upload: UploadId, n: u16, number: u64) -> bool {
        self.parts.get(&(upload, n)) == Some(&number)
    }

    /// The request is over.
    fn end(&mut self, upload: UploadId, n: u16, number: u64) {
        if self.has(upload, n, number) {
            self.parts.remove(&(upload, n));
        }
    }
}

/// A request that may add to a part, until a later one takes over.
#[derive(Debug)]
pub struct Appender {
    appenders: Appenders,
    chunk: Chunk,
    /// `None` where there is nothing to add.
    number: Option<u64>,
    /// Bytes of the chunk's beginning that are held already.
    overlap: u64,
}

impl Drop for Appender {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let Chunk { upload, n, .. } = self.chunk;
            self.appenders.0.borrow_mut().end(upload, n, number);
        }
    }
}

impl Appender {
    /// Takes a part over for a chunk, also for one that will be refused: else the place that its sender is told
    /// to go on at would not be the end for long. Whoever adds by then has been asked to put away what has come.
    ///
    /// # Errors
    /// `offset-differs` for what is staged from memory while another request adds.
    pub fn take(appenders: &Appenders, chunk: Chunk) -> Result<Self, Problem> {
        let Chunk { upload, n, .. } = chunk;
        let mut taken = appenders.0.borrow_mut();
        let number = match chunk.spilled {
            true => {
                let free = taken.take_if_free(upload, n);
                Some(free.ok_or_else(|| offset_differs(chunk.offset))?)
            }
            false => chunk.takes_over().then(|| taken.take(upload, n)),
        };
        drop(taken);
        Ok(Self {
            appenders: appenders.clone(),
            chunk,
            number,
            overlap: 0,
        })
    }

    /// The chunk that it is for.
    #[must_use]
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// Whether there is something to add.
    #[must_use]
    pub fn adds(&self) -> bool {
        self.number.is_some()
    }

    /// Refuses a chunk that does not continue its part, of which `held` bytes are staged, or for which there
    /// is no room beside the `rows` that the link has. What is staged from memory may begin before: another
    /// holder of the part may have staged the same bytes.
    ///
    /// # Errors
    /// `offset-differs` with the right offset; `part-size-wrong`; `rate-limited`.
    pub fn admit(&mut self, held: u64, rows: u64) -> Result<(), Problem> {
        let Chunk {
            offset,
            length,
            part_len,
            ..
        } = self.chunk;
        check_room(rows, length)?;
        let overlaps = self.chunk.spilled && self.chunk.writer.is_none();
        let begun = if overlaps { held.min(offset) } else { held };
        check(begun, offset, length, part_len)?;
        self.overlap = held - begun;
        Ok(())
    }

    /// Where in the part is kept what comes.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.chunk.offset + self.overlap
    }

    /// What makes rows of a size of what comes, without what is held already.
    fn rows(&self, size: usize) -> Rows {
        Rows {
            size,
            buffer: Vec::new(),
            skip: self.overlap,
        }
    }

    /// The lease of what it has not put away. No other request's is the same: those are drawn at random.
    fn lease(&self) -> Option<Lease> {
        let holder = self.number.filter(|_| !self.chunk.spilled)?;
        let Chunk { upload, n, .. } = self.chunk;
        Some(Lease { upload, n, holder })
    }

    /// Refuses more of a request that another one has taken over from meanwhile, or whose upload has ended:
    /// nobody would remove it. `kept` is what is staged by then; of a link that is not in memory nothing has
    /// changed.
    ///
    /// # Errors
    /// `offset-differs`, `upload-busy`, `upload-not-found`, `upload-aborted`.
    pub fn may_write(&self, kept: u64, state: Option<&LinkState>) -> Result<(), Problem> {
        let Chunk {
            upload, n, writer, ..
        } = self.chunk;
        let has = |number| self.appenders.0.borrow().has(upload, n, number);
        if self.number.is_some_and(|number| !has(number)) {
            return Err(offset_differs(kept));
        }
        state.map_or(Ok(()), |state| may_write(state, upload, writer))
    }

    /// Where a row of `length` bytes at `begin` ends, if the part is staged up to there and the row does not
    /// run over: another request for the same part may have gone ahead.
    ///
    /// # Errors
    /// `offset-differs` with where to go on.
    pub fn end_of(&self, begin: u64, length: u64, held: u64) -> Result<u64, Problem> {
        let end = begin + length;
        match end > self.chunk.part_len || held != begin {
            true => Err(offset_differs(held)),
            false => Ok(end),
        }
    }
}

/// Keeps what `next` gives of a chunk, to the last byte before a cut, in rows of `size` bytes and a shorter last one:
/// `add` writes a row, which begins at its place in the part, and answers where it ends; of an empty one it only
/// checks that it would be let in ([`Appender::may_write`]). Holds a lease meanwhile, but for what is staged from
/// memory, which is being put away already. Answers how much of the part is held then.
///
/// # Errors
/// What `add` answers.
pub async fn keep<P: AsRef<[u8]>, E>(
    appender: &Appender,
    leases: &RefCell<Leases>,
    pause: impl AsyncFn(Duration),
    size: usize,
    next: impl AsyncFnMut() -> Option<P>,
    mut add: impl AsyncFnMut(u64, Vec<u8>) -> Result<u64, E>,
) -> Result<u64, E> {
    let (mut kept, mut rows) = (appender.begin(), appender.rows(size));
    let leased = appender.lease().map(|lease| Leased { leases, lease });
    let asked = async || {
        let Some(Leased { lease, .. }) = &leased else {
            return pending().await;
        };
        let asked = leases.borrow_mut().hold(*lease);
        // One that was ended asks no more.
        if asked.await.is_err() {
            pending().await
        }
    };
    let stall = None;
    let holder = Holder {
        asked,
        pause,
        stall,
    };
    let read = holder.read(next, async |read| {
        let full = match read {
            Read::Piece(piece) => rows.push(piece.as_ref()),
            Read::Stalled | Read::Asked => vec![rows.take_rest()],
        };
        for row in full {
            match add(kept, row).await {
                Ok(end) => kept = end,
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    });
    let (read, held) = read.await;
    let kept = match read {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => add(kept, rows.take_rest()).await,
    };
    drop(held);
    kept
}

/// Ends a lease with whoever held it.
struct Leased<'a> {
    leases: &'a RefCell<Leases>,
    lease: Lease,
}

impl Drop for Leased<'_> {
    fn drop(&mut self) {
        self.leases.borrow_mut().end(self.lease);
    }
}

/// Checks that a chunk at `offset` with `length` bytes continues a part of `part_len` bytes of
/// which `held` are staged.
///
/// # Errors
/// `offset-differs` with the right offset; `part-size-wrong` when the chunk is longer than the
/// rest of the part.
fn check(held: u64, offset: u64, length: u64, part_len: u64) -> Result<(), Problem> {
    if offset != held {
        return Err(offset_differs(held));
    }
    if length > part_len.saturating_sub(offset) {
        return Err(Problem::new(ProblemCode::PartSizeWrong)
            .field("Content-Length")
            .limit(part_len.saturating_sub(offset)));
    }
    Ok(())
}

/// Whether a part is there already, so that a chunk of it has nothing to bring: it is `recorded` with
/// the digest that the chunk says its part has. The request of a page that was closed can make a
/// part whole after the next page was told what is held; what differs is another file, and is taken.
#[must_use]
pub fn is_recorded(recorded: Option<Sha256>, said: Option<Sha256>) -> bool {
    said.is_some() && said == recorded
}

/// The problem of a chunk that begins elsewhere than at `held`.
#[must_use]
pub fn offset_differs(held: u64) -> Problem {
    let mut problem = Problem::new(ProblemCode::OffsetDiffers).field("Upload-Offset");
    problem.offset = Some(held);
    problem
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::future::poll_fn;
    use core::pin::pin;
    use core::task::Poll;

    use chatlift_shared::LinkId;
    use futures_channel::mpsc::unbounded;
    use futures_util::{FutureExt as _, StreamExt as _};
    use proptest::prelude::*;

    use super::*;

    /// A part of so many bytes, whole.
    fn chunk(length: u64) -> Chunk {
        Chunk {
            upload: UploadId::new(LinkId::from_bytes([1; 12]), [2; 6]),
            n: 1,
            offset: 0,
            length,
            part_len: length,
            sha256: None,
            writer: None,
            spilled: false,
        }
    }

    #[test]
    fn who_asks_is_told_of_what_fills_no_row_when_it_is_quiet_or_has_waited() {
        let upload = chunk(100).upload;
        let (leases, over) = (RefCell::new(Leases::default()), Cell::new(Duration::ZERO));
        let appender = Appender::take(&Appenders::default(), chunk(100)).expect("nobody else's");
        let rows = RefCell::new(Vec::new());
        let (send, mut pieces) = unbounded::<Vec<u8>>();
        let pause = async |time| {
            poll_fn(|_| match over.get() >= time {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
        };
        let mut keeping = pin!(keep(
            &appender,
            &leases,
            pause,
            ROW_SIZE,
            async || pieces.next().await,
            async |begin, row: Vec<u8>| {
                let end = begin + row.len() as u64;
                rows.borrow_mut().push((begin, end));
                Ok::<_, Problem>(end)
            },
        ));
        let come = |bytes: usize| send.unbounded_send(vec![7; bytes]).expect("read");
        let mut goes_on = || assert_eq!(keeping.as_mut().now_or_never(), None);
        let ask = || leases.borrow_mut().ask(upload, None).remove(0);

        come(30);
        goes_on();
        let mut told = ask();
        goes_on();
        come(3);
        goes_on();
        assert_eq!((told.try_recv(), rows.take()), (Ok(None), vec![]));
        over.set(Duration::from_millis(250));
        goes_on();
        assert!(told.try_recv().is_err());
        assert_eq!(rows.take(), [(0, 33)]);

        // Its sender is still there, and never quiet.
        over.set(Duration::from_millis(249));
        let mut told = ask();
        come(3);
        goes_on();
        assert_eq!((told.try_recv(), rows.take()), (Ok(None), vec![]));
        over.set(Duration::from_secs(1));
        come(3);
        goes_on();
        assert!(told.try_recv().is_err());
        assert_eq!(rows.take(), [(33, 39)]);

        let mut told = ask();
        drop(send);
        assert_eq!(keeping.now_or_never(), Some(Ok(39)));
        assert!(told.try_recv().is_err());
        assert!(leases.borrow_mut().ask(upload, None).is_empty());
    }

    #[test]
    fn a_link_has_room_for_as_many_parts_as_pages_send_and_not_for_all_that_can_be_begun() {
        let part = 8 * 1024 * 1024;
        assert_eq!(check_room(0, part - 1), Ok(()));
        // Eight uploads with three parts each, all but a byte of them.
        assert_eq!(check_room(8 * 3 * 64 - 1, part - 1), Ok(()));
        assert_eq!(check_room(ROWS_MAX - 1, 1), Ok(()));
        for (rows, length) in [
            (ROWS_MAX, 1),
            (ROWS_MAX - 1, ROW_SIZE as u64 + 1),
            // More than there may be, as of before there was a limit.
            (1_000_000, 1),
        ] {
            let problem = check_room(rows, length).expect_err("no room");
            assert_eq!(problem.code, ProblemCode::RateLimited);
            assert_eq!(problem.limit, Some(512 * 1024 * 1024));
            assert!(problem.retry_after.is_some() && problem.field.is_some());
        }
        // Who only asks needs none.
        assert_eq!(check_room(ROWS_MAX, 0), Ok(()));
    }

    #[test]
    fn a_chunk_must_continue_its_part() {
        assert_eq!(check(5, 5, 3, 8), Ok(()));
        assert_eq!(check(8, 8, 0, 8), Ok(()));
        let problem = check(5, 4, 3, 8).expect_err("another offset");
        assert_eq!(
            (problem.code, problem.offset),
            (ProblemCode::OffsetDiffers, Some(5))
        );
        let problem = check(5, 5, 4, 8).expect_err("too long");
        assert_eq!(
            (problem.code, problem.limit),
            (ProblemCode::PartSizeWrong, Some(3))
        );
        assert!(check(9, 9, u64::MAX, 8).is_err());
    }

    #[test]
    fn only_what_is_staged_from_memory_may_begin_before_what_is_held() {
        let begin = |offset, length, spilled, writer| {
            let chunk = Chunk {
                offset,
                length,
                spilled,
                writer,
                ..chunk(8)
            };
            let mut appender = Appender::take(&Appenders::default(), chunk)?;
            appender.admit(7, 0).map(|()| appender.begin())
        };
        assert_eq!(begin(7, 1, false, None), Ok(7));
        assert_eq!(begin(5, 3, true, None), Ok(7));
        for refused in [
            begin(5, 3, false, None),
            begin(5, 0, false, None),
            begin(5, 3, true, Some(1)),
            begin(8, 0, true, None),
        ] {
            assert_eq!(refused.expect_err("refused").offset, Some(7));
        }
        let problem = begin(5, 4, true, None).expect_err("too long");
        assert_eq!(problem.limit, Some(3));
    }

    #[test]
    fn bytes_are_held_already_where_more_is_held_than_is_before_them() {
        let at = |offset| Chunk { offset, ..chunk(8) };
        assert_eq!(at(5).already_held(false, 5), None);
        assert_eq!(at(5).already_held(false, 7), Some(7));
        assert_eq!(at(5).already_held(true, 0), Some(8));
        assert_eq!(at(8).already_held(true, 0), None);
    }

    #[test]
    fn bytes_of_a_part_that_is_there_are_refused_with_its_end() {
        let refused = chunk(8).of_recorded().expect_err("brings bytes");
        assert_eq!(refused.offset, Some(8));
        let asks = Chunk {
            length: 0,
            ..chunk(8)
        };
        let spilled = Chunk {
            spilled: true,
            ..chunk(8)
        };
        assert_eq!(
            (asks.of_recorded(), spilled.of_recorded()),
            (Ok(()), Ok(()))
        );
    }

    #[test]
    fn a_part_is_there_only_with_the_digest_that_the_chunk_says() {
        let (one, two) = (Some(Sha256::of(b"1")), Some(Sha256::of(b"2")));
        assert!(is_recorded(one, one));
        for (recorded, said) in [(one, two), (None, one), (one, None), (None, None)] {
            assert!(!is_recorded(recorded, said), "{recorded:?} {said:?}");
        }
    }

    #[test]
    fn the_request_that_came_last_may_add_to_a_part() {
        let upload = UploadId::new(chatlift_shared::LinkId::from_bytes([1; 12]), [2; 6]);
        let mut appenders = Taken::default();
        let (old, beside) = (appenders.take(upload, 1), appenders.take(upload, 2));
        assert!(appenders.has(upload, 1, old) && appenders.has(upload, 2, beside));
        let new = appenders.take(upload, 1);
        assert!(!appenders.has(upload, 1, old) && appenders.has(upload, 1, new));
        appenders.end(upload, 1, old);
        assert!(appenders.has(upload, 1, new) && appenders.has(upload, 2, beside));
        assert_eq!(appenders.take_if_free(upload, 1), None);
        appenders.end(upload, 1, new);
        assert!(!appenders.has(upload, 1, new));
        assert!(appenders.take_if_free(upload, 1).is_some());
    }

    proptest! {
        #[test]
        fn rows_are_what_arrived(pieces in prop::collection::vec(0_usize..300_000, 0..8)) {
            let mut rows = Rows {
                size: ROW_SIZE,
                buffer: Vec::new(),
                skip: 0,
            };
            let mut sent = Vec::new();
            let mut kept = Vec::new();
            for (n, len) in pieces.into_iter().enumerate() {
                let piece = vec![u8::try_from(n).expect("few pieces"); len];
                sent.extend_from_slice(&piece);
                for row in rows.push(&piece) {
                    prop_assert_eq!(row.len(), ROW_SIZE);
                    kept.extend(row);
                }
            }
            kept.extend(rows.take_rest());
            prop_assert_eq!(kept, sent);
        }
    }
}
