//! The large answers: it has arrived, or the link takes nothing.

use std::sync::Arc;

use chatlift_frontend::wire::Link;
use leptos::prelude::*;

use super::el::{changing, click, div, el, el_live, none, text};
use super::icons::{ALERT, BIG_TICK, CLOCK, LINK, icon};
use crate::i18n::{NO_ANSWER, find, moment, problem as sentence, t, tf, tn};
use crate::page::{Phase, Signals};

pub(super) fn hero(link: &Arc<Link>, s: Signals) -> AnyView {
    let link = link.clone();
    changing(move || match s.trouble.get() {
        _ if s.phase.get() == Phase::Done => success(&link, s),
        Some(code) => problem(&code, back(&link)),
        None => none(),
    })
}

fn hero_of(
    hooks: [(&'static str, &str); 3],
    icon: AnyView,
    title: String,
    more: Vec<AnyView>,
) -> AnyView {
    let mut hooks = hooks.to_vec();
    hooks.push(("class", "card hero"));
    let mut content = vec![icon, el("h2", &[], vec![text(title)])];
    content.extend(more);
    el("section", &hooks, content)
}

fn paragraph(said: impl Into<String>) -> AnyView {
    el("p", &[], vec![text(said)])
}

fn success(link: &Link, s: Signals) -> AnyView {
    let mut more = vec![paragraph(tf("success.next", &[("app", &link.app_name)]))];
    let left = s.left.get() as usize;
    if left > 0 {
        let date = moment(&link.expires_at);
        more.push(paragraph(tn("success.more", left, &[("date", &date)])));
    }
    more.push(back(link));
    let hooks = [
        ("data-testid", "success"),
        ("role", "status"),
        ("data-code", "stored"),
    ];
    let title = tn("success.title", s.arrived.get(), &[]);
    hero_of(hooks, icon(BIG_TICK, "badge good"), title, more)
}

/// "Back to the app", if the scene says where that is.
fn back(link: &Link) -> AnyView {
    let Some(url) = &link.return_url else {
        return none();
    };
    let hooks = &[("class", "btn"), ("href", url), ("data-testid", "back")];
    el(
        "a",
        hooks,
        vec![text(tf("success.back", &[("app", &link.app_name)]))],
    )
}

/// The link takes no files. `after`: what follows the sentence.
pub(super) fn problem(code: &str, after: AnyView) -> AnyView {
    let (svg, class) = match code {
        // The files are in: nothing is wrong.
        "link-full" => (BIG_TICK, "badge good"),
        "link-expired" | "link-revoked" => (CLOCK, "badge"),
        "link-token-invalid" | "link-not-found" => (LINK, "badge"),
        _ => (ALERT, "badge bad"),
    };
    let headline = find(&["headline.", code].concat()).unwrap_or_else(|| t("headline.other"));
    let hooks = [
        ("data-testid", "problem"),
        ("role", "alert"),
        ("data-code", code),
    ];
    hero_of(
        hooks,
        icon(svg, class),
        headline,
        vec![paragraph(sentence(code)), after],
    )
}

/// The edge did not answer, so there is no text but the built-in one.
pub(crate) fn no_answer() -> AnyView {
    let [headline, english, chinese, again] = NO_ANSWER;
    let reload = || {
        let _ = crate::dom::window().location().reload();
    };
    let button = el_live(
        "button",
        &[("class", "btn"), ("type", "button")],
        vec![click(reload)],
        vec![text(again)],
    );
    let chinese = el("p", &[("lang", "zh-CN")], vec![text(chinese)]);
    let hooks = [
        ("data-testid", "problem"),
        ("role", "alert"),
        ("data-code", "edge-down"),
    ];
    let more = vec![paragraph(english), chinese, button];
    div(
        "main",
        "alone",
        vec![hero_of(
            hooks,
            icon(ALERT, "badge bad"),
            headline.to_owned(),
            more,
        )],
    )
}
