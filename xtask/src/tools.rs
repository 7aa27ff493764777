//! Installing what the build needs: pinned versions, project-local where that can be, and nothing
//! twice. What is there already is not spoken of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::Error;
pub use crate::packages::{browsers, ensure_browser, ensure_programs};
use crate::root::at;
use crate::run::{cargo, output, run};

/// The only target that page and worker are built for.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// A program that cargo builds.
#[derive(Clone, Copy, Debug)]
pub struct CargoTool {
    /// The package.
    pub package: &'static str,
    /// The version, exactly.
    pub version: &'static str,
    /// The program.
    pub program: &'static str,
    /// Whether the package's own lock file is used.
    locked: bool,
    /// What it is for, as in "for {purpose}".
    purpose: &'static str,
}

/// Makes the JavaScript between WebAssembly and the browser. Its version must be that of the
/// wasm-bindgen crate. Its own lock file names a crate that is served no more, hence not locked.
pub const WASM_BINDGEN: CargoTool = CargoTool {
    package: "wasm-bindgen-cli",
    version: "0.2.130",
    program: "wasm-bindgen",
    locked: false,
    purpose: "page and worker",
};

/// Builds the worker. Its version is that of the worker crate.
pub const WORKER_BUILD: CargoTool = CargoTool {
    package: "worker-build",
    version: "0.8.7",
    program: "worker-build",
    locked: true,
    purpose: "the worker",
};

/// Serves a live-reloading page to frontend developers; neither dev nor test needs it.
pub const TRUNK: CargoTool = CargoTool {
    package: "trunk",
    version: "0.21.14",
    program: "trunk",
    locked: true,
    purpose: "trunk serve",
};

/// Decodes voice messages in SILK; Debian has no package of it.
pub(crate) const RUST_SILK: CargoTool = CargoTool {
    package: "rust-silk",
    version: "0.1.4",
    program: "rust-silk",
    locked: true,
    purpose: "the backend's conversions",
};

/// Drives Firefox in the browser tests; Debian has no package of it.
pub const GECKODRIVER: CargoTool = CargoTool {
    package: "geckodriver",
    version: "0.36.0",
    program: "geckodriver",
    locked: true,
    purpose: "the browser tests",
};

/// A tus server that `cargo xtask bench native` compares the native edge with.
pub const RUSTUS: CargoTool = CargoTool {
    package: "rustus",
    version: "0.5.10",
    program: "rustus",
    locked: true,
    purpose: "the comparison",
};

/// Lists the crates of a program.
pub(crate) const CARGO_CYCLONEDX: CargoTool = CargoTool {
    package: "cargo-cyclonedx",
    version: "0.5.9",
    program: "cargo-cyclonedx",
    locked: true,
    purpose: "the lists of what ships",
};

/// Where tools are kept, for all work trees.
pub(crate) fn tools_folder() -> PathBuf {
    std::env::var_os("CHATLIFT_TOOLS").map_or_else(
        || {
            std::env::home_dir()
                .unwrap_or_else(|| at("target"))
                .join(".cache/chatlift/tools")
        },
        PathBuf::from,
    )
}

impl CargoTool {
    /// The folder that holds this version's `bin`.
    fn folder(&self) -> PathBuf {
        tools_folder().join(format!("{}-{}", self.package, self.version))
    }

    /// Where the program is once it is installed.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder().join("bin").join(self.program)
    }

    /// Installs it if it is not there.
    ///
    /// # Errors
    /// When cargo cannot fetch or build it.
    pub fn ensure(&self) -> Result<PathBuf, Error> {
        let path = self.path();
        if path.exists() {
            return Ok(path);
        }
        println!(
            "installing {} {} for {} (once, some minutes)",
            self.package, self.version, self.purpose
        );
        let mut command = cargo();
        command
            // Outside of the work tree, whose pinned target and flags are not for tools.
            .current_dir(std::env::temp_dir())
            .args([
                "install",
                "--quiet",
                self.package,
                "--version",
                self.version,
                "--root",
            ])
            .arg(self.folder());
        if self.locked {
            command.arg("--locked");
        }
        installed(
            &format!("{} {}", self.package, self.version),
            &output(&mut command)?,
        )?;
        Ok(path)
    }
}

pub(crate) fn installed(what: &str, output: &Output) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    // The last line with words in it is the innermost cause.
    let said = stderr
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("nothing");
    Err(Error::InstallFailed {
        what: what.to_owned(),
        said: said.trim().to_owned(),
    })
}

/// What page and worker are built with.
///
/// # Errors
/// When something is missing and cannot be installed.
pub fn ensure_build() -> Result<(), Error> {
    ensure_page()?;
    WORKER_BUILD.ensure().map(drop)
}

/// What the page is built with.
///
/// # Errors
/// As [`ensure_build`].
pub fn ensure_page() -> Result<(), Error> {
    ensure_target()?;
    ensure_rust_src()?;
    ensure_npm()?;
    WASM_BINDGEN.ensure().map(drop)
}

/// The WebAssembly target of the pinned compiler.
///
/// # Errors
/// When rustup is missing or cannot fetch it.
pub fn ensure_target() -> Result<(), Error> {
    let list =
        output(
            Command::new("rustup")
                .current_dir(at(""))
                .args(["target", "list", "--installed"]),
        )?;
    if String::from_utf8_lossy(&list.stdout)
        .lines()
        .any(|line| line == WASM_TARGET)
    {
        return Ok(());
    }
    println!("installing Rust's {WASM_TARGET} target for page and worker");
    let added =
        output(
            Command::new("rustup")
                .current_dir(at(""))
                .args(["target", "add", WASM_TARGET]),
        )?;
    installed(&format!("the {WASM_TARGET} target"), &added)
}

/// The source of the standard library, which the shipped page is built with.
///
/// # Errors
/// When rustup is missing or cannot fetch it.
pub fn ensure_rust_src() -> Result<(), Error> {
    let list = output(Command::new("rustup").current_dir(at("")).args([
        "component",
        "list",
        "--installed",
    ]))?;
    if String::from_utf8_lossy(&list.stdout)
        .lines()
        .any(|line| line == "rust-src")
    {
        return Ok(());
    }
    println!("installing Rust's rust-src component for the page");
    let added =
        output(
            Command::new("rustup")
                .current_dir(at(""))
                .args(["component", "add", "rust-src"]),
        )?;
    installed("the rust-src component", &added)
}

/// The packages of package-lock.json, in the versions that it names.
///
/// # Errors
/// When Node.js is missing or too old, or npm cannot fetch them.
pub fn ensure_npm() -> Result<(), Error> {
    let node = output(Command::new("node").arg("--version"))?;
    let node = String::from_utf8_lossy(&node.stdout).trim().to_owned();
    let major: u32 = node
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    if major < 20 {
        return Err(Error::Project(format!(
            "Node.js 20 or newer is needed, and `node` is {node}"
        )));
    }
    npm_ci(
        "",
        "wrangler (workerd), esbuild, binaryen and a tus client into node_modules",
    )
}

/// Installs the packages of a folder's package-lock.json, unless they are there and no older than it. `what`
/// says which they are.
///
/// # Errors
/// When npm cannot fetch them.
pub(crate) fn npm_ci(folder: &str, what: &str) -> Result<(), Error> {
    let (path, modules) = (at(folder), Path::new(folder).join("node_modules"));
    let age = |file: &str| {
        fs::metadata(path.join(file))
            .and_then(|m| m.modified())
            .ok()
    };
    // npm writes this file last.
    let installed_at = age("node_modules/.package-lock.json");
    if installed_at.is_some() && installed_at >= age("package-lock.json") {
        return Ok(());
    }
    println!("installing {what}");
    let ci = output(
        Command::new("npm")
            .current_dir(&path)
            .args(["ci", "--no-progress"]),
    )?;
    installed(&modules.display().to_string(), &ci)
}

/// What of npm the benchmarks compare page and edges with.
///
/// # Errors
/// When npm cannot fetch it.
pub(crate) fn ensure_compared() -> Result<(), Error> {
    npm_ci(
        "tests/clients/compared",
        "the uploaders and tus servers of the comparison",
    )
}

/// Serves the page to a frontend developer with live reload.
///
/// # Errors
/// When trunk cannot be installed or ends with an error.
pub fn serve_page() -> Result<(), Error> {
    ensure_target()?;
    ensure_npm()?;
    let bindgen = WASM_BINDGEN.ensure()?;
    let trunk = TRUNK.ensure()?;
    // trunk looks for its helpers on PATH.
    let mut path = std::ffi::OsString::new();
    for folder in [
        bindgen.parent().map(PathBuf::from),
        Some(at("node_modules/.bin")),
    ]
    .into_iter()
    .flatten()
    {
        path.push(folder);
        path.push(":");
    }
    path.push(std::env::var_os("PATH").unwrap_or_default());
    run(Command::new(trunk)
        .current_dir(at(""))
        .arg("serve")
        .env("PATH", path))
}
