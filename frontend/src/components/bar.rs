//! The bar at the bottom: confirmation, progress in all, and what to do when some file failed.

use std::sync::Arc;

use chatlift_frontend::format;
use chatlift_shared::api::PageLink;
use leptos::prelude::*;

use super::rows::shift;
use crate::i18n::{t, tf, tn};
use crate::page::{self, Phase, Signals};

pub(super) fn bar(link: &Arc<PageLink>, s: Signals) -> AnyView {
    let link = link.clone();
    let draw = move || {
        let content = match s.phase.get() {
            Phase::Done => return ().into_any(),
            _ if s.rows.with(Vec::is_empty) => return ().into_any(),
            Phase::Picking => confirm(&link, s),
            Phase::Sending => progress(s),
            Phase::Settled => failed(s),
        };
        view! { <section class="bar">{content}</section> }.into_any()
    };
    draw.into_any()
}

fn confirm(link: &PageLink, s: Signals) -> AnyView {
    let ready = page::count(s, "ready");
    if ready == 0 {
        return view! { <p class="small">{t("confirm.none")}</p> }.into_any();
    }
    let size: u64 = s.rows.with(|rows| {
        let ready = rows
            .iter()
            .filter(|row| row.view.with(|view| view.state == "ready"));
        ready.map(|row| row.size).sum()
    });
    view! {
        <p class="small">{tf("confirm.note", &[("size", &format::size(size)), ("app", &link.app_name)])}</p>
        <button class="btn" type="button" data-testid="confirm" on:click=|_| page::confirm()>
            {tn("confirm.button", ready, &[])}
        </button>
    }
    .into_any()
}

fn progress(s: Signals) -> AnyView {
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
    view! {
        <p class="sum"><span>{title}</span><span>{move || [&percent().to_string(), "%"].concat()}</span></p>
        <div
            class="track"
            role="progressbar"
            data-testid="progress-all"
            aria-label=t("progress.label")
            aria-valuemin="0"
            aria-valuemax="100"
            aria-valuenow=move || percent().to_string()
        >
            <div class="fill" style:transform=move || shift(percent())></div>
        </div>
        <p class="small">{note}</p>
    }
    .into_any()
}

fn failed(s: Signals) -> AnyView {
    let any = s
        .rows
        .with(|rows| rows.iter().any(|row| row.view.with(|view| view.can_retry)));
    let retry = any.then(|| {
        view! {
            <button class="btn" type="button" data-testid="retry" on:click=|_| page::retry(None)>
                {t("result.retry")}
            </button>
        }
    });
    view! {
        <p class="sum"><span>{tn("result.failed", page::count(s, "failed"), &[])}</span></p>
        <p class="small">{t("result.failed.note")}</p>
        {retry}
    }
    .into_any()
}
