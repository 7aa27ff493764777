//! The large answers: it has arrived, or the link takes nothing.

use chatlift_shared::id::receipt_number;
use leptos::prelude::*;

use super::files::is_rejected;
use super::icons::{ALERT, BIG_TICK, CLOCK, LINK};
use crate::dom;
use crate::i18n::{NO_ANSWER, find, moment, problem as sentence, t, tf, tn};
use crate::page::{Page, Phase};

#[component]
pub(super) fn Hero() -> impl IntoView {
    let Page { phase, trouble, .. } = expect_context();
    move || {
        let code = trouble.get();
        if phase.get() == Phase::Done {
            view! { <Success/> }.into_any()
        } else if code.is_empty() {
            ().into_any()
        } else {
            view! { <Problem code/> }.into_any()
        }
    }
}

#[component]
fn Success() -> impl IntoView {
    let Page { link, held, .. } = expect_context();
    let until = moment(&link.expires_at);
    let now = dom::iso_now();
    // Drawn as one, in place: files and what became of them change once in a while only.
    move || {
        let (count, rejected, received, number, left) = held.with(|held| {
            let files = &held.files;
            let number = files.first().and_then(|file| receipt_number(&file.id));
            // What has arrived and cannot be used is no success.
            let rejected = files.iter().any(is_rejected);
            (
                files.len(),
                rejected,
                files.iter().all(|file| file.receipt.is_some()),
                number.unwrap_or_default().to_owned(),
                held.left as usize,
            )
        });
        let (class, icon, title, next) = if rejected {
            (
                "badge bad",
                ALERT,
                t("success.rejected-title"),
                "success.rejected",
            )
        } else {
            (
                "badge good",
                BIG_TICK,
                tn("success.title", count, &[]),
                if received {
                    "success.received"
                } else {
                    "success.next"
                },
            )
        };
        let more = (left > 0).then(|| tn("success.more", left, &[("date", &until)]));
        view! {
            <section class="card hero" data-testid="success" data-code="stored" role="status" tabindex="-1">
                <span aria-hidden="true" class=class inner_html=icon/>
                <h2>{title}</h2>
                <p data-testid="receipt-number">
                    {tf("success.receipt", &[("number", &number), ("date", &moment(&now))])}
                </p>
                <p>{tf(next, &[("app", &link.app_name)])}</p>
                {more.map(|more| view! { <p>{more}</p> }.into_any())}
                <Back/>
            </section>
        }
        .into_any()
    }
}

/// "Back to the app", if the scene says where that is.
#[component]
fn Back() -> impl IntoView {
    let page = use_context::<Page>()?;
    let url = page.link.return_url.clone()?;
    let back = tf("success.back", &[("app", &page.link.app_name)]);
    Some(view! { <a class="btn" data-testid="back" href=url>{back}</a> }.into_any())
}

/// The link takes no files.
#[component]
pub(super) fn Problem(code: String) -> impl IntoView {
    let page = use_context::<Page>();
    let rejected = page.is_some_and(|page| {
        page.held
            .with_untracked(|held| held.files.iter().any(is_rejected))
    });
    let (icon, class) = match code.as_str() {
        // The files are in, and nothing is wrong with them.
        "link-full" if !rejected => (BIG_TICK, "badge good"),
        "link-expired" | "link-revoked" => (CLOCK, "badge"),
        "link-token-invalid" | "link-not-found" => (LINK, "badge"),
        _ => (ALERT, "badge bad"),
    };
    let headline = if code == "link-full" && rejected {
        "success.rejected-title".to_owned()
    } else {
        ["headline.", &code].concat()
    };
    let headline = find(&headline);
    view! {
        <section class="card hero" data-testid="problem" role="alert" tabindex="-1" data-code=code.clone()>
            <span aria-hidden="true" class=class inner_html=icon/>
            <h2>{headline.unwrap_or_else(|| t("headline.other"))}</h2>
            <p>{sentence(&code)}</p>
            <Back/>
        </section>
    }
}

/// The edge did not answer, so there is no text but the built-in one.
#[component]
pub(crate) fn NoAnswer() -> impl IntoView {
    let [title, text, chinese, again] = NO_ANSWER;
    view! {
        <main>
            <section class="card hero" data-testid="problem" data-code="edge-down" role="alert">
                <span aria-hidden="true" class="badge bad" inner_html=ALERT/>
                <h2>{title}</h2>
                <p>{text}</p>
                <p lang="zh-CN">{chinese}</p>
                <button class="btn" type="button" on:click=|_| dom::reload()>{again}</button>
            </section>
        </main>
    }
}
