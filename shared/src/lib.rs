//! One definition, for the upload page, the edge and the business backend, of everything that
//! crosses between them: the link token, the body of every route, limits, problem types and
//! webhooks.
//!
//! Pure: no clock, no randomness, no I/O. Times and random bytes are arguments.

pub mod accept;
pub mod api;
#[cfg(feature = "audit")]
pub mod audit;
#[cfg(feature = "chat")]
pub mod chat;
pub mod digest;
pub mod disposition;
pub mod format;
#[cfg(test)]
mod fuzz;
pub mod id;
pub mod in_app;
pub mod kind;
pub mod limits;
pub mod mac;
pub mod media;
pub mod name;
#[cfg(feature = "openapi")]
mod openapi;
pub mod problem;
pub mod text;
pub mod time;
pub mod token;
pub mod webhook;

pub use id::{AppId, EventId, FileId, LinkId, SceneId, UploadId};
pub use problem::{Problem, ProblemCode};
pub use time::Timestamp;
