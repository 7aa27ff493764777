//! The real process, killed with SIGKILL in the middle of a stream of files.

use std::time::Duration;

use chatlift_backend::store::Store;
use chatlift_shared::digest::Sha256;
use serde_json::Value;

use crate::common::process::Process;
use crate::common::{TestEdge, announce, bytes, client, event_id, file_id, link_id};

/// How often the process is killed when `CHATLIFT_TEST_KILLS` says nothing; 200 take some minutes.
const KILLS: usize = 12;
/// Files that stream in meanwhile: each is sent again to see that it is not delivered again.
const FILES: u8 = 120;

/// Whether the process says that no job is under way.
async fn all_done(url: &str, http: &reqwest::Client) -> bool {
    let text = http.get(format!("{url}/metrics")).send().await;
    let text = text.expect("an answer").text().await.expect("text");
    ["fetch", "scan", "convert", "deliver"]
        .iter()
        .all(|stage| text.contains(&format!("chatlift_jobs{{stage=\"{stage}\"}} 0")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_every_file_is_delivered_once() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let http = client();
    let mut photo = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(600, 400, |x, y| image::Rgb([x as u8, y as u8, 9]))
        .write_to(&mut photo, image::ImageFormat::Png)
        .expect("a PNG");

    let kills: usize = std::env::var("CHATLIFT_TEST_KILLS")
        .map_or(KILLS, |n| n.parse().expect("a number of kills"));
    let files = FILES.min(u8::try_from(kills).unwrap_or(FILES));
    let mut process = Process::start(data.path(), &edge, &[]);
    for kill in 0..kills {
        let n = u8::try_from(kill % usize::from(files)).expect("a file") + 1;
        let (content, media_type, formats) = match n % 2 {
            0 => (photo.get_ref().clone(), "image/png", &["image/jpeg"][..]),
            _ => (bytes(500_000 + usize::from(n)), "application/zip", &[][..]),
        };
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, "a", media_type, &content, formats);
        while process.tell(event_id(n), &event).await != Some(204) {}
        // Killed with this file somewhere on its way; where, chance decides.
        let mut chance = [0_u8; 1];
        getrandom::fill(&mut chance).expect("a random byte");
        tokio::time::sleep(Duration::from_millis(u64::from(chance[0]))).await;
        process.kill();
        process = Process::start(data.path(), &edge, &[]);
    }
    loop {
        let list = http
            .get(format!("{}/app/deliveries", process.url))
            .send()
            .await;
        let list: Vec<Value> = list.expect("an answer").json().await.expect("JSON");
        // The list holds the newest 100; the feed below is counted in full.
        if list.len() == usize::from(files.min(100)) && all_done(&process.url, &http).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    process.kill();

    let store = Store::open(&data.path().join("chatlift.db"))
        .await
        .expect("the store");
    let mut feed = Vec::new();
    loop {
        let last = feed
            .last()
            .map_or(0, |e: &chatlift_backend::store::FeedEntry| e.seq);
        let more = store.feed_after(link_id(), last).await.expect("the feed");
        if more.is_empty() {
            break;
        }
        feed.extend(more);
    }
    for kind in ["uploaded", "received", "converted", "delivered"] {
        let told = feed.iter().filter(|e| e.kind == kind).count();
        assert_eq!(told, usize::from(files), "{kind}");
    }
    for n in 1..=files {
        let delivery = store.delivery(file_id(n)).await.expect("the store");
        let delivery = delivery.expect("a delivery");
        let path = data
            .path()
            .join("deliveries")
            .join(delivery.file.to_string());
        let file = std::fs::read(path).expect("the delivery");
        assert_eq!(Sha256::of(&file), delivery.product.sha256);
        assert_eq!(file.len() as u64, delivery.product.size);
    }
    let kept = std::fs::read_dir(data.path().join("deliveries")).expect("the folder");
    assert_eq!(kept.count(), usize::from(files), "no orphan");
    assert_eq!(
        std::fs::read_dir(data.path().join("work"))
            .expect("the folder")
            .count(),
        0
    );
}
