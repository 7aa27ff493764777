//! Files that were on their way when the tab was reloaded: a program cannot open them again by itself, so
//! the person is asked to choose them once more, and then they go on where they were.
//!
//! A tab keeps of each file on its way its name, its size and how far it is, under its link. It is the tab's own:
//! another tab may be sending the same file, and is not asked.

use chatlift_frontend::format;
use web_sys::File;

use super::{FILES, Key, State, read};
use crate::{api, dom};

/// A file that waits to be chosen again.
pub(crate) struct Waiting {
    pub(crate) name: String,
    /// In bytes, as a decimal number.
    pub(crate) size: String,
    /// How far it was, as the edge had said.
    pub(crate) percent: String,
}

/// What the tab remembers a file by: its link, how large it is and its name.
fn name_of(file: &File) -> String {
    // The size of a file: whole and not negative.
    let size = format::decimal(file.size() as u64);
    [&*prefix(), &size, " ", &*dom::text(file, "name")].concat()
}

fn prefix() -> String {
    [&*api::token(), " "].concat()
}

/// Notes how far a file is; nothing more of one that has come to an end.
pub(super) fn note(key: Key) {
    let far = read(key, |_, transfer| match transfer.state() {
        State::Stored | State::Cancelled | State::Cancelling { .. } => None,
        // What is on its way may not arrive.
        _ => Some(transfer.progress().percent()),
    });
    let Some(Some(percent)) = far else {
        return drop(key);
    };
    if let Some(name) = named(key) {
        dom::remember(&name, &format::decimal(percent.into()));
    }
}

/// It waits for nothing any more.
pub(super) fn drop(key: Key) {
    if let Some(name) = named(key) {
        dom::forget(&name);
    }
}

fn named(key: Key) -> Option<String> {
    FILES.with(|files| {
        let files = files.borrow();
        let file = files.iter().find(|file| file.key == key)?;
        Some(name_of(&file.file))
    })
}

/// The files that wait to be chosen again: those that the tab remembers and has not at hand.
pub(crate) fn waiting() -> Vec<Waiting> {
    let (prefix, mut found) = (prefix(), Vec::new());
    let Some(kept) = dom::get(&dom::window(), "sessionStorage") else {
        return found;
    };
    let at_hand: Vec<String> = FILES.with(|files| {
        let files = files.borrow();
        files.iter().map(|file| name_of(&file.file)).collect()
    });
    for (key, percent) in dom::entries(&kept) {
        if let Some((size, name)) = key
            .strip_prefix(&*prefix)
            .and_then(|rest| rest.split_once(' '))
            && !at_hand.contains(&key)
        {
            found.push(Waiting {
                name: name.to_owned(),
                size: size.to_owned(),
                percent,
            });
        }
    }
    found
}
