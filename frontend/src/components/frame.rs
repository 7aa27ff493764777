//! Who asks for what, and the foot of the page.

use chatlift_frontend::wire::Link;
use leptos::prelude::*;

use super::Languages;
use super::el::{Fixed, div, el, none, text};
use crate::i18n::{lang, t, tf};

pub(super) fn head(link: &Link) -> AnyView {
    let initial: String = link.app_name.chars().take(1).collect();
    let mono = &[("class", "mono"), ("aria-hidden", "true")];
    let asks = tf("head.asks", &[("app", &link.app_name)]);
    let hint = match link.hint.as_str() {
        "" => none(),
        hint => div("p", "hint", vec![text(hint)]),
    };
    let who = vec![
        el("span", mono, vec![text(initial)]),
        el("span", &[], vec![text(asks)]),
    ];
    let title = el("h1", &[], vec![text(&link.title)]);
    div("header", "head", vec![div("p", "who", who), title, hint])
}

/// The foot: where files go, and the other languages.
pub(super) fn foot(link: Option<&Link>, languages: Languages) -> AnyView {
    let to = match link {
        Some(link) => el(
            "p",
            &[],
            vec![text(tf("foot.to", &[("app", &link.app_name)]))],
        ),
        None => none(),
    };
    let own = lang();
    let language = |(tag, name): (String, String)| {
        if tag == own {
            return el(
                "span",
                &[("lang", &tag), ("aria-current", "true")],
                vec![text(name)],
            );
        }
        let query = ["?lang=", &tag].concat();
        let link: Fixed<'_> = &[
            ("href", &query),
            ("lang", &tag),
            ("hreflang", &tag),
            ("data-testid", "language"),
        ];
        el("a", link, vec![text(name)])
    };
    let languages = languages.into_iter().map(language).collect();
    let languages = el("nav", &[("aria-label", &t("foot.languages"))], languages);
    div("footer", "foot", vec![to, languages])
}
