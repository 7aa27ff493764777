//! The client's machine, pure: what to send next, when to try again, and how far it is.
//!
//! [`Batch`] holds the files of one confirmed pick. The shell asks it for [`Job`]s, carries them
//! out, and tells it what happened. It never touches the network, a clock or a random source:
//! moments (milliseconds on any steady scale) and random numbers are arguments. It promises:
//!
//! - at most [`CONCURRENCY`] requests with content are under way, and one digest at a time;
//! - a part is skipped only when the edge holds exactly the bytes that the picked file has there;
//! - a file is [`State::Stored`] only after the edge said so, and shows less than 100 % until then;
//! - a file that cannot go on ends in [`State::Failed`]; nothing is retried for ever but the wait
//!   for a connection.

mod batch;
mod progress;
mod retry;
mod transfer;

#[cfg(test)]
mod simulation;

pub use batch::{Batch, CONCURRENCY, Key};
pub use progress::{Progress, percent};
pub use retry::{ATTEMPTS_MAX, Failure, backoff_ms};
pub use transfer::{Event, Job, State, Transfer};
