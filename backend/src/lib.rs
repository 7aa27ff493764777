//! Chatlift's business backend: the reference receiver.
//!
//! The edge tells it by webhook of each stored file. It fetches the file, checks its digest,
//! converts it to a format that the app can use, hands it to the first app, and tells the edge
//! what became of it. It also serves the first-app demo.
//!
//! Promise: an acknowledged event is worked to its end, whatever dies in between, and each file is
//! delivered once. See [`pipeline`].

mod auth;
pub mod clamd;
pub mod clock;
pub mod config;
mod demo;
mod disk;
pub mod edge;
mod error;
pub mod first_app;
pub mod jobs;
pub mod metrics;
pub mod objects;
pub mod pipeline;
pub mod ports;
mod random;
pub mod rejection;
pub mod sandbox;
pub mod store;
mod webhook;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use chatlift_client::SetupError;
use chatlift_shared::webhook::TIMEOUT;
use config::{Config, DatabaseUrl};
use edge::HttpEdge;
pub use error::Error;
use metrics::Metrics;
use objects::Objects;
use pipeline::folders::Folders;
use pipeline::notices::Notifier;
use pipeline::{Parts, Pipeline};
use ports::{Clock, Edge};
use sandbox::{NoWalls, Programs, Sandbox};
use store::{Store, StoreError};

/// Seconds after which to come again where the backend is asked to wait: what it waits for is a moment's trouble of the
/// edge, or a balancer to pass a process that stops.
const RETRY_AFTER: &str = "5";

/// The backend, open and ready. Cheap to clone.
#[derive(Clone)]
pub struct App {
    config: Arc<Config>,
    store: Store,
    edge: Arc<dyn Edge>,
    clock: Arc<dyn Clock>,
    objects: Objects,
    folders: Folders,
    pipeline: Arc<Pipeline>,
    stop: CancellationToken,
}

/// Why the backend cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made or written.
    #[error("the data folder {} (CHATLIFT_DATA_DIR) cannot be used: {source}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another backend works in the data folder, and the database there is for one.
    #[error(
        "another backend works in the data folder {} (CHATLIFT_DATA_DIR): stop it, give this one a folder of its \
         own, or let both share a PostgreSQL database (CHATLIFT_DATABASE_URL)", .0.display()
    )]
    InUse(PathBuf),
    /// The database cannot be opened.
    #[error(
        "the database (CHATLIFT_DATABASE_URL, or in the data folder {}): {source}", .folder.display()
    )]
    Store {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with the database.
        source: StoreError,
    },
    /// Where results are kept cannot be set up.
    #[error("the store of results (CHATLIFT_OBJECTS) cannot be set up: {0}")]
    Objects(io::Error),
    /// The client of the edge cannot be set up.
    #[error(transparent)]
    Edge(#[from] SetupError),
    /// The metrics could not be set up.
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Looking for programs failed.
    #[error("looking for programs failed: {0}")]
    Sandbox(tokio::task::JoinError),
    /// Converters could not be kept in.
    #[error(transparent)]
    Walls(#[from] NoWalls),
}

impl App {
    /// Opens the data folder and sets up the client of the edge. Nothing runs yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let mut programs = Programs::find(&config.path);
        if let Some(own) = &config.own_program {
            programs = programs.with_own(own);
        }
        let weak = config.weak_walls;
        let sandbox = move || Sandbox::new(programs, weak);
        let sandbox = tokio::task::spawn_blocking(sandbox).await;
        let sandbox = sandbox.map_err(StartError::Sandbox)??;
        Self::open_with(config, clock, sandbox).await
    }

    /// The same with a sandbox of the caller's.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn open_with(
        config: Config,
        clock: Arc<dyn Clock>,
        sandbox: Sandbox,
    ) -> Result<Self, StartError> {
        let folder = config.data_dir.clone();
        let folders = Folders::create(&folder)
            .await
            .map_err(|source| StartError::Folder {
                folder: folder.clone(),
                source,
            })?;
        let kept = |name, folder: &Path| match &config.objects {
            Some(bucket) => Objects::in_bucket(bucket, name),
            None => Objects::in_folder(folder),
        };
        let objects = kept("results", folders.deliveries()).map_err(StartError::Objects)?;
        let quarantine = kept("quarantine", folders.quarantine()).map_err(StartError::Objects)?;
        let store = open_store(&folder, config.database.as_ref())
            .await
            .map_err(|source| StartError::Store { folder, source })?
            .with_notices(config.app_webhook.is_some());
        let edge: Arc<dyn Edge> = Arc::new(HttpEdge::new(&config.edge_url, &config.api_key)?);
        let notifier = match config.app_webhook.clone() {
            Some(webhook) => Some(Notifier::new(webhook).map_err(SetupError::Tls)?),
            None => None,
        };
        let pipeline = Arc::new(Pipeline::new(Parts {
            store: store.clone(),
            edge: Arc::clone(&edge),
            clock: Arc::clone(&clock),
            objects: objects.clone(),
            quarantine,
            folders: folders.clone(),
            sandbox,
            scanner: config.clamd.clone(),
            scanned_max: config.scanned_max,
            unscanned: config.unscanned,
            notifier,
            retention: config.retention,
            quota: config.disk_quota,
            metrics: Metrics::new()?,
        }));
        Ok(Self {
            config: Arc::new(config),
            store,
            edge,
            clock,
            objects,
            folders,
            pipeline,
            stop: CancellationToken::new(),
        })
    }

    /// What the backend remembers.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Ends the live streams and the pipeline's loops when it is cancelled.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}

/// Takes the data folder for this process alone, for as long as the file that is returned is open: SQLite
/// in it is for one backend. Beside it the operator's commands may run.
///
/// # Errors
/// [`StartError::InUse`], and [`StartError::Folder`].
pub fn lock_folder(folder: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::Folder {
        folder: folder.to_owned(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Opens the store: PostgreSQL where its address is given, else SQLite in the data folder.
///
/// # Errors
/// See [`StoreError`].
pub async fn open_store(
    folder: &Path,
    database: Option<&DatabaseUrl>,
) -> Result<Store, StoreError> {
    match database {
        Some(url) => Store::open_shared(url.expose()).await,
        None => Store::open(&folder.join("chatlift.db")).await,
    }
}

/// The routes of app and operator. All but the probes, and the files of the demo page where it is
/// served, answer 401 without the token: also those that do not exist.
pub fn app(state: App) -> Router {
    let private = Router::new()
        .route("/metrics", get(metrics::scrape))
        .merge(first_app::routes());
    let private = if state.config.demo {
        private.route("/demo/session", post(auth::open_session))
    } else {
        private
    };
    let private = private
        .fallback(async || Error::NotFound("route"))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(state.clone(), auth::require));
    let public = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(metrics::ready));
    let public = if state.config.demo {
        public.merge(demo::routes())
    } else {
        public
    };
    public
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .merge(private)
        .layer(middleware::map_response(say_when))
        .layer(TraceLayer::new_for_http())
        .with_state(state)
}

/// The routes for the edge: the webhook, and nothing else.
pub fn webhooks(state: App) -> Router {
    let webhook = post(webhook::receive).layer((
        // After that the edge waits for no answer, and comes again.
        TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT),
        DefaultBodyLimit::max(webhook::BODY_MAX),
    ));
    Router::new()
        .route(webhook::PATH, webhook)
        .fallback(async || Error::NotFound("route"))
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(middleware::map_response(say_when))
        .layer(TraceLayer::new_for_http())
        .with_state(state)
}

/// Says with a 503, whoever made it, when to come again.
async fn say_when(mut response: Response) -> Response {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    }
    response
}

/// `GET /healthz`: whether the process serves and its database answers.
async fn healthz(State(app): State<App>) -> Result<(StatusCode, &'static str), Error> {
    app.store.ping().await?;
    Ok((StatusCode::OK, "ok\n"))
}
