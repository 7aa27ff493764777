//! Many links and many uploads at once against a real edge, by real HTTP, with a backend that fetches and erases.
//!
//! Three phases: an even load, told minute by minute; an overload beyond every limit, where each refusal must say when to
//! come again; and a recovery, where each request must succeed at once. At the end the books are balanced at the receivers:
//! each acknowledged file was told of by one event and fetched as it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_shared::limits;
use serde_json::json;

use crate::client::{App, Page};
use crate::edge::{MANY_FILES, Setup};
use crate::fixtures::Random;
use crate::http::Answer;
use crate::receiver::Delivery;
use crate::scratch::wait_for;
use crate::sender::{Acknowledged, Dialect, Seed, Sending, send, variable};
use crate::stage::Stage;

/// Requests of a minute that the edge takes about one link, and from one address (`wrangler.toml`).
const LINK_LIMIT: u32 = 600;
const ADDRESS_LIMIT: u32 = 3_000;
/// Files of a link, after which the backend erases it and there is a new one in its place.
const FILES: usize = 10;
/// Smallest and largest file; the largest of a short run.
const SIZE_MIN: u64 = 1_000;
const SIZE_MAX: u64 = 20_000_000;
const SHORT_SIZE_MAX: u64 = 1_000_000;
/// From here on an upload's latency stands in the table's last column.
const LARGE: u64 = 1_000_000;
/// Of so many senders one sends again once the overload is over: no more than there is memory for, whatever is drawn.
const RECOVERED: usize = 10;
/// A file of the overload: a form of this size takes all the memory that one form may.
const FORM_SIZE: u64 = 16_000_000;
/// How many fetch for the backend at once.
const FETCHERS: usize = 8;
/// How long an exchange, and an event, may take with everything busy.
const PATIENCE: Duration = Duration::from_secs(120);
const TOLD_WITHIN: Duration = Duration::from_secs(300);
/// The least and the most time between two looks at the edge's memory.
const SAMPLE: Duration = Duration::from_millis(500);
/// How much more memory than in the second minute the edge may have later, in percent.
const GROWTH_MAX: u64 = 10;

/// How long, and how much.
#[derive(Debug)]
struct Plan {
    links: usize,
    at_once: usize,
    periods: usize,
    period: Duration,
    size_max: u64,
    /// Whether it is long enough to say something of memory, and to wait until limits have run out.
    is_long: bool,
    seed: u64,
}

impl Plan {
    /// As the variables say; where they say nothing, some seconds.
    fn read() -> Self {
        let minutes = variable("CHATLIFT_LOAD_MINUTES", 0);
        let is_long = minutes > 0;
        let count = |name, long, short| {
            let count = variable(name, if is_long { long } else { short });
            usize::try_from(count).expect("a count")
        };
        Self {
            links: count("CHATLIFT_LOAD_LINKS", 1_000, 20),
            at_once: count("CHATLIFT_LOAD_AT_ONCE", 200, 10),
            periods: count("CHATLIFT_LOAD_MINUTES", 0, 2),
            period: Duration::from_secs(if is_long { 60 } else { 1 }),
            size_max: if is_long { SIZE_MAX } else { SHORT_SIZE_MAX },
            is_long,
            seed: variable("CHATLIFT_LOAD_SEED", 1),
        }
    }
}

/// What happened in some time.
#[derive(Debug, Default)]
struct Period {
    files: u64,
    bytes: u64,
    /// Answers by status, and requests without one.
    statuses: BTreeMap<u16, u64>,
    unanswered: u64,
    /// Milliseconds.
    created: Vec<f64>,
    small: Vec<f64>,
    large: Vec<f64>,
    /// The edge's memory in bytes, looked at again and again.
    memory: Vec<u64>,
    /// Longest wait that a refusal asked for, in seconds.
    wait: u64,
}

impl Period {
    /// Takes an answer down, and checks what every answer must be: no fault of the edge, and of each refusal of what is
    /// too much when to come again.
    fn answered(&mut self, answer: Option<&Answer>) {
        let Some(answer) = answer else {
            self.unanswered += 1;
            return;
        };
        *self.statuses.entry(answer.status).or_default() += 1;
        let (status, text) = (answer.status, answer.text());
        match status {
            429 | 503 => {
                let after = answer.header("retry-after").and_then(|s| s.parse().ok());
                let after: u64 = after.unwrap_or_else(|| panic!("{status}, and when? {text}"));
                self.wait = self.wait.max(after);
            }
            500.. => panic!("a fault of the edge: {status} {text}"),
            _ => {}
        }
    }

    fn count(&self, statuses: impl std::ops::RangeBounds<u16>) -> u64 {
        self.statuses.range(statuses).map(|(_, count)| count).sum()
    }

    fn errors(&self) -> String {
        let mut text = String::new();
        for (status, count) in self.statuses.range(400..) {
            let _ = write!(text, "{status}: {count} ");
        }
        if self.unanswered > 0 {
            let _ = write!(text, "no answer: {}", self.unanswered);
        }
        match text.trim() {
            "" => "none".to_owned(),
            text => text.to_owned(),
        }
    }

    fn memory(&self) -> u64 {
        let mut all = self.memory.clone();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    }
}

/// Median, 95th and 99th percentile.
fn percentiles(values: &[f64]) -> String {
    let mut all = values.to_vec();
    all.sort_by(f64::total_cmp);
    let at = |percent: usize| all.get(all.len() * percent / 100).copied();
    let percent = [50, 95, 99].map(|p| at(p).map_or("–".to_owned(), |ms| format!("{ms:.0}")));
    percent.join(" / ")
}

/// Milliseconds that something took, and what came of it.
fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = xtask::run::now();
    let done = work();
    (begun.elapsed().as_secs_f64() * 1000.0, done)
}

/// A link, and what its sender was told of it.
struct Sent {
    link: Link,
    files: Vec<Acknowledged>,
}

/// What all threads share.
struct Load<'a> {
    plan: &'a Plan,
    stage: &'a Stage,
    app: App,
    period: Mutex<Period>,
    acknowledged: AtomicUsize,
    told_again: AtomicU64,
    fetched: AtomicUsize,
    failed: AtomicBool,
    /// Links that are done, for the backend; none when there are no more.
    done: Sender<Option<Sent>>,
}

impl Load<'_> {
    fn period(&self) -> MutexGuard<'_, Period> {
        self.period.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an answer down, and waits where it asks for that.
    fn answered(&self, answer: Option<&Answer>) {
        self.period().answered(answer);
        if let Some(answer) = answer.filter(|answer| matches!(answer.status, 429 | 503)) {
            let secs = answer.header("retry-after").and_then(|s| s.parse().ok());
            std::thread::sleep(Duration::from_secs(secs.unwrap_or_default()));
        }
    }

    fn create(&self) -> Sent {
        let body = json!({ "scene": MANY_FILES, "subject": "load" });
        loop {
            let (ms, answer) = timed(|| self.app.call("POST", "/v1/links", &[], Some(&body)));
            self.answered(Some(&answer));
            if !matches!(answer.status, 429 | 503) {
                self.period().created.push(ms);
                let (link, files) = (answer.ok(201), Vec::new());
                return Sent { link, files };
            }
        }
    }

    /// A link's page as the person has it who is the `n`th sender, behind an address of its own.
    fn page(&self, link: &Link, n: usize) -> Page {
        let address = format!("10.1.{}.{}", n / 200, n % 200 + 1);
        from(&link.url, &address)
    }

    /// Sends one file until it is acknowledged.
    fn send(&self, sender: usize, link: &mut Sent, sending: Sending, strictly: bool) {
        let size = sending.file.size;
        let page = self.page(&link.link, sender);
        let on_answer = |answer: Option<&Answer>| {
            self.answered(answer);
            let is_well = answer.is_some_and(|answer| answer.status < 300);
            assert!(is_well || !strictly, "not well again: {answer:?}");
        };
        let (ms, file) = timed(|| send(&page, sending, &on_answer));
        link.files.push(file);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let mut period = self.period();
        period.files += 1;
        period.bytes += size;
        match size {
            LARGE.. => period.large.push(ms),
            _ => period.small.push(ms),
        }
    }

    /// One sender's even load: a file to one of its links after the other.
    fn sender(&self, n: usize, links: &mut [Sent], over: &AtomicBool) {
        let mut seed = Seed(self.plan.seed.wrapping_mul(1_000_003) + n as u64);
        let count = links.len();
        for file in 0.. {
            if over.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed) {
                return;
            }
            let link = &mut links[file % count];
            self.send(n, link, self.draw(&mut seed, n, file), false);
            if link.files.len() == FILES {
                let done = std::mem::replace(link, self.create());
                self.done.send(Some(done)).expect("a backend");
            }
        }
    }

    /// More requests of one address, about one link, than it may make, and more forms than there is memory for.
    fn overload(&self, n: usize, link: &mut Sent, hammered: &Link) {
        if n.is_multiple_of(2) {
            let page = from(&hammered.url, HAMMER);
            let limit = if self.plan.is_long {
                ADDRESS_LIMIT
            } else {
                LINK_LIMIT
            };
            // Counted in minutes: twice the limit is beyond it also where one begins meanwhile.
            let requests = 4 * limit / u32::try_from(self.plan.at_once).expect("few") + 1;
            for _ in 0..requests {
                let answer = page.try_call("GET", "/page", &[], None);
                self.period().answered(answer.as_ref().ok());
            }
        } else if self.plan.is_long {
            let file = Random {
                seed: n as u64,
                size: FORM_SIZE,
            };
            let sending = Sending {
                name: format!("form-{n}.bin"),
                file,
                dialect: Dialect::Form,
                seed: Seed(0),
            };
            self.send(n, link, sending, false);
        }
    }

    /// The backend: waits until it has heard of each file of a link, looks at what it has heard, fetches the files, and
    /// erases the link.
    fn fetch(&self, sent: &Sent) {
        let id = sent.link.id;
        let ids: BTreeSet<_> = sent.files.iter().map(|file| file.id).collect();
        assert_eq!(ids.len(), sent.files.len(), "two files of one id on {id}");
        let there = self.app.get_link(id).files;
        let told = wait_for("its webhooks", TOLD_WITHIN, || {
            let mut told: BTreeMap<_, Vec<Delivery>> = BTreeMap::new();
            for delivery in self.stage.receiver.about(id) {
                if let Some(stored) = delivery.stored() {
                    told.entry(stored.file.id).or_default().push(delivery);
                }
            }
            (told.len() >= there.len()).then_some(told)
        });
        for (file, tries) in &told {
            let events: BTreeSet<_> = tries.iter().map(|delivery| &delivery.id).collect();
            assert_eq!(events.len(), 1, "events of {file}");
            let again = tries.len() as u64 - 1;
            self.told_again.fetch_add(again, Ordering::Relaxed);
        }
        for file in &sent.files {
            assert!(
                told.contains_key(&file.id),
                "nobody was told of {}",
                file.name
            );
            let same = there.iter().filter(|other| other.name == file.name).count();
            // A form that had no answer is sent again, and may be there twice.
            assert!(
                same == 1 || file.dialect == Dialect::Form,
                "{same} of {}",
                file.name
            );
            assert_eq!(
                self.app.sha256(file.id),
                file.file.sha256(),
                "{}",
                file.name
            );
            self.fetched.fetch_add(1, Ordering::Relaxed);
        }
        let erased = self
            .app
            .call("DELETE", &format!("/v1/links/{id}?erase=true"), &[], None);
        self.period().answered(Some(&erased));
        assert!(erased.status < 300, "{}", erased.text());
    }

    /// A sender's next file: of any order of size as likely as of another, by any dialect.
    fn draw(&self, seed: &mut Seed, sender: usize, file: usize) -> Sending {
        let orders = (self.plan.size_max as f64 / SIZE_MIN as f64).ln();
        let part = seed.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        let size = SIZE_MIN as f64 * (part * orders).exp();
        // Within the bounds above.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded"
        )]
        let size = size as u64;
        // Most people have the page.
        let dialect = match seed.below(8) {
            0 => Dialect::Tus,
            1 => Dialect::Resumable,
            2 => Dialect::Form,
            _ if size <= limits::SINGLE_REQUEST_MAX => Dialect::Single,
            _ => Dialect::Parts,
        };
        Sending {
            name: format!("{dialect:?}-{sender}-{file}.bin"),
            file: Random {
                seed: seed.below(u64::MAX),
                size,
            },
            dialect,
            seed: Seed(seed.below(u64::MAX)),
        }
    }

    /// Files that are acknowledged and that the backend has not heard of.
    fn queue(&self) -> usize {
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        acknowledged.saturating_sub(self.stage.receiver.events())
    }

    /// Looks at memory until a period is over, and prints its line.
    fn watch(&self, name: &str, over: impl Fn() -> bool) -> Period {
        while !over() {
            let failed = self.failed.load(Ordering::Relaxed);
            assert!(!failed, "a sender or the backend has failed");
            let resident = self.stage.edge.resident();
            self.period().memory.push(resident);
            std::thread::sleep(SAMPLE.min(self.plan.period / 4));
        }
        let period = std::mem::take(&mut *self.period());
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
            period.files,
            period.bytes / 1_000_000,
            period.errors(),
            percentiles(&period.created),
            percentiles(&period.small),
            percentiles(&period.large),
            period.memory() / limits::MIB,
            self.queue(),
        );
        period
    }

    /// Has each sender do something with what is its own, and prints one line about all of it.
    fn all<T: Send>(
        &self,
        name: &str,
        of_senders: &mut [T],
        work: impl Fn(usize, &mut T) + Sync,
    ) -> Period {
        std::thread::scope(|scope| {
            let senders = of_senders.iter_mut().enumerate().map(|(n, own)| {
                let work = &work;
                scope.spawn(move || {
                    let _watched = Watched(&self.failed);
                    work(n, own);
                })
            });
            let senders: Vec<_> = senders.collect();
            self.watch(name, || senders.iter().all(|sender| sender.is_finished()))
        })
    }
}

/// Whose requests are too many.
const HAMMER: &str = "10.2.0.1";

/// A page behind a proxy that names its address, as each of the two edges wants it.
fn from(url: &str, address: &str) -> Page {
    Page::of(url)
        .with_patience(PATIENCE)
        .with_header("cf-connecting-ip", address)
        .with_header("x-forwarded-for", address)
}

/// How busy the machine is.
fn machine() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Plays the plan that the variables ask for, against workerd, or the native edge where the scenarios run on it.
///
/// # Panics
/// When a promise is broken: a fault of the edge, a refusal that does not say when to come again, a file that is lost,
/// altered or told of twice, memory that grows.
pub fn play() {
    let plan = Plan::read();
    let limit = |name: &str, id: u32, limit: u32| {
        format!(
            "\n[[ratelimits]]\nname = \"{name}\"\nnamespace_id = \"{id}\"\n\
             simple = {{ limit = {limit}, period = 60 }}\n"
        )
    };
    let setup = Setup::new("load")
        .with_wrangler(&limit("RATE_LINK", 1, LINK_LIMIT))
        .with_wrangler(&limit("RATE_ADDRESS", 2, ADDRESS_LIMIT))
        .with_var("RATE_LIMITS", "true")
        .with_var("TRUSTED_PROXIES", "127.0.0.1");
    let stage = Stage::with(setup);
    println!(
        "{} links, {} uploads at once, files of {SIZE_MIN} to {} bytes; the machine's load before: {}",
        plan.links,
        plan.at_once,
        plan.size_max,
        machine()
    );
    println!(
        "| {} s | files | MB | errors | create a link, ms | upload below 1 MB, ms | upload above, ms | edge in RAM, MiB | \
         webhooks to come |\n|---|---:|---:|---|---:|---:|---:|---:|---:|",
        plan.period.as_secs()
    );
    let (done, queue) = channel();
    let load = Load {
        plan: &plan,
        app: stage.edge.app(),
        stage: &stage,
        period: Mutex::default(),
        acknowledged: AtomicUsize::new(0),
        told_again: AtomicU64::new(0),
        fetched: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        done,
    };
    let queue = Mutex::new(queue);
    // Looks up again and again, since who would say that there are no more may have failed.
    let next = || {
        while !load.failed.load(Ordering::Relaxed) {
            let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            match queue.recv_timeout(SAMPLE) {
                Err(RecvTimeoutError::Timeout) => {}
                sent => return sent.ok().flatten(),
            }
        }
        None
    };
    let periods = std::thread::scope(|scope| {
        let _watched = Watched(&load.failed);
        for _ in 0..FETCHERS {
            scope.spawn(|| {
                let _watched = Watched(&load.failed);
                while let Some(sent) = next() {
                    load.fetch(&sent);
                }
            });
        }
        let periods = phases(&load);
        for _ in 0..FETCHERS {
            load.done.send(None).expect("the queue");
        }
        periods
    });
    let acknowledged = load.acknowledged.into_inner();
    let fetched = load.fetched.into_inner();
    println!(
        "{acknowledged} files acknowledged, {fetched} told of by one event each and fetched as they were sent ({} webhooks \
         came again); the machine's load after: {}",
        load.told_again.into_inner(),
        machine()
    );
    assert_eq!(acknowledged, fetched, "acknowledged, and fetched");
    if let Some(second) = periods.get(1).filter(|_| plan.is_long) {
        let most = periods[1..].iter().map(Period::memory).max();
        let (second, most) = (second.memory(), most.unwrap_or_default());
        println!(
            "memory: {} MiB in the second minute, {} at most later",
            second / limits::MIB,
            most / limits::MIB
        );
        assert!(
            most * 100 <= second * (100 + GROWTH_MAX),
            "memory has grown from {second} to {most} bytes"
        );
    }
}

/// Says so when its thread panics, so that no other goes on.
struct Watched<'a>(&'a AtomicBool);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The even load, the overload and the recovery. Answers the periods of the first.
fn phases(load: &Load<'_>) -> Vec<Period> {
    let plan = load.plan;
    let mut links: Vec<Vec<Sent>> = (0..plan.at_once).map(|_| Vec::new()).collect();
    let each = (plan.links / plan.at_once).max(1);
    load.all("links", &mut links, |_, links| {
        links.extend((0..each).map(|_| load.create()));
    });
    let hammered = load.create();
    let over = AtomicBool::new(false);
    let periods = std::thread::scope(|scope| {
        for (n, links) in links.iter_mut().enumerate() {
            let over = &over;
            scope.spawn(move || {
                let _watched = Watched(&load.failed);
                load.sender(n, links, over);
            });
        }
        let periods = (1..=plan.periods).map(|n| {
            let begun = xtask::run::now();
            load.watch(&n.to_string(), || begun.elapsed() >= plan.period)
        });
        let periods = periods.collect();
        over.store(true, Ordering::Relaxed);
        periods
    });
    let overload = load.all("overload", &mut links, |n, links| {
        load.overload(n, &mut links[0], &hammered.link);
    });
    let refused = overload.count(429..=429);
    assert!(refused > 0, "nothing was too much");
    println!(
        "overload: {} requests answered, {refused} with 429 and {} with 503, each with Retry-After ({} s at most)",
        overload.count(..),
        overload.count(503..=503),
        overload.wait
    );
    if plan.is_long {
        std::thread::sleep(Duration::from_secs(overload.wait));
        let again = from(&hammered.link.url, HAMMER).call("GET", "/page", &[], None);
        assert_eq!(again.status, 200, "{}", again.text());
    }
    load.all("recovery", &mut links, |n, links| {
        if n % RECOVERED != 0 {
            return;
        }
        let mut seed = Seed(load.plan.seed + n as u64);
        let mut sending = load.draw(&mut seed, n, 0);
        sending.name.insert_str(0, "again-");
        load.send(n, &mut links[0], sending, true);
    });
    for sent in links.into_iter().flatten().chain([hammered]) {
        load.done.send(Some(sent)).expect("the queue");
    }
    periods
}
