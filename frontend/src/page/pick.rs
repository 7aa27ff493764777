//! Takes picked files in.

use std::cell::Cell;

use chatlift_frontend::uploader::Key;
use chatlift_frontend::wire::Link;
use chatlift_frontend::{accept, format};
use leptos::prelude::*;
use web_sys::File;

use super::words::too_large;
use super::{Phase, REPLACED, Row, RowState, View, page};
use crate::i18n::{complete, problem, t};
use crate::{dom, engine};

thread_local! {
    static KEYS: Cell<Key> = const { Cell::new(0) };
}

/// Takes picked files in. One that is said to be empty is read first.
pub(crate) fn add(files: Vec<File>) {
    if files.iter().all(|file| file.size() > 0.0) {
        return take(files);
    }
    dom::spawn(async {
        let mut sized = Vec::new();
        for file in files {
            sized.push(match file.size() {
                0.0 => engine::with_its_size(file).await,
                _ => file,
            });
        }
        take(sized);
    });
}

fn take(files: Vec<File>) {
    let Some(s) = page() else { return };
    if !untrack(|| s.takes()) {
        return;
    }
    if let Some(key) = REPLACED.take() {
        super::remove(&[key]);
    }
    let mut room = untrack(|| s.room());
    let (mut already, mut left_out) = (0, 0);
    let mut added = Vec::new();
    for file in files {
        // The size of a file: whole and not negative.
        let (name, size) = (dom::text(&file, "name"), file.size() as u64);
        let error = refusal(s.link, &name, size, &dom::text(&file, "type"));
        if engine::has(&file) {
            already += 1;
        } else if error.is_empty() && room == 0 {
            left_out += 1;
        } else {
            room -= usize::from(error.is_empty());
            let key = KEYS.get() + 1;
            KEYS.set(key);
            let ready = error.is_empty();
            let view = View {
                state: if ready {
                    RowState::Ready
                } else {
                    RowState::Refused
                },
                percent: 0,
                reach: 0,
                note: if ready {
                    t("state.ready")
                } else {
                    String::new()
                },
                error,
                can_retry: false,
                turned: 0,
            };
            if ready {
                dom::thumbnail(&file, key);
            }
            engine::keep(key, file);
            added.push(Row {
                key,
                name,
                size,
                view: RwSignal::new(view),
            });
        }
    }
    let mut notice = Vec::new();
    for (key, n) in [("notice.already", already), ("notice.left-out", left_out)] {
        if n > 0 {
            notice.push(crate::i18n::tn(key, n, &[]));
        }
    }
    s.notice.set(format::join(&notice, " "));
    if !added.is_empty() {
        complete();
        // What is on its way goes on.
        if s.phase.get_untracked() != Phase::Sending {
            s.phase.set(Phase::Picking);
        }
        s.rows.update(|rows| rows.extend(added));
    }
}

/// Why a file cannot be sent, as far as the page can tell; empty if it can.
fn refusal(link: &Link, name: &str, size: u64, media_type: &str) -> String {
    if size == 0 {
        problem("file-empty")
    } else if size > link.max_file_size {
        too_large(size, link.max_file_size)
    } else if accept::is_clearly_wrong(&link.accept, media_type, name) {
        problem("file-type-not-accepted")
    } else {
        String::new()
    }
}
