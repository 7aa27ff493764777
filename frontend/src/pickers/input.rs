//! The file input of index.html: the system's own picker, with the chats' files in it where the
//! system shows them.
//!
//! The input is never redrawn by the program, so a picker that was opened before the program ran
//! still ends here.

use chatlift_frontend::in_app::{self, InApp};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Element, HtmlElement};

use crate::{dom, page};

fn input() -> Option<Element> {
    dom::document().get_element_by_id("pick")
}

pub(super) fn start() {
    let Some(input) = input() else { return };
    take(&input);
    let own = input.clone();
    dom::listen(&input, "change", move |_| take(&own));
}

fn take(input: &Element) {
    let mut files = super::files(input, "files");
    // What `boot.js` kept of earlier picks, where the browser could not add them to the input.
    files.extend(super::files(input, "early"));
    dom::set(input, "early", JsValue::NULL);
    if !files.is_empty() {
        page::add(files);
        // So that the same file, removed and picked again, is a change.
        dom::set(input, "value", "");
    }
}

/// Steers the picker: accepted types, how many, and whether it can be opened at all.
pub(crate) fn set_accept(accept: &[String], several: bool, label: &str, open: bool) {
    let Some(input) = input() else { return };
    let user_agent = dom::user_agent();
    let accept = in_app::accept_attribute(accept, &user_agent);
    let several = several && in_app::takes_several(&user_agent);
    let properties: [(&str, JsValue); 3] = [
        ("accept", accept.into()),
        ("multiple", several.into()),
        ("disabled", (!open).into()),
    ];
    for (name, value) in properties {
        dom::set(&input, name, value);
    }
    let _ = input.set_attribute("aria-label", label);
}

/// Opens the picker, as a press on the label does.
pub(crate) fn open() {
    if let Some(input) = input() {
        input.unchecked_into::<HtmlElement>().click();
    }
}

/// The chat app in whose browser the page is, if it is one that is known.
pub(crate) fn app() -> Option<&'static InApp> {
    in_app::detect(&dom::user_agent())
}
