//! The outbox: events put in, tried, sent again.

use chatlift_shared::api::{EventState, EventStatus, LoggedEvent};
use chatlift_shared::audit::AuditTrail;
use chatlift_shared::webhook::{Event, EventKind};
use chatlift_shared::{EventId, Problem, ProblemCode};

use super::{Decide, Step};
use crate::link::command::{Outcome, ReadAudit, ReadEvents, Redeliver, Tried};
use crate::link::outbox;
use crate::link::state::EventRow;

/// An event as the log shows it. What was put in can always be read.
pub(crate) fn logged(id: EventId, row: &EventRow) -> Option<LoggedEvent> {
    Some(LoggedEvent {
        id,
        event: serde_json::from_str(&row.body).ok()?,
        state: row.state,
        attempts: row.attempts,
        next_attempt_at: (row.state == EventState::Pending).then_some(row.next_at),
    })
}

impl Decide for Redeliver {
    fn decide(self, step: &mut Step<'_>) -> Result<EventStatus, Problem> {
        let Self { event } = self;
        let now = step.now;
        let row = step.event_mut(event)?;
        row.state = EventState::Pending;
        row.round_at = now;
        row.round_attempts = 0;
        row.next_at = now;
        step.event_status(event)
    }
}

/// What happened, oldest first: ids of a link's events grow.
impl Decide for ReadEvents {
    fn decide(self, step: &mut Step<'_>) -> Result<Vec<LoggedEvent>, Problem> {
        let Self { after } = self;
        let events = step
            .state
            .events
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| **id > after))
            .filter_map(|(id, row)| logged(*id, row))
            .collect();
        Ok(events)
    }
}

impl Decide for ReadAudit {
    fn decide(self, step: &mut Step<'_>) -> Result<AuditTrail, Problem> {
        let Self { after, limit } = self;
        step.audit();
        let trail = &step.state.audit;
        Ok(AuditTrail {
            entries: trail.entries(after, limit as usize),
            head: trail.head(),
        })
    }
}

impl Decide for Tried {
    fn decide(self, step: &mut Step<'_>) -> Result<EventStatus, Problem> {
        let Self {
            event,
            attempt,
            outcome,
            jitter,
        } = self;
        let now = step.now;
        let row = step.event_mut(event)?;
        // A try that was reported before counts once.
        if row.state == EventState::Pending && attempt == row.attempts + 1 {
            if outcome != Outcome::Held {
                row.attempts = attempt;
                row.round_attempts += 1;
            }
            let (tries, round_at) = (row.round_attempts, row.round_at);
            let next = match outcome {
                Outcome::Acknowledged => {
                    row.state = EventState::Acknowledged;
                    return step.event_status(event);
                }
                Outcome::Gone | Outcome::Held => outbox::held_until(round_at, now, jitter),
                Outcome::Failed { .. } if planted!(TryNotRepeated) => None,
                Outcome::Failed { retry_after } => {
                    outbox::next_attempt(tries, round_at, now, jitter, retry_after)
                }
            };
            match next {
                Some(next) => row.next_at = next,
                None => row.state = EventState::Parked,
            }
        }
        step.event_status(event)
    }
}

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

    fn event_mut(&mut self, event: EventId) -> Result<&mut EventRow, Problem> {
        self.state
            .events
            .get_mut(&event)
            .ok_or_else(|| ProblemCode::EventNotFound.into())
    }

    fn event_status(&self, event: EventId) -> Result<EventStatus, Problem> {
        let row = self
            .state
            .events
            .get(&event)
            .ok_or_else(|| Problem::new(ProblemCode::EventNotFound))?;
        Ok(EventStatus {
            id: event,
            attempts: row.attempts,
            state: row.state,
            next_attempt_at: (row.state == EventState::Pending).then_some(row.next_at),
        })
    }
}
