//! Structured log lines. They name links, uploads, files and events by id; never tokens, keys, or
//! names of files.

use serde_json::{Map, Value, json};
use worker::{console_error, console_log};

/// Logs what happened, with its fields.
pub(super) fn info(event: &str, fields: &[(&str, String)]) {
    console_log!("{}", line("info", event, fields));
}

/// Logs what went wrong, with its fields.
pub(super) fn error(event: &str, fields: &[(&str, String)]) {
    console_error!("{}", line("error", event, fields));
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
