//! The rules of a link: what its object keeps, what can be asked of it, and what comes of that. No I/O, no
//! clock, no randomness: all three are arguments.

pub mod audit;
pub mod command;
pub mod decide;
pub mod flow;
pub mod key;
pub mod lease;
pub mod listing;
pub mod message;
pub mod outbox;
pub mod password;
pub mod reply;
pub mod serial;
pub mod serial_row;
pub mod stage;
pub mod state;
pub mod version;
pub mod waiters;
pub mod work;
