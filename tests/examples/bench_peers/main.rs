//! `cargo xtask bench peers`: the page and both edges beside what others send files with, in one run, on one machine,
//! in one browser; figures printed and drawn, nothing asserted. See [`HELP`].

mod figures;
mod peers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chatlift_tests::browser::Browser;
use chatlift_tests::first::{Loaded, SLOW_4G, prepare, visit};
use chatlift_tests::fixtures::Random;
use chatlift_tests::gate::Gate;
use chatlift_tests::network::{Cut, Network, Profile};

use figures::Figures;
use peers::{Peer, Ready, Servers};

const HELP: &str = "\
cargo xtask bench peers [--rounds N] [--only first|sizes|shaped|cuts]...

  The page on both edges, Uppy's Dashboard, tus-js-client, FilePond and a bare XMLHttpRequest, each with the server
  that it is used with, in Chromium; N rounds (3) of all of them, in another order each. Tables are printed and written
  to target/bench/peers.md, plots beside it.

  first    bytes of a first visit and, on Slow 4G with a 4 times slower processor, when a pick is accepted
  sizes    1 kB, 20 x 1 MB and 1 x 200 MB on loopback: time, and for the last processor time and memory
  shaped   40 MB at 20 Mbit/s and 100 ms, and once 4 MB at 2 Mbit/s and 300 ms of which 1 % of segments are lost, beside
           what the bandwidth takes
  cuts     20 MB at 20 Mbit/s and 100 ms, cut at half: a reset, outages of 1.5 s and 20 s, and a page that is left,
           opened again and given the file again";

const MB: u64 = 1_000_000;

/// Takes figures down.
type Measure = fn(&Run, &mut Figures);

/// What is measured, by its name on the command line.
const MEASURES: [(&str, Measure); 4] = [
    ("first", first),
    ("sizes", sizes),
    ("shaped", shaped),
    ("cuts", cuts),
];

/// Time for what a page does before and after.
const SETTLE: Duration = Duration::from_secs(2);

/// What stays the same.
struct Run {
    servers: Servers,
    rounds: usize,
}

impl Run {
    /// Has each of the peers at something, round by round, each round beginning with another.
    fn each(&self, is: impl Fn(Peer) -> bool, work: impl FnMut(Peer, u64)) {
        self.some(self.rounds, is, work);
    }

    fn some(&self, rounds: usize, is: impl Fn(Peer) -> bool, mut work: impl FnMut(Peer, u64)) {
        let peers = Peer::ALL.into_iter();
        let peers: Vec<_> = peers.filter(|&p| is(p) && self.servers.has(p)).collect();
        for round in 0..rounds {
            for n in 0..peers.len() {
                let seed = (round * peers.len() + n) as u64;
                work(peers[(round + n) % peers.len()], seed);
            }
        }
    }
}

fn main() -> ExitCode {
    let (mut rounds, mut chosen) = (3, Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        match (arg.as_str(), value.parse()) {
            ("--rounds", Ok(n)) if n > 0 => rounds = n,
            ("--only", _) if MEASURES.iter().any(|(name, _)| *name == value) => chosen.push(value),
            _ => {
                eprintln!("{HELP}");
                return ExitCode::FAILURE;
            }
        }
    }
    let servers = Servers::start();
    let run = Run { servers, rounds };
    let mut figures = Figures::default();
    for (name, measure) in MEASURES {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            measure(&run, &mut figures);
        }
    }
    let folder = xtask::root::target().join("bench");
    println!("\n{}", figures.write(&folder));
    println!("written to {}", folder.display());
    ExitCode::SUCCESS
}

/// Files of so many bytes each.
fn files(folder: &Path, seed: u64, times: usize, size: u64) -> Vec<PathBuf> {
    let file = |n: usize| {
        let seed = seed.wrapping_mul(1_009) + n as u64;
        Random { seed, size }.write(folder, &format!("film-{seed}-{n}.bin"))
    };
    (0..times).map(file).collect()
}

/// First visits.
fn first(run: &Run, figures: &mut Figures) {
    run.each(Peer::has_page, |peer, _| {
        let gate = Gate::compressing(&run.servers.origin(peer));
        let url = gate.url(&run.servers.url(peer));
        {
            // Compressed once, as a network's edge has it ready.
            let phone = Browser::english();
            prepare(&phone, None);
            let _ = visit(&phone, &url, peer.is_ours());
        }
        let all = if peer.is_ours() {
            Loaded::through(&gate).sum()
        } else {
            std::thread::sleep(SETTLE);
            let passed = gate.passed().into_iter();
            let pages = passed.filter(|(path, _)| path != "/favicon.ico");
            pages.map(|(_, bytes)| bytes).sum()
        };
        figures.add("first load, bytes of brotli", peer, all as f64);
        let phone = Browser::english();
        prepare(&phone, Some(SLOW_4G));
        let visit = visit(&phone, &url, peer.is_ours());
        figures.add("first contentful paint, ms", peer, visit.paint);
        figures.add("a pick is accepted, ms", peer, visit.pick());
    });
}

/// Different numbers of files on loopback.
fn sizes(run: &Run, figures: &mut Figures) {
    for (name, times, size) in [
        ("1 kB, ms", 1, 1_000),
        ("20 x 1 MB, ms", 20, MB),
        ("1 x 200 MB, ms", 1, 200 * MB),
    ] {
        run.each(
            |_| true,
            |peer, seed| {
                let ready = Ready::new(peer, &run.servers, None, |folder| {
                    files(folder, seed, times, size)
                });
                std::thread::sleep(SETTLE);
                let before = ready.cpu();
                ready.send();
                let (start, end) = ready.ended();
                let after = ready.cpu();
                figures.add(name, peer, (end - start) as f64);
                if size < 100 * MB {
                    return;
                }
                let names = [
                    "200 MB: processor, the page's process, s",
                    "200 MB: processor, all of the browser, s",
                    "200 MB: processor, server, s",
                ];
                for (n, name) in names.into_iter().enumerate() {
                    figures.add(name, peer, after[n] - before[n]);
                }
                let peak = ready.phone.peak() / MB;
                figures.add("200 MB: peak of the page's process, MB", peer, peak as f64);
                let peak = run.servers.peak(peer) / MB;
                figures.add("200 MB: peak of the server, MB", peer, peak as f64);
            },
        );
    }
}

const BROADBAND: Profile = Profile {
    bits_per_second: 20_000_000,
    round_trip: Duration::from_millis(100),
};

const FAR: Profile = Profile {
    bits_per_second: 2_000_000,
    round_trip: Duration::from_millis(300),
};

/// One file on networks of our own.
fn shaped(run: &Run, figures: &mut Figures) {
    // Where segments are lost a megabyte takes half a minute.
    for (name, profile, lost_of_1000, size, rounds) in [
        (
            "40 MB at 20 Mbit/s, 100 ms: x of ideal",
            BROADBAND,
            0,
            40 * MB,
            run.rounds,
        ),
        (
            "4 MB at 2 Mbit/s, 300 ms, 1 % lost: x of ideal",
            FAR,
            10,
            4 * MB,
            1,
        ),
    ] {
        let ideal = profile.ideal(size).as_secs_f64() * 1000.0;
        run.some(
            rounds,
            |_| true,
            |peer, seed| {
                let network = Network::before(&run.servers.origin(peer), profile);
                let ready = Ready::new(peer, &run.servers, Some(&network), |folder| {
                    files(folder, seed, 1, size)
                });
                std::thread::sleep(SETTLE);
                network.lose(lost_of_1000);
                let before = network.requests();
                ready.send();
                let (start, end) = ready.ended();
                figures.add(name, peer, (end - start) as f64 / ideal);
                if lost_of_1000 == 0 {
                    let requests = network.requests() - before;
                    figures.add("40 MB: requests", peer, requests as f64);
                }
            },
        );
    }
}

/// Interruptions in the middle of a file.
fn cuts(run: &Run, figures: &mut Figures) {
    let size = 20 * MB;
    for (again, took, outage) in [
        (
            "reset: sent again, % of 20 MB",
            "reset: beyond what was left, s",
            Some(Duration::ZERO),
        ),
        (
            "outage of 1.5 s: sent again, % of 20 MB",
            "outage of 1.5 s: beyond what was left, s",
            Some(Duration::from_millis(1500)),
        ),
        (
            "outage of 20 s: sent again, % of 20 MB",
            "outage of 20 s: beyond what was left, s",
            Some(Duration::from_secs(20)),
        ),
        (
            "page left: sent again, % of 20 MB",
            "page left: beyond what was left, s",
            None,
        ),
    ] {
        run.each(Peer::goes_on, |peer, seed| {
            let network = Network::before(&run.servers.origin(peer), BROADBAND);
            let ready = Ready::new(peer, &run.servers, Some(&network), |folder| {
                files(folder, seed, 1, size)
            });
            std::thread::sleep(SETTLE);
            ready.send();
            network.wait_arrived(size / 2, Duration::from_secs(120));
            let mut at = chatlift_tests::scratch::now().millis();
            if let Some(outage) = outage {
                network.cut(Cut::Broken);
                std::thread::sleep(outage);
                network.restore();
            } else {
                ready.phone.leave();
            }
            let held = network.arrived().min(size);
            if outage.is_none() {
                ready.open();
                ready.send();
            }
            let (start, end) = ready.ended();
            if outage.is_none() {
                // The time that a person takes to find the file again is nobody's.
                at = start;
            }
            let twice = network.sent().saturating_sub(size);
            figures.add(again, peer, twice as f64 * 100.0 / size as f64);
            let left = BROADBAND.ideal(size - held).as_secs_f64();
            figures.add(took, peer, (end - at) as f64 / 1000.0 - left);
        });
    }
}
