//! The rules of the edge. No I/O, no clock, no randomness: all three are arguments.

pub mod chat;
pub mod command;
pub mod cors;
pub mod csp;
pub mod decide;
pub mod domain;
pub mod first;
pub mod flow;
pub mod json;
pub mod key;
pub mod label;
pub mod language;
pub mod lease;
pub mod link;
pub mod listing;
pub mod outbox;
pub mod page;
pub mod password;
pub mod password_page;
pub mod qr;
pub mod range;
pub mod rates;
pub mod result;
pub mod resumable;
pub mod route;
pub mod serial;
pub mod serial_row;
pub mod signed;
pub mod sse;
pub mod stage;
pub mod texts;
pub mod ticket;
pub mod tus;
pub mod work;

pub use chatlift_shared::name;
