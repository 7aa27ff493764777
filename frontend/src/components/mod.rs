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
//! | `skip` | in the bar: goes on without the files that failed |
//! | `confirm` | the button that sends what was picked |
//! | `progress-all` | all files together: `role=progressbar` with `aria-valuenow` |
//! | `success` | the pick has arrived |
//! | `file-receipt` | a stored file: `data-status` is `uploaded`, `received`, `converted`, `delivered` or `rejected`; `data-id` its id |
//! | `address` | a stored file's storage address |
//! | `back` | leads back to the app |
//! | `problem` | the link takes no files; `data-code` is the problem's code, or `edge-down` |
//! | `language` | leads to the page in another language |

mod bar;
mod el;
mod files;
mod frame;
mod hero;
mod icons;
mod rows;
mod zone;

use std::sync::Arc;

use chatlift_frontend::wire::Link;
use leptos::prelude::*;

use self::el::{all, div, el, live_text, none};
use crate::page::Signals;

pub(crate) use hero::no_answer;

/// Language tags, each with the language's own name.
pub(crate) type Languages = Vec<(String, String)>;

/// The whole page of a link.
pub(crate) fn page(link: &Arc<Link>, s: Signals, languages: Languages) -> AnyView {
    let status = &[("class", "vh"), ("role", "status"), ("aria-live", "polite")];
    all(vec![
        frame::head(link),
        el(
            "main",
            &[],
            vec![
                hero::hero(link, s),
                rows::rows(s),
                zone::zone(link, s),
                files::files(link, s),
            ],
        ),
        frame::foot(Some(link), languages),
        bar::bar(link, s),
        el("p", status, vec![live_text(move || s.live.get())]),
    ])
}

/// The page of a token that leads to no link.
pub(crate) fn no_link(code: &str, languages: Languages) -> AnyView {
    let main = vec![hero::problem(code, none())];
    all(vec![
        div("main", "alone", main),
        frame::foot(None, languages),
    ])
}
