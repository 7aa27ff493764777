//! Debian's PostgreSQL in a folder of its own, killed when dropped.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::scratch::{Folder, wait_for};

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    folder: Folder,
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
    /// Starts an empty one.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let open = Command::new("chmod").arg("777").arg(folder.path()).status();
        assert!(open.expect("chmod").success());
        let made = program("initdb")
            .args(["--auth=trust", "--username=postgres", "--no-sync"])
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb").success());
        let child = run(&folder);
        Self { child, folder }
    }

    /// Kills it and starts it on what it has.
    pub fn restart(&mut self) {
        self.kill();
        self.child = run(&self.folder);
    }

    fn kill(&mut self) {
        // SIGQUIT: at once, and its children with it.
        let quit = Command::new("kill")
            .args(["-QUIT", &self.child.id().to_string()])
            .status();
        let _ = quit.map(|_| self.child.wait());
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        let folder = self.folder.path().display();
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

fn run(folder: &Folder) -> Child {
    let child = program("postgres")
        .arg("-D")
        .arg(folder.path().join("data"))
        .arg("-k")
        .arg(folder.path())
        .args(["-c", "listen_addresses="])
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres");
    wait_for("PostgreSQL", Duration::from_secs(60), || {
        let ready = Command::new("psql")
            .arg("-h")
            .arg(folder.path())
            .args(["-U", "postgres", "-tAc", "SELECT 1"])
            .output();
        ready.is_ok_and(|out| out.status.success()).then_some(())
    });
    child
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}
