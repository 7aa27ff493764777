//! The edge in real workerd, started as a developer would start it, with apps, keys and state of
//! its own; and its death by `kill -9`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use chatlift_shared::mac::KeyRing;
use serde_json::{Value, json};
use xtask::process::Group;
use xtask::secrets::{AppSecrets, app_secrets, link_keys, webhook_key, write_env};
use xtask::{native, workerd};

use crate::client::App;
use crate::disk::Disk;
use crate::fixtures::DOCX;
use crate::http::send;
use crate::scratch::{Folder, free_port};

/// How long it may take to answer; on a busy machine workerd has taken 10 s.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// The app that most scenarios play.
pub const APP: &str = "demo";
/// Another tenant, that must see nothing of the first.
pub const OTHER_APP: &str = "other";

/// An origin whose pages may upload to links of [`APP`].
pub const ORIGIN: &str = "https://app.example";

/// A scene whose links are forgotten a second after they and their files have ended.
pub const BRIEF: &str = "brief";

/// Documents and pictures, 10 of at most [`DOCUMENT_MAX`].
pub const DOCUMENTS: &str = "claim-documents";
/// Anything, 20 of at most 1 GiB.
pub const ANY_FILE: &str = "any-file";
/// Anything, 20 of at most 1,000 bytes.
pub const SMALL: &str = "small-files";
/// Anything, but one.
pub const ONE_FILE: &str = "one-file";
/// One file of at most 8 GiB.
pub const LARGE: &str = "large-file";
/// Anything, as many as a link can take.
pub const MANY_FILES: &str = "many-files";

/// Pages that become one PDF, 5 files at most, and a note with them.
pub const PAGES: &str = "claim-pages";

/// Where the scene [`ONE_FILE`] leads back to.
pub const BACK: &str = "https://app.example/claims/7";

/// Largest file of [`DOCUMENTS`], in bytes: in parts, and little to send too much.
pub const DOCUMENT_MAX: u64 = 20 * 1024 * 1024;

/// What the app of [`DOCUMENTS`] can use, best first.
pub const DOCUMENT_FORMATS: [&str; 2] = ["image/jpeg", "application/pdf"];

/// The apps of the scenarios, as the edge's `APPS` has them.
#[must_use]
pub fn apps(webhook_url: &str) -> Value {
    let names = |en: &str, zh: &str| json!({ "en": en, "zh-CN": zh });
    let scene = |id: &str, title: Value, accept: &[&str], size: u64, files: u32| {
        json!({
            "id": id, "title": title, "hint": names("A hint.", "提示。"), "accept": accept,
            "max_file_size": size, "max_files": files, "link_lifetime": 604_800,
            "record_retention": if id == BRIEF { json!(1) } else { Value::Null },
            "formats": if id == DOCUMENTS { json!(DOCUMENT_FORMATS) } else { json!([]) },
            "return_url": if id == ONE_FILE { json!(BACK) } else { Value::Null }
        })
    };
    let documents = scene(
        DOCUMENTS,
        names("Documents for your claim", "理赔材料"),
        &["application/pdf", "image/*", DOCX],
        DOCUMENT_MAX,
        10,
    );
    let any = scene(
        ANY_FILE,
        names("Any file", "任意文件"),
        &["*/*"],
        1 << 30,
        20,
    );
    let brief = scene(BRIEF, names("Brief", "短暂"), &["*/*"], 1 << 30, 20);
    let small = scene(SMALL, names("Small", "小文件"), &["*/*"], 1_000, 20);
    let one = scene(
        ONE_FILE,
        names("One file", "一个文件"),
        &["*/*"],
        1 << 30,
        1,
    );
    let large = scene(
        LARGE,
        names("A large file", "一个大文件"),
        &["*/*"],
        8 << 30,
        1,
    );
    let many = scene(
        MANY_FILES,
        names("Many files", "许多文件"),
        &["*/*"],
        1 << 30,
        500,
    );
    let mut pages = scene(
        PAGES,
        names("Pages of a letter", "多页信件"),
        &["application/pdf", "image/*", "application/zip", DOCX],
        DOCUMENT_MAX,
        5,
    );
    pages["formats"] = json!(["application/pdf"]);
    pages["join"] = json!("pdf");
    pages["note"] = json!(true);
    json!([
        { "id": APP, "origins": [ORIGIN], "name": names("Harbour Insurance", "海港保险"), "webhook_url": webhook_url,
          "scenes": [documents, any, brief, small, one, large, many, pages] },
        { "id": OTHER_APP, "name": names("Other", "其他"), "webhook_url": webhook_url,
          "scenes": [any] }
    ])
}

/// What an edge is started with.
#[derive(Debug)]
pub struct Setup {
    port: u16,
    folder: Folder,
    keys: String,
    /// Secrets of [`APP`].
    pub app: AppSecrets,
    /// Secrets of [`OTHER_APP`].
    pub other_app: AppSecrets,
    /// More variables of the edge.
    vars: Vec<(String, String)>,
    /// The webhook secret of [`APP`] that goes with the next rotation.
    old_secret: String,
    /// What signs webhooks of [`APP`] with `v1a`.
    webhook_key: String,
    /// What stands after the project's wrangler.toml.
    wrangler: String,
    /// More static assets.
    assets: Vec<(String, Vec<u8>)>,
    /// A module that stands before the built worker, `built.js`, and takes its requests.
    module: Option<&'static str>,
    /// How large its disk is, in bytes, if it has one of its own.
    disk: Option<u64>,
    /// The native edge's program, where that runs in place of workerd.
    native: Option<PathBuf>,
}

impl Setup {
    /// Draws keys and picks a port.
    ///
    /// # Panics
    /// When the machine has none.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            port: free_port(),
            folder: Folder::new(name),
            keys: link_keys().expect("random bytes"),
            app: AppSecrets::random().expect("random bytes"),
            other_app: AppSecrets::random().expect("random bytes"),
            vars: Vec::new(),
            old_secret: AppSecrets::random().expect("random bytes").webhook_secret,
            webhook_key: webhook_key().expect("random bytes"),
            wrangler: String::new(),
            assets: Vec::new(),
            module: None,
            disk: None,
            native: std::env::var_os(NATIVE).map(PathBuf::from),
        }
    }

    /// As the native edge, whatever the other scenarios run on.
    #[must_use]
    pub fn native(mut self) -> Self {
        self.native.get_or_insert_with(native::program);
        self
    }

    /// As another build of the native edge, such as the one that is shipped.
    #[must_use]
    pub fn native_by(mut self, program: PathBuf) -> Self {
        self.native = Some(program);
        self
    }

    /// With a disk of its own for its state, of so many bytes.
    #[must_use]
    pub fn with_disk(mut self, bytes: u64) -> Self {
        self.disk = Some(bytes);
        self
    }

    /// With Durable Objects that end in the middle of a call where a request wants it (`resets.mjs`).
    #[must_use]
    pub fn with_object_resets(mut self) -> Self {
        self.module = Some(include_str!("resets.mjs"));
        self
    }

    /// With a worker in the edge's place that streams each `POST` into the edge's bucket, and does no more.
    #[must_use]
    pub fn with_bare_worker(mut self) -> Self {
        self.module = Some(include_str!("bare_worker.mjs"));
        self
    }

    /// With more in wrangler.toml.
    #[must_use]
    pub fn with_wrangler(mut self, more: &str) -> Self {
        self.wrangler.push_str(more);
        self
    }

    /// With one more variable of the edge.
    #[must_use]
    pub fn with_var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With signing keys of one's own, such as none at all.
    #[must_use]
    pub fn with_keys(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.keys);
        self
    }

    /// With one more file under `/assets/`, such as a page of another client.
    #[must_use]
    pub fn with_asset(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.assets.push((name.to_owned(), bytes));
        self
    }

    /// The edge's address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts the edge and waits until it answers.
    ///
    /// # Panics
    /// When the worker is not built, or does not answer.
    #[must_use]
    pub fn start(self, webhook_url: &str) -> Edge {
        let project = self.folder.path().join("project");
        fs::create_dir_all(&project).expect("a folder for the project");
        // A copy, with what this edge has of its own.
        for built in ["wrangler.toml", "edge/build", "dist"] {
            copy(&xtask::root::at(built), &project.join(built))
                .unwrap_or_else(|e| panic!("{built}: {e}; run `cargo xtask test`"));
        }
        for (name, bytes) in &self.assets {
            fs::write(project.join("dist/assets").join(name), bytes).expect("an asset");
        }
        if let Some(module) = self.module {
            let worker = project.join("edge/build");
            fs::rename(worker.join("index.js"), worker.join("built.js")).expect("the built worker");
            fs::write(worker.join("index.js"), module).expect("a module");
        }
        let env = self.folder.path().join("edge.env");
        let config = project.join("wrangler.toml");
        let text = fs::read_to_string(&config).expect("wrangler.toml");
        fs::write(&config, text + &self.wrangler).expect("wrangler.toml");
        let secrets = app_secrets(&[(APP, &self.app), (OTHER_APP, &self.other_app)]);
        let mut secrets: Value = serde_json::from_str(&secrets).expect("JSON");
        secrets[APP]["webhook_secrets"] = json!([self.app.webhook_secret, self.old_secret]);
        secrets[APP]["webhook_keys"] = json!([self.webhook_key]);
        let secrets = secrets.to_string();
        let apps = apps(webhook_url).to_string();
        let mut vars = vec![
            ("APPS", &*apps),
            ("LINK_KEYS", &*self.keys),
            ("APP_SECRETS", &*secrets),
            ("FAULTS", "on"),
        ];
        vars.extend(self.vars.iter().map(|(name, value)| (&**name, &**value)));
        write_env(&env, &vars).expect("the edge's variables");
        let state = self.folder.path().join("state");
        let command = match self.native.clone() {
            Some(program) => Runs::Native(native::Edge {
                program,
                port: self.port,
                state,
                page: project.join("dist"),
                vars: vars
                    .iter()
                    .map(|(n, v)| (n.to_string(), v.to_string()))
                    .collect(),
            }),
            None => Runs::Workers(workerd::Edge {
                project,
                port: self.port,
                state,
                scratch: self.folder.path().join("tmp"),
                env_file: Some(env),
            }),
        };
        let state = self.folder.path().join("state");
        let mut edge = Edge {
            disk: self.disk.map(|bytes| Disk::new(&state, bytes)),
            log: self.folder.path().join("edge.log"),
            setup: self,
            command,
            group: None,
        };
        edge.start();
        edge
    }
}

/// Whether the edge of these tests is the native one.
#[must_use]
pub fn is_native() -> bool {
    std::env::var_os(NATIVE).is_some()
}

/// Variable with the native edge's program: what runs in place of workerd, where it is set.
const NATIVE: &str = "CHATLIFT_TESTS_NATIVE";

/// Which edge runs.
#[derive(Debug)]
enum Runs {
    Workers(workerd::Edge),
    Native(native::Edge),
}

impl Runs {
    fn command(&self) -> Command {
        match self {
            Self::Workers(edge) => edge.command(),
            Self::Native(edge) => edge.command(),
        }
    }
}

/// Copies a file or a folder with all in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(|_| ());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// A running edge, or one that was killed.
#[derive(Debug)]
pub struct Edge {
    // Killed before its disk and its folder go.
    group: Option<Group>,
    disk: Option<Disk>,
    command: Runs,
    log: PathBuf,
    setup: Setup,
}

impl Edge {
    /// Starts it on the state that it has.
    ///
    /// # Panics
    /// When it does not answer, with its last lines; soon, when it has ended.
    pub fn start(&mut self) {
        let command = self.command.command();
        let command = match &self.disk {
            Some(disk) => disk.run(&command),
            None => command,
        };
        let mut group = Group::spawn("edge", &command, &self.log).expect("a program");
        let probe = format!("{}/healthz", self.origin());
        let started = group.wait_until(READY_WITHIN, || send("GET", &probe, &[], None).is_ok());
        started.unwrap_or_else(|why| panic!("{why}"));
        self.group = Some(group);
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.group = None;
    }

    /// Its disk, if it has one of its own.
    #[must_use]
    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        self.setup.origin()
    }

    /// The first app's backend, as a client of the API.
    #[must_use]
    pub fn app(&self) -> App {
        App::new(self.origin(), self.setup.app.api_key.clone())
    }

    /// What signs the first app's webhooks.
    #[must_use]
    pub fn webhook_secret(&self) -> &str {
        &self.setup.app.webhook_secret
    }

    /// The other tenant's.
    #[must_use]
    pub fn other_app(&self) -> App {
        App::new(self.origin(), self.setup.other_app.api_key.clone())
    }

    /// The keys that sign links, to mint what the edge would not.
    ///
    /// # Panics
    /// Never, since the edge has started with them.
    #[must_use]
    pub fn keys(&self) -> KeyRing {
        KeyRing::parse(&self.setup.keys).expect("a key ring")
    }

    /// Memory that workerd, or the native edge, has in RAM, in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let group = self.group.as_ref();
        group.map_or(0, |group| group.resident(self.program()))
    }

    /// The most that it has had in RAM since it was started, in bytes.
    #[must_use]
    pub fn peak(&self) -> u64 {
        let group = self.group.as_ref();
        group.map_or(0, |group| group.peak(self.program()))
    }

    /// The name of its process.
    fn program(&self) -> &'static str {
        match self.command {
            Runs::Workers(_) => "workerd",
            Runs::Native(_) => "chatlift-edge",
        }
    }

    /// Processor time that the native edge has used since it was started, or workerd for it: for the worker, its
    /// objects, and what stands here for R2.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let is = |line: &str| match &self.command {
            Runs::Workers(_) => line.contains("workerd serve"),
            // The first word; who watches over it has it as a later one.
            Runs::Native(edge) => line.starts_with(&*edge.program.to_string_lossy()),
        };
        let group = self.group.as_ref();
        group.map_or(Duration::ZERO, |group| group.cpu(is))
    }

    /// Where workerd keeps objects of R2 and of Durable Objects.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.setup.folder.path().join("state")
    }

    /// The keys that sign links, as the edge's variable has them.
    #[must_use]
    pub fn link_keys(&self) -> &str {
        &self.setup.keys
    }

    /// The API key of the first app.
    #[must_use]
    pub fn api_key(&self) -> String {
        self.setup.app.api_key.clone()
    }

    /// The webhook secrets of the first app that are live.
    #[must_use]
    pub fn webhook_secrets(&self) -> [String; 2] {
        let setup = &self.setup;
        [setup.app.webhook_secret.clone(), setup.old_secret.clone()]
    }

    /// Whether any object in the bucket has exactly this content: workerd keeps each as a file.
    #[must_use]
    pub fn bucket_holds(&self, content: &[u8]) -> bool {
        fn any(folder: &Path, content: &[u8]) -> bool {
            fs::read_dir(folder).is_ok_and(|entries| {
                entries.flatten().any(|entry| {
                    let path = entry.path();
                    if path.is_dir() {
                        any(&path, content)
                    } else {
                        fs::read(&path).is_ok_and(|bytes| bytes == content)
                    }
                })
            })
        }
        any(&self.state(), content)
    }

    /// All that it printed.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The last that it printed, and where the rest is: few lines, or what they follow is cut from a report.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(12)..].join("\n");
        format!("{last}\n(all of it: {})", self.log.display())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the edge's last lines:\n{}", self.tail());
        }
    }
}
