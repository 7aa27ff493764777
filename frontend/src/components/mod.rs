//! Components. Each file draws one piece of the page from the [`Page`] in its context, and holds
//! no state of its own.
//!
//! End-to-end tests hold on to these hooks, which stay when the looks change:
//!
//! | `data-testid` | what |
//! |---|---|
//! | `pick-input` | the file input, `id="pick"`; in index.html, never redrawn |
//! | `pick-button` | its label, for as long as files can be picked |
//! | `drop-zone` | where the label lies; files can be dropped on the whole page |
//! | `notice` | what of the last pick was left out |
//! | `file-row` | a picked file; `data-state` is `ready`, `refused`, `queued`, `uploading`, `paused`, `completing`, `cancelling`, `stored` or `failed`; `data-name` its name |
//! | `file-error` | in a row: why it is refused or failed |
//! | `file-progress` | in a row: `role=progressbar` with `aria-valuenow` |
//! | `remove`, `cancel`, `pause`, `resume`, `retry` | in a row: its buttons; `retry` is also in the bar |
//! | `pause-all`, `resume-all`, `cancel-all` | in the bar, while files are on their way |
//! | `in-app-help` | where this chat app's picker has the chats' files, and how to open the page elsewhere; `data-app` |
//! | `skip` | in the bar: goes on without the files that failed |
//! | `confirm` | the button that sends what was picked |
//! | `progress-all` | all files together: `role=progressbar` with `aria-valuenow` |
//! | `success` | the pick has arrived |
//! | `file-receipt` | a stored file: `data-status` is `uploaded`, `received`, `converted`, `delivered` or `rejected`; `data-id` its id |
//! | `receipt-reason`, `left-out` | in a stored file's row: what the app says of it; the members of an archive that were left out |
//! | `take-back`, `take-back-confirm`, `take-back-not` | in a stored file's row: takes it back, once the person has said that this is meant |
//! | `taking-back`, `take-back-error` | the edge has not answered yet; why it was not taken back |
//! | `waiting` | a file that was on its way when the page was reloaded, to be chosen again; `data-name` its name |
//! | `address` | a stored file's storage address |
//! | `back` | leads back to the app |
//! | `problem` | the link takes no files; `data-code` is the problem's code, or `edge-down` |
//! | `language` | leads to the page in another language |

mod bar;
mod files;
mod frame;
mod hero;
mod icons;
mod rows;
mod when;
mod zone;

use leptos::prelude::*;

use crate::page::{Page, Phase};

pub(crate) use hero::NoAnswer;

/// Language tags, each with the language's own name.
pub(crate) type Languages = Vec<(String, String)>;

/// The whole page of a link. Its pieces find the [`Page`] in their context.
#[component]
pub(crate) fn LinkPage(page: Page, languages: Languages) -> impl IntoView {
    provide_context(page);
    let Page {
        link, phase, live, ..
    } = page;
    frame::fill_head(link, page.trouble.with_untracked(|code| !code.is_empty()));
    view! {
        <main data-phase=move || (if phase.get() == Phase::Done { "done" } else { "" }).to_owned()>
            <div class="piece"><hero::Hero/></div>
            <div class="piece"><rows::Rows/></div>
            <div class="piece"><zone::Zone/></div>
            <div class="piece"><files::Files/></div>
        </main>
        <frame::Foot link=Some(link) languages/>
        <div class="stick"><bar::Bar/></div>
        <p class="vh" role="status" aria-live="polite">{move || live.get()}</p>
    }
}

/// The page of a token that leads to no link.
#[component]
pub(crate) fn NoLink(code: String, languages: Languages) -> impl IntoView {
    view! {
        <main><hero::Problem code/></main>
        <frame::Foot link=None languages/>
    }
}
