//! Waiting for an attempt to make a file of an upload, so that who sends the same again is answered with
//! the file: the answer to the first request may be lost on the way while its commit still runs.

use core::cell::RefCell;
use core::pin::pin;
use core::time::Duration;

use chatlift_shared::{Problem, ProblemCode};
use futures_channel::oneshot::{Receiver, Sender, channel};
use futures_util::future::{Either, select};

use super::state::{LinkState, UploadState};

/// How long who meets an attempt waits for its end: most commits take less, and an uploader waits longer for
/// any answer.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// Those who wait until an attempt has ended, of one link.
#[derive(Debug, Default)]
pub struct AttemptWaiters(RefCell<Vec<Sender<()>>>);

impl AttemptWaiters {
    /// Tells those who wait that the link has changed to `after`, if an attempt has ended by that.
    pub fn tell(&self, before: Option<&LinkState>, after: &LinkState) {
        if before.is_some_and(|before| has_ended(before, after)) {
            // Whoever waits goes on when its sender is dropped.
            self.0.borrow_mut().clear();
        }
    }

    /// Whether anybody waits.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.0.borrow().iter().any(|sender| !sender.is_canceled())
    }

    fn next(&self) -> Receiver<()> {
        let (sender, receiver) = channel();
        let mut waiting = self.0.borrow_mut();
        // Those who have waited in vain.
        waiting.retain(|sender| !sender.is_canceled());
        waiting.push(sender);
        receiver
    }

    /// Carries out what `decide` does. What is refused because an attempt is under way is decided again when
    /// one has ended, for as long as somebody would wait for an answer.
    ///
    /// # Errors
    /// What `decide` fails with.
    pub async fn decide<R, E>(
        &self,
        pause: impl AsyncFn(Duration),
        mut decide: impl AsyncFnMut() -> Result<Result<R, Problem>, E>,
    ) -> Result<Result<R, Problem>, E> {
        let mut over = pin!(pause(ENDED_WITHIN));
        loop {
            let decided = decide().await?;
            if !decided.as_ref().is_err_and(waits_for_an_attempt) {
                return Ok(decided);
            }
            // Nothing else of the link runs between, so that no end is missed.
            if let Either::Right(_) = select(self.next(), over.as_mut()).await {
                return Ok(decided);
            }
        }
    }
}

/// Whether an attempt is under way, which is told by the seconds until another may take over.
fn waits_for_an_attempt(problem: &Problem) -> bool {
    problem.code == ProblemCode::UploadBusy && problem.retry_after.is_some()
}

/// Whether an attempt that was under way has ended.
fn has_ended(before: &LinkState, after: &LinkState) -> bool {
    let mut uploads = before.uploads.iter();
    uploads.any(|(id, row)| {
        match &row.state {
        UploadState::Completing { attempt, .. } => after.uploads.get(id).is_none_or(|row| {
            !matches!(&row.state, UploadState::Completing { attempt: now, .. } if now == attempt)
        }),
        _ => false,
    }
    })
}
