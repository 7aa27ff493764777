//! The rules of the edge. No I/O, no clock, no randomness: all three are arguments.

pub mod chat;
pub mod command;
pub mod decide;
pub mod first;
pub mod key;
pub mod language;
pub mod link;
pub mod outbox;
pub mod page;
pub mod range;
pub mod result;
pub mod route;
pub mod sniff;
pub mod stage;
pub mod texts;
pub mod ticket;
pub mod work;

pub use chatlift_shared::name;
