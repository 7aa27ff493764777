//! What buttons do, and what the browser says of the page as a whole.

use chatlift_frontend::format;
use chatlift_frontend::uploader::{Key, Wake};
use js_sys::Promise;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;

use super::{ARRIVED, Page, Phase, REPLACED, Row, RowState, follow, page, show, wake};
use crate::i18n::{t, tf};
use crate::{dom, engine, focus, pickers};

/// Listens to what concerns the whole page.
pub(crate) fn listen() {
    dom::listen(&dom::window(), "online", |_| engine::wake(Wake::Person));
    dom::listen(&dom::document(), "submit", |event| event.prevent_default());
    dom::listen(&dom::document(), "visibilitychange", |_| {
        wake::wakeful();
        wake::count_hidden();
        follow::poll_receipts();
    });
    dom::listen(&dom::window(), "offline", |_| show::sync());
    dom::listen(&dom::window(), "beforeunload", |event| {
        if engine::progress().1 {
            event.prevent_default();
            // Older browsers ask only for this.
            dom::set(&event, "returnValue", "");
        }
    });
    follow::poll_receipts();
}

/// Copies the page's address, to be opened in another browser.
pub(crate) fn copy_address() {
    let Some(s) = page() else { return };
    let address = dom::address("href");
    let clipboard = dom::get(&dom::window().navigator(), "clipboard");
    let asked = clipboard.and_then(|clipboard| dom::call(&clipboard, "writeText", &address));
    dom::spawn(async move {
        // A browser may have a clipboard and refuse it.
        let copied = match asked.map(JsCast::dyn_into::<Promise>) {
            Some(Ok(promise)) => JsFuture::from(promise).await.is_ok(),
            _ => false,
        };
        // The address itself can be copied by hand.
        s.notice
            .set(if copied { t("inapp.copied") } else { address });
    });
}

/// Says something of the last pick.
pub(crate) fn say(notice: String) {
    if let Some(s) = page() {
        s.notice.set(notice);
    }
}

/// Takes files off the list: picks, some on their way, or some that failed. One that the edge may have
/// stored stays until it is taken back.
pub(crate) fn remove(keys: &[Key]) {
    let Some(s) = page() else { return };
    s.notice.set(String::new());
    for &key in keys {
        if !engine::cancel(key) {
            gone(key);
        }
    }
    engine::pump();
}

/// Nothing is left of a file that was given up.
pub(crate) fn gone(key: Key) {
    let Some(s) = page() else { return };
    s.rows.update(|rows| rows.retain(|row| row.key != key));
}

/// Lets another file be picked in place of one that cannot be sent.
pub(crate) fn choose_another(key: Key) {
    REPLACED.set(Some(key));
    pickers::open();
}

/// Goes on without some of the files.
fn give_up(which: fn(RowState) -> bool) {
    let Some(s) = page() else { return };
    let rows = s.rows.get_untracked();
    let given_up: Vec<Key> = rows
        .iter()
        .filter(|row| row.view.with_untracked(|view| which(view.state)))
        .map(|row| row.key)
        .collect();
    remove(&given_up);
}

/// Goes on without all that is on its way.
pub(crate) fn cancel_all() {
    give_up(RowState::is_under_way);
}

/// Goes on without all that failed.
pub(crate) fn skip_failed() {
    give_up(|state| state == RowState::Failed);
}

/// Holds a file, or lets it go on; all, if `key` is `None`.
pub(crate) fn pause(key: Option<Key>, paused: bool) {
    let Some(s) = page() else { return };
    show::forget_speed();
    for row in s.rows.get_untracked() {
        if key.is_none_or(|key| key == row.key) {
            engine::pause(row.key, paused);
        }
    }
    engine::pump();
}

/// Sends what was picked.
pub(crate) fn confirm() {
    let Some(s) = page() else { return };
    for row in s.rows.get_untracked() {
        if row
            .view
            .with_untracked(|view| view.state == RowState::Ready)
        {
            send(s, &row);
        }
    }
    s.notice.set(String::new());
    if untrack(|| s.count(RowState::Stored)) == 0 {
        ARRIVED.set(false);
    }
    s.phase.set(Phase::Sending);
    engine::pump();
}

/// Moves a file before or behind its neighbour, in a scene that joins them, and says where it is then.
pub(crate) fn shift(key: Key, up: bool) {
    let Some(s) = page() else { return };
    // A browser takes the focus from what is moved.
    focus::hold();
    s.rows.update(|rows| {
        let Some(from) = rows.iter().position(|row| row.key == key) else {
            return;
        };
        let to = if up { from.wrapping_sub(1) } else { from + 1 };
        let to = if to < rows.len() { to } else { from };
        rows.swap(from, to);
        let number = |n: usize| format::decimal(n as u64);
        let values = [
            ("name", &*rows[to].name),
            ("n", &number(to + 1)),
            ("all", &number(rows.len())),
        ];
        s.live.set(tf("order.moved", &values));
    });
}

/// Turns the pages of a file by a quarter, clockwise.
pub(crate) fn turn(key: Key) {
    let Some(s) = page() else { return };
    for row in s.rows.get_untracked() {
        if row.key == key {
            row.view.update(|view| {
                view.turned = (view.turned + 90) % 360;
                let degrees = format::decimal(view.turned.into());
                view.note = [&*t("state.ready"), format::DOT, &degrees, "°"].concat();
            });
        }
    }
}

/// Sends a file, with the note as it is written at the moment.
fn send(s: Page, row: &Row) {
    let note = dom::document().get_element_by_id("note");
    let note = note.filter(|_| s.link.note);
    let note = note
        .map(|note| dom::text(&note, "value"))
        .unwrap_or_default();
    let turned = row.view.with_untracked(|view| view.turned);
    engine::start(row.key, row.size, s.link.single_request_max, (note, turned));
}

/// Sends a file that failed once more; all that can be, if `key` is `None`.
pub(crate) fn retry(key: Option<Key>) {
    let Some(s) = page() else { return };
    for row in s.rows.get_untracked() {
        let wanted = key.is_none_or(|key| key == row.key);
        if wanted && row.view.with_untracked(|view| view.can_retry) {
            send(s, &row);
        }
    }
    s.phase.set(Phase::Sending);
    engine::pump();
}
