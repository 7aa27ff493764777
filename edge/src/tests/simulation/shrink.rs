//! Many journeys, and one that broke a promise made as small as it still breaks it.

use std::panic;

use super::{Outcome, Plan, play};
use crate::tests::model::faults::Fault;

/// Plays journeys by their seeds, prints how often each fault struck, and stops at the first that breaks a
/// promise.
pub(super) fn campaign(first: u64, count: u64) {
    let (mut struck, mut failures) = (vec![0; Fault::ALL.len()], std::collections::BTreeMap::new());
    let (mut delivered, mut requests, mut steps) = (0, 0, 0);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let broken = (first..first + count).find(|seed| {
        let outcome = play(Plan::of(*seed), false);
        for (all, one) in struck.iter_mut().zip(&outcome.struck) {
            *all += one;
        }
        for failure in &outcome.failures {
            *failures.entry(failure.clone()).or_insert(0_u64) += 1;
        }
        delivered += outcome.delivered;
        requests += outcome.requests;
        steps += outcome.steps;
        outcome.broken.is_some()
    });
    let smallest = broken.map(|seed| smallest(Plan::of(seed)));
    panic::set_hook(hook);
    if let Some((plan, outcome)) = smallest {
        panic!("{}", told(plan, &outcome));
    }
    println!("{count} journeys: {delivered} files delivered, {requests} requests, {steps} steps");
    println!("| fault | struck |\n|---|---:|");
    for ((_, what), times) in Fault::ALL.iter().zip(&struck) {
        println!("| {} | {times} |", what.trim());
    }
    println!("| files that pages gave up | times |\n|---|---:|");
    for (failure, times) in &failures {
        println!("| {failure} | {times} |");
    }
    if count >= 500 {
        for ((_, what), times) in Fault::ALL.iter().zip(&struck) {
            assert!(*times > 0, "never struck: {what}");
        }
    }
}

/// The smallest plan that breaks the same promise, by fewer faults, kinds of faults, files and deeds.
fn smallest(plan: Plan) -> (Plan, Outcome) {
    let mut best = (plan, play(plan, true));
    let promise = |outcome: &Outcome| {
        outcome
            .broken
            .as_ref()
            .map(|said| said.chars().take(24).collect::<String>())
    };
    let wanted = promise(&best.1);
    let all: u64 = best.1.struck.iter().sum();
    let mut tries: Vec<Box<dyn Fn(Plan) -> Plan>> = Vec::new();
    for files in 1..3 {
        tries.push(Box::new(move |plan| Plan { files, ..plan }));
    }
    for deeds in 0..8 {
        tries.push(Box::new(move |plan| Plan { deeds, ..plan }));
    }
    for (fault, _) in Fault::ALL {
        let bit = 1 << (*fault as u64);
        tries.push(Box::new(move |plan| Plan {
            barred: plan.barred | bit,
            ..plan
        }));
    }
    for faults in 0..all.min(200) {
        tries.push(Box::new(move |plan| Plan {
            faults: plan.faults.min(faults),
            ..plan
        }));
    }
    for _ in 0..2 {
        for smaller in &tries {
            let plan = smaller(best.0);
            if plan == best.0 {
                continue;
            }
            let outcome = play(plan, true);
            if promise(&outcome) == wanted && outcome.trace.len() <= best.1.trace.len() {
                best = (plan, outcome);
            }
        }
    }
    best
}

/// What a person reads of a journey that broke a promise.
fn told(plan: Plan, outcome: &Outcome) -> String {
    let broken = outcome.broken.as_deref().unwrap_or("every promise is kept");
    format!(
        "{}\n\n{broken}\nreplay it: cargo xtask simulate --seed {}\nthe smallest journey that does so: {plan:?}",
        outcome.trace.join("\n"),
        plan.seed,
    )
}

/// Plays what `cargo xtask simulate` asks for: one journey with all that happens in it, or many.
pub(super) fn replay() {
    let number = |name: &str, other| {
        let asked = std::env::var(name).ok();
        asked.and_then(|n| n.parse().ok()).unwrap_or(other)
    };
    let seed = number("CHATLIFT_SEED", 1);
    let count = number("CHATLIFT_JOURNEYS", 1);
    if count > 1 {
        return campaign(seed, count);
    }
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let whole = play(Plan::of(seed), true);
    let small = whole.broken.is_some().then(|| smallest(Plan::of(seed)));
    panic::set_hook(hook);
    println!("{}", told(Plan::of(seed), &whole));
    if let Some((plan, outcome)) = small {
        panic!("made smaller:\n{}", told(plan, &outcome));
    }
}
