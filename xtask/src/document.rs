//! Writes the edge's API document and its reference page among the static assets, from where the
//! edge serves them: `dist/openapi.json` and `dist/docs.html`.

use crate::Error;
use crate::root::at;
use crate::run::{Target, build_one, run};

/// Writes both. Takes the time of a cargo build that has nothing to do, when nothing has changed.
///
/// # Errors
/// When the document's crate does not build.
pub fn build() -> Result<(), Error> {
    run(build_one(Target::Bin("chatlift-openapi"))?.arg(at("dist")))
}
