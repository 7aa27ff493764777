//! `cargo xtask dev`: the whole of Chatlift on this machine, in one command.
//!
//! Promise: what it started ends with it, on Ctrl-C and on `SIGTERM`, and when one part ends by
//! itself. What was uploaded stays under `.dev/` for the next run.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::process::Group;
use crate::root::{at, target};
use crate::run::{Target, both, build, now};
use crate::secrets::{AppSecrets, app_secrets, app_token, link_keys, read_env, write_env};
use crate::{Error, native, page, tools, worker, workerd};

/// Port of the edge where none is given.
pub const EDGE_PORT: u16 = 8787;
/// Port of the business backend where none is given: the one in wrangler.toml's `APPS`.
pub const BACKEND_PORT: u16 = 8788;
/// Port of the first app where none is given: the backend's own default.
pub const APP_PORT: u16 = 8789;

/// The app of wrangler.toml that the first-app demo plays.
const APP: &str = "demo";
/// The scene of the ready link.
const SCENE: &str = "claim-documents";

/// How long edge and backend may take to answer; workerd on a busy machine has taken 10 s.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long they may take to end when asked to.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Port of the edge on 127.0.0.1.
    pub port: u16,
    /// Port of the business backend on 127.0.0.1, for the edge's webhooks.
    pub backend_port: u16,
    /// Port of the first app on 127.0.0.1, which the backend serves.
    pub app_port: u16,
    /// Whether the programs that convert documents, images and films are installed where they are
    /// missing. Without them the backend rejects what it would convert, and names the program.
    pub converters: bool,
    /// Whether the native edge runs in place of workerd; no worker is built then.
    pub native: bool,
}

/// Sets up, builds, starts, and stays until it is stopped.
///
/// # Errors
/// When a tool is missing, a port is taken, a build fails or a part ends by itself.
pub fn dev(options: Options) -> Result<(), Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|e| Error::Project(format!("signals cannot be caught: {e}")))?;
    }
    let result = run_until(options, &stop);
    // A build that Ctrl-C cut short is no failure to be spoken of.
    if stop.load(Ordering::Relaxed) {
        Ok(())
    } else {
        result
    }
}

fn run_until(options: Options, stop: &AtomicBool) -> Result<(), Error> {
    let begun = now();
    free(options.port, "--port")?;
    free(options.backend_port, "--backend-port")?;
    free(options.app_port, "--app-port")?;
    if options.native {
        tools::ensure_page()?;
    } else {
        tools::ensure_build()?;
    }
    if options.converters {
        tools::ensure_programs()?;
    }
    let secrets = secrets()?;
    let programs = || {
        if options.native {
            build(&[
                Target::Bin("chatlift-backend"),
                Target::Bin("chatlift-edge"),
            ])
        } else {
            worker::build()?;
            build(&[Target::Bin("chatlift-backend")])
        }
    };
    both(page::build, programs)?;
    if stop.load(Ordering::Relaxed) {
        return Err(Error::Stopped);
    }
    let built = begun.elapsed();

    let origin = format!("http://127.0.0.1:{}", options.port);
    let mut edge_group = Group::spawn("edge", &edge(options)?, &log("edge")?)?;
    let backend = format!("http://127.0.0.1:{}", options.app_port);
    let mut command = Command::new(target().join("debug/chatlift-backend"));
    command
        .env("CHATLIFT_EDGE_URL", &origin)
        .env("CHATLIFT_APP", APP)
        .env("CHATLIFT_API_KEY", &secrets.api_key)
        .env("CHATLIFT_WEBHOOK_SECRET", &secrets.webhook_secret)
        .env("CHATLIFT_DATA_DIR", at(".dev/backend"))
        .env(
            "CHATLIFT_LISTEN",
            format!("127.0.0.1:{}", options.backend_port),
        )
        .env(
            "CHATLIFT_APP_LISTEN",
            format!("127.0.0.1:{}", options.app_port),
        )
        .env("CHATLIFT_APP_TOKEN", &secrets.app_token)
        // A machine without namespaces runs it too; its log says which walls stand.
        .env("CHATLIFT_WALLS", "weak")
        .env("CHATLIFT_DEMO", "1");
    let mut backend_group = Group::spawn("business backend", &command, &log("backend")?)?;
    let stopped = || stop.load(Ordering::Relaxed);
    edge_group.wait_until(READY_WITHIN, || stopped() || answers(&origin))?;
    backend_group.wait_until(READY_WITHIN, || stopped() || answers(&backend))?;
    if !stopped() {
        let link = make_link(&origin, &secrets.api_key)?;
        println!("{}", ready(begun.elapsed(), built, options.native)?);
        println!("first app  {backend}/#token={}", secrets.app_token);
        println!("upload     {link}");
        println!("logs       .dev/edge.log .dev/backend.log");
        println!("Ctrl-C stops edge and backend; what was uploaded stays in .dev/");
    }
    while !stopped() {
        edge_group.check()?;
        backend_group.check()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("stopping");
    edge_group.stop(STOP_WITHIN);
    backend_group.stop(STOP_WITHIN);
    Ok(())
}

/// Fails when something listens on the port.
fn free(port: u16, flag: &'static str) -> Result<(), Error> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(Error::PortTaken { port, flag }),
        Err(e) => Err(Error::Project(format!("port {port} cannot be used: {e}"))),
    }
}

/// A log file, empty for this run.
fn log(name: &str) -> Result<PathBuf, Error> {
    let path = at(".dev").join(format!("{name}.log"));
    fs::create_dir_all(at(".dev")).map_err(Error::file(at(".dev")))?;
    fs::write(&path, "").map_err(Error::file(&path))?;
    Ok(path)
}

/// This machine's secrets: made at the first run, for the edge (`.dev.vars`) and for the backend
/// (`.dev/backend.env`).
fn secrets() -> Result<AppSecrets, Error> {
    let (edge, backend) = (at(".dev.vars"), at(".dev/backend.env"));
    if !(edge.exists() && backend.exists()) {
        let new = AppSecrets::random()?;
        write_env(
            &backend,
            &[
                ("CHATLIFT_API_KEY", &new.api_key),
                ("CHATLIFT_WEBHOOK_SECRET", &new.webhook_secret),
                ("CHATLIFT_APP_TOKEN", &new.app_token),
            ],
        )?;
        write_env(
            &edge,
            &[
                ("LINK_KEYS", &link_keys()?),
                ("APP_SECRETS", &app_secrets(&[(APP, &new)])),
            ],
        )?;
        println!("made this machine's secrets in .dev.vars and .dev/backend.env");
    }
    let mut vars = read_env(&backend)?;
    // A folder from before the token was there keeps its other secrets.
    if !vars.iter().any(|(key, _)| key == "CHATLIFT_APP_TOKEN") {
        vars.push(("CHATLIFT_APP_TOKEN".to_owned(), app_token()?));
        let all: Vec<_> = vars.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        write_env(&backend, &all)?;
    }
    let get = |name: &str| {
        vars.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
            .ok_or_else(|| {
                Error::Project(format!(
                    ".dev/backend.env has no {name}: delete it to have it made anew"
                ))
            })
    };
    Ok(AppSecrets {
        api_key: get("CHATLIFT_API_KEY")?,
        webhook_secret: get("CHATLIFT_WEBHOOK_SECRET")?,
        app_token: get("CHATLIFT_APP_TOKEN")?,
    })
}

/// The command of the edge that was chosen.
fn edge(options: Options) -> Result<Command, Error> {
    let state = at(".dev").join(if options.native { "native" } else { "edge" });
    if options.native {
        let mut vars = read_env(&at(".dev.vars"))?;
        vars.push(("APPS".to_owned(), apps(options.backend_port)?));
        let edge = native::Edge {
            program: native::program(),
            port: options.port,
            state,
            page: at("dist"),
            vars,
        };
        return Ok(edge.command());
    }
    let edge = workerd::Edge {
        project: at(""),
        port: options.port,
        state,
        scratch: at(".dev/tmp"),
        env_file: env_file(options.backend_port)?,
    };
    Ok(edge.command())
}

/// What is said once all runs: how long it took, and how long the first run in this folder did, which
/// had everything to build.
fn ready(took: Duration, built: Duration, native: bool) -> Result<String, Error> {
    let path = at(".dev").join(if native { "first-native" } else { "first" });
    let line = format!(
        "ready after {:.0} s ({:.0} s of it to build)",
        took.as_secs_f64(),
        built.as_secs_f64()
    );
    match fs::read_to_string(&path) {
        Ok(first) => Ok(format!("{line}; the first time it was {} s", first.trim())),
        Err(_) => {
            let seconds = format!("{:.0}", took.as_secs_f64());
            fs::write(&path, seconds).map_err(Error::file(&path))?;
            Ok(line)
        }
    }
}

/// The apps of wrangler.toml, with the backend on this port.
fn apps(backend_port: u16) -> Result<String, Error> {
    Ok(workerd::apps()?.replace(
        &format!("127.0.0.1:{BACKEND_PORT}"),
        &format!("127.0.0.1:{backend_port}"),
    ))
}

/// For a backend on another port than wrangler.toml says: the edge's variables with that port.
fn env_file(backend_port: u16) -> Result<Option<PathBuf>, Error> {
    if backend_port == BACKEND_PORT {
        return Ok(None);
    }
    let mut vars = read_env(&at(".dev.vars"))?;
    vars.push(("APPS".to_owned(), apps(backend_port)?));
    let vars: Vec<_> = vars.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let path = at(".dev/edge.env");
    write_env(&path, &vars)?;
    Ok(Some(path))
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .into()
}

fn answers(origin: &str) -> bool {
    agent().get(format!("{origin}/")).call().is_ok()
}

/// Makes a link as the app's backend would, and returns its address.
fn make_link(edge: &str, api_key: &str) -> Result<String, Error> {
    let refused = |why: String| Error::Project(format!("the edge made no link: {why}"));
    let mut answer = agent()
        .post(format!("{edge}/v1/links"))
        .header("authorization", format!("Bearer {api_key}"))
        .header("content-type", "application/json")
        .send(format!(r#"{{"scene":"{SCENE}","subject":"developer"}}"#))
        .map_err(|e| refused(e.to_string()))?;
    let body = answer
        .body_mut()
        .read_to_string()
        .map_err(|e| refused(e.to_string()))?;
    serde_json::from_str::<Value>(&body)
        .ok()
        .and_then(|link| Some(link.get("url")?.as_str()?.to_owned()))
        .ok_or_else(|| refused(format!("{} {body}", answer.status())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_with_the_flag_that_chooses_another() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("an address").port();
        let text = free(port, "--port").expect_err("taken").to_string();
        assert!(
            text.contains(&port.to_string()) && text.contains("--port"),
            "{text}"
        );
        drop(taken);
        assert!(free(port, "--port").is_ok());
    }
}
