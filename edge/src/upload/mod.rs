//! The upload engine: how bytes get from a request into R2 and a record of them into the link.
//!
//! Promise: a file is acknowledged only when R2 has its object and the link has its event. Calls
//! to R2 are three steps: reserve (the intent is stored), call, confirm. A crash between any two
//! is settled by the alarm, from what R2 has.

pub mod commit;
pub mod form;
pub mod join;
pub mod open;
pub mod receive;
mod recent;
pub mod serial;
mod source;
pub mod ticket;
pub mod whole;

pub use recent::Recent;
