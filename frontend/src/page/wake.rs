//! Keeps the screen awake, and tells the engine how long nobody could see it.

use std::cell::{Cell, RefCell};

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::{dom, engine};

/// Tells the engine, once the page is visible again, for how long it was not.
pub(super) fn count_hidden() {
    thread_local! {
        static SINCE: Cell<Option<f64>> = const { Cell::new(None) };
    }
    let now = dom::now();
    if dom::document().hidden() {
        SINCE.set(SINCE.get().or(Some(now)));
    } else if let Some(since) = SINCE.take() {
        engine::hidden(now - since);
    }
}

/// Keeps the screen awake while files are on their way, where the browser can.
pub(super) fn wakeful() {
    thread_local! {
        static LOCK: RefCell<Option<JsValue>> = const { RefCell::new(None) };
    }
    let live = engine::progress().1 && !dom::document().hidden();
    let held = LOCK.with(|lock| lock.borrow().is_some());
    if live == held {
        return;
    }
    // A promise of a lock; to release it one waits for it.
    let lock = if live {
        let wake_lock = dom::get(&dom::window().navigator(), "wakeLock");
        wake_lock.and_then(|wake_lock| dom::call(&wake_lock, "request", "screen"))
    } else {
        None
    };
    if let Some(Ok(asked)) = lock.clone().map(JsCast::dyn_into::<Promise>) {
        // A browser that refuses does so by rejecting, which is no error of the page.
        dom::spawn(async move { drop(JsFuture::from(asked).await) });
    }
    if let Some(old) = LOCK.with(|own| own.replace(lock))
        && let Ok(promise) = old.dyn_into::<Promise>()
    {
        dom::spawn(async move {
            if let Ok(sentinel) = JsFuture::from(promise).await {
                dom::call(&sentinel, "release", "");
            }
        });
    }
}
