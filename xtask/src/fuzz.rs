//! `cargo xtask fuzz`: the fuzz tests of all crates under libFuzzer, built with coverage.
//!
//! The pinned compiler does it: the flags below are those of its LLVM, and libFuzzer comes with a crate.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::packages::ensure_compiler;
use crate::root::{at, target};
use crate::run::{cargo, not_started};
use crate::{Error, run};

/// The targets, each with the package whose test `fuzz_<target>` it is.
pub const TARGETS: [(&str, &str); 19] = [
    ("token", "chatlift-shared"),
    ("webhook", "chatlift-shared"),
    ("names", "chatlift-shared"),
    ("kind", "chatlift-shared"),
    ("bodies", "chatlift-shared"),
    ("ticket", "chatlift-edge"),
    ("requests", "chatlift-edge"),
    ("tus", "chatlift-edge"),
    ("resumable", "chatlift-edge"),
    ("form", "chatlift-edge"),
    ("multipart", "chatlift-edge"),
    ("range", "chatlift-edge"),
    ("fields", "chatlift-edge"),
    ("config", "chatlift-edge"),
    ("archive", "chatlift-backend"),
    ("mail", "chatlift-backend"),
    ("image", "chatlift-backend"),
    ("text", "chatlift-backend"),
    ("variables", "chatlift-backend"),
];

/// Seconds that a target is played for, where nothing else is said.
pub const SECONDS: u64 = 60;

/// Longest input that is made, in bytes: longer ones are slow, and show what some of these show.
const INPUT_MAX: u32 = 8192;

/// What cargo-fuzz builds with, without a sanitizer: no crate of ours has unsafe code.
const FLAGS: [&str; 7] = [
    "--cfg=fuzzing",
    "--cfg=fuzzing_libfuzzer",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// What was found in a target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Played {
    executions: u64,
    /// Edges of the program that were reached.
    coverage: u64,
    /// Where the inputs are over which a property panicked, or which took too long.
    findings: Vec<String>,
}

impl Played {
    /// Takes a line of libFuzzer's.
    fn read(&mut self, line: &str) {
        if let Some(n) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = n.trim().parse().unwrap_or_default();
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.findings.push(path.trim().to_owned());
        }
        let mut words = line.split_whitespace();
        if words.next().is_some_and(|word| word.starts_with('#'))
            && words.any(|word| word == "cov:")
        {
            let reached = words
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or_default();
            self.coverage = self.coverage.max(reached);
        }
    }
}

/// Plays a target, or all of them, for so many seconds each, and prints a table.
///
/// # Errors
/// Where there is no such target, it does not build, or something was found.
pub fn fuzz(only: Option<&str>, seconds: u64) -> Result<(), Error> {
    let chosen: Vec<_> = TARGETS
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| only == *name))
        .collect();
    if chosen.is_empty() {
        let all = TARGETS.map(|(name, _)| name).join(", ");
        return Err(Error::Usage(format!("the targets of fuzzing are {all}")));
    }
    ensure_compiler()?;
    let mut table =
        String::from("\n| target | executions | edges reached | findings |\n|---|---:|---:|---|\n");
    let mut found = 0;
    for (name, package) in chosen {
        let played = play(name, package, seconds)?;
        found += played.findings.len();
        let findings = match played.findings.is_empty() {
            true => "none".to_owned(),
            false => played.findings.join(" "),
        };
        table += &format!(
            "| {name} | {} | {} | {findings} |\n",
            played.executions, played.coverage
        );
    }
    println!("{table}");
    match found {
        0 => Ok(()),
        _ => Err(Error::Rule(format!("{found} inputs show a property wrong"))),
    }
}

fn play(name: &str, package: &str, seconds: u64) -> Result<Played, Error> {
    // What is found stays for the next run.
    let grown = folder("corpus", name)?;
    let findings = folder("findings", name)?;
    let arguments = [
        grown.display().to_string(),
        at("fuzz/corpus").join(name).display().to_string(),
        format!("-artifact_prefix={}/", findings.display()),
        format!("-max_total_time={seconds}"),
        format!("-max_len={INPUT_MAX}"),
        "-timeout=10".to_owned(),
        "-print_final_stats=1".to_owned(),
    ];
    let mut command = cargo();
    command
        .current_dir(at(""))
        .args(["test", "--package", package, "--lib", "--target", &host()?])
        .arg("--target-dir")
        .arg(target().join("fuzz"))
        .args(["--config", "profile.dev.opt-level=1"])
        .args([
            "--",
            "--nocapture",
            "--test-threads=1",
            &format!("fuzz_{name}"),
        ])
        .env("RUSTFLAGS", FLAGS.join(" "))
        .env("BOLERO_LIBFUZZER_ARGS", arguments.join(" "))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    println!("\n== {name}: {seconds} s");
    let mut child = command.spawn().map_err(|e| not_started(&command, e))?;
    let mut played = Played::default();
    if let Some(stderr) = child.stderr.take() {
        for bytes in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&bytes);
            played.read(&line);
            eprintln!("{line}");
        }
    }
    let status = child.wait().map_err(|e| not_started(&command, e))?;
    if !status.success() && played.findings.is_empty() {
        return Err(Error::CommandFailed {
            command: run::line(&command),
            status: status.to_string(),
        });
    }
    Ok(played)
}

fn folder(kind: &str, name: &str) -> Result<PathBuf, Error> {
    let path = target().join("fuzz").join(kind).join(name);
    fs::create_dir_all(&path).map_err(Error::file(Path::new(&path)))?;
    Ok(path)
}

/// The machine that is compiled on. Named, so that build scripts and macros are built without coverage.
fn host() -> Result<String, Error> {
    let said = run::quiet(Command::new("rustc").current_dir(at("")).arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Error::Project("rustc does not say its host".to_owned()))?;
    Ok(host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_coverage_and_findings_come_from_the_lines_of_libfuzzer() {
        let mut played = Played::default();
        for line in [
            "INFO: seed corpus: files: 13 min: 2b max: 300b total: 2000b rss: 40Mb",
            "#14\tINITED cov: 310 ft: 500 corp: 9/1Kb exec/s: 0 rss: 41Mb",
            "#9000\tDONE   cov: 420 ft: 900 corp: 30/4Kb lim: 100 exec/s: 900 rss: 60Mb",
            "artifact_prefix='/a/'; Test unit written to /a/crash-01",
            "stat::number_of_executed_units: 9001",
        ] {
            played.read(line);
        }
        let findings = vec!["/a/crash-01".to_owned()];
        let expected = Played {
            executions: 9001,
            coverage: 420,
            findings,
        };
        assert_eq!(played, expected);
    }

    #[test]
    fn each_target_has_a_corpus_and_each_corpus_a_target() {
        let folders = fs::read_dir(at("fuzz/corpus")).expect("corpora");
        let mut folders: Vec<_> = folders
            .map(|entry| {
                entry
                    .expect("a corpus")
                    .file_name()
                    .into_string()
                    .expect("a name")
            })
            .collect();
        folders.sort();
        let mut targets = TARGETS.map(|(name, _)| name.to_owned());
        targets.sort();
        assert_eq!(folders, targets);
    }
}
