//! `cargo xtask conformance`: the edge against programs that others wrote, unmodified.
//!
//! The parts are scenarios in tests/tests, `edge_conformance_<part>.rs`. `cargo xtask test` runs
//! them too, within a bounded time; here they take theirs.

use std::fs;
use std::process::Command;

use crate::root::at;
use crate::run::run;
use crate::{Error, page, tools, worker};

/// Prefix of the parts' files.
const PREFIX: &str = "edge_conformance_";

/// Variable that tells a scenario to take its time.
pub const FULL: &str = "CHATLIFT_CONFORMANCE_FULL";

/// The parts that there are.
///
/// # Errors
/// When the folder of the scenarios cannot be read.
pub fn parts() -> Result<Vec<String>, Error> {
    let folder = at("tests/tests");
    let mut parts: Vec<String> = fs::read_dir(&folder)
        .map_err(Error::file(&folder))?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let name = name.to_str()?.strip_suffix(".rs")?;
            Some(name.strip_prefix(PREFIX)?.to_owned())
        })
        .collect();
    parts.sort();
    Ok(parts)
}

/// Runs the parts; all of them where none is named.
///
/// # Errors
/// When there is no such part, something cannot be installed, or a part fails.
pub fn conformance(named: &[String]) -> Result<(), Error> {
    let parts = parts()?;
    if let Some(unknown) = named.iter().find(|name| !parts.contains(name)) {
        return Err(Error::Usage(format!(
            "there is no part `{unknown}`: {}",
            parts.join(", ")
        )));
    }
    tools::ensure_build()?;
    page::build()?;
    worker::build()?;
    let mut command = Command::new("cargo");
    command
        .current_dir(at(""))
        .args(["test", "--package", "chatlift-tests", "--no-fail-fast"])
        .env(FULL, "1");
    for part in parts
        .iter()
        .filter(|part| named.is_empty() || named.contains(part))
    {
        command.args(["--test", &format!("{PREFIX}{part}")]);
    }
    run(command.args(["--", "--nocapture"]))
}
