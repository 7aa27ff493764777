//! Who asks for what, and the foot of the page.

use chatlift_shared::api::PageLink;
use leptos::prelude::*;

use crate::i18n::{lang, t, tf};

pub(super) fn head(link: &PageLink) -> AnyView {
    let initial: String = link.app_name.chars().take(1).collect();
    let hint = (!link.hint.is_empty()).then(|| view! { <p class="hint">{link.hint.clone()}</p> });
    view! {
        <header class="head">
            <p class="who">
                <span class="mono" aria-hidden="true">{initial}</span>
                <span>{tf("head.asks", &[("app", &link.app_name)])}</span>
            </p>
            <h1>{link.title.clone()}</h1>
            {hint}
        </header>
    }
    .into_any()
}

/// The foot: where files go, and the other languages.
pub(crate) fn foot(link: Option<&PageLink>, languages: Vec<(String, String)>) -> AnyView {
    let to = link.map(|link| view! { <p>{tf("foot.to", &[("app", &link.app_name)])}</p> });
    let own = lang();
    let language = |(tag, name): (String, String)| {
        if tag == own {
            return view! { <span lang=tag aria-current="true">{name}</span> }.into_any();
        }
        let query = ["?lang=", &tag].concat();
        view! { <a href=query lang=tag.clone() hreflang=tag data-testid="language">{name}</a> }
            .into_any()
    };
    view! {
        <footer class="foot">
            {to}
            <nav aria-label=t("foot.languages")>
                {languages.into_iter().map(language).collect_view()}
            </nav>
        </footer>
    }
    .into_any()
}
