//! `chatlift-edge`: the edge as a native program, over SQLite and a folder.
//!
//! Its configuration is that of the Worker, in variables of the same names (docs/operating.md), and
//! `CHATLIFT_EDGE_LISTEN` (127.0.0.1:8787), `CHATLIFT_EDGE_DATA` (the folder of its data, `edge-data`)
//! and `CHATLIFT_EDGE_PAGE` (the built page, `dist`).

mod alarms;
mod body;
mod clock;
mod directory;
mod edge;
mod error;
mod files;
mod links;
mod outgoing;
mod rows;
mod serve;
mod world;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use chatlift_edge::config::{Config, RawConfig};
use chatlift_edge::log;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};

use edge::Native;
use error::Error;

fn main() -> ExitCode {
    log::to(|_, line| println!("{line}"));
    log::panics();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error("ended", &[("reason", error.to_string())]);
            ExitCode::FAILURE
        }
    }
}

/// One thread runs it all, as on Workers; files and the database have threads of their own.
fn run() -> Result<(), Error> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve())
}

async fn serve() -> Result<(), Error> {
    let config = Config::check(&raw()).map_err(|e| Error::Config(e.to_string()))?;
    let data = PathBuf::from(variable("CHATLIFT_EDGE_DATA", "edge-data"));
    let page = PathBuf::from(variable("CHATLIFT_EDGE_PAGE", "dist"));
    let edge = Rc::new(Native::open(config, &data, page).await?);
    let listener = TcpListener::bind(variable("CHATLIFT_EDGE_LISTEN", "127.0.0.1:8787")).await?;
    let address = format!("http://{}", listener.local_addr()?);
    log::info("listening", &[("address", address)]);
    spawn_local(alarms::run(Rc::clone(&edge)));
    let mut stop = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = serve::run(listener, edge) => Ok(ended?),
        _ = stop.recv() => Ok(()),
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}

fn variable(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The Worker's own variables.
fn raw() -> RawConfig {
    let var = |name: &str| variable(name, "");
    RawConfig {
        link_keys: var("LINK_KEYS"),
        apps: var("APPS"),
        app_secrets: var("APP_SECRETS"),
        bucket: variable("BUCKET_NAME", "files"),
        public_url: var("PUBLIC_URL"),
        faults: var("FAULTS"),
        chat: var("CHAT"),
        chat_secrets: var("CHAT_SECRETS"),
        domain_files: var("DOMAIN_FILES"),
        environment: var("ENVIRONMENT"),
    }
}
