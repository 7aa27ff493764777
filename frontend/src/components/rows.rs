//! The picked files.

use std::rc::Rc;

use chatlift_frontend::format;
use chatlift_frontend::wire::Link;

use super::el::At;
use super::icons::{CROSS, PAUSE, RESUME, TICK};
use crate::i18n::{t, tf};
use crate::live::LiveView;
use crate::page::{Row, RowState, Signals};

pub(super) fn rows_of(at: &At, _: &Link, s: Signals) {
    let rows = s.rows().get();
    if rows.is_empty() {
        return;
    }
    let list = at.el("ul.card rows");
    list.attr("aria-label", &t("list.label"));
    for one in rows {
        row(&list, one);
    }
}

/// The sheet with a file's extension on it.
pub(super) fn glyph(at: &At, name: &str) {
    let extension = format::extension(name).unwrap_or_default();
    let known = (1..=4).contains(&extension.len()) && extension.is_ascii();
    let label = if known {
        extension.to_ascii_uppercase()
    } else {
        String::new()
    };
    at.say("span.glyph|aria-hidden=true", label);
}

/// A name that loses its middle when it is too long. Isolated, so that one written from right to
/// left, or with marks that turn text around, reorders nothing beside it.
pub(super) fn name(at: &At, name: &str) {
    let (head, tail) = format::halves(name);
    let whole = at.el("p.name");
    whole.attr("title", name);
    // The halves stand from left to right, since only a name that runs so is cut.
    let whole = whole.el("span|dir=ltr");
    whole.el("bdi").text(head);
    whole.el("bdi.tail").text(tail);
}

fn row(list: &At, row: Row) {
    let view = row.view;
    let item = list.el("li.row|data-testid=file-row");
    item.attr("data-name", &row.name)
        .live_attr("data-state", move || {
            Some(view.with(|view| view.state.name().to_owned()))
        });
    glyph(&item, &row.name);
    let line = item.el("div");
    name(&line, &row.name);
    let size = format::size(row.size);
    // The size is in the note while bytes move, so that the line keeps its length.
    let meta = line.el("p.meta");
    let (first, note) = (meta.el("span"), meta.el("span"));
    first.live_text(move || {
        if view.with(|view| view.state == RowState::Uploading) {
            String::new()
        } else {
            size.clone()
        }
    });
    note.live_text(move || view.with(|view| view.note.clone()));
    let key = format::decimal(row.key.into());
    let own = key.clone();
    line.el("div").draw(move |at| {
        let (error, can_retry) = view.with(|view| (view.error.clone(), view.can_retry));
        if error.is_empty() {
            return;
        }
        at.say("p.why|role=alert|data-testid=file-error", error);
        if can_retry {
            at.el("button.again|type=button|data-testid=retry|data-do=retry")
                .text(&t("row.retry"))
                .attr("data-key", &own);
        }
    });
    let label = tf("row.progress", &[("name", &row.name)]);
    let track = track(
        &line,
        "div.track|role=progressbar|data-testid=file-progress",
        &label,
        Rc::new(move || view.with(|view| (view.percent, view.reach))),
    );
    track.live_attr("hidden", move || (!under_way(view)).then(String::new));
    let full = row.name;
    item.el("div.acts").draw_for(
        Box::new(move || view.with(|view| view.state.name())),
        Box::new(move |at| buttons(at, view, &key, &full)),
    );
}

fn under_way(view: LiveView) -> bool {
    view.with(|view| view.state.is_under_way())
}

/// Holds a file and takes it off the list; a tick when it is stored.
fn buttons(at: &At, view: LiveView, key: &str, name: &str) {
    let state = view.with(|view| Some(view.state));
    if state == Some(RowState::Stored) {
        return at.icon("tick", TICK);
    }
    let button = |spec: &str, label: &str, svg: &str| {
        let button = at.el(spec);
        button
            .attr("data-key", key)
            .attr("aria-label", &tf(label, &[("name", name)]))
            .icon("", svg);
    };
    match state {
        Some(RowState::Paused) => button(
            "button.x|type=button|data-place=hold|data-testid=resume|data-do=resume",
            "row.resume",
            RESUME,
        ),
        Some(RowState::Queued | RowState::Uploading) => button(
            "button.x|type=button|data-place=hold|data-testid=pause|data-do=pause",
            "row.pause",
            PAUSE,
        ),
        _ => {}
    }
    if under_way(view) {
        button(
            "button.x|type=button|data-place=x|data-testid=cancel|data-do=remove",
            "row.cancel",
            CROSS,
        );
    } else {
        button(
            "button.x|type=button|data-place=x|data-testid=remove|data-do=remove",
            "row.remove",
            CROSS,
        );
    }
}

/// A progress bar: what the edge has, and lighter what is on its way.
pub(super) fn track(at: &At, spec: &str, label: &str, percent: Rc<dyn Fn() -> (u8, u8)>) -> At {
    let track = at.el(spec);
    let (own, reach) = (percent.clone(), percent.clone());
    track
        .attr("aria-label", label)
        .attr("aria-valuemin", "0")
        .attr("aria-valuemax", "100")
        .live_attr("aria-valuenow", move || {
            Some(format::decimal(own().0.into()))
        });
    track
        .el("div.fill way")
        .live_attr("style", move || Some(width(reach().1)));
    track
        .el("div.fill")
        .live_attr("style", move || Some(width(percent().0)));
    track
}

fn width(percent: u8) -> String {
    ["width:", &format::decimal(percent.into()), "%"].concat()
}
