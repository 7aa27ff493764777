//! The large answers: it has arrived, or the link takes nothing.

use std::sync::Arc;

use chatlift_shared::api::PageLink;
use leptos::prelude::*;

use super::icons::{ALERT, BIG_TICK, CLOCK, LINK, icon};
use crate::i18n::{NO_ANSWER, find, moment, problem as sentence, t, tf, tn};
use crate::page::{Phase, Signals};

pub(super) fn hero(link: &Arc<PageLink>, s: Signals) -> AnyView {
    let link = link.clone();
    let draw = move || match s.trouble.get() {
        _ if s.phase.get() == Phase::Done => success(&link, s),
        Some(code) => problem(
            &code,
            link.return_url.as_deref().map(|url| back(&link, url)),
        ),
        None => ().into_any(),
    };
    draw.into_any()
}

fn success(link: &PageLink, s: Signals) -> AnyView {
    let left = s.left.get() as usize;
    let date = moment(&link.expires_at);
    let more = (left > 0).then(|| view! { <p>{tn("success.more", left, &[("date", &date)])}</p> });
    view! {
        <section class="card hero" data-testid="success">
            {icon(BIG_TICK, "badge good")}
            <h2>{tn("success.title", s.arrived.get(), &[])}</h2>
            <p>{tf("success.next", &[("app", &link.app_name)])}</p>
            {more}
            {link.return_url.as_deref().map(|url| back(link, url))}
        </section>
    }
    .into_any()
}

fn back(link: &PageLink, url: &str) -> AnyView {
    view! {
        <a class="btn" href=url.to_owned() data-testid="back">
            {tf("success.back", &[("app", &link.app_name)])}
        </a>
    }
    .into_any()
}

/// The link takes no files. `after`: what follows the sentence.
pub(crate) fn problem(code: &str, after: Option<AnyView>) -> AnyView {
    let (svg, class) = match code {
        // The files are in: nothing is wrong.
        "link-full" => (BIG_TICK, "badge good"),
        "link-expired" | "link-revoked" => (CLOCK, "badge"),
        "link-token-invalid" | "link-not-found" => (LINK, "badge"),
        _ => (ALERT, "badge bad"),
    };
    let headline = find(&["headline.", code].concat()).unwrap_or_else(|| t("headline.other"));
    view! {
        <section class="card hero" role="alert" data-testid="problem" data-code=code.to_owned()>
            {icon(svg, class)}
            <h2>{headline}</h2>
            <p>{sentence(code)}</p>
            {after}
        </section>
    }
    .into_any()
}

/// The edge did not answer, so there is no text but the built-in one.
pub(crate) fn no_answer() -> AnyView {
    let [headline, sentence, chinese, again] = NO_ANSWER;
    let reload = |_| {
        let _ = crate::dom::window().location().reload();
    };
    view! {
        <section class="card hero" role="alert" data-testid="problem" data-code="edge-down">
            {icon(ALERT, "badge bad")}
            <h2>{headline}</h2>
            <p>{sentence}</p>
            <p lang="zh-CN">{chinese}</p>
            <button class="btn" type="button" on:click=reload>{again}</button>
        </section>
    }
    .into_any()
}
