//! Chatlift's edge: makes, checks and revokes links, takes uploads, stores them, and notifies the
//! business backend until it has answered.
//!
//! [`link`] holds the rules of a link, [`page`] and [`chat`] those of what a person is shown. [`upload`] is
//! the upload engine and [`manage`] what an app's backend asks, both over [`ports`]; [`http`] answers requests
//! by them. All are pure Rust and tested natively. `workers` is compiled for WebAssembly only and is the only
//! code that knows Cloudflare's `worker` crate.

#[macro_use]
mod planted;

pub mod chat;
pub mod checksum;
pub mod config;
pub mod date;
pub mod faults;
pub mod http;
pub mod json;
pub mod link;
pub mod log;
pub mod manage;
pub mod memory;
pub mod page;
pub mod ports;
pub mod service;
pub mod upload;

#[cfg(target_arch = "wasm32")]
mod workers;

#[cfg(test)]
mod tests;
