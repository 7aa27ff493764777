//! The servers that are compared, each in a folder of its own that goes with it.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{APP, MANY_FILES, OTHER_APP, apps};
use chatlift_tests::outside::{rustus, script, serving};
use chatlift_tests::receiver::Receiver;
use chatlift_tests::scratch::{Folder, free_port};
use xtask::native;
use xtask::process::Group;
use xtask::secrets::{AppSecrets, app_secrets, link_keys};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The native edge, over SQLite and a folder.
    Edge,
    /// @tus/server with @tus/file-store, which syncs nothing by itself.
    TusServer { synced: bool },
    /// rustus, which syncs nothing unless it is told to.
    Rustus { synced: bool },
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edge => "chatlift-edge",
            Self::TusServer { synced: false } => "@tus/server",
            Self::TusServer { synced: true } => "@tus/server, made to sync",
            Self::Rustus { synced: false } => "rustus",
            Self::Rustus { synced: true } => "rustus --force-fsync",
        })
    }
}

impl Kind {
    /// Whether its program is installed.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Self::Rustus { .. } => xtask::tools::RUSTUS.path().exists(),
            _ => true,
        }
    }

    /// The name that its process has.
    fn process(self) -> &'static str {
        match self {
            Self::Edge => "chatlift-edge",
            Self::TusServer { .. } => "node",
            Self::Rustus { .. } => "rustus",
        }
    }
}

/// What is counted of a server while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Nothing,
    /// How often it syncs a file, by strace, which makes it slow.
    Syncs,
}

/// A server at work.
#[derive(Debug)]
pub(crate) struct Running {
    kind: Kind,
    // Killed before its folder goes.
    group: Group,
    port: u16,
    secrets: AppSecrets,
    trace: PathBuf,
    _folder: Folder,
    _receiver: Receiver,
}

impl Running {
    /// Starts one, and waits until it takes connections.
    pub(crate) fn start(kind: Kind, watch: Watch) -> Self {
        let folder = Folder::new("bench-native");
        let port = free_port();
        let secrets = AppSecrets::random().expect("random bytes");
        let other = AppSecrets::random().expect("random bytes");
        let receiver = Receiver::start(&[&secrets.webhook_secret]);
        let data = folder.path().join("data");
        let command = match kind {
            Kind::Edge => edge(port, data, &receiver.url(), (&secrets, &other)),
            Kind::TusServer { synced } => {
                let mut node = Command::new("node");
                node.arg(script("compared/server.mjs"))
                    .arg(port.to_string())
                    .arg(data)
                    .args(synced.then_some("sync"));
                node
            }
            Kind::Rustus { synced } => {
                fs::create_dir_all(&data).expect("a folder");
                let mut rustus = rustus(port, &data);
                rustus
                    // Whatever its value, it counts as set.
                    .args(
                        synced
                            .then_some(["--force-fsync", "true"])
                            .into_iter()
                            .flatten(),
                    );
                rustus
            }
        };
        let trace = folder.path().join("trace");
        let command = match watch {
            Watch::Syncs if fs::exists("/usr/bin/strace").unwrap_or(false) => {
                let mut strace = Command::new("/usr/bin/strace");
                strace
                    .args(["-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range"])
                    .arg("-o")
                    .arg(&trace)
                    .arg(command.get_program())
                    .args(command.get_args());
                for (name, value) in command.get_envs() {
                    strace.env(name, value.unwrap_or_default());
                }
                strace
            }
            _ => command,
        };
        let log = folder.path().join("log");
        Self {
            kind,
            group: serving(&command, port, &log),
            port,
            secrets,
            trace,
            _folder: folder,
            _receiver: receiver,
        }
    }

    /// The address, without a slash at the end.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A link's page; of the edge only.
    pub(crate) fn page(&self) -> Page {
        let app = App::new(self.origin(), self.secrets.api_key.clone());
        app.page(&app.link(MANY_FILES))
    }

    /// Where uploads are created by tus.
    pub(crate) fn tus_endpoint(&self) -> String {
        match self.kind {
            Kind::Edge => format!("{}/tus", self.page().url()),
            _ => format!("{}/files", self.origin()),
        }
    }

    /// Processor time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        let name = self.kind.process();
        // A path, or an interpreter before it.
        let is = |word: &str| word.rsplit('/').next() == Some(name);
        self.group
            .cpu(|line| line.split(' ').next().is_some_and(is))
    }

    /// The most that it has had in RAM, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.group.peak(self.kind.process())
    }

    /// What it has in RAM, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.group.resident(self.kind.process())
    }

    /// How often it has synced a file or a folder, where that is watched.
    pub(crate) fn syncs(&self) -> Option<usize> {
        let trace = fs::read_to_string(&self.trace).ok()?;
        let is_call = |line: &&str| line.contains("sync(") || line.contains("sync_file_range(");
        Some(trace.lines().filter(is_call).count())
    }
}

/// The command that runs the edge as it is shipped, with apps of the tests.
pub(crate) fn edge(
    port: u16,
    state: PathBuf,
    webhook_url: &str,
    (app, other): (&AppSecrets, &AppSecrets),
) -> Command {
    let vars = [
        ("APPS", apps(webhook_url).to_string()),
        ("LINK_KEYS", link_keys().expect("random bytes")),
        (
            "APP_SECRETS",
            app_secrets(&[(APP, app), (OTHER_APP, other)]),
        ),
    ];
    let edge = native::Edge {
        program: xtask::native::shipped(),
        port,
        state,
        page: xtask::root::at("dist"),
        vars: vars.map(|(name, value)| (name.to_owned(), value)).into(),
    };
    edge.command()
}
