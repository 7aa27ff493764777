//! The real process, killed with SIGKILL in the middle of a stream of files.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chatlift_backend::clock::SystemClock;
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::Store;
use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::{self, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP};
use serde_json::Value;

use crate::common::{KEY, SECRET, TestEdge, announce, bytes, event_id, file_id, link_id};

const FILES: u8 = 12;

/// The program as it is shipped, on a port of its own; killed when dropped.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(data: &Path, edge: &TestEdge) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chatlift-backend"))
            .env_clear()
            .env("CHATLIFT_EDGE_URL", &edge.url)
            .env("CHATLIFT_API_KEY", KEY)
            .env("CHATLIFT_WEBHOOK_SECRET", SECRET)
            .env("CHATLIFT_DATA_DIR", data)
            .env("CHATLIFT_LISTEN", "127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let address = log
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("serving address=")?.1.trim().to_owned()))
            .expect("the program serves");
        // The pipe is read to its end, or the program would stop at a full one.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Self {
            child,
            url: format!("http://{address}"),
        }
    }

    fn kill(&mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("it is dead");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends an event; whether it was acknowledged.
async fn tell(http: &reqwest::Client, url: &str, n: u8, event: &webhook::Event) -> bool {
    let body = serde_json::to_vec(event).expect("JSON");
    let now = SystemClock.now();
    let signature = webhook::sign(&SECRET.parse().expect("a secret"), event_id(n), now, &body);
    let sent = http
        .post(format!("{url}/webhooks/chatlift"))
        .header(HEADER_ID, event_id(n).to_string())
        .header(HEADER_TIMESTAMP, now.secs().to_string())
        .header(HEADER_SIGNATURE, signature)
        .body(body)
        .send()
        .await;
    sent.is_ok_and(|answer| answer.status() == 204)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_every_file_is_delivered_once() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let mut photo = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(600, 400, |x, y| image::Rgb([x as u8, y as u8, 9]))
        .write_to(&mut photo, image::ImageFormat::Png)
        .expect("a PNG");

    let mut process = Process::start(data.path(), &edge);
    for n in 1..=FILES {
        let (content, media_type, formats) = match n % 2 {
            0 => (photo.get_ref().clone(), "image/png", &["image/jpeg"][..]),
            _ => (bytes(500_000 + usize::from(n)), "application/zip", &[][..]),
        };
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, "a", media_type, &content, formats);
        while !tell(&http, &process.url, n, &event).await {}
        // Killed with this file somewhere on its way; where, chance decides.
        tokio::time::sleep(Duration::from_millis(u64::from(n) * 9)).await;
        process.kill();
        process = Process::start(data.path(), &edge);
    }
    loop {
        let list = http
            .get(format!("{}/app/deliveries", process.url))
            .send()
            .await;
        let list: Vec<Value> = list.expect("an answer").json().await.expect("JSON");
        if list.len() == usize::from(FILES) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    process.kill();

    let store = Store::open(&data.path().join("chatlift.db"))
        .await
        .expect("the store");
    let feed = store.feed_after(link_id(), 0).await.expect("the feed");
    for kind in ["uploaded", "received", "converted", "delivered"] {
        let told = feed.iter().filter(|e| e.kind == kind).count();
        assert_eq!(told, usize::from(FILES), "{kind}");
    }
    for delivery in store.deliveries(None).await.expect("the store") {
        let path = data
            .path()
            .join("deliveries")
            .join(delivery.file.to_string());
        let file = std::fs::read(path).expect("the delivery");
        assert_eq!(Sha256::of(&file), delivery.product.sha256);
        assert_eq!(file.len() as u64, delivery.product.size);
    }
    assert_eq!(
        std::fs::read_dir(data.path().join("work"))
            .expect("the folder")
            .count(),
        0
    );
}
