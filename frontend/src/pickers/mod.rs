//! Ways of picking files. Each takes what it got to [`crate::page::add`].

mod drop;
mod input;
mod paste;

pub(crate) use input::{app, set_accept};

/// Listens to all ways, and takes over what was picked before the program ran.
pub(crate) fn start() {
    input::start();
    drop::start();
    paste::start();
}

/// The files of a list of the browser.
fn files(list: Option<web_sys::FileList>) -> Vec<web_sys::File> {
    let Some(list) = list else { return Vec::new() };
    (0..list.length()).filter_map(|at| list.get(at)).collect()
}
