//! `cargo xtask audit` and `cargo xtask sbom`: what others wrote of that which ships, whether it may be used, and a list
//! of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Error;
use crate::python::CARGO_CHECKS;
use crate::root::{at, target};
use crate::run::{cargo, quiet, run};
use crate::tools::{CARGO_CYCLONEDX, WASM_TARGET};

/// Where a program of ours runs natively.
const NATIVE_TARGET: &str = "x86_64-unknown-linux-gnu";

/// The crates that ship, each with its target.
const SHIPPED: [(&str, &str); 4] = [
    ("edge", WASM_TARGET),
    ("frontend", WASM_TARGET),
    ("server", NATIVE_TARGET),
    ("backend", NATIVE_TARGET),
];

/// Checks licences, sources and banned crates, by `deny.toml`, in seconds and without the network.
///
/// # Errors
/// When the check cannot be installed, or finds something.
pub fn check_crates() -> Result<(), Error> {
    deny(&["bans", "licenses", "sources"])
}

fn deny(checks: &[&str]) -> Result<(), Error> {
    let mut deny = cargo_check("cargo-deny", "deny")?;
    let shown = [
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "--show-stats",
    ];
    deny.args(shown).args(["--allow", "duplicate"]).args(checks);
    run(&mut deny)
}

/// A subcommand of cargo that [`CARGO_CHECKS`] has. It wants to be told which cargo has started it.
fn cargo_check(program: &str, subcommand: &str) -> Result<Command, Error> {
    let mut command = Command::new(CARGO_CHECKS.program(program)?);
    command
        .current_dir(at(""))
        .env("CARGO", cargo().get_program())
        .arg(subcommand);
    Ok(command)
}

/// Everything that is known of what others wrote: licences, sources and bans; that each crate is vetted or exempt; and
/// known vulnerabilities of crates and npm packages, for which both registries' advisories are fetched, unless `offline`.
///
/// # Errors
/// When a check finds something, or cannot be made.
pub fn audit(offline: bool) -> Result<(), Error> {
    println!("== licences, bans and sources of crates");
    check_crates()?;
    println!("\n== crates are vetted or exempt");
    run(cargo_check("cargo-vet", "vet")?.arg("--locked"))?;
    if offline {
        println!("\nnot checked, since offline: advisories of crates and of npm packages");
        return Ok(());
    }
    println!("\n== advisories of crates");
    deny(&["advisories"])?;
    println!("\n== advisories of npm packages that ship");
    run(Command::new("npm")
        .current_dir(at(""))
        .args(["audit", "--omit=dev"]))
}

/// Writes what others wrote of each thing that ships into `target/sbom`, as CycloneDX.
///
/// # Errors
/// When cargo-cyclonedx cannot be installed, or a file cannot be written.
pub fn sbom() -> Result<(), Error> {
    let program = CARGO_CYCLONEDX.ensure()?;
    let folder = target().join("sbom");
    fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    let keep = |name: &str, text: &str| {
        let path = folder.join(format!("{name}.cdx.json"));
        // Where this machine has the source is nobody's business.
        let text = text.replace(&*at("").to_string_lossy(), "");
        fs::write(&path, text).map_err(Error::file(&path))?;
        println!("{}", path.display());
        Ok::<_, Error>(())
    };
    let crates = folders_of_crates()?;
    for target in [WASM_TARGET, NATIVE_TARGET] {
        // It lists every crate of the workspace, each in its folder.
        quiet(
            Command::new(&program)
                .current_dir(at(""))
                .env("CARGO", cargo().get_program())
                .args(["cyclonedx", "--quiet", "--format", "json"])
                .args(["--spec-version", "1.5", "--no-build-deps"])
                .args(["--target", target, "--override-filename", LIST]),
        )?;
        for folder in &crates {
            let path = folder.join(LIST).with_extension("json");
            let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
            fs::remove_file(&path).map_err(Error::file(&path))?;
            let name = folder.file_name().and_then(|name| name.to_str());
            if let Some(&(name, _)) = SHIPPED.iter().find(|s| (Some(s.0), s.1) == (name, target)) {
                keep(name, &text)?;
            }
        }
    }
    let sbom = [
        "sbom",
        "--package-lock-only",
        "--sbom-format=cyclonedx",
        "--omit=dev",
    ];
    let packages = quiet(Command::new("npm").current_dir(at("")).args(sbom))?;
    keep("page-scripts", &packages)
}

/// What cargo-cyclonedx is to call its files, which no file of ours is called.
const LIST: &str = "target-sbom";

/// The folders of the workspace's crates.
fn folders_of_crates() -> Result<Vec<PathBuf>, Error> {
    let metadata = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata = quiet(cargo().current_dir(at("")).args(metadata))?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|e| Error::Project(format!("cargo metadata: {e}")))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifests = packages.filter_map(|package| package["manifest_path"].as_str());
    Ok(manifests
        .filter_map(|path| Some(Path::new(path).parent()?.to_owned()))
        .collect())
}
