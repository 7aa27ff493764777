//! The file input of index.html: the system's own picker, with the chats' files in it where the
//! system shows them.
//!
//! The input is never redrawn by the program, so a picker that was opened before the program ran
//! still ends here.

use wasm_bindgen::JsCast as _;
use web_sys::HtmlInputElement;

use crate::{dom, page};

fn input() -> Option<HtmlInputElement> {
    dom::document()
        .get_element_by_id("pick")
        .map(|input| input.unchecked_into())
}

pub(super) fn start() {
    let Some(input) = input() else { return };
    take(&input);
    let own = input.clone();
    dom::listen(&input, "change", move |_| take(&own));
}

fn take(input: &HtmlInputElement) {
    let files = super::files(input.files());
    if !files.is_empty() {
        page::add(files);
        // So that the same file, removed and picked again, is a change.
        input.set_value("");
    }
}

/// Steers the picker: accepted types, how many, and whether it can be opened at all.
pub(crate) fn set_accept(accept: &str, multiple: bool, label: &str, open: bool) {
    let Some(input) = input() else { return };
    input.set_accept(accept);
    input.set_multiple(multiple);
    input.set_disabled(!open);
    let _ = input.set_attribute("aria-label", label);
}
