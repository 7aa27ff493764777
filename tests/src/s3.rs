//! A store that speaks S3, with one bucket in a folder, which can be told to fail.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

use crate::scratch::Folder;

/// The bucket.
const BUCKET: &str = "files";

/// A running store.
#[derive(Debug)]
pub struct S3 {
    folder: Folder,
    address: SocketAddr,
    fails: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl S3 {
    /// Starts an empty one.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        std::fs::create_dir(folder.path().join(BUCKET)).expect("a bucket");
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a folder");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single("id", "secret"));
        let service = service.build();
        let fails = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let failed = Arc::new(AtomicU64::new(0));
        let (failing, counted) = (Arc::clone(&fails), Arc::clone(&failed));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                let (failing, counted) = (Arc::clone(&failing), Arc::clone(&counted));
                let answer = service_fn(move |request: Request<Incoming>| {
                    let service = service.clone();
                    let (failing, counted) = (Arc::clone(&failing), Arc::clone(&counted));
                    async move {
                        if failing.load(Ordering::Relaxed) {
                            counted.fetch_add(1, Ordering::Relaxed);
                            let mut failed = Response::new(s3s::Body::empty());
                            *failed.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                            return Ok::<_, s3s::HttpError>(failed);
                        }
                        let query = request.uri().query().unwrap_or_default();
                        let aborts =
                            request.method() == Method::DELETE && query.contains("uploadId=");
                        // As S3 does, it ends what it began although nobody waits any more: its client may
                        // have been killed, and an object is there whole or not at all.
                        let call = async move { service.call(request.map(s3s::Body::from)).await };
                        let mut answer = tokio::spawn(call).await.expect("no panic")?;
                        if aborts && answer.status() == StatusCode::FORBIDDEN {
                            // As S3 answers of an upload that is gone.
                            *answer.status_mut() = StatusCode::NOT_FOUND;
                        }
                        Ok(answer)
                    }
                });
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        Self {
            folder,
            address,
            fails,
            failed,
            _runtime: runtime,
        }
    }

    /// From now on it answers everything with 503, or no longer.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    /// Requests that it has answered with 503.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What an edge is told of it.
    #[must_use]
    pub fn vars(&self) -> Vec<(String, String)> {
        self.vars_at(&self.origin())
    }

    /// As [`Self::vars`], with an address that leads to it.
    #[must_use]
    pub fn vars_at(&self, origin: &str) -> Vec<(String, String)> {
        let store = format!("s3://{BUCKET}?endpoint={origin}&region=us-east-1");
        [
            ("STORE", store.as_str()),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// The objects that it has.
    #[must_use]
    pub fn objects(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(&self.folder.path().join(BUCKET), &mut found);
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}
