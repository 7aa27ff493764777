//! The program as it is shipped, on a port of its own; killed when dropped.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use chatlift_backend::clock::SystemClock;
use chatlift_backend::ports::Clock as _;
use chatlift_shared::EventId;
use chatlift_shared::webhook::{self, Event, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP};

use super::{KEY, SECRET, TOKEN, TestEdge, client};

pub(crate) struct Process {
    pub(crate) child: Child,
    /// Where app and operator are served.
    pub(crate) url: String,
    /// Where the edge's webhooks are taken.
    pub(crate) webhook_url: String,
    pub(crate) http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts with these variables beside the usual ones.
    pub(crate) fn start(data: &Path, edge: &TestEdge, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chatlift-backend"))
            .env_clear()
            .env("CHATLIFT_EDGE_URL", &edge.url)
            .env("CHATLIFT_API_KEY", KEY)
            .env("CHATLIFT_WEBHOOK_SECRET", SECRET)
            .env("CHATLIFT_DATA_DIR", data)
            .env("CHATLIFT_APP_TOKEN", TOKEN)
            .env("CHATLIFT_LISTEN", "127.0.0.1:0")
            .env("CHATLIFT_APP_LISTEN", "127.0.0.1:0")
            .env("CHATLIFT_WALLS", "weak")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let keep = Arc::clone(&log);
        let mut lines = lines.map_while(Result::ok).inspect(move |line| {
            keep.lock().expect("no test panicked").push(line.clone());
        });
        let (webhook, app) = lines
            .by_ref()
            .find_map(|line| {
                let (webhook, app) = line.split_once("serving webhook=")?.1.split_once(" app=")?;
                Some((webhook.to_owned(), app.trim().to_owned()))
            })
            .expect("the program serves");
        // The pipe is read to its end, or the program would stop at a full one.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url: format!("http://{app}"),
            webhook_url: format!("http://{webhook}"),
            http: client(),
            log,
        }
    }

    /// What it has said so far, line by line.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("no test panicked").clone()
    }

    /// Sends an event as the edge does; the status, if there was an answer.
    pub(crate) async fn tell(&self, id: EventId, event: &Event) -> Option<u16> {
        tell(&self.http, &self.webhook_url, id, event).await
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("it is dead");
    }
}

/// Sends an event as the edge does to whoever takes webhooks at `url`; the status, if there was an
/// answer.
pub(crate) async fn tell(
    http: &reqwest::Client,
    url: &str,
    id: EventId,
    event: &Event,
) -> Option<u16> {
    let body = serde_json::to_vec(event).expect("JSON");
    let now = SystemClock.now();
    let signature = webhook::sign(&SECRET.parse().expect("a secret"), id, now, &body);
    let sent = http
        .post(format!("{url}/webhooks/chatlift"))
        .header(HEADER_ID, id.to_string())
        .header(HEADER_TIMESTAMP, now.secs().to_string())
        .header(HEADER_SIGNATURE, signature)
        .body(body)
        .send()
        .await;
    Some(sent.ok()?.status().as_u16())
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
