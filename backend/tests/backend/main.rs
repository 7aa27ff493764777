//! The backend over real HTTP on loopback, one file per subject.

mod common;
mod convert;
mod converted;
mod doors;
mod erasure;
mod fetch;
mod first_app;
mod killed;
#[cfg(unix)]
mod lanes;
mod operator;
mod outlets;
mod pipeline;
mod trouble;
mod webhook;
