//! `cargo xtask bench page`: the first visit of the page on Lighthouse's Slow 4G with a processor
//! that is 4 times slower, in Chromium; figures printed, nothing asserted (what can be counted is
//! held by `tests/tests/e2e/first_load.rs`).

use std::process::ExitCode;

use chatlift_tests::bare::Bare;
use chatlift_tests::browser::Browser;
use chatlift_tests::edge::DOCUMENTS;
use chatlift_tests::first::{Loaded, SLOW_4G, Visit, prepare, visit};
use chatlift_tests::gate::Gate;
use chatlift_tests::stage::Stage;

const HELP: &str = "\
cargo xtask bench page [--times N]

  First visits of the page, and of a bare file input for comparison, on Lighthouse's Slow 4G
  (1.6 Mbit/s, 150 ms) with a 4 times slower processor; medians of N visits, 5 if not said.";

fn times() -> Option<usize> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(5),
        ["--times", n] => n.parse().ok().filter(|&n| n > 0),
        _ => None,
    }
}

fn main() -> ExitCode {
    let Some(times) = times() else {
        eprintln!("{HELP}");
        return ExitCode::FAILURE;
    };
    let stage = Stage::new("bench");
    let link = stage.edge.app().link(DOCUMENTS);
    let gate = Gate::compressing(&stage.edge.origin());
    {
        // Compressed once, as a network's edge has it ready.
        let phone = Browser::english();
        prepare(&phone, None);
        let _ = visit(&phone, &gate.url(&link.url), true);
    }
    let loaded = Loaded::through(&gate);
    let phone = Browser::english();
    prepare(&phone, Some(SLOW_4G));
    let page: Vec<_> = (0..times)
        .map(|_| visit(&phone, &gate.url(&link.url), true))
        .collect();
    let bare = Bare::start().origin();
    let bare: Vec<_> = (0..times).map(|_| visit(&phone, &bare, false)).collect();

    println!("Slow 4G, processor 4 times slower; ms, medians of {times} visits\n");
    println!("{:>18} {:>8} {:>11}", "", "page", "bare input");
    let row = |what: &str, of: fn(&Visit) -> f64, compared: bool| {
        let bare = if compared {
            format!("{:.0}", median(&bare, of))
        } else {
            String::new()
        };
        println!("{what:>18} {:>8.0} {bare:>11}", median(&page, of));
    };
    row("input there", |v| v.input, true);
    row("first paint", |v| v.paint, true);
    row("a pick is taken", Visit::pick, true);
    row("program shows it", |v| v.program, false);
    println!("\nloaded at a first visit, bytes of brotli:\n");
    for (path, bytes) in &loaded.all {
        let shown = if path.ends_with("/page") {
            "the rest of the texts"
        } else if path.starts_with("/u/") {
            "the page"
        } else {
            path
        };
        println!("{bytes:>8}  {shown}");
    }
    println!("{:>8}  in all", loaded.sum());
    ExitCode::SUCCESS
}

fn median(visits: &[Visit], of: fn(&Visit) -> f64) -> f64 {
    let mut all: Vec<f64> = visits.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
