//! What the backend's tests share: a backend on a real socket, a clock that never makes a test
//! wait, and an edge on a real socket whose content endpoint can be told to misbehave. The real
//! edge in workerd is met in the workspace's `tests` crate.

pub(crate) mod edge;
pub(crate) mod process;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chatlift_backend::config::Config;
use chatlift_backend::pipeline::Pipeline;
use chatlift_backend::ports::{BoxFuture, Clock};
use chatlift_backend::sandbox::{Programs, Sandbox, Walls};
use chatlift_backend::store::{Job, Stage};
use chatlift_backend::{App, app, webhooks};
use chatlift_shared::api::File;
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::{
    self, Event, EventKind, FileStored, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, LinkRef,
};
use chatlift_shared::{EventId, FileId, LinkId, Timestamp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use edge::TestEdge;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The token of app and operator.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const KEY: &str = "clk_dGhlIGtleSBvZiB0aGUgdGVzdHM";

/// A clock that jumps to whatever is waited for.
pub(crate) struct JumpingClock(AtomicI64);

impl JumpingClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_795_000_000_000)))
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Others get their turn before time flies.
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.0.fetch_max(at.millis(), Ordering::SeqCst);
        })
    }
}

pub(crate) fn link_id() -> LinkId {
    LinkId::from_bytes([5; 12])
}

pub(crate) fn file_id(n: u8) -> FileId {
    FileId::from(chatlift_shared::UploadId::new(link_id(), [n; 6]))
}

pub(crate) fn event_id(n: u8) -> EventId {
    EventId::new(link_id(), [n; 6])
}

/// A file as the edge announces it.
pub(crate) fn announce(
    n: u8,
    name: &str,
    media_type: &str,
    content: &[u8],
    formats: &[&str],
) -> Event {
    let id = file_id(n);
    Event {
        timestamp: Timestamp::from_secs(1_795_000_000),
        kind: EventKind::FileStored(FileStored {
            file: File {
                id,
                link: link_id(),
                name: name.to_owned(),
                size: content.len() as u64,
                media_type: media_type.to_owned(),
                sha256: Some(Sha256::of(content)),
                parts: None,
                address: format!("r2://files/{id}"),
                stored_at: Timestamp::from_secs(1_795_000_000),
                deleted_at: None,
                deleted_reason: None,
                receipt: None,
                note: None,
                rotate: 0,
            },
            link: LinkRef {
                id: link_id(),
                app: "demo".parse().expect("an app id"),
                scene: "claim-documents".parse().expect("a scene id"),
                subject: None,
                metadata: Default::default(),
                formats: formats.iter().map(|f| (*f).to_owned()).collect(),
                join: None,
            },
        }),
    }
}

pub(crate) fn config(data: &Path, edge: &str) -> Config {
    let data = data.to_str().expect("a path in UTF-8");
    Config::read(|name| {
        Some(match name {
            "CHATLIFT_EDGE_URL" => edge.into(),
            "CHATLIFT_API_KEY" => KEY.into(),
            "CHATLIFT_WEBHOOK_SECRET" => SECRET.into(),
            "CHATLIFT_DATA_DIR" => data.into(),
            "CHATLIFT_APP_TOKEN" => TOKEN.into(),
            // Most tests run no programs; those that do look at the walls themselves.
            "CHATLIFT_WALLS" => "weak".into(),
            _ => return None,
        })
    })
    .expect("a config")
}

/// Opens the backend over `data`, without running anything.
pub(crate) async fn open(data: &Path, edge: &TestEdge, clock: &Arc<JumpingClock>) -> App {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    App::open(config(data, &edge.url), clock)
        .await
        .expect("the backend opens")
}

/// The same on a machine without any outside program.
pub(crate) async fn open_without_programs(
    data: &Path,
    edge: &TestEdge,
    clock: &Arc<JumpingClock>,
) -> App {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let sandbox = Sandbox::with_walls(Programs::default(), Walls::None);
    App::open_with(config(data, &edge.url), clock, sandbox)
        .await
        .expect("the backend opens")
}

/// Runs one stage of a file's job.
pub(crate) async fn step(app: &App, file: FileId) {
    let job = job(app, file).await;
    app.pipeline()
        .step(&job)
        .await
        .expect("the step is recorded");
}

pub(crate) async fn job(app: &App, file: FileId) -> Job {
    app.store()
        .job(file)
        .await
        .expect("the store")
        .expect("a job")
}

/// A client with the token.
pub(crate) fn client() -> reqwest::Client {
    // Fails only when another test has installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token = format!("Bearer {TOKEN}").parse().expect("a header");
    reqwest::Client::builder()
        .no_proxy()
        .default_headers(
            [(reqwest::header::AUTHORIZATION, token)]
                .into_iter()
                .collect(),
        )
        .build()
        .expect("a client")
}

/// Serves on a port of its own until `stop`.
async fn serve(
    router: axum::Router,
    stop: &CancellationToken,
) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let stop = stop.clone();
    let server = tokio::spawn(async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
            .expect("the server serves");
    });
    (url, server)
}

/// A backend that serves and works.
pub(crate) struct Backend {
    /// Where app and operator are served.
    pub(crate) url: String,
    /// Where the edge's webhooks are taken.
    pub(crate) webhook_url: String,
    pub(crate) app: App,
    pub(crate) clock: Arc<JumpingClock>,
    pub(crate) http: reqwest::Client,
    data: PathBuf,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Backend {
    pub(crate) async fn start(data: &Path, edge: &TestEdge) -> Self {
        Self::start_at(data, edge, JumpingClock::new()).await
    }

    pub(crate) async fn start_at(data: &Path, edge: &TestEdge, clock: Arc<JumpingClock>) -> Self {
        Self::start_with(config(data, &edge.url), clock).await
    }

    /// Starts with a configuration of the test's own.
    pub(crate) async fn start_with(config: Config, clock: Arc<JumpingClock>) -> Self {
        let data = config.data_dir.clone();
        let state = App::open(config, Arc::clone(&clock) as _)
            .await
            .expect("the backend opens");
        let stop = state.stop().clone();
        let pipeline = tokio::spawn(Pipeline::run(Arc::clone(state.pipeline()), stop.clone()));
        let (url, server) = serve(app(state.clone()), &stop).await;
        let (webhook_url, webhook_server) = serve(webhooks(state.clone()), &stop).await;
        Self {
            url,
            webhook_url,
            app: state,
            clock,
            http: client(),
            data,
            tasks: vec![pipeline, server, webhook_server],
        }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Stops as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.app.stop().cancel();
        for task in self.tasks {
            task.await.expect("the task ends well");
        }
        self.app.store().close().await;
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .expect("an answer")
    }

    /// Sends an event as the edge does: signed anew when the clock has jumped while it was on its
    /// way, so that its signature came too late.
    pub(crate) async fn tell(&self, id: EventId, event: &Event) -> u16 {
        let body = serde_json::to_vec(event).expect("JSON");
        loop {
            let now = self.clock.now();
            let signature = webhook::sign(&SECRET.parse().expect("a secret"), id, now, &body);
            let status = self
                .send(&id.to_string(), now, &signature, body.clone())
                .await;
            if status == 204 || now.until(self.clock.now()) < webhook::TOLERANCE {
                return status;
            }
        }
    }

    pub(crate) async fn send(
        &self,
        id: &str,
        at: Timestamp,
        signature: &str,
        body: Vec<u8>,
    ) -> u16 {
        self.http
            .post(format!("{}/webhooks/chatlift", self.webhook_url))
            .header(HEADER_ID, id)
            .header(HEADER_TIMESTAMP, at.secs().to_string())
            .header(HEADER_SIGNATURE, signature)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .expect("an answer")
            .status()
            .as_u16()
    }

    /// Waits until the file's job has ended.
    pub(crate) async fn ended(&self, file: FileId) -> Job {
        let mut changes = self.app.store().changes();
        loop {
            changes.mark_unchanged();
            let job = job(&self.app, file).await;
            if matches!(job.stage(), Stage::Done | Stage::Parked) {
                return job;
            }
            changes.changed().await.expect("the store is open");
        }
    }

    /// What the first app gets of a file.
    pub(crate) async fn content(&self, file: FileId) -> reqwest::Response {
        self.get(&format!("/app/deliveries/{file}/content")).await
    }
}

/// The names on the live stream of the link, in order.
pub(crate) async fn told(app: &App) -> Vec<String> {
    let feed = app
        .store()
        .feed_after(link_id(), 0)
        .await
        .expect("the feed");
    feed.into_iter().map(|e| e.kind).collect()
}

/// Content that compresses badly and tells its own offset.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}
