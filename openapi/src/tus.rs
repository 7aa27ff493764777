//! tus 1.0, as the edge speaks it.

use chatlift_shared::ProblemCode::{
    DigestMismatch, InvalidRequest, LinkFull, LinkRevoked, OffsetDiffers, StorageUnavailable,
    UploadAborted, UploadBusy, UploadNotFound,
};
use serde_json::{Value, json};

use crate::operation::{Operation, Tag, operation};
use crate::serial::{self, file_refused, text};

/// The addresses of all uploads, and of one.
const ALL: &str = "/u/{token}/tus";
const ONE: &str = "/u/{token}/tus/{upload_id}";

/// A number of bytes, that fits 64 bits.
fn number() -> Value {
    json!({ "type": "string", "pattern": "^0*[0-9]{1,19}$" })
}

fn version() -> Value {
    json!({ "type": "string", "pattern": "^1\\.0\\.0$" })
}

fn checksum() -> Value {
    json!({ "type": "string", "pattern": "^(sha1|sha256|sha384|sha512) [A-Za-z0-9+/]+=*$" })
}

fn bytes() -> Value {
    json!({ "application/offset+octet-stream": { "schema": {} } })
}

/// All of them.
pub(crate) fn operations() -> Vec<Operation> {
    vec![
        options(ALL, "tus_options", "What tus can do here"),
        create(),
        options(ONE, "tus_upload_options", "What tus can do with an upload"),
        look(),
        append(),
        end(),
    ]
    .into_iter()
    .map(|operation| {
        operation.may_have_header(
            &[
                200, 201, 204, 400, 401, 403, 404, 409, 410, 412, 413, 415, 422, 423, 460, 503,
            ],
            "Tus-Resumable",
            "The version of the protocol.",
            &version(),
        )
    })
    .collect()
}

/// Begins an operation that wants the version.
fn versioned(method: &'static str, path: &'static str, id: &str, summary: &str) -> Operation {
    operation(Tag::Tus, method, path, id, summary)
        .needs_header("Tus-Resumable", "The version of the protocol.", version())
        .curl("-H 'Tus-Resumable: 1.0.0'")
}

/// What a token can meet, and a version that is none.
fn refused(operation: Operation) -> Operation {
    serial::refused(operation)
        .problems_as(412, &[InvalidRequest])
        .may_have_header(
            &[412],
            "Tus-Version",
            "The version that is spoken.",
            &version(),
        )
}

fn options(path: &'static str, id: &str, summary: &str) -> Operation {
    let operation = operation(Tag::Tus, "options", path, id, summary)
        .answers_empty(204, "Version, extensions and the largest file, in headers.")
        .with_header(204, "Tus-Version", "The version.", version())
        .with_header(
            204,
            "Tus-Extension",
            "The extensions, with commas between.",
            json!({ "type": "string", "pattern": "^[a-z-]+(,[a-z-]+)*$" }),
        )
        .with_header(204, "Tus-Max-Size", "The largest file, in bytes.", number())
        .with_header(
            204,
            "Tus-Checksum-Algorithm",
            "The algorithms of a checksum, with commas between.",
            json!({ "type": "string", "pattern": "^[a-z0-9]+(,[a-z0-9]+)*$" }),
        );
    serial::refused(operation)
}

fn create() -> Operation {
    let operation = versioned("post", ALL, "tus_create", "Begin an upload by tus")
        .describe(
            "With a length or a deferred one, and with the first bytes if wanted; or joins uploads \
             that were sent as pieces.",
        )
        .header("Upload-Length", "Size of the file, in bytes.", number())
        .header(
            "Upload-Defer-Length",
            "The size is told later.",
            json!({ "type": "string", "pattern": "^1$" }),
        )
        .header(
            "Upload-Metadata",
            "Pairs of a key and a base64 value; `filename` names the file. 4,096 bytes at most.",
            json!({ "type": "string", "maxLength": 4096 }),
        )
        .header(
            "Upload-Concat",
            "`partial` for a piece, `final;` and the addresses of pieces to join them.",
            text(),
        )
        .header("Upload-Checksum", "What the body must have.", checksum())
        .may_take_content("The first bytes.", bytes())
        .curl("-i")
        .curl("-H 'Upload-Length: 15'")
        .curl("-H \"Upload-Metadata: filename $(printf invoice.pdf | base64)\"")
        .answers_empty(201, "The upload is open; joined pieces are stored.")
        .with_header(201, "Location", "The upload's address.", text())
        .may_have_header(
            &[201],
            "Upload-Offset",
            "How many bytes are held, where some came with the request.",
            &number(),
        )
        .may_have_header(&[201], "Upload-Expires", "When the upload ends.", &text());
    file_refused(refused(operation))
        .problems(&[UploadNotFound])
        .problems_as(403, &[LinkFull])
        .problems_as(410, &[UploadAborted])
        .problems_as(415, &[InvalidRequest])
        .problems_as(423, &[UploadBusy])
        .problems_as(460, &[DigestMismatch])
}

fn look() -> Operation {
    let operation = versioned("head", ONE, "tus_look", "Ask how far an upload is")
        .describe(
            "Whoever still adds to it is refused from then on, so that the offset stays true.",
        )
        .answers_empty(200, "How far it is, in headers.")
        .with_header(200, "Upload-Offset", "How many bytes are held.", number())
        .may_have_header(&[200], "Upload-Length", "Size of the file.", &number())
        .may_have_header(
            &[200],
            "Upload-Defer-Length",
            "`1` where the size is not told yet.",
            &text(),
        )
        .may_have_header(&[200], "Upload-Metadata", "As it was sent.", &text())
        .may_have_header(&[200], "Upload-Concat", "As it was sent.", &text())
        .may_have_header(&[200], "Upload-Expires", "When the upload ends.", &text());
    refused(operation)
        .problems(&[UploadNotFound, LinkRevoked, StorageUnavailable])
        .problems_as(410, &[UploadAborted])
        .problems_as(423, &[UploadBusy])
}

fn append() -> Operation {
    let operation = versioned("patch", ONE, "tus_append", "Add bytes to an upload")
        .describe("Every byte that arrives counts, also of a request that is cut.")
        .uncounted()
        .needs_header("Upload-Offset", "Where the bytes begin.", number())
        .header(
            "Upload-Length",
            "Size of the file, where it was deferred.",
            number(),
        )
        .header("Upload-Checksum", "What the body must have.", checksum())
        .takes_content("The bytes.", bytes())
        .curl("-H 'Upload-Offset: 0'")
        .curl("-H 'Content-Type: application/offset+octet-stream'")
        .curl("--data-binary @invoice.pdf")
        .answers_empty(
            204,
            "They are held; with the last of them the file is stored.",
        )
        .with_header(204, "Upload-Offset", "How many bytes are held.", number())
        .with_header(204, "Upload-Expires", "When the upload ends.", text());
    file_refused(refused(operation))
        .problems(&[UploadNotFound, OffsetDiffers])
        .problems_as(403, &[InvalidRequest])
        .problems_as(410, &[UploadAborted])
        .problems_as(415, &[InvalidRequest])
        .problems_as(423, &[UploadBusy])
        .problems_as(460, &[DigestMismatch])
        .may_have_header(
            &[409],
            "Upload-Offset",
            "How many bytes are held.",
            &number(),
        )
}

fn end() -> Operation {
    refused(versioned("delete", ONE, "tus_end", "End an upload"))
        .answers_empty(204, "It is ended. Again is fine.")
        .problems(&[UploadNotFound])
        .problems_as(403, &[UploadBusy])
}
