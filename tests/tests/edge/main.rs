//! Scenarios over HTTP against the edge in real workerd: one module per journey, in one binary.
//!
//! Most share one edge ([`chatlift_tests::stage::shared`]) with links of their own. A scenario that
//! stops, kills, counts or measures an edge starts its own. One alone, by its name:
//! `cargo test --package chatlift-tests --test edge tus::`.

mod access;
mod attacks;
mod audit;
mod chaos;
mod chat;
mod chunks;
mod client;
mod conformance_clients;
mod conformance_openapi;
mod conformance_tus;
mod conformance_webhooks;
mod counts;
mod cross_origin;
mod events;
mod faults;
mod floor;
mod forgotten;
mod form;
mod grown;
mod links;
mod load;
mod log;
mod manage;
mod memory;
mod miniprogram;
mod note;
mod openapi;
mod operating;
mod parts;
mod person;
mod quickstart;
mod refusals;
mod resets;
mod resumable;
mod tenants;
mod tus;
mod unread;
mod uploads;
mod versions;
mod webhooks;
mod withdraw;
