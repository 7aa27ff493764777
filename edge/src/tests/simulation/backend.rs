//! The business backend: keeps events by their ids, fetches each file, compares it, and sends receipts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::{Event, EventKind};
use chatlift_shared::{EventId, FileId, Timestamp};
use serde_json::json;

use super::network::Ask;
use super::tasks::Owner;
use super::{API_KEY, Journey};
use crate::link::command::Outcome;
use crate::link::work::Send;
use crate::ports::Webhooks;
use crate::tests::model::faults::Fault;
use crate::tests::model::ports::pause;
use crate::tests::model::rope::Rope;

/// Waits of the backend between its tries, in milliseconds.
const RETRY_MS: u64 = 5_000;

/// What it has.
#[derive(Default)]
pub(super) struct Backend {
    /// The bodies of the events that it was told of, by their ids.
    pub(super) told: RefCell<BTreeMap<EventId, String>>,
    /// What it handed on to the first app: by its id, so that what is done again counts once.
    pub(super) delivered: RefCell<BTreeMap<FileId, Rope>>,
    /// Files that it was told are deleted.
    pub(super) deleted: RefCell<Vec<FileId>>,
    /// Until when it is down.
    down_until: Cell<Option<Timestamp>>,
}

/// The way to it.
pub(super) struct Hook(pub(super) Rc<Journey>);

impl Webhooks for Hook {
    async fn send(&self, event: &Send) -> Outcome {
        let journey = &self.0;
        journey.machine.sleep(Duration::from_millis(5)).await;
        let now = journey.machine.now.get();
        let backend = &journey.backend;
        if journey.strikes(Fault::BackendDown, 60) {
            let hours = 1 + journey.machine.draw(40);
            let until = now.plus(Duration::from_secs(hours * 60 * 60));
            backend.down_until.set(Some(until));
        }
        let failed = Outcome::Failed { retry_after: None };
        if backend.down_until.get().is_some_and(|until| now < until) {
            return failed;
        }
        if journey.strikes(Fault::WebhookFails, 16) {
            return failed;
        }
        journey.receive(event);
        pause().await;
        if journey.strikes(Fault::WebhookFailsAfter, 16) {
            return failed;
        }
        Outcome::Acknowledged
    }
}

impl Journey {
    /// Keeps an event, and begins what it asks for the first time that it comes.
    fn receive(self: &Rc<Self>, event: &Send) {
        let mut told = self.backend.told.borrow_mut();
        if let Some(before) = told.insert(event.event, event.body.clone()) {
            assert_eq!(
                before, event.body,
                "an event has another body at its next try"
            );
            return;
        }
        drop(told);
        self.trace(|| format!("backend: told of {} at try {}", event.event, event.attempt));
        let read: Event = serde_json::from_str(&event.body).expect("an event");
        match read.kind {
            EventKind::FileStored(stored) => {
                let (journey, file) = (Rc::clone(self), stored.file);
                let task = async move {
                    while !journey
                        .work(&file.id, &file.name, file.size, file.sha256)
                        .await
                    {
                        journey.sleep_ms(RETRY_MS).await;
                    }
                };
                self.spawn(Owner::Backend, task);
            }
            EventKind::FileDeleted(deleted) => {
                self.backend.deleted.borrow_mut().push(deleted.file.id);
            }
            _ => {}
        }
    }

    /// Fetches a file, compares it and hands it on; answers whether it is done with it.
    async fn work(
        self: &Rc<Self>,
        id: &FileId,
        name: &str,
        size: u64,
        sha256: Option<Sha256>,
    ) -> bool {
        let path = format!("/v1/files/{id}/content");
        let Some((status, content)) = self.backend_asks("GET", &path, None).await else {
            return false;
        };
        if matches!(status, 404 | 410) {
            self.trace(|| format!("backend: {id} is gone"));
            return true;
        }
        if status != 200 || content.len() != size {
            return false;
        }
        let sender = self.files.iter().position(|file| file.content == content);
        let sender = sender.unwrap_or_else(|| panic!("{id} has bytes that nobody picked"));
        assert_eq!(self.files[sender].name, name, "the name of {id}");
        let right = sha256.is_none_or(|said| said == content.digest());
        assert!(right, "{id} has another digest than its event says");
        if self.strikes(Fault::BackendDies, 20) {
            return false;
        }
        for status in ["received", "delivered"] {
            if status == "delivered" {
                let delivered = &self.backend.delivered;
                delivered.borrow_mut().insert(*id, content.clone());
                self.trace(|| format!("backend: {id} is delivered"));
            }
            let receipt = Some(json!({ "status": status }));
            let path = format!("/v1/files/{id}/receipt");
            let answered = self.backend_asks("POST", &path, receipt).await;
            match answered {
                Some((200 | 404 | 409 | 410, _)) => {}
                _ => return false,
            }
            if self.strikes(Fault::BackendDies, 20) {
                return false;
            }
        }
        true
    }

    async fn backend_asks(
        self: &Rc<Self>,
        method: &'static str,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Option<(u16, Rope)> {
        let mut ask = match body {
            Some(body) => Ask::json(method, path.to_owned(), &body),
            None => Ask {
                method,
                path: path.to_owned(),
                headers: Vec::new(),
                body: Rope::default(),
            },
        };
        ask.headers
            .push(("authorization", format!("Bearer {API_KEY}")));
        let answer = self.call(ask, 30_000.0, |_| {}).await?;
        Some((answer.status, answer.body))
    }
}
