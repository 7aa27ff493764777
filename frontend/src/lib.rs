//! The pure parts of the upload page, tested natively; `main.rs` holds the browser's side.

pub mod uploader;
pub mod wire;

// What the edge needs too, to fill the page before the program has arrived.
pub use chatlift_shared::{accept, format, in_app};
