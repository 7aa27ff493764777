//! Files dropped anywhere on the page.

use js_sys::Array;
use wasm_bindgen::JsValue;
use web_sys::Event;

use crate::{dom, page};

/// What is dragged over the page, if it is files.
fn dragged(event: &Event) -> Option<JsValue> {
    let data = dom::get(event, "dataTransfer")?;
    let types = Array::from(&dom::get(&data, "types")?);
    types.includes(&"Files".into(), 0).then_some(data)
}

pub(super) fn start() {
    let document = dom::document();
    // Always prevented, so that a file let go is not opened in place of the page.
    dom::listen(&document, "dragover", |event| {
        if dragged(&event).is_some() {
            event.prevent_default();
            show(true);
        }
    });
    dom::listen(&document, "dragleave", |event| {
        // Leaving the window has no element that is entered instead.
        if dom::get(&event, "relatedTarget").is_none() {
            show(false);
        }
    });
    dom::listen(&document, "drop", |event| {
        if let Some(data) = dragged(&event) {
            event.prevent_default();
            show(false);
            page::add(super::files(&data, "files"));
        }
    });
}

fn show(dragging: bool) {
    let shown = dragging && page::is_open();
    dom::mark(&dom::html(), "data-dragging", shown);
}
