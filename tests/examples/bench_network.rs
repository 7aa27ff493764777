//! `cargo xtask bench network`: the real page in Chromium, before the edge in workerd, on networks
//! of our own; figures printed, nothing asserted. See [`HELP`] and `chatlift_tests::network`.

use std::process::ExitCode;
use std::time::Duration;

use chatlift_shared::limits::MIB;
use chatlift_tests::bare::Bare;
use chatlift_tests::browser::{Browser, mark, row};
use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::fixtures::Random;
use chatlift_tests::network::{Cut, Network, Profile};
use chatlift_tests::scratch::{now, wait_for};
use chatlift_tests::stage::Stage;
use serde_json::json;

const HELP: &str = "\
cargo xtask bench network [--whole] [--emulated] [--mbit 2|20|200]... [--silent] [--times N] [--size MB]

  With nothing said: a 40 MB file at 20 Mbit/s against a bare XMLHttpRequest of the same file, then
  a cut of 5 s at a random moment at 2, 20 and 200 Mbit/s.

  --whole        only the first of these
  --emulated     the first of these, on Chromium's own emulation of the network
  --mbit RATE    only the cut, at this rate
  --silent       connections do not break at the cut: nothing moves, and nobody is told
  --times N      each N times
  --size MB      a file of another size";

/// Longest that one upload may take.
const WITHIN: Duration = Duration::from_secs(900);

/// How long a cut lasts.
const CUT: Duration = Duration::from_secs(5);

/// The file that the bounds of `sent again` are about.
const REFERENCE: u64 = 100 * MIB;

/// What was asked for.
#[derive(Debug)]
struct Options {
    whole: bool,
    emulated: bool,
    rates: Vec<u64>,
    cut: Cut,
    times: u32,
    size: Option<u64>,
}

fn options() -> Option<Options> {
    let mut options = Options {
        whole: false,
        emulated: false,
        rates: Vec::new(),
        cut: Cut::Broken,
        times: 1,
        size: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--whole" => options.whole = true,
            "--emulated" => options.emulated = true,
            "--silent" => options.cut = Cut::Silent,
            "--mbit" => options.rates.push(args.next()?.parse().ok()?),
            "--times" => options.times = args.next()?.parse().ok()?,
            "--size" => options.size = Some(args.next()?.parse::<u64>().ok()? * 1_000_000),
            _ => return None,
        }
    }
    if !options.whole && !options.emulated && options.rates.is_empty() {
        options.whole = true;
        options.emulated = true;
        options.rates = vec![2, 20, 200];
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{HELP}");
        return ExitCode::FAILURE;
    };
    let stage = Stage::new("bench");
    if options.whole {
        whole(&stage, &options, Path::Proxy);
    }
    if options.emulated {
        whole(&stage, &options, Path::Emulated);
    }
    if !options.rates.is_empty() {
        cuts(&stage, &options);
    }
    ExitCode::SUCCESS
}

fn profile(mbit: u64) -> Profile {
    Profile {
        bits_per_second: mbit * 1_000_000,
        // Who has 200 Mbit/s is near.
        round_trip: Duration::from_millis(if mbit > 100 { 20 } else { 100 }),
    }
}

/// What stands between the browser and its server.
#[derive(Clone, Copy, Debug)]
enum Path {
    /// A network of our own.
    Proxy,
    /// Chromium's emulation, which delays each request and paces its bytes.
    Emulated,
}

impl Path {
    /// The network before `origin`; for Chromium's own, the browser is told later.
    fn before(self, origin: &str, profile: Profile) -> Network {
        let profile = match self {
            Self::Proxy => profile,
            Self::Emulated => Profile {
                bits_per_second: 10_000_000_000,
                round_trip: Duration::ZERO,
            },
        };
        Network::before(origin, profile)
    }

    fn tell(self, phone: &Browser, profile: Profile) {
        if let Self::Emulated = self {
            let session = phone.session();
            session.devtools("Network.enable", &json!({}));
            let bytes = profile.bits_per_second / 8;
            let network = json!({ "offline": false, "latency": profile.round_trip.as_millis() as u64,
                "downloadThroughput": bytes, "uploadThroughput": bytes });
            session.devtools("Network.emulateNetworkConditions", &network);
        }
    }
}

/// The page and a bare upload, on the same network.
fn whole(stage: &Stage, options: &Options, path: Path) {
    let network = profile(20);
    let file = Random {
        seed: 40,
        size: options.size.unwrap_or(40_000_000),
    };
    let ideal = network.ideal(file.size).as_secs_f64();
    println!(
        "{} MB at 20 Mbit/s, 100 ms ({path:?}); bytes / bandwidth is {ideal:.2} s\n",
        file.size / 1_000_000
    );
    println!("{:>10} {:>9} {:>9} {:>10}", "", "s", "x ideal", "x bare");
    for _ in 0..options.times {
        let bare = bare_upload(path, network, file);
        println!(
            "{:>10} {bare:>9.2} {:>9.3} {:>10}",
            "bare XHR",
            bare / ideal,
            ""
        );
        let page = page_upload(stage, path, network, file);
        println!(
            "{:>10} {page:>9.2} {:>9.3} {:>10.3}",
            "page",
            page / ideal,
            page / bare
        );
    }
    println!();
}

/// Seconds of a bare upload.
fn bare_upload(path: Path, profile: Profile, file: Random) -> f64 {
    let network = path.before(&Bare::start().origin(), profile);
    let phone = Browser::english();
    let picked = file.write(phone.folder(), "bare.bin");
    phone.open(&network.origin());
    phone.pick(&[&picked]);
    path.tell(&phone, profile);
    let script = "
        const xhr = new XMLHttpRequest();
        const start = performance.now();
        xhr.open('POST', '/upload');
        xhr.onloadend = () => { window.took = performance.now() - start; };
        xhr.send(document.querySelector('#pick').files[0]);";
    let _ = phone.session().script(script, &json!([]));
    let took = wait_for("the bare upload", WITHIN, || {
        phone
            .session()
            .script("return window.took", &json!([]))
            .as_f64()
    });
    took / 1000.0
}

/// Notes in the page when its button was pressed and when it said that all has arrived, in
/// milliseconds of the clock that Rust's side has too.
fn watch(phone: &Browser) {
    let script = "
        const [confirm, success] = arguments;
        window.bench = {};
        document.querySelector(confirm).addEventListener('click',
          () => { bench.start = Date.now(); }, true);
        new MutationObserver(() => {
          if (!bench.end && document.querySelector(success)) bench.end = Date.now();
        }).observe(document.documentElement, { subtree: true, childList: true, attributes: true });";
    let _ = phone
        .session()
        .script(script, &json!([mark("confirm"), mark("success")]));
}

/// What [`watch`] has noted, in milliseconds: the start, and the end when it has come.
fn noted(phone: &Browser) -> (i64, Option<i64>) {
    let bench = phone.session().script("return window.bench", &json!([]));
    (bench["start"].as_i64().unwrap_or(0), bench["end"].as_i64())
}

/// Opens the page behind the network and picks the file.
fn picked(stage: &Stage, network: &Network, file: Random) -> Browser {
    let link = stage.edge.app().link(ANY_FILE);
    let phone = Browser::english();
    let path = file.write(phone.folder(), "page.bin");
    phone.open(&network.url(&link.url));
    phone.pick(&[&path]);
    phone.sees(&row("ready"), 1);
    watch(&phone);
    phone
}

/// Seconds of an upload by the page, from the button to the success message.
fn page_upload(stage: &Stage, path: Path, profile: Profile, file: Random) -> f64 {
    let network = path.before(&stage.edge.origin(), profile);
    let phone = picked(stage, &network, file);
    path.tell(&phone, profile);
    phone.click(&mark("confirm"));
    let end = wait_for("the page's upload", WITHIN, || noted(&phone).1);
    (end - noted(&phone).0) as f64 / 1000.0
}

/// Seconds of so many bytes in one bare request of tus to the edge, which does with them what it
/// always does. It says what of the page's time is this machine's.
fn bare_to_edge(stage: &Stage, profile: Profile, bytes: u64) -> f64 {
    let network = Network::before(&stage.edge.origin(), profile);
    let phone = Browser::english();
    phone.open(&network.url(&stage.edge.app().link(ANY_FILE).url));
    let script = "
        const [size] = arguments;
        const block = crypto.getRandomValues(new Uint8Array(65536));
        const blob = new Blob(Array(Math.ceil(size / block.length)).fill(block)).slice(0, size);
        const xhr = new XMLHttpRequest();
        const start = performance.now();
        xhr.open('POST', location.pathname + '/tus');
        xhr.setRequestHeader('tus-resumable', '1.0.0');
        xhr.setRequestHeader('upload-length', size);
        xhr.setRequestHeader('upload-metadata', 'filename YmFyZS5iaW4=');
        xhr.setRequestHeader('content-type', 'application/offset+octet-stream');
        xhr.onload = () => { window.bare = [xhr.status, performance.now() - start]; };
        xhr.send(blob);";
    let _ = phone.session().script(script, &json!([bytes]));
    let took = wait_for("the bare upload", WITHIN, || {
        let bare = phone.session().script("return window.bare", &json!([]));
        let status = bare[0].as_u64()?;
        assert_eq!(status, 201, "the edge takes a bare upload");
        bare[1].as_f64()
    });
    took / 1000.0
}

/// A cut at a random moment, at each rate.
fn cuts(stage: &Stage, options: &Options) {
    println!(
        "a cut of {} s at a random moment ({:?})\n",
        CUT.as_secs(),
        options.cut
    );
    println!(
        "{:>6} {:>7} {:>7} | {:>10} {:>8} {:>11} | {:>8} {:>8} {:>7} | {:>7} {:>7} | {:>8} {:>8}",
        "Mbit/s",
        "MB",
        "cut at",
        "again",
        "= s",
        "% of 100 MiB",
        "ideal s",
        "took s",
        "x ideal",
        "bare s",
        "x bare",
        "1st byte",
        "last: end"
    );
    for &mbit in &options.rates {
        for _ in 0..options.times {
            cut(stage, options, mbit);
        }
    }
    println!(
        "\nagain: bytes of files that entered the network beyond the file's size. took: from the \
         network's return to the\nsuccess message; ideal: what the bytes that had not arrived take; \
         bare: as many in one bare request of tus. \
         1st byte: seconds from the return to the next\nbyte at the edge; last: end: from the last \
         byte at the edge to the success message."
    );
}

fn cut(stage: &Stage, options: &Options, mbit: u64) {
    let profile = profile(mbit);
    let usual = if mbit < 20 { 10_000_000 } else { REFERENCE };
    let file = Random {
        seed: mbit,
        size: options.size.unwrap_or(usual),
    };
    let network = Network::before(&stage.edge.origin(), profile);
    let phone = picked(stage, &network, file);
    let random = getrandom::u32().unwrap_or_default();
    let share = 0.2 + 0.6 * f64::from(random) / f64::from(u32::MAX);
    phone.click(&mark("confirm"));
    let at = (file.size as f64 * share) as u64;
    while network.arrived() < at {
        std::thread::sleep(Duration::from_millis(1));
    }
    network.cut(options.cut);
    // What was on its way is gone after this.
    std::thread::sleep(CUT);
    let held = network.arrived();
    network.restore();
    let back = now().millis();
    let (mut first, mut last, mut before) = (None, None, held);
    let end = wait_for("the page's upload", WITHIN, || {
        let arrived = network.arrived();
        if arrived > before {
            before = arrived;
            last = Some(now().millis());
            first = first.or(last);
        }
        noted(&phone).1
    });
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
    let again = network.sent().saturating_sub(file.size);
    let ideal = profile.ideal(file.size - held.min(file.size)).as_secs_f64();
    let took = seconds(back, end);
    drop(phone);
    let bare = bare_to_edge(stage, profile, file.size - held.min(file.size));
    println!(
        "{mbit:>6} {:>7.1} {:>6.0}% | {again:>10} {:>8.3} {:>11.3}% | {ideal:>8.2} {took:>8.2} {:>7.3} | {bare:>7.2} {:>7.3} | {:>8.2} {:>8.2}",
        file.size as f64 / 1e6,
        share * 100.0,
        again as f64 / profile.second() as f64,
        again as f64 * 100.0 / REFERENCE as f64,
        took / ideal,
        took / bare,
        first.map_or(f64::NAN, |at| seconds(back, at)),
        last.map_or(f64::NAN, |at| seconds(at, end)),
    );
}
