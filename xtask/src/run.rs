//! Running programs to their end.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use crate::Error;
use crate::root::{self, at};

/// Now, for telling how long a step took.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one clock of the developer commands, which run natively"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// The command line as a person would type it.
#[must_use]
pub fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        let _ = write!(line, " {}", arg.to_string_lossy());
    }
    line
}

/// What to say when a program cannot be started.
pub(crate) fn not_started(command: &Command, source: std::io::Error) -> Error {
    let program = command.get_program().to_string_lossy().into_owned();
    if source.kind() != std::io::ErrorKind::NotFound {
        return Error::File {
            path: program.into(),
            source,
        };
    }
    let remedy = match program.as_str() {
        "cargo" | "rustup" => "install it from rustup.rs",
        "node" | "npm" => "install Node.js 20 or newer (nodejs.org, or Debian's nodejs and npm)",
        _ => "run `cargo xtask setup`",
    };
    Error::ProgramMissing { program, remedy }
}

pub(crate) fn failed(command: &Command, status: std::process::ExitStatus) -> Error {
    Error::CommandFailed {
        command: line(command),
        status: status.to_string(),
    }
}

/// `cargo`, without what a `cargo run` above says of its own package: some build scripts (ring's) look
/// at it, and everything above them would be built anew at each change between the two.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new("cargo");
    let ours = |name: &str| {
        [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_NAME",
            "CARGO_CRATE_NAME",
        ]
        .iter()
        .any(|known| name.starts_with(known))
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
    command
}

/// A command of `cargo` on all crates, natively, to be narrowed by targets alone: a selection of crates or
/// features of its own would unify the features of dependencies anew, and build these again.
#[must_use]
pub fn workspace(command: &str) -> Command {
    let mut cargo = cargo();
    cargo.current_dir(at("")).args([
        command,
        "--workspace",
        "--features",
        "chatlift-backend/programs",
    ]);
    cargo
}

/// A command of `cargo` whose programs take more time than their compiler: they are built apart, with
/// optimisations.
#[must_use]
pub fn optimised(command: &str) -> Command {
    let mut cargo = cargo();
    cargo
        .current_dir(at(""))
        .args([command, "--profile", "simulation"]);
    cargo
}

/// A program or an example of one of the crates.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A program.
    Bin(&'static str),
    /// An example.
    Example(&'static str),
}

/// Builds targets.
///
/// # Errors
/// When one does not build.
pub fn build(targets: &[Target]) -> Result<(), Error> {
    let mut command = workspace("build");
    for built in targets {
        command.args(match built {
            Target::Bin(name) => ["--bin", name],
            Target::Example(name) => ["--example", name],
        });
    }
    run(&mut command)
}

/// Builds a target, and answers the command that runs it.
///
/// # Errors
/// When it does not build.
pub fn build_one(target: Target) -> Result<Command, Error> {
    build(&[target])?;
    let path = match target {
        Target::Bin(name) => PathBuf::from(name),
        Target::Example(name) => Path::new("examples").join(name),
    };
    let mut command = Command::new(root::target().join("debug").join(path));
    command.current_dir(at(""));
    Ok(command)
}

/// Does two things at once. A build that ends in linking with optimisations has one core at work for half of its time.
///
/// # Errors
/// Those of the first, or else of the second; both have ended by then.
pub fn both<A: Send, B>(
    first: impl FnOnce() -> Result<A, Error> + Send,
    second: impl FnOnce() -> Result<B, Error>,
) -> Result<(A, B), Error> {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        let first = first
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((first?, second?))
    })
}

/// Runs a program with its output shown.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(|e| not_started(command, e))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(command, status))
    }
}

/// Runs a program and keeps what it prints.
///
/// # Errors
/// When it cannot be started.
pub fn output(command: &mut Command) -> Result<Output, Error> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| not_started(command, e))
}

/// Runs a program whose output is shown only when it fails.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub fn quiet(command: &mut Command) -> Result<String, Error> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err(failed(command, output.status))
}

/// Runs a program, shows its standard output and hands each line of it to `each`.
///
/// # Errors
/// When it cannot be started or does not succeed.
pub fn watched(command: &mut Command, mut each: impl FnMut(&str)) -> Result<(), Error> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| not_started(command, e))?;
    if let Some(stdout) = child.stdout.take() {
        for bytes in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&bytes);
            each(&text);
            let mut out = std::io::stdout().lock();
            // A reader that went away must not stop the run.
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        }
    }
    let status = child.wait().map_err(|e| not_started(command, e))?;
    if status.success() {
        Ok(())
    } else {
        Err(failed(command, status))
    }
}
