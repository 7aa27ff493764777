//! Finds the page's data, and mounts the page.
//!
//! In production the edge has put the data into the page. Under `trunk serve` nobody has: there
//! the token comes from the address, `/#<token>`, and the data from the edge behind the proxy.

use chatlift_frontend::wire::{self, Value as _};
use js_sys::JSON;
use leptos::mount::mount_to;
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;

use crate::api::{self, Js};
use crate::components::{LinkPage, NoAnswer, NoLink};
use crate::{dom, focus, i18n, page, pickers};

/// Begins.
pub(crate) fn start() {
    let embedded = dom::document()
        .get_element_by_id("chatlift-page")
        .and_then(|element| JSON::parse(&dom::text(&element, "textContent")).ok());
    match embedded.filter(|data| data.is_object()) {
        Some(data) => show(Some(Js(data))),
        None => dom::spawn(async {
            let (hash, path) = (dom::address("hash"), dom::address("pathname"));
            let token = hash.strip_prefix('#').or_else(|| path.strip_prefix("/u/"));
            api::set_token(token.unwrap_or_default().to_owned());
            show(api::page(&dom::address("search")).await.ok());
        }),
    }
}

fn show(data: Option<Js>) {
    let Some(root) = dom::document().get_element_by_id("app") else {
        return;
    };
    // Before the form's own button goes, which may have the focus.
    focus::keep(&root);
    root.set_text_content(None);
    let view = move || {
        data.as_ref().and_then(view).unwrap_or_else(|| {
            head(false);
            view! { <NoAnswer/> }.into_any()
        })
    };
    mount_to(root.unchecked_into(), view).forget();
    let _ = dom::html().set_attribute("data-state", "program");
    // After the page stands: files picked before the program ran are taken over now.
    pickers::start();
    page::listen();
}

/// Shows or hides the head of index.html.
fn head(shown: bool) {
    if let Some(head) = dom::document().get_element_by_id("head") {
        dom::mark(&head, "hidden", !shown);
    }
}

/// The page that the data say; nothing if they cannot be read.
fn view(data: &Js) -> Option<AnyView> {
    let text = |name: &str| data.get(name)?.text();
    let lang = text("lang")?;
    api::set_token(text("token")?);
    let _ = dom::html().set_attribute("lang", &lang);
    i18n::set(lang, data.get("messages")?.0);
    let languages = dom::entries(&data.get("languages")?.0);
    let code = data
        .get("problem")
        .and_then(|problem| problem.get("code")?.text());
    let link = data.get("link").as_ref().and_then(wire::link);
    head(link.is_some());
    let Some(link) = link else {
        pickers::set_accept(&[], false, "", false);
        let code = code.unwrap_or_else(|| "internal".to_owned());
        return Some(view! { <NoLink code languages/> }.into_any());
    };
    let title = [&link.title, " · ", &link.app_name].concat();
    dom::set(&dom::document(), "title", title);
    let page = page::open(link, code.unwrap_or_default());
    Some(view! { <LinkPage page languages/> }.into_any())
}
