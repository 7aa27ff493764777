//! Giving a file up: what the edge may have of it is taken back, and nothing is said to be gone before
//! the edge has said so.
//!
//! An announced file is taken back by its ticket, whatever state it is in at the edge. One that goes in
//! one request has no ticket before it is stored, so that request goes on until its outcome is known.

use super::super::part::{Part, Sending};
use super::super::retry::Remedy;
use super::{Event, Grant, Job, State, Transfer, Work};

impl Transfer {
    /// Gives the file up. Whether the edge may have stored it: then it stays until that is settled, else
    /// it can be forgotten at once.
    pub(in crate::uploader) fn cancel(&mut self) -> bool {
        let may_be_stored = match &self.state {
            State::Queued | State::Stored | State::Cancelled | State::Failed(_) => false,
            State::Cancelling { .. } | State::Completing => true,
            State::Uploading => {
                self.is_whole()
                    || (self.upload.is_some() && self.parts.iter().all(Part::may_be_held))
            }
        };
        if may_be_stored && !matches!(self.state, State::Cancelling { .. }) {
            self.state = State::Cancelling { stored: false };
            self.paused = false;
        }
        may_be_stored
    }

    /// What is to be asked of the edge for a file that was given up.
    pub(super) fn next_of_cancelled(&mut self, stored: bool, grant: Grant<'_>) -> Option<Job> {
        let waits = grant.line_waits || self.retry.waits(grant.now).is_some();
        if waits || !self.busy.is_idle() || self.under_way() > 0 {
            return None;
        }
        self.busy = Work::Running(());
        Some(if self.is_whole() && !stored {
            Job::Whole
        } else {
            Job::Cancel
        })
    }

    /// Takes in what happened to a file that was given up.
    pub(super) fn on_cancelled(&mut self, event: Event, now: f64, online: bool, random: f64) {
        match event {
            Event::Stored => {
                self.busy = Work::Idle;
                self.rest();
                self.state = State::Cancelling { stored: true };
            }
            Event::Cancelled => self.state = State::Cancelled,
            Event::Announced(_) => self.busy = Work::Idle,
            Event::Digested { .. } | Event::Failed(Job::Digest(_), _) => {
                self.digesting = Work::Idle;
            }
            Event::Sent(n) | Event::Staged { n, .. } => self.set(n, Sending::Todo),
            Event::Failed(Job::Send(chunk), _) => self.set(chunk.n, Sending::Todo),
            Event::Failed(Job::Announce | Job::Complete, _) => self.busy = Work::Idle,
            Event::Failed(job @ (Job::Whole | Job::Cancel), failure) => {
                self.busy = Work::Idle;
                match failure.remedy() {
                    Remedy::Retry => self.retry(failure, now, online, random),
                    // It was not stored, or is gone by itself.
                    _ if job == Job::Whole || failure.is_gone() => self.state = State::Cancelled,
                    _ => self.state = State::Failed(failure),
                }
            }
            Event::Loaded { .. } | Event::Stalled(_) => {}
        }
    }

    /// No part is under way any more.
    fn rest(&mut self) {
        for part in &mut self.parts {
            part.sending = Sending::Todo;
        }
    }
}
