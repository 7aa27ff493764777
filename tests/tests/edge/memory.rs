//! Memory at the edge does not grow with the file.

use std::time::Duration;

use chatlift_shared::api::{FormResult, HEADER_TICKET, HeldPart, PageFile};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{self, MIB};
use chatlift_tests::client::Page;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::http::Answer;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::Stage;

const WITHIN: Duration = Duration::from_secs(60);

/// How much the worker's WebAssembly memory may grow from first to last part: what a request's
/// headers and JSON take, and far less than a part.
const GROWTH_MAX: u64 = MIB;

fn wasm_memory(answer: &Answer) -> u64 {
    answer
        .header("chatlift-wasm-memory")
        .and_then(|bytes| bytes.parse().ok())
        .expect("the chatlift-wasm-memory header, with FAULTS=on")
}

/// Parts of `file` with numbers `from`, `from + step` ...; returns the largest memory seen.
fn send_parts(
    page: &Page,
    upload: &chatlift_shared::api::Upload,
    file: Random,
    from: u64,
    step: usize,
) -> u64 {
    (from..=limits::part_count(file.size, upload.part_size))
        .step_by(step)
        .map(|n| {
            let bytes = file.read((n - 1) * upload.part_size, upload.part_size);
            let digest = Sha256::of(&bytes).to_header();
            let headers = [
                ("content-digest", digest.as_str()),
                (HEADER_TICKET, &*upload.ticket),
            ];
            // On a machine that is held up, a body stands still for long enough to count as cut, and
            // is sent again, as a page does.
            let answer = wait_for("the part", WITHIN, || {
                let path = format!("/uploads/{}/parts/{n}", upload.id);
                let sent = page.try_call("PUT", &path, &headers, Some(&bytes));
                sent.ok().filter(|answer| answer.status != 202)
            });
            assert_eq!(answer.status, 204, "part {n}: {}", answer.text());
            wasm_memory(&answer)
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn the_worker_holds_no_part_of_300_mb_that_go_through() {
    // Its own edge: what others send would count as this file's.
    let stage = Stage::new("memory");
    let app = stage.edge.app();
    let page = app.page(&app.link(ANY_FILE));
    let file = Random {
        seed: 300,
        size: 300_000_000,
    };
    let upload = page.announce_random("300 MB.bin", file);
    let bytes = file.read(0, upload.part_size);
    let first = page.send_part(&upload, 1, &bytes);
    assert_eq!(first.status, 204, "{}", first.text());
    let (before, resident_before) = (wasm_memory(&first), stage.edge.resident());
    // Three at a time, as a page sends them.
    let peak = std::thread::scope(|scope| {
        let (page, upload) = (&page, &upload);
        let lanes: Vec<_> = (2..5)
            .map(|from| scope.spawn(move || send_parts(page, upload, file, from, 3)))
            .collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().expect("all parts"))
            .max()
            .unwrap_or(0)
    });
    let parts: Vec<_> = (1..=limits::part_count(file.size, upload.part_size))
        .map(|n| HeldPart {
            n: u16::try_from(n).expect("a part number"),
            sha256: Sha256::of(&file.read((n - 1) * upload.part_size, upload.part_size)),
        })
        .collect();
    let done = page.complete(upload.id, file.sha256(), &parts, &[]);
    let after = wasm_memory(&done).max(peak);
    let stored: PageFile = done.ok(200);
    assert_eq!(stored.size, file.size);
    println!(
        "worker memory: {before} bytes after the first part, {after} at most; workerd in RAM: {} MiB before, {} MiB after",
        resident_before / MIB,
        stage.edge.resident() / MIB
    );
    assert!(before < 32 * MIB, "the worker's memory is {before} bytes");
    assert!(
        after - before <= GROWTH_MAX,
        "the worker's memory grew from {before} to {after} bytes"
    );
    // What lies there now is what was sent, by range and from the middle.
    let middle = app.content(stored.id, &[("range", "bytes=150000000-150000999")]);
    assert_eq!(middle.status, 206);
    assert!(middle.body == file.read(150_000_000, 1000));
}

/// What forms at once may take: the account of the worker's bodies, and what it has beside them.
const FORMS_MAX: u64 = 64 * MIB;

#[test]
fn eight_forms_at_once_stay_within_the_workers_memory() {
    let stage = Stage::new("forms");
    let app = stage.edge.app();
    let sent: Vec<_> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..8)
            .map(|seed| {
                let page = app.page(&app.link(ANY_FILE));
                scope.spawn(move || {
                    let file = Random {
                        seed,
                        size: 20_000_000,
                    };
                    let head = "--x\r\nContent-Disposition: form-data; filename=\"a.bin\"\r\n\r\n";
                    let body = [head.as_bytes(), &file.read(0, file.size), b"\r\n--x--"].concat();
                    let headers = [
                        ("content-type", "multipart/form-data; boundary=x"),
                        ("accept", "application/json"),
                    ];
                    let mut refused = 0;
                    let answer = wait_for("the form to be taken", 4 * WITHIN, || {
                        // A body that stands still, on a machine that is held up, counts as cut.
                        let answer = page.try_call("POST", "", &headers, Some(&body)).ok()?;
                        if answer.status != 503 {
                            return Some(answer);
                        }
                        assert!(answer.header("retry-after").is_some(), "{}", answer.text());
                        refused += 1;
                        None
                    });
                    let result: FormResult = answer.ok(200);
                    let stored = result.files[0].file.clone().expect("a file");
                    assert_eq!(stored.sha256, Some(file.sha256()));
                    (wasm_memory(&answer), refused)
                })
            })
            .collect();
        let ended = lanes.into_iter().map(|lane| lane.join().expect("a file"));
        ended.collect()
    });
    let peak = sent.iter().map(|(memory, _)| *memory).max().unwrap_or(0);
    let refused: u32 = sent.iter().map(|(_, refused)| refused).sum();
    println!(
        "worker memory: {} MiB at most, {refused} forms asked to come again; workerd in RAM: {} MiB",
        peak / MIB,
        stage.edge.resident() / MIB
    );
    assert!(peak <= FORMS_MAX, "the worker's memory is {peak} bytes");
}
