//! `cargo xtask test`: every check that the project has, layer by layer, each blocking.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::in_memory::InMemory;
use crate::page::Page;
use crate::root::{at, npm_bin};
use crate::run::{self, Target, build_one, now, optimised, quiet, run, watched, workspace};
use crate::tools::WASM_TARGET;
use crate::worker::Worker;
use crate::{Error, deploy, imports, instructions, native, sizes, supply, tools, worker};

/// A layer of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Formatting, lints, native unit and property tests, simulated journeys.
    Unit,
    /// Over HTTP against the edge in real workerd.
    Edge,
    /// The same against the native edge.
    Native,
    /// Conversions by the real programs, real PostgreSQL and ClamAV.
    Programs,
    /// The whole journey in real Chromium.
    E2e,
}

impl Layer {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 5] = [
        Self::Unit,
        Self::Edge,
        Self::Native,
        Self::Programs,
        Self::E2e,
    ];

    /// Its name on the command line, and of its test binary; unit has none of its own.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Edge => "edge",
            Self::Native => "native",
            Self::Programs => "programs",
            Self::E2e => "e2e",
        }
    }
}

/// Runs the layers, and sums up in one closing line what ran, whether all passed or not.
///
/// # Errors
/// The first check that fails; nothing runs after it.
pub fn test(layers: &[Layer]) -> Result<(), Error> {
    let mut tally = Tally::new();
    let result = Layer::ALL
        .iter()
        .filter(|layer| layers.contains(layer))
        .try_for_each(|layer| match layer {
            Layer::Unit => unit(&mut tally),
            Layer::Edge => edge(&mut tally),
            Layer::Native => native(&mut tally, layers.len() < Layer::ALL.len()),
            Layer::Programs => programs(&mut tally),
            Layer::E2e => e2e(&mut tally),
        });
    if result.is_err() && tally.failed == 0 {
        // A check that is no test counts too when it fails.
        tally.failed = 1;
    }
    println!("\n{}", tally.plain());
    println!("{}", tally.closing());
    result
}

fn cargo(args: &[&str]) -> Command {
    let mut command = run::cargo();
    command.current_dir(at("")).args(args);
    command
}

fn unit(tally: &mut Tally) -> Result<(), Error> {
    tools::ensure_target()?;
    tally.step("fmt", "fmt", || {
        run(&mut cargo(&["fmt", "--all", "--check"]))
    })?;
    tally.step("clippy, native", "clippy native", || {
        run(workspace("clippy").args(["--all-targets", "--", "-D", "warnings"]))
    })?;
    tally.step("clippy, wasm32", "clippy wasm32", || {
        let crates = [
            "--package",
            "chatlift-edge",
            "--package",
            "chatlift-frontend",
        ];
        run(cargo(&["clippy", "--target", WASM_TARGET])
            .args(crates)
            .args(["--", "-D", "warnings"]))
    })?;
    tally.step(
        "the edge's core is out of worker's reach",
        "core without worker",
        core_without_worker,
    )?;
    tally.step(
        "the edge's modules import each other in no circle",
        "no import circle",
        imports::check_edge,
    )?;
    tally.step(
        "the backend's modules import each other in no circle",
        "no import circle in the backend",
        imports::check_backend,
    )?;
    let mut units = workspace("test");
    units.args(["--lib", "--bins"]);
    for name in alone()? {
        units.args(["--test", &name]);
    }
    units.arg("--");
    for name in EXHAUSTIVE {
        units.args(["--skip", name]);
    }
    tally.tests("unit", units)?;
    let mut documents = workspace("test");
    documents.arg("--doc");
    tally.tests("doc", documents)?;
    let mut exhaustive = optimised("test");
    exhaustive.args(["--package", "chatlift-edge", "--lib", "--"]);
    exhaustive.args(EXHAUSTIVE);
    tally.tests("exhaustive", exhaustive)?;
    let played = format!("{JOURNEYS} simulated journeys");
    tally.step(&played, &played, || simulate(1, JOURNEYS))?;
    tally.step(
        "instructions of the edge's rules and handlers",
        "instructions",
        instructions::count,
    )
}

/// Tests of the edge's rules that make millions of decisions. They run in the optimised build alone, where they take a
/// third of the time.
const EXHAUSTIVE: [&str; 5] = [
    "tests::planted::every_fault",
    "tests::model::whatever_is_sent",
    "tests::explored::in_every_order",
    "tests::refused::a_links_record_stays_readable",
    "tests::uploads::refused_uploads_do_not_grow_a_link",
];

/// The test binaries that need nothing but cargo: all that are not a layer of their own.
fn alone() -> Result<Vec<String>, Error> {
    let metadata = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata: Value = serde_json::from_str(&quiet(&mut cargo(&metadata))?)
        .map_err(|e| Error::Project(format!("cargo metadata: {e}")))?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    Ok(list(&metadata["packages"])
        .iter()
        .flat_map(|package| list(&package["targets"]))
        .filter(|target| target["kind"][0] == "test")
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .filter(|name| Layer::ALL.iter().all(|layer| layer.name() != name))
        .collect())
}

/// Natively, where the core is tested, the edge must not have the platform in its graph.
fn core_without_worker() -> Result<(), Error> {
    let tree = quiet(&mut cargo(&[
        "tree",
        "--package",
        "chatlift-edge",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--target",
        "x86_64-unknown-linux-gnu",
    ]))?;
    let platform = ["worker", "worker-sys", "web-sys", "js-sys", "wasm-bindgen"];
    match tree.lines().find(|line| {
        line.split(' ')
            .next()
            .is_some_and(|name| platform.contains(&name))
    }) {
        None => Ok(()),
        Some(found) => Err(Error::Rule(format!(
            "natively, chatlift-edge depends on {found}"
        ))),
    }
}

fn edge(tally: &mut Tally) -> Result<(), Error> {
    build(tally)?;
    tally.step(
        "scripts of the chat apps: types, lints, mini program",
        "scripts",
        scripts,
    )?;
    tally.step(
        "licences, bans and sources of crates",
        "licences",
        supply::check_crates,
    )?;
    tally.tests("edge", scenarios(Layer::Edge))
}

/// What of the edge's tests the native edge has nothing for: counters, memory and storage of the Worker, and
/// limits that wrangler.toml sets. ARCHITECTURE.md says why.
const ONLY_ON_WORKERS: [&str; 12] = [
    "counts::",
    "floor::",
    "forgotten::",
    "memory::",
    "resets::",
    "openapi::every_documented_answer_is_reached_and_no_other",
    "operating::making_uploads_over_and_over_is_limited_and_their_bytes_are_not",
    "operating::too_many_requests_about_a_link_or_from_an_address_are_told_to_wait",
    "operating::wrong_keys_from_one_address_are_limited_and_the_right_one_is_not",
    "tus::a_file_of_many_parts_in_one_request_streams_with_bounded_memory",
    "worker_of_another_version",
    "conformance_",
];

/// Of the edge's tests, those by which bytes come in: what runs natively beside all the others.
const EVERY_WAY_IN: [&str; 7] = [
    "chunks::",
    "faults::",
    "form::",
    "grown::",
    "parts::",
    "resumable::",
    "tus::",
];

/// The edge's tests against the native edge; `all` of them, or those of every way in.
fn native(tally: &mut Tally, all: bool) -> Result<(), Error> {
    build(tally)?;
    tally.step("build of the native edge and the backend", "", || {
        run::build(&[
            Target::Bin("chatlift-edge"),
            Target::Bin("chatlift-backend"),
        ])
    })?;
    let mut command = scenarios(Layer::Edge);
    command
        .env("CHATLIFT_TESTS_NATIVE", native::program())
        .arg("--");
    for name in ONLY_ON_WORKERS {
        command.args(["--skip", name]);
    }
    if !all {
        command.args(EVERY_WAY_IN);
    }
    tally.tests("native", command)?;
    tools::ensure_programs()?;
    tally.tests("nodes and the embedded store", scenarios(Layer::Native))?;
    tools::ensure_browser()?;
    let mut journey = scenarios(Layer::E2e);
    journey
        .env("CHATLIFT_TESTS_NATIVE", native::program())
        .arg("--");
    if all {
        journey.arg("journey::");
    } else {
        journey.args(["--exact", JOURNEY]);
    }
    tally.tests("journey on the native edge", journey)
}

/// The journey from the app's question to the app's files, with converted documents among them.
const JOURNEY: &str = "journey::the_app_asks_the_person_picks_and_the_app_has_the_files";

/// The pickers of the chat apps and the mini program, by the tools that npm has for them.
fn scripts() -> Result<(), Error> {
    for project in ["frontend/chat", "miniprogram"] {
        run(Command::new(npm_bin("tsc"))
            .current_dir(at(""))
            .args(["--project", project]))?;
    }
    run(Command::new(npm_bin("eslint"))
        .current_dir(at(""))
        .args(["frontend/chat", "miniprogram"]))?;
    run(Command::new("node")
        .current_dir(at(""))
        .args(["--test", "miniprogram/test/uploader.test.mjs"]))
}

fn programs(tally: &mut Tally) -> Result<(), Error> {
    tools::ensure_programs()?;
    tally.tests("programs", scenarios(Layer::Programs))?;
    tally.step("samples", "samples", samples)
}

/// The table of sample files, converted and looked at by other programs.
///
/// # Errors
/// When a program is missing, or a result is not what it must be.
pub fn samples() -> Result<(), Error> {
    tools::ensure_programs()?;
    run(&mut build_one(Target::Example("samples"))?)
}

/// Plants each fault in the rules of a link, and prints what catches it: the table's row, and where it was caught.
///
/// # Errors
/// When one is not caught.
pub fn plant() -> Result<(), Error> {
    println!("| planted | sequences | journeys | exploration |\n|---|---|---|---|");
    let said = quiet(&mut ignored_test("tests::planted::plant_each"))?;
    let ours = |line: &&str| line.starts_with("| ") || line.starts_with("  ");
    said.lines()
        .filter(ours)
        .for_each(|line| println!("{line}"));
    Ok(())
}

/// Plays a thousand pages whose edge goes away and comes back, and draws their requests a second.
///
/// # Errors
/// When more come at once than may, or the plot cannot be written.
pub fn storm() -> Result<(), Error> {
    let mut herd = run::cargo();
    herd.current_dir(at(""))
        .args(["test", "--package", "chatlift-frontend", "--lib"])
        .args(["uploader::simulation::herd", "--", "--nocapture"])
        .arg("--test-threads=1")
        .env("CHATLIFT_STORM_SVG", at("docs/retry-storm.svg"));
    run(&mut herd)
}

/// How many journeys the test command plays.
const JOURNEYS: u64 = 100_000;

/// Plays journeys by seed, from `seed` on, `count` of them, and tells of one all that happens in it.
///
/// # Errors
/// When one breaks a promise.
pub fn simulate(seed: u64, count: u64) -> Result<(), Error> {
    let mut journeys = ignored_test("tests::simulation::simulate");
    journeys
        .env("CHATLIFT_SEED", seed.to_string())
        .env("CHATLIFT_JOURNEYS", count.to_string());
    run(&mut journeys)
}

/// An optimised test of the edge that only a command runs. It is of the build that instructions are counted in.
fn ignored_test(name: &str) -> Command {
    let mut test = optimised("test");
    test.args(["--package", "chatlift-edge", "--lib", name])
        .args(["--", "--exact", "--ignored", "--nocapture"])
        // What a test says, not the way there.
        .env("RUST_BACKTRACE", "0");
    test
}

/// What is killed and cut off while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The edge in workerd.
    Workerd,
    /// The native edge with a store of its own.
    Native,
    /// Three native edges that share PostgreSQL and an S3 server.
    Nodes,
    /// Two backends without a common folder.
    Backend,
    /// The page in Chromium, which is reloaded.
    Page,
}

impl Victim {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Workerd,
        Self::Native,
        Self::Nodes,
        Self::Backend,
        Self::Page,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Workerd => "workerd",
            Self::Native => "native",
            Self::Nodes => "nodes",
            Self::Backend => "backend",
            Self::Page => "page",
        }
    }
}

/// How much is done, and how it is disturbed.
#[derive(Clone, Copy, Debug)]
pub struct Chaos {
    /// Runs of each edge.
    pub runs: u64,
    /// Jobs to be done by the backends.
    pub jobs: u64,
    /// How often one of the two backends is killed.
    pub kills: u64,
    /// What faults and moments are drawn from.
    pub seed: u64,
}

/// Kills and cuts off what works, again and again, and balances the books at the receivers.
///
/// # Errors
/// When a program is missing, or a file was lost, altered, doubled or left over.
pub fn chaos(victims: &[Victim], chaos: &Chaos) -> Result<(), Error> {
    for victim in victims {
        println!("\n== {}", victim.name());
        let (layer, test) = match victim {
            Victim::Workerd | Victim::Native => (Layer::Edge, "chaos::"),
            Victim::Nodes => (Layer::Native, "chaos::"),
            Victim::Backend => (Layer::Programs, "machines::two_backends"),
            Victim::Page => (Layer::E2e, "reloads::"),
        };
        if matches!(layer, Layer::Edge | Layer::E2e) {
            tools::ensure_build()?;
            worker::build_with_page()?;
        } else {
            tools::ensure_programs()?;
        }
        if layer == Layer::E2e {
            tools::ensure_browser()?;
        }
        if matches!(victim, Victim::Native | Victim::Nodes) {
            run::build(&[Target::Bin("chatlift-edge")])?;
        }
        let mut command = scenarios(layer);
        command.args(["--", "--nocapture", test]);
        if *victim == Victim::Native {
            command.env("CHATLIFT_TESTS_NATIVE", native::program());
        }
        for (variable, number) in [
            ("CHATLIFT_CHAOS_RUNS", chaos.runs),
            ("CHATLIFT_CHAOS_JOBS", chaos.jobs),
            ("CHATLIFT_CHAOS_KILLS", chaos.kills),
            ("CHATLIFT_CHAOS_SEED", chaos.seed),
        ] {
            command.env(variable, number.to_string());
        }
        run(&mut command)?;
    }
    Ok(())
}

/// How much is sent to an edge.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How long the even load lasts.
    pub minutes: u64,
    /// Links that there are at a time.
    pub links: u64,
    /// Uploads at once.
    pub at_once: u64,
    /// What files, sizes and dialects are drawn from.
    pub seed: u64,
}

/// Sends many files at once to edges as they are shipped, then too many, and prints what each minute brought.
///
/// # Errors
/// When an edge breaks a promise: a fault of its own, a refusal that does not say when to come again, a file that is
/// lost, altered or told of twice, memory that grows.
pub fn load(edges: &[Victim], load: &Load) -> Result<(), Error> {
    tools::ensure_build()?;
    worker::build_with_page()?;
    for edge in edges {
        println!("\n== {}", edge.name());
        let mut command = scenarios(Layer::Edge);
        command.args(["--", "--nocapture", "load::"]);
        if *edge == Victim::Native {
            command.env("CHATLIFT_TESTS_NATIVE", native::build_shipped()?);
        }
        for (variable, number) in [
            ("CHATLIFT_LOAD_MINUTES", load.minutes),
            ("CHATLIFT_LOAD_LINKS", load.links),
            ("CHATLIFT_LOAD_AT_ONCE", load.at_once),
            ("CHATLIFT_LOAD_SEED", load.seed),
        ] {
            command.env(variable, number.to_string());
        }
        run(&mut command)?;
    }
    Ok(())
}

fn e2e(tally: &mut Tally) -> Result<(), Error> {
    build(tally)?;
    tools::ensure_browser()?;
    println!("\n== browsers: {}", tools::browsers()?);
    // The journey ends with documents that LibreOffice has converted.
    tools::ensure_programs()?;
    tally.step("build of the backend", "", || {
        run::build(&[Target::Bin("chatlift-backend")])
    })?;
    tally.tests("e2e", scenarios(Layer::E2e))
}

/// Page and worker as they are shipped, within their budgets; once for both layers.
fn build(tally: &mut Tally) -> Result<(), Error> {
    if tally.built {
        return Ok(());
    }
    tools::ensure_build()?;
    let mut built: Option<(Page, Worker)> = None;
    tally.step("build of page and worker", "", || {
        built = Some(worker::build_with_page()?);
        Ok(())
    })?;
    if let Some((page, worker)) = built {
        tally.step("sizes", "sizes", || sizes::report(&page, &worker))?;
        tally.step("deploy --dry-run", "deploy", || {
            ["staging", "production"].into_iter().try_for_each(|env| {
                deploy::hand_over(&deploy::Options {
                    dry_run: true,
                    env: env.to_owned(),
                })
            })
        })?;
    }
    tally.built = true;
    Ok(())
}

/// How many scenarios run at once: those of the edge wait for clocks, retries and restarts more than they
/// compute. Two on two cores took 416 s, with the cores idle for half of it; four take 317 s.
fn at_once(layer: Layer) -> Option<&'static str> {
    match layer {
        Layer::Edge => Some("4"),
        // A browser each.
        Layer::E2e => Some("3"),
        Layer::Unit | Layer::Native | Layer::Programs => None,
    }
}

/// The variable that tells scenarios where to keep what they need while they run.
pub const SCENARIOS: &str = "CHATLIFT_SCENARIOS";

/// Runs the test binary of a layer.
fn scenarios(layer: Layer) -> Command {
    let mut command = workspace("test");
    if let Some(many) = at_once(layer) {
        command.env("RUST_TEST_THREADS", many);
    }
    // A scenario that fails says what it saw; the way there through the harness says nothing.
    command.env("RUST_BACKTRACE", "0");
    command.args(["--no-fail-fast", "--test", layer.name()]);
    command
}

/// What ran so far.
#[derive(Debug)]
struct Tally {
    start: Instant,
    ran: Vec<String>,
    passed: u64,
    failed: u64,
    ignored: u64,
    built: bool,
}

impl Tally {
    fn new() -> Self {
        Self {
            start: now(),
            ran: Vec::new(),
            passed: 0,
            failed: 0,
            ignored: 0,
            built: false,
        }
    }

    /// Runs one check with its time printed; `short` names it in the closing line, unless empty.
    fn step(
        &mut self,
        name: &str,
        short: &str,
        check: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        println!("\n== {name}");
        let start = now();
        let result = check();
        let (took, how) = (
            time(start.elapsed()),
            if result.is_ok() { "passed" } else { "failed" },
        );
        println!("== {name}: {how} in {took}");
        if !short.is_empty() {
            let failed = if result.is_ok() { "" } else { " failed" };
            self.ran.push(format!("{short}{failed}"));
        }
        result
    }

    /// Runs tests and counts them.
    fn tests(&mut self, name: &str, mut command: Command) -> Result<(), Error> {
        let (mut passed, mut failed, mut ignored) = (0, 0, 0);
        let memory = InMemory::new();
        if let Some(memory) = &memory {
            command.env(SCENARIOS, memory.path());
        }
        let result = self.step(&format!("{name} tests"), "", || {
            watched(&mut command, |line| {
                if let Some([p, f, i]) = counts(line) {
                    passed += p;
                    failed += f;
                    ignored += i;
                }
            })
        });
        self.ran.push(format!("{name} {passed}"));
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
        if let Some(memory) = memory.filter(|_| result.is_ok()) {
            memory.remove();
        }
        result
    }

    /// The line that any reader of test output understands.
    fn plain(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        if self.ignored > 0 {
            line.push_str(&format!(", {} skipped", self.ignored));
        }
        line
    }

    fn closing(&self) -> String {
        format!(
            "chatlift: {} ({}) in {}",
            self.plain(),
            self.ran.join(", "),
            time(self.start.elapsed())
        )
    }
}

/// Passed, failed and ignored tests, from the line that a test binary ends with.
fn counts(line: &str) -> Option<[u64; 3]> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut numbers = counts
        .split("; ")
        .map(|part| part.split(' ').next()?.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// 372.4 s as `6m12s`.
fn time(took: Duration) -> String {
    match took.as_secs() {
        0..10 => format!("{:.1}s", took.as_secs_f64()),
        s @ 10..60 => format!("{s}s"),
        s => format!("{}m{:02}s", s / 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_from_the_line_that_a_test_binary_ends_with() {
        let line = "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(counts(line), Some([12, 1, 2]));
        assert_eq!(
            counts("test result: ok. 150 passed; 0 failed; 0 ignored;"),
            Some([150, 0, 0])
        );
        assert_eq!(counts("test core::decide ... ok"), None);
    }

    #[test]
    fn closing_line_sums_up_what_ran() {
        let mut tally = Tally::new();
        tally.step("fmt", "fmt", || Ok(())).expect("no failure");
        tally.passed = 212;
        tally.ran.push("unit 212".to_owned());
        assert_eq!(tally.plain(), "212 passed, 0 failed");
        assert!(
            tally
                .closing()
                .starts_with("chatlift: 212 passed, 0 failed (fmt, unit 212) in ")
        );
    }

    #[test]
    fn times_read_as_people_say_them() {
        for (ms, text) in [
            (400, "0.4s"),
            (59_900, "59s"),
            (372_400, "6m12s"),
            (60_000, "1m00s"),
        ] {
            assert_eq!(time(Duration::from_millis(ms)), text);
        }
    }
}
