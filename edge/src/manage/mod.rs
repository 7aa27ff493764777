//! What an app's backend asks of its links, and what a link's alarm does.

pub mod alarm;
pub mod chat;
pub mod create;
mod idempotency;
pub mod links;
pub mod overrides;
