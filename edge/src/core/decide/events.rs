//! The outbox: events put in, tried, sent again.

use chatlift_shared::api::{EventState, EventStatus};
use chatlift_shared::webhook::{Event, EventKind};
use chatlift_shared::{EventId, Problem, ProblemCode};

use super::super::command::{Answer, Outcome, Reply};
use super::super::link::EventRow;
use super::super::outbox;
use super::Step;

impl Step<'_> {
    /// Puts an event into the outbox, due at once.
    pub(super) fn tell(&mut self, kind: EventKind) {
        let n = self.state.link.next_event.to_be_bytes();
        let mut suffix = [0; 6];
        suffix.copy_from_slice(&n[2..]);
        let id = EventId::new(self.state.link.id, suffix);
        self.state.link.next_event += 1;
        let event = Event {
            timestamp: self.now,
            kind,
        };
        // Plain structs with string keys always have a JSON form.
        let body = serde_json::to_string(&event).unwrap_or_else(|_| unreachable!("events encode"));
        self.state.events.insert(
            id,
            EventRow {
                body,
                state: EventState::Pending,
                created_at: self.now,
                round_at: self.now,
                attempts: 0,
                round_attempts: 0,
                next_at: self.now,
            },
        );
    }

    pub(super) fn redeliver(&mut self, event: EventId) -> Answer {
        let now = self.now;
        let row = self.event_mut(event)?;
        row.state = EventState::Pending;
        row.round_at = now;
        row.round_attempts = 0;
        row.next_at = now;
        self.event_status(event)
    }

    pub(super) fn event_mut(&mut self, event: EventId) -> Result<&mut EventRow, Problem> {
        self.state
            .events
            .get_mut(&event)
            .ok_or_else(|| ProblemCode::EventNotFound.into())
    }

    pub(super) fn event_status(&self, event: EventId) -> Answer {
        let row = self
            .state
            .events
            .get(&event)
            .ok_or_else(|| Problem::new(ProblemCode::EventNotFound))?;
        Ok(Reply::Event(EventStatus {
            id: event,
            attempts: row.attempts,
            state: row.state,
            next_attempt_at: (row.state == EventState::Pending).then_some(row.next_at),
        }))
    }

    pub(super) fn tried(
        &mut self,
        event: EventId,
        attempt: u32,
        outcome: Outcome,
        jitter: u16,
    ) -> Answer {
        let now = self.now;
        let row = self.event_mut(event)?;
        // A try that was reported before counts once.
        if row.state == EventState::Pending && attempt == row.attempts + 1 {
            row.attempts = attempt;
            row.round_attempts += 1;
            let next = outbox::next_attempt(row.round_attempts, row.round_at, now, jitter);
            match (outcome, next) {
                (Outcome::Acknowledged, _) => row.state = EventState::Acknowledged,
                (Outcome::Failed, Some(next)) => row.next_at = next,
                (Outcome::Gone, _) | (Outcome::Failed, None) => row.state = EventState::Parked,
            }
        }
        self.event_status(event)
    }
}
