//! What a business backend calls.

use chatlift_shared::ProblemCode::{
    BeyondScene, BodyTooLarge, DigestMismatch, EventNotFound, FileDeleted, FileNotFound,
    IdempotencyKeyReused, InvalidRequest, LinkNotFound, PreconditionFailed, RangeNotSatisfiable,
    ReceiptOutOfOrder, SceneUnknown, StorageUnavailable,
};
use serde_json::{Value, json};

use crate::examples;
use crate::manage;
use crate::operation::{Operation, Tag, digest, operation};

fn text() -> Value {
    json!({ "type": "string" })
}

/// All of them.
pub(crate) fn operations() -> Vec<Operation> {
    [
        links(),
        manage::links(),
        files(),
        manage::files(),
        events(),
        manage::events(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn links() -> Vec<Operation> {
    vec![
        operation(
            Tag::Links,
            "post",
            "/v1/links",
            "create_link",
            "Make a link",
        )
        .describe(
            "Answers with the address to share, and a ready text with it in every language. The \
             same `Idempotency-Key` with the same body answers with the same link; with another \
             body it is refused.",
        )
        .header(
            "Idempotency-Key",
            "1 to 255 characters that name this request. Kept per app.",
            json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        )
        .takes(
            "CreateLink",
            &[
                ("full", examples::create_link()),
                ("least", examples::create_link_least()),
            ],
        )
        .answers(
            201,
            "The link is made, or was made by the same request before.",
            "Link",
            &[("link", examples::link())],
        )
        .with_header(201, "Location", "The link's own address.", text())
        .leads_to(
            201,
            "link_id",
            &[
                "get_link",
                "extend_link",
                "close_link",
                "list_events",
                "get_qr_svg",
                "revoke_link",
            ],
        )
        .problems(&[
            InvalidRequest,
            BodyTooLarge,
            SceneUnknown,
            BeyondScene,
            IdempotencyKeyReused,
        ]),
        operation(
            Tag::Links,
            "get",
            "/v1/links/{link_id}",
            "get_link",
            "Read a link and its files",
        )
        .answers(
            200,
            "The link as it stands.",
            "Link",
            &[("link", examples::link_with_file())],
        )
        .problems(&[LinkNotFound]),
        operation(
            Tag::Links,
            "delete",
            "/v1/links/{link_id}",
            "revoke_link",
            "Revoke a link",
        )
        .describe(
            "Uploads under way are aborted; stored files stay. Again is fine. With `erase=true` the link \
             goes with all that it has: files, uploads and events; its backend gets no event of that.",
        )
        .query("erase", "Whether all of it is removed.", json!({ "type": "boolean", "default": false }))
        .answers_empty(204, "The link takes no more files.")
        .answers(200, "All of it is gone.", "Erased", &[("erased", examples::erased(0))])
        .answers(
            202,
            "All of it is gone but what storage may still be given by uploads that were being stored at \
             this moment. That goes within some minutes.",
            "Erased",
            &[("erased", examples::erased(1))],
        )
        .problems(&[LinkNotFound, InvalidRequest]),
    ]
}

fn files() -> Vec<Operation> {
    vec![
        operation(
            Tag::Files,
            "get",
            "/v1/files/{file_id}",
            "get_file",
            "Read a file's description",
        )
        .answers(200, "The file.", "File", &[("file", examples::file())])
        .problems(&[FileNotFound]),
        operation(
            Tag::Files,
            "delete",
            "/v1/files/{file_id}",
            "delete_file",
            "Delete a file",
        )
        .describe("Its content goes; its description stays, with `deleted_at`. Again is fine.")
        .answers_empty(204, "The file is deleted.")
        .problems(&[FileNotFound]),
        content(),
        operation(
            Tag::Files,
            "post",
            "/v1/files/{file_id}/receipt",
            "give_receipt",
            "Say what became of a file",
        )
        .describe(
            "The upload page shows it to the person who sent the file. Receipts go forward only: \
             `received`, `converted`, then `delivered` or `rejected`. The same again is fine. A backend that has read \
             all of a file may tell its SHA-256, which `sha256` and `Repr-Digest` have from then on; \
             it cannot be another than the edge knows.",
        )
        .takes(
            "Receipt",
            &[
                ("received", examples::received()),
                ("delivered", examples::delivered()),
                ("delivered in part", examples::delivered_in_part()),
                ("rejected", examples::rejected()),
            ],
        )
        .answers(
            200,
            "The file with its receipt.",
            "File",
            &[("file", examples::file_with_receipt())],
        )
        .problems(&[
            InvalidRequest,
            FileNotFound,
            ReceiptOutOfOrder,
            BodyTooLarge,
        ])
        .problems_as(409, &[DigestMismatch]),
    ]
}

fn content() -> Operation {
    content_answers(
        operation(
            Tag::Files,
            "get",
            "/v1/files/{file_id}/content",
            "get_content",
            "Fetch a file's content",
        )
        .describe(
            "A cut transfer goes on with `Range: bytes=<from>-` and `If-Range: <etag>`. Of several \
             ranges, or another unit than bytes, nothing is made: the whole file comes.",
        )
        .problems(&[
            FileNotFound,
            FileDeleted,
            PreconditionFailed,
            RangeNotSatisfiable,
            StorageUnavailable,
        ]),
    )
}

/// What every way to a file's content takes and answers.
pub(crate) fn content_answers(operation: Operation) -> Operation {
    let bytes = json!({ "*/*": { "schema": {} } });
    let mut operation = operation
        .header("Range", "One range of bytes (RFC 9110 section 14).", text())
        .header(
            "If-Range",
            "The `ETag` that the range is of; another version comes whole.",
            text(),
        )
        .header(
            "If-Match",
            "Only this version, or 412 (RFC 9110 section 13).",
            text(),
        )
        .header(
            "If-None-Match",
            "Only another version than this, or 304.",
            text(),
        )
        .answers_content(200, "The whole file.", bytes.clone())
        .answers_content(206, "The range that was asked for.", bytes)
        .answers_empty(304, "It is the version that is known already.")
        .with_header(
            206,
            "Content-Range",
            "`bytes <first>-<last>/<size>`",
            json!({ "type": "string", "pattern": "^bytes [0-9]+-[0-9]+/[0-9]+$" }),
        );
    for status in [200, 206, 304] {
        operation = operation
            .with_header(status, "ETag", "Names this version of the content.", text())
            .may_have_header(
                &[status],
                "Repr-Digest",
                "`sha-256=:<base64>:` of the whole file (RFC 9530), where it is known.",
                &digest(),
            );
    }
    for status in [200, 206] {
        operation = operation.with_header(
            status,
            "Content-Disposition",
            "The file's name (RFC 6266).",
            text(),
        );
    }
    operation
}

fn events() -> Vec<Operation> {
    vec![
        operation(
            Tag::Events,
            "post",
            "/v1/events/{event_id}/redeliver",
            "redeliver_event",
            "Send an event again",
        )
        .describe("With the same id and body, at once and then as any event, for three days.")
        .answers(
            202,
            "It is to be sent.",
            "EventStatus",
            &[("pending", examples::event_status())],
        )
        .problems(&[EventNotFound]),
    ]
}
