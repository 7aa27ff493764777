//! Where files are picked, and what is accepted.

use std::sync::Arc;

use chatlift_frontend::{accept, format};
use chatlift_shared::api::PageLink;
use leptos::prelude::*;

use super::icons::{PLUS, icon};
use crate::i18n::{moment, t, tf, tn};
use crate::page::{self, Phase, Signals};
use crate::pickers;

pub(super) fn zone(link: &Arc<PageLink>, s: Signals) -> AnyView {
    let link = link.clone();
    let attribute = accept::attribute(&link.accept);
    Effect::new(move |_| {
        pickers::set_accept(
            &attribute,
            s.left.get() > 1,
            &t("pick.button"),
            page::takes(s),
        );
    });
    let draw = move || {
        let picked = s.rows.with(|rows| !rows.is_empty());
        let full = page::count(s, "ready") >= s.left.get() as usize;
        if !page::takes(s) || (picked && full) {
            return notice(s);
        }
        let again = picked || s.phase.get() == Phase::Done;
        let (class, text) = if again {
            ("btn pick soft less", t("pick.more"))
        } else {
            ("btn pick", t("pick.button"))
        };
        view! {
            {notice(s)}
            <div class="zone" data-testid="drop-zone">
                <label class=class for="pick" data-testid="pick-button">
                    {icon(PLUS, "")}
                    {text}
                </label>
                {(!again).then(|| view! { <p class="drop">{t("pick.drop")}</p> })}
                {rules(&link, s.left.get())}
            </div>
        }
        .into_any()
    };
    draw.into_any()
}

fn notice(s: Signals) -> AnyView {
    let text = s.notice.get();
    let hidden = text.is_empty();
    view! { <p class="note" role="status" data-testid="notice" hidden=hidden>{text}</p> }.into_any()
}

/// What is accepted, how large, how many, until when.
fn rules(link: &PageLink, left: u32) -> AnyView {
    let types = if accept::is_any(&link.accept) {
        t("rules.any")
    } else {
        let names = accept::names(&link.accept).into_iter();
        names
            .map(|name| name.map_or_else(str::to_owned, t))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let files = if left < link.max_files {
        "rules.left"
    } else {
        "rules.files"
    };
    let rules = [
        types,
        tf("rules.size", &[("size", &format::size(link.max_file_size))]),
        tn(files, left as usize, &[]),
        tf("rules.until", &[("date", &moment(&link.expires_at))]),
    ];
    // The first may be long and wraps; the others stay whole.
    let rule = |(at, text): (usize, String)| match at {
        0 => view! { <li>{text}</li> }.into_any(),
        _ => view! { <li><span>{text}</span></li> }.into_any(),
    };
    view! {
        <ul class="rules" aria-label=t("rules.label")>
            {rules.into_iter().enumerate().map(rule).collect_view()}
        </ul>
    }
    .into_any()
}
