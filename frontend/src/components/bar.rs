//! The bar at the bottom: confirmation, progress in all, and what to do when some file failed.

use std::rc::Rc;

use chatlift_frontend::format;
use chatlift_frontend::wire::Link;

use super::el::At;
use super::rows::track;
use crate::i18n::{t, tf, tn};
use crate::page::{self, Phase, RowState, Signals};

pub(super) fn bar(at: &At, link: &Link, s: Signals) {
    let phase = s.phase().get();
    if phase == Phase::Done || s.rows().with(Vec::is_empty) {
        return;
    }
    let bar = at.el("section.bar");
    match phase {
        Phase::Picking => confirm(&bar, link, s),
        Phase::Sending => progress(&bar, s),
        Phase::Settled | Phase::Done => failed(&bar, s),
    }
}

fn confirm(bar: &At, link: &Link, s: Signals) {
    let ready = page::count(s, RowState::Ready);
    if ready == 0 {
        bar.say("p.small", t("confirm.none"));
        return;
    }
    let size: u64 = s.rows().with(|rows| {
        let ready = rows
            .iter()
            .filter(|row| row.view.with(|view| view.state == RowState::Ready));
        ready.map(|row| row.size).sum()
    });
    let note = tf(
        "confirm.note",
        &[("size", &format::size(size)), ("app", &link.app_name)],
    );
    bar.say("p.small", note);
    bar.say(
        "button.btn|type=button|data-testid=confirm|data-do=confirm",
        tn("confirm.button", ready, &[]),
    );
}

fn progress(bar: &At, s: Signals) {
    let sum = bar.el("p.sum");
    sum.el("span")
        .live_text(move || tn("progress.title", s.sum().with(|sum| sum.files), &[]));
    sum.el("span").live_text(move || {
        [
            &format::decimal(s.sum().with(|sum| sum.percent.into())),
            "%",
        ]
        .concat()
    });
    track(
        bar,
        "div.track|role=progressbar|data-testid=progress-all",
        &t("progress.label"),
        Rc::new(move || s.sum().with(|sum| (sum.percent, sum.reach))),
    );
    bar.el("p.small").live_text(move || note(s));
    let acts = bar.el("div.pair");
    let paused = move || s.sum().with(|sum| sum.paused);
    let hold = acts.el("button.again|type=button");
    hold.live_text(move || {
        t(if paused() {
            "progress.resume"
        } else {
            "progress.pause"
        })
    });
    for (name, held, going) in [
        ("data-do", "resume", "pause"),
        ("data-testid", "resume-all", "pause-all"),
    ] {
        hold.live_attr(name, move || {
            Some(if paused() { held } else { going }.to_owned())
        });
    }
    acts.say(
        "button.again|type=button|data-testid=cancel-all|data-do=cancel-all",
        t("progress.cancel"),
    );
}

fn note(s: Signals) -> String {
    let sum = s.sum().get();
    if sum.cut {
        return t("progress.offline");
    }
    let (done, size) = (format::size(sum.done), format::size(sum.total));
    let mut note = tf("progress.note", &[("done", &done), ("size", &size)]);
    if let Some(rate) = sum.rate {
        note.push_str(" · ");
        note.push_str(&tf("progress.rate", &[("size", &format::size(rate))]));
    }
    if let Some(seconds) = sum.left {
        let (key, n) = match seconds {
            0..60 => ("left.seconds", seconds),
            60..3600 => ("left.minutes", seconds / 60),
            _ => ("left.hours", seconds / 3600),
        };
        note.push_str(" · ");
        note.push_str(&tn(key, n as usize, &[]));
    }
    note
}

fn failed(bar: &At, s: Signals) {
    let failed = page::count(s, RowState::Failed);
    bar.say("p.sum", tn("result.failed", failed, &[]));
    let retry = s
        .rows()
        .with(|rows| rows.iter().any(|row| row.view.with(|view| view.can_retry)));
    if retry {
        bar.say(
            "button.btn|type=button|data-testid=retry|data-do=retry",
            t("result.retry"),
        );
    }
    // Only when there is something to go on with.
    if page::count(s, RowState::Stored) > 0 {
        bar.say(
            "button.btn soft|type=button|data-testid=skip|data-do=skip",
            tn("result.skip", failed, &[]),
        );
    }
}
