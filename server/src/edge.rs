//! The edge on this platform: its ports, and what a request needs beside them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use chatlift_edge::chat::AccountId;
use chatlift_edge::chat::vault::Tickets;
use chatlift_edge::config::Config;
use chatlift_edge::faults::R2_SILENT;
use chatlift_edge::http as edge_http;
use chatlift_edge::http::{Edge, Limit, Request, Response, Runtime};
use chatlift_edge::link::command::ReadEvents;
use chatlift_edge::link::message::For;
use chatlift_edge::memory::Account;
use chatlift_edge::ports::{Bucket as _, Failure};
use chatlift_edge::service::Service;
use chatlift_edge::upload::Recent;
use chatlift_shared::{AppId, LinkId, ProblemCode, Timestamp};
use futures_util::future::join;
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;

use crate::body;
use crate::body::{Body, Incoming};
use crate::clock::now;
use crate::database::Database;
use crate::directory::Directory;
use crate::error::Error;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::outgoing::{self, Vaults};
use crate::page::{Page, StaticFile};
use crate::settings::Settings;
use crate::store::Store;
use crate::world::{Clock, random};

/// Requests of a minute under a limit: as production's rate limiting bindings in wrangler.toml.
const fn per_minute(limit: Limit) -> u32 {
    match limit {
        Limit::Address => 3000,
        Limit::Link => 600,
        Limit::Key => 30,
    }
}

/// How long database and store may take to answer.
const READY_WITHIN: Duration = Duration::from_secs(5);

const MINUTE: Duration = Duration::from_secs(60);

/// Most keys that are counted at once; beyond it those of the minute before are dropped.
const COUNTED_MAX: usize = 100_000;

/// The program's parts.
pub(crate) struct Native {
    pub(crate) config: Config,
    pub(crate) links: Links,
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) database: Database,
    pub(crate) client: reqwest::Client,
    pub(crate) metrics: Metrics,
    /// Whether it takes no more requests and ends when those that it has are answered.
    pub(crate) draining: Cell<bool>,
    page: Page,
    vaults: Vaults,
    rate_limits: bool,
    counted: RefCell<HashMap<(Limit, String), (Timestamp, u32)>>,
    recent: Rc<Recent>,
    _lock: Option<File>,
}

/// How long a folder may stay locked after its process was killed.
const LOCKED_FOR: Duration = Duration::from_secs(3);

/// Makes the data folder where it is not there, and this process the only one that has it.
fn lock(folder: &Path) -> Result<File, Error> {
    let wrong = |why: &dyn std::fmt::Display| {
        let folder = folder.display();
        Error::Config(format!("CHATLIFT_EDGE_DATA: {folder}: {why}"))
    };
    std::fs::create_dir_all(folder).map_err(|e| wrong(&e))?;
    let file = File::create(folder.join("lock")).map_err(|e| wrong(&e))?;
    for wait in [true, false] {
        match file.try_lock() {
            Ok(()) => break,
            // One that was killed may have a write to finish.
            Err(TryLockError::WouldBlock) if wait => std::thread::sleep(LOCKED_FOR),
            Err(TryLockError::WouldBlock) => {
                return Err(wrong(
                    &"another process has it: stop that one, or let both share a database and a bucket",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(wrong(&error)),
        }
    }
    Ok(file)
}

impl Native {
    /// Opens the edge over what the settings name.
    ///
    /// # Errors
    /// When a folder, the database or the store cannot be opened.
    pub(crate) async fn open(settings: Settings) -> Result<Self, Error> {
        let client = outgoing::client()?;
        let lock = match settings.store {
            Some(_) => None,
            None => Some(lock(&settings.data)?),
        };
        let (database, nodes) = match settings.database_url {
            Some(url) => {
                let database = Database::open_shared(&url).await?;
                let nodes = Nodes::new(database.pool.clone(), url);
                (database, Some(nodes))
            }
            None => {
                let file = settings.data.join("edge.sqlite");
                (Database::open(&file).await?, None)
            }
        };
        let store = Store::open(settings.store.as_ref(), &settings.data, database.clone()).await?;
        Ok(Self {
            config: settings.config,
            links: Links::new(database.clone(), nodes),
            store,
            directory: Directory(database.clone()),
            database,
            client,
            metrics: Metrics::new()?,
            draining: Cell::new(false),
            page: Page::open(settings.page).await?,
            vaults: Vaults::default(),
            rate_limits: settings.rate_limits,
            counted: RefCell::default(),
            recent: Rc::default(),
            _lock: lock,
        })
    }

    /// Whether it takes requests: database and store answer, and it is not about to end.
    pub(crate) async fn is_ready(&self) -> bool {
        let asked = async {
            sqlx::query("SELECT 1").execute(&self.database.pool).await?;
            let head = self.store.head("probe").await;
            head.map_err(|e| Error::Config(e.to_string()))?;
            Ok::<_, Error>(self.on_disk().await?)
        };
        let answered = tokio::time::timeout(READY_WITHIN, asked).await;
        !self.draining.get() && matches!(answered, Ok(Ok(())))
    }

    /// Waits until all that was decided and begun by now is on the disk: nobody is told of it before.
    ///
    /// # Errors
    /// When it cannot be synced.
    pub(crate) async fn on_disk(&self) -> io::Result<()> {
        let (links, files) = join(self.database.on_disk(), self.store.on_disk()).await;
        links.and(files)
    }

    /// The service over the ports, with the fault that a test asked for.
    pub(crate) fn service(&self, fault: Option<String>) -> Service<Links, Store, Clock> {
        Service {
            links: self.links.clone(),
            bucket: match fault.as_deref() {
                Some(R2_SILENT) => self.store.silent(),
                _ => self.store.clone(),
            },
            world: Clock {
                fault,
                recent: Rc::clone(&self.recent),
            },
        }
    }
}

/// The edge while it answers a request.
pub(crate) struct Answering {
    pub(crate) edge: Rc<Native>,
    pub(crate) peer: IpAddr,
}

impl Runtime for Answering {
    type Body = Body;
    type Feed = Incoming;
    type Links = Links;
    type Bucket = Store;
    type World = Clock;
    type Directory = Directory;
    type StaticFile = StaticFile;

    fn config(&self) -> Result<&Config, Failure> {
        Ok(&self.edge.config)
    }

    fn service(&self, fault: Option<String>) -> Result<Edge<Self>, Failure> {
        Ok(self.edge.service(fault))
    }

    fn directory(&self) -> Result<Directory, Failure> {
        Ok(self.edge.directory.clone())
    }

    async fn disabled_since(&self, app: &AppId) -> Result<Option<Timestamp>, Failure> {
        Ok(self.edge.directory.disabled_since(app).await?)
    }

    async fn enable(&self, app: &AppId) -> Result<(), Failure> {
        Ok(self.edge.directory.enable(app).await?)
    }

    fn memory(&self) -> &'static Account {
        &body::MEMORY
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn random(&self) -> u64 {
        random()
    }

    fn sender(&self, _request: &Request<Body>) -> Option<String> {
        Some(self.peer.to_string())
    }

    /// Counted in minutes that begin with a sender's first request.
    async fn allows(&self, limit: Limit, key: String) -> bool {
        if !self.edge.rate_limits {
            return true;
        }
        let (now, mut counted) = (now(), self.edge.counted.borrow_mut());
        if counted.len() >= COUNTED_MAX {
            counted.retain(|_, (since, _)| now < since.plus(MINUTE));
        }
        let (since, count) = counted.entry((limit, key)).or_insert((now, 0));
        if now >= since.plus(MINUTE) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= per_minute(limit)
    }

    fn count(&self, route: &'static str, problem: &'static str, status: u16) {
        self.edge.metrics.count(route, problem, status);
    }

    fn feed(&self, body: Option<Body>) -> Incoming {
        Incoming::body(body)
    }

    fn stream(&self, body: Body) -> impl Stream<Item = Result<Vec<u8>, std::io::Error>> + 'static {
        body.0.map(|piece| piece.map(Vec::from))
    }

    fn gb18030(&self, bytes: &[u8]) -> Option<String> {
        let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(bytes);
        text.map(std::borrow::Cow::into_owned)
    }

    async fn static_file(
        &self,
        request: &Request<Body>,
        other: Option<&str>,
    ) -> Result<Response<Self>, Failure> {
        let path = match other {
            Some(name) => format!("/{name}"),
            None => request.path().to_owned(),
        };
        let file = self.edge.page.file(&path, &request.headers).await;
        let file = file.map_err(|_| ProblemCode::NotFound)?;
        let mut response = Response::new(edge_http::Body::StaticFile(file));
        *response.status_mut() = StatusCode::OK;
        Ok(response)
    }

    async fn built(&self, name: &'static str) -> Result<String, Failure> {
        let bytes = self.edge.page.read(name).await;
        let bytes = bytes.map_err(|e| Failure::Broken(format!("{name}: {e}")))?;
        String::from_utf8(bytes.into()).map_err(|e| Failure::Broken(format!("{name}: {e}")))
    }

    async fn watch(&self, link: LinkId, command: &For<ReadEvents>) -> Result<Body, Failure> {
        self.edge.links.watch(link, command.clone()).await
    }

    async fn tickets(&self, account: &AccountId) -> Result<Tickets, Failure> {
        let edge = &self.edge;
        edge.vaults
            .tickets(&edge.config, &edge.client, account)
            .await
    }
}
