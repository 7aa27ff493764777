//! A body in memory, which one side writes while the other reads it.

use std::fmt;
use std::future::Future;

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::StreamExt as _;
use futures_util::stream::{self, LocalBoxStream, Stream};

use crate::checksum::Algorithm;
use crate::ports::{BucketError, Feed, Hash, Piece, Sink};

/// A body of pieces; `None` breaks it off.
pub(super) struct Flow<P>(LocalBoxStream<'static, Option<P>>);

impl<P> fmt::Debug for Flow<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flow")
    }
}

impl<P: 'static> Flow<P> {
    pub(super) fn of(pieces: Vec<P>) -> Self {
        Self(stream::iter(pieces.into_iter().map(Some)).boxed_local())
    }

    /// As [`Self::of`], and then it breaks off.
    pub(super) fn broken(pieces: Vec<P>) -> Self {
        Self::of(pieces).then(Self(stream::iter([None]).boxed_local()))
    }

    /// What comes of `pieces`; `None` breaks it off.
    pub(super) fn from(pieces: impl Stream<Item = Option<P>> + 'static) -> Self {
        Self(pieces.boxed_local())
    }

    /// As this, once `before` is done.
    pub(super) fn after(self, before: impl Future<Output = ()> + 'static) -> Self {
        let before = stream::once(before).filter_map(|()| async { None });
        Self(before.chain(self.0).boxed_local())
    }

    pub(super) fn pipe() -> (Writer<P>, Self) {
        let (sender, receiver) = unbounded();
        (Writer(Some(sender)), Self(receiver.boxed_local()))
    }

    pub(super) fn then(self, next: Self) -> Self {
        Self(self.0.chain(next.0).boxed_local())
    }

    /// The next bytes; `None` at the end, an error where it breaks off.
    pub(super) async fn next(&mut self) -> Result<Option<P>, ()> {
        match self.0.next().await {
            Some(Some(piece)) => Ok(Some(piece)),
            Some(None) => Err(()),
            None => Ok(None),
        }
    }

    /// All that comes, and whether it ended before it broke off.
    pub(super) async fn read(mut self) -> (Vec<P>, bool) {
        let mut pieces = Vec::new();
        loop {
            match self.next().await {
                Ok(Some(piece)) => pieces.push(piece),
                end => return (pieces, end.is_ok()),
            }
        }
    }
}

/// What writes a [`Flow`].
#[derive(Debug)]
pub(super) struct Writer<P>(Option<UnboundedSender<Option<P>>>);

impl<P> Sink for Writer<P> {
    type Piece = P;

    async fn write(&mut self, piece: P) -> bool {
        match &self.0 {
            Some(sender) => sender.unbounded_send(Some(piece)).is_ok(),
            None => false,
        }
    }

    fn close(mut self) {
        self.0 = None;
    }
}

impl<P> Drop for Writer<P> {
    fn drop(&mut self) {
        if let Some(sender) = &self.0 {
            let _ = sender.unbounded_send(None);
        }
    }
}

/// A body that is taken piece by piece.
#[derive(Debug)]
pub(super) struct Coming<P> {
    flow: Option<Flow<P>>,
    touched: bool,
    broken: bool,
    /// Whether there is memory for parts on their way.
    pub(super) keeps: bool,
}

impl<P: Piece + Hash<Piece = P> + Default + 'static> Feed for Coming<P> {
    type Body = Flow<P>;
    type Piece = P;
    type Sink = Writer<P>;
    type Hash = P;
    type Share = ();

    fn of(body: Flow<P>) -> Self {
        Self {
            flow: Some(body),
            touched: false,
            broken: false,
            keeps: true,
        }
    }

    async fn next(&mut self) -> Option<P> {
        self.touched = true;
        match self.flow.as_mut()?.next().await {
            Ok(Some(piece)) => return Some(piece),
            Ok(None) => {}
            Err(()) => self.broken = true,
        }
        self.flow = None;
        None
    }

    fn broken(&self) -> bool {
        self.broken
    }

    fn whole(&mut self) -> Option<Flow<P>> {
        match self.touched {
            true => None,
            false => self.flow.take(),
        }
    }

    fn pipe(_: Option<u64>) -> (Writer<P>, Flow<P>) {
        Flow::pipe()
    }

    fn gathered(pieces: Vec<P>) -> Flow<P> {
        Flow::of(pieces)
    }

    fn share(&self, _: u64) -> Option<()> {
        self.keeps.then_some(())
    }

    /// The algorithm is always SHA-256 here.
    fn hash(_: Algorithm) -> Result<P, BucketError> {
        Ok(P::default())
    }
}
