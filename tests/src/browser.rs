//! A person at the upload page or at the first-app demo: what they see and do, by the marks
//! (`data-testid`) that both pages carry for this.

use std::path::Path;
use std::time::Duration;

use chatlift_shared::digest::Sha256;
use serde_json::{Value, json};

use crate::engine::{Engine, Setting};
use crate::scratch::wait_for;
use crate::webdriver::Session;

/// How long the page may take to show what it should.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// A browser in someone's hand.
#[derive(Debug)]
pub struct Browser {
    session: Session,
}

/// The selector of a mark.
#[must_use]
pub fn mark(testid: &str) -> String {
    format!(r#"[data-testid="{testid}"]"#)
}

/// The selector of rows in a state.
#[must_use]
pub fn row(state: &str) -> String {
    format!(r#"[data-testid="file-row"][data-state="{state}"]"#)
}

/// The selector of stored files of which the app has said this.
#[must_use]
pub fn file_receipt(status: &str) -> String {
    format!(r#"[data-testid="file-receipt"][data-status="{status}"]"#)
}

impl Browser {
    /// Of an English-speaking person.
    #[must_use]
    pub fn english() -> Self {
        Self {
            session: Session::start(Engine::Chromium, &Setting::default()),
        }
    }

    /// Of a Chinese-speaking person.
    #[must_use]
    pub fn chinese() -> Self {
        let lang = "zh-CN,zh".to_owned();
        Self::with(
            Engine::Chromium,
            &Setting {
                lang,
                ..Setting::default()
            },
        )
    }

    /// Of any engine and setting.
    #[must_use]
    pub fn with(engine: Engine, setting: &Setting) -> Self {
        Self {
            session: Session::start(engine, setting),
        }
    }

    /// The browser itself.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// A folder for files to be picked.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.session.folder()
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.session.open(url);
    }

    /// Gives the page a screen of this width in CSS pixels (Chromium's windows do not get as narrow
    /// as phones).
    pub fn narrow(&self, width: u32) {
        let metrics =
            json!({ "width": width, "height": 780, "deviceScaleFactor": 1, "mobile": true });
        self.session
            .devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Leaves the page although it asks whether to: what a killed tab does.
    pub fn leave(&self) {
        self.session.open("about:blank");
    }

    /// How many elements match.
    #[must_use]
    pub fn count(&self, css: &str) -> u64 {
        let count = self.session.script(
            "return document.querySelectorAll(arguments[0]).length",
            &json!([css]),
        );
        count.as_u64().unwrap_or(0)
    }

    /// The text that an element shows, or nothing.
    #[must_use]
    pub fn text(&self, css: &str) -> String {
        let script = "const e = document.querySelector(arguments[0]); return e ? (e.innerText || e.textContent) : ''";
        self.session
            .script(script, &json!([css]))
            .as_str()
            .unwrap_or_default()
            .trim()
            .to_owned()
    }

    /// An attribute of the first match.
    #[must_use]
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let script = "const e = document.querySelector(arguments[0]); return e ? e.getAttribute(arguments[1]) : null";
        self.session
            .script(script, &json!([css, name]))
            .as_str()
            .map(str::to_owned)
    }

    /// Waits until `count` elements match.
    pub fn sees(&self, css: &str, count: u64) {
        self.sees_within(css, count, SEEN_WITHIN);
    }

    /// Waits until `count` elements match, as long as it may take.
    pub fn sees_within(&self, css: &str, count: u64, within: Duration) {
        wait_for(&format!("{count} of {css}"), within, || {
            (self.count(css) == count).then_some(())
        });
    }

    /// Waits for something to appear, and returns its text.
    #[must_use]
    pub fn read(&self, css: &str) -> String {
        wait_for(css, SEEN_WITHIN, || {
            Some(self.text(css)).filter(|text| !text.is_empty())
        })
    }

    /// Clicks when it can be clicked.
    pub fn click(&self, css: &str) {
        let mut why = String::new();
        let clicked = || {
            let element = self.session.find(css)?;
            self.session.click(&element).map_err(|e| why = e).ok()
        };
        wait_for(&format!("a click on {css}"), SEEN_WITHIN, clicked);
    }

    /// Picks files with the page's input.
    pub fn pick(&self, paths: &[impl AsRef<Path>]) {
        self.pick_with("#pick", paths);
    }

    /// Picks files with the first input that matches.
    pub fn pick_with(&self, css: &str, paths: &[impl AsRef<Path>]) {
        let input = wait_for("the input", SEEN_WITHIN, || self.session.find(css));
        let lines: Vec<_> = paths
            .iter()
            .map(|path| path.as_ref().display().to_string())
            .collect();
        self.session.send_keys(&input, &lines.join("\n"));
    }

    /// Opens a link and picks a file there, which then waits to be confirmed.
    pub fn choose(&self, link: &str, path: &Path) {
        self.open(link);
        self.pick(&[path]);
        self.sees(&row("ready"), 1);
    }

    /// Confirms on a network of this many bytes a second, and waits until the upload is under way.
    /// Chromium only.
    pub fn upload_at(&self, bytes_per_second: u64) {
        self.session.slow(bytes_per_second);
        self.click(&mark("confirm"));
        self.sees(&row("uploading"), 1);
    }

    /// Drops or pastes a file: `event` is `drop` or `paste`. A person's own gesture cannot be
    /// had headless; the events are those that it would cause.
    pub fn transfer(&self, event: &str, name: &str, media_type: &str, bytes: &[u8]) {
        let script = r#"
            const [event, name, type, bytes] = arguments;
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, { type }));
            const init = { bubbles: true, cancelable: true };
            if (event === 'paste') {
              document.body.dispatchEvent(new ClipboardEvent('paste', { ...init, clipboardData: data }));
              return;
            }
            const zone = document.querySelector('[data-testid="drop-zone"]');
            for (const kind of ['dragenter', 'dragover', 'drop']) {
              zone.dispatchEvent(new DragEvent(kind, { ...init, dataTransfer: data }));
            }"#;
        let _ = self
            .session
            .script(script, &json!([event, name, media_type, bytes]));
    }

    /// Waits for the problem that the whole page shows, and returns its code and sentence.
    #[must_use]
    pub fn problem(&self) -> (String, String) {
        let css = mark("problem");
        let sentence = self.read(&css);
        (
            self.attribute(&css, "data-code").unwrap_or_default(),
            sentence,
        )
    }

    /// JavaScript heap in use after a collection, in bytes.
    #[must_use]
    pub fn heap(&self) -> u64 {
        let _ = self
            .session
            .devtools("HeapProfiler.collectGarbage", &json!({}));
        let _ = self.session.devtools("Performance.enable", &json!({}));
        let metrics = self.session.devtools("Performance.getMetrics", &json!({}));
        metrics["metrics"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|metric| metric["name"] == "JSHeapUsedSize")
            .and_then(|metric| metric["value"].as_f64())
            .map_or(0, |bytes| bytes as u64)
    }

    /// Memory that the page's process has in RAM, in bytes: heap, buffers and WebAssembly.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that the page's process has had in RAM, in bytes.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// A field of /proc/pid/status (proc_pid_status(5)) of the page's process, in bytes.
    fn memory(&self, field: &str) -> u64 {
        let profile = format!(
            "--user-data-dir={}",
            self.folder().join("profile").display()
        );
        let read = |pid: &str, file: &str| {
            std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()
        };
        std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|pid| {
                let line = String::from_utf8_lossy(&read(pid, "cmdline")).into_owned();
                line.contains("--type=renderer") && line.contains(&profile)
            })
            .filter_map(|pid| {
                let status = String::from_utf8_lossy(&read(&pid, "status")).into_owned();
                let line = status
                    .lines()
                    .find_map(|l| l.strip_prefix(field))?
                    .to_owned();
                line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
            })
            .map(|kib| kib * 1024)
            .max()
            .unwrap_or(0)
    }

    /// The digests that the demo shows of what has arrived.
    #[must_use]
    pub fn delivered(&self) -> Vec<Sha256> {
        let script = r#"return [...document.querySelectorAll('[data-testid="delivery-sha256"]')].map(e => e.textContent.trim())"#;
        let shown = self.session.script(script, &Value::Array(Vec::new()));
        shown
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|text| text.as_str()?.parse().ok())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let picture = self.folder().join("screenshot.png");
        let _ = std::fs::write(&picture, self.session.screenshot());
        let read = self.session.visible_text();
        eprintln!(
            "the page read: {read:?}\nits console: {:?}\nand it looked like {}",
            self.session.console(),
            picture.display()
        );
    }
}
