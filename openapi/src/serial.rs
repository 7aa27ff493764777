//! What the open upload protocols have in common: tus 1.0 and Resumable Uploads for HTTP.

use chatlift_shared::ProblemCode::{
    BodyTooLarge, FileEmpty, FileTooLarge, FileTypeNotAccepted, InvalidRequest, LinkExpired,
    LinkNotFound, LinkRevoked, LinkTokenInvalid, PasswordRequired, StorageUnavailable,
};
use serde_json::{Value, json};

use crate::operation::Operation;

/// A header of which no more is said than that it is text.
pub(crate) fn text() -> Value {
    json!({ "type": "string" })
}

/// What a token can meet.
pub(crate) fn refused(operation: Operation) -> Operation {
    operation.problems(&[
        LinkTokenInvalid,
        PasswordRequired,
        LinkNotFound,
        LinkExpired,
    ])
}

/// What a file can meet, as it begins and with each of its bytes.
pub(crate) fn file_refused(operation: Operation) -> Operation {
    operation.problems(&[
        InvalidRequest,
        LinkRevoked,
        FileTooLarge,
        BodyTooLarge,
        FileTypeNotAccepted,
        FileEmpty,
        StorageUnavailable,
    ])
}
