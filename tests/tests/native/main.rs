//! What only the native edge does: many nodes, its own store, how it is run. `cargo xtask test --only native`.

mod chaos;
mod disk;
mod durable;
mod framing;
mod nodes;
mod operate;
mod power;
mod tls;
