//! The few commands of W3C WebDriver (<https://www.w3.org/TR/webdriver2/>) that the scenarios
//! need, with a driver of one's own for each browser; old Chromiums have theirs in
//! [`crate::devtools`].

use std::time::Duration;

use serde_json::{Value, json};
use xtask::process::Group;

use crate::devtools::Devtools;
use crate::engine::{Engine, Setting};
use crate::http::send;
use crate::scratch::Folder;

/// The key of an element in WebDriver's JSON (section 12.1).
pub(crate) const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that are no characters, as WebDriver writes them (section 17.4.2).
pub mod keys {
    /// To what can be focused next.
    pub const TAB: &str = "\u{e004}";
    /// Activates what has the focus.
    pub const ENTER: &str = "\u{e007}";
}

/// A browser with one window.
#[derive(Debug)]
pub struct Session {
    engine: Engine,
    driver: Driver,
    id: String,
    // Killed before the folder goes.
    groups: Vec<Group>,
    folder: Folder,
}

/// What takes the commands.
#[derive(Debug)]
enum Driver {
    /// A driver that its makers ship, at this origin.
    Shipped(String),
    /// Ours, for an old Chromium.
    Devtools(Box<Devtools>),
}

/// Something on the page.
#[derive(Clone, Debug)]
pub struct Element(String);

impl Session {
    /// Starts a browser.
    ///
    /// # Panics
    /// When the browser or its driver is missing or does not start.
    #[must_use]
    pub fn start(engine: Engine, setting: &Setting) -> Self {
        let folder = Folder::new("browser");
        let (port, mut groups) = engine.driver(folder.path(), setting);
        let origin = format!("http://127.0.0.1:{port}");
        let ready = match engine.old() {
            None => format!("{origin}/status"),
            Some(_) => format!("{origin}/json/version"),
        };
        groups
            .iter_mut()
            .try_for_each(|group| {
                group.wait_until(Duration::from_secs(30), || {
                    let status = send("GET", &ready, &[], None);
                    status.is_ok_and(|answer| answer.status == 200)
                })
            })
            .unwrap_or_else(|e| panic!("{e}"));
        let driver = match engine.old() {
            None => Driver::Shipped(origin),
            Some(old) => Driver::Devtools(Box::new(Devtools::connect(&origin, old, setting))),
        };
        let wanted = engine.capabilities(folder.path(), setting);
        let mut session = Self {
            engine,
            driver,
            id: String::new(),
            groups,
            folder,
        };
        let capabilities = json!({ "capabilities": { "alwaysMatch": wanted } });
        let made = session.command("POST", "/session", &capabilities);
        session.id = made["sessionId"].as_str().expect("a session").to_owned();
        match engine {
            Engine::Chromium if !setting.script => {
                let off = json!({ "value": true });
                session.devtools("Emulation.setScriptExecutionDisabled", &off);
            }
            Engine::WebKit => session.resize(setting.size),
            _ => {}
        }
        session
    }

    /// The engine that it is of.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Processor time that the browser's processes have used whose command line `is` takes.
    #[must_use]
    pub fn cpu(&self, is: impl Fn(&str) -> bool) -> Duration {
        let browser =
            |line: &str| line.contains("--user-data-dir") && !line.contains("chromedriver");
        let groups = self.groups.iter();
        groups
            .map(|group| group.cpu(|line| browser(line) && is(line)))
            .sum()
    }

    /// Gives the window another size, in CSS pixels.
    pub fn resize(&self, (width, height): (u32, u32)) {
        self.post("/window/rect", &json!({ "width": width, "height": height }));
    }

    /// A folder that lives as long as the browser, for files to be picked.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_command(method, path, body)
            .unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    fn try_command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let origin = match &self.driver {
            Driver::Shipped(origin) => origin,
            Driver::Devtools(devtools) => return devtools.command(path, body),
        };
        let text = body.to_string();
        let body = (method == "POST").then_some(text.as_bytes());
        let answer = send(
            method,
            &format!("{origin}{path}"),
            &[("content-type", "application/json")],
            body,
        )
        .map_err(|e| e.to_string())?;
        let value: Value =
            serde_json::from_slice(&answer.body).map_err(|e| format!("{e}: {}", answer.text()))?;
        if answer.status == 200 {
            Ok(value["value"].clone())
        } else {
            Err(format!(
                "{} {}",
                value["value"]["error"], value["value"]["message"]
            ))
        }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.command("POST", &format!("/session/{}{path}", self.id), body)
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Loads the page again.
    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// Runs a script in the page; `arguments[0]` and on are `args`. A promise that it returns is
    /// waited for.
    #[must_use]
    pub fn script(&self, script: &str, args: &Value) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": args }))
    }

    /// The element, if it is there.
    #[must_use]
    pub fn find(&self, css: &str) -> Option<Element> {
        let path = format!("/session/{}/element", self.id);
        let found = self
            .try_command(
                "POST",
                &path,
                &json!({ "using": "css selector", "value": css }),
            )
            .ok()?;
        found[ELEMENT].as_str().map(|id| Element(id.to_owned()))
    }

    /// Clicks as a person does: it must be in view and not covered.
    ///
    /// # Errors
    /// When it cannot be clicked.
    pub fn click(&self, element: &Element) -> Result<(), String> {
        let path = format!("/session/{}/element/{}/click", self.id, element.0);
        self.try_command("POST", &path, &json!({})).map(|_| ())
    }

    /// Types into an element; a file input takes paths, one a line.
    pub fn send_keys(&self, element: &Element, text: &str) {
        self.post(
            &format!("/element/{}/value", element.0),
            &json!({ "text": text }),
        );
    }

    /// Presses a key of [`keys`], whatever has the focus.
    pub fn press(&self, key: &str) {
        let actions = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }),
        );
    }

    /// A command of the DevTools protocol, and its result.
    pub fn devtools(&self, method: &str, params: &Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": method, "params": params }),
        )
    }

    /// Cuts the browser off the network, or connects it again.
    pub fn offline(&self, offline: bool) {
        self.post(
            "/chromium/network_conditions",
            &json!({ "network_conditions":
                { "offline": offline, "latency": 0, "download_throughput": -1, "upload_throughput": -1 } }),
        );
    }

    /// Slows the network down to this many bytes a second, each way.
    pub fn slow(&self, bytes_per_second: u64) {
        self.post(
            "/chromium/network_conditions",
            &json!({ "network_conditions": { "offline": false, "latency": 20,
                "download_throughput": bytes_per_second, "upload_throughput": bytes_per_second } }),
        );
    }

    /// What the page wrote to the console.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        let path = format!("/session/{}/se/log", self.id);
        let lines = self
            .try_command("POST", &path, &json!({ "type": "browser" }))
            .unwrap_or_default();
        lines
            .as_array()
            .into_iter()
            .flatten()
            .map(|line| format!("{} {}", line["level"], line["message"]))
            .collect()
    }

    /// The text that the page shows; nothing from a browser that is gone.
    #[must_use]
    pub fn visible_text(&self) -> String {
        let path = format!("/session/{}/execute/sync", self.id);
        let script = json!({ "script": "return document.body.innerText", "args": [] });
        let text = self.try_command("POST", &path, &script).unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// A picture of the window, as PNG.
    #[must_use]
    pub fn screenshot(&self) -> Vec<u8> {
        use base64::Engine as _;
        let path = format!("/session/{}/screenshot", self.id);
        let picture = self
            .try_command("GET", &path, &Value::Null)
            .unwrap_or_default();
        let picture = picture.as_str().unwrap_or_default();
        base64::engine::general_purpose::STANDARD
            .decode(picture)
            .unwrap_or_default()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.try_command("DELETE", &format!("/session/{}", self.id), &Value::Null);
    }
}
