//! Shows how the machine stands.

use std::cell::{Cell, RefCell};
use std::thread::LocalKey;

use chatlift_frontend::format;
use chatlift_frontend::uploader::{Speed, State, Transfer};
use chatlift_frontend::wire::File as StoredFile;
use leptos::prelude::*;

use super::words::{self, view};
use super::{ARRIVED, Held, Page, Phase, RowState, Sum, follow, page, wake};
use crate::i18n::tf;
use crate::{dom, engine};

thread_local! {
    static SPEED: RefCell<Speed> = RefCell::default();
    /// Whether a [`sync`] is due, since bytes have moved.
    static DUE: Cell<bool> = const { Cell::new(false) };
    /// Whether one is due, since a speed is shown.
    static STILL_DUE: Cell<bool> = const { Cell::new(false) };
}

/// The edge has stored a file.
pub(crate) fn stored(file: StoredFile) {
    let Some(s) = page() else { return };
    // The same file twice is one that was retried after its answer got lost.
    let known = |held: &Held| held.files.iter().any(|known| known.id == file.id);
    if !s.held.with_untracked(known) {
        s.held.update(|held| {
            held.files.push(file);
            held.left = held.left.saturating_sub(1);
        });
    }
    ARRIVED.set(true);
}

/// Shows how the machine stands.
pub(crate) fn sync() {
    let Some(s) = page() else { return };
    let now = dom::now();
    let (mut files, mut moving, mut waiting) = (0, false, false);
    let mut ended = None;
    for row in s.rows.get_untracked() {
        let look = |_, transfer: &Transfer| {
            let trouble = transfer.trouble(now).is_some();
            waiting |= trouble;
            ended = ended.or_else(|| words::end_of_link(transfer));
            moving |= *transfer.state() == State::Uploading && !trouble && !transfer.is_paused();
            view(&row, transfer, now)
        };
        if let Some(view) = engine::read(row.key, look)
            && row.view.with_untracked(|old| *old != view)
        {
            row.view.set(view);
        }
        let state = row.view.with_untracked(|view| view.state);
        files += usize::from(state.is_under_way() || state == RowState::Stored);
    }
    if let Some(code) = ended
        && s.trouble.with_untracked(String::is_empty)
    {
        s.trouble.set(code.code().to_owned());
    }
    let (progress, live, carried) = engine::progress();
    let count = |state| untrack(|| s.count(state));
    let paused =
        count(RowState::Paused) > 0 && count(RowState::Uploading) + count(RowState::Queued) == 0;
    let speed = SPEED.with(|speed| {
        let mut speed = speed.borrow_mut();
        speed.sample(now, carried);
        *speed
    });
    // The device may say that it is offline while bytes flow.
    let cut = !dom::online() && waiting && !moving;
    // While all that is under way waits for the network, there is neither a speed nor an end.
    let shown = !paused && live && (moving || !waiting);
    let rest = progress.total.saturating_sub(progress.done);
    let sum = Sum {
        files,
        percent: progress.percent(),
        reach: progress.reach(),
        done: progress.done,
        total: progress.total,
        cut,
        paused,
        rate: speed.per_second(now).filter(|_| shown),
        left: speed.seconds_left(now, rest).filter(|_| shown),
    };
    if sum.rate.is_some() {
        // Nothing tells that bytes stand still.
        sync_after(&STILL_DUE, 1_000.0);
    }
    if s.sum.with_untracked(|old| *old != sum) {
        // Each quarter is worth a word, not each percent.
        if sum.percent / 25 != s.sum.with_untracked(|old| old.percent / 25) && live {
            s.live.set(tf(
                "progress.live",
                &[("percent", &format::decimal(sum.percent.into()))],
            ));
        }
        s.sum.set(sum);
    }
    wake::wakeful();
    let phase = s.phase.get_untracked();
    // What was picked while others were on their way may be taken off again when these have arrived.
    let nothing_else = || count(RowState::Ready) == 0 && count(RowState::Stored) > 0;
    if !live && (matches!(phase, Phase::Sending | Phase::Settled) || nothing_else()) {
        settle(s, phase);
    }
}

/// Shows how the machine stands, soon: bytes move far more often than an eye follows.
pub(crate) fn sync_soon() {
    sync_after(&DUE, 200.0);
}

fn sync_after(due: &'static LocalKey<Cell<bool>>, ms: f64) {
    if !due.replace(true) {
        dom::after(ms, || {
            due.set(false);
            sync();
        });
    }
}

/// Nothing is on its way any more.
fn settle(s: Page, was: Phase) {
    let failed = untrack(|| s.count(RowState::Failed));
    let phase = if untrack(|| s.count(RowState::Ready)) > 0 {
        // Picked meanwhile, and not confirmed yet.
        Phase::Picking
    } else if failed > 0 {
        Phase::Settled
    } else if ARRIVED.get() {
        Phase::Done
    } else {
        Phase::Picking
    };
    if phase == was {
        return;
    }
    if phase == Phase::Done {
        if s.link.join {
            let rows = s.rows.get_untracked();
            engine::finish(&rows.iter().map(|row| row.key).collect::<Vec<_>>());
        }
        engine::clear();
        s.rows.set(Vec::new());
        s.live.set(crate::i18n::tn(
            "success.title",
            s.held.with_untracked(|held| held.files.len()),
            &[],
        ));
        dom::window().scroll_to_with_x_and_y(0.0, 0.0);
    } else if phase == Phase::Settled {
        s.live.set(crate::i18n::tn("result.failed", failed, &[]));
    }
    s.phase.set(phase);
    SPEED.with(|speed| speed.borrow_mut().reset());
    follow::poll_receipts();
}

/// What was measured of the speed holds no more: files were held, or let go.
pub(super) fn forget_speed() {
    SPEED.with(|speed| speed.borrow_mut().reset());
}
