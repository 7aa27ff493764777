//! What buttons do, and what the browser says of the page as a whole.

use chatlift_frontend::format;
use chatlift_frontend::uploader::{Key, Wake};
use wasm_bindgen::JsCast as _;
use web_sys::{Element, Event};

use super::{Phase, RowState, follow, page, show, wake};
use crate::i18n::t;
use crate::live::LiveView;
use crate::{dom, engine};

/// Listens to what concerns the whole page.
pub(crate) fn listen() {
    dom::listen(&dom::window(), "online", |_| engine::wake(Wake::Person));
    dom::listen(&dom::document(), "click", |event| {
        if let Some((what, key)) = clicked(&event) {
            event.prevent_default();
            act(&what, key);
        }
    });
    dom::listen(&dom::document(), "submit", |event| event.prevent_default());
    dom::listen(&dom::document(), "visibilitychange", |_| {
        wake::wakeful();
        wake::count_hidden();
    });
    dom::listen(&dom::window(), "offline", |_| show::sync());
    dom::listen(&dom::window(), "beforeunload", |event| {
        if engine::progress().1 {
            event.prevent_default();
            // Older browsers ask only for this.
            dom::set(&event, "returnValue", "");
        }
    });
    follow::poll();
}

/// What a clicked element does, and for which file.
fn clicked(event: &Event) -> Option<(String, Option<Key>)> {
    let target: Element = event.target()?.dyn_into().ok()?;
    let element = target.closest("[data-do]").ok()??;
    let key = element.get_attribute("data-key");
    let key = key.and_then(|key| format::number(&key));
    Some((element.get_attribute("data-do")?, key))
}

/// Does what a button says.
fn act(what: &str, key: Option<Key>) {
    match (what, key) {
        ("confirm", _) => confirm(),
        ("retry", key) => retry(key),
        ("pause", key) => pause(key, true),
        ("resume", key) => pause(key, false),
        ("remove", Some(key)) => remove(&[key]),
        ("cancel-all", _) => give_up(RowState::is_under_way),
        ("skip", _) => give_up(|state| state == RowState::Failed),
        ("copy", _) => copy(),
        _ => {
            let _ = dom::window().location().reload();
        }
    }
}

/// Copies the page's address, to be opened in another browser.
fn copy() {
    let Some((_, s)) = page() else { return };
    let address = dom::address("href");
    let clipboard = dom::get(&dom::window().navigator(), "clipboard");
    let copied = clipboard.and_then(|clipboard| dom::call(&clipboard, "writeText", &address));
    // Without a clipboard, the address itself can be copied by hand.
    s.notice().set(match copied {
        Some(_) => t("inapp.copied"),
        None => address,
    });
}

/// Takes files off the list: picks, some on their way, or some that failed.
fn remove(keys: &[Key]) {
    let Some((_, s)) = page() else { return };
    for &key in keys {
        engine::drop_file(key);
        LiveView::forget(key);
    }
    s.notice().set(String::new());
    s.rows()
        .update(|rows| rows.retain(|row| !keys.contains(&row.key)));
    engine::pump();
}

/// Goes on without some of the files.
fn give_up(which: fn(RowState) -> bool) {
    let Some((_, s)) = page() else { return };
    let rows = s.rows().get_untracked();
    let given_up: Vec<Key> = rows
        .iter()
        .filter(|row| row.view.with_untracked(|view| which(view.state)))
        .map(|row| row.key)
        .collect();
    remove(&given_up);
}

/// Holds a file, or lets it go on; all, if `key` is `None`.
fn pause(key: Option<Key>, paused: bool) {
    let Some((_, s)) = page() else { return };
    show::forget_speed();
    for row in s.rows().get_untracked() {
        if key.is_none_or(|key| key == row.key) {
            engine::pause(row.key, paused);
        }
    }
    engine::pump();
}

/// Sends what was picked.
pub(crate) fn confirm() {
    let Some((link, s)) = page() else { return };
    for row in s.rows().get_untracked() {
        if row
            .view
            .with_untracked(|view| view.state == RowState::Ready)
        {
            engine::start(row.key, row.size, link.single_request_max);
        }
    }
    s.notice().set(String::new());
    s.arrived().set(false);
    s.phase().set(Phase::Sending);
    engine::pump();
}

/// Sends a file that failed once more; all that can be, if `key` is `None`.
pub(crate) fn retry(key: Option<Key>) {
    let Some((link, s)) = page() else { return };
    for row in s.rows().get_untracked() {
        let wanted = key.is_none_or(|key| key == row.key);
        if wanted && row.view.with_untracked(|view| view.can_retry) {
            engine::start(row.key, row.size, link.single_request_max);
        }
    }
    s.phase().set(Phase::Sending);
    engine::pump();
}
