//! Finds the page's data, and draws.
//!
//! In production the edge has put the data into the page. Under `trunk serve` nobody has: there
//! the token comes from the address, `/#<token>`, and the data from the edge behind the proxy.

use chatlift_frontend::wire::{self, Value as _};
use js_sys::{JSON, Object};
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;

use crate::api::{self, Js};
use crate::{components, dom, i18n, page, pickers};

/// Begins.
pub(crate) fn start() {
    let embedded = dom::document()
        .get_element_by_id("chatlift-page")
        .and_then(|element| element.text_content())
        .and_then(|text| JSON::parse(&text).ok());
    match embedded.filter(|data| data.is_object()) {
        Some(data) => show(Some(Js(data))),
        None => dom::spawn(async {
            let location = dom::window().location();
            let hash = location.hash().unwrap_or_default();
            let path = location.pathname().unwrap_or_default();
            let token = hash.strip_prefix('#').or_else(|| path.strip_prefix("/u/"));
            api::set_token(token.unwrap_or_default().to_owned());
            let query = location.search().unwrap_or_default();
            show(api::page(&query).await.ok());
        }),
    }
}

fn show(data: Option<Js>) {
    let Some(root) = dom::document().get_element_by_id("app") else {
        return;
    };
    root.set_inner_html("");
    let root = root.unchecked_into();
    leptos::mount::mount_to(root, move || {
        data.as_ref()
            .and_then(draw)
            .unwrap_or_else(components::no_answer)
    })
    .forget();
    // After the page stands: files picked before the program ran are taken over now.
    pickers::start();
    page::listen();
}

/// Draws what the data say; nothing if they cannot be read.
fn draw(data: &Js) -> Option<AnyView> {
    let document = dom::document();
    let text = |name: &str| data.get(name)?.text();
    let lang = text("lang")?;
    api::set_token(text("token")?);
    if let Some(html) = document.document_element() {
        let _ = html.set_attribute("lang", &lang);
    }
    i18n::set(lang, data.get("messages")?.0);
    let languages = languages(&data.get("languages")?);
    let code = data
        .get("problem")
        .and_then(|problem| problem.get("code")?.text());
    let link = data.get("link").as_ref().and_then(wire::link);
    let Some(link) = link else {
        pickers::set_accept("", false, "", false);
        let code = code.unwrap_or_else(|| "internal".to_owned());
        return Some(components::no_link(&code, languages));
    };
    document.set_title(&[&link.title, " · ", &link.app_name].concat());
    let (link, signals) = page::open(link, code);
    Some(components::page(&link, signals, languages))
}

fn languages(value: &Js) -> components::Languages {
    let entries = Object::entries(value.0.unchecked_ref());
    entries
        .iter()
        .filter_map(|entry| {
            let mut pair = Js(entry).items().into_iter();
            Some((pair.next()?.text()?, pair.next()?.text()?))
        })
        .collect()
}
