//! The file input of index.html: the system's own picker, with the chats' files in it where the
//! system shows them.
//!
//! The input is never redrawn by the program, so a picker that was opened before the program ran
//! still ends here.

use std::cell::Cell;

use chatlift_frontend::in_app::{self, InApp};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Element, HtmlElement};

use crate::i18n::t;
use crate::{dom, page};

thread_local! {
    /// Whether the picker is open, as far as is known.
    static OPEN: Cell<bool> = const { Cell::new(false) };
}

/// Time after the page has the focus again within which a pick is told, in milliseconds.
const TOLD_WITHIN_MS: f64 = 1_500.0;

/// What the tab remembers once a picker that took several files told of none.
const ONE_ONLY: &str = "one-only";

fn input() -> Option<Element> {
    dom::document().get_element_by_id("pick")
}

pub(super) fn start() {
    let Some(input) = input() else { return };
    take(&input);
    let own = input.clone();
    dom::listen(&input, "change", move |_| {
        OPEN.set(false);
        take(&own);
    });
    dom::listen(&input, "click", |_| OPEN.set(true));
    // Not in Chrome before 113: there a pick that was called off is taken for one that was not told.
    dom::listen(&input, "cancel", |_| OPEN.set(false));
    dom::listen(&dom::window(), "focus", |_| {
        if OPEN.get() {
            dom::after(TOLD_WITHIN_MS, doubt);
        }
    });
}

/// The picker has closed and nothing was told. Some in-app browsers are said to do so where several files may be
/// picked, so from now on one at a time is.
fn doubt() {
    let Some(input) = input() else { return };
    if OPEN.replace(false) && dom::get(&input, "multiple") == Some(JsValue::TRUE) {
        dom::remember(ONE_ONLY, ONE_ONLY);
        dom::set(&input, "multiple", false);
        page::say(t("notice.nothing"));
    }
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
    let several = several && dom::recall(ONE_ONLY).is_none();
    let properties: [(&str, JsValue); 4] = [
        ("accept", accept.into()),
        ("multiple", several.into()),
        ("disabled", (!open).into()),
        // As the edge has it on a page that takes nothing; it may come to take something.
        ("hidden", (!open).into()),
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
