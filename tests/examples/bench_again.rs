//! `cargo xtask bench again`: how many bytes of a file go twice when its sender is interrupted, by the page in
//! Chromium and by tus, before the edge in workerd; figures printed, nothing asserted. See [`HELP`].

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::client::Page;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::http::send_refusable;
use chatlift_tests::network::{Cut, Network, Profile};
use chatlift_tests::serial::{TUS, create};
use chatlift_tests::stage::Stage;

const HELP: &str = "\
cargo xtask bench again [--mbit RATE]... [--what INTERRUPTION] [--size MB] [--moments N] [--seed N]

  A file is interrupted once and sent on, at once and after 2 s, at 2, 20 and 200 Mbit/s and unthrottled: its
  connections are reset, its page is reloaded, its browser is killed. Each at three seeded moments between a
  fifth and four fifths of the file, of which the worst is printed. 20 minutes.

  --mbit RATE    only at this rate; 0 is unthrottled
  --what WHAT    only this: Reset, Reload, Kill, TusReset
  --size MB      a file of another size
  --moments N    at so many moments
  --seed N       other moments";

/// Longest that one upload may take.
const WITHIN: Duration = Duration::from_secs(900);

/// Bits in a second of a network that holds nothing back.
const UNTHROTTLED: u64 = 100_000_000_000;

/// When the sender goes on.
const WAITS: [Duration; 2] = [Duration::ZERO, Duration::from_secs(2)];

/// What comes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interruption {
    /// The page's connections are reset.
    Reset,
    /// The page is loaded anew, and the file is picked again.
    Reload,
    /// The browser is killed, with all that it remembered.
    Kill,
    /// A tus client's connection is reset.
    TusReset,
}

const INTERRUPTIONS: [Interruption; 4] = [
    Interruption::Reset,
    Interruption::Reload,
    Interruption::Kill,
    Interruption::TusReset,
];

#[derive(Debug)]
struct Options {
    rates: Vec<u64>,
    what: Option<Interruption>,
    size: Option<u64>,
    moments: u64,
    seed: u64,
}

fn options() -> Option<Options> {
    let mut options = Options {
        rates: Vec::new(),
        what: None,
        size: None,
        moments: 3,
        seed: 0,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--mbit" => options.rates.push(args.next()?.parse().ok()?),
            "--what" => {
                let name = args.next()?;
                let known = |what: &Interruption| format!("{what:?}") == name;
                options.what = Some(INTERRUPTIONS.into_iter().find(known)?);
            }
            "--size" => options.size = Some(args.next()?.parse::<u64>().ok()? * 1_000_000),
            "--moments" => options.moments = args.next()?.parse().ok()?,
            "--seed" => options.seed = args.next()?.parse().ok()?,
            _ => return None,
        }
    }
    if options.rates.is_empty() {
        options.rates = vec![2, 20, 200, 0];
    }
    Some(options)
}

/// One file, interrupted.
#[derive(Clone, Copy, Debug)]
struct Run {
    mbit: u64,
    what: Interruption,
    wait: Duration,
    file: Random,
}

/// What came of one, in bytes beyond the file's size.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// Share of the file at the interruption, in percent.
    at: u64,
    /// That arrived at the edge.
    again: u64,
    /// That entered the network and never left it.
    in_flight: u64,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{HELP}");
        return ExitCode::FAILURE;
    };
    let stage = Stage::new("again");
    println!(
        "| Mbit/s | interruption | sent on after | MB | worst moment | in flight at the cut | again | again |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|"
    );
    for &mbit in &options.rates {
        let cells: Vec<_> = INTERRUPTIONS
            .into_iter()
            .filter(|what| options.what.is_none_or(|only| only == *what))
            .flat_map(|what| WAITS.map(|wait| (what, wait)))
            .collect();
        let runs = cells.iter().flat_map(|&(what, wait)| {
            (0..options.moments).map(move |n| Run {
                mbit,
                what,
                wait,
                file: Random {
                    seed: options.seed + n + what as u64 * 100 + wait.as_secs() * 10,
                    size: options.size.unwrap_or(size(mbit)),
                },
            })
        });
        let outcomes = side_by_side(&stage, runs.collect(), at_once(mbit));
        for (what, wait) in cells {
            let of_cell = outcomes
                .iter()
                .filter(|(run, _)| (run.what, run.wait) == (what, wait));
            if let Some((run, worst)) = of_cell.max_by_key(|(_, outcome)| outcome.again) {
                print(run, worst);
            }
        }
    }
    println!(
        "\nagain: bytes of the file that came to the edge beyond its size. In flight at the cut: bytes that had \
         left the sender and never came to the edge."
    );
    ExitCode::SUCCESS
}

/// Bytes of the file: as people send.
fn size(mbit: u64) -> u64 {
    match mbit {
        1..20 => 32_000_000,
        20..100 => 40_000_000,
        _ => 100_000_000,
    }
}

/// How many files are sent at once: as many as leave the machine idle.
fn at_once(mbit: u64) -> usize {
    match mbit {
        1..10 => 6,
        10..50 => 2,
        _ => 1,
    }
}

fn side_by_side(stage: &Stage, runs: Vec<Run>, at_once: usize) -> Vec<(Run, Outcome)> {
    let left = Mutex::new(runs.into_iter());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        let turn = || {
            let mut done = Vec::new();
            while let Some(run) = next() {
                done.extend(interrupt(stage, run).map(|outcome| (run, outcome)));
            }
            done
        };
        let turns: Vec<_> = (0..at_once).map(|_| scope.spawn(turn)).collect();
        let done = turns.into_iter().flat_map(|turn| turn.join());
        done.flatten().collect()
    })
}

fn print(run: &Run, outcome: &Outcome) {
    println!(
        "| {} | {:?} | {} s | {:.0} | {} % | {} | {} | {:.2} % |",
        match run.mbit {
            0 => "unthrottled".to_owned(),
            mbit => mbit.to_string(),
        },
        run.what,
        run.wait.as_secs(),
        run.file.size as f64 / 1e6,
        outcome.at,
        outcome.in_flight,
        outcome.again,
        outcome.again as f64 * 100.0 / run.file.size as f64,
    );
}

/// Who has 200 Mbit/s is near.
fn profile(mbit: u64) -> Profile {
    let (bits_per_second, round_trip) = match mbit {
        0 => (UNTHROTTLED, 0),
        1..=100 => (mbit * 1_000_000, 100),
        _ => (mbit * 1_000_000, 20),
    };
    Profile {
        bits_per_second,
        round_trip: Duration::from_millis(round_trip),
    }
}

/// Interrupts a file and has it sent on; `None` where all of it had come by the time its sender was gone.
fn interrupt(stage: &Stage, run: Run) -> Option<Outcome> {
    let Run {
        mbit,
        what,
        wait,
        file,
    } = run;
    let network = Network::before(&stage.edge.origin(), profile(mbit));
    let link = stage.edge.app().link(ANY_FILE);
    let share = 20 + (file.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 60;
    let at = file.size / 100 * share;
    let came = match what {
        Interruption::TusReset => by_tus(&network, &link, wait, file, at),
        _ => by_page(&network, &link, what, wait, file, at),
    };
    let outcome = Outcome {
        at: share,
        again: network.arrived().saturating_sub(file.size),
        in_flight: network.in_flight(),
    };
    eprintln!(
        "{mbit} {what:?} {} s: {came} of {} had come, {outcome:?}",
        wait.as_secs(),
        file.size
    );
    (came < file.size).then_some(outcome)
}

fn begin(phone: &Browser, network: &Network, link: &Link, file: Random) {
    let path = file.write(phone.folder(), "page.bin");
    phone.open(&network.url(&link.url));
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
    phone.click(&mark("confirm"));
}

/// Answers how much of the file had come once its sender was gone.
fn by_page(
    network: &Network,
    link: &Link,
    what: Interruption,
    wait: Duration,
    file: Random,
    at: u64,
) -> u64 {
    let mut phone = Browser::english();
    begin(&phone, network, link, file);
    network.wait_arrived(at, WITHIN);
    let came;
    match what {
        Interruption::Reset => {
            network.cut(Cut::Broken);
            came = network.arrived();
            std::thread::sleep(wait);
            network.restore();
        }
        Interruption::Reload => {
            phone.session().reload();
            came = network.arrived();
            std::thread::sleep(wait);
            let path = phone.folder().join("page.bin");
            phone.pick(&[&path]);
            phone.sees(&row("ready"), 1);
            phone.click(&mark("confirm"));
        }
        Interruption::Kill | Interruption::TusReset => {
            drop(phone);
            came = network.arrived();
            std::thread::sleep(wait);
            phone = Browser::english();
            begin(&phone, network, link, file);
        }
    }
    phone.sees_within(&mark("success"), 1, WITHIN);
    came
}

fn by_tus(network: &Network, link: &Link, wait: Duration, file: Random, at: u64) -> u64 {
    let page = Page::of(&network.url(&link.url));
    let upload = create(&page, "tus.bin", file.size, &[]);
    let url = format!("{}{}", network.origin(), upload.path);
    let patch = move |offset: u64| {
        let place = offset.to_string();
        let headers = [
            ("tus-resumable", "1.0.0"),
            ("content-type", TUS),
            ("upload-offset", place.as_str()),
        ];
        let bytes = file.read(offset, file.size - offset);
        send_refusable("PATCH", &url, &headers, &bytes)
    };
    let first = std::thread::spawn({
        let patch = patch.clone();
        move || drop(patch(0))
    });
    network.wait_arrived(at, WITHIN);
    network.cut(Cut::Broken);
    let _ = first.join();
    let came = network.arrived();
    std::thread::sleep(wait);
    network.restore();
    let head = upload.head();
    let offset = head.header("upload-offset").and_then(|o| o.parse().ok());
    let done = patch(offset.expect("an offset")).expect("an answer");
    assert_eq!(done.status, 204, "{}", done.text());
    came
}
