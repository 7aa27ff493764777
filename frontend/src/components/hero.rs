//! The large answers: it has arrived, or the link takes nothing.

use chatlift_frontend::wire::Link;

use super::el::At;
use super::icons::{ALERT, BIG_TICK, CLOCK, LINK};
use crate::i18n::{NO_ANSWER, find, moment, problem as sentence, t, tf, tn};
use crate::page::{Phase, Signals};

pub(super) fn hero(at: &At, link: &Link, s: Signals) {
    let trouble = s.trouble().get();
    if s.phase().get() == Phase::Done {
        success(at, link, s);
    } else if let Some(code) = trouble {
        back(&problem(at, &code), link);
    }
}

fn success(at: &At, link: &Link, s: Signals) {
    let hero = at.el("section.card hero|data-testid=success|data-code=stored|role=status");
    hero.icon("badge good", BIG_TICK);
    hero.say("h2", tn("success.title", s.files().with(Vec::len), &[]));
    hero.say("p", tf("success.next", &[("app", &link.app_name)]));
    let left = s.left().get() as usize;
    if left > 0 {
        let date = moment(&link.expires_at);
        hero.say("p", tn("success.more", left, &[("date", &date)]));
    }
    back(&hero, link);
}

/// "Back to the app", if the scene says where that is.
fn back(at: &At, link: &Link) {
    if let Some(url) = &link.return_url {
        let back = tf("success.back", &[("app", &link.app_name)]);
        at.el("a.btn|data-testid=back")
            .text(&back)
            .attr("href", url);
    }
}

/// The link takes no files.
pub(super) fn problem(at: &At, code: &str) -> At {
    let (svg, class) = match code {
        // The files are in: nothing is wrong.
        "link-full" => (BIG_TICK, "badge good"),
        "link-expired" | "link-revoked" => (CLOCK, "badge"),
        "link-token-invalid" | "link-not-found" => (LINK, "badge"),
        _ => (ALERT, "badge bad"),
    };
    let hero = at.el("section.card hero|data-testid=problem|role=alert");
    hero.attr("data-code", code).icon(class, svg);
    let headline = find(&["headline.", code].concat());
    hero.say("h2", headline.unwrap_or_else(|| t("headline.other")));
    hero.say("p", sentence(code));
    hero
}

/// The edge did not answer, so there is no text but the built-in one.
pub(crate) fn no_answer(at: &At) {
    let main = at.el("main");
    let hero = main.el("section.card hero|data-testid=problem|data-code=edge-down|role=alert");
    hero.icon("badge bad", ALERT);
    let elements = [
        "h2",
        "p",
        "p|lang=zh-CN",
        "button.btn|type=button|data-do=reload",
    ];
    for (spec, text) in elements.iter().zip(NO_ANSWER) {
        hero.el(spec).text(text);
    }
}
