//! The whole journey in one process, by a seed.
//!
//! People with pages, a network, the edge and a business backend, of which all that decides is what ships: the
//! page's uploader (`chatlift-frontend`), and the edge's HTTP interface, upload engine, rules of a link, outbox
//! and alarm. What they stand on is simulated: files, connections, a store, the link's object, clocks and
//! randomness (`tests/model`, which the model of the link stands on too). A seed is a journey: who is at its turn,
//! what is drawn and what goes wrong come of it alone, so that the same seed is the same journey, event by event.
//!
//! Promises are checked after every step that changes the link, when all has come to rest, and when nothing is
//! left of it ([`promises`]). `cargo xtask simulate --seed N` plays one with all that happens in it;
//! a journey that breaks a promise is made smaller first ([`shrink`]). `cargo xtask test` plays 100,000.

mod backend;
mod network;
mod page;
mod person;
mod promises;
mod runtime;
mod shrink;
mod tasks;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use chatlift_frontend::uploader::{Key, Wake};
use chatlift_shared::api::CreateLink;
use chatlift_shared::{LinkId, Timestamp};
use futures_channel::oneshot;

use self::backend::{Backend, Hook};
use self::page::{Page, Tab};
use self::runtime::Worker;
use self::tasks::{Owner, Tasks};
use crate::config::{Config, tests as config};
use crate::link::command;
use crate::link::work::{due, next_alarm, wake_at};
use crate::planted::{Fault as Planted, plant};
use crate::ports::Links as _;
use crate::service::Service;
use crate::tests::model::faults::Fault;
use crate::tests::model::ports::{Machine, Port, pause};
use crate::tests::model::rope::Rope;
use crate::tests::model::said;

const START: Timestamp = Timestamp::from_secs(1_795_000_000);

const API_KEY: &str = "clk_test";

/// Shortest wait before an alarm whose work failed is tried again, as the platforms have it.
const ALARM_RETRY: Duration = Duration::from_secs(10);

/// How long the faults of a journey strike: people are at it for some minutes.
const FAULTS_FOR: Duration = Duration::from_secs(10 * 60);

/// Steps that no journey takes: most take some hundreds.
const STEPS_MAX: u64 = 200_000;

/// What ends the calls of a page about a file.
type CallsOf = BTreeMap<(usize, Key), Vec<oneshot::Sender<()>>>;

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// Most files, most things that a person does, and most faults that strike.
    pub(super) files: u64,
    pub(super) deeds: u64,
    pub(super) faults: u64,
    /// Faults that do not strike, by their numbers.
    pub(super) barred: u64,
}

impl Plan {
    pub(super) fn of(seed: u64) -> Self {
        Self {
            seed,
            files: 3,
            deeds: 8,
            faults: u64::MAX,
            barred: 0,
        }
    }
}

/// What came of a journey.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The promise that was broken, in words.
    pub(super) broken: Option<String>,
    /// How often each fault struck.
    pub(super) struck: Vec<u64>,
    /// All that happened, if that was asked for.
    pub(super) trace: Vec<String>,
    /// Files that were delivered, requests, and steps.
    pub(super) delivered: usize,
    pub(super) requests: u64,
    pub(super) steps: u64,
    /// How the files ended that did not arrive, by what the page said.
    pub(super) failures: Vec<String>,
}

/// A file that a person has.
struct Owned {
    name: String,
    content: Rope,
}

/// A journey.
struct Journey {
    plan: Plan,
    machine: Rc<Machine>,
    worker: Rc<Worker>,
    link: LinkId,
    /// The link's path, `/u/{token}`.
    path: String,
    tasks: Tasks,
    files: Vec<Owned>,
    pages: RefCell<Vec<Rc<Page>>>,
    opened: Cell<usize>,
    /// What ends the calls of a page's pick when it is dropped.
    calls_of: RefCell<CallsOf>,
    calls: Cell<u64>,
    /// The latest request that has arrived at the edge.
    arrived: Cell<u64>,
    /// Requests at the edge, and whether nobody waits for them any more.
    clients: RefCell<BTreeMap<usize, Rc<Cell<bool>>>>,
    /// Workers that died, or failed.
    died: RefCell<BTreeSet<usize>>,
    backend: Backend,
    /// Whether the pages compute digests.
    digests: Cell<bool>,
    /// What the network carries, in bytes per millisecond, and its longest delay in milliseconds.
    rate: Cell<u64>,
    round_trip: Cell<u64>,
    away_until: Cell<Timestamp>,
    /// Versions of workers that may be asked now.
    workers: Cell<(u32, u32)>,
    alarm_rests_until: Cell<Option<Timestamp>>,
    steps: Cell<u64>,
    checked: Cell<u64>,
    promised: promises::Promised,
    traces: bool,
    trace: RefCell<Vec<String>>,
}

impl Journey {
    fn new(plan: Plan, traces: bool) -> Rc<Self> {
        let machine = Rc::new(Machine::new(START));
        machine.is_timed.set(true);
        machine
            .dice
            .set(plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
        let draw = |end| machine.draw(end);
        let sizes: Vec<u64> = (0..1 + draw(3)).map(|_| size_of_file(&machine)).collect();
        let spare = draw(2) * 2;
        let most = sizes.len() as u64 + spare;
        let mut raw = config::raw();
        raw.apps = raw
            .apps
            .replace("\"max_files\":2", &format!("\"max_files\":{most}"));
        let config = Rc::new(Config::check(&raw).expect("a good config"));
        let files = sizes.iter().take(usize::try_from(plan.files).expect("few"));
        let files = files.enumerate().map(|(n, size)| Owned {
            name: format!("{n}.pdf"),
            content: Rope::of(n, *size),
        });
        let files = files.collect();
        let worker = Rc::new(Worker {
            machine: Rc::clone(&machine),
            config: Rc::clone(&config),
        });
        let (link, path) = make_link(&machine, &config);
        let rates = [60, 250, 2_500, 25_000];
        let rate = rates[usize::try_from(draw(4)).expect("few")];
        let round_trip = 10 + draw(400);
        let rarities = [1, 1, 3, 10, 40];
        let rarity = rarities[usize::try_from(draw(5)).expect("few")];
        machine.faults.rarity.set(rarity);
        machine.faults.left.set(plan.faults);
        machine.faults.barred.set(plan.barred);
        let digests = draw(8) > 0;
        Rc::new(Self {
            plan,
            worker,
            link,
            path,
            tasks: Tasks::default(),
            files,
            pages: RefCell::default(),
            opened: Cell::new(0),
            calls_of: RefCell::default(),
            calls: Cell::new(0),
            arrived: Cell::new(0),
            clients: RefCell::default(),
            died: RefCell::default(),
            backend: Backend::default(),
            digests: Cell::new(digests),
            rate: Cell::new(rate),
            round_trip: Cell::new(round_trip),
            away_until: Cell::new(START),
            workers: Cell::new((1, 1)),
            alarm_rests_until: Cell::new(None),
            steps: Cell::new(0),
            checked: Cell::new(0),
            promised: promises::Promised::default(),
            traces,
            trace: RefCell::default(),
            machine,
        })
    }

    fn path(&self) -> &str {
        &self.path
    }

    /// Milliseconds since the beginning, which no clock that jumps changes.
    fn ms(&self) -> f64 {
        (self.machine.now.get().millis() - START.millis()) as f64
    }

    fn draw(&self, end: u64) -> u64 {
        self.machine.draw(end)
    }

    /// A number from 0 up to 1.
    fn share(&self) -> f64 {
        self.draw(1 << 20) as f64 / f64::from(1 << 20)
    }

    async fn sleep_ms(&self, ms: u64) {
        self.machine.sleep(Duration::from_millis(ms)).await;
    }

    fn strikes(&self, fault: Fault, odds: u64) -> bool {
        let struck = self.machine.strikes(fault, odds);
        self.trace_faults();
        struck
    }

    fn trace_faults(&self) {
        for fault in self.machine.faults.news() {
            self.trace(|| format!("FAULT {fault:?}"));
        }
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        if self.traces {
            let at = self.ms() / 1000.0;
            self.trace.borrow_mut().push(format!("{at:9.3} {}", line()));
        }
    }

    fn spawn(self: &Rc<Self>, owner: Owner, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn(owner, self.workers.get().1, task);
    }

    fn is_away(&self) -> bool {
        self.machine.now.get() < self.away_until.get()
    }

    fn version_of_a_worker(&self) -> u32 {
        let (old, new) = self.workers.get();
        if self.draw(2) == 0 { old } else { new }
    }

    fn open(self: &Rc<Self>, tab: Rc<Tab>) -> Rc<Page> {
        self.opened.set(self.opened.get() + 1);
        let page = Rc::new(Page::new(self.opened.get(), tab));
        self.pages.borrow_mut().push(Rc::clone(&page));
        self.trace(|| format!("page {} is opened", page.number));
        page
    }

    fn close(&self, page: &Page) {
        self.pages.borrow_mut().retain(|p| p.number != page.number);
        self.tasks.end(|owner| owner == Owner::Page(page.number));
    }

    /// Plays until nothing is left to happen.
    fn play(self: &Rc<Self>) {
        self.machine.faults.set(true);
        let person = Rc::clone(self);
        self.spawn(Owner::World, async move { person.person().await });
        let world = Rc::clone(self);
        self.spawn(Owner::World, async move { world.troubles().await });
        loop {
            self.steps.set(self.steps.get() + 1);
            assert!(self.steps.get() < STEPS_MAX, "it does not end");
            if self.machine.now.get() >= START.plus(FAULTS_FOR) {
                self.machine.faults.set(false);
            }
            let choose = |among: usize| usize::try_from(self.draw(among as u64)).expect("fits");
            if let Some(mut task) = self.tasks.take_ready(choose) {
                if self.dies(&task) {
                    self.died.borrow_mut().insert(task.id);
                    self.clients.borrow_mut().remove(&task.id);
                    drop(task);
                } else {
                    self.machine.running.set(task.id);
                    self.machine.worker.set(task.version);
                    match task.step() {
                        true => drop(self.clients.borrow_mut().remove(&task.id)),
                        false => self.tasks.put_back(task),
                    }
                }
                self.trace_faults();
                self.check_if_changed();
                continue;
            }
            if !self.go_on_in_time() {
                break;
            }
        }
        self.check_end();
    }

    /// Whether a task dies before its next step.
    fn dies(&self, task: &tasks::Task) -> bool {
        match task.owner {
            Owner::Worker => {
                let gone = self.clients.borrow().get(&task.id).is_some_and(|gone| {
                    // It is told once.
                    gone.replace(false)
                });
                (gone && self.strikes(Fault::ClientGone, 3)) || self.strikes(Fault::WorkerDies, 250)
            }
            Owner::Alarm => {
                let dies = self.strikes(Fault::AlarmDies, 120);
                if dies {
                    self.rest_alarm();
                }
                dies
            }
            _ => false,
        }
    }

    fn rest_alarm(&self) {
        let until = self.machine.clock().plus(ALARM_RETRY);
        self.alarm_rests_until.set(Some(until));
    }

    /// Nothing can go on now: lets time pass until something can; answers whether there is something.
    fn go_on_in_time(self: &Rc<Self>) -> bool {
        let state = self.machine.link.borrow().get(&self.link).cloned();
        let running = self.tasks.any(|owner| owner == Owner::Alarm);
        let due = state.as_ref().and_then(next_alarm);
        let alarm = wake_at(due, self.alarm_rests_until.get()).filter(|_| !running);
        if let Some(at) = alarm
            && at <= self.machine.clock()
        {
            self.alarm_rests_until.set(None);
            self.begin_alarm();
            return true;
        }
        let now = self.machine.now.get();
        let alarm = alarm.map(|at| now.plus(self.machine.clock().until(at)));
        let timer = self.machine.timers.borrow().keys().next().copied();
        let Some(next) = alarm.into_iter().chain(timer).min() else {
            return false;
        };
        let quiet = timer.is_none() && !self.tasks.any(|owner| owner != Owner::World);
        if quiet {
            self.check_at_rest();
        }
        self.machine.now.set(next.max(now));
        let mut timers = self.machine.timers.borrow_mut();
        let later = timers.split_off(&next.max(now).plus(Duration::from_millis(1)));
        let woken = std::mem::replace(&mut *timers, later);
        drop(timers);
        for waker in woken.into_values().flatten() {
            waker.wake();
        }
        true
    }

    /// The link's alarm: what is due, one after the other.
    fn begin_alarm(self: &Rc<Self>) {
        let journey = Rc::clone(self);
        self.tasks.spawn(
            Owner::Alarm,
            self.machine.object.get().version,
            async move {
                let port = journey.worker.port();
                let edge = Service {
                    links: port.clone(),
                    bucket: port.clone(),
                    world: port.clone(),
                };
                let hook = Hook(Rc::clone(&journey));
                if journey.alarm(&edge, &hook).await.is_err() {
                    journey.rest_alarm();
                }
            },
        );
    }

    async fn alarm(
        &self,
        edge: &Service<Port, Port, Port>,
        hook: &Hook,
    ) -> Result<(), crate::ports::Failure> {
        edge.links.execute(self.link, command::Tick).await?;
        let state = self.machine.link.borrow().get(&self.link).cloned();
        let Some(state) = state else { return Ok(()) };
        let mut worst = Ok(());
        for work in due(&state, self.machine.clock()) {
            pause().await;
            let policy = &state.link.policy;
            let done = edge
                .perform(self.link, policy, work, hook, &edge.links)
                .await;
            worst = worst.and(done);
        }
        worst
    }

    /// What happens to everybody: outages, clocks that jump, deploys.
    async fn troubles(self: &Rc<Self>) {
        let end = START.plus(FAULTS_FOR);
        while self.machine.now.get() < end {
            self.sleep_ms(1_000 + self.draw(20_000)).await;
            if self.strikes(Fault::Outage, 12) {
                let time = Duration::from_millis(self.draw(40_000));
                self.away_until.set(self.machine.now.get().plus(time));
                self.machine.sleep(time).await;
                let pages = self.pages.borrow().clone();
                pages.iter().for_each(|page| self.wake(page, Wake::Probe));
            }
            if self.strikes(Fault::ClockJump, 12) {
                let jump = i64::try_from(self.draw(120_000)).expect("small") - 60_000;
                self.machine.skew.set(jump);
            }
            if self.strikes(Fault::Sleep, 16) {
                let time = Duration::from_millis(self.draw(120_000));
                self.machine.now.set(self.machine.now.get().plus(time));
            }
            if self.strikes(Fault::ObjectRestart, 12) {
                self.machine.restart(self.machine.object.get().version);
            }
            if self.strikes(Fault::Deploy, 16) {
                self.deploy().await;
            }
        }
    }

    /// New workers beside old ones, and then a new object; at times all of it back and on again.
    async fn deploy(self: &Rc<Self>) {
        let old = self.machine.object.get().version;
        let new = old + 1;
        let back = self.strikes(Fault::Rollback, 3);
        let ways = if back {
            vec![(old, new), (new, old), (old, new)]
        } else {
            vec![(old, new)]
        };
        for (from, to) in ways {
            self.trace(|| format!("deploy of version {to} over {from}"));
            self.workers.set((from, to));
            self.sleep_ms(self.draw(15_000)).await;
            self.machine.restart(to);
            self.sleep_ms(self.draw(15_000)).await;
            self.workers.set((to, to));
            self.sleep_ms(self.draw(20_000)).await;
        }
    }
}

fn size_of_file(machine: &Machine) -> u64 {
    match machine.draw(6) {
        0 => 1 + machine.draw(4_000),
        1 => 1 + machine.draw(256 * 1024),
        2 => 256 * 1024 + machine.draw(2_000_000),
        3 => 8 * 1024 * 1024 - 2 + machine.draw(5),
        _ => 1 + machine.draw(20_000_000),
    }
}

/// A link, before anything goes wrong, and the path of its page.
fn make_link(machine: &Rc<Machine>, config: &Config) -> (LinkId, String) {
    let app = config
        .app(&"demo".parse().expect("an app id"))
        .expect("the app");
    let port = || Port(Rc::clone(machine));
    let edge = Service {
        links: port(),
        bucket: port(),
        world: port(),
    };
    let request = CreateLink::new("docs".parse().expect("a scene id"));
    let mut made = Box::pin(edge.create_link(config, app, request, None));
    let view = (0..1_000)
        .find_map(|_| super::model::poll_once(made.as_mut()))
        .expect("an end")
        .expect("a link");
    let claims = chatlift_shared::token::Claims {
        link: view.link.id,
        app: app.id.clone(),
        scene: view.link.scene.clone(),
        expires_at: u64::try_from(view.link.expires_at.secs()).expect("after 1970"),
        password: false,
    };
    let token = chatlift_shared::token::mint(&config.keys, &claims);
    (view.link.id, format!("/u/{token}"))
}

/// Plays a journey, and says what came of it.
pub(super) fn play(plan: Plan, traces: bool) -> Outcome {
    let journey = Journey::new(plan, traces);
    let played = catch_unwind(AssertUnwindSafe(|| journey.play()));
    let outcome = Outcome {
        broken: played.err().map(said),
        struck: journey.machine.faults.struck(),
        trace: journey.trace.take(),
        delivered: journey.backend.delivered.borrow().len(),
        requests: journey.calls.get(),
        steps: journey.steps.get(),
        failures: journey.promised.failures.take(),
    };
    // Tasks hold the journey that holds them.
    journey.tasks.end(|_| true);
    outcome
}

/// The first of so many journeys that breaks a promise by a fault planted in the rules, and what it says.
pub(super) fn broken_by(fault: Planted, journeys: u64) -> Option<(u64, String)> {
    plant(Some(fault));
    let broken = |seed| Some((seed, play(Plan::of(seed), false).broken?));
    let found = (1..=journeys).find_map(broken);
    plant(None);
    found
}

#[test]
fn whatever_goes_wrong_on_a_journey_its_promises_are_kept() {
    shrink::campaign(1, shrink::ALL_STRIKE, 1);
}

#[test]
fn a_seed_is_one_journey_event_by_event() {
    for seed in 1..=20 {
        let (one, two) = (play(Plan::of(seed), true), play(Plan::of(seed), true));
        assert!(one.trace.len() > 10, "{one:?}");
        for (first, second) in one.trace.iter().zip(&two.trace) {
            assert_eq!(first, second, "seed {seed}");
        }
        assert_eq!((one.steps, one.trace.len()), (two.steps, two.trace.len()));
    }
}

#[test]
fn a_journey_that_breaks_a_promise_is_made_smaller_and_told_with_what_replays_it() {
    let (seed, said) = broken_by(Planted::EventLost, shrink::ALL_STRIKE).expect("a broken promise");
    plant(Some(Planted::EventLost));
    let whole = play(Plan::of(seed), true);
    let (plan, small) = shrink::smallest(Plan::of(seed));
    plant(None);
    let broken = small.broken.as_deref().map(shrink::promise);
    assert_eq!((plan.seed, broken), (seed, Some(shrink::promise(&said))));
    assert!(small.trace.len() < whole.trace.len(), "{plan:?}");
    let told = shrink::told(plan, &small);
    assert!(told.contains(&format!("cargo xtask simulate --seed {seed}\n")));
}

/// For `cargo xtask simulate`.
#[test]
#[ignore = "plays what the command line asks for"]
fn simulate() {
    shrink::replay();
}
