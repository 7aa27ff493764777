//! Faults planted in the rules, each of which the books must show.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{play, sequences};
use crate::planted::{FAULTS, Fault, plant};

/// Most sequences that a fault is looked for in: as many as are played without one.
const SEQUENCES: u32 = super::SEQUENCES;

/// How many sequences it took until the books showed a fault, and what they said.
fn caught(fault: Fault) -> Option<(u32, String)> {
    // The same ones always.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    plant(Some(fault));
    let found = (1..=SEQUENCES).find_map(|n| {
        let steps = sequences().new_tree(&mut runner).expect("steps").current();
        let panic = catch_unwind(AssertUnwindSafe(|| drop(play(&steps)))).err()?;
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Some((n, said.unwrap_or_default()))
    });
    plant(None);
    found
}

#[test]
fn every_fault_that_is_planted_is_caught() {
    let document = include_str!("../../../../ARCHITECTURE.md");
    let (mut missed, mut untold) = (Vec::new(), Vec::new());
    for (fault, what) in FAULTS {
        let what = what.trim();
        match caught(*fault) {
            Some((sequences, said)) => {
                let said = said.lines().next().unwrap_or_default();
                println!("| {what} | {sequences} | {said} |");
            }
            None => missed.push(what),
        }
        if !document.contains(&format!("\n| {what} | ")) {
            untold.push(what);
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
    assert!(untold.is_empty(), "not in the table: {untold:?}");
}
