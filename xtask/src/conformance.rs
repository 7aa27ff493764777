//! `cargo xtask conformance`: the edge against programs that others wrote, unmodified.
//!
//! The parts are scenarios in tests/tests, `edge_conformance_<part>.rs`, and in a browser
//! `e2e_conformance_<part>.rs`. `cargo xtask test` runs them too, within a bounded time; here they
//! take theirs.

use std::collections::BTreeSet;
use std::fs;

use crate::root::at;
use crate::run::{cargo, run};
use crate::{Error, page, tools, worker};

/// What stands between a layer and a part in the names of the parts' files.
const MARK: &str = "_conformance_";

/// Variable that tells a scenario to take its time.
pub const FULL: &str = "CHATLIFT_CONFORMANCE_FULL";

/// The names of the parts' scenarios.
fn scenarios() -> Result<Vec<String>, Error> {
    let folder = at("tests/tests");
    let mut scenarios: Vec<String> = fs::read_dir(&folder)
        .map_err(Error::file(&folder))?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let name = name.to_str()?.strip_suffix(".rs")?;
            name.contains(MARK).then(|| name.to_owned())
        })
        .collect();
    scenarios.sort();
    Ok(scenarios)
}

/// The part that a scenario belongs to.
fn part(scenario: &str) -> &str {
    scenario.split_once(MARK).map_or(scenario, |(_, part)| part)
}

/// Runs the parts; all of them where none is named.
///
/// # Errors
/// When there is no such part, something cannot be installed, or a part fails.
pub fn conformance(named: &[String]) -> Result<(), Error> {
    let scenarios = scenarios()?;
    let known = |name: &&String| scenarios.iter().any(|scenario| part(scenario) == **name);
    if let Some(unknown) = named.iter().find(|name| !known(name)) {
        let parts: BTreeSet<&str> = scenarios.iter().map(|scenario| part(scenario)).collect();
        return Err(Error::Usage(format!(
            "there is no part `{unknown}`: {}",
            Vec::from_iter(parts).join(", ")
        )));
    }
    let chosen: Vec<&String> = scenarios
        .iter()
        .filter(|scenario| named.is_empty() || named.iter().any(|name| name == part(scenario)))
        .collect();
    if chosen.iter().any(|scenario| scenario.starts_with("e2e_")) {
        tools::ensure_browser()?;
    }
    tools::ensure_build()?;
    page::build()?;
    worker::build()?;
    let mut command = cargo();
    command
        .current_dir(at(""))
        .args(["test", "--package", "chatlift-tests", "--no-fail-fast"])
        .env(FULL, "1");
    for scenario in chosen {
        command.args(["--test", scenario]);
    }
    run(command.args(["--", "--nocapture"]))
}
