//! Keeps the screen awake.

use std::cell::RefCell;

use js_sys::Promise;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::{dom, engine};

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
