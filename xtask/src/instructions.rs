//! `cargo xtask instructions`: what rules and handlers of the edge cost, in instructions of the processor, against
//! the most that each may.

use std::collections::BTreeMap;
use std::process::Command;

use crate::run::{failed, optimised, output, quiet};
use crate::{Error, packages};

/// The tests that say how much each thing may cost (`edge/src/tests/instructions.rs`).
const TESTS: &str = "tests::instructions::";

/// What runs each: valgrind counts while the function of this name is on the stack.
const RUNNER: &str = "target.'cfg(all())'.runner = ['valgrind', '--tool=callgrind', '--callgrind-out-file=/dev/null', \
                      '--toggle-collect=*count_instructions*']";

/// How the names of two end whose cost must be the same: a comparison of secrets that stops at the first
/// difference tells how much of a guess is right.
const AT_FIRST: &str = "_at_its_first_byte";
const AT_LAST: &str = "_at_its_last_byte";

/// Counts each, and prints the table.
///
/// # Errors
/// When valgrind is missing, or something costs more than it may, or not the same as it must.
pub fn count() -> Result<(), Error> {
    packages::ensure_valgrind()?;
    let listed = quiet(test(TESTS).arg("--list"))?;
    let names = listed
        .lines()
        .filter_map(|line| line.strip_prefix(TESTS)?.strip_suffix(": test"));
    println!("| what | instructions | at most |\n|---|---:|---:|");
    let (mut counted, mut over) = (0, Vec::new());
    let mut wrong_at_first = BTreeMap::new();
    for name in names {
        let (took, most) = count_one(&format!("{TESTS}{name}"))?;
        println!("| {} | {took} | {most} |", name.replace('_', " "));
        counted += 1;
        if took > most {
            over.push(name);
        }
        if let Some(what) = name.strip_suffix(AT_FIRST) {
            wrong_at_first.insert(what, took);
        }
        // Listed in the order of their names.
        if let Some(what) = name.strip_suffix(AT_LAST)
            && wrong_at_first.remove(what) != Some(took)
        {
            let differs = format!("{what} does not cost the same wherever it is wrong");
            return Err(Error::Rule(differs));
        }
    }
    if let Some(what) = wrong_at_first.keys().next() {
        return Err(Error::Rule(format!("{what} is compared with nothing")));
    }
    match (counted, over.as_slice()) {
        (0, _) => Err(Error::Rule("nothing was counted".to_owned())),
        (_, []) => Ok(()),
        (_, over) => Err(Error::Rule(format!(
            "costs more than it may: {}",
            over.join(", ")
        ))),
    }
}

/// A test of the edge, with optimisations, and before the arguments of its harness.
fn test(name: &str) -> Command {
    let mut command = optimised("test");
    command.args(["--package", "chatlift-edge", "--lib", "--config", RUNNER]);
    command.args([name, "--"]);
    command
}

/// What a test took, and the most that it may take.
fn count_one(name: &str) -> Result<(u64, u64), Error> {
    let mut command = test(name);
    command.args(["--exact", "--nocapture", "--test-threads=1"]);
    let output = output(&mut command)?;
    if !output.status.success() {
        return Err(failed(&command, output.status));
    }
    let said = |bytes: &[u8], before: &str| {
        let text = String::from_utf8_lossy(bytes);
        let (_, number) = text.split_once(before)?;
        number.split_whitespace().next()?.parse().ok()
    };
    let both = said(&output.stderr, "Collected : ").zip(said(&output.stdout, "at most "));
    both.ok_or_else(|| Error::Rule(format!("valgrind counted nothing of {name}")))
}
