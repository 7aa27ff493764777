//! Ways of picking files. Each takes what it got to [`crate::page::add`].

mod drop;
mod input;
mod paste;

pub(crate) use input::{app, open, set_accept};

use js_sys::Array;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::File;

use crate::dom;

/// Listens to all ways, and takes over what was picked before the program ran.
pub(crate) fn start() {
    input::start();
    drop::start();
    paste::start();
}

/// The files that an object of the browser has under a name.
fn files(of: &JsValue, name: &str) -> Vec<File> {
    let Some(list) = dom::get(of, name) else {
        return Vec::new();
    };
    let list = Array::from(&list);
    list.iter().map(|file| file.unchecked_into()).collect()
}
