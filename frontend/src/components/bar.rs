//! The bar at the bottom: confirmation, progress in all, and what to do when some file failed.

use std::sync::Arc;

use chatlift_frontend::format;
use leptos::prelude::*;

use super::rows::Track;
use super::when::When;
use crate::i18n::{t, tf, tn};
use crate::page::{Page, Phase, RowState, Sum, cancel_all, confirm, pause, retry, skip_failed};

#[component]
pub(super) fn Bar() -> impl IntoView {
    let page = expect_context::<Page>();
    let phase = page.phase;
    let shown = move || {
        let phase = phase.get();
        // Nothing is on its way while all that is left is being taken back.
        let idle = phase == Phase::Sending && page.sum.with(|sum| sum.files == 0);
        phase != Phase::Done && !idle && !page.rows.with(Vec::is_empty)
    };
    let confirm = move || match phase.get() {
        Phase::Picking => true,
        Phase::Sending => page.count(RowState::Ready) > 0,
        Phase::Settled | Phase::Done => false,
    };
    view! {
        <When condition=shown>
            <section class="bar" tabindex="-1">
                <When condition=confirm>
                    <Confirm/>
                </When>
                <When condition=move || phase.get() == Phase::Sending>
                    <Progress/>
                </When>
                <When condition=move || phase.get() == Phase::Settled>
                    <Failed/>
                </When>
            </section>
        </When>
    }
}

#[component]
fn Confirm() -> impl IntoView {
    let page = expect_context::<Page>();
    let ready = move || {
        let open = page.trouble.with(String::is_empty);
        if open { page.count(RowState::Ready) } else { 0 }
    };
    let note = move || {
        if ready() == 0 {
            return t("confirm.none");
        }
        let size = page.ready_size();
        let values = [
            ("size", &*format::size(size)),
            ("app", &*page.link.app_name),
        ];
        tf("confirm.note", &values)
    };
    view! {
        <p class="small">{note}</p>
        <When condition=move || { ready() > 0 }>
            <button class="btn" type="button" data-testid="confirm" on:click=|_| confirm()>
                {move || tn("confirm.button", ready(), &[])}
            </button>
        </When>
    }
}

#[component]
fn Progress() -> impl IntoView {
    let sum = expect_context::<Page>().sum;
    let paused = move || sum.with(|sum| sum.paused);
    let percent = move || sum.with(|sum| (sum.percent, sum.reach));
    let said = move || {
        let percent = format::decimal(percent().0.into());
        tf("progress.percent", &[("percent", &percent)])
    };
    view! {
        <p class="sum">
            <span>{move || tn("progress.title", sum.with(|sum| sum.files), &[])}</span>
            <span>{said}</span>
        </p>
        <Track name="progress-all" label=t("progress.label") percent=Arc::new(percent)/>
        <p class="small">{move || sum.with(note)}</p>
        <div class="pair">
            <button
                class="again"
                type="button"
                data-testid=move || (if paused() { "resume-all" } else { "pause-all" }).to_owned()
                on:click=move |_| pause(None, !untrack(paused))
            >
                {move || t(if paused() { "progress.resume" } else { "progress.pause" })}
            </button>
            <button
                class="again"
                type="button"
                data-testid="cancel-all"
                on:click=|_| cancel_all()
            >
                {t("progress.cancel")}
            </button>
        </div>
    }
}

fn note(sum: &Sum) -> String {
    if sum.cut {
        return t("progress.offline");
    }
    let (done, size) = (format::size(sum.done), format::size(sum.total));
    let mut note = tf("progress.note", &[("done", &done), ("size", &size)]);
    if let Some(rate) = sum.rate {
        note.push_str(format::DOT);
        note.push_str(&tf("progress.rate", &[("size", &format::size(rate))]));
    }
    if let Some(seconds) = sum.left {
        let (key, n) = match seconds {
            0..60 => ("left.seconds", seconds),
            60..3600 => ("left.minutes", seconds / 60),
            _ => ("left.hours", seconds / 3600),
        };
        note.push_str(format::DOT);
        note.push_str(&tn(key, n as usize, &[]));
    }
    note
}

#[component]
fn Failed() -> impl IntoView {
    let page = expect_context::<Page>();
    let failed = move || page.count(RowState::Failed);
    // Only when there is something to go on with.
    let rest = move || page.count(RowState::Stored) > 0;
    let can_retry = move || page.some_can_retry();
    view! {
        <p class="sum">{move || tn("result.failed", failed(), &[])}</p>
        <When condition=can_retry>
            <button class="btn" type="button" data-testid="retry" on:click=|_| retry(None)>
                {t("result.retry")}
            </button>
        </When>
        <When condition=rest>
            <button class="btn soft" type="button" data-testid="skip" on:click=|_| skip_failed()>
                {move || tn("result.skip", failed(), &[])}
            </button>
        </When>
    }
}
