//! The picked files.

use std::sync::Arc;

use chatlift_frontend::format;
use chatlift_shared::api::PageLink;
use leptos::prelude::*;

use super::icons::{CROSS, TICK, icon};
use crate::i18n::{t, tf};
use crate::page::{self, Row, Signals};

pub(super) fn rows(_link: &Arc<PageLink>, s: Signals) -> AnyView {
    let draw = move || {
        let rows = s.rows.get();
        if rows.is_empty() {
            return ().into_any();
        }
        view! {
            <ul class="card rows" aria-label=t("list.label")>
                {rows.into_iter().map(row).collect_view()}
            </ul>
        }
        .into_any()
    };
    draw.into_any()
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
    view! { <span class="glyph" aria-hidden="true">{label}</span> }.into_any()
}

/// A name that loses its middle when it is too long.
pub(super) fn name(name: &str) -> AnyView {
    let (head, tail) = format::halves(name);
    view! {
        <p class="name" title=name.to_owned() dir="auto">
            <b>{head.to_owned()}</b>
            <i>{tail.to_owned()}</i>
        </p>
    }
    .into_any()
}

fn row(row: Row) -> AnyView {
    let Row {
        key,
        name: full,
        size,
        view,
    } = row;
    let (bar_name, button_name) = (full.clone(), full.clone());
    let under_way =
        move || view.with(|view| matches!(view.state, "queued" | "uploading" | "completing"));
    let size = format::size(size);
    // The size is in the note while bytes move, so that the line keeps its length.
    let meta = move || {
        let (state, note) = view.with(|view| (view.state, view.note.clone()));
        let size = (state != "uploading").then(|| view! { <span>{size.clone()}</span> });
        let class = if state == "stored" { "ok" } else { "" };
        let note = (!note.is_empty()).then(|| view! { <span class=class>{note}</span> });
        view! { {size} {note} }.into_any()
    };
    let error = move || {
        let text = view.with(|view| view.error.clone());
        if text.is_empty() {
            return ().into_any();
        }
        view! { <p class="why" role="alert" data-testid="file-error">{text}</p> }.into_any()
    };
    let again = move || {
        if !view.with(|view| view.can_retry) {
            return ().into_any();
        }
        view! {
            <button class="again" type="button" data-testid="retry" on:click=move |_| page::retry(Some(key))>
                {t("row.retry")}
            </button>
        }
        .into_any()
    };
    let button = move || {
        if view.with(|view| view.state == "stored") {
            return icon(TICK, "tick");
        }
        let (hook, text) = match under_way() {
            true => ("cancel", "row.cancel"),
            false => ("remove", "row.remove"),
        };
        let label = tf(text, &[("name", &button_name)]);
        view! {
            <button class="x" type="button" data-testid=hook aria-label=label on:click=move |_| page::remove(key) inner_html=CROSS></button>
        }
        .into_any()
    };
    view! {
        <li class="row" data-testid="file-row" data-state=move || view.with(|view| view.state) data-name=full.clone()>
            {glyph(&full)}
            <div>
                {name(&full)}
                <p class="meta">{meta}</p>
                {error}
                {again}
                <div
                    class="track"
                    role="progressbar"
                    data-testid="file-progress"
                    aria-label=tf("row.progress", &[("name", &bar_name)])
                    aria-valuemin="0"
                    aria-valuemax="100"
                    aria-valuenow=move || view.with(|view| view.percent.to_string())
                    hidden=move || !under_way()
                >
                    <div class="fill" style:transform=move || shift(view.with(|view| view.percent))></div>
                </div>
            </div>
            {button}
        </li>
    }
    .into_any()
}

/// How a bar of `percent` is moved out of its track.
pub(super) fn shift(percent: u8) -> String {
    ["translateX(-", &(100 - percent.min(100)).to_string(), "%)"].concat()
}
