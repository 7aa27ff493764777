//! What the pipeline needs from the world, as traits with our own errors.
//!
//! The pipeline decides; `edge.rs` and `clock.rs` carry out. A stage never sees an HTTP type.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use chatlift_shared::api::{CreateLink, File, Link, Receipt};
use chatlift_shared::{FileId, LinkId, Problem, Timestamp};

/// A future behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// This moment.
    fn now(&self) -> Timestamp;

    /// Waits until it is `at`.
    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()>;
}

/// The edge, as this app's backend may use it.
///
/// Every call may be repeated: reading changes nothing, a repeated receipt is accepted, and a
/// link is made once per idempotency key.
pub trait Edge: Send + Sync + 'static {
    /// Begins to read a file's content: from its first byte, or from where `resume` says if the
    /// content is still the same.
    ///
    /// # Errors
    /// See [`EdgeError`].
    fn content<'a>(
        &'a self,
        file: FileId,
        resume: Option<&'a Resume>,
    ) -> BoxFuture<'a, Result<Content, EdgeError>>;

    /// Reads a file's record.
    ///
    /// # Errors
    /// See [`EdgeError`].
    fn read_file(&self, file: FileId) -> BoxFuture<'_, Result<File, EdgeError>>;

    /// Reports what became of a file.
    ///
    /// # Errors
    /// See [`EdgeError`].
    fn receipt<'a>(
        &'a self,
        file: FileId,
        receipt: &'a Receipt,
    ) -> BoxFuture<'a, Result<(), EdgeError>>;

    /// Deletes a file's content.
    ///
    /// # Errors
    /// See [`EdgeError`].
    fn delete_file(&self, file: FileId) -> BoxFuture<'_, Result<(), EdgeError>>;

    /// Makes a link. The same `idempotency_key` and request answer with the same link.
    ///
    /// # Errors
    /// See [`EdgeError`].
    fn create_link<'a>(
        &'a self,
        request: &'a CreateLink,
        idempotency_key: &'a str,
    ) -> BoxFuture<'a, Result<Link, EdgeError>>;

    /// Reads a link: whether it was opened, how far its uploads are, what it has.
    ///
    /// # Errors
    /// See [`EdgeError`].
    fn read_link(&self, link: LinkId) -> BoxFuture<'_, Result<Link, EdgeError>>;
}

/// Where to go on with a file of which the beginning is already here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// How many bytes are here.
    pub from: u64,
    /// The version that they are of.
    pub etag: String,
}

/// A file's content, beginning to arrive.
pub struct Content {
    /// Where in the file it begins, in bytes: 0, or what [`Resume::from`] asked for.
    pub from: u64,
    /// The version that it is of, if the edge named one.
    pub etag: Option<String>,
    /// The bytes.
    pub body: Box<dyn Body>,
}

/// Bytes as they arrive.
pub trait Body: Send {
    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// [`EdgeError::Unreachable`] when the connection is cut or stands still.
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, EdgeError>>;
}

/// Why the edge did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// No connection, or it was cut, or it stood still for too long. Try again.
    #[error("the edge cannot be reached: {0}")]
    Unreachable(String),
    /// The edge is in trouble or asks for patience (408, 429, 5xx). Try again.
    #[error("the edge answered {status}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
    },
    /// The edge refused, and will refuse again.
    #[error("the edge refused with {status} ({})", code(.problem.as_deref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said about it, if that could be read.
        problem: Option<Box<Problem>>,
    },
    /// The answer is not what the edge API promises. Try again, and look into it.
    #[error("the edge's answer makes no sense: {0}")]
    Nonsense(String),
}

impl EdgeError {
    /// Whether the edge says that what it was asked about is not there any more: erased, deleted, or over its time. A
    /// 404 of something else that answers in its place, such as a proxy, says nothing of a file.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 404 | 410,
                problem: Some(_),
            }
        )
    }
}

fn code(problem: Option<&Problem>) -> &'static str {
    problem.map_or("no problem type", |p| p.code.code())
}
