//! Where files are picked, and what is accepted.

use chatlift_frontend::wire::Link;
use chatlift_frontend::{accept, format};
use leptos::prelude::*;

use super::frame::show_note;
use super::icons::PLUS;
use super::rows::breakable;
use super::when::When;
use crate::engine::{self, Waiting};
use crate::i18n::{find, t, tf, tn};
use crate::page::{Page, Phase, copy_address};
use crate::pickers;

#[component]
pub(super) fn Zone() -> impl IntoView {
    let page = expect_context::<Page>();
    let Page {
        link,
        phase,
        rows,
        notice,
        ..
    } = page;
    let again = move || !rows.with(Vec::is_empty) || phase.get() == Phase::Done;
    let name = move || t(if again() { "pick.more" } else { "pick.button" });
    // The label opens the input, so the two change together.
    // It lives as long as the page, like the zone.
    std::mem::forget(RenderEffect::new(move |_| {
        let several = page.left() > 1;
        pickers::set_accept(&link.accept, several, &name(), page.takes());
        show_note(link.note && page.takes() && phase.get() != Phase::Done);
    }));
    // Those that are chosen again are in the list.
    let waiting = move || {
        rows.with(|_| {
            let held = page.held;
            let stored = |waiting: &Waiting| {
                held.with(|held| {
                    let mut files = held.files.iter();
                    files.any(|file| {
                        file.name == waiting.name && format::decimal(file.size) == waiting.size
                    })
                })
            };
            let mut waiting = engine::waiting();
            waiting.retain(|waiting| !stored(waiting));
            if waiting.is_empty() {
                ().into_any()
            } else {
                view! { <Waits waiting/> }.into_any()
            }
        })
    };
    let shown = move || page.takes() && (rows.with(Vec::is_empty) || page.room() > 0);
    view! {
        <When condition=move || notice.with(|said| !said.is_empty())>
            <p class="note" role="status" data-testid="notice">{move || notice.get()}</p>
        </When>
        <When condition=shown>
            <div class="zone" data-testid="drop-zone">
                {waiting}
                <label class=move || (if again() { "btn pick soft less" } else { "btn pick" }).to_owned() for="pick" data-testid="pick-button">
                    <span aria-hidden="true" class="plus" inner_html=PLUS/>
                    <span>{name}</span>
                </label>
                <p class="rules">{move || rules(link, page.left())}</p>
                <When condition=move || !again()>
                    <p class="drop">{t("pick.drop")}</p>
                    <Help/>
                </When>
            </div>
        </When>
    }
}

/// What was on its way when the page was reloaded.
#[component]
fn Waits(waiting: Vec<Waiting>) -> impl IntoView {
    let files = waiting.into_iter().map(|waiting| {
        let name = breakable(&waiting.name);
        let far = tf("progress.percent", &[("percent", &waiting.percent)]);
        let far = [format::DOT, &*far].concat();
        view! { <li data-testid="waiting" data-name=waiting.name><bdi>{name}</bdi>{far}</li> }
            .into_any()
    });
    view! {
        <div class="waits">
            <p>{t("waiting.title")}</p>
            <ul>{files.collect_view()}</ul>
        </div>
    }
}

/// What is known of the chat app whose browser this is: where its files are in the picker, and
/// how to open the page elsewhere if the button does nothing.
#[component]
fn Help() -> impl IntoView {
    let app = pickers::app()?;
    let name = t(&["inapp.name.", app.id].concat());
    let place = find(&["inapp.where.", app.id].concat());
    Some(
        view! {
            <details class="help" data-testid="in-app-help" data-app=app.id>
                <summary>{tf("inapp.title", &[("chat", &name)])}</summary>
                <p>{place.unwrap_or_else(|| t("inapp.where.other"))}</p>
                <p>{t(app.open_key())}</p>
                <button class="again" type="button" on:click=|_| copy_address()>
                    {t("inapp.copy")}
                </button>
            </details>
        }
        .into_any(),
    )
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
    format::join(&parts, format::DOT)
}
