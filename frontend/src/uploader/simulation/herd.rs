//! A thundering herd: a thousand pages that were sending when the edge went, and what they send until each has its
//! file. `cargo xtask storm` draws it; docs/scale.md shows the plot and says how to read it.

use super::outage::{STORAGE, Toll, Trouble, suffer};
use super::*;

mod plot;

const PAGES: usize = 1_000;

/// How long the edge is away, in seconds.
const AWAY_S: usize = 120;

/// How long is looked at it, in seconds: until the last page has its file, and some more.
const SECONDS: usize = AWAY_S + 60;

/// Size of each page's file, in bytes.
const SIZE: u64 = 10_000_000;

/// The wait of a page that comes again at fixed times, in milliseconds.
const FIXED_MS: u32 = 1_000;

/// Retries and probes in a second after the return, at most, as a multiple of the pages by the longest wait. Of waits
/// that are spread evenly up to the longest, twice as many end in the first second as would if they ended evenly; a
/// page that is woken by a probe has asked twice.
const BOUND: f64 = 4.0;

/// A way in which the edge is away.
#[derive(Clone, Copy, Debug)]
struct Away {
    name: &'static str,
    trouble: Trouble,
    /// The longest wait of a page for its next question, once the edge is away for [`AWAY_S`], in seconds.
    wait_s: f64,
}

const WAYS: [Away; 3] = [
    Away {
        name: "answers 503",
        trouble: Trouble::Answer(503, STORAGE, None),
        wait_s: 30.0,
    },
    Away {
        name: "answers 503, Retry-After: 2",
        trouble: Trouble::Answer(503, STORAGE, Some(2)),
        wait_s: 32.0,
    },
    Away {
        name: "refuses connections",
        trouble: Trouble::Down,
        wait_s: 7.5,
    },
];

impl Away {
    /// Retries and probes that it may be met with in a second after its return.
    fn bound(self) -> f64 {
        BOUND * PAGES as f64 / self.wait_s
    }
}

/// What reaches the edge in a second.
#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Requests of pages of which none was done since the edge went.
    retries: usize,
    probes: usize,
    /// Requests of pages that have got through.
    work: usize,
}

impl Second {
    /// What is asked to find out whether the edge is back.
    fn asked(self) -> usize {
        self.retries + self.probes
    }
}

/// What a thousand pages send, second by second since the edge went.
struct Herd {
    seconds: Vec<Second>,
    /// When the last page has its file, in seconds after the return.
    healed_s: f64,
}

impl Herd {
    /// Plays it, with the page's waits or with fixed ones.
    fn play(away: Away, fixed_ms: Option<u32>) -> Self {
        fixed_wait::set(fixed_ms);
        let (mut seconds, mut healed_s) = (vec![Second::default(); SECONDS], 0.0_f64);
        for page in 0..PAGES {
            // Each is somewhere else in its own file.
            let from = 500.0 + page as f64;
            let lasts = AWAY_S as f64 * 1_000.0;
            let toll: Toll = suffer(SIZE, away.trouble, from, lasts, page as u64);
            assert!(toll.healed, "page {page}");
            healed_s = healed_s.max((toll.ended - from - lasts) / 1_000.0);
            // Whole seconds, not negative and few.
            let second = |at: f64| ((at - from) / 1_000.0) as usize;
            for &at in toll.requests.iter().filter(|&&at| at >= from) {
                match toll.through.is_some_and(|through| at >= through) {
                    true => seconds[second(at)].work += 1,
                    false => seconds[second(at)].retries += 1,
                }
            }
            for &at in toll.probes.iter().filter(|&&at| at >= from) {
                seconds[second(at)].probes += 1;
            }
        }
        fixed_wait::set(None);
        Self { seconds, healed_s }
    }

    fn sum(&self, range: core::ops::Range<usize>, of: fn(&Second) -> usize) -> usize {
        self.seconds[range].iter().map(of).sum()
    }

    /// Most that is asked in a second after the return.
    fn peak(&self) -> usize {
        let after = self.seconds[AWAY_S..].iter();
        after.map(|second| second.asked()).max().unwrap_or(0)
    }

    fn print(&self, away: Away) {
        println!(
            "\nthe edge {} for {AWAY_S} s; {PAGES} pages; each # is 50 requests a second",
            away.name
        );
        println!("from s  retries/s  probes/s  work/s");
        for (n, five) in self.seconds.chunks(5).enumerate() {
            let mean = |of: fn(&Second) -> usize| five.iter().map(of).sum::<usize>() / 5;
            let (retries, probes, work) =
                (mean(|s| s.retries), mean(|s| s.probes), mean(|s| s.work));
            let bar = "#".repeat((retries + probes + work).div_ceil(50));
            println!("{:>6} {retries:>10} {probes:>9} {work:>7}  {bar}", n * 5);
        }
        println!(
            "most retries and probes in a second after the return: {}, and {:.0} are allowed; the last page has its \
             file {:.0} s after it",
            self.peak(),
            away.bound(),
            self.healed_s
        );
    }
}

#[test]
fn a_thousand_pages_do_not_storm_an_edge_that_was_away() {
    for away in WAYS {
        let herd = Herd::play(away, None);
        herd.print(away);
        let back = 0..AWAY_S;
        // While it is away, a page tries some ten times in two minutes, and more rarely each time.
        let retries = |range| herd.sum(range, |s| s.retries);
        assert!(retries(back.clone()) < 25 * PAGES, "{}", retries(back));
        assert!(retries(60..AWAY_S) < 5 * PAGES, "{}", retries(60..AWAY_S));
        let probes = |range| herd.sum(range, |s| s.probes);
        assert!(probes(0..60) < 90 * PAGES, "{}", probes(0..60));
        assert!(probes(60..AWAY_S) < 20 * PAGES, "{}", probes(60..AWAY_S));
        // When it is back they come one after the other.
        let (peak, bound) = (herd.peak() as f64, away.bound());
        assert!(peak <= bound, "{peak} in one second, {bound} are allowed");
        assert!(herd.healed_s < 55.0, "{}", herd.healed_s);
    }
}

/// The bound says something of the page's waits: fixed ones do not keep it.
#[test]
fn pages_that_come_again_at_fixed_times_storm_it() {
    for away in WAYS {
        let (peak, bound) = (Herd::play(away, Some(FIXED_MS)).peak(), away.bound());
        println!("the edge {}: {peak} in one second", away.name);
        assert!(peak as f64 > 1.5 * bound, "{peak}, {bound} are allowed");
    }
}

/// What the document shows is what the page does.
#[test]
fn the_plot_in_the_documents_is_of_this_code() {
    let drawn = plot::draw();
    if let Some(file) = std::env::var_os("CHATLIFT_STORM_SVG") {
        std::fs::write(file, drawn).expect("written");
        return;
    }
    let shown = include_str!("../../../../docs/retry-storm.svg");
    assert!(drawn == shown, "`cargo xtask storm` draws it anew");
}
