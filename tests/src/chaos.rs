//! Real edges, killed, cut off and slowed at moments drawn from a seed, while senders of every dialect do not give up.
//!
//! After each run the books are balanced at the receivers: the log of what the webhook endpoint was told, try by try, and
//! the bytes that the app fetches. The seed draws what strikes and when; what is under way just then, the machine decides,
//! so that a seed is played alike, and not step by step the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_shared::{EventId, FileId, Timestamp, limits};
use xtask::secrets::AppSecrets;

use crate::client::App;
use crate::edge::{Edge, MANY_FILES, Setup, is_native};
use crate::network::{Cut, Network, Profile};
use crate::nodes::Nodes;
use crate::postgres::Postgres;
use crate::receiver::{Delivery, Receiver};
use crate::s3::S3;
use crate::scratch::{Folder, now, wait_for};
use crate::sender::{Acknowledged, Seed, all_is_there, send_one, variable};

/// Runs, where none are asked for, and the first one: the fourth has a webhook without an answer, after which the native edge
/// once wrote nothing more.
const RUNS: u64 = 2;
const FIRST: u64 = 3;
/// Files of a run: one of each dialect, all at once.
const FILES: u64 = 4;
/// Largest file of a run: two parts.
const SIZE_MAX: u64 = limits::PART_SIZE + 2 * limits::MIB;
/// Faults of a run beside its kill.
const FAULTS: u64 = 2;
/// Longest time before a fault, and that one lasts, in milliseconds.
const BEFORE_MAX: u64 = 600;
const LASTS_MAX: u64 = 1_500;
/// How long a fault waits for something to strike.
const WAITS: Duration = Duration::from_secs(5);
/// How long a sender waits for an answer: it is not told of a silent cut.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time in which each webhook comes: three tries fail at most, by the run's faults (`edge/src/link/outbox.rs` has the
/// delays).
const TOLD_WITHIN: Duration = Duration::from_secs(200);
/// Between senders and edge: a run's files take some seconds, in which faults can strike.
const TO_EDGE: Profile = Profile {
    bits_per_second: 100_000_000,
    round_trip: Duration::from_millis(20),
};
/// Between the edge and the endpoint: a webhook is under way for long enough to be struck.
const TO_ENDPOINT: Profile = Profile {
    bits_per_second: 100_000_000,
    round_trip: Duration::from_millis(400),
};
/// Between nodes and their store.
const TO_STORE: Profile = Profile {
    bits_per_second: 1_000_000_000,
    round_trip: Duration::from_millis(2),
};
/// A phone at the edge of its cell.
const SLOW: Profile = Profile {
    bits_per_second: 500_000,
    round_trip: Duration::from_millis(600),
};

/// What can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// `kill -9` to an edge with requests under way.
    Kill,
    /// Connections of senders break.
    SendersCut,
    /// Connections of senders die without a word, and senders and edge wait.
    SendersStalled,
    /// Senders have a slow network.
    SendersSlowed,
    /// Connections to the webhook endpoint break.
    EndpointCut,
    /// Connections to the webhook endpoint die without a word.
    EndpointStalled,
    /// The endpoint answers with 503.
    EndpointRefuses,
    /// The endpoint takes a webhook, and its answer is lost.
    AnswerLost,
    /// PostgreSQL is killed, and recovers.
    DatabaseKilled,
    /// The disk has no room.
    DiskFull,
    /// The store answers with 503.
    StoreRefuses,
    /// Connections to the store break.
    StoreCut,
}

/// What strikes between senders and edge.
const AT_SENDERS: [Fault; 3] = [
    Fault::SendersCut,
    Fault::SendersStalled,
    Fault::SendersSlowed,
];
/// What strikes between edge and endpoint, also when senders are done.
const AT_ENDPOINT: [Fault; 4] = [
    Fault::EndpointCut,
    Fault::EndpointStalled,
    Fault::EndpointRefuses,
    Fault::AnswerLost,
];
/// The disk of a native edge with a store of its own: all files of a run some times.
const DISK: u64 = 256 * limits::MIB;

/// What else can strike nodes.
const AT_NODES: [Fault; 3] = [Fault::DatabaseKilled, Fault::StoreRefuses, Fault::StoreCut];

/// The edge under test.
enum Edges {
    /// workerd, or the native edge with a store of its own.
    One(Box<Edge>),
    /// Nodes with one database and one store.
    Many(Box<Shared>),
}

/// Native edges that share PostgreSQL and an S3 server.
struct Shared {
    nodes: Nodes,
    postgres: Postgres,
    s3: S3,
    to_store: Network,
    /// Gone after the database that is in it.
    _folder: Folder,
}

/// An edge and all around it.
struct Stage {
    edges: Edges,
    app: App,
    receiver: Receiver,
    to_edge: Network,
    to_endpoint: Network,
    struck: Vec<Strike>,
}

/// A fault that was made.
#[derive(Debug)]
struct Strike {
    fault: Fault,
    from: Timestamp,
    until: Timestamp,
    /// Whether anything was there for it to strike.
    has_met: bool,
}

/// What the books of all runs say.
#[derive(Debug, Default)]
struct Books {
    files: usize,
    bytes: u64,
    tries: usize,
    told_again: usize,
    /// Files of forms that were sent again since no answer came.
    forms_again: usize,
}

/// Plays runs against workerd, or against the native edge with its own store where the scenarios run on it.
///
/// # Panics
/// When the books of a run do not balance.
pub fn one_edge() {
    play(|secrets, to_endpoint| {
        let mut setup = Setup::new("chaos");
        setup.app = secrets;
        if is_native() {
            setup = setup.with_disk(DISK);
        }
        let edge = setup.start(to_endpoint);
        let (origin, app) = (edge.origin(), edge.app());
        (Edges::One(Box::new(edge)), origin, app)
    });
}

/// Plays runs against three native edges that share PostgreSQL and an S3 server.
///
/// # Panics
/// When the books of a run do not balance.
pub fn three_nodes() {
    play(|secrets, to_endpoint| {
        let folder = Folder::new("chaos-postgres");
        let postgres = Postgres::start(folder.path(), &[]);
        let s3 = S3::start("chaos-s3");
        let to_store = Network::before(&s3.origin(), TO_STORE);
        let mut vars = s3.vars_at(&to_store.origin());
        vars.push(("DATABASE_URL".to_owned(), postgres.url()));
        let nodes = Nodes::start("chaos-nodes", 3, secrets, to_endpoint, &vars);
        let (origin, app) = (nodes.origin().to_owned(), nodes.app());
        let shared = Shared {
            nodes,
            postgres,
            s3,
            to_store,
            _folder: folder,
        };
        (Edges::Many(Box::new(shared)), origin, app)
    });
}

fn play(start: impl FnOnce(AppSecrets, &str) -> (Edges, String, App)) {
    let first = variable("CHATLIFT_CHAOS_SEED", FIRST);
    let runs = variable("CHATLIFT_CHAOS_RUNS", RUNS);
    let secrets = AppSecrets::random().expect("random bytes");
    let receiver = Receiver::start(&[&secrets.webhook_secret]);
    let url = receiver.url();
    let (endpoint, path) = url.split_at(url.rfind("/webhooks").expect("a path"));
    let to_endpoint = Network::before(endpoint, TO_ENDPOINT);
    let (edges, origin, app) = start(secrets, &format!("{}{path}", to_endpoint.origin()));
    let mut stage = Stage {
        edges,
        app,
        receiver,
        to_edge: Network::before(&origin, TO_EDGE),
        to_endpoint,
        struck: Vec::new(),
    };
    let mut books = Books::default();
    for seed in first..first + runs {
        println!("run {seed}");
        stage.run(seed, &mut books);
    }
    println!(
        "{runs} runs: {} files of {} bytes stored and fetched ({} of them by forms that were sent again); {} webhooks in \
         the endpoint's log, {} of them told again since a fault hid the answer",
        books.files, books.bytes, books.forms_again, books.tries, books.told_again
    );
    let mut counts: BTreeMap<Fault, u32> = BTreeMap::new();
    for strike in stage.struck.iter().filter(|strike| strike.has_met) {
        *counts.entry(strike.fault).or_default() += 1;
    }
    println!("| fault | struck |\n|---|---:|");
    for (fault, times) in counts {
        println!("| {fault:?} | {times} |");
    }
}

/// Whether the endpoint has taken a webhook and said so, whatever came of the answer on its way.
fn is_acknowledged(delivery: &Delivery) -> bool {
    delivery.is_answered && delivery.status < 300
}

/// When the edge sent a webhook, to the second.
fn sent_at(delivery: &Delivery) -> Timestamp {
    let secs = delivery.timestamp.parse();
    Timestamp::from_secs(secs.expect("a time in seconds"))
}

/// Waits a while for something, and says whether it came.
fn soon(mut came: impl FnMut() -> bool) -> bool {
    let until = now().plus(WAITS);
    while !came() {
        if now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

impl Stage {
    /// One run on a link of its own, its books, and the link's erasure.
    fn run(&mut self, seed: u64, books: &mut Books) {
        let link = self.app.link(MANY_FILES);
        let through = self.to_edge.url(&link.url);
        let pages = [crate::client::Page::of(&through).with_patience(PATIENCE)];
        let over = AtomicBool::new(false);
        let sent: Vec<Acknowledged> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..FILES)
                .map(|n| {
                    let pages = &pages;
                    scope.spawn(move || send_one(pages, seed, n, SIZE_MAX))
                })
                .collect();
            let over = &over;
            let strikes = scope.spawn(|| self.strike_all(seed, over));
            let sent: Vec<_> = senders
                .into_iter()
                .map(std::thread::ScopedJoinHandle::join)
                .collect();
            over.store(true, Ordering::Relaxed);
            strikes.join().expect("faults");
            sent.into_iter().map(|s| s.expect("a sender")).collect()
        });
        all_is_there(
            &self.app,
            std::slice::from_ref(&link),
            &self.receiver,
            &sent,
        );
        self.balance(&link, &sent, books);
        let erase = format!("/v1/links/{}?erase=true", link.id);
        wait_for("the erasure", Duration::from_secs(60), || {
            (self.app.call("DELETE", &erase, &[], None).status < 300).then_some(())
        });
    }

    /// The run's kill and its other faults, in an order that is drawn; those at senders while there are any.
    fn strike_all(&mut self, seed: u64, over: &AtomicBool) {
        let mut seed = Seed(seed);
        let mut kinds = [&AT_SENDERS[..], &AT_ENDPOINT].concat();
        match &self.edges {
            Edges::Many(_) => kinds.extend(AT_NODES),
            Edges::One(edge) => kinds.extend(edge.disk().map(|_| Fault::DiskFull)),
        }
        let mut draw = |most: usize| usize::try_from(seed.below(most as u64)).expect("small");
        let mut faults: Vec<Fault> = (0..FAULTS).map(|_| kinds[draw(kinds.len())]).collect();
        faults.insert(draw(faults.len() + 1), Fault::Kill);
        for fault in faults {
            std::thread::sleep(Duration::from_millis(seed.below(BEFORE_MAX)));
            if over.load(Ordering::Relaxed) && !AT_ENDPOINT.contains(&fault) {
                continue;
            }
            let lasts = Duration::from_millis(100 + seed.below(LASTS_MAX));
            let node = usize::try_from(seed.below(3)).expect("small");
            let from = now();
            let has_met = self.strike(fault, lasts, node);
            self.struck.push(Strike {
                fault,
                from,
                until: now(),
                has_met,
            });
        }
    }

    /// Whether a fault has met anything.
    fn strike(&mut self, fault: Fault, lasts: Duration, node: usize) -> bool {
        let pause = || std::thread::sleep(lasts);
        let any = |network: &Network| soon(|| network.live() > 0);
        let cut = |network: &Network, cut| {
            let has_met = any(network);
            network.cut(cut);
            pause();
            network.restore();
            has_met
        };
        match (fault, &mut self.edges) {
            (Fault::Kill, Edges::One(edge)) => {
                let has_met = any(&self.to_edge);
                edge.kill();
                edge.start();
                has_met
            }
            (Fault::Kill, Edges::Many(many)) => {
                let has_met = any(&self.to_edge);
                many.nodes.kill(node);
                pause();
                many.nodes.start_node(node);
                has_met
            }
            (Fault::SendersCut, _) => cut(&self.to_edge, Cut::Broken),
            (Fault::SendersStalled, _) => cut(&self.to_edge, Cut::Silent),
            (Fault::SendersSlowed, _) => {
                let before = self.to_edge.sent();
                self.to_edge.set(SLOW);
                pause();
                self.to_edge.set(TO_EDGE);
                self.to_edge.sent() > before
            }
            (Fault::EndpointCut, _) => cut(&self.to_endpoint, Cut::Broken),
            (Fault::EndpointStalled, _) => cut(&self.to_endpoint, Cut::Silent),
            (Fault::EndpointRefuses, _) => {
                let before = self.receiver.tries();
                self.receiver.answer_with(503);
                let has_met = soon(|| self.receiver.tries() > before);
                self.receiver.answer_with(204);
                has_met
            }
            (Fault::AnswerLost, _) => {
                let before = self.receiver.tries();
                self.receiver.lose_answers(true);
                let has_met = soon(|| self.receiver.tries() > before);
                self.receiver.lose_answers(false);
                has_met
            }
            (Fault::DiskFull, Edges::One(edge)) => {
                let disk = edge.disk().expect("a disk of its own");
                disk.fill();
                pause();
                disk.free();
                true
            }
            (Fault::DatabaseKilled, Edges::Many(many)) => {
                many.postgres.restart();
                true
            }
            (Fault::StoreRefuses, Edges::Many(many)) => {
                let s3 = &many.s3;
                let before = s3.failed();
                s3.fail(true);
                pause();
                s3.fail(false);
                s3.failed() > before
            }
            (Fault::StoreCut, Edges::Many(many)) => cut(&many.to_store, Cut::Broken),
            (_, Edges::One(_)) => unreachable!("one edge has neither"),
            (Fault::DiskFull, Edges::Many(_)) => unreachable!("nodes keep nothing on their disks"),
        }
    }

    /// The endpoint's log of a link, try by try: each file has one event, that says the same each time, and that is told
    /// again after it was acknowledged only where a fault has struck meanwhile.
    fn balance(&self, link: &Link, sent: &[Acknowledged], books: &mut Books) {
        let told = wait_for("acknowledged webhooks", TOLD_WITHIN, || {
            let mut told: BTreeMap<EventId, Vec<Delivery>> = BTreeMap::new();
            for delivery in self.receiver.about(link.id) {
                if delivery.stored().is_some() {
                    told.entry(delivery.id).or_default().push(delivery);
                }
            }
            let all = told.values().all(|tries| tries.iter().any(is_acknowledged));
            all.then_some(told)
        });
        let mut files: BTreeSet<FileId> = BTreeSet::new();
        for (id, tries) in &told {
            let file = &tries[0].stored().expect("a stored file").file;
            assert!(files.insert(file.id), "two events of {}", file.id);
            for again in tries {
                assert_eq!(again.body, tries[0].body, "{id} says something else");
            }
            let first = tries.iter().position(is_acknowledged).expect("waited for");
            for again in &tries[first + 1..] {
                // What a killed edge had sent may arrive after the next one was started.
                let sent = sent_at(&tries[first]);
                let hid = |strike: &Strike| strike.from <= again.at && strike.until >= sent;
                let reason = self.struck.iter().any(hid);
                assert!(reason, "{id}, sent at {sent}, told again at {}", again.at);
                books.told_again += 1;
            }
            books.files += 1;
            books.bytes += file.size;
            books.tries += tries.len();
        }
        let there = self.app.get_link(link.id).files;
        let there: BTreeSet<FileId> = there.iter().map(|file| file.id).collect();
        assert_eq!(files, there, "events of files, and files");
        books.forms_again += there.len() - sent.len();
    }
}
