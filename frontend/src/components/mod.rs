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
//! | `file-row` | a picked file; `data-state` is `ready`, `refused`, `queued`, `uploading`, `paused`, `completing`, `stored` or `failed`; `data-name` its name |
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

use std::rc::Rc;

use chatlift_frontend::wire::Link;

use crate::page::{Phase, Signals};

pub(crate) use el::At;
pub(crate) use hero::no_answer;

/// Language tags, each with the language's own name.
pub(crate) type Languages = Vec<(String, String)>;

/// The whole page of a link.
pub(crate) fn page(at: &At, link: &Rc<Link>, s: Signals, languages: Languages) {
    frame::head(link, s.trouble().with_untracked(Option::is_some));
    let main = at.el("main");
    main.live_attr("data-phase", move || {
        (s.phase().get() == Phase::Done).then(|| "done".to_owned())
    });
    for piece in [hero::hero, rows::rows_of, zone::zone, files::files] {
        let link = link.clone();
        main.el("div.piece").draw(move |at| piece(at, &link, s));
    }
    frame::foot(at, Some(link), languages);
    let own = link.clone();
    at.el("div.stick").draw(move |at| bar::bar(at, &own, s));
    at.el("p.vh|role=status|aria-live=polite")
        .live_text(move || s.live().get());
}

/// The page of a token that leads to no link.
pub(crate) fn no_link(at: &At, code: &str, languages: Languages) {
    hero::problem(&at.el("main"), code);
    frame::foot(at, None, languages);
}
