//! Resumable Uploads for HTTP, as the edge speaks it.

use chatlift_shared::ProblemCode::{
    BodyTooLarge, DigestMismatch, DigestMissing, InvalidRequest, LinkExpired, LinkFull,
    LinkRevoked, LinkTokenInvalid, OffsetDiffers, PasswordRequired, UploadAborted, UploadBusy,
    UploadNotFound,
};
use serde_json::{Value, json};

use crate::examples;
use crate::operation::{Operation, Tag, digest, operation};
use crate::serial::{file_refused, refused, text};

/// The addresses of all uploads, and of one.
const ALL: &str = "/u/{token}/resumable";
const ONE: &str = "/u/{token}/resumable/{upload_id}";

/// Refusals of the edge's rules: those of storage, of its own faults and of too many requests have
/// no word of the protocol.
const REFUSALS: [u16; 10] = [400, 401, 403, 404, 409, 410, 413, 415, 422, 423];

/// An integer as a structured field (RFC 9651 section 3.3.1).
fn integer() -> Value {
    json!({ "type": "string", "pattern": "^ *[0-9]{1,15} *(;.*)?$" })
}

/// A boolean as a structured field.
fn boolean() -> Value {
    json!({ "type": "string", "pattern": "^ *\\?[01] *(;.*)?$" })
}

/// All of them.
pub(crate) fn operations() -> Vec<Operation> {
    vec![
        options(),
        create("post", "resumable_create", "Begin a resumable upload"),
        create(
            "put",
            "resumable_create_by_put",
            "Begin a resumable upload by PUT",
        ),
        look("head", "resumable_look", "Ask how far an upload is"),
        look(
            "get",
            "resumable_look_by_get",
            "Ask how far an upload is, by GET",
        ),
        upload_options(),
        append(),
        end(),
    ]
    .into_iter()
    .map(|operation| {
        operation.may_have_header(
            &REFUSALS,
            "Upload-Complete",
            "`?1` where the refusal is about the file: resuming changes nothing.",
            &boolean(),
        )
    })
    .collect()
}

fn options() -> Operation {
    let operation = operation(
        Tag::Resumable,
        "options",
        ALL,
        "resumable_options",
        "What a resumable upload may be",
    )
    .answers_empty(204, "The limits, in headers.")
    .with_header(204, "Upload-Limit", "`max-size` and more.", text())
    .with_header(204, "Allow", "The methods.", text());
    refused(operation)
}

fn upload_options() -> Operation {
    operation(
        Tag::Resumable,
        "options",
        ONE,
        "resumable_upload_options",
        "What can be done with an upload",
    )
    .answers_empty(204, "Its methods, in `Allow`.")
    .with_header(204, "Allow", "The methods.", text())
    .with_header(
        204,
        "Accept-Patch",
        "The media type of what is added.",
        text(),
    )
    .problems(&[
        LinkTokenInvalid,
        PasswordRequired,
        LinkExpired,
        UploadNotFound,
    ])
}

fn create(method: &'static str, id: &str, summary: &str) -> Operation {
    let operation = operation(Tag::Resumable, method, ALL, id, summary)
        .describe(
            "An empty request with `Upload-Complete: ?0` opens an upload, whose address comes back. \
             A file that is whole is stored at once, and the answer is its description. A field of \
             another type than its own is as good as none.",
        )
        .header("Upload-Complete", "`?0` where more follows.", text())
        .header("Upload-Length", "Size of the file, in bytes.", text())
        .header(
            "Content-Disposition",
            "Names the file: `inline; filename*=UTF-8''...` (RFC 6266).",
            text(),
        )
        .header("Content-Digest", "What the body must have.", digest())
        .header(
            "Repr-Digest",
            "What the whole file must have; compared where it comes in one piece or has one part.",
            digest(),
        )
        .may_take_content(
            "The first bytes, or all.",
            json!({ "application/octet-stream": { "schema": {} } }),
        )
        .curl("-i")
        .curl("-H 'Upload-Complete: ?0'")
        .curl("-H 'Upload-Length: 15'")
        .curl("-H 'Content-Disposition: inline; filename=invoice.pdf'")
        .answers_empty(
            201,
            "The upload is open, its address in `Location`; or the file is stored, and the content \
             is its `PageFile`.",
        )
        .sometimes_holds(201, "PageFile")
        .with_header(201, "Upload-Complete", "Whether it is stored.", boolean())
        .may_have_header(&[201], "Location", "The upload's address.", &text())
        .may_have_header(&[201], "Upload-Offset", "How many bytes are held.", &integer())
        .may_have_header(&[201], "Upload-Limit", "The limits.", &text())
        .may_have_header(&[201], "Repr-Digest", "That of the stored file, if it is known.", &digest());
    file_refused(refused(operation))
        .problems(&[DigestMissing, DigestMismatch])
        .problems_as(400, &[BodyTooLarge])
        .problems_as(403, &[LinkFull])
        .may_have_header(&[413], "Upload-Limit", "The limits.", &text())
}

fn look(method: &'static str, id: &str, summary: &str) -> Operation {
    let operation = operation(Tag::Resumable, method, ONE, id, summary)
        .describe(
            "Whoever still adds to it is refused from then on, so that the offset stays true.",
        )
        .answers_empty(204, "How far it is, in headers.")
        .with_header(204, "Upload-Offset", "How many bytes are held.", integer())
        .with_header(204, "Upload-Complete", "Whether it is stored.", boolean())
        .with_header(204, "Upload-Limit", "The limits.", text())
        .may_have_header(&[204], "Upload-Length", "Size of the file.", &integer())
        .may_have_header(
            &[204],
            "Repr-Digest",
            "That of the stored file, if it is known.",
            &digest(),
        );
    refused(operation)
        .problems(&[UploadNotFound, LinkRevoked])
        .problems_as(410, &[UploadAborted])
}

fn append() -> Operation {
    let operation = operation(
        Tag::Resumable,
        "patch",
        ONE,
        "resumable_append",
        "Add bytes to a resumable upload",
    )
    .describe("Every byte that arrives counts, also of a request that is cut.")
    .uncounted()
    .needs_header("Upload-Offset", "Where the bytes begin.", integer())
    .needs_header("Upload-Complete", "`?1` with the last bytes.", boolean())
    .header("Upload-Length", "Size of the file, in bytes.", text())
    .header("Content-Digest", "What the body must have.", digest())
    .takes_content(
        "The bytes.",
        json!({ "application/partial-upload": { "schema": {} } }),
    )
    .curl("-H 'Upload-Offset: 0'")
    .curl("-H 'Upload-Complete: ?1'")
    .curl("-H 'Content-Type: application/partial-upload'")
    .curl("--data-binary @invoice.pdf")
    .answers(
        201,
        "The file is stored.",
        "PageFile",
        &[("file", examples::page_file())],
    )
    .answers_empty(204, "The bytes are held.")
    .with_header(201, "Upload-Complete", "It is stored.", boolean())
    .may_have_header(
        &[201],
        "Repr-Digest",
        "That of the stored file, if it is known.",
        &digest(),
    )
    .with_header(204, "Upload-Complete", "It is not stored yet.", boolean())
    .with_header(204, "Upload-Offset", "How many bytes are held.", integer());
    file_refused(refused(operation))
        .problems(&[DigestMissing, UploadNotFound, OffsetDiffers, DigestMismatch])
        .problems_as(400, &[BodyTooLarge])
        .problems_as(410, &[UploadAborted])
        .problems_as(415, &[InvalidRequest])
        .problems_as(423, &[UploadBusy])
        .may_have_header(
            &[409],
            "Upload-Offset",
            "How many bytes are held.",
            &integer(),
        )
}

fn end() -> Operation {
    let operation = operation(
        Tag::Resumable,
        "delete",
        ONE,
        "resumable_end",
        "End a resumable upload",
    )
    .answers_empty(204, "It is ended. Again is fine.");
    refused(operation)
        .problems(&[UploadNotFound])
        .problems_as(423, &[UploadBusy])
}
