//! What the link has, and what became of it.

use std::sync::Arc;

use chatlift_frontend::format;
use chatlift_frontend::wire::{File as StoredFile, Link};
use chatlift_shared::api::ReceiptStatus;
use leptos::prelude::*;

use super::el::{all, changing, div, el, none, text};
use super::icons::{TICK, icon};
use super::rows::{glyph, name};
use crate::i18n::{t, tf};
use crate::page::{Phase, Signals};

pub(super) fn files(link: &Arc<Link>, s: Signals) -> AnyView {
    let link = link.clone();
    changing(move || {
        let files = s.files.get();
        let busy = matches!(s.phase.get(), Phase::Sending | Phase::Settled);
        if files.is_empty() || busy || s.rows.with(|rows| !rows.is_empty()) {
            return none();
        }
        let details = vec![
            el("summary", &[], vec![text(t("success.details"))]),
            el("dl", &[], files.iter().map(detail).collect()),
        ];
        div(
            "section",
            "card",
            vec![
                div("h2", "sub", vec![text(t("files.label"))]),
                div(
                    "ul",
                    "rows",
                    files.iter().map(|one| file(&link, one)).collect(),
                ),
                el("details", &[], details),
            ],
        )
    })
}

fn file(link: &Link, file: &StoredFile) -> AnyView {
    let app = ("app", link.app_name.as_str());
    let status = file.receipt.as_ref().map(|receipt| receipt.status);
    let (code, said) = match status {
        None => ("uploaded", t("receipt.uploaded")),
        Some(ReceiptStatus::Received) => ("received", tf("receipt.received", &[app])),
        Some(ReceiptStatus::Converted) => ("converted", tf("receipt.converted", &[app])),
        Some(ReceiptStatus::Delivered) => ("delivered", tf("receipt.delivered", &[app])),
        Some(ReceiptStatus::Rejected) => {
            let reason = file
                .receipt
                .as_ref()
                .and_then(|receipt| receipt.reason.as_deref());
            let said = match reason {
                Some(reason) => tf("receipt.rejected-why", &[app, ("reason", reason)]),
                None => tf("receipt.rejected", &[app]),
            };
            ("rejected", said)
        }
    };
    let size = el("span", &[], vec![text(format::size(file.size))]);
    let (class, line, mark) = if code == "rejected" {
        ("row", div("p", "why", vec![text(said)]), none())
    } else {
        let line = vec![size, div("span", "ok", vec![text(said)])];
        ("row kept", div("p", "meta", line), icon(TICK, "tick"))
    };
    let hooks = &[
        ("class", class),
        ("data-testid", "file-receipt"),
        ("data-status", code),
        ("data-id", &file.id),
    ];
    let line = div("div", "", vec![name(&file.name), line]);
    el("li", hooks, vec![glyph(&file.name), line, mark])
}

fn detail(file: &StoredFile) -> AnyView {
    let digest = [&t("success.digest"), " ", &file.sha256].concat();
    all(vec![
        el("dt", &[], vec![text(&file.name)]),
        el(
            "dd",
            &[("data-testid", "address")],
            vec![text(&file.address)],
        ),
        el("dd", &[], vec![text(digest)]),
    ])
}
