//! `cargo xtask conformance`: the edge against programs that others wrote, unmodified.
//!
//! The parts are scenarios in tests/tests, `edge/conformance_<part>.rs`, and in a browser
//! `e2e/conformance_<part>.rs`. `cargo xtask test` runs them too, within a bounded time; here they
//! take theirs.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;

use crate::root::at;
use crate::run::{run, workspace};
use crate::test::Layer;
use crate::{Error, tools, worker};

/// What the modules of the parts begin with.
const PREFIX: &str = "conformance_";

/// Variable that tells a scenario to take its time.
pub const FULL: &str = "CHATLIFT_CONFORMANCE_FULL";

/// The parts that the layer has scenarios of.
fn parts(layer: Layer) -> Result<BTreeSet<String>, Error> {
    let folder = at("tests/tests").join(layer.name());
    let entries = fs::read_dir(&folder).map_err(Error::file(&folder))?;
    let part = |name: &OsStr| {
        let part = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(".rs")?;
        Some(part.to_owned())
    };
    Ok(entries
        .flatten()
        .filter_map(|entry| part(&entry.file_name()))
        .collect())
}

/// Runs the parts; all of them where none is named.
///
/// # Errors
/// When there is no such part, something cannot be installed, or a part fails.
pub fn conformance(named: &[String]) -> Result<(), Error> {
    let (edge, e2e) = (parts(Layer::Edge)?, parts(Layer::E2e)?);
    let known: BTreeSet<&String> = edge.union(&e2e).collect();
    if let Some(unknown) = named.iter().find(|part| !known.contains(part)) {
        let known = Vec::from_iter(known.into_iter().map(String::as_str)).join(", ");
        return Err(Error::Usage(format!(
            "there is no part `{unknown}`: {known}"
        )));
    }
    let chosen = |part: &&String| named.is_empty() || named.contains(part);
    tools::ensure_build()?;
    if e2e.iter().any(|part| chosen(&part)) {
        tools::ensure_browser()?;
    }
    worker::build_with_page()?;
    let mut command = workspace("test");
    command
        .arg("--no-fail-fast")
        .args(["--test", Layer::Edge.name(), "--test", Layer::E2e.name()])
        .env(FULL, "1")
        .args(["--", "--nocapture"]);
    for part in known.into_iter().filter(chosen) {
        command.arg(format!("{PREFIX}{part}::"));
    }
    run(&mut command)
}
