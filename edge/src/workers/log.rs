//! The Worker's log: lines go to its console, and errors of the platform become text.

use serde_json::Value;
use worker::{Error, Response, console_error, console_log};

use crate::json::place;
use crate::log;
use crate::log::Level;
pub(super) use crate::log::{error, info};

/// Has lines go to the console.
pub(super) fn to_console() {
    log::to(|level, line: &Value| match level {
        Level::Info => console_log!("{line}"),
        Level::Error => console_error!("{line}"),
    });
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
    fields.extend(log::link().map(|link| ("link", link.to_string())));
    error("object failed", &fields);
    Response::error(reason, 500)
}
