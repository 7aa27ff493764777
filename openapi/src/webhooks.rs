//! The document's `webhooks`: one per kind of event.

use chatlift_shared::webhook::{HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP};
use serde_json::{Map, Value, json};

use crate::examples::{event, file, file_withdrawn, link_ref};
use crate::operation::{named, schema};

/// A kind of event.
struct Kind {
    /// Its `type`.
    name: &'static str,
    /// The name of its schema.
    schema: &'static str,
    /// The name of the schema of its `data`.
    data: &'static str,
    /// What has happened.
    text: &'static str,
    /// An example of its `data`.
    example: Value,
}

fn kinds() -> Vec<Kind> {
    vec![
        Kind {
            name: "file.stored",
            schema: "FileStoredEvent",
            data: "FileStored",
            text: "A file is stored and can be fetched.",
            example: json!({ "file": file(), "link": link_ref() }),
        },
        Kind {
            name: "link.completed",
            schema: "LinkCompletedEvent",
            data: "LinkEnded",
            text: "The link has all the files that it takes.",
            example: json!({ "link": link_ref(), "files": 10 }),
        },
        Kind {
            name: "link.expired",
            schema: "LinkExpiredEvent",
            data: "LinkEnded",
            text: "The link's time is over; it may have files or none.",
            example: json!({ "link": link_ref(), "files": 1 }),
        },
        Kind {
            name: "link.revoked",
            schema: "LinkRevokedEvent",
            data: "LinkEnded",
            text: "The app took the link back; it may have files or none.",
            example: json!({ "link": link_ref(), "files": 0 }),
        },
        Kind {
            name: "file.deleted",
            schema: "FileDeletedEvent",
            data: "FileDeleted",
            text: "A file was deleted: by the app, by who sent it, or at the end of its time; \
                   `deleted_reason` says which. Its content is gone.",
            example: json!({ "file": file_withdrawn(), "link": link_ref() }),
        },
    ]
}

/// What every webhook says of itself.
const DESCRIPTION: &str = "\
Sent to the app's webhook endpoint, signed as [Standard Webhooks](https://www.standardwebhooks.com) \
says, until it is answered with a 2xx: for three days, with the same id and body at every try.";

/// The events' schemas, and the webhooks that bring them.
pub(crate) fn webhooks() -> (Map<String, Value>, Map<String, Value>) {
    let (mut schemas, mut webhooks) = (Map::new(), Map::new());
    let kinds = kinds();
    for kind in &kinds {
        schemas.insert(
            kind.schema.to_owned(),
            json!({
                "type": "object", "description": kind.text,
                "required": ["type", "timestamp", "data"],
                "properties": {
                    "type": { "type": "string", "const": kind.name },
                    "timestamp": schema("Timestamp"),
                    "data": schema(kind.data)
                }
            }),
        );
        webhooks.insert(kind.name.to_owned(), json!({ "post": webhook(kind) }));
    }
    schemas.insert("LoggedEvent".to_owned(), logged());
    schemas.insert(
        "EventLog".to_owned(),
        json!({
            "type": "object", "description": "What happened to a link, oldest first.",
            "required": ["events"],
            "properties": { "events": { "type": "array", "items": schema("LoggedEvent") } }
        }),
    );
    let refs: Vec<Value> = kinds.iter().map(|kind| schema(kind.schema)).collect();
    schemas.insert(
        "Event".to_owned(),
        json!({ "description": "What a webhook says.", "oneOf": refs }),
    );
    (schemas, webhooks)
}

/// An event with what became of its webhook.
fn logged() -> Value {
    let kinds: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
    json!({
        "type": "object", "description": "An event with what became of its webhook.",
        "required": ["id", "type", "timestamp", "data", "state", "attempts"],
        "properties": {
            "id": schema("EventId"),
            "type": { "type": "string", "enum": kinds },
            "timestamp": schema("Timestamp"),
            "data": { "type": "object", "description": "As the webhook of this type has it." },
            "state": schema("EventState"),
            "attempts": { "type": "integer", "minimum": 0, "description": "Tries so far." },
            "next_attempt_at": schema("Timestamp")
        }
    })
}

fn webhook(kind: &Kind) -> Value {
    let header = |name: &str, text: &str, schema: Value| {
        json!({
            "name": name, "in": "header", "required": true, "description": text, "schema": schema
        })
    };
    json!({
        "operationId": format!("on_{}", kind.name.replace('.', "_")),
        "summary": kind.text,
        "description": DESCRIPTION,
        "tags": ["Events"],
        "security": [],
        "parameters": [
            header(
                HEADER_ID,
                "The event, the same at every try: what to tell repeats by.",
                schema("EventId"),
            ),
            header(
                HEADER_TIMESTAMP,
                "When this try was made, in seconds since 1970.",
                json!({ "type": "string", "pattern": "^[0-9]+$" }),
            ),
            header(
                HEADER_SIGNATURE,
                "`v1,<base64>` by the app's webhook secret; and, where the app has webhook keys, \
                 `v1a,<base64>` by each of them (Ed25519; `get_webhook_keys` has what verifies). \
                 Several with a space between: while a secret or key rotates, and where there are \
                 both.",
                json!({
                    "type": "string",
                    "pattern": "^v1a?,[A-Za-z0-9+/]+=*( v1a?,[A-Za-z0-9+/]+=*)*$"
                }),
            ),
        ],
        "requestBody": { "required": true, "content": { "application/json": {
            "schema": schema(kind.schema),
            "examples": named(&[("example", event(kind.name, &kind.example))])
        } } },
        "responses": {
            "2XX": { "description": "Heard. Answer within 15 s, and work after." },
            "410": { "description": "Gone: the event is parked, and not tried again by itself." },
            "default": { "description": "Not heard: tried again later. A redirect is a failure." }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::webhook::Event;

    #[test]
    fn examples_are_events() {
        for kind in kinds() {
            let example = event(kind.name, &kind.example);
            let event: Event = serde_json::from_value(example.clone()).expect("an event");
            assert_eq!(json!(event), example);
        }
    }
}
