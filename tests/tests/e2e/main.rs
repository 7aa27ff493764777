//! Scenarios in real browsers, from the page to the backend: one module per journey, in one binary.
//!
//! One alone, by its name: `cargo test --package chatlift-tests --test e2e journey::`.

mod accessible;
mod chat;
mod conformance_tus;
mod each;
mod engines;
mod faults;
mod first_app;
mod first_load;
mod honest;
mod journey;
mod looks;
