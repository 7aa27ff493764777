//! The client's machine, pure: what to send next, when to try again, and how far it is.
//!
//! [`Batch`] holds the files of one confirmed pick. The shell asks it for [`Job`]s, carries them
//! out, and tells it what happened. It never touches the network, a clock or a random source:
//! moments (milliseconds on any steady scale) and random numbers are arguments. It promises:
//!
//! - at most [`CONCURRENCY`] requests with content are under way, and one digest at a time;
//! - what travels is about a second's worth of the measured network, so a cut costs no more;
//! - no byte is sent that the edge has said it holds, and after a cut the edge is asked first;
//! - a part is skipped only when the edge holds exactly the bytes that the picked file has there;
//! - progress counts what the edge has, and is below 100 % until it has said [`State::Stored`];
//! - a file that cannot go on ends in [`State::Failed`]: after [`BUDGET_MS`] without a byte more at
//!   the edge, unless the device itself says that it has no connection.

mod batch;
mod pace;
mod part;
mod progress;
mod retry;
mod transfer;

#[cfg(test)]
mod simulation;

pub use batch::{Batch, CONCURRENCY, Key};
pub use pace::{CHUNK_FIRST, CHUNK_MIN, Network, Speed};
pub use part::Chunk;
pub use progress::{Progress, percent};
#[cfg(test)]
use retry::fixed_wait;
pub use retry::{BUDGET_MS, Cause, Failure, Refusal, Wake, backoff_ms, probe_ms};
pub use transfer::{Event, Grant, Job, State, Transfer};
