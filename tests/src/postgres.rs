//! Debian's PostgreSQL in a folder that is given, ended when dropped.
//!
//! The backend's tests of real programs compile this file too, so it uses nothing else of this crate.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Time between two looks at whether it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Most looks: a minute.
const LOOKS_MAX: u32 = 1200;

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    folder: PathBuf,
    settings: Vec<String>,
}

/// A program of PostgreSQL, as a user that is not root, which it refuses to run as.
fn program(name: &str) -> Command {
    let newest = std::fs::read_dir("/usr/lib/postgresql")
        .ok()
        .and_then(|versions| versions.filter_map(|v| Some(v.ok()?.path())).max())
        .expect("PostgreSQL is not installed: apt-get install postgresql");
    let program = newest.join("bin").join(name);
    let root = Command::new("id").arg("-u").output().expect("id").stdout == b"0\n";
    if !root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(program);
    command
}

impl Postgres {
    /// Starts an empty one on a socket in `folder`, with settings such as `port=5433`.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    #[must_use]
    pub fn start(folder: &Path, settings: &[String]) -> Self {
        let open = Command::new("chmod").arg("777").arg(folder).status();
        assert!(open.expect("chmod").success());
        let made = program("initdb")
            .args(["--auth=trust", "--username=postgres", "--no-sync"])
            .arg("--pgdata")
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb").success());
        Self {
            child: run(folder, settings),
            folder: folder.to_owned(),
            settings: settings.to_owned(),
        }
    }

    /// Kills it and starts it on what it has.
    pub fn restart(&mut self) {
        self.end("-QUIT");
        self.start_again();
    }

    /// Stops it with all its connections, as an operator does.
    pub fn stop(&mut self) {
        self.end("-INT");
    }

    /// Starts one that was stopped on what it has.
    pub fn start_again(&mut self) {
        self.child = run(&self.folder, &self.settings);
    }

    fn end(&mut self, signal: &str) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args([signal, &pid]).status();
        let _ = told.map(|_| self.child.wait());
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        let folder = self.folder.display();
        format!("postgres://postgres@localhost/postgres?host={folder}")
    }

    /// Rows of a table.
    ///
    /// # Panics
    /// When there is no such table.
    #[must_use]
    pub fn count(&self, table: &str) -> u64 {
        let out = Command::new("psql")
            .arg(self.url())
            .args(["-tAc", &format!("SELECT COUNT(*) FROM {table}")])
            .output()
            .expect("psql");
        let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        text.parse().unwrap_or_else(|_| panic!("{table}: {out:?}"))
    }
}

/// Runs the server whose data is in `folder`, and waits until it takes connections.
fn run(folder: &Path, settings: &[String]) -> Child {
    let data = folder.join("data");
    let mut child = program("postgres")
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(folder)
        .args(["-c", "listen_addresses="])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres");
    let pid = child.id().to_string();
    for _ in 0..LOOKS_MAX {
        if is_ready(&data, &pid) {
            return child;
        }
        let ended = child.try_wait().expect("its state");
        assert_eq!(ended, None, "PostgreSQL has ended");
        std::thread::sleep(LOOK_EVERY);
    }
    panic!("PostgreSQL is not ready after a minute");
}

/// Whether the server of this process takes connections, by what it says in `postmaster.pid`
/// (src/include/utils/pidfile.h): its process in line 1, its state in line 8.
fn is_ready(data: &Path, pid: &str) -> bool {
    let said = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = said.lines().map(str::trim);
    lines.next() == Some(pid) && lines.nth(6) == Some("ready")
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGQUIT: at once, and its children with it. One that was stopped is gone.
        if let Ok(None) = self.child.try_wait() {
            self.end("-QUIT");
        }
    }
}
