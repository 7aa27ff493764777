//! Bytes on their way through the program: a request's body, or objects one after the other.

use std::io;

use bytes::Bytes;
use chatlift_edge::checksum::Algorithm;
use chatlift_edge::memory::{Account, Share};
use chatlift_edge::ports::{BucketError, Feed, Hash, Piece, Sink};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::MIB;
use futures_channel::mpsc::{Sender, channel};
use futures_util::stream::{self, LocalBoxStream};
use futures_util::{SinkExt as _, StreamExt as _};
use sha2::Digest as _;

/// The bodies that all requests together have in memory: parts on their way into the store, so that a cut
/// loses none of them, of which more are staged instead, and what forms gather. 40 MiB, 16 of them for forms; a page
/// sends three parts of 8 MiB. What each connection has in buffers comes besides (`serve::READ_MAX`, `files::PIECE`, a
/// row that is staged).
pub(crate) static MEMORY: Account = Account::new(40 * MIB, 16 * MIB);

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

    /// The digest of it, which goes nowhere else.
    ///
    /// # Errors
    /// When it breaks off.
    pub(crate) async fn digest(self) -> io::Result<Sha256> {
        let (mut hasher, mut stream) = (sha2::Sha256::new(), self.0);
        while let Some(piece) = stream.next().await {
            hasher.update(piece?);
        }
        Ok(Sha256(hasher.finalize().into()))
    }
}

/// A digest in the making.
pub(crate) enum Hasher {
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
}

impl Hash for Hasher {
    type Piece = Slice;

    async fn update(&mut self, piece: &Slice) {
        match self {
            Self::Sha1(hasher) => hasher.update(&piece.0),
            Self::Sha256(hasher) => hasher.update(&piece.0),
            Self::Sha384(hasher) => hasher.update(&piece.0),
            Self::Sha512(hasher) => hasher.update(&piece.0),
        }
    }

    async fn finish(self) -> Result<Vec<u8>, BucketError> {
        Ok(match self {
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::Sha384(hasher) => hasher.finalize().to_vec(),
            Self::Sha512(hasher) => hasher.finalize().to_vec(),
        })
    }
}

/// Some bytes in memory.
#[derive(Clone, Debug)]
pub(crate) struct Slice(Bytes);

impl Piece for Slice {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn split_off(&mut self, at: u64) -> Self {
        Self(self.0.split_off(usize::try_from(at).unwrap_or(usize::MAX)))
    }

    fn copy(&self, most: u64) -> Vec<u8> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.0[..most.min(self.0.len())].to_vec()
    }
}

/// What writes a body that another task reads.
pub(crate) struct Writer(Option<Sender<io::Result<Bytes>>>);

impl Sink for Writer {
    type Piece = Slice;

    async fn write(&mut self, piece: Slice) -> bool {
        match &mut self.0 {
            Some(sender) => sender.send(Ok(piece.0)).await.is_ok(),
            None => false,
        }
    }

    fn close(mut self) {
        self.0 = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(mut sender) = self.0.take() {
            // A new sender has a place of its own in the channel.
            let mut last = sender.clone();
            let _ = last.try_send(Err(io::ErrorKind::UnexpectedEof.into()));
            sender.disconnect();
        }
    }
}

/// A request's body as it comes.
pub(crate) struct Incoming {
    source: Option<Body>,
    touched: bool,
    broken: bool,
}

impl Incoming {
    /// A request's body; `None` where there is none.
    pub(crate) fn body(source: Option<Body>) -> Self {
        Self {
            source,
            touched: false,
            broken: false,
        }
    }
}

impl Feed for Incoming {
    type Body = Body;
    type Piece = Slice;
    type Sink = Writer;
    type Hash = Hasher;
    type Share = Share;

    fn of(body: Body) -> Self {
        Self::body(Some(body))
    }

    async fn next(&mut self) -> Option<Slice> {
        self.touched = true;
        loop {
            match self.source.as_mut()?.0.next().await {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => return Some(Slice(bytes)),
                end => {
                    self.broken |= end.is_some();
                    self.source = None;
                    return None;
                }
            }
        }
    }

    fn broken(&self) -> bool {
        self.broken
    }

    fn whole(&mut self) -> Option<Body> {
        match self.touched {
            true => None,
            false => self.source.take(),
        }
    }

    fn pipe(_: Option<u64>) -> (Writer, Body) {
        let (sender, receiver) = channel(1);
        (Writer(Some(sender)), Body(receiver.boxed_local()))
    }

    fn gathered(pieces: Vec<Slice>) -> Body {
        let pieces = pieces.into_iter().map(|piece| Ok(piece.0));
        Body(stream::iter(pieces).boxed_local())
    }

    fn share(&self, bytes: u64) -> Option<Share> {
        MEMORY.take_spare(bytes)
    }

    fn hash(algorithm: Algorithm) -> Result<Hasher, BucketError> {
        Ok(Hasher::new(algorithm))
    }
}
