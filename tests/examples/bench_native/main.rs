//! `cargo xtask bench native`: the native edge beside other tus servers on the same disk, what memory it takes
//! with many uploads at once, and how it starts; figures printed, nothing asserted. See [`HELP`].

mod many;
mod senders;
mod servers;
mod start;

use std::process::ExitCode;

use chatlift_shared::limits::MIB;
use chatlift_tests::fixtures::Random;
use chatlift_tests::outside::file_in;
use chatlift_tests::scratch::Folder;

use senders::{Sender, Work};
use servers::{Kind, Running, Watch};

const HELP: &str = "\
cargo xtask bench native [--rounds N] [--at-once N] [--only speed|memory|start]

  speed    1 x 200 MB and 200 x 1 MB by tus-js-client, and to the edge by the page's own protocol too: to the
           edge, to @tus/server with @tus/file-store and to rustus, each to a new process with a new folder, N
           rounds (5) of all of them in turn; N files at once (3, as the page does). Then how often each syncs.
  memory   the edge's, with 200 uploads of 1 MB and of 20 MB at once
  start    the program's size, its time to a first answer, and its memory while it has nothing to do";

const MB: u64 = 1_000_000;

/// What is sent.
const WORKS: [Work; 2] = [
    Work {
        name: "1 x 200 MB",
        size: 200 * MB,
        times: 1,
    },
    Work {
        name: "200 x 1 MB",
        size: MB,
        times: 200,
    },
];

/// By whom it is sent to whom. The first is what the others are compared with.
const LINES: [(Kind, Sender); 6] = [
    (Kind::Edge, Sender::Tus),
    (Kind::Edge, Sender::Page),
    (Kind::TusServer { synced: false }, Sender::Tus),
    (Kind::TusServer { synced: true }, Sender::Tus),
    (Kind::Rustus { synced: false }, Sender::Tus),
    (Kind::Rustus { synced: true }, Sender::Tus),
];

#[derive(Debug)]
struct Options {
    rounds: usize,
    at_once: usize,
    only: Option<String>,
}

fn options() -> Option<Options> {
    let mut options = Options {
        rounds: 5,
        at_once: 3,
        only: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next()?;
        match arg.as_str() {
            "--rounds" => options.rounds = value.parse().ok().filter(|&n| n > 0)?,
            "--at-once" => options.at_once = value.parse().ok().filter(|&n| n > 0)?,
            "--only" => options.only = Some(value),
            _ => return None,
        }
    }
    Some(options)
}

/// The middle one.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = values.into_iter().collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Bytes as MiB.
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

/// One run.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// From the first request to the last answer, in milliseconds.
    ms: f64,
    /// Processor time of the server and of the sender, in milliseconds for each file.
    cpu: [f64; 2],
    /// The most memory that the server took, in bytes.
    peak: u64,
}

fn speed(options: &Options) {
    let folder = Folder::new("bench-files");
    let lines: Vec<_> = LINES
        .into_iter()
        .filter(|(kind, _)| kind.is_there())
        .collect();
    for work in WORKS {
        let content = Random {
            seed: work.size,
            size: work.size,
        };
        let path = file_in(folder.path(), "sent.bin", content);
        let bytes = content.read(0, content.size);
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); lines.len()];
        println!(
            "\n{}, {} at once; ms of each round",
            work.name, options.at_once
        );
        for round in 0..options.rounds {
            for at in 0..lines.len() {
                // Each is the first of a round once.
                let n = (at + round) % lines.len();
                let (kind, sender) = lines[n];
                let server = Running::start(kind, Watch::Nothing);
                let before = server.cpu();
                let [ms, sending] = sender.send(&server, work, &path, &bytes, options.at_once);
                let serving = (server.cpu() - before).as_secs_f64() * 1000.0;
                let cpu = [serving, sending].map(|ms| ms / work.times as f64);
                let peak = server.peak();
                runs[n].push(Run { ms, cpu, peak });
            }
        }
        let middle = |runs: &[Run]| median(runs.iter().map(|run| run.ms));
        let edge = middle(&runs[0]);
        println!(
            "| server | by | ms of each round | median | to the edge by tus | processor, ms a file | the sender's | peak MiB | syncs |"
        );
        println!("|---|---|---|---:|---:|---:|---:|---:|---:|");
        for ((kind, sender), runs) in lines.iter().zip(&runs) {
            let server = Running::start(*kind, Watch::Syncs);
            let before = server.syncs();
            let _ = sender.send(&server, work, &path, &bytes, options.at_once);
            let syncs = server.syncs().zip(before).map(|(all, before)| all - before);
            let each: Vec<_> = runs.iter().map(|run| format!("{:.0}", run.ms)).collect();
            let peak = runs.iter().map(|run| run.peak).max();
            println!(
                "| {kind} | {sender} | {} | {:.0} | {:.2} | {:.1} | {:.1} | {:.0} | {} |",
                each.join(" "),
                middle(runs),
                middle(runs) / edge,
                median(runs.iter().map(|run| run.cpu[0])),
                median(runs.iter().map(|run| run.cpu[1])),
                mib(peak.unwrap_or_default()),
                syncs.map_or("?".to_owned(), |n| n.to_string())
            );
        }
    }
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{HELP}");
        return ExitCode::FAILURE;
    };
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    if wanted("start") {
        start::report();
    }
    if wanted("memory") {
        many::report();
    }
    if wanted("speed") {
        speed(&options);
    }
    ExitCode::SUCCESS
}
