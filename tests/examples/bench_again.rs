//! `cargo xtask bench again`: how many bytes of a file go twice when its sender is interrupted, by the page in
//! Chromium and by tus, before the edge in workerd; figures printed, nothing asserted. See [`HELP`].

use std::process::ExitCode;
use std::time::Duration;

use chatlift_shared::api::Link;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::client::Page;
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::http::send;
use chatlift_tests::network::{Cut, Network, Profile};
use chatlift_tests::serial::{TUS, create};
use chatlift_tests::stage::Stage;

const HELP: &str = "\
cargo xtask bench again [--mbit RATE]... [--size MB] [--seed N]

  A file is interrupted once at a seeded moment and sent on, at once and after 2 s, at 2, 20 and 200 Mbit/s
  and unthrottled: its connections are reset, its page is reloaded, its browser is killed.

  --mbit RATE    only at this rate; 0 is unthrottled
  --size MB      a file of another size
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

#[derive(Debug, Default)]
struct Options {
    rates: Vec<u64>,
    size: Option<u64>,
    seed: u64,
}

fn options() -> Option<Options> {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--mbit" => options.rates.push(args.next()?.parse().ok()?),
            "--size" => options.size = Some(args.next()?.parse::<u64>().ok()? * 1_000_000),
            "--seed" => options.seed = args.next()?.parse().ok()?,
            _ => return None,
        }
    }
    if options.rates.is_empty() {
        options.rates = vec![2, 20, 200, 0];
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{HELP}");
        return ExitCode::FAILURE;
    };
    let stage = Stage::new("again");
    println!(
        "{:>12} {:>9} {:>6} | {:>6} {:>7} | {:>10} {:>7}",
        "Mbit/s", "what", "after", "MB", "at", "again", "%"
    );
    for &mbit in &options.rates {
        for (n, what) in (0..).zip(INTERRUPTIONS) {
            for wait in WAITS {
                let seed = options.seed + n * 10 + wait.as_secs();
                let size = options.size.unwrap_or(match mbit {
                    1..20 => 10_000_000,
                    _ => 100_000_000,
                });
                interrupt(&stage, mbit, what, wait, Random { seed, size });
            }
        }
    }
    println!("\nagain: bytes of the file that entered the network beyond its size.");
    ExitCode::SUCCESS
}

fn interrupt(stage: &Stage, mbit: u64, what: Interruption, wait: Duration, file: Random) {
    let network = Network::before(
        &stage.edge.origin(),
        Profile {
            bits_per_second: if mbit == 0 {
                UNTHROTTLED
            } else {
                mbit * 1_000_000
            },
            // Who has 200 Mbit/s is near.
            round_trip: Duration::from_millis(if mbit == 0 || mbit > 100 { 20 } else { 100 }),
        },
    );
    let link = stage.edge.app().link(ANY_FILE);
    // Between a fifth and four fifths of the file.
    let share = 20 + file.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 60;
    let at = file.size / 100 * share;
    match what {
        Interruption::TusReset => by_tus(&network, &link, wait, file, at),
        _ => by_page(&network, &link, what, wait, file, at),
    }
    let again = network.sent().saturating_sub(file.size);
    println!(
        "{:>12} {:>9} {:>4} s | {:>6.0} {share:>5} % | {again:>10} {:>6.2} %",
        if mbit == 0 {
            "unthrottled".to_owned()
        } else {
            mbit.to_string()
        },
        format!("{what:?}"),
        wait.as_secs(),
        file.size as f64 / 1e6,
        again as f64 * 100.0 / file.size as f64,
    );
}

fn begin(phone: &Browser, network: &Network, link: &Link, file: Random) {
    let path = file.write(phone.folder(), "page.bin");
    phone.open(&network.url(&link.url));
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
    phone.click(&mark("confirm"));
}

fn by_page(
    network: &Network,
    link: &Link,
    what: Interruption,
    wait: Duration,
    file: Random,
    at: u64,
) {
    let mut phone = Browser::english();
    begin(&phone, network, link, file);
    network.wait_arrived(at, WITHIN);
    match what {
        Interruption::Reset => {
            network.cut(Cut::Broken);
            std::thread::sleep(wait);
            network.restore();
        }
        Interruption::Reload => {
            phone.session().reload();
            std::thread::sleep(wait);
            let path = phone.folder().join("page.bin");
            phone.pick(&[&path]);
            phone.sees(&row("ready"), 1);
            phone.click(&mark("confirm"));
        }
        Interruption::Kill | Interruption::TusReset => {
            drop(phone);
            std::thread::sleep(wait);
            phone = Browser::english();
            begin(&phone, network, link, file);
        }
    }
    phone.sees_within(&mark("success"), 1, WITHIN);
}

fn by_tus(network: &Network, link: &Link, wait: Duration, file: Random, at: u64) {
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
        send("PATCH", &url, &headers, Some(&bytes))
    };
    let first = std::thread::spawn({
        let patch = patch.clone();
        move || drop(patch(0))
    });
    network.wait_arrived(at, WITHIN);
    network.cut(Cut::Broken);
    let _ = first.join();
    std::thread::sleep(wait);
    network.restore();
    let head = upload.head();
    let offset = head.header("upload-offset").and_then(|o| o.parse().ok());
    let done = patch(offset.expect("an offset")).expect("an answer");
    assert_eq!(done.status, 204, "{}", done.text());
}
