//! The command that runs the edge in real workerd, as wrangler.toml describes it, with nothing from outside.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Error;
use crate::root::at;

/// How the edge is to run.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Folder of wrangler.toml, with the built worker and page where that says.
    pub project: PathBuf,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Where R2 objects and Durable Objects are kept.
    pub state: PathBuf,
    /// Where its temporary files go.
    pub scratch: PathBuf,
    /// Variables that stand above those of wrangler.toml, in place of `.dev.vars`.
    pub env_file: Option<PathBuf>,
}

impl Edge {
    /// The command that runs it until it is killed.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("node");
        command
            .current_dir(&self.project)
            .arg(at("xtask/src/edge.mjs"))
            .arg(self.port.to_string())
            .arg(&self.state)
            .env("TMPDIR", &self.scratch)
            .env("CI", "1")
            .env("NO_COLOR", "1");
        if let Some(file) = &self.env_file {
            command.arg(file);
        }
        command
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// The `APPS` of wrangler.toml, as JSON.
///
/// # Errors
/// When wrangler.toml cannot be read or has no `APPS = '''...'''`.
pub fn apps() -> Result<String, Error> {
    let path = at("wrangler.toml");
    let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
    text.split_once("APPS = '''")
        .and_then(|(_, rest)| rest.split_once("'''"))
        .and_then(|(json, _)| serde_json::from_str::<serde_json::Value>(json).ok())
        .map(|apps| apps.to_string())
        .ok_or_else(|| Error::Project("wrangler.toml has no APPS = '''<JSON>'''".to_owned()))
}
