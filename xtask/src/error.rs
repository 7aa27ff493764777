//! What can stop a command. Each variant's text is the one sentence that its reader gets.

use std::io;
use std::path::PathBuf;

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line says something that no command takes.
    #[error("{0}; `cargo xtask help` lists what there is")]
    Usage(String),
    /// A program that the machine must bring is not on `PATH`.
    #[error("`{program}` is not on this machine: {remedy}")]
    ProgramMissing {
        /// The program.
        program: String,
        /// How to get it.
        remedy: &'static str,
    },
    /// A program was started and did not succeed.
    #[error("`{command}` failed ({status})")]
    CommandFailed {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
    },
    /// A tool could not be fetched or built.
    #[error(
        "{what} could not be installed, which needs the network the first time; the installer said: {said}"
    )]
    InstallFailed {
        /// The tool with its version.
        what: String,
        /// The installer's last words.
        said: String,
    },
    /// Packages are missing, and this user may not install them.
    #[error("these packages are missing and only root can install them: {0}")]
    PackagesMissing(String),
    /// Another program listens on the port.
    #[error(
        "port {port} is taken: stop the program that listens there, or give another with {flag}"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The flag that chooses it.
        flag: &'static str,
    },
    /// Something that was started ended by itself.
    #[error("the {name} ended by itself ({status}); its last lines, from {log}:\n{tail}", log = log.display())]
    Died {
        /// What it is to the reader.
        name: String,
        /// How it ended.
        status: String,
        /// Where the whole of it is.
        log: PathBuf,
        /// The last of what it printed.
        tail: String,
    },
    /// Something that was started does not answer.
    #[error("the {name} did not answer within {seconds} s; its last lines, from {log}:\n{tail}", log = log.display())]
    Silent {
        /// What it is to the reader.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// Where the whole of it is.
        log: PathBuf,
        /// The last of what it printed.
        tail: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A part of the project is not as the build expects it.
    #[error("{0}")]
    Project(String),
    /// A rule of the project does not hold.
    #[error("{0}")]
    Rule(String),
    /// The user asked for the end.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// For `map_err` on a file operation.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
