//! Structured log lines. They name links, uploads, files and events by id; never tokens, keys,
//! passwords, names of files, or what an app gave with a link. `edge/log.rs` in the tests reads what
//! the edge prints in workerd and holds it to that.

use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use std::sync::{Once, OnceLock};

use chatlift_shared::LinkId;
use serde_json::{Map, Value, json};

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What happened.
    Info,
    /// What went wrong.
    Error,
}

/// Where lines go: the platform's own log.
static SINK: OnceLock<fn(Level, &Value)> = OnceLock::new();

/// Logs what happened, with its fields.
pub fn info(event: &str, fields: &[(&str, String)]) {
    write(Level::Info, event, fields);
}

/// Logs what went wrong, with its fields.
pub fn error(event: &str, fields: &[(&str, String)]) {
    write(Level::Error, event, fields);
}

/// Has lines go to `sink` from now on.
pub fn to(sink: fn(Level, &Value)) {
    let _ = SINK.set(sink);
}

/// Makes a panic a line as well, in place of what the platform would print. It tells the place only: the
/// message may repeat what somebody sent.
pub fn panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            let mut fields = vec![("place", place.unwrap_or_default())];
            fields.extend(LINK.get().map(|link| ("link", link.to_string())));
            error("panic", &fields);
        }));
    });
}

thread_local! {
    /// The link that is being worked for.
    static LINK: Cell<Option<LinkId>> = const { Cell::new(None) };
}

/// Does work for a link, so that a panic in it is logged with the link. Work for others goes on in
/// between.
pub async fn working_for<T>(link: Option<LinkId>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let before = LINK.replace(link);
        let polled = work.as_mut().poll(context);
        LINK.set(before);
        polled
    })
    .await
}

/// The link that is being worked for, if there is one.
pub fn link() -> Option<LinkId> {
    LINK.get()
}

fn write(level: Level, event: &str, fields: &[(&str, String)]) {
    let Some(sink) = SINK.get() else {
        return;
    };
    let mut line = Map::new();
    let name = match level {
        Level::Info => "info",
        Level::Error => "error",
    };
    line.insert("level".into(), json!(name));
    line.insert("event".into(), json!(event));
    for (name, value) in fields {
        line.insert((*name).into(), json!(value));
    }
    sink(level, &Value::Object(line));
}
