//! Hostile and broken files: each ends in a named rejection, within its limits of time and memory,
//! and the next job is unaffected.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use chatlift_backend::pipeline::Rejection;
use chatlift_backend::pipeline::convert::document::{Documents, LIMITS};
use chatlift_backend::pipeline::convert::{Conversion, ConvertError, Converter as _};
use chatlift_backend::sandbox::Limits;
use chatlift_backend::store::{Job, Stage, Store};
use chatlift_shared::FileId;

use crate::common::process::Process;
use crate::common::{TestEdge, announce, event_id, file_id};
use crate::hostile_files;
use crate::measure::Watch;

const PDF: &str = "application/pdf";
/// Most memory that the backend and a converter may take together, in bytes: the largest that any
/// converter is given, and what the backend takes by itself, with the image that it decodes.
const MEMORY_MAX: u64 = LIMITS.memory + 512 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;

/// The file's job when it has ended, as another process sees it.
pub(crate) async fn ended(store: &Store, file: FileId) -> Job {
    loop {
        let job = store.job(file).await.expect("the store");
        if let Some(job) = job.filter(|job| matches!(job.stage(), Stage::Done | Stage::Parked)) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "real programs run in real time")]
fn clock() -> Instant {
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_file_is_rejected_by_name_within_its_limits_and_the_next_job_is_done() {
    crate::sandbox();
    let samples = tempfile::tempdir().expect("a folder");
    let folder = samples.path();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let files = hostile_files::all(folder, listener.local_addr().expect("an address"));
    let good = fs::read(folder.join("flag.heic")).expect("a sample");

    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let process = Process::start(data.path(), &edge, &[("PATH", "/usr/bin:/bin")]);
    let store = Store::open(&data.path().join("chatlift.db")).await;
    let store = store.expect("the store");
    println!("| file | rejection | ms | MiB together | largest program |");
    println!("|---|---|---:|---:|---|");
    let mut wrong = Vec::new();
    for (n, file) in (1..).zip(&files) {
        edge.hold(file_id(n), &file.content, "\"v1\"");
        let event = announce(n, file.name, file.announced, &file.content, &[file.format]);
        let (watch, begun) = (Watch::begin(process.child.id()), clock());
        assert_eq!(process.tell(event_id(n), &event).await, Some(204));
        let job = ended(&store, file_id(n)).await;
        let (took, peak) = (begun.elapsed(), watch.end());
        let (name, largest) = peak.largest();
        println!(
            "| {} | {} | {} | {} | {name} {} MiB |",
            file.name,
            job.told().unwrap_or("none".to_owned()),
            took.as_millis(),
            peak.together / MIB,
            largest / MIB
        );
        if job.told() != Some(file.rejection.to_string()) {
            wrong.push((file.name, job.last_error));
        }
        assert!(took <= LIMITS.time, "{} {took:?}", file.name);
        assert!(peak.together <= MEMORY_MAX, "{} {peak:?}", file.name);
        assert!(largest <= MEMORY_MAX, "{} {peak:?}", file.name);

        let n = n + 100;
        edge.hold(file_id(n), &good, "\"v1\"");
        let event = announce(n, "a.heic", "image/heif", &good, &["image/jpeg"]);
        assert_eq!(process.tell(event_id(n), &event).await, Some(204));
        assert_eq!(ended(&store, file_id(n)).await.stage(), Stage::Done);
    }
    drop(process);
    assert_eq!(wrong, []);
    assert!(
        listener.accept().is_err(),
        "nobody called an outside address"
    );
    let left = fs::read_dir(data.path().join("work")).expect("the folder");
    assert_eq!(left.count(), 0, "nothing is left of them");
}

/// Processes whose command line names this folder.
pub(crate) fn processes_of(folder: &Path) -> usize {
    let folder = folder.to_str().expect("UTF-8").as_bytes();
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.windows(folder.len()).any(|w| w == folder))
        .count()
}

#[test]
fn a_libreoffice_that_hangs_or_grows_is_killed_with_its_children_and_the_next_one_works() {
    let samples = tempfile::tempdir().expect("a folder");
    let source = samples.path().join("a.rtf");
    fs::write(&source, r"{\rtf1 words}").expect("a file");
    let result = samples.path().join("a.pdf");
    let work = samples.path().join("run");
    let convert = |limits| {
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work).expect("a folder");
        Documents::with_limits(crate::sandbox(), limits).convert(&Conversion {
            source: &source,
            from: "application/rtf",
            result: &result,
            to: PDF,
            folder: &work,
        })
    };
    let time = Duration::from_millis(400);
    let memory = 30 << 20;
    for (limits, expected) in [
        (Limits { time, ..LIMITS }, Rejection::TookTooLong),
        (Limits { memory, ..LIMITS }, Rejection::TooComplex),
    ] {
        let (watch, begun) = (Watch::begin(std::process::id()), clock());
        match convert(limits) {
            Err(ConvertError::Rejected { rejection, .. }) => assert_eq!(rejection, expected),
            other => panic!("{other:?}"),
        }
        let office = watch.end().each.remove("soffice.bin").unwrap_or(0);
        println!(
            "LibreOffice with {:?} and {} MiB: {expected:?} after {} ms, {} MiB",
            limits.time,
            limits.memory / MIB,
            begun.elapsed().as_millis(),
            office / MIB
        );
        // It may overshoot between two looks, by what it takes in a tenth of a second.
        assert!(office <= limits.memory + 400 * MIB, "{office}");
        assert_eq!(processes_of(&work), 0, "{expected:?}");
        convert(LIMITS).expect("the next one");
        assert!(fs::read(&result).expect("a PDF").starts_with(b"%PDF"));
    }
}
