//! Slow conversions hold up nobody but each other.

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use chatlift_backend::App;
use chatlift_backend::pipeline::Pipeline;
use chatlift_backend::ports::Clock as _;
use chatlift_backend::sandbox::{Programs, Sandbox, Walls};
use chatlift_backend::store::Stage;

use crate::common::{JumpingClock, TestEdge, announce, config, event_id, file_id, job};

/// More than are converted or under way at once.
const DOCUMENTS: u8 = 9;

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_waits_for_no_document() {
    let programs = tempfile::tempdir().expect("a folder");
    let office = programs.path().join("soffice");
    std::fs::write(&office, "#!/bin/sh\nexec sleep 600\n").expect("a program");
    let runnable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&office, runnable).expect("a program");
    let programs = Programs::find_in(&[programs.path().to_owned()]);
    let sandbox = Sandbox::with_walls(programs, Walls::None);
    let (data, clock) = (tempfile::tempdir().expect("a folder"), JumpingClock::new());
    let edge = TestEdge::start().await;
    let app = App::open_with(
        config(data.path(), &edge.url),
        Arc::clone(&clock) as _,
        sandbox,
    );
    let app = app.await.expect("the backend opens");
    let mut photo = Cursor::new(Vec::new());
    image::RgbImage::new(40, 20)
        .write_to(&mut photo, image::ImageFormat::Png)
        .expect("a photo");
    let photo = photo.into_inner();
    for n in 1..=DOCUMENTS + 1 {
        let (name, content, format) = match n {
            1..=DOCUMENTS => ("letter.txt", &b"words"[..], "application/pdf"),
            _ => ("photo.png", &photo[..], "image/jpeg"),
        };
        edge.hold(file_id(n), content, "\"v1\"");
        let event = announce(n, name, "application/octet-stream", content, &[format]);
        let recorded = app.store().record_event(event_id(n), &event, clock.now());
        recorded.await.expect("recorded");
    }
    let running = tokio::spawn(Pipeline::run(
        Arc::clone(app.pipeline()),
        app.stop().clone(),
    ));
    while job(&app, file_id(DOCUMENTS + 1)).await.stage() != Stage::Done {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for n in 1..=DOCUMENTS {
        let stage = job(&app, file_id(n)).await.stage();
        assert!(
            matches!(stage, Stage::Fetch | Stage::Convert),
            "{n}: {stage:?}"
        );
    }
    app.stop().cancel();
    running.await.expect("the pipeline stops");
}
