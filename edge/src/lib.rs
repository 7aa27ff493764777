//! Chatlift's edge: makes, checks and revokes links, takes uploads, stores them, and notifies the
//! business backend until it has answered.
//!
//! [`core`] holds the rules, [`service`] carries them out through [`ports`], and [`http`] answers
//! requests; all are pure Rust and tested natively. `platform` is compiled for WebAssembly only and is
//! the only code that knows Cloudflare's `worker` crate.

pub mod config;
pub mod core;
pub mod http;
pub mod log;
pub mod ports;
pub mod service;

#[cfg(target_arch = "wasm32")]
mod platform;
