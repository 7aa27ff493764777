//! What the link has, and what became of it.

use chatlift_frontend::format;
use chatlift_frontend::wire::{File as StoredFile, LeftOut, Receipt};
use chatlift_shared::api::ReceiptStatus;
use leptos::prelude::*;

use super::icons::TICK;
use super::rows::{Glyph, Name, breakable};
use super::when::When;
use crate::i18n::{find, t, tf};
use crate::page::{Page, Phase, TakeBack, answer_take_back, ask_take_back, can_be_taken_back};

#[component]
pub(super) fn Files() -> impl IntoView {
    let Page {
        phase, rows, held, ..
    } = expect_context();
    let shown = move || {
        let busy = matches!(phase.get(), Phase::Sending | Phase::Settled);
        !busy && rows.with(Vec::is_empty) && !held.with(|held| held.files.is_empty())
    };
    view! {
        <When condition=shown>
            <section class="card">
                <h2 class="sub">{t("files.label")}</h2>
                <ul class="rows">
                    {move || {
                        let files = held.with(|held| held.files.clone()).into_iter();
                        files.map(|file| view! { <Stored file/> }.into_any()).collect_view().into_any()
                    }}
                </ul>
                <details>
                    <summary>{t("success.details")}</summary>
                    <dl>
                        {move || {
                            let files = held.with(|held| held.files.clone()).into_iter();
                            files.map(|file| view! { <Address file/> }.into_any()).collect_view().into_any()
                        }}
                    </dl>
                </details>
            </section>
        </When>
    }
}

#[component]
fn Address(file: StoredFile) -> impl IntoView {
    view! {
        <dt dir="auto">{breakable(&file.name)}</dt>
        <dd dir="ltr" data-testid="address">{file.address}</dd>
    }
}

#[component]
fn Stored(file: StoredFile) -> impl IntoView {
    let page = expect_context::<Page>();
    let app = ("app", &*page.link.app_name);
    let back = can_be_taken_back(&file).then(|| {
        page.held.with(|held| {
            let own = held.back.as_ref().filter(|(id, _)| *id == file.id);
            own.map(|(_, back)| back.clone())
        })
    });
    let (status, done) = match file.receipt.as_ref().map(|receipt| receipt.status) {
        None => ("uploaded", 1),
        Some(ReceiptStatus::Received) => ("received", 2),
        Some(ReceiptStatus::Converted) => ("converted", 2),
        Some(ReceiptStatus::Delivered) => ("delivered", 3),
        // As far as it came.
        Some(ReceiptStatus::Rejected) => ("rejected", 2),
    };
    let marks = ["mark.uploaded", "mark.received", "mark.ready"];
    let marks = marks.iter().enumerate().map(|(at, key)| {
        let on = at < done;
        let tick = on.then(|| view! { <span aria-hidden="true" class="tick" inner_html=TICK/> }.into_any());
        let pending = (!on).then(|| view! { <span class="vh">{t("mark.pending")}</span> }.into_any());
        view! { <li class=if on { "on" } else { "" }>{tick}<span>{tf(key, &[app])}</span>{pending}</li> }.into_any()
    });
    let said = if is_rejected(&file) {
        Some(rejection(file.receipt.as_ref(), app))
    } else {
        // Of a file that the app has: what of it was left out.
        file.receipt.as_ref().and_then(left_out)
    };
    let said = said
        .map(|said| view! { <p class="why" data-testid="receipt-reason">{said}</p> }.into_any());
    let left = file.receipt.and_then(|receipt| receipt.left_out);
    let left = left.map(left_out_names);
    let (id, name) = (file.id.clone(), file.name.clone());
    let back = back.map(|back| view! { <Back id name back/> }.into_any());
    view! {
        <li
            class="row kept"
            tabindex="-1"
            data-testid="file-receipt"
            data-status=status
            data-id=file.id
        >
            <Glyph name=file.name.clone()/>
            <div>
                <Name name=file.name/>
                <p class="meta">{format::size(file.size)}</p>
                <ol class="marks">{marks.collect_view()}</ol>
                {said}
                {left}
                {back}
            </div>
        </li>
    }
}

/// The members that were left out, each isolated from the others' direction of writing.
fn left_out_names(left: LeftOut) -> AnyView {
    let names = left.names.into_iter();
    let mut names: Vec<_> = names
        .map(|name| view! { <li><Name name/></li> }.into_any())
        .collect();
    if names.len() < left.count as usize {
        names.push(view! { <li>"…"</li> }.into_any());
    }
    view! { <ul class="left" data-testid="left-out">{names}</ul> }.into_any()
}

/// Takes a file back, once the person has said that this is meant.
#[component]
fn Back(
    /// The file's id.
    id: String,
    name: String,
    /// How far that is, once it has begun.
    back: Option<TakeBack>,
) -> impl IntoView {
    let page = expect_context::<Page>();
    let label = tf("back.label", &[("name", &name)]);
    let ask = view! {
        <button
            class="again"
            type="button"
            data-testid="take-back"
            aria-label=label.clone()
            on:click=move |_| ask_take_back(&id)
        >
            {t("back.button")}
        </button>
    };
    match back {
        None => ask.into_any(),
        Some(TakeBack::Failed(why)) => view! {
            <p class="why" role="alert" data-testid="take-back-error">
                {why}
            </p>
            {ask}
        }
        .into_any(),
        Some(TakeBack::Running) => view! {
            <p class="meta" role="status" data-testid="taking-back">
                {t("back.running")}
            </p>
        }
        .into_any(),
        Some(TakeBack::Asked) => view! {
            <p class="why" role="alert">{tf("back.ask", &[("app", &page.link.app_name)])}</p>
            <div class="pair asked">
                <button
                    class="again"
                    type="button"
                    data-testid="take-back-confirm"
                    aria-label=label
                    on:click=|_| answer_take_back(true)
                >
                    {t("back.button")}
                </button>
                <button
                    class="again"
                    type="button"
                    data-testid="take-back-not"
                    on:click=|_| answer_take_back(false)
                >
                    {t("back.not")}
                </button>
            </div>
        }
        .into_any(),
    }
}

/// Whether the app cannot use it.
pub(super) fn is_rejected(file: &StoredFile) -> bool {
    let status = file.receipt.as_ref().map(|receipt| receipt.status);
    status == Some(ReceiptStatus::Rejected)
}

/// What of a delivered file was left out: in our words if the members are named, else in the backend's.
fn left_out(receipt: &Receipt) -> Option<String> {
    let Some(left) = &receipt.left_out else {
        return receipt.reason.clone();
    };
    let (n, all) = (
        format::decimal(left.count.into()),
        format::decimal(left.of.into()),
    );
    Some(tf("receipt.left-out", &[("n", &n), ("all", &all)]))
}

/// Why the app cannot use a file: in our words where we have some, else in the backend's.
fn rejection(receipt: Option<&Receipt>, app: (&str, &str)) -> String {
    let known = receipt.and_then(|receipt| find(&["rejected.", receipt.code.as_deref()?].concat()));
    let reason = known.or_else(|| receipt?.reason.clone());
    match reason {
        Some(reason) => tf("receipt.rejected-why", &[app, ("reason", &reason)]),
        None => tf("receipt.rejected", &[app]),
    }
}
