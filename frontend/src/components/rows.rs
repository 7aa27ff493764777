//! The picked files.

use chatlift_frontend::format;
use chatlift_frontend::uploader::Key;
use leptos::attr::any_attribute::AnyAttribute;
use leptos::prelude::*;

use super::el::{all, changing, click, div, el, el_live, live, none, source, text};
use super::icons::{CROSS, TICK, icon};
use crate::i18n::{t, tf};
use crate::live::LiveView;
use crate::page::{self, Row, Signals};

pub(super) fn rows(s: Signals) -> AnyView {
    changing(move || {
        let rows = s.rows.get();
        if rows.is_empty() {
            return none();
        }
        let list = &[("class", "card rows"), ("aria-label", &t("list.label"))];
        el("ul", list, rows.into_iter().map(row).collect())
    })
}

/// The sheet with a file's extension on it.
pub(super) fn glyph(name: &str) -> AnyView {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = (1..=4).contains(&extension.len()) && extension.is_ascii();
    let label = if known {
        extension.to_ascii_uppercase()
    } else {
        String::new()
    };
    el(
        "span",
        &[("class", "glyph"), ("aria-hidden", "true")],
        vec![text(label)],
    )
}

/// A name that loses its middle when it is too long.
pub(super) fn name(name: &str) -> AnyView {
    let (head, tail) = format::halves(name);
    let halves = vec![
        el("b", &[], vec![text(head)]),
        el("i", &[], vec![text(tail)]),
    ];
    el(
        "p",
        &[("class", "name"), ("title", name), ("dir", "auto")],
        halves,
    )
}

fn row(row: Row) -> AnyView {
    let Row {
        key,
        name: full,
        size,
        view,
    } = row;
    let size = format::size(size);
    // The size is in the note while bytes move, so that the line keeps its length.
    let meta = changing(move || {
        let (state, note) = view.with(|view| (view.state, view.note.clone()));
        let size = match state {
            "uploading" => none(),
            _ => el("span", &[], vec![text(&size)]),
        };
        let note = match note.as_str() {
            "" => none(),
            note => div(
                "span",
                if state == "stored" { "ok" } else { "" },
                vec![text(note)],
            ),
        };
        all(vec![size, note])
    });
    let why = changing(move || {
        let (error, can_retry) = view.with(|view| (view.error.clone(), view.can_retry));
        if error.is_empty() {
            return none();
        }
        let hooks = &[
            ("class", "why"),
            ("role", "alert"),
            ("data-testid", "file-error"),
        ];
        let error = el("p", hooks, vec![text(error)]);
        if !can_retry {
            return error;
        }
        let hooks = &[
            ("class", "again"),
            ("type", "button"),
            ("data-testid", "retry"),
        ];
        all(vec![
            error,
            el_live(
                "button",
                hooks,
                vec![click(move || page::retry(Some(key)))],
                vec![text(t("row.retry"))],
            ),
        ])
    });
    let line = div(
        "div",
        "",
        vec![
            name(&full),
            div("p", "meta", vec![meta]),
            why,
            progress(&full, view),
        ],
    );
    let hooks = &[
        ("class", "row"),
        ("data-testid", "file-row"),
        ("data-name", &full),
    ];
    let state = live("data-state", move || {
        Some(view.with(|view| view.state.to_owned()))
    });
    el_live(
        "li",
        hooks,
        vec![state],
        vec![glyph(&full), line, button(key, full.clone(), view)],
    )
}

fn under_way(view: LiveView) -> bool {
    view.with(|view| matches!(view.state, "queued" | "uploading" | "completing"))
}

fn progress(name: &str, view: LiveView) -> AnyView {
    let hooks = &[
        ("class", "track"),
        ("role", "progressbar"),
        ("data-testid", "file-progress"),
        ("aria-label", &tf("row.progress", &[("name", name)])),
        ("aria-valuemin", "0"),
        ("aria-valuemax", "100"),
    ];
    let percent = move || view.with(|view| view.percent);
    let hidden = live("hidden", move || (!under_way(view)).then(String::new));
    el_live(
        "div",
        hooks,
        vec![now(percent), hidden],
        vec![fill(percent)],
    )
}

/// Takes the file off the list; a tick when it is stored.
fn button(key: Key, name: String, view: LiveView) -> AnyView {
    changing(move || {
        if view.with(|view| view.state == "stored") {
            return icon(TICK, "tick");
        }
        let (hook, label) = if under_way(view) {
            ("cancel", "row.cancel")
        } else {
            ("remove", "row.remove")
        };
        let hooks = &[
            ("class", "x"),
            ("type", "button"),
            ("data-testid", hook),
            ("aria-label", &tf(label, &[("name", &name)])),
        ];
        el_live(
            "button",
            hooks,
            vec![click(move || page::remove(key)), source(CROSS)],
            Vec::new(),
        )
    })
}

/// How far a progress bar is, for those who do not see it.
pub(super) fn now(percent: impl Fn() -> u8 + Send + 'static) -> AnyAttribute {
    live("aria-valuenow", move || Some(percent().to_string()))
}

/// The filled part of a progress bar.
pub(super) fn fill(percent: impl Fn() -> u8 + Send + 'static) -> AnyView {
    let style = move || {
        let rest = 100_u8.saturating_sub(percent()).to_string();
        Some(["transform:translateX(-", &rest, "%)"].concat())
    };
    el_live(
        "div",
        &[("class", "fill")],
        vec![live("style", style)],
        Vec::new(),
    )
}
