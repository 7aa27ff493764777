//! What the link has, and what became of it.

use chatlift_frontend::format;
use chatlift_frontend::wire::{File as StoredFile, Link};
use chatlift_shared::api::ReceiptStatus;

use super::el::At;
use super::icons::TICK;
use super::rows::{glyph, name};
use crate::i18n::{find, t, tf};
use crate::page::{Phase, Signals};

pub(super) fn files(at: &At, link: &Link, s: Signals) {
    let files = s.files().get();
    let busy = matches!(s.phase().get(), Phase::Sending | Phase::Settled);
    if files.is_empty() || busy || s.rows().with(|rows| !rows.is_empty()) {
        return;
    }
    let card = at.el("section.card");
    card.say("h2.sub", t("files.label"));
    let list = card.el("ul.rows");
    for one in &files {
        file(&list, link, one);
    }
    let details = card.el("details");
    details.say("summary", t("success.details"));
    let details = details.el("dl");
    for file in &files {
        details.el("dt").text(&file.name).attr("dir", "auto");
        details.el("dd|data-testid=address").text(&file.address);
        let digest = [&t("success.digest"), " ", &file.sha256].concat();
        details.say("dd", digest);
    }
}

fn file(list: &At, link: &Link, file: &StoredFile) {
    let app = ("app", link.app_name.as_str());
    let receipt = file.receipt.as_ref();
    let (code, marks) = match receipt.map(|receipt| receipt.status) {
        None => ("uploaded", 1),
        Some(ReceiptStatus::Received) => ("received", 2),
        Some(ReceiptStatus::Converted) => ("converted", 2),
        Some(ReceiptStatus::Delivered) => ("delivered", 3),
        Some(ReceiptStatus::Rejected) => ("rejected", 0),
    };
    let row = list.el("li.row kept|data-testid=file-receipt");
    row.attr("data-status", code).attr("data-id", &file.id);
    glyph(&row, &file.name);
    let line = row.el("div");
    name(&line, &file.name);
    line.say("p.meta", format::size(file.size));
    if marks == 0 {
        let known = receipt.and_then(|receipt| {
            let code = receipt.code.as_deref()?;
            find(&["rejected.", code].concat())
        });
        let reason = known
            .as_deref()
            .or(receipt.and_then(|r| r.reason.as_deref()));
        let said = match reason {
            Some(reason) => tf("receipt.rejected-why", &[app, ("reason", reason)]),
            None => tf("receipt.rejected", &[app]),
        };
        line.say("p.why", said);
        return;
    }
    let list = line.el("ol.marks");
    for (at, key) in ["mark.uploaded", "mark.received", "mark.ready"]
        .iter()
        .enumerate()
    {
        let done = at < marks;
        let mark = list.el(if done { "li.on" } else { "li" });
        if done {
            mark.icon("tick", TICK);
        }
        mark.say("span", tf(key, &[app]));
        if !done {
            mark.say("span.vh", t("mark.pending"));
        }
    }
}
