//! Takes stored files back, for as long as the app has not.

use chatlift_frontend::wire::File as StoredFile;
use chatlift_shared::ProblemCode;
use chatlift_shared::api::ReceiptStatus;
use leptos::prelude::*;

use super::{Held, Page, Phase, TakeBack, page, words};
use crate::i18n::tf;
use crate::{api, dom, engine};

/// Whether the person may take it back: this tab sent it, and the app has not taken it.
pub(crate) fn can_be_taken_back(file: &StoredFile) -> bool {
    let status = file.receipt.as_ref().map(|receipt| receipt.status);
    status != Some(ReceiptStatus::Delivered) && engine::ticket_of_stored(&file.id).is_some()
}

/// Asks whether that is meant.
pub(crate) fn ask_take_back(id: &str) {
    if let Some(s) = page() {
        set(s, Some((id.to_owned(), TakeBack::Asked)));
    }
}

/// Takes the file back that the person was asked about, or leaves it.
pub(crate) fn answer_take_back(meant: bool) {
    let Some(s) = page() else { return };
    let asked = s.held.with_untracked(|held| held.back.clone());
    let asked = asked.filter(|_| meant).and_then(|(id, _)| {
        let file = s.held.with_untracked(|held| {
            let mut files = held.files.iter();
            files.find(|file| file.id == id).cloned()
        })?;
        Some((file, engine::ticket_of_stored(&id)?))
    });
    let Some((file, (upload, ticket))) = asked else {
        return set(s, None);
    };
    set(s, Some((file.id.clone(), TakeBack::Running)));
    dom::spawn(async move {
        match api::withdraw(&upload, &ticket).await {
            Err(failure) if !failure.is_gone() => {
                let (why, _) = words::explain(file.size, &failure);
                set(s, Some((file.id, TakeBack::Failed(why))));
            }
            _ => taken_back(s, &file),
        }
    });
}

fn set(s: Page, back: Option<(String, TakeBack)>) {
    s.held.update(|held| held.back = back);
}

/// The edge has nothing of it any more.
fn taken_back(s: Page, file: &StoredFile) {
    engine::forget_stored(&file.id);
    // A link that had all its files takes another one now. First, so that the input takes the focus of what goes.
    if !s.link.join
        && s.trouble
            .with_untracked(|code| code == ProblemCode::LinkFull.code())
    {
        s.trouble.set(String::new());
    }
    s.held.update(|held: &mut Held| {
        held.files.retain(|known| known.id != file.id);
        // One whose files are joined takes none in the place of its last.
        let full = held.left == 0 && s.link.join;
        held.left += u32::from(!full);
        held.back = None;
    });
    if s.held.with_untracked(|held| held.files.is_empty()) {
        s.phase.set(Phase::Picking);
    }
    s.live.set(tf("back.done", &[("name", &file.name)]));
}
