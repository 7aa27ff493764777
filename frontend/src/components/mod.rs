//! Views. Each file draws one piece of the page and holds no state of its own.
//!
//! End-to-end tests hold on to these hooks, which stay when the looks change:
//!
//! | `data-testid` | what |
//! |---|---|
//! | `pick-input` | the file input, `id="pick"`; in index.html, never redrawn |
//! | `pick-button` | its label, for as long as files can be picked |
//! | `drop-zone` | where the label lies; files can be dropped on the whole page |
//! | `notice` | what of the last pick was left out |
//! | `file-row` | a picked file; `data-state` is `ready`, `refused`, `queued`, `uploading`, `completing`, `stored` or `failed`; `data-name` its name |
//! | `file-error` | in a row: why it is refused or failed |
//! | `file-progress` | in a row: `role=progressbar` with `aria-valuenow` |
//! | `remove`, `cancel`, `retry` | in a row: its buttons; `retry` is also in the bar |
//! | `confirm` | the button that sends what was picked |
//! | `progress-all` | all files together: `role=progressbar` with `aria-valuenow` |
//! | `success` | the pick has arrived |
//! | `file-receipt` | a stored file: `data-status` is `uploaded`, `received`, `converted`, `delivered` or `rejected`; `data-id` its id |
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
mod zone;

use std::sync::Arc;

use chatlift_shared::api::PageLink;
use leptos::prelude::*;

use crate::page::Signals;

pub(crate) use frame::foot;
pub(crate) use hero::{no_answer, problem};

/// The whole page of a link.
pub(crate) fn page(link: &Arc<PageLink>, s: Signals) -> AnyView {
    view! {
        {frame::head(link)}
        <main>
            {hero::hero(link, s)}
            {rows::rows(link, s)}
            {zone::zone(link, s)}
            {files::files(link, s)}
        </main>
        {bar::bar(link, s)}
        <p class="vh" role="status" aria-live="polite">{move || s.live.get()}</p>
    }
    .into_any()
}
