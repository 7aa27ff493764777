//! Two backends without a folder in common: PostgreSQL over TLS, a store that speaks S3, and a scratch
//! folder each. One or the other is killed at moments drawn from a seed.
//!
//! `CHATLIFT_CHAOS_JOBS` and `CHATLIFT_CHAOS_KILLS` make it longer, `CHATLIFT_CHAOS_SEED` another run:
//! `cargo xtask chaos backend`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chatlift_backend::clock::SystemClock;
use chatlift_backend::ports::Clock as _;
use chatlift_backend::store::{Stage, Store, joined_id, member_id};
use chatlift_shared::api::{File, ReceiptStatus};
use chatlift_shared::webhook::{self, Event, EventKind, FileDeleted, FileStored, LinkEnded};
use chatlift_shared::{EventId, FileId, LinkId, UploadId};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::common::process::{Process, tell};
use crate::common::{SECRET, TestEdge, announce, client};
use crate::families::{archive, joined, picture};
use crate::postgres::start_over_tls;

const PDF: &str = "application/pdf";
/// Time between two kills, in milliseconds: anything up to this.
const PAUSE_MAX: u64 = 3_000;
/// How long is waited for what is still to come after the last kill: its leases, and what is left to do.
const PATIENCE: Duration = Duration::from_secs(600);
/// Receipts and notices that one process may have on their way when it is killed, of each.
const ON_THEIR_WAY: usize = 8;

/// A store that speaks S3, with one bucket, in `folder`; its address.
async fn start_s3(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    serve_s3(folder, listener);
    format!("http://{address}")
}

/// Serves the same.
pub(crate) fn serve_s3(folder: &Path, listener: TcpListener) {
    std::fs::create_dir_all(folder.join("bucket")).expect("a bucket");
    let files = s3s_fs::FileSystem::new(folder).expect("a folder");
    let mut service = S3ServiceBuilder::new(files);
    service.set_auth(SimpleAuth::from_single("id", "secret"));
    let service = service.build();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

/// What the app has heard, each time that it was told: the type, the file and the webhook's id.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, FileId, String)>>>);

impl Heard {
    /// The ids under which each file was told of, and how often.
    fn of(&self, kind: &str) -> BTreeMap<FileId, BTreeMap<String, usize>> {
        let mut told = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (said, file, id) in self.0.lock().expect("no test panicked").iter() {
            if said == kind {
                *told
                    .entry(*file)
                    .or_default()
                    .entry(id.clone())
                    .or_default() += 1;
            }
        }
        told
    }
}

/// The first app's receiver; its address.
async fn start_app() -> (Heard, String) {
    async fn hear(State(heard): State<Heard>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let header = |name: &'static str| headers.get(name).and_then(|v| v.to_str().ok());
        let secrets = [SECRET.parse().expect("a secret")];
        let id = webhook::verify(&secrets, header, &body, SystemClock.now()).expect("signed");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let kind = body["type"].as_str().expect("a type").to_owned();
        let file = body["data"]["file"].as_str().expect("a file");
        let file = file.parse().expect("an id");
        let mut heard = heard.0.lock().expect("no test panicked");
        heard.push((kind, file, id.to_string()));
        StatusCode::NO_CONTENT
    }
    let heard = Heard::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let router = Router::new()
        .route("/hook", post(hear))
        .with_state(heard.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (heard, url)
}

/// The numbers of a seed (SplitMix64).
struct Seed(u64);

impl Seed {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ (n >> 31)) % most
    }

    fn one_of_two(&mut self) -> usize {
        usize::from(self.below(2) == 1)
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |n| n.parse().expect("a number"))
}

/// Link `n`, and file `m` of it.
fn ids(n: u64, m: u8) -> (LinkId, FileId) {
    let mut bytes = [7; 12];
    bytes[4..].copy_from_slice(&n.to_be_bytes());
    let link = LinkId::from_bytes(bytes);
    (link, FileId::from(UploadId::new(link, [m; 6])))
}

/// What is sent by a link.
struct Set {
    /// The uploads, with their contents.
    sent: Vec<(Event, Vec<u8>)>,
    /// What ends the link, if that matters.
    ended: Option<Event>,
    /// The files that the app is to have.
    wanted: Vec<FileId>,
    /// How many jobs come of it.
    jobs: u64,
}

/// What is sent by link `n`: an archive, two pictures to be joined, a text, by turns; one of 16 is a text
/// that LibreOffice makes a PDF of.
fn set(n: u64) -> Set {
    let stored = |m: u8, name: &str, media_type: &str, content: Vec<u8>, formats: &[&str]| {
        let mut event = announce(m, name, media_type, &content, formats);
        let (link, file) = ids(n, m);
        if let EventKind::FileStored(stored) = &mut event.kind {
            (stored.file.id, stored.file.link, stored.link.id) = (file, link, link);
        }
        (event, content)
    };
    let (link, file) = ids(n, 1);
    let words = format!("words of link {n}").into_bytes();
    match n % 4 {
        0 => {
            let content = archive(&[(b"a.png", &picture(8, 9)), (b"b.png", &picture(9, 8))]);
            Set {
                sent: vec![stored(
                    1,
                    "a.zip",
                    "application/zip",
                    content,
                    &["image/jpeg"],
                )],
                ended: None,
                wanted: vec![member_id(file, 1), member_id(file, 2)],
                jobs: 3,
            }
        }
        1 => {
            let sent = [1, 2].map(|m| {
                let (event, content) = stored(m, "a.png", "image/png", picture(8, 9), &[PDF]);
                (joined(event), content)
            });
            let EventKind::FileStored(FileStored { link: told, .. }) = sent[0].0.kind.clone()
            else {
                unreachable!("a stored file was announced");
            };
            let ended = LinkEnded {
                link: told,
                files: 2,
                order: vec![file, ids(n, 2).1],
            };
            let ended = Event {
                timestamp: sent[0].0.timestamp,
                kind: EventKind::LinkCompleted(ended),
            };
            Set {
                sent: sent.into(),
                ended: Some(ended),
                wanted: vec![joined_id(link)],
                jobs: 3,
            }
        }
        more => {
            let formats: &[&str] = if more == 2 && n % 16 == 2 {
                &[PDF]
            } else {
                &[]
            };
            Set {
                sent: vec![stored(1, "a.txt", "text/plain", words, formats)],
                ended: None,
                wanted: vec![file],
                jobs: 1,
            }
        }
    }
}

/// That the file of this event is deleted at the edge.
fn deleted(event: &Event) -> Option<Event> {
    let EventKind::FileStored(FileStored { file, link }) = event.kind.clone() else {
        return None;
    };
    let deleted = FileDeleted {
        file: File {
            deleted_at: Some(event.timestamp),
            ..file
        },
        link,
    };
    Some(Event {
        timestamp: event.timestamp,
        kind: EventKind::FileDeleted(deleted),
    })
}

/// The files below a folder.
fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        match path.is_dir() {
            true => found.extend(files_in(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}

/// Waits until `done`, which says what is still to come.
async fn until<T: std::fmt::Debug>(what: &str, done: impl AsyncFn() -> Vec<T>) {
    let begun = tokio::time::Instant::now();
    loop {
        let left = done().await;
        if left.is_empty() {
            return;
        }
        let left: Vec<_> = left.iter().take(20).collect();
        assert!(begun.elapsed() < PATIENCE, "{what}: {left:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Sends an event as the edge does, to one or the other until one has taken it.
async fn insist(urls: &Mutex<[String; 2]>, seed: &mut Seed, id: EventId, event: &Event) {
    let http = client();
    loop {
        let url = urls.lock().expect("no test panicked")[seed.one_of_two()].clone();
        if tell(&http, &url, id, event).await == Some(204) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_backends_without_a_common_folder_deliver_each_file_once_whichever_is_killed() {
    let seed = number("CHATLIFT_CHAOS_SEED", 1);
    let (most, kills) = (
        number("CHATLIFT_CHAOS_JOBS", 40),
        number("CHATLIFT_CHAOS_KILLS", 3),
    );
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let (_server, _, database) = start_over_tls(folder.path()).await;
    let s3 = tempfile::tempdir().expect("a folder");
    let (endpoint, (heard, hook)) = (start_s3(s3.path()).await, start_app().await);
    let edge = TestEdge::start().await;
    let variables = [
        ("CHATLIFT_DATABASE_URL", database.as_str()),
        ("CHATLIFT_OBJECTS", "s3://bucket/of/chatlift"),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("CHATLIFT_APP_WEBHOOK_URL", &hook),
        ("CHATLIFT_APP_WEBHOOK_SECRET", SECRET),
        ("PATH", "/usr/bin:/bin"),
    ];
    let data = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let start = |n: usize| Process::start(data[n].path(), &edge, &variables);
    let mut both = [start(0), start(1)];

    let mut jobs = 0;
    let sets: Vec<Set> = (0..)
        .map(set)
        .take_while(|set| {
            let more = jobs < most;
            jobs += set.jobs;
            more
        })
        .collect();
    let jobs: u64 = sets.iter().map(|set| set.jobs).sum();
    let wanted: BTreeSet<FileId> = sets.iter().flat_map(|set| set.wanted.clone()).collect();
    let uploads: Vec<Event> = sets
        .iter()
        .flat_map(|set| set.sent.iter().map(|(event, _)| event.clone()))
        .collect();
    let urls = Arc::new(Mutex::new(both.each_ref().map(|p| p.webhook_url.clone())));

    // They are sent in the first half of the time in which there are kills.
    let pause = Duration::from_millis(kills * PAUSE_MAX / 4 / sets.len() as u64);
    let sender = tokio::spawn({
        let (edge, urls, mut seed) = (edge.clone(), Arc::clone(&urls), Seed(seed ^ 1));
        async move {
            for (n, set) in (0..).zip(sets) {
                let mut events = Vec::new();
                for (event, content) in set.sent {
                    if let EventKind::FileStored(stored) = &event.kind {
                        edge.hold(stored.file.id, &content, "\"v1\"");
                    }
                    events.push(event);
                }
                for (m, event) in (1..).zip(events.iter().chain(&set.ended)) {
                    let id = EventId::new(ids(n, 1).0, [m; 6]);
                    insist(&urls, &mut seed, id, event).await;
                }
                tokio::time::sleep(pause).await;
            }
        }
    });
    let mut moments = Seed(seed);
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(moments.below(PAUSE_MAX))).await;
        let one = moments.one_of_two();
        both[one].kill();
        both[one] = start(one);
        urls.lock().expect("no test panicked")[one] = both[one].webhook_url.clone();
    }
    sender.await.expect("all is sent");

    until("not delivered", async || {
        let told = heard.of("file.delivered");
        let missing = wanted.iter().filter(|file| !told.contains_key(file));
        missing.copied().collect::<Vec<_>>()
    })
    .await;
    let store = Store::open_shared(&database).await.expect("the store");
    until("not told", async || {
        let unsent = store.unsent().await.expect("the store");
        unsent
            .into_iter()
            .filter(|(_, n)| *n > 0)
            .collect::<Vec<_>>()
    })
    .await;
    assert_eq!(heard.of("file.rejected"), BTreeMap::new());
    let told = heard.of("file.delivered");
    assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), wanted);
    let twice: Vec<_> = told.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "delivered more than once: {twice:?}");
    // Whoever is killed between sending and noting that leaves what it sent to be sent again, under the
    // same id: no more than it had on its way.
    let again: usize = told
        .values()
        .flat_map(BTreeMap::values)
        .map(|n| n - 1)
        .sum();
    let bound = ON_THEIR_WAY * usize::try_from(kills).expect("a number");
    assert!(again <= bound, "{again} notices again");

    let receipts = edge.lock().receipts.clone();
    let mut said = BTreeMap::<_, usize>::new();
    for (file, receipt) in &receipts {
        *said.entry((*file, receipt.status)).or_default() += 1;
    }
    let receipts_again = receipts.len() - said.len();
    assert!(receipts_again <= bound, "{receipts_again} receipts again");
    for upload in &uploads {
        let EventKind::FileStored(stored) = &upload.kind else {
            unreachable!("a stored file was announced");
        };
        let file = stored.file.id;
        for status in [
            ReceiptStatus::Received,
            ReceiptStatus::Converted,
            ReceiptStatus::Delivered,
        ] {
            assert!(said.contains_key(&(file, status)), "{file}: {status:?}");
        }
    }
    assert_eq!(said.len(), 3 * uploads.len());

    // One object for each file and nothing in the scratch of either, without a start.
    let bucket = s3.path().join("bucket");
    until("scratch", async || {
        let left = data
            .iter()
            .flat_map(|one| files_in(&one.path().join("work")));
        left.collect::<Vec<_>>()
    })
    .await;
    let kept = files_in(&bucket);
    assert_eq!(kept.len(), wanted.len(), "{kept:?}");

    // The survivor serves every file.
    both[0].kill();
    let survivor = &both[1];
    let content = |file: &FileId, range: &'static str| {
        let url = format!("{}/app/deliveries/{file}/content", survivor.url);
        survivor.http.get(url).header("range", range).send()
    };
    for file in &wanted {
        let whole = content(file, "").await.expect("an answer");
        assert_eq!(whole.status(), 200, "{file}");
        let whole = whole.bytes().await.expect("bytes");
        let part = content(file, "bytes=1-4").await.expect("an answer");
        assert_eq!(part.status(), 206);
        let range = format!("bytes 1-4/{}", whole.len());
        assert_eq!(part.headers()["content-range"], range);
        assert_eq!(part.bytes().await.expect("bytes"), whole[1..5]);
    }
    let first = wanted.first().expect("a file");
    let beyond = content(first, "bytes=99999999-").await.expect("an answer");
    assert_eq!(beyond.status(), 416);

    // Their objects go with the files.
    for event in uploads.iter().filter_map(deleted) {
        let EventKind::FileDeleted(gone) = &event.kind else {
            unreachable!("a file was deleted");
        };
        let mut id = [9; 6];
        id[0] = gone.file.id.suffix()[0];
        let id = EventId::new(gone.link.id, id);
        assert_eq!(survivor.tell(id, &event).await, Some(204));
    }
    until("objects", async || files_in(&bucket)).await;
    until("scratch", async || files_in(&data[1].path().join("work"))).await;
    // The one that removed the last of them may not have said so yet.
    until("jobs", async || {
        let mut open = store.open_jobs().await.expect("the store");
        open.retain(|job| job.stage() != Stage::Done);
        open
    })
    .await;
    store.close().await;
    println!(
        "seed {seed}: {jobs} jobs of {} uploads, {} fetches, {kills} kills: {} files delivered once each, \
         {again} notices and {receipts_again} receipts sent again under their ids, nothing left",
        uploads.len(),
        edge.fetches().len(),
        wanted.len(),
    );
}
