//! Archives whose members are files of their own, and files that are joined to one PDF: each once,
//! in order, whatever dies in between.

use std::io::Write as _;
use std::path::Path;

use chatlift_backend::App;
use chatlift_backend::pipeline::convert::pdf::{Part, unite};
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::{Stage, joined_id, member_id};
use chatlift_shared::FileId;
use chatlift_shared::api::Join;
use chatlift_shared::webhook::{Event, EventKind, FileStored, LinkEnded};
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;

use crate::common::{
    Backend, JumpingClock, TestEdge, announce, event_id, file_id, job, link_id, open, step, told,
};
use crate::make::program;

const PDF: &str = "application/pdf";
const PNG: &str = "image/png";
const ZIP: &str = "application/zip";

/// The same of a link whose files are joined to one PDF.
pub(crate) fn joined(mut event: Event) -> Event {
    if let EventKind::FileStored(stored) = &mut event.kind {
        stored.link.join = Some(Join::Pdf);
    }
    event
}

/// The end of a link whose files are joined, in this order.
pub(crate) fn completed(files: &[u8]) -> Event {
    let Event { timestamp, kind } = joined(announce(1, "a", PDF, b"a", &[PDF]));
    let EventKind::FileStored(FileStored { link, .. }) = kind else {
        unreachable!("a stored file was announced");
    };
    Event {
        timestamp,
        kind: EventKind::LinkCompleted(LinkEnded {
            link,
            files: u32::try_from(files.len()).expect("a few"),
            order: files.iter().map(|n| file_id(*n)).collect(),
        }),
    }
}

/// A picture whose shape tells it from the others.
pub(crate) fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, Rgb([width as u8, 90, 90]))
        .write_to(&mut bytes, ImageFormat::Png)
        .expect("a PNG");
    bytes.into_inner()
}

/// A zip of these members; names are bytes, as archives have them.
pub(crate) fn archive(members: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (place, (_, content)) in members.iter().enumerate() {
        // A stand-in of the same length: the library writes UTF-8 only.
        let name = stand_in(place, members[place].0.len());
        archive.start_file(name, options).expect("a member");
        archive.write_all(content).expect("content");
    }
    let mut bytes = archive.finish().expect("a zip").into_inner();
    for (place, (name, _)) in members.iter().enumerate() {
        let stand_in = stand_in(place, name.len()).into_bytes();
        for at in 0..bytes.len().saturating_sub(name.len()) {
            if bytes[at..].starts_with(&stand_in) {
                bytes[at..at + name.len()].copy_from_slice(name);
            }
        }
    }
    bytes
}

fn stand_in(place: usize, len: usize) -> String {
    format!("{}", char::from(b'A' + place as u8)).repeat(len)
}

/// Shapes of a PDF's pages, by poppler: width by height in hundredths.
pub(crate) fn shapes(pdf: &[u8]) -> Vec<u32> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.pdf");
    std::fs::write(&path, pdf).expect("a file");
    let arguments = ["-l", "99", path.to_str().expect("UTF-8")];
    let said = program("pdfinfo", "poppler-utils", &arguments).expect("a PDF");
    said.lines()
        .filter(|line| line.starts_with("Page ") && line.contains("size:"))
        .map(|line| {
            let size = line.split_once("size:").expect("a size").1;
            let (width, rest) = size.trim().split_once(" x ").expect("two sides");
            let height = rest.split(' ').next().expect("a side");
            let side = |text: &str| text.parse::<f64>().expect("a number");
            (side(width) / side(height) * 100.0).round() as u32
        })
        .collect()
}

async fn listed(backend: &Backend) -> Vec<Value> {
    backend
        .get("/app/deliveries")
        .await
        .json()
        .await
        .expect("JSON")
}

async fn bytes_of(backend: &Backend, file: FileId) -> Vec<u8> {
    let answer = backend.content(file).await;
    assert_eq!(answer.status(), 200, "{file}");
    answer.bytes().await.expect("bytes").to_vec()
}

fn statuses(edge: &TestEdge, file: FileId) -> Vec<String> {
    let inner = edge.lock();
    let of_file = inner.receipts.iter().filter(|(id, _)| *id == file);
    of_file
        .map(|(_, r)| format!("{:?}", r.status).to_lowercase())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_of_an_archive_is_a_delivery_and_the_archive_has_its_receipts() {
    crate::sandbox();
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let (gbk, ..) = encoding_rs::GBK.encode("理赔/现场照片.png");
    let content = archive(&[
        (b"deep/../../etc/one.png", &picture(40, 20)),
        (&gbk, &picture(30, 20)),
        (b"__MACOSX/one", b"not a file of the person"),
        (b"broken.png", b"\x89PNG\r\n\x1a\n and no more"),
    ]);
    edge.hold(file_id(1), &content, "\"v1\"");
    let event = announce(1, "photos.zip", ZIP, &content, &["image/jpeg"]);
    for id in [1, 2] {
        assert_eq!(backend.tell(event_id(id), &event).await, 204);
    }
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    let mut names: Vec<_> = listed(&backend)
        .await
        .iter()
        .map(|d| d["name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["one.jpg", "现场照片.jpg"]);
    for (place, size) in [(1, (40, 20)), (2, (30, 20))] {
        let made = bytes_of(&backend, member_id(file_id(1), place)).await;
        let made = image::load_from_memory(&made).expect("a JPEG");
        assert_eq!((made.width(), made.height()), size);
    }
    let broken = job(&backend.app, member_id(file_id(1), 3)).await;
    assert_eq!(broken.stage(), Stage::Parked);
    edge.receipts(3).await;
    assert_eq!(
        statuses(&edge, file_id(1)),
        ["received", "converted", "delivered"]
    );
    assert_eq!(edge.lock().receipts.len(), 3, "members are not the edge's");
    let feed = told(&backend.app).await;
    let count = |kind: &str| feed.iter().filter(|k| *k == kind).count();
    assert_eq!(
        (count("unpacked"), count("delivered"), count("rejected")),
        (1, 2, 1)
    );

    // A member that is taken up again comes out of its archive again.
    let now = backend.clock.now();
    let store = backend.app.store();
    assert!(store.retry(broken.file(), now).await.expect("the store"));
    backend.app.pipeline().wake();
    loop {
        let again = job(&backend.app, broken.file()).await;
        if again.stage() == Stage::Parked {
            assert_eq!((again.attempt, again.told()), (1, broken.told()));
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    backend.stop().await;
    let left = std::fs::read_dir(data.path().join("work")).expect("the folder");
    assert_eq!(left.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_which_nothing_can_be_used_is_rejected_as_its_members_are() {
    crate::sandbox();
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let content = archive(&[(b"a.bin", b"\x02#!SILK_V3 nothing that is known")]);
    edge.hold(file_id(1), &content, "\"v1\"");
    let event = announce(1, "a.zip", ZIP, &content, &["image/jpeg"]);
    backend.tell(event_id(1), &event).await;
    let ended = backend.ended(file_id(1)).await;
    assert_eq!(ended.stage(), Stage::Parked);
    edge.receipts(2).await;
    assert_eq!(statuses(&edge, file_id(1)), ["received", "rejected"]);
    // One that the app takes as it is stays whole.
    let event = announce(2, "a.zip", ZIP, &content, &[ZIP]);
    edge.hold(file_id(2), &content, "\"v1\"");
    backend.tell(event_id(2), &event).await;
    assert_eq!(backend.ended(file_id(2)).await.stage(), Stage::Done);
    assert_eq!(bytes_of(&backend, file_id(2)).await, content);
    backend.stop().await;
}

/// Three files that are joined, one of them an archive of two, and one that cannot be used.
fn set(edge: &TestEdge) -> Vec<Event> {
    let zip = archive(&[(b"2.png", &picture(20, 40)), (b"1.png", &picture(50, 40))]);
    [
        (1, "one.png", PNG, picture(40, 40)),
        (2, "two.zip", ZIP, zip),
        (3, "three.png", PNG, picture(80, 40)),
        (
            4,
            "four.png",
            PNG,
            b"\x89PNG\r\n\x1a\n and no more".to_vec(),
        ),
    ]
    .map(|(n, name, media_type, content)| {
        edge.hold(file_id(n), &content, "\"v1\"");
        joined(announce(
            n,
            name,
            media_type,
            &content,
            &["image/jpeg", PDF],
        ))
    })
    .to_vec()
}

/// The order in which they were picked, and the shapes of the pages that this gives.
const ORDER: [u8; 4] = [3, 4, 2, 1];
const SHAPES: [u32; 4] = [200, 50, 125, 100];

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_link_become_one_pdf_in_the_order_of_the_pick() {
    crate::sandbox();
    // The link's end may be heard of before its files are.
    for end_at in [0, 4] {
        let data = tempfile::tempdir().expect("a folder");
        let edge = TestEdge::start().await;
        let backend = Backend::start(data.path(), &edge).await;
        let mut events = set(&edge);
        events.insert(end_at, completed(&ORDER));
        for (n, event) in (1..).zip(&events) {
            assert_eq!(backend.tell(event_id(n), event).await, 204);
        }
        let whole = joined_id(link_id());
        while backend.content(whole).await.status() != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(shapes(&bytes_of(&backend, whole).await), SHAPES);
        let list = listed(&backend).await;
        assert_eq!(list.len(), 1, "one delivery");
        assert_eq!(list[0]["media_type"], PDF);
        let of: Vec<_> = [3, 2, 1].map(|n| file_id(n).to_string()).to_vec();
        assert_eq!(list[0]["of"], serde_json::json!(of));
        edge.receipts(3 * 3 + 2).await;
        for n in [1, 2, 3] {
            assert_eq!(
                statuses(&edge, file_id(n)),
                ["received", "converted", "delivered"],
                "{n}"
            );
        }
        assert_eq!(statuses(&edge, file_id(4)), ["received", "rejected"]);
        // Told again, nothing happens again.
        for (n, event) in (21..).zip(&events) {
            assert_eq!(backend.tell(event_id(n), event).await, 204);
        }
        assert_eq!(listed(&backend).await.len(), 1);
        backend.stop().await;
        let left = std::fs::read_dir(data.path().join("work")).expect("the folder");
        assert_eq!(left.count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_which_nothing_can_be_used_makes_no_delivery() {
    crate::sandbox();
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let events = set(&edge);
    backend.tell(event_id(1), &events[3]).await;
    backend.tell(event_id(2), &completed(&[4])).await;
    backend.ended(file_id(4)).await;
    assert_eq!(
        backend.ended(joined_id(link_id())).await.stage(),
        Stage::Parked
    );
    assert_eq!(listed(&backend).await.len(), 0);
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_revoked_link_go_whenever_they_come() {
    crate::sandbox();
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let events = set(&edge);
    let kept = || {
        std::fs::read_dir(data.path().join("work"))
            .expect("the folder")
            .count()
    };
    assert_eq!(backend.tell(event_id(1), &events[0]).await, 204);
    let mut changes = backend.app.store().changes();
    while job(&backend.app, file_id(1)).await.stage() != Stage::Wait {
        changes.changed().await.expect("the store is open");
        changes.mark_unchanged();
    }
    assert!(kept() > 0);
    let mut revoked = completed(&[1, 2]);
    if let EventKind::LinkCompleted(ended) = revoked.kind {
        revoked.kind = EventKind::LinkRevoked(ended);
    }
    assert_eq!(backend.tell(event_id(2), &revoked).await, 204);
    assert_eq!(backend.tell(event_id(3), &events[1]).await, 204);
    for n in [1, 2] {
        assert_eq!(backend.ended(file_id(n)).await.stage(), Stage::Done);
    }
    backend.stop().await;
    assert_eq!(kept(), 0);
    let delivered = std::fs::read_dir(data.path().join("deliveries")).expect("the folder");
    assert_eq!(delivered.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdf_that_its_owner_restricted_is_joined() {
    let sandbox = crate::sandbox();
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"/>"#;
    std::fs::write(at("a.svg"), svg).expect("a file");
    let [svg, open, locked] = ["a.svg", "open.pdf", "locked.pdf"].map(at);
    let [from, plain, restricted] =
        [&svg, &open, &locked].map(|path| path.to_str().expect("UTF-8").to_owned());
    let arguments = ["-f", "pdf", "-o", &plain, &from];
    program("rsvg-convert", "librsvg2-bin", &arguments).expect("a PDF");
    let encrypt = ["--encrypt", "", "owner", "256", "--modify=none", "--"];
    let arguments = [&encrypt[..], &[plain.as_str(), restricted.as_str()]].concat();
    program("qpdf", "qpdf", &arguments).expect("a PDF");
    let united = at("joined.pdf");
    let parts = [locked, open].map(|path| Part { path, rotate: 90 });
    unite(&sandbox, &parts, folder.path(), &united).expect("they are joined");
    let said = program(
        "pdfinfo",
        "poppler-utils",
        &[united.to_str().expect("UTF-8")],
    )
    .expect("a PDF");
    assert!(
        said.contains("Pages:           2") && said.contains("Encrypted:       no"),
        "{said}"
    );
    assert!(said.contains("Page rot:        90"), "{said}");
}

/// Copies the database as it stands.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for name in ["chatlift.db", "chatlift.db-wal", "chatlift.db-shm"] {
        let _ = std::fs::remove_file(to.join(name));
        let _ = std::fs::copy(from.join(name), to.join(name));
    }
}

async fn due(app: &App, clock: &JumpingClock) -> Option<FileId> {
    let due = app.store().due_jobs(clock.now(), 1).await;
    due.expect("the store").first().map(|job| job.file())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_after_any_step_and_before_its_record_makes_nothing_twice() {
    crate::sandbox();
    let data = tempfile::tempdir().expect("a folder");
    let before = tempfile::tempdir().expect("a folder");
    let (edge, clock) = (TestEdge::start().await, JumpingClock::new());
    let app = open(data.path(), &edge, &clock).await;
    for (n, event) in (1..).zip(set(&edge).iter().chain([&completed(&ORDER)])) {
        let recorded = app
            .store()
            .record_event(event_id(n), event, clock.now())
            .await;
        recorded.expect("recorded");
    }
    app.store().close().await;
    let mut steps = 0;
    loop {
        let app = open(data.path(), &edge, &clock).await;
        let Some(file) = due(&app, &clock).await else {
            app.store().close().await;
            break;
        };
        app.store().close().await;
        copy(data.path(), before.path());
        // What is converted goes only after the record, so here it is still there.
        let original = data.path().join(format!("work/{file}.original"));
        let kept = std::fs::read(&original).ok();
        let app = open(data.path(), &edge, &clock).await;
        step(&app, file).await;
        app.store().close().await;
        // What the step did to files stays; its record is lost.
        copy(before.path(), data.path());
        if let Some(kept) = kept {
            std::fs::write(original, kept).expect("a file");
        }
        let app = open(data.path(), &edge, &clock).await;
        step(&app, file).await;
        app.store().close().await;
        steps += 1;
    }
    // Fetch and convert of four files and two members, and the joined one's convert and deliver.
    assert_eq!(steps, 4 * 2 + 2 + 2);
    let app = open(data.path(), &edge, &clock).await;
    let deliveries = app.store().deliveries(None).await.expect("the store");
    assert_eq!(deliveries.len(), 1);
    let kept: Vec<_> = std::fs::read_dir(data.path().join("deliveries"))
        .expect("the folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(shapes(&std::fs::read(&kept[0]).expect("a PDF")), SHAPES);
    let left = std::fs::read_dir(data.path().join("work")).expect("the folder");
    assert_eq!(left.count(), 0);
    app.pipeline().send_due_receipts().await.expect("sent");
    assert_eq!(edge.lock().receipts.len(), 3 * 3 + 2);
}
