//! Files pasted into the page, such as a screenshot.

use wasm_bindgen::JsCast as _;
use web_sys::ClipboardEvent;

use crate::{dom, page};

pub(super) fn start() {
    dom::listen(&dom::document(), "paste", |event| {
        let data = event.unchecked_ref::<ClipboardEvent>().clipboard_data();
        let files = super::files(data.and_then(|data| data.files()));
        if !files.is_empty() {
            event.prevent_default();
            page::add(files);
        }
    });
}
