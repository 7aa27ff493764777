//! The business backend as a process: configuration, log, server, shutdown.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chatlift_backend::clock::SystemClock;
use chatlift_backend::config::Config;
use chatlift_backend::ports::Clock as _;
use chatlift_backend::{App, app, jobs, lock_folder, open_store, sandbox, webhooks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Before there are threads: what restricts itself does so for one only.
    let done = sandbox::confine(&words).unwrap_or_else(|| run(&words));
    done.unwrap_or_else(|sentence| {
        eprintln!("chatlift-backend: {sentence}");
        ExitCode::FAILURE
    })
}

/// Does what the command line asks. An error is one sentence for the operator.
fn run(words: &[OsString]) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(|e| format!("no threads can be started: {e}"))?;
    let outcome = runtime.block_on(obey(words));
    // A picture may be in the middle of being decoded: its job was handed back, and nobody waits for it.
    runtime.shutdown_background();
    outcome
}

async fn obey(words: &[OsString]) -> Result<ExitCode, String> {
    let mut words = words.iter().map(|word| word.to_string_lossy().into_owned());
    match words.next().as_deref() {
        None => serve().await,
        Some("jobs") => operate(&words.collect::<Vec<_>>()).await,
        Some("ready") => ready().await,
        Some(_) => Err(format!("no such command\n{}", jobs::USAGE)),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Runs one of the operator's commands on the store of the data folder.
async fn operate(words: &[String]) -> Result<(), String> {
    let folder = Config::read_data_dir(std::env::var_os).map_err(|e| e.to_string())?;
    let database = Config::read_database(std::env::var_os).map_err(|e| e.to_string())?;
    if database.is_none() && !folder.join("chatlift.db").is_file() {
        return Err(format!("there is no database in {}", folder.display()));
    }
    let store = open_store(&folder, database.as_ref())
        .await
        .map_err(|e| e.to_string())?;
    let said = jobs::run(&store, words, SystemClock.now()).await;
    store.close().await;
    print!("{}", said?);
    Ok(())
}

/// Asks the backend that runs on this machine whether it is ready, as a container's health check
/// does.
async fn ready() -> Result<(), String> {
    let config = Config::read(std::env::var_os).map_err(|e| e.to_string())?;
    let mut address = config.app_listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(1024).read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match tokio::time::timeout(READY_WITHIN, asked).await {
        Ok(Ok(answer)) if answer.split(' ').nth(1) == Some("200") => Ok(()),
        Ok(Ok(answer)) => Err(answer.lines().next().unwrap_or("no answer").to_owned()),
        Ok(Err(error)) => Err(format!("{address} does not answer: {error}")),
        Err(_) => Err(format!("{address} does not answer in time")),
    }
}

/// How long a backend that is asked whether it is ready may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or Ctrl-C.
async fn serve() -> Result<(), String> {
    let mut config = Config::read(std::env::var_os).map_err(|e| e.to_string())?;
    // Not by its name: a new version may lie there by now.
    config.own_program = cfg!(target_os = "linux").then(|| "/proc/self/exe".into());
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal()),
        )
        .with(config.log.clone())
        .init();
    if config.edge_url.scheme() == "http" && !is_loopback(&config.edge_url) {
        tracing::warn!(
            "the API key goes to the edge without encryption: use https in CHATLIFT_EDGE_URL"
        );
    }

    // Backends may share a database and the folder with its results, but no folder else.
    let alone = config.database.is_none() || config.objects.is_some();
    let _lock = match alone {
        false => None,
        true => Some(lock_folder(&config.data_dir).map_err(|e| e.to_string())?),
    };
    let (webhook_listener, webhook_address) = listen("CHATLIFT_LISTEN", config.listen).await?;
    let (app_listener, app_address) = listen("CHATLIFT_APP_LISTEN", config.app_listen).await?;
    let state = App::open(config, Arc::new(SystemClock))
        .await
        .map_err(|e| e.to_string())?;

    let stop = state.stop().clone();
    let pipeline = tokio::spawn(Arc::clone(state.pipeline()).run(stop.clone()));
    tokio::spawn({
        let stop = stop.clone();
        async move {
            signalled().await;
            tracing::info!("stopping");
            stop.cancel();
        }
    });
    tracing::info!(webhook = %webhook_address, app = %app_address, "serving");
    let store = state.store().clone();
    let served = tokio::try_join!(
        axum::serve(webhook_listener, webhooks(state.clone()))
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future(),
        axum::serve(app_listener, app(state))
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future(),
    );
    stop.cancel();
    let worked = pipeline.await;
    store.close().await;
    served.map_err(|e| format!("the server failed: {e}"))?;
    worked.map_err(|e| format!("the pipeline failed: {e}"))
}

/// A listener, and the address that it has.
async fn listen(variable: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let failed =
        |e| format!("cannot listen on {address}: {e}; stop what uses the port or set {variable}");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Waits for SIGTERM or Ctrl-C.
async fn signalled() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
