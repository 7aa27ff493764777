//! Keeps the focus near what had it when that goes away.
//!
//! A browser gives the focus to the body when the focused element is removed, and a keyboard or a screen
//! reader begins at the top of the page again. Here it goes to the closest element around that is still
//! there and takes focus (`tabindex`: the row, the list, the bar), and never to a button, where the next
//! press would do what nobody asked for.

use std::cell::RefCell;

use wasm_bindgen::prelude::*;
use web_sys::{Element, FocusOptions, HtmlElement, MutationObserver, MutationObserverInit};

use crate::dom;

thread_local! {
    /// What had the focus last, and all elements around it, from the inside out.
    static PATH: RefCell<Vec<Element>> = const { RefCell::new(Vec::new()) };
}

/// Where the focus goes when nothing is left around: the answer that took the place of all, or the input.
const PLACES: [&str; 2] = [".hero", "#pick:enabled"];

/// Watches `root`.
pub(crate) fn keep(root: &Element) {
    remember();
    dom::listen(&dom::document(), "focusin", |_| remember());
    let on_change: Closure<dyn FnMut()> = Closure::new(restore);
    let options = MutationObserverInit::new();
    options.set_child_list(true);
    options.set_subtree(true);
    if let Ok(observer) = MutationObserver::new(on_change.into_js_value().unchecked_ref()) {
        let _ = observer.observe_with_options(root, &options);
    }
}

/// What has the focus; nothing where it is the page as a whole.
fn focused() -> Option<Element> {
    let document = dom::document();
    let active = dom::get(&document, "activeElement")?;
    (Some(&active) != dom::get(&document, "body").as_ref()).then(|| active.unchecked_into())
}

/// Gives what has the focus the focus again, once it has been moved.
pub(crate) fn hold() {
    if let Some(element) = focused() {
        dom::after(0.0, || focus(element));
    }
}

fn focus(element: Element) {
    let options = FocusOptions::new();
    options.set_prevent_scroll(true);
    let _ = element
        .unchecked_into::<HtmlElement>()
        .focus_with_options(&options);
}

fn remember() {
    let mut next = focused();
    let mut path = Vec::new();
    while let Some(element) = next {
        next = element.parent_element();
        path.push(element);
    }
    PATH.replace(path);
}

fn restore() {
    let path = PATH.with(|path| path.borrow().clone());
    let stays = |element: &Element| {
        element.is_connected() && dom::get(element, "disabled") != Some(JsValue::TRUE)
    };
    if path.first().is_none_or(stays) || focused().is_some() {
        return;
    }
    let mut around = path.iter();
    let around = around.find(|element| stays(element) && element.has_attribute("tabindex"));
    let document = dom::document();
    let place = || {
        PLACES
            .iter()
            .find_map(|place| document.query_selector(place).ok().flatten())
    };
    if let Some(element) = around.cloned().or_else(place) {
        focus(element);
    }
}
