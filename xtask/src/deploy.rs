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

/// Compiles the worker's program, which is most of an isolate's start, and prints the median of
/// nine times in milliseconds. The rest of the start is one instantiation without any work: the
/// program has no start function of its own but wasm-bindgen's.
const MEASURE: &str = "
const fs = require('node:fs');
const bytes = fs.readFileSync(process.argv[1]);
const times = [];
for (let i = 0; i < 9; i++) {
  const begin = process.hrtime.bigint();
  new WebAssembly.Module(bytes);
  times.push(Number(process.hrtime.bigint() - begin) / 1e6);
}
times.sort((a, b) => a - b);
console.log(times[4].toFixed(1));";

/// Weighs, measures and deploys what was built.
///
/// # Errors
/// When a step fails, or a budget is passed.
pub fn deploy(options: &Options, page: &Page, worker: &Worker) -> Result<(), Error> {
    sizes::report(page, worker)?;
    let ms = start(worker)?;
    println!("the worker's start: {ms} ms to compile, median of 9");
    if ms > START_MAX_MS {
        return Err(Error::Rule(format!(
            "the worker takes {ms} ms to compile, over {START_MAX_MS}"
        )));
    }
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

fn start(worker: &Worker) -> Result<f64, Error> {
    let printed = quiet(Command::new("node").args(["-e", MEASURE]).arg(&worker.wasm))?;
    printed
        .lines()
        .last()
        .and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| Error::Project(format!("node printed no time: {printed}")))
}
