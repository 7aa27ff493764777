//! What the edge needs of the world, as traits, with errors of our own. `platform` fulfils them on
//! Workers; tests fulfil them in memory.

use core::time::Duration;

use chatlift_shared::digest::Sha256;
use chatlift_shared::{AppId, LinkId, Problem, ProblemCode, Timestamp, UploadId};
use serde::{Deserialize, Serialize};

use crate::chat::account::Account;
use crate::chat::protocol::Call;
use crate::checksum::Algorithm;
use crate::json;
use crate::link::command::Outcome;
use crate::link::decide::Decide;
use crate::link::lease::{Lease, LeaseAnswer};
use crate::link::listing::{Entry, Query, ShardPage};
use crate::link::stage::Chunk;
use crate::link::work::Send;

/// R2 did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {reason}")]
pub struct BucketError {
    /// What was asked.
    pub operation: &'static str,
    /// What it said. For the log only.
    pub reason: String,
    /// R2 has no such multipart upload any more: it was joined, or dropped.
    pub gone: bool,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The edge says no, and says why.
    Refused(Problem),
    /// R2 failed.
    Bucket(BucketError),
    /// An object of the platform went away, as at a deploy, or has too much to do: asked again soon it
    /// answers. The text is for the log only.
    Away(String),
    /// Something of ours failed; the text is for the log only.
    Broken(String),
}

impl Failure {
    /// JSON between parts of the edge cannot be read or written. Nothing of it is told.
    #[must_use]
    pub fn unreadable(what: &str, error: &serde_json::Error) -> Self {
        Self::Broken(format!("{what}: {}", json::place(error)))
    }

    /// The code of the problem that it is answered with.
    #[must_use]
    pub const fn code(&self) -> ProblemCode {
        match self {
            Self::Refused(problem) => problem.code,
            Self::Bucket(_) | Self::Away(_) => ProblemCode::StorageUnavailable,
            Self::Broken(_) => ProblemCode::Internal,
        }
    }

    /// Whether what was asked about is not there any more, such as a link that was erased meanwhile.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(
            self.code(),
            ProblemCode::LinkNotFound
                | ProblemCode::UploadNotFound
                | ProblemCode::FileNotFound
                | ProblemCode::EventNotFound
        )
    }

    /// What a log line says of it: a problem's code without its detail, which may tell of what a
    /// person sent.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Refused(problem) => problem.code.code().to_owned(),
            Self::Bucket(error) => error.to_string(),
            Self::Away(reason) | Self::Broken(reason) => reason.clone(),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<ProblemCode> for Failure {
    fn from(code: ProblemCode) -> Self {
        Self::Refused(code.into())
    }
}

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Self {
        Self::Bucket(error)
    }
}

/// Which bytes of an object to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All, with 200.
    Whole,
    /// Some, with 206.
    Part {
        /// First byte.
        offset: u64,
        /// How many, at least 1.
        length: u64,
    },
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Size in bytes.
    pub size: u64,
    /// Entity tag, without quotes.
    pub etag: String,
}

/// What was stored, with the digest of the bytes that went by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// Entity tag, without quotes.
    pub etag: String,
    /// Digest of the bytes.
    pub sha256: Sha256,
}

/// Why bytes were not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutError {
    /// They do not have the digest that was announced.
    Digest,
    /// The sender went away, or R2 failed.
    Bucket(BucketError),
}

/// Why parts were not joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompleteError {
    /// R2 does not have the parts that were named.
    Parts,
    /// R2 failed.
    Bucket(BucketError),
}

/// The R2 bucket. Implementations stream: no body is held in memory.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Bucket {
    /// A body of known length on its way in.
    type Body;

    /// Objects that are read one after the other.
    type Objects: Feed<Body = Self::Body>;

    /// Reads objects one after the other, each of a key and a size in bytes.
    fn objects(&self, objects: Vec<(String, u64)>) -> Self::Objects;

    /// A body of bytes that are in memory, one part at most.
    fn body(&self, bytes: Vec<u8>) -> Result<Self::Body, BucketError>;

    /// Begins a multipart upload whose parts but the last have `part_size` bytes; answers R2's id of it.
    async fn create(&self, key: &str, part_size: u64) -> Result<String, BucketError>;

    /// Stores a part in place of any of the same number, and computes its digest as it goes by.
    async fn put_part(
        &self,
        key: &str,
        r2_upload_id: &str,
        n: u16,
        body: Self::Body,
    ) -> Result<Put, BucketError>;

    /// Joins the parts; afterwards the object is there.
    async fn complete(
        &self,
        key: &str,
        r2_upload_id: &str,
        etags: &[String],
    ) -> Result<(), CompleteError>;

    /// Drops a multipart upload with its parts. One that is gone already is no error.
    async fn abort(&self, key: &str, r2_upload_id: &str) -> Result<(), BucketError>;

    /// Stores an object, and computes its digest as it goes by. With another digest than
    /// `expected` nothing is stored.
    async fn put(
        &self,
        key: &str,
        body: Self::Body,
        expected: Option<Sha256>,
    ) -> Result<Put, PutError>;

    /// What is known of an object, if there is one.
    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError>;

    /// What is known of an object, and `length` bytes of it from `offset` or fewer, if there is one.
    async fn read(
        &self,
        key: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError>;

    /// An object's content, or some of it, as a stream; `None` if there is none.
    async fn open(&self, key: &str, what: Selection) -> Result<Option<Self::Body>, BucketError>;

    /// Digest of a body, which goes nowhere else.
    async fn digest(&self, body: Self::Body) -> Result<Sha256, BucketError>;

    /// Deletes an object. One that is gone already is no error.
    async fn delete(&self, key: &str) -> Result<(), BucketError>;
}

/// Where the beginnings of parts are kept until the part is whole: with the link.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Stage {
    /// A body on its way in, or out again.
    type Body;

    /// Keeps what arrives of a chunk, to the last byte before a cut. Refuses a chunk that does not
    /// begin where what is held of its part ends.
    async fn stage(&self, chunk: Chunk, body: Option<Self::Body>) -> Result<StageAnswer, Failure>;

    /// Takes a part over for a chunk that ends it; answers with what is held before that chunk, as a stream
    /// of that length.
    async fn begin(&self, chunk: Chunk) -> Result<Self::Body, Failure>;

    /// Holds a lease for a part on its way, until somebody asks for what has come of it or some
    /// seconds are over. `comes` is what a request brings that holds it for the first time: other holders of the
    /// part put away what they have, and where that is more than is before it, it holds none.
    async fn lease(&self, lease: Lease, comes: Option<Chunk>) -> Result<LeaseAnswer, Failure>;

    /// Ends a lease of a part that did not get to R2, when what had come is put away.
    async fn end_lease(&self, lease: Lease) -> Result<(), Failure>;

    /// The part, of which all `length` bytes are held, as a stream of that length.
    async fn staged(&self, upload: UploadId, n: u16, length: u64) -> Result<Self::Body, Failure>;
}

/// What is held of a part once a chunk of it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageAnswer {
    /// So many bytes of its beginning are staged.
    Staged(u64),
    /// R2 has the part with the digest that the chunk says, and the link knows; nothing was kept.
    Recorded,
}

impl StageAnswer {
    /// How many bytes are held of a part of `part_len` bytes.
    #[must_use]
    pub fn bytes(self, part_len: u64) -> u64 {
        match self {
            Self::Staged(bytes) => bytes,
            Self::Recorded => part_len,
        }
    }
}

/// The links' Durable Objects. Each carries out its commands one after the other.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Links {
    /// Has a link carry out a command.
    async fn execute<C: Decide>(&self, link: LinkId, command: C) -> Result<C::Reply, Failure>;
}

/// A file whose length is not known before its end.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Incoming {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure>;
}

/// Bytes in order as they come: a request's body, or objects one after the other.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Feed {
    /// A body on its way in.
    type Body;
    /// Some of the bytes.
    type Piece: Piece;
    /// What a body is written by.
    type Sink: Sink<Piece = Self::Piece>;
    /// What computes a digest.
    type Hash: Hash<Piece = Self::Piece>;
    /// A share of the memory for what is kept of parts on their way, given back when it is dropped.
    type Share;

    /// The bytes of a body.
    fn of(body: Self::Body) -> Self;

    /// The next bytes, at least one; `None` at the end. That it broke off is told by [`Self::broken`].
    async fn next(&mut self) -> Option<Self::Piece>;

    /// Whether it broke off before its end.
    fn broken(&self) -> bool;

    /// All of it as a body that passes through untouched; `None` where there is none, or some of it was
    /// taken.
    fn whole(&mut self) -> Option<Self::Body>;

    /// A body, of exactly `length` bytes if that is given, and what it is written by.
    fn pipe(length: Option<u64>) -> (Self::Sink, Self::Body);

    /// A body of pieces that are in memory.
    fn gathered(pieces: Vec<Self::Piece>) -> Self::Body;

    /// Memory for what is kept of so many bytes on their way; `None` where it is short.
    fn share(&self, bytes: u64) -> Option<Self::Share>;

    /// Begins a digest.
    fn hash(algorithm: Algorithm) -> Result<Self::Hash, BucketError>;
}

/// Some bytes, as the platform holds them: to clone them copies none.
pub trait Piece: Clone {
    /// How many, at least one.
    fn length(&self) -> u64;

    /// Keeps the first `at` of them, and answers the rest.
    fn split_off(&mut self, at: u64) -> Self;

    /// Copies the first of them, at most `most`.
    fn copy(&self, most: u64) -> Vec<u8>;
}

/// What a body is written by. One that is dropped before it is closed breaks the body off.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Sink {
    /// Some bytes.
    type Piece;

    /// Writes bytes as fast as they are read; answers whether more is wanted.
    async fn write(&mut self, piece: Self::Piece) -> bool;

    /// Ends the body.
    fn close(self);
}

/// A digest in the making.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Hash {
    /// Some bytes.
    type Piece;

    /// Takes bytes in.
    async fn update(&mut self, piece: &Self::Piece);

    /// The digest of all of them.
    async fn finish(self) -> Result<Vec<u8>, BucketError>;
}

/// The way to the business backends.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Webhooks {
    /// Sends an event to its app's backend and waits for the answer, 15 s at most.
    async fn send(&self, event: &Send) -> Outcome;
}

/// The way to the chat platforms' APIs.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Platforms {
    /// Calls a platform and returns the body of its answer, or in words why there is none.
    async fn call(&self, call: &Call) -> Result<String, String>;

    /// Notes for the operator what an account could not be given. `reason` holds no secret.
    fn failed(&self, account: &Account, what: &str, reason: &str);
}

/// The list of an app's links.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait Directory {
    /// Keeps an entry in place of an older one; an older one changes nothing.
    async fn put(&self, app: &AppId, entry: &Entry) -> Result<(), Failure>;

    /// Removes an entry; one that is not there is no error.
    async fn remove(&self, app: &AppId, entry: &Entry) -> Result<(), Failure>;

    /// Asks one of the list's objects.
    async fn page(&self, app: &AppId, shard: u8, query: &Query) -> Result<ShardPage, Failure>;
}

/// Time and randomness, and the places where a test may stop the edge.
#[expect(async_fn_in_trait, reason = "single-threaded, on Workers and in tests")]
pub trait World {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Random bits.
    fn random(&self) -> u64;

    /// Waits so long.
    async fn pause(&self, time: Duration);

    /// Whether part `n` of an upload came to this process lately. It may have forgotten.
    fn comes_again(&self, _upload: UploadId, _n: u16) -> bool {
        false
    }

    /// PBKDF2-HMAC-SHA256 of a password, 32 bytes. A world without it takes no passwords.
    async fn derive(
        &self,
        _password: &str,
        _salt: &[u8; 16],
        _iterations: u32,
    ) -> Result<[u8; 32], Failure> {
        Err(Failure::Broken("there is no PBKDF2 here".to_owned()))
    }

    /// Called after R2 has committed an object and before the link knows of it. Does nothing but
    /// in a test that wants the edge to die right here.
    async fn after_r2_commit(&self) {}

    /// Called with what somebody sent. Does nothing but in a test that wants a panic that repeats it.
    fn may_panic(&self, _sent: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_learns_a_problems_code_and_nothing_of_what_was_sent() {
        let mut problem = Problem::new(ProblemCode::FileTypeNotAccepted);
        problem.detail = Some("salary of 张三.pdf".to_owned());
        problem.field = Some("salary of 张三.pdf".to_owned());
        let failure = Failure::from(problem);
        assert_eq!(failure.reason(), "file-type-not-accepted");
    }
}
