//! Where things are in the work tree.

use std::path::{Path, PathBuf};

/// The root of the work tree: where the workspace's Cargo.toml is.
#[must_use]
pub fn root() -> &'static Path {
    // Fixed at compile time: the binary belongs to the tree that it was built in.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// A path under the root.
#[must_use]
pub fn at(path: &str) -> PathBuf {
    root().join(path)
}

/// Where cargo builds.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| at("target"), PathBuf::from)
}

/// A program that npm installed.
#[must_use]
pub fn npm_bin(name: &str) -> PathBuf {
    at("node_modules/.bin").join(name)
}
