//! The bar at the bottom: confirmation, progress in all, and what to do when some file failed.

use std::sync::Arc;

use chatlift_frontend::format;
use chatlift_frontend::wire::Link;
use leptos::prelude::*;

use super::el::{changing, click, div, el, el_live, live_text, none, text};
use super::rows::{fill, now};
use crate::i18n::{t, tf, tn};
use crate::page::{self, Phase, Signals};

pub(super) fn bar(link: &Arc<Link>, s: Signals) -> AnyView {
    let link = link.clone();
    changing(move || {
        let content = match s.phase.get() {
            Phase::Done => return none(),
            _ if s.rows.with(Vec::is_empty) => return none(),
            Phase::Picking => confirm(&link, s),
            Phase::Sending => progress(s),
            Phase::Settled => failed(s),
        };
        div("section", "bar", content)
    })
}

fn small(said: String) -> AnyView {
    div("p", "small", vec![text(said)])
}

fn button(class: &str, hook: &str, label: String, then: fn()) -> AnyView {
    let hooks = &[("class", class), ("type", "button"), ("data-testid", hook)];
    el_live("button", hooks, vec![click(then)], vec![text(label)])
}

fn confirm(link: &Link, s: Signals) -> Vec<AnyView> {
    let ready = page::count(s, "ready");
    if ready == 0 {
        return vec![small(t("confirm.none"))];
    }
    let size: u64 = s.rows.with(|rows| {
        let ready = rows
            .iter()
            .filter(|row| row.view.with(|view| view.state == "ready"));
        ready.map(|row| row.size).sum()
    });
    let note = tf(
        "confirm.note",
        &[("size", &format::size(size)), ("app", &link.app_name)],
    );
    vec![
        small(note),
        button(
            "btn",
            "confirm",
            tn("confirm.button", ready, &[]),
            page::confirm,
        ),
    ]
}

fn progress(s: Signals) -> Vec<AnyView> {
    let percent = move || s.sum.with(|sum| sum.percent);
    let title = move || {
        let of = ["queued", "uploading", "completing", "stored"];
        tn(
            "progress.title",
            of.into_iter().map(|state| page::count(s, state)).sum(),
            &[],
        )
    };
    let note = move || {
        let sum = s.sum.get();
        if sum.cut {
            return t("progress.offline");
        }
        let (done, size) = (format::size(sum.done), format::size(sum.total));
        tf("progress.note", &[("done", &done), ("size", &size)])
    };
    let track = &[
        ("class", "track"),
        ("role", "progressbar"),
        ("data-testid", "progress-all"),
        ("aria-label", &t("progress.label")),
        ("aria-valuemin", "0"),
        ("aria-valuemax", "100"),
    ];
    let sum = vec![
        el("span", &[], vec![live_text(title)]),
        el(
            "span",
            &[],
            vec![live_text(move || [&percent().to_string(), "%"].concat())],
        ),
    ];
    vec![
        div("p", "sum", sum),
        el_live("div", track, vec![now(percent)], vec![fill(percent)]),
        div("p", "small", vec![live_text(note)]),
    ]
}

fn failed(s: Signals) -> Vec<AnyView> {
    let failed = page::count(s, "failed");
    let title = tn("result.failed", failed, &[]);
    let mut content = vec![div("p", "sum", vec![text(title)])];
    if s.rows
        .with(|rows| rows.iter().any(|row| row.view.with(|view| view.can_retry)))
    {
        content.push(button("btn", "retry", t("result.retry"), || {
            page::retry(None)
        }));
    }
    // Only when there is something to go on with.
    if page::count(s, "stored") > 0 {
        content.push(button(
            "btn soft",
            "skip",
            tn("result.skip", failed, &[]),
            page::skip,
        ));
    }
    content
}
