//! Files pasted into the page, such as a screenshot.

use crate::{dom, page};

pub(super) fn start() {
    dom::listen(&dom::document(), "paste", |event| {
        let data = dom::get(&event, "clipboardData").unwrap_or_default();
        let files = super::files(&data, "files");
        if !files.is_empty() {
            event.prevent_default();
            page::add(files);
        }
    });
}
