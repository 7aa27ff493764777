//! Faults planted in the rules, and what catches each of them: random sequences of requests (`model`), simulated
//! journeys (`simulation`), or the link explored exhaustively (`link/decide/tests/explored.rs`). ARCHITECTURE.md has
//! the table; chaos is not in it, since what ships has no switch for a fault.

use super::{model, simulation};
use crate::link::decide::tests::explored;
use crate::planted::{FAULTS, Fault};

/// Journeys in which a fault is looked for.
const JOURNEYS: u64 = 500;

/// Where a fault was caught first, and the promise that it broke.
type Caught = Option<(String, String)>;

/// Looks for what a fault breaks.
type Catch = fn(Fault) -> Caught;

/// What may catch a fault, in the order of the table's columns.
const CATCHERS: [(&str, Catch); 3] = [
    ("sequences", |fault| {
        let (sequence, said) = model::broken_by(fault)?;
        Some((format!("sequence {sequence}"), said))
    }),
    ("journeys", |fault| {
        let (seed, said) = simulation::broken_by(fault, JOURNEYS)?;
        Some((format!("journey {seed}"), said))
    }),
    ("exploration", |fault| {
        let (case, said) = explored::broken_by(fault)?;
        Some((case.to_owned(), said.to_owned()))
    }),
];

/// The table's cells of a fault: whether each of [`CATCHERS`] catches it.
fn told_of(what: &str) -> [bool; 3] {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let document = std::fs::read_to_string(path).expect("the document of the table");
    let row = document
        .lines()
        .find_map(|line| line.strip_prefix(&format!("| {what} | ")));
    let row = row.unwrap_or_else(|| panic!("not in the table: {what}"));
    let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
    let cells = cells
        .try_into()
        .unwrap_or_else(|_| panic!("not of three cells: {row}"));
    <[&str; 3]>::map(cells, |cell| cell == "yes")
}

#[test]
fn every_fault_that_is_planted_is_caught_by_what_the_table_says() {
    for (fault, what) in FAULTS {
        let what = what.trim();
        let told = told_of(what);
        assert!(told.contains(&true), "not caught: {what}");
        for ((name, catch), _) in CATCHERS.iter().zip(told).filter(|(_, told)| *told) {
            assert!(catch(*fault).is_some(), "not caught by {name}: {what}");
        }
    }
}

/// For `cargo xtask plant`.
#[test]
#[ignore = "prints what the table is made of"]
fn plant_each() {
    let mut missed = Vec::new();
    for (fault, what) in FAULTS {
        let caught = CATCHERS.map(|(_, catch)| catch(*fault));
        let cells = caught
            .each_ref()
            .map(|caught| if caught.is_some() { "yes" } else { "no" });
        println!("| {} | {} |", what.trim(), cells.join(" | "));
        if caught.iter().all(Option::is_none) {
            missed.push(what);
        }
        for (place, said) in caught.into_iter().flatten() {
            println!("  {place}: {}", said.lines().next().unwrap_or_default());
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
