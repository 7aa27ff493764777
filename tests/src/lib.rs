//! The harness of the journeys: the edge in real workerd, the real business backend, real browsers,
//! a client of the edge's API, a receiver of webhooks, and real small files.
//!
//! Everything runs on this machine, on ports of its own, with keys that are drawn anew for each
//! run; and all of it ends with the test binary, however that ends (see `xtask::process`).

pub mod assertions;
pub mod axe;
pub mod backend;
pub mod bare;
pub mod bridges;
pub mod browser;
pub mod client;
pub mod edge;
pub mod engine;
pub mod first;
pub mod fixtures;
pub mod gate;
pub mod http;
pub mod journey;
mod meter;
pub mod network;
pub mod openapi;
pub mod outside;
pub mod platforms;
pub mod receiver;
pub mod schemathesis;
pub mod scratch;
pub mod serial;
pub mod stage;
pub mod tour;
pub mod webdriver;
