//! What the link has, and what became of it.

use std::sync::Arc;

use chatlift_frontend::format;
use chatlift_shared::api::{PageFile, PageLink, ReceiptStatus};
use leptos::prelude::*;

use super::icons::{TICK, icon};
use super::rows::{glyph, name};
use crate::i18n::{t, tf};
use crate::page::{Phase, Signals};

pub(super) fn files(link: &Arc<PageLink>, s: Signals) -> AnyView {
    let link = link.clone();
    let draw = move || {
        let files = s.files.get();
        let busy = matches!(s.phase.get(), Phase::Sending | Phase::Settled);
        if files.is_empty() || busy || s.rows.with(|rows| !rows.is_empty()) {
            return ().into_any();
        }
        let details = files.iter().map(detail).collect_view();
        view! {
            <section class="card">
                <h2 class="sub">{t("files.label")}</h2>
                <ul class="rows">{files.iter().map(|one| file(&link, one)).collect_view()}</ul>
                <details>
                    <summary>{t("success.details")}</summary>
                    <dl>{details}</dl>
                </details>
            </section>
        }
        .into_any()
    };
    draw.into_any()
}

fn file(link: &PageLink, file: &PageFile) -> AnyView {
    let app = ("app", link.app_name.as_str());
    let status = file.receipt.as_ref().map(|receipt| receipt.status);
    let (code, text) = match status {
        None => ("uploaded", t("receipt.uploaded")),
        Some(ReceiptStatus::Received) => ("received", tf("receipt.received", &[app])),
        Some(ReceiptStatus::Converted) => ("converted", tf("receipt.converted", &[app])),
        Some(ReceiptStatus::Delivered) => ("delivered", tf("receipt.delivered", &[app])),
        Some(ReceiptStatus::Rejected) => {
            let reason = file
                .receipt
                .as_ref()
                .and_then(|receipt| receipt.reason.as_deref());
            let text = match reason {
                Some(reason) => tf("receipt.rejected-why", &[app, ("reason", reason)]),
                None => tf("receipt.rejected", &[app]),
            };
            ("rejected", text)
        }
    };
    let size = format::size(file.size);
    let rejected = code == "rejected";
    let (line, mark) = if rejected {
        (
            view! { <p class="why">{text}</p> }.into_any(),
            ().into_any(),
        )
    } else {
        let line = view! { <p class="meta"><span>{size}</span><span class="ok">{text}</span></p> };
        (line.into_any(), icon(TICK, "tick"))
    };
    let class = if rejected { "row" } else { "row kept" };
    view! {
        <li class=class data-testid="file-receipt" data-status=code data-id=file.id.to_string()>
            {glyph(&file.name)}
            <div>{name(&file.name)}{line}</div>
            {mark}
        </li>
    }
    .into_any()
}

fn detail(file: &PageFile) -> AnyView {
    view! {
        <dt>{file.name.clone()}</dt>
        <dd data-testid="address">{file.address.clone()}</dd>
        <dd>{[&t("success.digest"), " ", &file.sha256.to_string()].concat()}</dd>
    }
    .into_any()
}
