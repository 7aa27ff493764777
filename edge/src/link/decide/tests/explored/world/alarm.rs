//! The alarm: it settles, cleans, sends and forgets, until nothing is left.

use chatlift_shared::api::EventState;
use chatlift_shared::webhook::{Event, EventKind};

use super::*;
use crate::link::command::Outcome;

/// Most alarms until nothing is left of a link.
const ALARMS: u32 = 60;

/// What comes of sending an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Webhook {
    Taken,
    /// The alarm dies before it notes that.
    TakenAndDies,
    Refused,
}

impl World {
    pub(crate) fn looks(&mut self) {
        let settle = self.due().into_iter().find_map(|work| match work {
            Work::Settle(settle) => Some(settle),
            _ => None,
        });
        self.looked = settle.map(|settle| {
            let upload = number(settle.upload);
            (upload, settle.attempt, self.objects & bit(upload) != 0)
        });
    }

    pub(crate) fn settles(&mut self, dies: bool) {
        self.faults += u8::from(dies);
        match self.looked.take().filter(|_| !dies) {
            Some((upload, attempt, true)) => drop(self.commit(upload, attempt)),
            Some((upload, attempt, false)) => {
                let (upload, keep_parts) = (id(upload), true);
                // What is refused was settled meanwhile.
                let _ = self.run(command::Reopen {
                    upload,
                    attempt,
                    keep_parts,
                });
            }
            None => {}
        }
    }

    pub(crate) fn cleans(&mut self, fails: bool) {
        self.faults += u8::from(fails);
        let first = self.due().into_iter().find_map(|work| match work {
            Work::Clean { name, what } => Some((name, what)),
            _ => None,
        });
        let Some((cleanup, what)) = first else { return };
        if !fails {
            let key = match &what {
                Cleanup::AbortMultipart { key, .. } | Cleanup::DeleteObject { key } => key.clone(),
            };
            let link = self.link.as_deref().expect("a link");
            let upload = (1..64)
                .find(|n| link.key(id(*n)) == key)
                .expect("an upload");
            match what {
                Cleanup::AbortMultipart { .. } => self.multiparts &= !bit(upload),
                Cleanup::DeleteObject { .. } => self.objects &= !bit(upload),
            }
        }
        let done = !fails;
        self.run(command::Cleaned { cleanup, done }).expect("noted");
    }

    pub(crate) fn sends(&mut self, webhook: Webhook) {
        self.faults += u8::from(webhook != Webhook::Taken);
        let first = self.due().into_iter().find_map(|work| match work {
            Work::Send(send) => Some(send),
            _ => None,
        });
        let Some(send) = first else { return };
        if webhook != Webhook::Refused {
            let file = file_of(&send.body).unwrap_or_default();
            self.resent |= self.backend.insert(send.event, file).is_some();
            self.sent += 1;
        }
        let outcome = match webhook {
            Webhook::Taken => Outcome::Acknowledged,
            Webhook::Refused => Outcome::Failed { retry_after: None },
            Webhook::TakenAndDies => return,
        };
        let (event, attempt, jitter) = (send.event, send.attempt, 0);
        self.run(command::Tried {
            event,
            attempt,
            outcome,
            jitter,
        })
        .expect("noted");
    }

    /// Whether all comes to its end when every worker has died: the alarm does what is due, time passes, and the link
    /// is forgotten. On the way each file is told of, and R2 has the files and nothing else once nothing is owed.
    pub(crate) fn rests(mut self) -> bool {
        self.looked = None;
        for _ in 0..ALARMS {
            let next = self.link.as_deref().and_then(next_alarm);
            let Some(next) = next else { break };
            if self.is_settled() && !self.books_balance() {
                return false;
            }
            self.now = self.now.max(next);
            if self.run(command::Tick).is_err() {
                return false;
            }
            for work in self.due() {
                match work {
                    Work::Settle(_) => {
                        self.looks();
                        self.settles(false);
                    }
                    Work::Clean { .. } => self.cleans(false),
                    Work::Send(_) => self.sends(Webhook::Taken),
                    Work::List { entry, .. } => {
                        let (version, done, jitter) = (entry.version, true, 0);
                        let _ = self.run(command::Listed {
                            version,
                            done,
                            jitter,
                        });
                    }
                    Work::Forget { .. } => drop(self.run(command::Forget)),
                }
            }
        }
        self.link.is_none() && self.held.is_empty() && self.objects == 0 && self.multiparts == 0
    }

    fn events(&self) -> impl Iterator<Item = EventState> {
        let rows = self.link.iter().flat_map(|link| link.events.values());
        rows.map(|row| row.state)
    }

    /// Whether nothing is being committed, owed, or still to be told.
    fn is_settled(&self) -> bool {
        let completing = self.uploads(|state| matches!(state, UploadState::Completing { .. }));
        let owes = self
            .link
            .as_ref()
            .is_some_and(|link| !link.cleanups.is_empty());
        let tells = self.events().any(|state| state == EventState::Pending);
        completing == 0 && !owes && !tells
    }

    /// Whether R2 has the files and nothing else, and the backend was told of each.
    fn books_balance(&self) -> bool {
        let receiving = self.uploads(UploadState::is_under_way);
        let told = self.backend.values().filter(|upload| **upload != 0);
        let told = told.fold(0, |bits, upload| bits | bit(*upload));
        // An upload that is open again may have its object, which R2 made late.
        self.objects & !receiving == self.stored()
            && self.multiparts & !receiving == 0
            && self.events().all(|state| state == EventState::Acknowledged)
            && (self.is_erased() || told == self.files_ever())
    }
}

/// The upload of which an event says that it is stored.
fn file_of(body: &str) -> Option<u8> {
    let event: Event = serde_json::from_str(body).expect("an event");
    match event.kind {
        EventKind::FileStored(stored) => Some(number(upload_of(stored.file.id))),
        _ => None,
    }
}
