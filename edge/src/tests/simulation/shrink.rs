//! Many journeys, and one that broke a promise made as small as it still breaks it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{panic, thread};

use super::{Outcome, Plan, play};
use crate::tests::model::faults::Fault;

/// Fewest journeys in which every kind of fault has to strike.
pub(super) const ALL_STRIKE: u64 = 500;

/// What came of many journeys.
#[derive(Default)]
struct Sum {
    struck: Vec<u64>,
    failures: BTreeMap<String, u64>,
    delivered: usize,
    requests: u64,
    steps: u64,
}

impl Sum {
    fn of(outcome: Outcome) -> Self {
        let mut failures = BTreeMap::new();
        for failure in outcome.failures {
            *failures.entry(failure).or_default() += 1;
        }
        Self {
            struck: outcome.struck,
            failures,
            delivered: outcome.delivered,
            requests: outcome.requests,
            steps: outcome.steps,
        }
    }

    fn add(mut self, other: Self) -> Self {
        self.struck.resize(Fault::ALL.len(), 0);
        for (all, one) in self.struck.iter_mut().zip(&other.struck) {
            *all += one;
        }
        for (failure, times) in other.failures {
            *self.failures.entry(failure).or_default() += times;
        }
        self.delivered += other.delivered;
        self.requests += other.requests;
        self.steps += other.steps;
        self
    }

    fn print(&self, count: u64) {
        println!(
            "{count} journeys: {} files delivered, {} requests, {} steps",
            self.delivered, self.requests, self.steps
        );
        println!("| fault | struck |\n|---|---:|");
        for ((_, what), times) in Fault::ALL.iter().zip(&self.struck) {
            println!("| {} | {times} |", what.trim());
        }
        println!("| files that pages gave up | times |\n|---|---:|");
        for (failure, times) in &self.failures {
            println!("| {failure} | {times} |");
        }
    }
}

/// Plays journeys by their seeds, in `threads`, prints how often each fault struck, and stops at the first that breaks
/// a promise.
pub(super) fn campaign(first: u64, count: u64, threads: u64) {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let broken = AtomicU64::new(u64::MAX);
    let play_every = |begin: u64| {
        let mut sum = Sum::default();
        let seeds = (begin..first + count).step_by(usize::try_from(threads).expect("few"));
        // A lower seed that breaks one is told of in any case, however many threads there are.
        for seed in seeds.take_while(|seed| *seed < broken.load(Ordering::Relaxed)) {
            let outcome = play(Plan::of(seed), false);
            if outcome.broken.is_some() {
                broken.fetch_min(seed, Ordering::Relaxed);
            }
            sum = sum.add(Sum::of(outcome));
        }
        sum
    };
    let sum = thread::scope(|scope| {
        let begun: Vec<_> = (first..first + threads)
            .map(|begin| scope.spawn(move || play_every(begin)))
            .collect();
        let ended = begun
            .into_iter()
            .map(|thread| thread.join().expect("a sum"));
        ended.fold(Sum::default(), Sum::add)
    });
    let broken = Some(broken.into_inner()).filter(|seed| *seed != u64::MAX);
    let smallest = broken.map(|seed| smallest(Plan::of(seed)));
    panic::set_hook(hook);
    if let Some((plan, outcome)) = smallest {
        panic!("{}", told(plan, &outcome));
    }
    sum.print(count);
    if count >= ALL_STRIKE {
        for ((_, what), times) in Fault::ALL.iter().zip(&sum.struck) {
            assert!(*times > 0, "never struck: {what}");
        }
    }
}

/// What was broken, without the ids and numbers of the journey that broke it.
pub(super) fn promise(said: &str) -> String {
    let words = said.lines().next().unwrap_or_default().split(' ');
    let common = words.filter(|word| !word.contains(|c: char| c == '_' || c.is_ascii_digit()));
    common.collect::<Vec<_>>().join(" ")
}

/// The smallest plan that breaks the same promise, by fewer faults, kinds of faults, files and deeds.
pub(super) fn smallest(plan: Plan) -> (Plan, Outcome) {
    let mut best = (plan, play(plan, true));
    let promise = |outcome: &Outcome| outcome.broken.as_deref().map(promise);
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
pub(super) fn told(plan: Plan, outcome: &Outcome) -> String {
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
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        return campaign(seed, count, cores);
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
