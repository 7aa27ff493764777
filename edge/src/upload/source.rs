//! Bytes on their way from a feed into whatever stores them, taken piece by piece: looked at, passed on,
//! hashed, and kept in memory where a cut must not lose them.

use core::cell::{Cell, RefCell};
use core::future::pending;
use core::mem;
use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::VecDeque;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_channel::oneshot;
use futures_util::StreamExt as _;
use futures_util::future::{Either, join, select};

use crate::checksum::Algorithm;
use crate::link::lease::{Holder, Read};
use crate::ports::{BucketError, Feed, Hash as _, Piece, Sink};

/// What became of bytes that were taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<T> {
    /// What the consumer said.
    pub(super) said: T,
    /// How many bytes it was given.
    pub(super) bytes: u64,
}

/// A feed that is taken piece by piece.
pub(super) struct Source<F: Feed> {
    feed: F,
    /// Looked at, or left over from a piece.
    ahead: VecDeque<F::Piece>,
    hash: Option<F::Hash>,
}

/// What came and is not staged yet.
struct Unstaged<P> {
    pieces: Vec<P>,
    /// Bytes that came before and are staged.
    begin: u64,
    bytes: u64,
    /// Whether what came was not wanted.
    refused: bool,
}

impl<F: Feed> Source<F> {
    pub(super) fn of(feed: F) -> Self {
        Self {
            feed,
            ahead: VecDeque::new(),
            hash: None,
        }
    }

    /// Whether it broke off before its end.
    pub(super) fn broken(&self) -> bool {
        self.feed.broken()
    }

    async fn next(&mut self) -> Option<F::Piece> {
        match self.ahead.pop_front() {
            Some(piece) => Some(piece),
            None => self.feed.next().await,
        }
    }

    /// The next bytes, at most `most`, which go into the digest.
    async fn take_piece(&mut self, most: u64) -> Option<F::Piece> {
        let mut piece = self.next().await?;
        if piece.length() > most {
            self.ahead.push_front(piece.split_off(most));
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&piece).await;
        }
        Some(piece)
    }

    /// The first `most` bytes, or all there are, without taking them.
    pub(super) async fn peek(&mut self, most: u64) -> Vec<u8> {
        let (mut seen, mut head) = (Vec::new(), Vec::new());
        while (head.len() as u64) < most {
            let Some(piece) = self.next().await else {
                break;
            };
            head.extend(piece.copy(most - head.len() as u64));
            seen.push(piece);
        }
        for piece in seen.into_iter().rev() {
            self.ahead.push_front(piece);
        }
        head
    }

    /// Whether there is nothing more to take. That it broke off is told by [`Self::broken`].
    pub(super) async fn ended(&mut self) -> bool {
        if self.ahead.is_empty()
            && let Some(piece) = self.feed.next().await
        {
            self.ahead.push_front(piece);
        }
        self.ahead.is_empty()
    }

    /// Computes a digest of all that is taken from here on.
    pub(super) fn hash(&mut self, algorithm: Algorithm) -> Result<(), BucketError> {
        self.hash = Some(F::hash(algorithm)?);
        Ok(())
    }

    /// The digest that was begun last.
    pub(super) async fn digest(&mut self) -> Result<Vec<u8>, BucketError> {
        match self.hash.take() {
            Some(hash) => hash.finish().await,
            None => Err(BucketError {
                operation: "digest",
                reason: "none was begun".to_owned(),
                gone: false,
            }),
        }
    }

    /// All of it as a body that passes through untouched, if nothing was taken and nothing is computed.
    pub(super) fn whole(&mut self) -> Option<F::Body> {
        match self.ahead.is_empty() && self.hash.is_none() {
            true => self.feed.whole(),
            false => None,
        }
    }

    /// Has `consume` take the next bytes, at most `length`, as a body that ends where they do.
    pub(super) async fn take<T>(
        &mut self,
        length: u64,
        consume: impl AsyncFnOnce(F::Body) -> T,
    ) -> Taken<T> {
        self.pass(length, None, &Cell::new(0), consume).await
    }

    /// As [`Self::take`], as a body of exactly `length` bytes, which fails when fewer come. `given` tells
    /// meanwhile how many it was given.
    pub(super) async fn take_exactly<T>(
        &mut self,
        length: u64,
        given: &Cell<u64>,
        consume: impl AsyncFnOnce(F::Body) -> T,
    ) -> Taken<T> {
        self.pass(length, Some(length), given, consume).await
    }

    async fn pass<T>(
        &mut self,
        length: u64,
        exactly: Option<u64>,
        given: &Cell<u64>,
        consume: impl AsyncFnOnce(F::Body) -> T,
    ) -> Taken<T> {
        let (mut sink, body) = F::pipe(exactly);
        let said = {
            let pump = async {
                while given.get() < length {
                    let Some(piece) = self.take_piece(length - given.get()).await else {
                        break;
                    };
                    given.set(given.get() + piece.length());
                    if !sink.write(piece).await {
                        return;
                    }
                }
                if exactly.is_none() || given.get() == length {
                    sink.close();
                }
            };
            let pump = Box::pin(pump);
            match select(pump, Box::pin(consume(body))).await {
                Either::Left(((), consuming)) => consuming.await,
                Either::Right((said, _)) => said,
            }
        };
        Taken {
            said,
            bytes: given.get(),
        }
    }

    /// Has `consume` take the next `length` bytes, after `before`, as one body. What comes is kept until the
    /// end, however fast the consumer reads. `into` gets it, with its place among these bytes and its
    /// length, when somebody asks for it, when nothing more comes for a while, and when the consumer fails;
    /// it answers whether it takes more. Where it `yields`, who asks takes over: nothing more reaches the
    /// consumer then. `None` where memory is short; an error of `None` where all that came was left to who
    /// asked.
    pub(super) async fn take_kept<T, E>(
        &mut self,
        before: Option<(F::Body, u64)>,
        length: u64,
        consume: impl AsyncFnOnce(F::Body) -> Result<T, E>,
        holder: Holder<impl AsyncFn(), impl AsyncFn(Duration)>,
        yields: bool,
        mut into: impl AsyncFnMut(F::Body, u64, u64) -> bool,
    ) -> Option<Result<T, Option<E>>> {
        let _share = self.feed.share(length)?;
        let held = before.as_ref().map_or(0, |(_, held)| *held);
        let (sink, body) = F::pipe(Some(held + length));
        let kept = RefCell::new(Unstaged::default());
        let mut lease = None;
        let said = {
            let (pieces, arrived) = unbounded();
            let (asked, is_asked) = oneshot::channel();
            let mut came = 0;
            let next = async || {
                if came == length {
                    return None;
                }
                let piece = self.take_piece(length - came).await?;
                came += piece.length();
                Some(piece)
            };
            let take = async |read| {
                match read {
                    Read::Piece(piece) => {
                        kept.borrow_mut().push(F::Piece::clone(&piece));
                        // A consumer that has failed takes no more; what comes is kept all the same.
                        let _ = pieces.unbounded_send(piece);
                    }
                    Read::Asked if yields => return ControlFlow::Break(()),
                    Read::Asked | Read::Stalled => spill::<F>(&kept, &mut into).await,
                }
                ControlFlow::Continue(())
            };
            let read = async {
                let (read, held) = holder.read(next, take).await;
                lease = Some(held);
                // What is written ends with it.
                pieces.close_channel();
                if read.is_break() {
                    let _ = asked.send(());
                }
            };
            let (consumed, ended) = oneshot::channel::<()>();
            let consuming = async {
                let said = consume(body).await;
                // One that failed may have left the pipe full, and nobody would read it.
                drop(consumed);
                said
            };
            let writing = select(Box::pin(write::<F>(before, length, arrived, sink)), ended);
            let travel = join(consuming, join(read, writing));
            let taken_over = async {
                if is_asked.await.is_err() {
                    pending().await
                }
            };
            match select(Box::pin(travel), Box::pin(taken_over)).await {
                Either::Left(((said, _), _)) => said.map_err(Some),
                Either::Right(((), _)) => Err(None),
            }
        };
        if said.is_err() {
            spill::<F>(&kept, &mut into).await;
        }
        drop(lease);
        Some(said)
    }
}

impl<P> Default for Unstaged<P> {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            begin: 0,
            bytes: 0,
            refused: false,
        }
    }
}

impl<P: Piece> Unstaged<P> {
    fn push(&mut self, piece: P) {
        self.bytes += piece.length();
        self.pieces.push(piece);
    }
}

/// Hands over what there is, unless that was refused before.
async fn spill<F: Feed>(
    kept: &RefCell<Unstaged<F::Piece>>,
    into: &mut impl AsyncFnMut(F::Body, u64, u64) -> bool,
) {
    let (pieces, begin, bytes) = {
        let mut kept = kept.borrow_mut();
        if kept.bytes == 0 || kept.refused {
            return;
        }
        let begin = kept.begin;
        kept.begin += kept.bytes;
        (
            mem::take(&mut kept.pieces),
            begin,
            mem::take(&mut kept.bytes),
        )
    };
    if !into(F::gathered(pieces), begin, bytes).await {
        kept.borrow_mut().refused = true;
    }
}

/// Writes `before`, a body and its length, and then what arrives, which has `length`. When one of them stays
/// shorter, the whole breaks off.
async fn write<F: Feed>(
    before: Option<(F::Body, u64)>,
    length: u64,
    mut arrived: UnboundedReceiver<F::Piece>,
    mut sink: F::Sink,
) {
    if let Some((body, held)) = before {
        let mut feed = F::of(body);
        if pour(&mut sink, async || feed.next().await).await != Some(held) {
            return;
        }
    }
    if pour(&mut sink, async || arrived.next().await).await == Some(length) {
        sink.close();
    }
}

/// Writes all that `next` gives; answers how many bytes, or `None` where no more is wanted.
async fn pour<S: Sink<Piece: Piece>>(
    sink: &mut S,
    mut next: impl AsyncFnMut() -> Option<S::Piece>,
) -> Option<u64> {
    let mut given = 0;
    while let Some(piece) = next().await {
        given += piece.length();
        if !sink.write(piece).await {
            return None;
        }
    }
    Some(given)
}
