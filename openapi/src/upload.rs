//! What the upload page calls, and whoever else has a link.

use chatlift_shared::ProblemCode::{
    BodyTooLarge, ChatNotConfigured, ChatRefused, ChatUnavailable, DigestMismatch, DigestMissing,
    FileEmpty, FileTaken, FileTooLarge, FileTypeNotAccepted, InvalidRequest, LengthRequired,
    LinkExpired, LinkFull, LinkNotFound, LinkRevoked, LinkTokenInvalid, OffsetDiffers,
    PartOutOfRange, PartSizeWrong, PartsDiffer, PartsMissing, PasswordLocked, PasswordRequired,
    PasswordWrong, StorageUnavailable, TooManyWithdrawn, UploadAborted, UploadBusy, UploadNotFound,
    UploadTicketInvalid,
};
use serde_json::{Value, json};

use crate::examples;
use crate::operation::{Operation, Tag, digest, named, operation, schema};

fn text() -> Value {
    json!({ "type": "string" })
}

fn bytes() -> Value {
    json!({ "application/octet-stream": { "schema": {} } })
}

/// All of them.
pub(crate) fn operations() -> Vec<Operation> {
    [page(), files(), parts(), service()]
        .into_iter()
        .flatten()
        .collect()
}

fn page() -> Vec<Operation> {
    let html = json!({ "text/html": { "schema": { "type": "string" } } });
    let result = json!({
        "application/json": {
            "schema": schema("FormResult"),
            "examples": named(&[("stored", examples::form_result())])
        },
        "text/html": { "schema": { "type": "string" } }
    });
    let mut form = operation(
        Tag::Upload,
        "post",
        "/u/{token}",
        "send_form",
        "Upload by form",
    )
    .describe(
        "The page's plain form, for browsers without a program. Every file of the form is stored \
         or refused by itself. The status is 200 when all were stored, 207 when some were, else \
         that of the first problem. Any part that has a file name is a file.",
    )
    .header(
        "Accept",
        "`application/json` answers with JSON, anything else with a page.",
        text(),
    )
    .takes_content(
        "Files in fields of any name.",
        json!({ "multipart/form-data": { "schema": {
            "type": "object", "properties": { "files": {
                "type": "array", "minItems": 1,
                // `format` is what generators of clients know a file by.
                "items": {
                    "type": "string", "format": "binary",
                    "contentMediaType": "application/octet-stream"
                }
            } }
        } } }),
    )
    .curl("-H 'Accept: application/json' -F files=@invoice.pdf")
    .answers_content(200, "All files were stored.", result.clone());
    for (status, why) in [
        (
            207,
            "Some files were stored, and some were not: each says why.",
        ),
        (400, "The form cannot be read."),
        (401, "The link asks for its password."),
        (404, "The link is not complete or was mistyped."),
        (409, "The link already has all its files."),
        (410, "The link has expired or was revoked."),
        (413, "No file was small enough."),
        (415, "No file was of a type that is accepted."),
        (422, "The form has no file, or only empty ones."),
        (
            503,
            "Storage did not answer: each file says what became of it.",
        ),
    ] {
        form = form.answers_content(status, why, result.clone());
    }
    vec![
        operation(
            Tag::Upload,
            "get",
            "/u/{token}",
            "open_page",
            "Open the upload page",
        )
        .describe("Changes nothing: chat apps fetch links to draw cards.")
        .query("lang", "The language, a BCP 47 tag.", text())
        .answers_content(200, "The page.", html.clone())
        .answers_empty(302, "The link was given more time: to its newer address.")
        .answers_content(404, "A page that says that the link is none.", html.clone())
        .answers_content(410, "A page that says that the link is over.", html)
        .problems(&[]),
        form.problems(&[]),
        operation(
            Tag::Upload,
            "get",
            "/u/{token}/page",
            "get_page_data",
            "What the page begins with",
        )
        .describe("Also for a link that is over or none: `problem` says why.")
        .query("lang", "The language, a BCP 47 tag.", text())
        .answers(
            200,
            "The link as the page shows it.",
            "PageData",
            &[("active", examples::page_data())],
        )
        .problems(&[]),
        operation(
            Tag::Upload,
            "post",
            "/u/{token}/password",
            "enter_password",
            "Say a link's password",
        )
        .describe("The pass goes with every later request, as `Link-Pass` or as the cookie.")
        .takes(
            "EnterPassword",
            &[("password", json!({ "password": "harbour-7" }))],
        )
        // Else curl says that it is a form, and the answer is a page.
        .curl("-H 'Content-Type: application/json'")
        .answers(
            200,
            "It is the right one.",
            "LinkPass",
            &[("pass", examples::link_pass())],
        )
        .problems(&[LinkTokenInvalid, LinkNotFound, InvalidRequest, BodyTooLarge])
        .problems(&[PasswordWrong, PasswordLocked]),
        operation(
            Tag::Upload,
            "get",
            "/u/{token}/chat-config",
            "chat_config",
            "The signature for a chat app's picker",
        )
        .query("platform", "The chat app.", schema("Platform"))
        .query(
            "url",
            "The address of the page that calls, without its fragment.",
            text(),
        )
        .curl("-G -d platform=wecom --data-urlencode \"url=$EDGE/u/$TOKEN\"")
        .answers(
            200,
            "What the chat app's SDK is to be given.",
            "ChatConfig",
            &[("wecom", examples::chat_config())],
        )
        .problems(&[
            LinkTokenInvalid,
            PasswordRequired,
            LinkExpired,
            InvalidRequest,
            ChatNotConfigured,
            ChatUnavailable,
            ChatRefused,
        ]),
        operation(
            Tag::Upload,
            "post",
            "/u/{token}/opened",
            "page_opened",
            "Say that a person has opened the page",
        )
        .describe(
            "What the page's program says once it runs; a program that draws a card does not.",
        )
        .answers_empty(204, "The link knows.")
        .problems(&OF_ITS_TOKEN),
        operation(
            Tag::Upload,
            "post",
            "/u/{token}/done",
            "person_done",
            "Say that the person has sent all",
        )
        .describe("Completes a link whose files are joined; another stays as it is.")
        .takes("Done", &[("order", examples::done())])
        .answers_empty(204, "The link knows.")
        .problems(&OF_ITS_TOKEN)
        .problems(&[InvalidRequest, BodyTooLarge]),
    ]
}

/// What a token can meet.
const OF_ITS_TOKEN: [chatlift_shared::ProblemCode; 4] = [
    LinkTokenInvalid,
    PasswordRequired,
    LinkNotFound,
    LinkExpired,
];

/// What every upload can meet on its link.
const OF_THE_LINK: [chatlift_shared::ProblemCode; 6] = [
    LinkTokenInvalid,
    PasswordRequired,
    LinkNotFound,
    LinkExpired,
    LinkRevoked,
    LinkFull,
];

fn files() -> Vec<Operation> {
    vec![
        operation(
            Tag::Upload,
            "post",
            "/u/{token}/files",
            "send_file",
            "Upload a small file in one request",
        )
        .describe(
            "Up to 8 MiB, with its length announced. Larger files go in parts. The answer that stored \
             it has a `ticket`, by which it can be withdrawn; one that only finds it stored has none.",
        )
        .header(
            "Content-Disposition",
            "Names the file: `attachment; filename*=UTF-8''...` (RFC 6266).",
            text(),
        )
        .header(
            "Content-Digest",
            "What the content must have (RFC 9530).",
            digest(),
        )
        .takes_content("The file.", bytes())
        .curl("-H 'Content-Disposition: attachment; filename=invoice.pdf'")
        .curl("--data-binary @invoice.pdf")
        .answers(
            201,
            "The file is stored.",
            "PageFile",
            &[("file", examples::page_file_new())],
        )
        .leads_to(
            201,
            "file_id",
            &["get_file", "get_content", "give_receipt", "delete_file"],
        )
        .problems(&OF_THE_LINK)
        .problems(&[
            InvalidRequest,
            DigestMissing,
            LengthRequired,
            FileTooLarge,
            BodyTooLarge,
            FileTypeNotAccepted,
            FileEmpty,
            DigestMismatch,
            StorageUnavailable,
        ]),
        operation(
            Tag::Upload,
            "post",
            "/u/{token}/uploads",
            "create_upload",
            "Announce a file that comes in parts",
        )
        .describe(
            "The same name and size announced again answers with the same upload and what the \
             edge holds of it: that is how an upload goes on.",
        )
        .takes("CreateUpload", &[("small", examples::create_upload())])
        .answers(
            200,
            "The upload was announced before.",
            "Upload",
            &[("under_way", examples::upload())],
        )
        .answers(
            201,
            "The upload is open.",
            "Upload",
            &[("new", examples::upload_new())],
        )
        .leads_to(
            201,
            "upload_id",
            &["send_part", "complete_upload", "abort_upload"],
        )
        .problems(&OF_THE_LINK)
        .problems(&[
            InvalidRequest,
            BodyTooLarge,
            FileTooLarge,
            FileTypeNotAccepted,
            FileEmpty,
            StorageUnavailable,
        ]),
    ]
}

fn parts() -> Vec<Operation> {
    vec![
        operation(
            Tag::Upload,
            "put",
            "/u/{token}/uploads/{upload_id}/parts/{part}",
            "send_part",
            "Send a part, or a chunk of one",
        )
        .describe(
            "A whole part may have a `Content-Digest`. A chunk has an `Upload-Offset`, and may have the \
             whole part's `Repr-Digest`; what arrives of it counts, even when it is cut. Bytes that are held \
             are refused before they come, by `offset-differs` with where to go on, and the connection ends. An upload \
             whose parts come without was announced `alone`. A part may name \
             the digests that `complete` takes: with the last part the upload is completed then, \
             and the answer is the file. If it cannot be with these digests, the part is held and \
             `complete` tells why.",
        )
        .query(
            "sha256",
            "Digest of the whole file; compared where there is one part.",
            schema("Sha256"),
        )
        .query(
            "parts_sha256",
            "Digest of the parts' digests in order.",
            schema("Sha256"),
        )
        .uncounted()
        .needs_header(
            "Upload-Ticket",
            "The upload's ticket.",
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" }),
        )
        .header("Content-Digest", "Digest of the part.", digest())
        .header(
            "Upload-Offset",
            "Where the chunk begins, in bytes from the start of its part.",
            json!({ "type": "string", "pattern": "^[0-9]+$" }),
        )
        .header(
            "Repr-Digest",
            "Digest of the whole part; compared with the chunk that ends it.",
            digest(),
        )
        .takes_content("The part or the chunk.", bytes())
        .curl("-H \"Upload-Ticket: $UPLOAD_TICKET\"")
        .curl(&format!("-H 'Content-Digest: {}'", examples::DIGEST_HEADER))
        .curl("--data-binary @invoice.pdf")
        .answers(
            200,
            "It was the last part, and the file is stored.",
            "PageFile",
            &[("file", examples::page_file())],
        )
        .answers(
            202,
            "The chunk is held; its part is not whole yet.",
            "Staged",
            &[("held", examples::staged())],
        )
        .answers_empty(204, "The part is held.")
        .problems(&[LinkTokenInvalid, PasswordRequired, LinkExpired, LinkRevoked])
        .problems(&[
            FileTypeNotAccepted,
            UploadNotFound,
            UploadAborted,
            UploadTicketInvalid,
            InvalidRequest,
            DigestMissing,
            LengthRequired,
            OffsetDiffers,
            PartOutOfRange,
            PartSizeWrong,
            DigestMismatch,
            StorageUnavailable,
        ]),
        operation(
            Tag::Upload,
            "post",
            "/u/{token}/uploads/{upload_id}/complete",
            "complete_upload",
            "Store an upload whose parts are all there",
        )
        .describe("Again for a stored one answers with the same file.")
        .takes(
            "CompleteUpload",
            &[("digests", examples::complete_upload())],
        )
        .answers(
            200,
            "The file is stored.",
            "PageFile",
            &[("file", examples::page_file())],
        )
        .problems(&OF_THE_LINK)
        .problems(&[
            InvalidRequest,
            BodyTooLarge,
            UploadNotFound,
            UploadAborted,
            PartsMissing,
            PartsDiffer,
            UploadBusy,
            FileTypeNotAccepted,
            StorageUnavailable,
        ]),
        operation(
            Tag::Upload,
            "delete",
            "/u/{token}/uploads/{upload_id}",
            "abort_upload",
            "Abort an upload, or withdraw the file that it became",
        )
        .describe(
            "With its ticket, an upload is ended whatever its state, until a receipt says that the \
             app has the file. A file that was stored already is withdrawn: its content is deleted, \
             it takes no place of the link any more, and `file.deleted` with the reason `withdrawn` \
             is sent. A commit that is under way ends without a file. The id of a file that came in one \
             request is that of its upload, with `upl_` in place of `fil_`. Without a ticket, only an \
             upload that still takes parts is ended. Again is fine.",
        )
        .header(
            "Upload-Ticket",
            "The upload's ticket, from its announcement or from the answer that stored the file.",
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+$" }),
        )
        .answers_empty(204, "It is ended. What storage has of it is gone, or will be soon.")
        .problems(&OF_ITS_TOKEN)
        .problems(&[
            UploadTicketInvalid,
            UploadNotFound,
            UploadBusy,
            FileTaken,
            TooManyWithdrawn,
        ]),
    ]
}

fn service() -> Vec<Operation> {
    vec![
        operation(Tag::Service, "get", "/healthz", "health", "Is it up?").answers(
            200,
            "It is.",
            "Health",
            &[("ok", json!({ "status": "ok" }))],
        ),
    ]
}
