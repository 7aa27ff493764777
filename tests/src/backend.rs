//! The real business backend, with the first-app demo.

use std::process::Command;
use std::time::Duration;

use xtask::process::Group;
use xtask::root::target;
use xtask::secrets::AppSecrets;

use crate::edge::APP;
use crate::http::send;
use crate::scratch::{Folder, free_port};

/// A running backend.
#[derive(Debug)]
pub struct Backend {
    // Killed before its folder goes.
    group: Option<Group>,
    /// Where it takes webhooks.
    port: u16,
    /// Where it serves the first app.
    app_port: u16,
    token: String,
    command: Command,
    folder: Folder,
}

impl Backend {
    /// Prepares one for an edge; [`Self::start`] starts it.
    #[must_use]
    pub fn new(edge: &str, secrets: &AppSecrets) -> Self {
        let (port, app_port) = (free_port(), free_port());
        let folder = Folder::new("backend");
        let mut command = Command::new(target().join("debug/chatlift-backend"));
        command
            .env("CHATLIFT_EDGE_URL", edge)
            .env("CHATLIFT_APP", APP)
            .env("CHATLIFT_API_KEY", &secrets.api_key)
            .env("CHATLIFT_WEBHOOK_SECRET", &secrets.webhook_secret)
            .env("CHATLIFT_DATA_DIR", folder.path().join("data"))
            .env("CHATLIFT_LISTEN", format!("127.0.0.1:{port}"))
            .env("CHATLIFT_APP_LISTEN", format!("127.0.0.1:{app_port}"))
            .env("CHATLIFT_APP_TOKEN", &secrets.app_token)
            // A machine without namespaces runs it too; its log says which walls stand.
            .env("CHATLIFT_WALLS", "weak")
            .env("CHATLIFT_DEMO", "1");
        Self {
            port,
            app_port,
            token: secrets.app_token.clone(),
            command,
            folder,
            group: None,
        }
    }

    /// The first app's address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.app_port)
    }

    /// The address that opens the first app's page, as `cargo xtask dev` prints it.
    #[must_use]
    pub fn page(&self) -> String {
        format!("{}/#token={}", self.origin(), self.token)
    }

    /// What a request to the first app's API says who it is with.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Where it takes webhooks.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("http://127.0.0.1:{}/webhooks/chatlift", self.port)
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When it is not built, or does not answer.
    pub fn start(&mut self) {
        let log = self.folder.path().join("backend.log");
        let mut group = Group::spawn("business backend", &self.command, &log)
            .unwrap_or_else(|e| panic!("{e}: run `cargo xtask test`"));
        let origin = self.origin();
        group
            .wait_until(Duration::from_secs(30), || {
                send("GET", &format!("{origin}/"), &[], None).is_ok()
            })
            .unwrap_or_else(|e| panic!("{e}"));
        self.group = Some(group);
    }

    /// The last that it printed.
    #[must_use]
    pub fn tail(&self) -> String {
        self.group
            .as_ref()
            .map(|group| group.tail(40))
            .unwrap_or_default()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the backend's last lines:\n{}", self.tail());
        }
    }
}
