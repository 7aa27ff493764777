//! Bytes on their way through the program, taken piece by piece: a request's body, or objects one
//! after the other.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chatlift_edge::checksum::Algorithm;
use chatlift_edge::ports::{BucketError, Feed, Taken};
use futures_channel::mpsc::{Sender, channel};
use futures_util::future::{Either, join, select};
use futures_util::stream::{self, LocalBoxStream};
use futures_util::{SinkExt as _, StreamExt as _};
use sha2::Digest as _;

/// Most bytes that all requests together keep of parts on their way into the store, so that a cut loses
/// none of them: 256 MiB. Where it is used up, parts are staged instead.
const KEPT_MAX: u64 = 256 * 1024 * 1024;

/// How long nothing may come of a part before what came is put away.
const STALL: Duration = Duration::from_secs(1);

static KEPT: AtomicU64 = AtomicU64::new(0);

/// A share of [`KEPT_MAX`], given back when it is dropped.
#[derive(Debug)]
struct Share(u64);

impl Share {
    fn take(bytes: u64) -> Option<Self> {
        let add = |kept: u64| kept.checked_add(bytes).filter(|kept| *kept <= KEPT_MAX);
        KEPT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .ok()?;
        Some(Self(bytes))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A body that streams; an error says that it broke off.
pub(crate) struct Body(pub(crate) LocalBoxStream<'static, io::Result<Bytes>>);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

impl Body {
    /// A body of bytes in memory.
    pub(crate) fn of(bytes: impl Into<Bytes>) -> Self {
        Self(stream::iter([Ok(bytes.into())]).boxed_local())
    }

    /// One body and then another.
    pub(crate) fn chain(self, next: Self) -> Self {
        Self(self.0.chain(next.0).boxed_local())
    }
}

/// What came of a part on its way.
#[derive(Default)]
struct Pieces {
    chunks: Vec<Bytes>,
    bytes: u64,
    /// What came before it, and is kept elsewhere, in bytes.
    begin: u64,
}

impl Pieces {
    fn push(&mut self, chunk: &Bytes) {
        self.bytes += chunk.len() as u64;
        self.chunks.push(chunk.clone());
    }

    fn take(&mut self) -> Option<(Body, u64, u64)> {
        if self.bytes == 0 {
            return None;
        }
        let (begin, bytes) = (self.begin, self.bytes);
        let chunks = std::mem::take(&mut self.chunks);
        self.begin += bytes;
        self.bytes = 0;
        let body = Body(stream::iter(chunks.into_iter().map(Ok)).boxed_local());
        Some((body, begin, bytes))
    }

    /// Hands over what there is; answers whether more is taken.
    async fn spill(&mut self, spill: &mut impl AsyncFnMut(Body, u64, u64) -> bool) -> bool {
        match self.take() {
            Some((body, begin, bytes)) => spill(body, begin, bytes).await,
            None => true,
        }
    }
}

/// A digest in the making.
enum Hasher {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => Self::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha384(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha384(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
        }
    }
}

/// A body that is taken piece by piece.
pub(crate) struct Pieced {
    source: Option<Body>,
    /// Length of the body, where it was announced.
    length: Option<u64>,
    /// Looked at, or left over from a piece.
    pending: VecDeque<Bytes>,
    touched: bool,
    broken: bool,
    hash: Option<Hasher>,
    kept: Option<(Pieces, Share)>,
}

impl Pieced {
    /// A body of which `length` bytes were announced; `None` where there is none.
    pub(crate) fn of(source: Option<Body>, length: Option<u64>) -> Self {
        Self {
            source,
            length,
            pending: VecDeque::new(),
            touched: false,
            broken: false,
            hash: None,
            kept: None,
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(chunk) = self.pending.pop_front() {
            return Some(chunk);
        }
        self.touched = true;
        loop {
            match self.source.as_mut()?.0.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => return Some(chunk),
                end => {
                    self.broken |= end.is_some();
                    self.source = None;
                    return None;
                }
            }
        }
    }

    /// Passes at most `length` bytes on; counts them in `given` when they are offered.
    async fn pump(
        &mut self,
        mut into: Sender<io::Result<Bytes>>,
        length: u64,
        exact: bool,
        given: &Cell<u64>,
    ) {
        while given.get() < length {
            let Some(mut chunk) = self.next().await else {
                if exact {
                    let _ = into.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
                }
                return;
            };
            let room = usize::try_from(length - given.get()).unwrap_or(usize::MAX);
            if chunk.len() > room {
                self.pending.push_front(chunk.split_off(room));
            }
            if let Some((kept, _)) = &mut self.kept {
                kept.push(&chunk);
            }
            if let Some(hash) = &mut self.hash {
                hash.update(&chunk);
            }
            given.set(given.get() + chunk.len() as u64);
            if into.send(Ok(chunk)).await.is_err() {
                return;
            }
        }
    }

    async fn through<T>(
        &mut self,
        length: u64,
        exact: bool,
        given: &Cell<u64>,
        consume: impl AsyncFnOnce(Body) -> T,
    ) -> Taken<T> {
        let (sender, receiver) = channel(1);
        let said = {
            let consuming = pin!(consume(Body(receiver.boxed_local())));
            let pumping = pin!(self.pump(sender, length, exact, given));
            match select(pumping, consuming).await {
                Either::Left(((), consuming)) => consuming.await,
                Either::Right((said, _)) => said,
            }
        };
        Taken {
            said,
            bytes: given.get(),
        }
    }

    /// Passes the whole body on and keeps what came. What is left of it at the end, and whether it is
    /// wanted. Once somebody has asked for what came, nothing is put away before the end: who was told
    /// how much is held goes on from there.
    async fn keep(
        &mut self,
        mut into: Sender<io::Result<Bytes>>,
        asked: &impl AsyncFn(),
        spill: &mut impl AsyncFnMut(Body, u64, u64) -> bool,
    ) -> (Pieces, bool) {
        let (mut pieces, mut wanted, mut was_asked) = (Pieces::default(), true, false);
        let mut asking = Box::pin(asked());
        loop {
            let read = {
                let mut next = pin!(self.next());
                loop {
                    let stalled = pin!(async move {
                        if was_asked {
                            return pending().await;
                        }
                        tokio::time::sleep(STALL).await;
                    });
                    match select(next.as_mut(), select(asking.as_mut(), stalled)).await {
                        Either::Left((read, _)) => break read,
                        Either::Right((Either::Left(_), _)) => {
                            was_asked = true;
                            wanted = wanted && pieces.spill(spill).await;
                            // Tells that it is put away.
                            asking = Box::pin(asked());
                        }
                        Either::Right((Either::Right(_), _)) => {
                            wanted = wanted && pieces.spill(spill).await;
                        }
                    }
                }
            };
            let Some(chunk) = read else {
                if self.broken {
                    let _ = into.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
                }
                return (pieces, wanted);
            };
            pieces.push(&chunk);
            // A consumer that has failed takes no more; what comes is kept all the same.
            let _ = into.send(Ok(chunk)).await;
        }
    }
}

impl Feed for Pieced {
    type Body = Body;

    async fn peek(&mut self, most: u64) -> Vec<u8> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut seen = Vec::new();
        let mut head = Vec::new();
        while head.len() < most {
            let Some(chunk) = self.next().await else {
                break;
            };
            head.extend_from_slice(&chunk[..chunk.len().min(most - head.len())]);
            seen.push(chunk);
        }
        for chunk in seen.into_iter().rev() {
            self.pending.push_front(chunk);
        }
        head
    }

    fn broken(&self) -> bool {
        self.broken
    }

    async fn take<T>(&mut self, length: u64, consume: impl AsyncFnOnce(Body) -> T) -> Taken<T> {
        self.kept = None;
        self.through(length, false, &Cell::new(0), consume).await
    }

    async fn take_whole<T>(
        &mut self,
        length: u64,
        consume: impl AsyncFnOnce(Body) -> T,
    ) -> Option<Taken<T>> {
        self.kept = None;
        self.kept = Some((Pieces::default(), Share::take(length)?));
        Some(self.through(length, true, &Cell::new(0), consume).await)
    }

    async fn take_rest<T, E>(
        &mut self,
        before: Option<(Body, u64)>,
        length: u64,
        consume: impl AsyncFnOnce(Body) -> Result<T, E>,
        asked: impl AsyncFn(),
        mut spill: impl AsyncFnMut(Body, u64, u64) -> bool,
    ) -> Option<Result<T, E>> {
        if self.length != Some(length) || self.touched {
            return None;
        }
        let _share = Share::take(length)?;
        let (sender, receiver) = channel(1);
        let rest = Body(receiver.boxed_local());
        let body = match before {
            Some((before, _)) => before.chain(rest),
            None => rest,
        };
        let keeping = self.keep(sender, &asked, &mut spill);
        let (said, (mut left, wanted)) = join(consume(body), keeping).await;
        if said.is_err() && wanted {
            left.spill(&mut spill).await;
        }
        Some(said)
    }

    async fn take_exactly<T>(
        &mut self,
        length: u64,
        moved: &Cell<u64>,
        consume: impl AsyncFnOnce(Body) -> T,
    ) -> Taken<T> {
        self.kept = None;
        self.through(length, true, moved, consume).await
    }

    fn body(&mut self) -> Option<Body> {
        if self.touched || !self.pending.is_empty() {
            return None;
        }
        self.source.take()
    }

    fn kept(&mut self) -> Option<(Body, u64)> {
        let (body, _, bytes) = self.kept.take()?.0.take()?;
        Some((body, bytes))
    }

    fn hash(&mut self, algorithm: Algorithm) -> Result<(), BucketError> {
        self.hash = Some(Hasher::new(algorithm));
        Ok(())
    }

    async fn digest(&mut self) -> Result<Vec<u8>, BucketError> {
        let hash = self.hash.take().ok_or_else(|| BucketError {
            operation: "digest",
            reason: "none was begun".to_owned(),
            gone: false,
        })?;
        Ok(hash.finish())
    }
}
