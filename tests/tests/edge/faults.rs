//! The edge is killed with `kill -9`, at the worst moments, and started again on the state that it
//! had. Nothing acknowledged is lost, doubled or altered.

use std::time::Duration;

use chatlift_shared::api::{EventState, LinkState, PageFile, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{LinkId, disposition, limits};
use chatlift_tests::client::{App, Page};
use chatlift_tests::edge::{ANY_FILE, Edge};
use chatlift_tests::fixtures::{Random, pdf};
use chatlift_tests::http::Answer;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::stage::Stage;

const PART: u64 = limits::PART_SIZE;
const WITHIN: Duration = Duration::from_secs(90);

/// Never answers once the object is in R2 and before the link's object knows of it.
const HANG: (&str, &str) = ("chatlift-fault", "hang-after-r2-commit");

#[test]
fn an_upload_goes_on_after_a_kill_with_the_parts_that_were_held() {
    let mut stage = Stage::new("resume");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random {
        seed: 1,
        size: 4 * PART + 99,
    };
    let upload = page.announce_random("resume.bin", file);
    for n in [1, 2, 4] {
        assert_eq!(
            page.send_part(&upload, n, &file.read((n - 1) * PART, PART))
                .status,
            204
        );
    }
    stage.edge.kill();
    stage.edge.start();
    let again: Upload = page
        .announce("resume.bin", file.size, &file.read(0, 4096))
        .ok(200);
    assert_eq!(again.id, upload.id);
    let mut held: Vec<_> = again.parts.iter().map(|part| part.n).collect();
    held.sort_unstable();
    assert_eq!(held, [1, 2, 4]);
    // The harness sends only what is not held.
    let parts = page.send_parts(&again, file);
    let stored: PageFile = page.complete(again.id, file.sha256(), &parts, &[]).ok(200);
    assert_eq!(Sha256::of(&app.content(stored.id, &[]).body), file.sha256());
    let _ = stage.receiver.wait_stored(link.id, file, WITHIN);
}

/// Rests for two seconds there.
const REST: (&str, &str) = ("chatlift-fault", "rest-after-r2-commit");

#[test]
fn who_sends_a_file_again_while_it_is_being_stored_is_answered_with_that_file() {
    let stage = Stage::new("settle");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    type Send<'a> = &'a (dyn Fn(&[(&str, &str)]) -> Answer + Sync);
    let again = |nth, status, send: Send<'_>| {
        std::thread::scope(|scope| {
            let first = scope.spawn(|| send(&[REST]));
            wait_for("a request that rests", WITHIN, || {
                let log = stage.edge.log();
                (log.matches("rests, as asked").count() == nth).then_some(())
            });
            assert!(!first.is_finished(), "the request did not rest");
            let second: PageFile = send(&[]).ok(status);
            let first: PageFile = first.join().expect("no panic").ok(status);
            assert_eq!(first.id, second.id);
        });
    };
    let small = Random {
        seed: 41,
        size: 100_000,
    };
    let (small, digest) = (small.read(0, small.size), small.sha256().to_header());
    again(1, 201, &|fault| {
        let headers = [&[("content-digest", digest.as_str())], fault].concat();
        page.send_file("small.bin", &small, &headers)
    });
    let large = Random {
        seed: 42,
        size: PART + 7,
    };
    let upload = page.announce_random("large.bin", large);
    let parts = page.send_parts(&upload, large);
    again(2, 200, &|fault| {
        page.complete(upload.id, large.sha256(), &parts, fault)
    });
    assert_eq!(app.get_link(link.id).files.len(), 2);
}

/// Waits until a request with [`HANG`] has its bytes in R2.
fn wait_to_hang(edge: &Edge) {
    wait_for("a request that hangs", WITHIN, || {
        edge.log().contains("hangs, as asked").then_some(())
    });
}

/// Waits until the edge has kept that all events of a link were acknowledged.
fn wait_acknowledged(app: &App, link: LinkId) {
    wait_for("acknowledgements", WITHIN, || {
        let events = app.event_log(link, &[]).events;
        let all = events
            .iter()
            .all(|event| event.state == EventState::Acknowledged);
        all.then_some(())
    });
}

/// Kills the edge while a request hangs between the commit in R2 and the outbox, starts it again,
/// and holds that the backend hears of the file exactly once.
fn killed_between_commit_and_outbox(
    name: &str,
    file: Random,
    send: impl Fn(&Page) -> Result<Answer, ureq::Error> + Sync,
) {
    let mut stage = Stage::new(name);
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| send(&page));
        wait_to_hang(&stage.edge);
        assert!(!hanging.is_finished(), "the request did not hang");
        assert!(
            stage.receiver.about(link.id).is_empty(),
            "told before it was recorded"
        );
        assert_eq!(app.get_link(link.id).files, []);
        stage.edge.kill();
        assert!(
            hanging.join().expect("no panic").is_err(),
            "answered, though it was killed"
        );
    });
    stage.edge.start();
    let told = stage.receiver.wait_stored(link.id, file, WITHIN);
    let stored = told.stored().expect("a stored file").file.clone();
    assert_eq!(Sha256::of(&app.content(stored.id, &[]).body), file.sha256());
    let now = app.get_link(link.id);
    assert_eq!(
        now.files.iter().map(|f| f.id).collect::<Vec<_>>(),
        [stored.id]
    );
    assert_eq!((now.state, now.uploads), (LinkState::Active, 0));
    // Exactly once, also after another restart.
    wait_acknowledged(&app, link.id);
    stage.edge.kill();
    stage.edge.start();
    std::thread::sleep(Duration::from_secs(7));
    let ids: Vec<_> = stage.receiver.about(link.id).iter().map(|d| d.id).collect();
    assert_eq!(ids, [told.id]);
}

#[test]
fn a_kill_between_commit_and_outbox_of_an_upload_in_parts_is_told_exactly_once() {
    let file = Random {
        seed: 2,
        size: 2 * PART + 7,
    };
    killed_between_commit_and_outbox("commit-parts", file, |page| {
        let upload = page.announce_random("commit.bin", file);
        let parts = page.send_parts(&upload, file);
        page.try_complete(upload.id, file.sha256(), &parts, &[HANG])
    });
}

#[test]
fn a_kill_between_commit_and_outbox_of_a_single_request_is_told_exactly_once() {
    let file = Random {
        seed: 3,
        size: 100_000,
    };
    killed_between_commit_and_outbox("commit-single", file, |page| {
        let disposition = disposition::attachment("commit.bin");
        let headers = [("content-disposition", disposition.as_str()), HANG];
        page.try_call("POST", "/files", &headers, Some(&file.read(0, file.size)))
    });
}

#[test]
fn completing_again_after_a_kill_between_commit_and_outbox_returns_the_file() {
    let mut stage = Stage::new("complete-again");
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let file = Random {
        seed: 4,
        size: PART + 7,
    };
    let upload = page.announce_random("again.bin", file);
    let parts = page.send_parts(&upload, file);
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| page.try_complete(upload.id, file.sha256(), &parts, &[HANG]));
        wait_to_hang(&stage.edge);
        stage.edge.kill();
        assert!(
            hanging.join().expect("no panic").is_err(),
            "answered, though it was killed"
        );
    });
    stage.edge.start();
    // As the page does it: again and again until there is a file.
    let stored: PageFile = wait_for("the file", WITHIN, || {
        let answer = page.complete(upload.id, file.sha256(), &parts, &[]);
        assert!(
            matches!(answer.status, 200 | 409 | 503),
            "{} {}",
            answer.status,
            answer.text()
        );
        std::thread::sleep(Duration::from_millis(500));
        (answer.status == 200).then(|| answer.ok(200))
    });
    assert_eq!(app.sha256(stored.id), file.sha256());
    let told = stage.receiver.wait_stored(link.id, file, WITHIN);
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(stage.receiver.about(link.id).len(), 1);
    assert_eq!(told.stored().expect("a stored file").file.id, stored.id);
    assert_eq!(app.get_link(link.id).files.len(), 1);
}

#[test]
fn a_file_that_was_stored_is_told_after_a_kill_when_it_was_not_before() {
    let mut stage = Stage::new("outbox");
    stage.receiver.stop();
    let app = stage.edge.app();
    let link = app.link(ANY_FILE);
    let stored = app.page(&link).store("a.pdf", &pdf());
    stage.edge.kill();
    stage.receiver.start_again();
    stage.edge.start();
    let told = stage.receiver.wait_stored(link.id, stored.sha256, WITHIN);
    assert_eq!(told.stored().expect("a stored file").file.id, stored.id);
    // And once it is acknowledged and that is kept, a restart does not tell it again.
    wait_acknowledged(&app, link.id);
    stage.edge.kill();
    stage.edge.start();
    assert_eq!(app.get_link(link.id).files.len(), 1);
    std::thread::sleep(Duration::from_secs(7));
    let ids: Vec<_> = stage.receiver.about(link.id).iter().map(|d| d.id).collect();
    assert_eq!(ids, [told.id]);
}
