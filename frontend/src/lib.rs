//! The pure parts of the upload page, tested natively; `main.rs` holds the browser's side.

pub mod accept;
pub mod format;
pub mod uploader;
pub mod wire;
