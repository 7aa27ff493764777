//! What a business backend does with its links after making them.

use chatlift_shared::ProblemCode::{
    BeyondScene, BodyTooLarge, DownloadUrlInvalid, FileDeleted, FileNotFound, InvalidRequest,
    LinkExpired, LinkFull, LinkNotFound, LinkRevoked, NotFound, PreconditionFailed,
    RangeNotSatisfiable, StorageUnavailable,
};
use chatlift_shared::limits::{AUDIT_MAX, LIST_DEFAULT, LIST_MAX};
use serde_json::{Map, Value, json};

use crate::backend::content_answers;
use crate::examples;
use crate::operation::{Operation, Tag, named, operation, schema};

fn text() -> Value {
    json!({ "type": "string" })
}

/// Those of links.
pub(crate) fn links() -> Vec<Operation> {
    vec![
        operation(
            Tag::Links,
            "get",
            "/v1/links",
            "list_links",
            "List the app's links",
        )
        .describe(
            "Newest first. The list follows the links within seconds, as a rule; a link itself \
                 is always right. A page may hold fewer links than were asked for and still have a \
                 `next` one.",
        )
        .query(
            "cursor",
            "The `next` of the page before.",
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" }),
        )
        .query("state", "Only links in this state.", schema("LinkState"))
        .query("subject", "Only links with this subject.", text())
        .query(
            "limit",
            "How many at most.",
            json!({
                "type": "integer", "minimum": 1, "maximum": LIST_MAX, "default": LIST_DEFAULT
            }),
        )
        .answers(
            200,
            "A page of links.",
            "LinkList",
            &[("page", examples::link_list())],
        )
        .problems(&[InvalidRequest]),
        operation(
            Tag::Links,
            "patch",
            "/v1/links/{link_id}",
            "extend_link",
            "Give a link more time",
        )
        .describe(
            "The answer has the link's new address; whoever opens the old one after its end is led \
             to the new one.",
        )
        .takes("ExtendLink", &[("a_day", json!({ "expires_in": 86_400 }))])
        .answers(200, "The link.", "Link", &[("link", examples::link())])
        .problems(&[
            InvalidRequest,
            BodyTooLarge,
            LinkNotFound,
            LinkExpired,
            LinkRevoked,
            LinkFull,
            BeyondScene,
        ]),
        operation(
            Tag::Links,
            "post",
            "/v1/links/{link_id}/close",
            "close_link",
            "Close a link that has what it was for",
        )
        .describe("It is completed, with the files that it has. Again is fine.")
        .answers(
            200,
            "The link.",
            "Link",
            &[("link", examples::link_with_file())],
        )
        .problems(&[LinkNotFound, LinkExpired, LinkRevoked]),
        code(
            "svg",
            "get_qr_svg",
            "A link's QR code as SVG",
            "image/svg+xml",
        ),
        code("png", "get_qr_png", "A link's QR code as PNG", "image/png"),
    ]
}

fn code(form: &str, id: &str, summary: &str, media_type: &str) -> Operation {
    let path = match form {
        "svg" => "/v1/links/{link_id}/qr.svg",
        _ => "/v1/links/{link_id}/qr.png",
    };
    operation(Tag::Links, "get", path, id, summary)
        .describe(
            "As long as the link's page opens: also for a completed link, not for one that is \
             expired or revoked.",
        )
        .answers_content(
            200,
            "The code of the link's address.",
            json!({ (media_type): { "schema": { "type": "string" } } }),
        )
        .problems(&[LinkNotFound, LinkExpired, LinkRevoked])
}

/// Those of files.
pub(crate) fn files() -> Vec<Operation> {
    vec![
        operation(
            Tag::Files,
            "post",
            "/v1/files/{file_id}/download-url",
            "create_download_url",
            "Make an address that needs no key",
        )
        .describe("For the first app itself: whoever has it can fetch the file until it ends.")
        .takes(
            "CreateDownloadUrl",
            &[("a_minute", json!({ "expires_in": 60 }))],
        )
        .or_nothing()
        .answers(
            201,
            "The address.",
            "DownloadUrl",
            &[("url", examples::download_url())],
        )
        .problems(&[InvalidRequest, BodyTooLarge, FileNotFound, FileDeleted]),
        content_answers(
            operation(
                Tag::Upload,
                "get",
                "/d/{download}",
                "download",
                "Fetch a file by its download address",
            )
            .describe("As a file's content, without a key.")
            .problems(&[
                DownloadUrlInvalid,
                FileDeleted,
                PreconditionFailed,
                RangeNotSatisfiable,
                StorageUnavailable,
            ]),
        ),
    ]
}

/// Those of events.
pub(crate) fn events() -> Vec<Operation> {
    vec![
        operation(
            Tag::Events,
            "get",
            "/v1/links/{link_id}/events",
            "list_events",
            "What happened to a link",
        )
        .describe(
            "Oldest first. With `Accept: text/event-stream` the same as server-sent events, that \
             stay open: `id` is the event's id, `event` its type, `data` what the webhook has. A cut \
             stream goes on after `Last-Event-ID`.",
        )
        .header(
            "Last-Event-ID",
            "Only what came after this event of the link; empty, as if it were not there.",
            json!({
                "type": "string",
                "pattern": "^(evt_[A-Za-z0-9_-]{24})?$",
                "examples": ["evt_AQIDBAUGBwgJCgsMAAAAAAAA"]
            }),
        )
        .answers_content(
            200,
            "The events.",
            json!({
                "application/json": {
                    "schema": schema("EventLog"),
                    "examples": named(&[("log", examples::event_log())])
                },
                "text/event-stream": { "schema": { "type": "string" } }
            }),
        )
        .problems(&[InvalidRequest, LinkNotFound]),
        operation(
            Tag::Events,
            "get",
            "/v1/links/{link_id}/audit",
            "read_audit_trail",
            "A link's audit trail",
        )
        .describe(
            "What happened to a link and its files, oldest first, as entries that are only ever added \
             to. Each has the hash of the one before it. Whoever keeps a link's `audit` sees later that \
             none of the entries until then is missing or was altered. The trail is erased with its link.",
        )
        .query(
            "after",
            "Only entries after this number.",
            json!({ "type": "integer", "minimum": 0, "default": 0 }),
        )
        .query(
            "limit",
            "How many at most.",
            json!({ "type": "integer", "minimum": 1, "maximum": AUDIT_MAX, "default": AUDIT_MAX }),
        )
        .answers(
            200,
            "Entries, and where the trail ends.",
            "AuditTrail",
            &[("trail", examples::audit_trail())],
        )
        .problems(&[InvalidRequest, LinkNotFound]),
        operation(
            Tag::Events,
            "get",
            "/v1/webhook-endpoint",
            "get_webhook_endpoint",
            "Where webhooks go, and whether",
        )
        .answers(
            200,
            "The endpoint.",
            "WebhookEndpoint",
            &[("enabled", examples::endpoint())],
        )
        .problems(&[]),
        operation(
            Tag::Events,
            "post",
            "/v1/webhook-endpoint/enable",
            "enable_webhook_endpoint",
            "Send webhooks again after a 410",
        )
        .answers(
            200,
            "The endpoint.",
            "WebhookEndpoint",
            &[("enabled", examples::endpoint())],
        )
        .problems(&[]),
        operation(
            Tag::Service,
            "get",
            "/v1/apps/{app}/webhook-keys",
            "get_webhook_keys",
            "What verifies `v1a` signatures",
        )
        .answers(
            200,
            "The app's public keys.",
            "WebhookKeys",
            &[("keys", examples::webhook_keys())],
        )
        .problems(&[NotFound]),
    ]
}

/// The schemas of the audit trail, whose entries differ by their type.
pub(crate) fn audit_schemas() -> Map<String, Value> {
    let hash =
        |text: &str| json!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "description": text });
    let entry = json!({
        "type": "object",
        "description": "An entry of the audit trail; what else it has depends on its type.",
        "required": ["n", "at", "type", "previous", "hash"],
        "properties": {
            "n": { "type": "integer", "minimum": 1, "description": "Its number." },
            "at": schema("Timestamp"),
            "type": {
                "type": "string", "description": "What happened.", "examples": ["file.stored"]
            },
            "previous": hash("The hash of the entry before; 64 zeros in the first."),
            "hash": hash(
                "SHA-256 of the entry without this field, as canonical JSON (RFC 8785)."
            )
        }
    });
    let trail = json!({
        "type": "object", "description": "Entries of a link's audit trail, oldest first.",
        "required": ["entries", "head"],
        "properties": {
            "entries": { "type": "array", "items": schema("AuditEntry") },
            "head": schema("AuditHead")
        }
    });
    let schemas = [("AuditEntry", entry), ("AuditTrail", trail)];
    schemas
        .map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}
