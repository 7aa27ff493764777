//! The first visit of a page: when a pick is taken, when there is something to see, and what the
//! browser loads for it.

use serde_json::{Value, json};

use crate::browser::{Browser, row};
use crate::gate::{Gate, Passed};

/// Runs in a new document before its own scripts: makes a pick at the very moment when the input
/// is there, and notes the moment and that of the first paint, in milliseconds since the document
/// was asked for.
const WATCH: &str = "
    window.first = {};
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (entry.name === 'first-contentful-paint') first.paint = entry.startTime;
      }
    }).observe({ type: 'paint', buffered: true });
    const observer = new MutationObserver(() => {
      const input = document.querySelector('#pick, .uppy-Dashboard-input, .filepond--browser');
      if (!input) return;
      observer.disconnect();
      first.input = performance.now();
      const data = new DataTransfer();
      data.items.add(new File(['%PDF-1.4 early'], 'early.pdf', { type: 'application/pdf' }));
      input.files = data.files;
      input.dispatchEvent(new Event('change', { bubbles: true }));
      const taken = new MutationObserver(() => {
        if (!document.querySelector('[data-name=\"early.pdf\"]')) return;
        taken.disconnect();
        first.program = performance.now();
      });
      taken.observe(document, { subtree: true, childList: true, attributes: true });
    });
    observer.observe(document, { subtree: true, childList: true });";

/// A network and a processor that Chromium plays.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Bytes in a second, down and up.
    pub throughput: (u64, u64),
    /// Added to each request, in milliseconds.
    pub latency: u64,
    /// How many times slower the processor is.
    pub slowdown: u64,
}

/// Lighthouse's "Slow 4G" with its slowdown of a phone in the middle of the market
/// (lighthouse/docs/throttling.md): 1.6 Mbit/s down, 750 kbit/s up, 150 ms.
pub const SLOW_4G: Device = Device {
    throughput: (200_000, 93_750),
    latency: 150,
    slowdown: 4,
};

/// What a first visit was like; times in milliseconds since the document was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The input is there, and a pick that is made in this moment is taken.
    pub input: f64,
    /// The first contentful paint; a person can pick after that.
    pub paint: f64,
    /// The program runs, and shows the pick. Zero where there is none.
    pub program: f64,
}

impl Visit {
    /// When a person's pick is taken.
    #[must_use]
    pub fn pick(&self) -> f64 {
        self.input.max(self.paint)
    }
}

/// Prepares Chromium for visits.
pub fn prepare(phone: &Browser, device: Option<Device>) {
    let session = phone.session();
    session.devtools("Network.enable", &json!({}));
    let no_cache = json!({ "cacheDisabled": true });
    session.devtools("Network.setCacheDisabled", &no_cache);
    let watch = json!({ "source": WATCH });
    session.devtools("Page.enable", &json!({}));
    session.devtools("Page.addScriptToEvaluateOnNewDocument", &watch);
    if let Some(device) = device {
        let (down, up) = device.throughput;
        let network = json!({ "offline": false, "latency": device.latency,
            "downloadThroughput": down, "uploadThroughput": up });
        session.devtools("Network.emulateNetworkConditions", &network);
        let rate = json!({ "rate": device.slowdown });
        session.devtools("Emulation.setCPUThrottlingRate", &rate);
    }
}

/// Opens a page, and waits until it has taken the pick that was made at once; or only until it is
/// painted and has an input, if it has no program of ours.
pub fn visit(phone: &Browser, url: &str, program: bool) -> Visit {
    phone.open(url);
    if program {
        phone.sees(&row("ready"), 1);
    }
    let mut seen = Value::Null;
    crate::scratch::wait_for("a paint", std::time::Duration::from_secs(30), || {
        seen = phone.session().script("return window.first", &json!([]));
        let there = |name: &str| seen[name].is_number();
        (there("paint") && there("input")).then_some(())
    });
    let ms = |name: &str| seen[name].as_f64().unwrap_or(0.0);
    Visit {
        input: ms("input"),
        paint: ms("paint"),
        program: ms("program"),
    }
}

/// What a first visit loads, by the part that it is: bytes of brotli.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The document with its style.
    pub html: usize,
    /// The script that starts the program.
    pub script: usize,
    /// The program, WebAssembly.
    pub program: usize,
    /// Texts that are fetched while the person chooses.
    pub texts: usize,
    /// Everything, in the order of its arrival.
    pub all: Vec<Passed>,
}

impl Loaded {
    /// What has passed a gate since it was last asked. A visit with a pick ends with the texts,
    /// which the running program asks for: they are waited for, so that the sum is the same
    /// whichever is faster, the network or who counts.
    ///
    /// # Panics
    /// When no texts pass.
    #[must_use]
    pub fn through(gate: &Gate) -> Self {
        let is_texts = |path: &str| path.starts_with("/u/") && path.ends_with("/page");
        let mut all = Vec::new();
        crate::scratch::wait_for("the texts", std::time::Duration::from_secs(30), || {
            all.extend(gate.passed());
            all.iter().any(|(path, _)| is_texts(path)).then_some(())
        });
        // A browser's own idea, and no part of the page.
        all.retain(|(path, _)| path != "/favicon.ico");
        let sum =
            |is: &dyn Fn(&str) -> bool| all.iter().filter(|(p, _)| is(p)).map(|(_, n)| n).sum();
        Self {
            html: sum(&|path| path.starts_with("/u/") && path.matches('/').count() == 2),
            script: sum(&|path| path.starts_with("/assets/") && path.ends_with(".js")),
            program: sum(&|path| path.starts_with("/assets/") && path.ends_with(".wasm")),
            texts: sum(&is_texts),
            all,
        }
    }

    /// All of it.
    #[must_use]
    pub fn sum(&self) -> usize {
        self.all.iter().map(|(_, bytes)| bytes).sum()
    }
}
