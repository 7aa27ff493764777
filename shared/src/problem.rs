//! Errors of the edge API: problem details for HTTP APIs (RFC 9457).

use serde::{Deserialize, Serialize};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! problems {
    (
        $($(#[$doc:meta])* $variant:ident = $status:literal $code:literal $title:literal,)*
        // Known only where the feature is on.
        [$feature:literal]
        $($(#[$fdoc:meta])* $fvariant:ident = $fstatus:literal $fcode:literal $ftitle:literal,)*
    ) => {
        /// Every way in which the edge says no. The code is stable: clients and translations go
        /// by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ProblemCode {
            $($(#[$doc])* #[serde(rename = $code)] $variant,)*
            $($(#[$fdoc])* #[cfg(feature = $feature)] #[serde(rename = $fcode)] $fvariant,)*
        }

        impl ProblemCode {
            /// All codes, in the order of this file.
            pub const ALL: &[Self] = &[
                $(Self::$variant,)*
                $(#[cfg(feature = $feature)] Self::$fvariant,)*
            ];

            /// The stable code, the last segment of the problem's `type`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                    $(#[cfg(feature = $feature)] Self::$fvariant => $fcode,)*
                }
            }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)*
                    $(#[cfg(feature = $feature)] Self::$fvariant => $fstatus,)*
                }
            }

            /// What the code means, in a few English words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)*
                    $(#[cfg(feature = $feature)] Self::$fvariant => $ftitle,)*
                }
            }
        }
    };
}

problems! {
    /// A body, header or parameter is not what the route takes; `field` names it.
    InvalidRequest = 400 "invalid-request" "The request is not valid",
    /// No `Authorization: Bearer` header.
    ApiKeyMissing = 401 "api-key-missing" "An API key is needed",
    /// The API key belongs to no app.
    ApiKeyUnknown = 401 "api-key-unknown" "The API key is not known",
    /// No such route.
    NotFound = 404 "not-found" "There is nothing here",
    /// The route has other methods.
    MethodNotAllowed = 405 "method-not-allowed" "The method is not allowed here",
    /// The link token is cut short, mistyped or forged.
    LinkTokenInvalid = 404 "link-token-invalid" "The link is not complete or was mistyped",
    /// No such link in this app, or it has been cleaned away.
    LinkNotFound = 404 "link-not-found" "There is no such link",
    /// The link's time is over.
    LinkExpired = 410 "link-expired" "The link has expired",
    /// The app took the link back.
    LinkRevoked = 410 "link-revoked" "The link was revoked",
    /// The link's app or scene is no longer configured: nobody asks for files by it any more.
    SceneRemoved = 410 "scene-removed" "The app no longer asks for these files",
    /// The link has all the files that it takes.
    LinkFull = 409 "link-full" "The link already has all its files",
    /// The app has no scene of this name.
    SceneUnknown = 422 "scene-unknown" "The app has no such scene",
    /// A link asks for more than its scene allows; `field` names it.
    BeyondScene = 422 "beyond-scene" "The scene does not allow that",
    /// The link has a password, and the request bears no pass.
    PasswordRequired = 401 "password-required" "The link asks for its password",
    /// It is not the link's password.
    PasswordWrong = 403 "password-wrong" "The password is wrong",
    /// Too many wrong passwords; `retry_after` says when the next is taken.
    PasswordLocked = 429 "password-locked" "Too many wrong passwords",
    /// Too many requests from one address or about one link; `retry_after` says when to go on.
    RateLimited = 429 "rate-limited" "Too many requests",
    /// The download address is forged, altered or over.
    DownloadUrlInvalid = 403 "download-url-invalid" "The download address is not valid",
    /// An `Idempotency-Key` came with another body before.
    IdempotencyKeyReused = 422 "idempotency-key-reused" "The idempotency key was used with another request",
    /// No `Content-Length`: a body of unknown length cannot be streamed into R2.
    LengthRequired = 411 "length-required" "A Content-Length is needed",
    /// The body is longer than this route reads.
    BodyTooLarge = 413 "body-too-large" "The request body is too large",
    /// The file is larger than the scene takes.
    FileTooLarge = 413 "file-too-large" "The file is too large",
    /// The file has no bytes.
    FileEmpty = 422 "file-empty" "The file is empty",
    /// The form has no file.
    FileMissing = 422 "file-missing" "No file was chosen",
    /// By its content, the file is of a type that the scene does not take.
    FileTypeNotAccepted = 415 "file-type-not-accepted" "Files of this type are not accepted",
    /// No such upload on this link.
    UploadNotFound = 404 "upload-not-found" "There is no such upload",
    /// The upload was aborted, by the page, by the end of its link or for a refused type.
    UploadAborted = 409 "upload-aborted" "The upload was aborted",
    /// Another request is completing this upload right now.
    UploadBusy = 409 "upload-busy" "The upload is being completed",
    /// The upload ticket is missing, forged, expired or for another upload.
    UploadTicketInvalid = 403 "upload-ticket-invalid" "The upload ticket is not valid",
    /// The upload has no part of this number.
    PartOutOfRange = 422 "part-out-of-range" "The upload has no such part",
    /// A chunk does not begin where the held beginning of its part ends; `offset` says where.
    OffsetDiffers = 409 "offset-differs" "The chunk begins elsewhere than expected",
    /// A part's length is not what the announced size makes it.
    PartSizeWrong = 422 "part-size-wrong" "The part has the wrong length",
    /// Parts are missing; `parts` names the first of them.
    PartsMissing = 409 "parts-missing" "Parts of the upload are missing",
    /// The parts that the edge holds are not the ones that the page sent last.
    PartsDiffer = 409 "parts-differ" "The stored parts are of another file",
    /// No `Content-Digest` with a `sha-256` member.
    DigestMissing = 400 "digest-missing" "A Content-Digest with sha-256 is needed",
    /// The bytes that arrived do not have the digest that was sent with them.
    DigestMismatch = 422 "digest-mismatch" "The digest does not match the content",
    /// No such file in this app.
    FileNotFound = 404 "file-not-found" "There is no such file",
    /// The file was deleted.
    FileDeleted = 410 "file-deleted" "The file was deleted",
    /// The app has the file: a receipt says that it was delivered. It cannot be withdrawn any more.
    FileTaken = 409 "file-taken" "The app already has the file",
    /// As many files of the link were withdrawn as may be; `limit` says how many.
    TooManyWithdrawn = 409 "too-many-withdrawn" "Too many files of this link were withdrawn",
    /// A receipt that would go back on an earlier one.
    ReceiptOutOfOrder = 409 "receipt-out-of-order" "A later receipt was already given",
    /// The range lies outside the file.
    RangeNotSatisfiable = 416 "range-not-satisfiable" "The range lies outside the file",
    /// `If-Match` names another version of the file.
    PreconditionFailed = 412 "precondition-failed" "The file is not the version that was asked for",
    /// No such event in this app.
    EventNotFound = 404 "event-not-found" "There is no such event",
    /// Storage did not answer; try again.
    StorageUnavailable = 503 "storage-unavailable" "Storage does not answer at the moment",
    /// A fault of ours; the log has it under `instance`.
    Internal = 500 "internal" "Something went wrong on our side",
    ["chat"]
    /// The app's company has no account on this chat platform here.
    ChatNotConfigured = 404 "chat-not-configured" "The chat app is not set up for this link",
    /// The chat platform does not answer, or answers nonsense; try again.
    ChatUnavailable = 503 "chat-unavailable" "The chat app's service does not answer at the moment",
    /// The chat platform refuses the company's account.
    ChatRefused = 502 "chat-refused" "The chat app's service refuses this company's account",
}

/// A problem as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `/problems/<code>`, relative to the edge (RFC 9457 section 3.1.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code by itself.
    pub code: ProblemCode,
    /// What is wrong this time, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The field, header or parameter that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The limit that was passed: bytes for sizes, a count for files and parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Part numbers that this is about, 100 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<u16>,
    /// Where the next chunk begins, in bytes from the start of its part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Seconds after which to try again, as the `Retry-After` header has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What an operator finds this under in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl Problem {
    /// A problem with nothing but its code.
    #[must_use]
    pub fn new(code: ProblemCode) -> Self {
        Self {
            kind: format!("/problems/{}", code.code()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: None,
            field: None,
            limit: None,
            parts: Vec::new(),
            offset: None,
            retry_after: None,
            instance: None,
        }
    }

    /// Says what is wrong this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the field that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says in how many seconds to try again.
    #[must_use]
    pub fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after = Some(secs);
        self
    }

    /// Names the limit that was passed.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl From<ProblemCode> for Problem {
    fn from(code: ProblemCode) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn problem_json_unchanged() {
        let problem = Problem::new(ProblemCode::FileTooLarge)
            .detail("8 bytes at most")
            .limit(8);
        assert_eq!(
            serde_json::to_string(&problem).expect("JSON"),
            r#"{"type":"/problems/file-too-large","title":"The file is too large","status":413,"code":"file-too-large","detail":"8 bytes at most","limit":8}"#
        );
    }

    #[test]
    fn every_code_is_its_own() {
        let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|c| c.code()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        assert!(
            ProblemCode::ALL
                .iter()
                .all(|c| (400..600).contains(&c.status()))
        );
    }
}
