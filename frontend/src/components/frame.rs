//! Who asks for what, and the foot of the page.

use chatlift_frontend::wire::Link;
use leptos::prelude::*;

use super::Languages;
use crate::dom;
use crate::i18n::{lang, moment, t, tf};

/// Fills the head of index.html, where the edge has not done so; anew where it says what is wrong with
/// the link, which the page says below. What a link that takes nothing asks for needs no hint.
pub(super) fn fill_head(link: &Link, trouble: bool) {
    let initial: String = link.app_name.chars().take(1).collect();
    let asks = tf("head.asks", &[("app", &link.app_name)]);
    let hint = if trouble { "" } else { &link.hint };
    let note = if link.note {
        tf("note.label", &[("app", &link.app_name)])
    } else {
        String::new()
    };
    let texts = [initial.as_str(), &asks, &link.title, hint, &note];
    let ids = ["initial", "asks", "title", "hint", "note-label"];
    for (id, text) in ids.iter().zip(texts) {
        if let Some(element) = dom::document().get_element_by_id(id)
            && (trouble || dom::text(&element, "textContent").trim().is_empty())
        {
            element.set_text_content(Some(text));
        }
    }
}

/// Shows the field for a note that is in index.html, or hides it.
pub(super) fn show_note(shown: bool) {
    if let Some(field) = dom::document().get_element_by_id("note-field") {
        dom::set(&field, "hidden", !shown);
        dom::set(&field, "disabled", !shown);
    }
}

/// The foot: where files go, until when, and the other languages.
#[component]
pub(super) fn Foot(
    /// Where files go, and until when.
    link: Option<&'static Link>,
    languages: Languages,
) -> impl IntoView {
    let receiver = link.map(|link| {
        view! {
            <p>{tf("foot.to", &[("app", &link.app_name)])}</p>
            <p>{tf("foot.until", &[("date", &moment(&link.expires_at))])}</p>
        }
        .into_any()
    });
    let own = lang();
    let languages = languages.into_iter().map(|(tag, name)| {
        if tag == own {
            return view! { <span aria-current="true" lang=tag>{name}</span> }.into_any();
        }
        // Under `trunk serve` the token is behind the #.
        let href = ["?lang=", &tag, &dom::address("hash")].concat();
        view! { <a data-testid="language" href=href hreflang=tag.clone() lang=tag>{name}</a> }
            .into_any()
    });
    view! {
        <footer class="foot">
            {receiver}
            <nav aria-label=t("foot.languages")>{languages.collect_view()}</nav>
        </footer>
    }
}
