//! Who sends to whom: our page and what others send files with, each to the server that it is used with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::{ANY_FILE, Setup};
use chatlift_tests::network::Network;
use chatlift_tests::outside::{rustus, script, serving};
use chatlift_tests::scratch::{Folder, free_port, wait_for};
use chatlift_tests::stage::Stage;
use serde_json::json;
use xtask::process::Group;

/// Longest that one upload takes.
const SENT_WITHIN: Duration = Duration::from_secs(900);

/// Notes, in milliseconds of one clock, when a page was told to send and when all was there.
const WATCH: &str = "
    window.bench = {};
    const [confirm, success] = arguments;
    document.querySelector(confirm)?.addEventListener('click', () => { bench.start = Date.now(); }, true);
    new MutationObserver(() => {
      if (!bench.end && document.querySelector(success)) { bench.end = Date.now(); bench.how = 'yes'; }
    }).observe(document.documentElement, { subtree: true, childList: true, attributes: true });
    Object.defineProperty(window, 'ended', {
      set(how) { bench.end = Date.now(); bench.how = how; },
    });";

/// What tus-js-client's page is made of where the server has no such page: an input, and the same way to send.
const TUS: &str = "
    window.go = () => {
      const queue = [...document.querySelector('#pick').files];
      const send = (file) => new Promise((onSuccess, onError) => {
        const upload = new tus.Upload(file, { endpoint: window.endpoint, chunkSize: 50 * 1024 * 1024,
          retryDelays: [0, 1000, 3000, 5000, 10000, 20000],
          metadata: { filename: file.name }, onSuccess, onError });
        upload.findPreviousUploads().then(([begun]) => {
          if (begun) upload.resumeFromPreviousUpload(begun);
          upload.start();
        }, onError);
      });
      Promise.all([1, 2, 3].map(async () => { while (queue.length) await send(queue.shift()); }))
        .then(() => { window.ended = 'yes'; }, (e) => { window.ended = String(e); });
    };";

/// The same for a request to a worker.
const BARE: &str = "
    window.go = () => {
      const send = (file) => fetch(window.endpoint, { method: 'POST', body: file }).then((answer) => {
        if (!answer.ok) throw answer.status;
      });
      Promise.all([...document.querySelector('#pick').files].map(send))
        .then(() => { window.ended = 'yes'; }, (e) => { window.ended = String(e); });
    };";

/// A sender and its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// An `XMLHttpRequest` for each file, to a server that writes it to a file: the least that there is.
    Bare,
    /// A request for each file, to a worker that streams it into the R2 that our edge has in workerd.
    BareWorker,
    /// Our page, on the edge in workerd.
    PageWorkerd,
    /// Our page, on the native edge as it is shipped.
    PageNative,
    /// Uppy's Dashboard with @uppy/tus, to @tus/server.
    Uppy,
    /// tus-js-client, to @tus/server.
    TusServer,
    /// FilePond, to a server that writes what it sends to a file.
    FilePond,
    /// tus-js-client, to rustus.
    TusRustus,
    /// tus-js-client, to our edge in workerd.
    TusWorkerd,
    /// tus-js-client, to our native edge.
    TusNative,
}

impl Peer {
    pub(crate) const ALL: [Self; 10] = [
        Self::Bare,
        Self::BareWorker,
        Self::PageWorkerd,
        Self::PageNative,
        Self::Uppy,
        Self::TusServer,
        Self::FilePond,
        Self::TusRustus,
        Self::TusWorkerd,
        Self::TusNative,
    ];

    /// Its name in tables and plots.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare XHR → disk",
            Self::BareWorker => "bare request → workerd's R2",
            Self::PageWorkerd => "Chatlift → workerd",
            Self::PageNative => "Chatlift → native edge",
            Self::Uppy => "Uppy → @tus/server",
            Self::TusServer => "tus-js-client → @tus/server",
            Self::FilePond => "FilePond → disk",
            Self::TusRustus => "tus-js-client → rustus",
            Self::TusWorkerd => "tus-js-client → workerd",
            Self::TusNative => "tus-js-client → native edge",
        }
    }

    /// Whether its page is a page of its own that can be visited, and not ours filled with another sender.
    pub(crate) const fn has_page(self) -> bool {
        !matches!(
            self,
            Self::TusRustus | Self::TusWorkerd | Self::TusNative | Self::BareWorker
        )
    }

    /// Whether the sender is our page.
    pub(crate) const fn is_ours(self) -> bool {
        matches!(self, Self::PageWorkerd | Self::PageNative)
    }

    /// Whether it goes on after its connection broke.
    pub(crate) const fn goes_on(self) -> bool {
        !matches!(self, Self::Bare | Self::BareWorker | Self::FilePond)
    }

    /// The selector of its input.
    const fn input(self) -> &'static str {
        match self {
            Self::Uppy => ".uppy-Dashboard-input",
            Self::FilePond => ".filepond--browser",
            _ => "#pick",
        }
    }
}

/// All servers, each in a folder of its own that goes with it.
#[derive(Debug)]
pub(crate) struct Servers {
    workerd: Stage,
    bare_worker: Stage,
    native: Stage,
    others: Group,
    others_port: u16,
    rustus: Option<(Group, u16)>,
    tus_js: String,
    _folder: Folder,
}

impl Servers {
    /// Starts all. Without rustus where that could not be installed.
    pub(crate) fn start() -> Self {
        let folder = Folder::new("peers");
        let (others_port, rustus_port) = (free_port(), free_port());
        let mut node = Command::new("node");
        node.arg(script("compared/pages.mjs"))
            .arg(others_port.to_string())
            .arg(folder.path().join("others"));
        let rustus = xtask::tools::RUSTUS.path().exists().then(|| {
            let data = folder.path().join("rustus");
            std::fs::create_dir_all(&data).expect("a folder");
            let log = folder.path().join("rustus.log");
            let group = serving(&rustus(rustus_port, &data), rustus_port, &log);
            (group, rustus_port)
        });
        let tus_js = xtask::root::at("node_modules/tus-js-client/dist/tus.min.js");
        Self {
            workerd: Stage::new("peers-workerd"),
            bare_worker: Stage::with(Setup::new("peers-bare").with_bare_worker()),
            native: Stage::with(Setup::new("peers-native").native_by(xtask::native::shipped())),
            others: serving(&node, others_port, &folder.path().join("others.log")),
            others_port,
            rustus,
            tus_js: std::fs::read_to_string(tus_js).expect("tus-js-client"),
            _folder: folder,
        }
    }

    /// Whether the peer's server runs.
    pub(crate) fn has(&self, peer: Peer) -> bool {
        peer != Peer::TusRustus || self.rustus.is_some()
    }

    fn stage(&self, peer: Peer) -> Option<&Stage> {
        match peer {
            Peer::PageWorkerd | Peer::TusWorkerd => Some(&self.workerd),
            Peer::PageNative | Peer::TusNative => Some(&self.native),
            Peer::BareWorker => Some(&self.bare_worker),
            _ => None,
        }
    }

    /// The server of a peer that is none of ours, with its program's name and its port. Those of npm are one process.
    fn other(&self, peer: Peer) -> (&Group, &'static str, u16) {
        match (peer, &self.rustus) {
            (Peer::TusRustus, Some((group, port))) => (group, "rustus", *port),
            _ => (&self.others, "node", self.others_port),
        }
    }

    /// The server's address, without a slash at the end.
    pub(crate) fn origin(&self, peer: Peer) -> String {
        match (self.stage(peer), self.other(peer)) {
            (Some(stage), _) => stage.edge.origin(),
            (None, (.., port)) => format!("http://127.0.0.1:{port}"),
        }
    }

    /// The page's address, of a link of its own where it is an edge's.
    pub(crate) fn url(&self, peer: Peer) -> String {
        let page = match (self.stage(peer), peer) {
            (Some(stage), Peer::BareWorker) => return stage.edge.origin() + "/",
            (Some(stage), _) => return stage.edge.app().link(ANY_FILE).url,
            (None, Peer::Uppy) => "uppy",
            (None, Peer::TusServer) => "tus",
            (None, Peer::FilePond) => "filepond",
            (None, Peer::TusRustus) => "health",
            (None, _) => "bare",
        };
        format!("{}/{page}", self.origin(peer))
    }

    /// Processor time that the peer's server has used.
    pub(crate) fn cpu(&self, peer: Peer) -> Duration {
        match (self.stage(peer), self.other(peer)) {
            (Some(stage), _) => stage.edge.cpu(),
            (None, (group, ..)) => group.cpu(|_| true),
        }
    }

    /// The most memory that the peer's server has had, in bytes.
    pub(crate) fn peak(&self, peer: Peer) -> u64 {
        match (self.stage(peer), self.other(peer)) {
            (Some(stage), _) => stage.edge.peak(),
            (None, (group, program, _)) => group.peak(program),
        }
    }
}

/// A page with files picked, that has not begun to send.
#[derive(Debug)]
pub(crate) struct Ready<'a> {
    peer: Peer,
    servers: &'a Servers,
    /// Of the page, by way of the network where there is one.
    url: String,
    files: Vec<PathBuf>,
    pub(crate) phone: Browser,
}

impl<'a> Ready<'a> {
    /// Opens the peer's page, by way of a network where there is one, and picks the files that `make` writes into a
    /// folder.
    pub(crate) fn new(
        peer: Peer,
        servers: &'a Servers,
        network: Option<&Network>,
        make: impl FnOnce(&Path) -> Vec<PathBuf>,
    ) -> Self {
        let phone = Browser::english();
        let url = servers.url(peer);
        let ready = Self {
            peer,
            servers,
            url: network.map_or(url.clone(), |network| network.url(&url)),
            files: make(phone.folder()),
            phone,
        };
        ready.open();
        ready
    }

    /// Opens the page and picks the files, at first or again.
    pub(crate) fn open(&self) {
        let Self {
            peer,
            servers,
            url,
            files,
            phone,
        } = self;
        let origin: String = url.split_inclusive('/').take(3).collect();
        let origin = origin.trim_end_matches('/');
        let script = |script: &str, args: serde_json::Value| {
            let _ = phone.session().script(script, &args);
        };
        if peer.has_page() {
            phone.open(url);
        } else {
            // A page of the server's origin that has nothing in it.
            let (open, endpoint) = match peer {
                Peer::BareWorker => (url.clone(), url.clone()),
                Peer::TusRustus => (url.clone(), format!("{origin}/files")),
                _ => (format!("{origin}/healthz"), format!("{url}/tus")),
            };
            phone.open(&open);
            let input = "document.body.innerHTML = '<input type=file id=pick multiple>';
                window.endpoint = arguments[0];";
            script(input, json!([endpoint]));
            if *peer == Peer::BareWorker {
                script(BARE, json!([]));
            } else {
                script(&servers.tus_js, json!([]));
                script(TUS, json!([]));
            }
        }
        phone.pick_with(peer.input(), files);
        if peer.is_ours() {
            phone.sees(&row("ready"), files.len() as u64);
        }
        script(WATCH, json!([mark("confirm"), mark("success")]));
    }

    /// Has it send.
    pub(crate) fn send(&self) {
        if self.peer.is_ours() {
            self.phone.click(&mark("confirm"));
        } else {
            let go = "bench.start = Date.now(); go();";
            let _ = self.phone.session().script(go, &json!([]));
        }
    }

    /// Waits until all is there; answers when it was told to send and when that was, in milliseconds since 1970.
    ///
    /// # Panics
    /// When it fails.
    pub(crate) fn ended(&self) -> (i64, i64) {
        let bench = wait_for("the end of an upload", SENT_WITHIN, || {
            let bench = self
                .phone
                .session()
                .script("return window.bench", &json!([]));
            bench["end"].is_number().then_some(bench)
        });
        assert_eq!(bench["how"], "yes", "{}", self.peer.name());
        let at = |name: &str| bench[name].as_i64().unwrap_or_default();
        (at("start"), at("end"))
    }

    /// Seconds of processor time so far: of the page's process, of all of the browser, and of the server.
    pub(crate) fn cpu(&self) -> [f64; 3] {
        let session = self.phone.session();
        let page = session.cpu(|line| line.contains("--type=renderer"));
        let all = session.cpu(|_| true);
        [page, all, self.servers.cpu(self.peer)].map(|used| used.as_secs_f64())
    }
}
