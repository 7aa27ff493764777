//! Files dropped anywhere on the page.

use wasm_bindgen::JsCast as _;
use web_sys::{DataTransfer, DragEvent, Event};

use crate::{dom, page};

/// What is dragged over the page, if it is files.
fn dragged(event: &Event) -> Option<DataTransfer> {
    let data = event.unchecked_ref::<DragEvent>().data_transfer()?;
    data.types().includes(&"Files".into(), 0).then_some(data)
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
        if event
            .unchecked_ref::<DragEvent>()
            .related_target()
            .is_none()
        {
            show(false);
        }
    });
    dom::listen(&document, "drop", |event| {
        if let Some(data) = dragged(&event) {
            event.prevent_default();
            show(false);
            page::add(super::files(data.files()));
        }
    });
}

fn show(dragging: bool) {
    if let Some(body) = dom::document().body() {
        let _ = body
            .class_list()
            .toggle_with_force("dragging", dragging && page::is_open());
    }
}
