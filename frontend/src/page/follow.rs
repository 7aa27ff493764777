//! Asks the edge what became of the stored files.

use std::cell::Cell;

use chatlift_frontend::wire::{self, File as StoredFile};
use chatlift_shared::api::ReceiptStatus;

use leptos::prelude::*;

use super::{Held, Phase, page};
use crate::i18n::complete;
use crate::{api, dom};

thread_local! {
    static POLLING: Cell<bool> = const { Cell::new(false) };
}

/// First and longest wait between two questions what became of the files, in milliseconds.
const POLL_MS: (f64, f64) = (3_000.0, 30_000.0);

/// Questions after which the page gives up: about ten minutes of a visible page. It begins anew when
/// the person comes back to the page.
const POLLS_MAX: u32 = 28;

/// Asks the edge from time to time what became of the files, until each has its final receipt. Not
/// while nobody can see it: called again when the page is shown.
pub(super) fn poll_receipts() {
    let Some(s) = page() else { return };
    if POLLING.replace(true) {
        return;
    }
    dom::spawn(async move {
        let (mut wait, mut polls) = (POLL_MS.0, 0);
        let some_open_ended = || {
            s.held
                .with_untracked(|held| held.files.iter().any(is_open_ended))
        };
        while polls < POLLS_MAX && some_open_ended() {
            dom::sleep(wait).await;
            complete();
            if dom::document().hidden() {
                break;
            }
            if s.phase.get_untracked() == Phase::Sending {
                continue;
            }
            polls += 1;
            wait = (wait * 1.3).min(POLL_MS.1);
            let answer = api::page("?texts=none").await;
            let link = answer
                .ok()
                .and_then(|data| wire::link(&wire::Value::get(&data, "link")?));
            if let Some(link) = link
                && s.phase.get_untracked() != Phase::Sending
            {
                let known = |held: &Held| held.files == link.files && held.left == link.files_left;
                if !s.held.with_untracked(known) {
                    s.held.update(|held| {
                        (held.files, held.left) = (link.files, link.files_left);
                    });
                }
            }
        }
        POLLING.set(false);
    });
}

fn is_open_ended(file: &StoredFile) -> bool {
    let status = file.receipt.as_ref().map(|receipt| receipt.status);
    !matches!(
        status,
        Some(ReceiptStatus::Delivered | ReceiptStatus::Rejected)
    )
}
