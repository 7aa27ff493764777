//! Native edges that share a database and a store, behind a proxy that hands each connection to the next.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use xtask::native;
use xtask::process::Group;
use xtask::root::at;
use xtask::secrets::{AppSecrets, app_secrets, link_keys};

use crate::client::App;
use crate::edge::{APP, OTHER_APP, apps};
use crate::scratch::{Folder, free_port};

/// How long a node may take to listen.
const WITHIN: Duration = Duration::from_secs(60);

/// The nodes.
#[derive(Debug)]
pub struct Nodes {
    edges: Vec<native::Edge>,
    running: Vec<Mutex<Option<Group>>>,
    origin: String,
    app: AppSecrets,
    folder: Folder,
}

impl Nodes {
    /// Starts `count` nodes with more variables than each edge has.
    ///
    /// # Panics
    /// When one does not answer.
    #[must_use]
    pub fn start(
        name: &str,
        count: usize,
        app: AppSecrets,
        webhook_url: &str,
        vars: &[(String, String)],
    ) -> Self {
        let folder = Folder::new(name);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let origin = format!("http://127.0.0.1:{port}");
        let other = AppSecrets::random().expect("random bytes");
        let mut all = BTreeMap::from([
            ("APPS".to_owned(), apps(webhook_url).to_string()),
            ("LINK_KEYS".to_owned(), link_keys().expect("random bytes")),
            (
                "APP_SECRETS".to_owned(),
                app_secrets(&[(APP, &app), (OTHER_APP, &other)]),
            ),
            ("PUBLIC_URL".to_owned(), origin.clone()),
        ]);
        all.extend(vars.iter().cloned());
        let edges: Vec<_> = (0..count)
            .map(|n| native::Edge {
                program: std::env::var_os("CHATLIFT_TESTS_NATIVE")
                    .map_or_else(native::program, PathBuf::from),
                port: free_port(),
                state: folder.path().join(format!("node-{n}")),
                page: at("dist"),
                vars: all.clone().into_iter().collect(),
            })
            .collect();
        proxy(listener, edges.iter().map(|edge| edge.port).collect());
        let nodes = Self {
            running: edges.iter().map(|_| Mutex::default()).collect(),
            edges,
            origin,
            app,
            folder,
        };
        for n in 0..count {
            nodes.start_node(n);
        }
        nodes
    }

    /// Starts a node and waits until it listens.
    ///
    /// # Panics
    /// When it does not, with its last lines.
    pub fn start_node(&self, n: usize) {
        let edge = &self.edges[n];
        let log = self.folder.path().join(format!("node-{n}.log"));
        let mut group = Group::spawn("node", &edge.command(), &log).expect("the native edge");
        let address = (Ipv4Addr::LOCALHOST, edge.port);
        group
            .wait_until(WITHIN, || TcpStream::connect(address).is_ok())
            .unwrap_or_else(|e| panic!("{e}"));
        *self.running[n]
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(group);
    }

    /// `kill -9` to a node.
    pub fn kill(&self, n: usize) {
        *self.running[n]
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Asks a node to end.
    ///
    /// # Panics
    /// When there is no `kill`.
    pub fn terminate(&self, n: usize) {
        let running = self.running[n]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = &*running {
            group.terminate();
        }
    }

    /// Whether a node has ended by itself.
    #[must_use]
    pub fn has_ended(&self, n: usize) -> bool {
        let mut running = self.running[n]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running
            .as_mut()
            .is_none_or(|group| group.exited().is_some())
    }

    /// The command that runs a node.
    #[must_use]
    pub fn command(&self, n: usize) -> Command {
        self.edges[n].command()
    }

    /// The folder of a node's data.
    #[must_use]
    pub fn state(&self, n: usize) -> &Path {
        &self.edges[n].state
    }

    /// The app, by way of the proxy.
    #[must_use]
    pub fn app(&self) -> App {
        App::new(self.origin.clone(), self.app.api_key.clone())
    }

    /// The address of one node, without a slash at the end.
    #[must_use]
    pub fn node(&self, n: usize) -> String {
        format!("http://127.0.0.1:{}", self.edges[n].port)
    }

    /// The proxy's address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What all nodes have printed.
    #[must_use]
    pub fn log(&self) -> String {
        let log = |n| std::fs::read_to_string(self.folder.path().join(format!("node-{n}.log")));
        (0..self.edges.len()).filter_map(|n| log(n).ok()).collect()
    }
}

/// Hands each connection to the next node that takes it.
fn proxy(listener: TcpListener, ports: Vec<u16>) {
    let next = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let first = next.fetch_add(1, Ordering::Relaxed);
            let node = (0..ports.len()).find_map(|more| {
                let port = ports[(first + more) % ports.len()];
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
            });
            let Some(node) = node else {
                continue;
            };
            let ways = [
                (client.try_clone(), node.try_clone()),
                (node.try_clone(), client.try_clone()),
            ];
            for (from, to) in ways {
                std::thread::spawn(move || {
                    let (Ok(mut from), Ok(mut to)) = (from, to) else {
                        return;
                    };
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
}
