//! What scenarios hold again and again.

use std::time::Duration;

use chatlift_shared::api::{Link, LinkState};
use chatlift_shared::{Problem, ProblemCode, problem};

use crate::client::{App, Page};
use crate::http::Answer;
use crate::stage::{Shared, Stage, shared};

/// The answer is this refusal, in the form that every refusal has.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn refused(answer: &Answer, code: ProblemCode) -> Problem {
    assert!(
        answer.status < 500,
        "a fault of the edge: {} {}",
        answer.status,
        answer.text()
    );
    let problem = answer.problem();
    assert_eq!(problem.code, code, "{problem:?}");
    assert_eq!(
        (answer.status, problem.status),
        (code.status(), code.status())
    );
    assert_eq!(problem.kind, format!("/problems/{}", code.code()));
    let media_type = answer.header("content-type").unwrap_or_default();
    assert!(media_type.starts_with(problem::MEDIA_TYPE), "{media_type}");
    problem
}

/// The link has no file, and its backend has heard nothing about it.
///
/// # Panics
/// When it has.
#[track_caller]
pub fn nothing_stored(stage: &Stage, app: &App, link: &Link) {
    // Time for a notice that must not come.
    std::thread::sleep(Duration::from_millis(300));
    let now = app.get_link(link.id);
    assert_eq!(now.files, [], "stored");
    let stored: Vec<_> = stage
        .receiver
        .about(link.id)
        .into_iter()
        .filter(|d| d.stored().is_some())
        .collect();
    assert!(stored.is_empty(), "told: {stored:?}");
    assert_ne!(now.state, LinkState::Completed);
}

/// A link and its page; holds that nothing was stored at the end.
///
/// # Panics
/// When something was.
pub fn without_trace(scene: &str, scenario: impl FnOnce(&Shared, &Page)) {
    let stage = shared();
    let app = stage.edge.app();
    let link = app.link(scene);
    scenario(&stage, &app.page(&link));
    nothing_stored(&stage, &app, &link);
}
