//! `chatlift-edge [check] [--config edge.toml]`: the edge as a native program, over SQLite and a folder, or over
//! PostgreSQL and S3 on many machines. docs/self-hosting.md has its settings.

mod alarms;
mod body;
mod cache;
mod clock;
mod database;
mod directory;
mod disk;
mod due;
mod edge;
mod error;
mod files;
mod group_sync;
mod links;
mod metrics;
mod nodes;
mod objects;
mod outgoing;
mod page;
mod rows;
mod serve;
mod settings;
mod store;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use chatlift_edge::log;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};

use edge::Native;
use error::Error;
use serve::Door;
use settings::Settings;

/// Threads that wait for files. Each keeps some memory that it has freed, so one for each of many uploads would hold more
/// than their bytes.
const BLOCKING_THREADS: usize = 4;

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
    // One of ours, before anybody asks for TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (check, file) = arguments().map_err(|e| Error::Config(e.to_string()))?;
    let settings = Settings::read(file.as_deref())?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    LocalSet::new().block_on(&runtime, serve(settings, check))
}

/// Whether settings are to be checked and nothing served, and the file that has them.
fn arguments() -> Result<(bool, Option<PathBuf>), lexopt::Error> {
    use lexopt::prelude::*;
    let (mut check, mut file) = (false, None);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(word) if word == "check" => check = true,
            Long("config") => file = Some(arguments.value()?.into()),
            other => return Err(other.unexpected()),
        }
    }
    Ok((check, file))
}

async fn serve(settings: Settings, check: bool) -> Result<(), Error> {
    let (listen, metrics) = (settings.listen, settings.metrics_listen);
    let door = Door {
        tls: settings.tls.as_ref().map(serve::tls).transpose()?,
        trusted: settings.trusted_proxies.clone(),
        connections: settings.connections,
    };
    let scheme = if door.tls.is_some() { "https" } else { "http" };
    let edge = Rc::new(Native::open(settings).await?);
    if check {
        log::info(
            "settings are right; database, store and page are there",
            &[],
        );
        return Ok(());
    }
    let listener = TcpListener::bind(listen).await?;
    if let Some(metrics) = metrics {
        let listener = TcpListener::bind(metrics).await?;
        spawn_local(edge.metrics.clone().serve(listener, edge.database.clone()));
    }
    let address = format!("{scheme}://{}", listener.local_addr()?);
    log::info("listening", &[("address", address)]);
    spawn_local(alarms::run(Rc::clone(&edge)));
    let links = edge.links.clone();
    spawn_local(async move { links.attend().await });
    let mut terminated = signal(SignalKind::terminate())?;
    serve::run(listener, edge, door, async move {
        tokio::select! {
            _ = terminated.recv() => {},
            _ = tokio::signal::ctrl_c() => {},
        }
    })
    .await;
    Ok(())
}
