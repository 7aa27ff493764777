//! The large answers: it has arrived, or the link takes nothing.

use leptos::prelude::*;

use super::icons::{ALERT, BIG_TICK, CLOCK, LINK};
use crate::dom;
use crate::i18n::{NO_ANSWER, find, moment, problem as sentence, t, tf, tn};
use crate::page::{Page, Phase};

#[component]
pub(super) fn Hero() -> impl IntoView {
    let Page { phase, trouble, .. } = expect_context();
    move || {
        if phase.get() == Phase::Done {
            return Some(view! { <Success/> }.into_any());
        }
        let code = trouble.get()?;
        Some(view! { <Problem code/> }.into_any())
    }
}

#[component]
fn Success() -> impl IntoView {
    let Page {
        link, files, left, ..
    } = expect_context();
    let until = moment(&link.expires_at);
    let more = move || {
        let left = left.get() as usize;
        let more = tn("success.more", left, &[("date", &until)]);
        (left > 0).then(|| view! { <p>{more}</p> })
    };
    view! {
        <section class="card hero" data-testid="success" data-code="stored" role="status" tabindex="-1">
            <span aria-hidden="true" class="badge good" inner_html=BIG_TICK/>
            <h2>{move || tn("success.title", files.with(Vec::len), &[])}</h2>
            <p>{tf("success.next", &[("app", &link.app_name)])}</p>
            {more}
            <Back/>
        </section>
    }
}

/// "Back to the app", if the scene says where that is.
#[component]
fn Back() -> impl IntoView {
    let page = use_context::<Page>()?;
    let url = page.link.return_url.clone()?;
    let back = tf("success.back", &[("app", &page.link.app_name)]);
    Some(view! { <a class="btn" data-testid="back" href=url>{back}</a> })
}

/// The link takes no files.
#[component]
pub(super) fn Problem(code: String) -> impl IntoView {
    let (icon, class) = match code.as_str() {
        // The files are in: nothing is wrong.
        "link-full" => (BIG_TICK, "badge good"),
        "link-expired" | "link-revoked" => (CLOCK, "badge"),
        "link-token-invalid" | "link-not-found" => (LINK, "badge"),
        _ => (ALERT, "badge bad"),
    };
    let headline = find(&["headline.", &code].concat());
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
