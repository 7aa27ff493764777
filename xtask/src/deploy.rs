//! `cargo xtask deploy`: builds what is shipped, weighs it, measures its start, and hands it to
//! wrangler. With `--dry-run` nothing leaves the machine, and nothing from outside is needed.

use std::path::PathBuf;
use std::process::Command;

use crate::page::Page;
use crate::root::at;
use crate::run::{quiet, run};
use crate::worker::Worker;
use crate::{Error, sizes};

/// Most that the start of an isolate may take, in milliseconds: Workers allows 1 s
/// (<https://developers.cloudflare.com/workers/platform/limits/#worker-startup-time>), and a
/// machine busy with tests is no measure for it.
const START_MAX_MS: f64 = 400.0;

/// How the edge is to be deployed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only say what would be.
    pub dry_run: bool,
    /// The environment of wrangler.toml.
    pub env: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dry_run: false,
            env: "production".to_owned(),
        }
    }
}

/// Weighs, measures and deploys what was built.
///
/// # Errors
/// When a step fails, or a budget is passed.
pub fn deploy(options: &Options, page: &Page, worker: &Worker) -> Result<(), Error> {
    sizes::report(page, worker)?;
    let ms = start(worker)?;
    println!("the worker's start: its program adds {ms} ms to an empty worker's in workerd");
    if ms > START_MAX_MS {
        return Err(Error::Rule(format!(
            "the worker's program adds {ms} ms to the start, over {START_MAX_MS}"
        )));
    }
    hand_over(options)
}

/// Hands what was built to wrangler.
///
/// # Errors
/// When wrangler refuses it.
pub fn hand_over(options: &Options) -> Result<(), Error> {
    let out = PathBuf::from("target/deploy");
    let mut wrangler = Command::new("node");
    wrangler
        .current_dir(at(""))
        .arg(at("node_modules/wrangler/bin/wrangler.js"))
        .arg("deploy")
        // Without an environment it would be the developer's configuration.
        .args(["--env", &*options.env])
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CI", "1");
    if options.dry_run {
        wrangler.args(["--dry-run", "--outdir"]).arg(&out);
    }
    run(&mut wrangler)
}

/// What the program adds to the start of an isolate in workerd, in milliseconds. Most of it is
/// compiling: the program has no start function of its own but wasm-bindgen's.
fn start(worker: &Worker) -> Result<f64, Error> {
    let folder = at("target/start");
    std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    let script = at("xtask/src/start.mjs");
    let mut node = Command::new("node");
    let printed = quiet(node.arg(script).arg(&worker.wasm).arg(&folder))?;
    printed
        .lines()
        .last()
        .and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| Error::Project(format!("node printed no time: {printed}")))
}
