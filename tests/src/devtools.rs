//! A driver for Chromiums that today's chromedriver is too new for: the commands of WebDriver that
//! [`crate::webdriver`] sends, by the DevTools protocol over its WebSocket
//! (<https://chromedevtools.github.io/devtools-protocol/1-3/>).

use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};
use xtask::old_chromium::OldChromium;
use xtask::run::now;

use crate::engine::Setting;
use crate::http::send;
use crate::scratch::wait_for;
use crate::webdriver::{ELEMENT, keys};

/// How long the browser may take to answer a command, on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// Runs the body of a script as WebDriver does; it is put in place of `BODY`.
const SCRIPT: &str = "function () { BODY\n}";

/// The middle of an element that is in view and not covered, or why there is none.
const MIDDLE: &str = "function () {
    this.scrollIntoView({ block: 'center', inline: 'center' });
    const box = this.getBoundingClientRect();
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    if (!box.width || !box.height) return 'not shown';
    const top = document.elementFromPoint(x, y);
    return top && this.contains(top) ? { x, y } : 'covered by ' + (top ? top.outerHTML : 'nothing');
  }";

/// One tab.
#[derive(Debug)]
pub(crate) struct Devtools(Mutex<Tab>);

#[derive(Debug)]
struct Tab {
    socket: WebSocket<TcpStream>,
    last: u64,
    /// Documents that have been read to their end since this was last set to 0.
    documents: u32,
    console: Vec<Value>,
}

impl Devtools {
    /// Connects to the one tab of a browser that listens at `origin`.
    ///
    /// # Panics
    /// When it gets none, or is not the browser that it should be.
    pub(crate) fn connect(origin: &str, old: &OldChromium, setting: &Setting) -> Self {
        let ask = |path: &str| -> Value {
            send("GET", &format!("{origin}{path}"), &[], None)
                .expect("an answer of the browser")
                .ok(200)
        };
        let version = ask("/json/version");
        let product = format!("HeadlessChrome/{}.", old.version);
        assert!(
            format!("{}.", version["Browser"].as_str().unwrap_or_default()).starts_with(&product),
            "{version} is not {product}"
        );
        // It listens before it has one.
        let tab = wait_for("a tab", WITHIN, || {
            let tabs = ask("/json/list");
            let mut tabs = tabs.as_array().into_iter().flatten();
            tabs.find(|tab| tab["type"] == "page").cloned()
        });
        let url = tab["webSocketDebuggerUrl"].as_str().expect("its address");
        let stream =
            TcpStream::connect(origin.trim_start_matches("http://")).expect("a connection");
        stream
            .set_read_timeout(Some(WITHIN))
            .expect("a time limit for reading");
        let (socket, _) = tungstenite::client(url, stream).expect("a WebSocket");
        let mut tab = Tab {
            socket,
            last: 0,
            documents: 0,
            console: Vec::new(),
        };
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            tab.must(&format!("{domain}.enable"), json!({}));
        }
        let headers = json!({ "headers": { "Accept-Language": setting.lang } });
        tab.must("Network.setExtraHTTPHeaders", headers);
        let off = json!({ "value": !setting.script });
        tab.must("Emulation.setScriptExecutionDisabled", off);
        Self(Mutex::new(tab))
    }

    fn tab(&self) -> MutexGuard<'_, Tab> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what WebDriver's command at this path would.
    pub(crate) fn command(&self, path: &str, body: &Value) -> Result<Value, String> {
        let mut tab = self.tab();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let mut steps = path.trim_start_matches('/').split('/').skip(2);
        match (steps.next(), steps.next(), steps.next()) {
            // A session is what was connected to, and ends with the browser.
            (None, ..) => Ok(json!({ "sessionId": "old" })),
            (Some("url"), ..) => tab.load("Page.navigate", json!({ "url": text("url") })),
            (Some("refresh"), ..) => tab.load("Page.reload", json!({})),
            (Some("execute"), ..) => tab.script(&text("script"), &body["args"]),
            (Some("element"), None, _) => tab.find(&text("value")),
            (Some("element"), Some(id), Some("click")) => tab.click(id),
            (Some("element"), Some(id), Some("value")) => {
                let text = text("text");
                let files: Vec<&str> = text.lines().collect();
                let files = json!({ "files": files, "objectId": id });
                tab.call("DOM.setFileInputFiles", files)
            }
            (Some("actions"), ..) => tab.press(&body["actions"][0]["actions"][0]["value"]),
            (Some("goog"), ..) => tab.call(&text("cmd"), body["params"].clone()),
            (Some("chromium"), ..) => {
                let asked = &body["network_conditions"];
                let conditions = json!({ "offline": asked["offline"], "latency": asked["latency"],
                    "downloadThroughput": asked["download_throughput"],
                    "uploadThroughput": asked["upload_throughput"] });
                tab.call("Network.emulateNetworkConditions", conditions)
            }
            (Some("se"), ..) => Ok(Value::Array(tab.console.clone())),
            (Some("screenshot"), ..) => {
                let shot = tab.call("Page.captureScreenshot", json!({ "format": "png" }))?;
                Ok(shot["data"].clone())
            }
            _ => Err(format!("{path} cannot be had of an old Chromium")),
        }
    }
}

impl Tab {
    /// Sends a command and returns its result; events that come before it are noted.
    fn call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.last += 1;
        let id = self.last;
        let message = json!({ "id": id, "method": method, "params": params });
        self.socket
            .send(Message::text(message.to_string()))
            .map_err(|e| format!("{method}: {e}"))?;
        loop {
            let message = self.read()?;
            if message["id"] == id {
                return match message.get("error") {
                    None => Ok(message["result"].clone()),
                    Some(error) => Err(format!("{method}: {}", error["message"])),
                };
            }
        }
    }

    fn must(&mut self, method: &str, params: Value) {
        let _ = self
            .call(method, params)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// The next message; of an event, what is worth remembering is.
    fn read(&mut self) -> Result<Value, String> {
        let message = self.socket.read().map_err(|e| e.to_string())?;
        let message: Value = serde_json::from_str(message.to_text().unwrap_or_default())
            .map_err(|e| e.to_string())?;
        let params = &message["params"];
        let note = |level: &Value, text: &Value| json!({ "level": level, "message": text });
        match message["method"].as_str() {
            Some("Page.domContentEventFired") => self.documents += 1,
            Some("Log.entryAdded") => {
                let entry = &params["entry"];
                self.console.push(note(&entry["level"], &entry["text"]));
            }
            Some("Runtime.consoleAPICalled") => {
                self.console.push(note(&params["type"], &params["args"]));
            }
            Some("Runtime.exceptionThrown") => {
                let details = &params["exceptionDetails"];
                self.console.push(note(&json!("exception"), details));
            }
            // Whoever drives a page leaves it when it asks whether to.
            Some("Page.javascriptDialogOpening") => {
                self.last += 1;
                let accept = json!({ "id": self.last, "method": "Page.handleJavaScriptDialog",
                    "params": { "accept": true } });
                let sent = self.socket.send(Message::text(accept.to_string()));
                sent.map_err(|e| e.to_string())?;
            }
            _ => {}
        }
        Ok(message)
    }

    /// Waits until the new document is read and its scripts have run: later loads, as of what a
    /// scenario holds back, are not waited for.
    fn load(&mut self, method: &str, params: Value) -> Result<Value, String> {
        self.documents = 0;
        let _ = self.call(method, params)?;
        while self.documents == 0 {
            let _ = self.read()?;
        }
        Ok(Value::Null)
    }

    /// Calls a function with an object as `this`.
    fn apply(&mut self, object: &str, function: &str, args: &Value) -> Result<Value, String> {
        let args: Vec<Value> = args
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| json!({ "value": value }))
            .collect();
        let params = json!({ "objectId": object, "functionDeclaration": function,
            "arguments": args, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.callFunctionOn", params)?;
        match result.get("exceptionDetails") {
            None => Ok(result["result"]["value"].clone()),
            Some(details) => Err(format!("{function}: {details}")),
        }
    }

    fn evaluate(&mut self, expression: &str) -> Result<Option<String>, String> {
        let result = self.call("Runtime.evaluate", json!({ "expression": expression }))?;
        Ok(result["result"]["objectId"].as_str().map(str::to_owned))
    }

    /// Runs a script in the page. One that a new document took the page away from runs again.
    fn script(&mut self, script: &str, args: &Value) -> Result<Value, String> {
        let function = SCRIPT.replace("BODY", script);
        let start = now();
        loop {
            let window = self.evaluate("window")?;
            let window = window.ok_or("there is no window")?;
            match self.apply(&window, &function, args) {
                Err(e) if is_gone(&e) && start.elapsed() < WITHIN => {}
                result => return result,
            }
        }
    }

    fn find(&mut self, css: &str) -> Result<Value, String> {
        let found = self.evaluate(&format!("document.querySelector({})", json!(css)))?;
        let id = found.ok_or_else(|| format!("there is no {css}"))?;
        Ok(json!({ ELEMENT: id }))
    }

    /// Presses and lets go the one key that is in WebDriver's actions.
    fn press(&mut self, key: &Value) -> Result<Value, String> {
        let (name, code, text) = match key.as_str() {
            Some(keys::TAB) => ("Tab", 9, ""),
            Some(keys::ENTER) => ("Enter", 13, "\r"),
            _ => return Err(format!("{key} is not known")),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": name, "code": name, "text": text,
                "windowsVirtualKeyCode": code });
            let _ = self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(Value::Null)
    }

    fn click(&mut self, element: &str) -> Result<Value, String> {
        let middle = self.apply(element, MIDDLE, &Value::Null)?;
        if let Some(why) = middle.as_str() {
            return Err(why.to_owned());
        }
        for (kind, button, clicks) in [
            ("mouseMoved", "none", 0),
            ("mousePressed", "left", 1),
            ("mouseReleased", "left", 1),
        ] {
            let event = json!({ "type": kind, "x": middle["x"], "y": middle["y"],
                "button": button, "clickCount": clicks });
            let _ = self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(Value::Null)
    }
}

/// Whether a command failed since the document that it was for is no more.
fn is_gone(error: &str) -> bool {
    [
        "context was destroyed",
        "find context",
        "navigated or closed",
        "find object with given id",
    ]
    .iter()
    .any(|sign| error.contains(sign))
}
