//! Who asks for what, and the foot of the page.

use chatlift_frontend::wire::Link;

use super::Languages;
use super::el::At;
use crate::dom;
use crate::i18n::{lang, moment, t, tf};

/// Fills the head of index.html, where the edge has not done so; anew where it says what is wrong with
/// the link, which the page says below. What a link that takes nothing asks for needs no hint.
pub(super) fn head(link: &Link, trouble: bool) {
    let initial: String = link.app_name.chars().take(1).collect();
    let asks = tf("head.asks", &[("app", &link.app_name)]);
    let hint = if trouble { "" } else { &link.hint };
    let texts = [initial.as_str(), &asks, &link.title, hint];
    for (id, text) in ["initial", "asks", "title", "hint"].iter().zip(texts) {
        if let Some(element) = dom::document().get_element_by_id(id)
            && (trouble || dom::text(&element, "textContent").trim().is_empty())
        {
            element.set_text_content(Some(text));
        }
    }
}

/// The foot: where files go, until when, and the other languages.
pub(super) fn foot(at: &At, link: Option<&Link>, languages: Languages) {
    let foot = at.el("footer.foot");
    if let Some(link) = link {
        foot.say("p", tf("foot.to", &[("app", &link.app_name)]));
        let until = moment(&link.expires_at);
        foot.say("p", tf("foot.until", &[("date", &until)]));
    }
    let own = lang();
    let nav = foot.el("nav");
    nav.attr("aria-label", &t("foot.languages"));
    for (tag, name) in languages {
        if tag == own {
            nav.el("span|aria-current=true")
                .text(&name)
                .attr("lang", &tag);
        } else {
            nav.el("a|data-testid=language")
                .text(&name)
                .attr("href", &["?lang=", &tag].concat())
                .attr("lang", &tag)
                .attr("hreflang", &tag);
        }
    }
}
