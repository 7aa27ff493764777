//! The file input of index.html: the system's own picker, with the chats' files in it where the
//! system shows them.
//!
//! The input is never redrawn by the program, so a picker that was opened before the program ran
//! still ends here.

use chatlift_frontend::in_app::{self, InApp};
use js_sys::{Array, Reflect};
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
    let mut files = super::files(input.files());
    // What `boot.js` kept of earlier picks, where the browser could not add them to the input.
    if let Some(early) = dom::get(input, "early") {
        files.extend(Array::from(&early).iter().map(|file| file.unchecked_into()));
        let _ = Reflect::delete_property(input, &"early".into());
    }
    if !files.is_empty() {
        page::add(files);
        // So that the same file, removed and picked again, is a change.
        input.set_value("");
    }
}

/// Steers the picker: accepted types, how many, and whether it can be opened at all.
pub(crate) fn set_accept(accept: &[String], several: bool, label: &str, open: bool) {
    let Some(input) = input() else { return };
    let user_agent = dom::user_agent();
    input.set_accept(&in_app::accept_attribute(accept, &user_agent));
    input.set_multiple(several && in_app::takes_several(&user_agent));
    input.set_disabled(!open);
    let _ = input.set_attribute("aria-label", label);
}

/// The chat app in whose browser the page is, if it is one that is known.
pub(crate) fn app() -> Option<&'static InApp> {
    in_app::detect(&dom::user_agent())
}
