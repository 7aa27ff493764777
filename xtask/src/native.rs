//! The command line of the native edge.

use std::path::PathBuf;
use std::process::Command;

use crate::Error;
use crate::root::{at, target};
use crate::run::{cargo, run};

/// The program, where cargo builds it.
#[must_use]
pub fn program() -> PathBuf {
    target().join("debug/chatlift-edge")
}

/// Where it is as it is shipped.
#[must_use]
pub fn shipped() -> PathBuf {
    target().join("server/chatlift-edge")
}

/// Builds it as it is shipped, with the page in it, which is built already.
///
/// # Errors
/// When it does not build.
pub fn build_shipped() -> Result<PathBuf, Error> {
    run(cargo().current_dir(at("")).args([
        "build",
        "--locked",
        "--profile",
        "server",
        "--package",
        "chatlift-server",
        "--features",
        "page",
    ]))?;
    Ok(shipped())
}

/// What glibc keeps of memory that is free again, as `deploy/` says it too (docs/benchmarks.md): by itself it cuts 40 of
/// 100 MiB into pieces that nobody can use.
const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_MMAP_THRESHOLD_", "65536"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// How the edge is to run.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The program, as it was built.
    pub program: PathBuf,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Folder of its data.
    pub state: PathBuf,
    /// Folder of the built page.
    pub page: PathBuf,
    /// Its variables.
    pub vars: Vec<(String, String)>,
}

impl Edge {
    /// The command that runs it until it is killed.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(at(""))
            .env("CHATLIFT_EDGE_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("CHATLIFT_EDGE_DATA", &self.state)
            .env("CHATLIFT_EDGE_PAGE", &self.page)
            .env("ENVIRONMENT", "development")
            .envs(ALLOCATOR)
            .envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_is_set_as_it_is_where_the_edge_is_deployed() {
        for file in ["deploy/chatlift-edge.service", "deploy/Containerfile"] {
            let text = std::fs::read_to_string(at(file)).expect("a file of deploy/");
            for (name, value) in ALLOCATOR {
                assert!(text.contains(&format!("{name}={value}")), "{file}: {name}");
            }
        }
    }
}
