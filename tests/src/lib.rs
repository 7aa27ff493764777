//! The harness of the journeys: the edge in real workerd, the real business backend, real Chromium,
//! a client of the edge's API, a receiver of webhooks, and real small files.
//!
//! Everything runs on this machine, on ports of its own, with keys that are drawn anew for each
//! run; and all of it ends with the test binary, however that ends (see `xtask::process`).

pub mod assertions;
pub mod backend;
pub mod browser;
pub mod client;
pub mod edge;
pub mod fixtures;
pub mod http;
pub mod receiver;
pub mod scratch;
pub mod stage;
pub mod webdriver;
