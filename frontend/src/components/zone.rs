//! Where files are picked, and what is accepted.

use std::sync::Arc;

use chatlift_frontend::wire::Link;
use chatlift_frontend::{accept, format};
use leptos::prelude::*;

use super::el::{all, changing, div, el, none, text};
use super::icons::{PLUS, icon};
use crate::i18n::{moment, t, tf, tn};
use crate::page::{self, Phase, Signals};
use crate::pickers;

pub(super) fn zone(link: &Arc<Link>, s: Signals) -> AnyView {
    let link = link.clone();
    let attribute = accept::attribute(&link.accept);
    changing(move || {
        // The label opens the input, so the two change together.
        let open = page::takes(s);
        pickers::set_accept(&attribute, s.left.get() > 1, &t("pick.button"), open);
        let picked = s.rows.with(|rows| !rows.is_empty());
        let full = page::count(s, "ready") >= s.left.get() as usize;
        if !open || (picked && full) {
            return notice(s);
        }
        let again = picked || s.phase.get() == Phase::Done;
        let (class, key) = if again {
            ("btn pick soft less", "pick.more")
        } else {
            ("btn pick", "pick.button")
        };
        let label = &[
            ("class", class),
            ("for", "pick"),
            ("data-testid", "pick-button"),
        ];
        let drop = match again {
            true => none(),
            false => div("p", "drop", vec![text(t("pick.drop"))]),
        };
        let zone = vec![
            el("label", label, vec![icon(PLUS, "plus"), text(t(key))]),
            drop,
            rules(&link, s.left.get()),
        ];
        let hooks = &[("class", "zone"), ("data-testid", "drop-zone")];
        all(vec![notice(s), el("div", hooks, zone)])
    })
}

fn notice(s: Signals) -> AnyView {
    let said = s.notice.get();
    if said.is_empty() {
        return none();
    }
    el(
        "p",
        &[
            ("class", "note"),
            ("role", "status"),
            ("data-testid", "notice"),
        ],
        vec![text(said)],
    )
}

/// What is accepted, how large, how many, until when.
fn rules(link: &Link, left: u32) -> AnyView {
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
    let rule = |rule: String| el("li", &[], vec![text(rule)]);
    let rules = rules.into_iter().map(rule).collect();
    el(
        "ul",
        &[("class", "rules"), ("aria-label", &t("rules.label"))],
        rules,
    )
}
