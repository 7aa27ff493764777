//! Structured log lines. They name links, uploads, files and events by id; never tokens, keys,
//! passwords, names of files, or what an app gave with a link. `edge/log.rs` in the tests reads what
//! the edge prints in workerd and holds it to that.

use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use std::sync::Once;

use chatlift_shared::LinkId;
use serde_json::{Map, Value, json};
use worker::{Error, Response, console_error, console_log};

use crate::core::json::place;

/// Logs what happened, with its fields.
pub(super) fn info(event: &str, fields: &[(&str, String)]) {
    console_log!("{}", line("info", event, fields));
}

/// Logs what went wrong, with its fields.
pub(super) fn error(event: &str, fields: &[(&str, String)]) {
    console_error!("{}", line("error", event, fields));
}

/// Makes a panic a line as well. It tells the place only: the message may repeat what somebody sent.
pub(super) fn panics() {
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
pub(super) async fn working_for<T>(link: Option<LinkId>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let before = LINK.replace(link);
        let polled = work.as_mut().poll(context);
        LINK.set(before);
        polled
    })
    .await
}

/// What an error of the platform says, without what serde would repeat of its input.
pub(super) fn text(error: &Error) -> String {
    match error {
        Error::SerdeJsonError(error) => place(error),
        Error::SerdeWasmBindgenError(_) => "a value of another form".to_owned(),
        other => other.to_string(),
    }
}

/// What a Durable Object answers when something of ours failed in it. It is no exception: those are what
/// the runtime throws when the object goes away.
pub(super) fn failed(failure: &Error) -> worker::Result<Response> {
    let reason = text(failure);
    let mut fields = vec![("reason", reason.clone())];
    fields.extend(LINK.get().map(|link| ("link", link.to_string())));
    error("object failed", &fields);
    Response::error(reason, 500)
}

fn line(level: &str, event: &str, fields: &[(&str, String)]) -> Value {
    let mut line = Map::new();
    line.insert("level".into(), json!(level));
    line.insert("event".into(), json!(event));
    for (name, value) in fields {
        line.insert((*name).into(), json!(value));
    }
    Value::Object(line)
}
