//! Where files are picked, and what is accepted.

use chatlift_frontend::wire::Link;
use chatlift_frontend::{accept, format};

use super::el::At;
use super::icons::PLUS;
use crate::i18n::{find, t, tf, tn};
use crate::page::{self, Phase, RowState, Signals};
use crate::pickers;

pub(super) fn zone(at: &At, link: &Link, s: Signals) {
    // The label opens the input, so the two change together.
    let open = page::takes(s);
    pickers::set_accept(&link.accept, s.left().get() > 1, &t("pick.button"), open);
    let said = s.notice().get();
    if !said.is_empty() {
        at.say("p.note|role=status|data-testid=notice", said);
    }
    if !open {
        return;
    }
    let picked = s.rows().with(|rows| !rows.is_empty());
    let full = page::count(s, RowState::Ready) >= s.left().get() as usize;
    if picked && full {
        return;
    }
    let again = picked || s.phase().get() == Phase::Done;
    let zone = at.el("div.zone|data-testid=drop-zone");
    let (spec, key) = if again {
        (
            "label.btn pick soft less|for=pick|data-testid=pick-button",
            "pick.more",
        )
    } else {
        (
            "label.btn pick|for=pick|data-testid=pick-button",
            "pick.button",
        )
    };
    let label = zone.el(spec);
    label.icon("plus", PLUS);
    label.say("span", t(key));
    zone.say("p.rules", rules(link, s.left().get()));
    if !again {
        zone.say("p.drop", t("pick.drop"));
        help(&zone);
    }
}

/// What is known of the chat app whose browser this is: where its files are in the picker, and
/// how to open the page elsewhere if the button does nothing.
fn help(zone: &At) {
    let Some(app) = pickers::app() else { return };
    let help = zone.el("details.help|data-testid=in-app-help");
    help.attr("data-app", app.id);
    let name = t(&["inapp.name.", app.id].concat());
    help.say("summary", tf("inapp.title", &[("chat", &name)]));
    let where_files = find(&["inapp.where.", app.id].concat());
    help.say("p", where_files.unwrap_or_else(|| t("inapp.where.other")));
    help.say("p", t(app.open_key()));
    help.say("button.again|type=button|data-do=copy", t("inapp.copy"));
}

/// What is accepted, how large, how many: as the edge writes it into index.html.
fn rules(link: &Link, left: u32) -> String {
    let types = if accept::is_any(&link.accept) {
        t("rules.any")
    } else {
        let names = accept::names(&link.accept).into_iter();
        let names: Vec<_> = names
            .map(|name| name.map_or_else(str::to_owned, t))
            .collect();
        format::join(&names, &t("list.comma"))
    };
    let files = if left < link.max_files {
        "rules.left"
    } else {
        "rules.files"
    };
    let parts = [
        types,
        tf("rules.size", &[("size", &format::size(link.max_file_size))]),
        tn(files, left as usize, &[]),
    ];
    format::join(&parts, " · ")
}
