//! Builds the edge's worker into `edge/build/`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::page::Page;
use crate::root::{at, npm_bin, target};
use crate::run::{both, cargo, quiet, run};
use crate::tools::{WASM_BINDGEN, WASM_TARGET, WORKER_BUILD};
use crate::{Error, page};

/// What Rust emits. No more: with all that wasm-opt knows it writes what workerd does not read.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// The files of a built worker that are uploaded.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The program.
    pub wasm: PathBuf,
    /// Starts the program.
    pub js: PathBuf,
}

impl Worker {
    fn at_build() -> Self {
        Self {
            wasm: at("edge/build/index_bg.wasm"),
            js: at("edge/build/index.js"),
        }
    }

    /// Finds the worker that was built last.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self, Error> {
        let worker = Self::at_build();
        if worker.wasm.exists() && worker.js.exists() {
            Ok(worker)
        } else {
            Err(Error::Project(
                "the worker is not built: run `cargo xtask build`".to_owned(),
            ))
        }
    }
}

/// Builds the page, and the worker that serves it.
///
/// # Errors
/// When a step of either build fails.
pub fn build_with_page() -> Result<(Page, Worker), Error> {
    both(page::build, build)
}

/// Builds the worker. When its program has not changed, only cargo is asked.
///
/// # Errors
/// When a step of the build fails.
pub fn build() -> Result<Worker, Error> {
    let mut cargo = cargo();
    cargo.current_dir(at("")).args([
        "build",
        "--package",
        "chatlift-edge",
        "--lib",
        "--release",
        "--target",
        WASM_TARGET,
    ]);
    run(&mut cargo)?;
    let program = target()
        .join(WASM_TARGET)
        .join("release/chatlift_edge.wasm");
    let bytes = fs::read(&program).map_err(Error::file(&program))?;
    // The recipe counts too: this file.
    let recipe = Sha256::new().chain_update(include_bytes!("worker.rs"));
    let stamp = hex::encode(recipe.chain_update(&bytes).finalize());
    let stamp_file = target().join("worker.stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp)
        && let Ok(worker) = Worker::find()
    {
        return Ok(worker);
    }
    let _ = fs::remove_file(&stamp_file);
    let wasm_opt = npm_bin("wasm-opt");
    quiet(
        Command::new(WORKER_BUILD.path())
            .current_dir(at("edge"))
            .arg("--release")
            // It takes its helpers from these, not from PATH.
            .env("WASM_BINDGEN_BIN", WASM_BINDGEN.path())
            .env("WASM_OPT_BIN", &wasm_opt)
            .env("ESBUILD_BIN", npm_bin("esbuild")),
    )?;
    let worker = Worker::find()?;
    // worker-build keeps the names of functions, a fifth of the file.
    quiet(
        Command::new(&wasm_opt)
            .args(["-Oz", "--strip-debug", "--strip-producers"])
            .args(FEATURES)
            .arg(&worker.wasm)
            .arg("-o")
            .arg(&worker.wasm),
    )?;
    fs::write(&stamp_file, stamp).map_err(Error::file(&stamp_file))?;
    Ok(worker)
}
