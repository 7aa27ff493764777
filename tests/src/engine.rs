//! Browser engines, each with the driver that its makers ship: Chromium, Firefox, and WebKitGTK,
//! the nearest to an iOS webview that runs here; and Chromiums as old as those inside chat apps,
//! which are spoken to directly (see [`crate::devtools`]).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use xtask::old_chromium::{CHROMIUM_64, CHROMIUM_78, CHROMIUM_86, OldChromium};
use xtask::process::Group;
use xtask::tools::GECKODRIVER;

use crate::scratch::free_port;

/// A browser engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Debian's Chromium with chromedriver.
    Chromium,
    /// Debian's Firefox ESR with geckodriver.
    Firefox,
    /// WebKitGTK's MiniBrowser with WebKitWebDriver, on an X server without a screen.
    WebKit,
    /// Chromium of January 2018.
    Chromium64,
    /// Chromium of October 2019.
    Chromium78,
    /// Chromium of October 2020.
    Chromium86,
}

/// A name of this machine that no browser knows to be its own, as that of a server in a LAN: pages of it are
/// in no secure context over plain HTTP. WebKitGTK does not resolve it.
pub const LAN: &str = "upload.test";

/// Has Chromium resolve it.
const LAN_RULE: &str = "--host-resolver-rules=MAP upload.test 127.0.0.1";

/// Chromium as it runs in a container, asking nothing of the outside.
const CHROMIUM_FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-precise-memory-info",
    LAN_RULE,
    // Ends with chromedriver, however that ends.
    "--remote-debugging-pipe",
];

/// An old Chromium in a container.
const OLD_CHROMIUM_FLAGS: [&str; 5] = [
    LAN_RULE,
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
];

/// Preferences of a Firefox that asks nothing of the outside.
const FIREFOX_OFF: [&str; 7] = [
    "app.normandy.enabled",
    "app.update.auto",
    "browser.safebrowsing.downloads.remote.enabled",
    "browser.safebrowsing.malware.enabled",
    "browser.safebrowsing.phishing.enabled",
    "datareporting.policy.dataSubmissionEnabled",
    "network.captive-portal-service.enabled",
];

/// How a browser is to be.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Languages that it asks pages for, as in `Accept-Language`. WebKitGTK asks for the system's.
    pub lang: String,
    /// Whether pages may run scripts. WebKitGTK's driver cannot switch them off: there a page must
    /// come with the policy `sandbox` (see [`crate::gate::SANDBOX`]).
    pub script: bool,
    /// Width and height of the window, in CSS pixels: a phone's, as most who open a link have.
    pub size: (u32, u32),
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            lang: "en-US,en".to_owned(),
            script: true,
            size: (412, 915),
        }
    }
}

impl Engine {
    /// The Chromiums, each by what it is called on a command line.
    pub const CHROMIUMS: [(&str, Self); 4] = [
        ("chromium", Self::Chromium),
        ("chromium-64", Self::Chromium64),
        ("chromium-78", Self::Chromium78),
        ("chromium-86", Self::Chromium86),
    ];

    /// The old Chromium that it is.
    #[must_use]
    pub fn old(self) -> Option<&'static OldChromium> {
        match self {
            Self::Chromium64 => Some(&CHROMIUM_64),
            Self::Chromium78 => Some(&CHROMIUM_78),
            Self::Chromium86 => Some(&CHROMIUM_86),
            Self::Chromium | Self::Firefox | Self::WebKit => None,
        }
    }

    /// Starts its driver, and what that needs: the port that it listens on, and all that runs. An
    /// old Chromium is started itself, and listens there.
    pub(crate) fn driver(self, folder: &Path, setting: &Setting) -> (u16, Vec<Group>) {
        let port = free_port();
        let mut groups = Vec::new();
        let (name, mut command) = match self {
            Self::Chromium => ("chromedriver", Command::new("/usr/bin/chromedriver")),
            Self::Firefox => {
                let mut command = Command::new(GECKODRIVER.path());
                command
                    .arg("--websocket-port")
                    .arg(free_port().to_string())
                    .arg("--profile-root")
                    .arg(folder);
                ("geckodriver", command)
            }
            Self::WebKit => {
                let mut command = Command::new("/usr/bin/WebKitWebDriver");
                let (display, screen) = display(folder);
                groups.push(screen);
                command
                    .env("DISPLAY", display)
                    // No sandbox in a container, as with Chromium; no session bus, no GPU.
                    .env("WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS", "1")
                    .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
                    .env("LIBGL_ALWAYS_SOFTWARE", "1");
                ("WebKitWebDriver", command)
            }
            Self::Chromium64 | Self::Chromium78 | Self::Chromium86 => {
                let old = self.old().unwrap_or_else(|| unreachable!("an old one"));
                let (width, height) = setting.size;
                let mut command = Command::new(old.path());
                command
                    .args(OLD_CHROMIUM_FLAGS)
                    .arg(format!("--window-size={width},{height}"))
                    .arg(format!(
                        "--user-data-dir={}",
                        folder.join("profile").display()
                    ))
                    .arg(format!("--remote-debugging-port={port}"))
                    .arg("about:blank");
                ("chromium", command)
            }
        };
        if self.old().is_none() {
            command.arg(format!("--port={port}"));
        }
        command
            // Profiles and caches of its own: nothing of another run is seen.
            .env("HOME", folder)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("XDG_DATA_HOME", folder.join("data"));
        let log = folder.join(format!("{name}.log"));
        let group = Group::spawn(name, &command, &log)
            .unwrap_or_else(|e| panic!("{e}: run `cargo xtask setup`"));
        groups.push(group);
        (port, groups)
    }

    /// What to ask the driver for.
    pub(crate) fn capabilities(self, folder: &Path, setting: &Setting) -> Value {
        let (width, height) = setting.size;
        match self {
            Self::Chromium => {
                let mut args: Vec<String> = CHROMIUM_FLAGS.iter().map(|&f| f.to_owned()).collect();
                let profile = folder.join("profile");
                args.push(format!("--user-data-dir={}", profile.display()));
                args.push(format!("--accept-lang={}", setting.lang));
                args.push(format!("--window-size={width},{height}"));
                json!({ "browserName": "chrome",
                    "goog:chromeOptions": { "args": args, "binary": "/usr/bin/chromium" },
                    "goog:loggingPrefs": { "browser": "ALL" } })
            }
            Self::Firefox => {
                let mut prefs: serde_json::Map<String, Value> = FIREFOX_OFF
                    .iter()
                    .map(|&name| (name.to_owned(), json!(false)))
                    .collect();
                prefs.insert("intl.accept_languages".to_owned(), json!(setting.lang));
                prefs.insert("javascript.enabled".to_owned(), json!(setting.script));
                prefs.insert("network.dns.localDomains".to_owned(), json!(LAN));
                let args = [
                    "-headless".to_owned(),
                    format!("--width={width}"),
                    format!("--height={height}"),
                ];
                json!({ "browserName": "firefox",
                    "moz:firefoxOptions": { "binary": "/usr/bin/firefox-esr", "args": args, "prefs": prefs } })
            }
            Self::WebKit | Self::Chromium64 | Self::Chromium78 | Self::Chromium86 => json!({}),
        }
    }
}

/// An X server without a screen, and the name of its display.
fn display(folder: &Path) -> (String, Group) {
    let mut command = Command::new("/usr/bin/Xvfb");
    // It takes the first free display, and prints its number.
    command.args([
        "-displayfd",
        "1",
        "-screen",
        "0",
        "1280x1024x24",
        "-nolisten",
        "tcp",
    ]);
    let log = folder.join("Xvfb.log");
    let mut group = Group::spawn("Xvfb", &command, &log)
        .unwrap_or_else(|e| panic!("{e}: run `cargo xtask setup`"));
    let number = || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let line = text.lines().find(|line| line.parse::<u16>().is_ok());
        line.map(str::to_owned)
    };
    group
        .wait_until(Duration::from_secs(30), || number().is_some())
        .unwrap_or_else(|e| panic!("{e}"));
    (format!(":{}", number().unwrap_or_default()), group)
}
