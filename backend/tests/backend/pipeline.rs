//! The pipeline against death at every step: each file is delivered once, whatever was lost.

use std::path::Path;
use std::sync::Arc;

use crate::common::edge::Fault;
use crate::common::{
    Backend, JumpingClock, TestEdge, announce, bytes, event_id, file_id, job, open, step, told,
};
use chatlift_backend::App;
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::Stage;
use chatlift_shared::ProblemCode;

const ALL: [&str; 4] = ["uploaded", "received", "converted", "delivered"];

/// A small real PNG, to be converted.
fn png() -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_fn(40, 20, |x, y| image::Rgb([x as u8, y as u8, 99]))
        .write_to(&mut png, image::ImageFormat::Png)
        .expect("a PNG");
    png.into_inner()
}

async fn announced(app: &App, clock: &Arc<JumpingClock>, content: &[u8]) {
    let event = announce(1, "a.png", "image/png", content, &["image/jpeg"]);
    app.store()
        .record_event(event_id(1), &event, clock.now())
        .await
        .expect("recorded");
}

/// Lets go of everything as a killed process does: no shutdown of ours runs.
async fn killed(app: App) {
    let store = app.store().clone();
    drop(app);
    store.close().await;
}

async fn delivered_once(app: &App, data: &Path) {
    let deliveries = app.store().deliveries(None).await.expect("the store");
    assert_eq!(deliveries.len(), 1);
    assert_eq!(told(app).await, ALL);
    let file = std::fs::read(data.join("deliveries").join(file_id(1).to_string()));
    let file = file.expect("the delivery");
    assert_eq!(
        chatlift_shared::digest::Sha256::of(&file),
        deliveries[0].product.sha256
    );
    assert_eq!(
        image::guess_format(&file).expect("an image"),
        image::ImageFormat::Jpeg
    );
    assert_eq!(
        std::fs::read_dir(data.join("work"))
            .expect("the folder")
            .count(),
        0
    );
}

#[tokio::test]
async fn killed_after_every_stage_the_file_is_delivered_once() {
    let data = tempfile::tempdir().expect("a folder");
    let (edge, clock) = (TestEdge::start().await, JumpingClock::new());
    edge.hold(file_id(1), &png(), "\"v1\"");
    let app = open(data.path(), &edge, &clock).await;
    announced(&app, &clock, &png()).await;
    killed(app).await;
    for stage in [Stage::Fetch, Stage::Convert, Stage::Deliver] {
        let app = open(data.path(), &edge, &clock).await;
        assert_eq!(job(&app, file_id(1)).await.stage(), stage);
        step(&app, file_id(1)).await;
        killed(app).await;
    }
    let app = open(data.path(), &edge, &clock).await;
    assert_eq!(job(&app, file_id(1)).await.stage(), Stage::Done);
    delivered_once(&app, data.path()).await;
    assert_eq!(edge.fetches().len(), 1);
}

/// The moment that matters: the stage has done its work on disk, and the process dies before the
/// database has heard of it. Made by bringing the database of before the stage back.
#[tokio::test]
async fn killed_between_the_work_and_its_record_the_file_is_delivered_once() {
    let data = tempfile::tempdir().expect("a folder");
    let (edge, clock) = (TestEdge::start().await, JumpingClock::new());
    edge.hold(file_id(1), &png(), "\"v1\"");
    let app = open(data.path(), &edge, &clock).await;
    announced(&app, &clock, &png()).await;
    killed(app).await;
    let (database, before) = (
        data.path().join("chatlift.db"),
        data.path().join("before.db"),
    );
    for stage in [Stage::Fetch, Stage::Convert, Stage::Deliver] {
        std::fs::copy(&database, &before).expect("a copy");
        let app = open(data.path(), &edge, &clock).await;
        step(&app, file_id(1)).await;
        killed(app).await;
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(data.path().join(format!("chatlift.db{suffix}")));
        }
        std::fs::copy(&before, &database).expect("the copy back");

        let app = open(data.path(), &edge, &clock).await;
        assert_eq!(job(&app, file_id(1)).await.stage(), stage);
        step(&app, file_id(1)).await;
        assert_ne!(job(&app, file_id(1)).await.stage(), stage, "{stage:?}");
        killed(app).await;
    }
    let app = open(data.path(), &edge, &clock).await;
    delivered_once(&app, data.path()).await;
    assert_eq!(
        edge.fetches().len(),
        1,
        "the fetched file was recognised by its digest"
    );
}

#[tokio::test]
async fn killed_in_the_middle_of_a_transfer_it_goes_on_and_delivers_once() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = bytes(2_000_000);
    edge.hold(file_id(1), &content, "\"v1\"");
    edge.fault(Fault::CutAfter(700_000));
    let clock = JumpingClock::new();
    let app = open(data.path(), &edge, &clock).await;
    let event = announce(1, "a.bin", "application/octet-stream", &content, &[]);
    app.store()
        .record_event(event_id(1), &event, clock.now())
        .await
        .expect("recorded");
    let part = data
        .path()
        .join("work")
        .join(format!("{}.part", file_id(1)));
    let running = job(&app, file_id(1)).await;
    let pipeline = Arc::clone(app.pipeline());
    let task = tokio::spawn(async move { pipeline.step(&running).await });
    while std::fs::metadata(&part).map_or(0, |m| m.len()) == 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
    let _ = task.await;
    killed(app).await;

    let backend = Backend::start(data.path(), &edge).await;
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    assert_eq!(
        backend
            .content(file_id(1))
            .await
            .bytes()
            .await
            .expect("bytes"),
        content
    );
    assert_eq!(told(&backend.app).await, ALL);
    backend.stop().await;
}

#[tokio::test]
async fn what_a_killed_process_left_of_an_ended_job_is_swept_at_the_start() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    edge.hold(file_id(1), &png(), "\"v1\"");
    let backend = Backend::start(data.path(), &edge).await;
    let event = announce(1, "a.png", "image/png", &png(), &[]);
    backend.tell(event_id(1), &event).await;
    backend.ended(file_id(1)).await;
    backend.stop().await;
    let work = data.path().join("work");
    for name in [
        format!("{}.converting", file_id(1)),
        format!("{}.part", file_id(9)),
    ] {
        std::fs::write(work.join(name), b"left").expect("a file");
    }
    std::fs::write(work.join("notes.txt"), b"not ours").expect("a file");

    let backend = Backend::start(data.path(), &edge).await;
    edge.hold(file_id(2), &png(), "\"v1\"");
    backend
        .tell(event_id(2), &announce(2, "b.png", "image/png", &png(), &[]))
        .await;
    backend.ended(file_id(2)).await;
    backend.stop().await;
    let left: Vec<_> = std::fs::read_dir(work).expect("the folder").collect();
    assert_eq!(left.len(), 1, "only what is not ours: {left:?}");
}

#[tokio::test]
async fn receipts_come_in_order_though_the_edge_refuses_them_at_first() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    edge.hold(file_id(1), &png(), "\"v1\"");
    edge.lock()
        .receipt_faults
        .extend([ProblemCode::StorageUnavailable; 5]);
    let backend = Backend::start(data.path(), &edge).await;
    let event = announce(1, "a.png", "image/png", &png(), &["image/webp"]);
    backend.tell(event_id(1), &event).await;
    assert_eq!(
        edge.receipts(3).await,
        ["received", "converted", "delivered"]
    );
    backend.stop().await;
}

#[tokio::test]
async fn a_delivery_does_not_wait_for_an_edge_that_takes_no_receipts() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    edge.hold(file_id(1), &png(), "\"v1\"");
    edge.lock()
        .receipt_faults
        .extend([ProblemCode::Internal; 50]);
    let backend = Backend::start(data.path(), &edge).await;
    backend
        .tell(event_id(1), &announce(1, "a.png", "image/png", &png(), &[]))
        .await;
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    backend.stop().await;

    edge.lock().receipt_faults.clear();
    let backend = Backend::start(data.path(), &edge).await;
    assert_eq!(
        edge.receipts(3).await,
        ["received", "converted", "delivered"]
    );
    backend.stop().await;
}

#[tokio::test]
async fn a_receipt_that_the_edge_will_never_take_holds_up_no_other() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    edge.hold(file_id(1), &png(), "\"v1\"");
    edge.lock()
        .receipt_faults
        .push_back(ProblemCode::ReceiptOutOfOrder);
    let backend = Backend::start(data.path(), &edge).await;
    backend
        .tell(event_id(1), &announce(1, "a.png", "image/png", &png(), &[]))
        .await;
    assert_eq!(edge.receipts(2).await, ["converted", "delivered"]);
    backend.stop().await;
}

#[tokio::test]
async fn a_name_that_looks_like_a_path_touches_nothing_but_the_label() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let name = "../../\u{202e}etc/passwd\0.png";
    edge.hold(file_id(1), &png(), "\"v1\"");
    let backend = Backend::start(data.path(), &edge).await;
    backend
        .tell(
            event_id(1),
            &announce(1, name, "image/png", &png(), &["image/jpeg"]),
        )
        .await;
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    delivered_once(&backend.app, data.path()).await;
    let mut names: Vec<String> = std::fs::read_dir(data.path())
        .expect("the folder")
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| !n.starts_with("chatlift.db"))
        .collect();
    names.sort();
    assert_eq!(names, ["deliveries", "quarantine", "thumbnails", "work"]);
    backend.stop().await;
}

#[tokio::test]
async fn many_files_at_once_all_arrive_once() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    for n in 1..=20 {
        let content = bytes(10_000 + usize::from(n));
        edge.hold(file_id(n), &content, "\"v1\"");
        if n % 3 == 0 {
            edge.fault(Fault::CutAfter(4000));
        }
        let event = announce(n, "a.bin", "application/octet-stream", &content, &[]);
        assert_eq!(backend.tell(event_id(n), &event).await, 204);
    }
    for n in 1..=20 {
        assert_eq!(backend.ended(file_id(n)).await.stage(), Stage::Done);
        let got = backend
            .content(file_id(n))
            .await
            .bytes()
            .await
            .expect("bytes");
        assert_eq!(got, bytes(10_000 + usize::from(n)));
    }
    let delivered = told(&backend.app).await;
    assert_eq!(delivered.iter().filter(|k| *k == "delivered").count(), 20);
    backend.stop().await;
}
