//! What is said of a file on its way.

use chatlift_frontend::format;
use chatlift_frontend::uploader::{Cause, Failure, State, Transfer};
use chatlift_shared::ProblemCode;

use leptos::prelude::WithUntracked as _;

use super::{Row, RowState, View};
use crate::dom;
use crate::i18n::{problem, t, tf};

pub(super) fn view(row: &Row, transfer: &Transfer, now: f64) -> View {
    let turned = row.view.with_untracked(|view| view.turned);
    let (percent, reach) = (transfer.progress().percent(), transfer.progress().reach());
    let text = format::decimal(percent.into());
    let values = [("percent", text.as_str())];
    let trouble = transfer.trouble(now);
    let (state, note) = match transfer.state() {
        _ if transfer.is_paused() => (RowState::Paused, tf("state.paused", &values)),
        State::Queued => (RowState::Queued, t("state.queued")),
        State::Uploading if trouble.is_some() => {
            let key = match trouble {
                Some(Cause::Edge) => "state.busy",
                _ if dom::online() => "state.retrying",
                _ => "state.offline",
            };
            (RowState::Uploading, tf(key, &values))
        }
        State::Uploading => {
            let size = format::size(row.size);
            (
                RowState::Uploading,
                tf("state.uploading", &[("percent", &text), ("size", &size)]),
            )
        }
        State::Completing => (RowState::Completing, t("state.completing")),
        State::Cancelling { .. } | State::Cancelled => {
            (RowState::Cancelling, t("state.cancelling"))
        }
        State::Stored => (RowState::Stored, t("state.stored")),
        State::Failed(failure) => {
            let (error, can_retry) = explain(row.size, failure);
            return View {
                state: RowState::Failed,
                percent,
                reach: percent,
                note: String::new(),
                error,
                can_retry,
                turned,
            };
        }
    };
    View {
        state,
        percent,
        reach,
        note,
        error: String::new(),
        can_retry: false,
        turned,
    }
}

/// Why the link takes nothing more, if that is what a file failed of.
pub(super) fn end_of_link(transfer: &Transfer) -> Option<ProblemCode> {
    use ProblemCode as P;
    let State::Failed(Failure::Edge(refusal)) = transfer.state() else {
        return None;
    };
    let ends = |code: &P| {
        matches!(
            code,
            P::LinkFull | P::LinkExpired | P::LinkRevoked | P::LinkNotFound
        )
    };
    refusal.code.filter(ends)
}

/// What to say of a failure, and whether trying again can help.
pub(super) fn explain(size: u64, failure: &Failure) -> (String, bool) {
    use ProblemCode as P;
    let refusal = match failure {
        Failure::Network if !dom::online() => return (problem("offline"), true),
        Failure::Network => return (problem("edge-down"), true),
        Failure::Unreadable => return (problem("file-unreadable"), false),
        Failure::Edge(refusal) => refusal,
    };
    match (refusal.code, refusal.limit) {
        // Not even the smallest pieces get through here; another network may have no such proxy.
        (None, _) if refusal.status == 413 => (problem("body-too-large"), true),
        (None, _) if refusal.status >= 500 || refusal.foreign => (problem("edge-down"), true),
        (None, _) => (problem("internal"), true),
        (Some(P::FileTooLarge), Some(limit)) => (too_large(size, limit), false),
        (Some(code), _) => {
            let for_good = matches!(
                code,
                P::FileTooLarge
                    | P::FileEmpty
                    | P::FileTypeNotAccepted
                    | P::BodyTooLarge
                    | P::LinkFull
                    | P::LinkExpired
                    | P::LinkRevoked
                    | P::SceneRemoved
                    | P::LinkNotFound
                    | P::LinkTokenInvalid
                    | P::FileTaken
                    | P::TooManyWithdrawn
            );
            (problem(code.code()), !for_good)
        }
    }
}

pub(super) fn too_large(size: u64, limit: u64) -> String {
    let (size, limit) = (format::size(size), format::size(limit));
    // By less than what is written of a size.
    if size == limit {
        return problem("file-too-large");
    }
    tf(
        "problem.too-large-here",
        &[("size", &size), ("limit", &limit)],
    )
}
