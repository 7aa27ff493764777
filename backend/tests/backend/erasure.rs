//! A file that was deleted leaves nothing behind: no content, no name, no word about whose it was.

use std::path::Path;
use std::time::Duration;

use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::Stage;
use chatlift_shared::FileId;
use chatlift_shared::webhook::{Event, EventKind, FileDeleted};

use crate::common::{
    Backend, JumpingClock, TestEdge, announce, config, event_id, file_id, job, open, step,
};

/// Words that tell of a person.
const NAME: &str = "Zhang-San-diagnosis.txt";
const SUBJECT: &str = "policy-of-Zhang-San";
const METADATA: &str = "ward-seven";

/// A file of a person, as the edge announces it.
fn stored(n: u8, content: &[u8]) -> Event {
    let mut event = announce(n, NAME, "text/plain", content, &[]);
    if let EventKind::FileStored(stored) = &mut event.kind {
        stored.link.subject = Some(SUBJECT.to_owned());
        let metadata = [("ward".to_owned(), METADATA.to_owned())];
        stored.link.metadata = metadata.into();
    }
    event
}

/// The edge has deleted it.
fn deleted(stored: &Event) -> Event {
    let EventKind::FileStored(told) = &stored.kind else {
        unreachable!("a stored file was announced");
    };
    let mut file = told.file.clone();
    file.deleted_at = Some(stored.timestamp);
    let link = told.link.clone();
    Event {
        timestamp: stored.timestamp,
        kind: EventKind::FileDeleted(FileDeleted { file, link }),
    }
}

/// Whether any file below this folder holds these bytes.
fn holds(folder: &Path, words: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder).expect("the folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .any(|path| {
            if path.is_dir() {
                return holds(&path, words);
            }
            let bytes = std::fs::read(&path).expect("a file");
            bytes.windows(words.len()).any(|w| w == words)
        })
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came");
}

fn delivery(data: &Path, file: FileId) -> std::path::PathBuf {
    data.join("deliveries").join(file.to_string())
}

#[tokio::test]
async fn a_file_that_the_edge_deleted_is_erased_here_to_the_last_word() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let content = b"words of a diagnosis";
    edge.hold(file_id(1), content, "\"v1\"");
    let backend = Backend::start(data.path(), &edge).await;
    let event = stored(1, content);
    assert_eq!(backend.tell(event_id(1), &event).await, 204);
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    assert!(holds(data.path(), content));
    assert_eq!(backend.tell(event_id(2), &deleted(&event)).await, 204);
    until(async || !delivery(data.path(), file_id(1)).exists()).await;
    until(async || job(&backend.app, file_id(1)).await.stage() == Stage::Done).await;
    assert_ne!(backend.content(file_id(1)).await.status(), 200);
    let list = backend.get("/app/deliveries").await.text().await;
    assert_eq!(list.expect("JSON"), "[]");
    // Told again, it does not come back, and nor do the words.
    assert_eq!(backend.tell(event_id(3), &event).await, 204);
    assert_eq!(backend.ended(file_id(1)).await.stage(), Stage::Done);
    backend.stop().await;
    for words in [
        &content[..],
        NAME.as_bytes(),
        SUBJECT.as_bytes(),
        METADATA.as_bytes(),
    ] {
        let said = String::from_utf8_lossy(words);
        assert!(!holds(data.path(), words), "{said} is still here");
    }
}

#[tokio::test]
async fn a_file_that_was_deleted_on_its_way_is_never_delivered() {
    for steps in 0..3 {
        let data = tempfile::tempdir().expect("a folder");
        let (edge, clock) = (TestEdge::start().await, JumpingClock::new());
        let content = b"words of a diagnosis";
        edge.hold(file_id(1), content, "\"v1\"");
        let app = open(data.path(), &edge, &clock).await;
        let event = stored(1, content);
        let record = async |n, event: &Event| {
            let recorded = app
                .store()
                .record_event(event_id(n), event, clock.now())
                .await;
            recorded.expect("recorded");
        };
        record(1, &event).await;
        for _ in 0..steps {
            step(&app, file_id(1)).await;
        }
        // The step that is under way when the word comes ends after it.
        let under_way = job(&app, file_id(1)).await;
        record(2, &deleted(&event)).await;
        app.pipeline().step(&under_way).await.expect("recorded");
        assert_eq!(job(&app, file_id(1)).await.stage(), Stage::Erase, "{steps}");
        step(&app, file_id(1)).await;
        assert_eq!(job(&app, file_id(1)).await.stage(), Stage::Done, "{steps}");
        let delivered = app.store().deliveries(None).await.expect("the store");
        assert!(delivered.is_empty(), "{steps}");
        app.store().close().await;
        for words in [
            &content[..],
            NAME.as_bytes(),
            SUBJECT.as_bytes(),
            METADATA.as_bytes(),
        ] {
            let said = String::from_utf8_lossy(words);
            assert!(!holds(data.path(), words), "{steps}: {said} is still here");
        }
    }
}

#[tokio::test]
async fn one_that_cannot_be_deleted_stops_no_other() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let mut config = config(data.path(), &edge.url);
    config.retention = Some(Duration::from_secs(24 * 3600));
    let backend = Backend::start_with(config, JumpingClock::new()).await;
    edge.lock().stuck.insert(file_id(1));
    for n in 1..=3 {
        let content = [b"words ", &[b'0' + n][..]].concat();
        edge.hold(file_id(n), &content, "\"v1\"");
        let event = announce(n, "a.txt", "text/plain", &content, &[]);
        assert_eq!(backend.tell(event_id(n), &event).await, 204);
        assert_eq!(backend.ended(file_id(n)).await.stage(), Stage::Done);
        let now = backend.clock.now();
        let acknowledged = backend.app.store().acknowledge(file_id(n), now).await;
        assert!(acknowledged.expect("the store"));
    }
    for n in [2, 3] {
        until(async || !delivery(data.path(), file_id(n)).exists()).await;
        assert!(!edge.lock().contents.contains_key(&file_id(n)), "{n}");
    }
    assert!(delivery(data.path(), file_id(1)).exists());
    edge.lock().stuck.clear();
    until(async || !delivery(data.path(), file_id(1)).exists()).await;
    backend.stop().await;
}
