//! Programs that others wrote, as they are: started with the file that they send, watched by what
//! they print.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use xtask::process::Group;

use crate::fixtures::Random;

/// Longest that a server takes to start.
const SERVING_WITHIN: Duration = Duration::from_secs(60);

/// A program at work. It is killed when it is dropped.
#[derive(Debug)]
pub struct Outside {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// What it printed, to tell when it fails.
    said: Vec<String>,
}

/// A file of the tests' clients.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    xtask::root::at("tests/clients").join(name)
}

/// Writes a random file into a folder.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn file_in(folder: &Path, name: &str, file: Random) -> PathBuf {
    let path = folder.join(name);
    let mut out = std::fs::File::create(&path).expect("a file");
    out.write_all(&file.read(0, file.size)).expect("its bytes");
    path
}

/// The command that runs rustus, with what it keeps in `folder`, which is there.
#[must_use]
pub fn rustus(port: u16, folder: &Path) -> Command {
    let mut rustus = Command::new(xtask::tools::RUSTUS.path());
    rustus
        .current_dir(folder)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--log-level", "WARN", "--url", "/files"])
        // A request's whole body is in memory, and is refused beyond this.
        .args(["--max-body-size", "250000000"])
        .args(["--data-dir", ".", "--info-dir", "."]);
    rustus
}

/// Starts a server, and waits until it takes connections.
///
/// # Panics
/// When it does not start, with its last lines.
#[must_use]
pub fn serving(command: &Command, port: u16, log: &Path) -> Group {
    let mut group = Group::spawn("server", command, log).expect("a server");
    group
        .wait_until(SERVING_WITHIN, || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .unwrap_or_else(|e| panic!("{e}"));
    group
}

impl Outside {
    /// Starts a program with arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(program: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// The next thing that it says; `None` at its end.
    pub fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).unwrap_or(0);
        if read == 0 {
            return None;
        }
        self.said.push(line.trim().to_owned());
        // What is no JSON is a warning of its runtime.
        Some(serde_json::from_str(&line).unwrap_or_default())
    }

    /// Waits until it says that it has sent more than `bytes`.
    ///
    /// # Panics
    /// When it ends before that.
    pub fn wait_sent(&mut self, bytes: u64) {
        while let Some(said) = self.hear() {
            if said["sent"].as_u64().is_some_and(|sent| sent > bytes) {
                return;
            }
        }
        panic!("it ended early: {:?}", self.said);
    }

    /// Waits for its end; answers the address that it sent to, and the status that it was refused
    /// with before, if it was.
    ///
    /// # Panics
    /// When it failed.
    #[must_use]
    pub fn end(mut self) -> (String, Option<u64>) {
        let mut status = None;
        let mut done = None;
        while let Some(said) = self.hear() {
            status = said["status"].as_u64().or(status);
            done = said["done"].as_str().map(str::to_owned).or(done);
        }
        let last = self.said.split_off(self.said.len().saturating_sub(5));
        (
            done.unwrap_or_else(|| panic!("it failed: {last:?}")),
            status,
        )
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
