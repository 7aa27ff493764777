//! The few things of the browser that more than one module needs: its clock, its random source,
//! timers and listeners.

use std::pin::Pin;

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use web_sys::{Document, Element, Event, EventTarget, Window};

/// The window. The page's program runs nowhere else.
pub(crate) fn window() -> Window {
    js_sys::global().unchecked_into()
}

/// What this tab remembers under a name, also when it is reloaded. Nothing where the browser keeps nothing.
pub(crate) fn recall(name: &str) -> Option<String> {
    window().session_storage().ok()??.get_item(name).ok()?
}

/// See [`recall`].
pub(crate) fn remember(name: &str, value: &str) {
    if let Ok(Some(kept)) = window().session_storage() {
        // A full one remembers nothing more, and the file is sent again.
        let _ = kept.set_item(name, value);
    }
}

/// See [`recall`].
pub(crate) fn forget(name: &str) {
    if let Ok(Some(kept)) = window().session_storage() {
        let _ = kept.remove_item(name);
    }
}

pub(crate) fn document() -> Document {
    // `document` cannot fail in a window, and a panic's text would only cost bytes.
    Reflect::get(&js_sys::global(), &"document".into())
        .unwrap_or_default()
        .unchecked_into()
}

/// The `<html>` element.
pub(crate) fn html() -> Element {
    get(&document(), "documentElement")
        .unwrap_or_default()
        .unchecked_into()
}

/// Gives an element an attribute without a value, or takes it away: `toggleAttribute`, which Chrome
/// before 69 lacks.
pub(crate) fn mark(element: &Element, name: &str, on: bool) {
    let _ = if on {
        element.set_attribute(name, "")
    } else {
        element.remove_attribute(name)
    };
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

#[wasm_bindgen(module = "/thumbnail.js")]
extern "C" {
    /// Draws a small picture of a file into the row with this key, if the browser can.
    pub(crate) fn thumbnail(file: &web_sys::File, key: u32);
}

/// Milliseconds on a steady clock (High Resolution Time, section 4): nobody sets it, so no wait becomes
/// longer by that.
pub(crate) fn now() -> f64 {
    performance_now()
}

/// The moment that the device's clock shows (RFC 3339): to be shown, not to be counted with.
pub(crate) fn iso_now() -> String {
    js_sys::Date::new_0().to_iso_string().into()
}

pub(crate) fn random() -> f64 {
    js_sys::Math::random()
}

/// What the device says of its connection. `false` is a hint, not a proof: some in-app browsers
/// say so while they are connected, so nothing is held back for it.
pub(crate) fn online() -> bool {
    window().navigator().on_line()
}

/// Calls `then` after `ms` milliseconds.
pub(crate) fn after(ms: f64, then: impl FnOnce() + 'static) {
    let then = Closure::once_into_js(then);
    set_timeout(then.unchecked_ref(), ms);
}

/// Resolves with nothing in `ms` milliseconds.
pub(crate) fn timer(ms: f64) -> Promise {
    Promise::new(&mut |resolve: Function, _| set_timeout(&resolve, ms))
}

/// Waits for `ms` milliseconds.
pub(crate) async fn sleep(ms: f64) {
    let _ = wasm_bindgen_futures::JsFuture::from(timer(ms)).await;
}

fn set_timeout(then: &Function, ms: f64) {
    // Timers take 32 bits; none of the page's waits comes near.
    let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(then, ms as i32);
}

/// Listens for as long as the page lives.
pub(crate) fn listen(target: &EventTarget, name: &str, with: impl FnMut(Event) + 'static) {
    let with: Closure<dyn FnMut(Event)> = Closure::new(with);
    let _ = target.add_event_listener_with_callback(name, with.into_js_value().unchecked_ref());
}

/// Starts a task. Boxed here, so that all tasks share one copy of what drives them.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    let task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task);
    wasm_bindgen_futures::spawn_local(task);
}

/// The names and values of an object whose values are texts.
pub(crate) fn entries(object: &JsValue) -> Vec<(String, String)> {
    let entries = Object::entries(object.unchecked_ref());
    let pair = |entry: JsValue| {
        let pair = Array::from(&entry);
        Some((pair.get(0).as_string()?, pair.get(1).as_string()?))
    };
    entries.iter().filter_map(pair).collect()
}

/// What the browser says that it is.
pub(crate) fn user_agent() -> String {
    text(&window().navigator(), "userAgent")
}

/// Calls `object[name](argument)`, if there is such a function: for what not every browser has.
pub(crate) fn call(object: &JsValue, name: &str, argument: &str) -> Option<JsValue> {
    let function: Function = get(object, name)?.dyn_into().ok()?;
    function.call1(object, &argument.into()).ok()
}

/// Loads the page anew.
pub(crate) fn reload() {
    let _ = window().location().reload();
}

/// A part of the page's address, as `Location` names it.
pub(crate) fn address(part: &str) -> String {
    text(&window().location(), part)
}

/// A text that an object has; empty if it has none. Properties that are asked for once in a while are
/// read and set by their names: each getter of web-sys is loaded with its glue by everybody.
pub(crate) fn text(object: &JsValue, name: &str) -> String {
    let value = get(object, name).and_then(|value| value.as_string());
    value.unwrap_or_default()
}

/// Sets a property of an object.
pub(crate) fn set(object: &JsValue, name: &str, value: impl Into<JsValue>) {
    set_value(object, name, &value.into());
}

fn set_value(object: &JsValue, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}

/// A property of an object; nothing if it is undefined or null.
pub(crate) fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}
