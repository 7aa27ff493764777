//! The page in real Chromium, reloaded at moments drawn from a seed while it sends, and the edge killed under it. At
//! length: `cargo xtask chaos page`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chatlift_shared::limits::{self, MIB};
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::sender::{Seed, variable};
use chatlift_tests::stage::Stage;

const WITHIN: Duration = Duration::from_secs(120);
/// Runs, where none are asked for.
const RUNS: u64 = 1;
/// Files of a run, at least one of them in parts, and reloads of it.
const FILES: u64 = 2;
const RELOADS: u64 = 2;
/// Bytes a second: a run's files take some seconds, in which the page can be reloaded.
const SLOW: u64 = 3_000_000;
const FAST: u64 = 50_000_000;
/// Longest time before a reload, in milliseconds.
const BEFORE_MAX: u64 = 2_500;

#[test]
fn however_often_a_page_is_reloaded_each_file_is_stored_and_told_of_once() {
    let first = variable("CHATLIFT_CHAOS_SEED", 1);
    let runs = variable("CHATLIFT_CHAOS_RUNS", RUNS);
    let mut stage = Stage::new("reloads");
    let mut reloads = 0;
    for seed in first..first + runs {
        println!("run {seed}");
        reloads += run(&mut stage, &mut Seed(seed));
    }
    println!(
        "{runs} runs: {} files, {reloads} reloads while one was on its way",
        runs * FILES
    );
}

/// One run on a link of its own, with the edge killed at one of its reloads. Answers how many of them came while the page
/// sent.
fn run(stage: &mut Stage, seed: &mut Seed) -> u64 {
    let link = stage.edge.app().link(ANY_FILE);
    let phone = Browser::english();
    let files: Vec<Random> = (0..FILES)
        .map(|n| Random {
            seed: seed.below(u64::MAX),
            size: n * limits::PART_SIZE + MIB + seed.below(2 * MIB),
        })
        .collect();
    let paths = files.iter().enumerate();
    let paths: Vec<PathBuf> = paths
        .map(|(n, file)| file.write(phone.folder(), &format!("film-{n}.mp4")))
        .collect();
    let killed_at = seed.below(RELOADS);
    let mut met = 0;
    phone.open(&link.url);
    phone.session().slow(SLOW);
    for reload in 0..=RELOADS {
        let stored = stage.edge.app().get_link(link.id).files;
        let is_stored = |path: &Path| stored.iter().any(|file| path.ends_with(&file.name));
        let left: Vec<_> = paths.iter().filter(|path| !is_stored(path)).collect();
        if left.is_empty() {
            break;
        }
        if reload == RELOADS {
            phone.session().slow(FAST);
        }
        phone.pick(&left);
        phone.sees(&row("ready"), left.len() as u64);
        phone.click(&mark("confirm"));
        if reload == RELOADS {
            phone.sees_within(&mark("success"), 1, WITHIN);
            break;
        }
        std::thread::sleep(Duration::from_millis(seed.below(BEFORE_MAX)));
        met += u64::from(phone.count(&mark("success")) == 0);
        if reload == killed_at {
            stage.edge.kill();
            stage.edge.start();
        }
        phone.session().reload();
    }
    // The books.
    let app = stage.edge.app();
    for file in &files {
        let _ = stage.receiver.wait_stored(link.id, *file, WITHIN);
    }
    let stored = app.get_link(link.id).files;
    let names: BTreeSet<_> = stored.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        (stored.len(), names.len()),
        (files.len(), files.len()),
        "{stored:?}"
    );
    for file in &stored {
        let _ = app.sha256(file.id);
    }
    let told = stage.receiver.about(link.id).into_iter();
    let events: BTreeSet<_> = told
        .filter(|delivery| delivery.stored().is_some())
        .map(|delivery| delivery.id)
        .collect();
    assert_eq!(events.len(), files.len(), "one event for each file");
    met
}
