//! The body of every route of the edge.
//!
//! Requests refuse unknown fields, so that a misspelt one is noticed; answers may gain fields.

mod manage;

use std::collections::BTreeMap;

pub use manage::{
    AuditHead, CreateDownloadUrl, DownloadUrl, EndpointState, EnterPassword, EventLog, ExtendLink,
    LinkList, LinkPass, LinkSummary, LoggedEvent, WebhookEndpoint, WebhookKeys,
};
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::text::LocalizedText;
use crate::{AppId, EventId, FileId, LinkId, Problem, SceneId, Timestamp, UploadId};

/// Header of a chunk: how many bytes of its part the edge holds already, and so where the chunk
/// begins. The name is that of draft-ietf-httpbis-resumable-upload.
pub const HEADER_OFFSET: &str = "upload-offset";

/// Header of an upload's ticket, on every part.
pub const HEADER_TICKET: &str = "upload-ticket";

/// Header of the pass that the right password of a link is answered with.
pub const HEADER_PASS: &str = "link-pass";

// For backends.

/// `POST /v1/links`: asks for a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateLink {
    /// The scene, by its id.
    pub scene: SceneId,
    /// The app's own opaque user or case id; comes back in every event. 200 characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Comes back in every event. 20 entries, keys of 40 and values of 500 characters at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Lifetime in seconds, 1 up to the scene's; the scene's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// Most files, 1 up to the scene's; the scene's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u32>,
    /// Largest file in bytes, 1 up to the scene's; the scene's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_file_size: Option<u64>,
    /// Accepted media ranges, each within one of the scene's; the scene's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<String>>,
    /// How long a stored file is kept, in seconds, 1 up to the scene's; the scene's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_retention: Option<u64>,
    /// What the page asks for, in place of the scene's title. 200 characters in each language at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<LocalizedText>,
    /// More about it, in place of the scene's hint. 500 characters in each language at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<LocalizedText>,
    /// Where "back to the app" leads, in place of the scene's: another path of the same scheme and
    /// host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// What the page asks for before it takes files: 4 to 128 characters. Not kept; only its hash is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl CreateLink {
    /// A link under a scene, with nothing of its own.
    #[must_use]
    pub const fn new(scene: SceneId) -> Self {
        Self {
            scene,
            subject: None,
            metadata: BTreeMap::new(),
            expires_in: None,
            max_files: None,
            max_file_size: None,
            accept: None,
            file_retention: None,
            title: None,
            hint: None,
            return_url: None,
            password: None,
        }
    }
}

/// Where a link is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Takes files.
    Active,
    /// Has all the files that it takes.
    Completed,
    /// Its time is over.
    Expired,
    /// The app took it back.
    Revoked,
}

/// `GET /v1/links/{id}`, and the answer to `POST /v1/links`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Link {
    /// The link.
    pub id: LinkId,
    /// The app that asks.
    pub app: AppId,
    /// What it asks for.
    pub scene: SceneId,
    /// Where it is in its life.
    pub state: LinkState,
    /// The app's own user or case id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What the app gave when it made the link.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The address to share. Whoever has it can upload.
    pub url: String,
    /// A sentence with the address, ready to be sent into a chat, by language tag.
    pub share_text: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Most files that it takes.
    pub max_files: u32,
    /// Largest file, in bytes.
    #[serde(default)]
    pub max_file_size: u64,
    /// Accepted media ranges.
    #[serde(default)]
    pub accept: Vec<String>,
    /// Whether the page asks for a password.
    #[serde(default)]
    pub password: bool,
    /// The formats that the app can use, best first (media types); empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// What is made of all its files together, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// When the page's program first ran for a person. A chat app that fetches the address to draw
    /// a card does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// Uploads under way.
    pub uploads: u32,
    /// How far the uploads under way are, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under_way: Vec<UnderWay>,
    /// Its files, oldest first.
    pub files: Vec<File>,
    /// Where its audit trail ends.
    #[serde(default)]
    pub audit: AuditHead,
}

/// What is made of all files of a link together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// One PDF, in the order in which the files were picked.
    Pdf,
}

/// An upload under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnderWay {
    /// The upload.
    pub id: UploadId,
    /// The file's name, safe to show.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// How many bytes the edge holds. A file that comes in one request has none until it is stored.
    pub held: u64,
}

/// `GET /v1/files/{id}`: a stored upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct File {
    /// The file.
    pub id: FileId,
    /// The link it came by.
    pub link: LinkId,
    /// Its name, safe to show and to use as one path component.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Type by content.
    pub media_type: String,
    /// SHA-256 of the whole content, where it is known: the edge computed it when all of the content
    /// passed it in one piece, or the backend's receipt told it. Never what the sender said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// What the content is checked by. Absent for a file of several parts in a link's list of files, in
    /// `file.deleted`, once it is deleted, and in an event beyond 1,000 parts: `GET /v1/files/{id}` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<PartDigests>,
    /// Storage address, `r2://<bucket>/<key>`.
    pub address: String,
    /// When it was stored.
    pub stored_at: Timestamp,
    /// When it was deleted, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Why it was deleted, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_reason: Option<DeletedReason>,
    /// What became of it at the business backend, as far as that has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// What its sender wrote to the app with it, where the scene asks for a note. Plain text, of several
    /// lines maybe, and not to be trusted: never show it as HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// By how many degrees clockwise its sender turned its pages, where the link's files are joined: 0, 90,
    /// 180 or 270. The content is as it was sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotate: u16,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(degrees: &u16) -> bool {
    *degrees == 0
}

/// Why a file was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeletedReason {
    /// Who sent it withdrew it before the app had taken it. It takes no place of the link any more.
    Withdrawn,
    /// The app deleted it.
    Requested,
    /// It was kept as long as its scene says.
    Expired,
}

/// The parts of a file's content and their digests, which the edge computed over the bytes that it
/// stored. At most 10,000 parts, and so at most 0.7 MB of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartDigests {
    /// Size of every part but the last, in bytes; the file's own size where there is one part.
    pub size: u64,
    /// SHA-256 of each part, in order.
    pub sha256: Vec<Sha256>,
}

/// `DELETE /v1/links/{id}?erase=true`: what went with the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Erased {
    /// The link.
    pub link: LinkId,
    /// Its files, whose content is removed from storage.
    pub files: Vec<FileId>,
    /// How many uploads were under way.
    pub uploads: u32,
    /// How many events it had, acknowledged or not.
    pub events: u32,
    /// How many objects storage may still have, of uploads that were being stored at this moment. They go
    /// within some minutes, and the link's record with them.
    pub left: u32,
    /// Where its audit trail ended, which is erased too.
    #[serde(default)]
    pub audit: AuditHead,
}

/// `POST /v1/files/{id}/receipt`: the business backend says what became of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// How far it came.
    pub status: ReceiptStatus,
    /// Why it was rejected, or what of an archive was, in words for the chat-app user. 500 characters
    /// at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, as a stable code such as `password-protected`, by which a page finds its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What of an archive could not be used, though the rest was delivered: with the code
    /// `members-left-out`. `reason` says the same in English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
    /// SHA-256 of the whole content, once the backend has read it. Later receipts need not repeat it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Which attempt of the backend it is about, from 0. A rejected file that is taken up again is
    /// a new attempt, and its receipts begin anew.
    #[serde(default, skip_serializing_if = "is_first")]
    pub attempt: u32,
}

impl Receipt {
    /// A receipt without a reason, of the first attempt.
    #[must_use]
    pub const fn new(status: ReceiptStatus) -> Self {
        Self {
            status,
            reason: None,
            code: None,
            left_out: None,
            sha256: None,
            attempt: 0,
        }
    }
}

/// Members of an archive, or attachments of a mail, that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// How many they are.
    pub count: u32,
    /// How many members the archive has.
    pub of: u32,
    /// Their names, or the first of them: 20 at most. What a name may not have is taken out of it, and one of
    /// more than 255 bytes is cut.
    pub names: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_first(attempt: &u32) -> bool {
    *attempt == 0
}

/// How far a file came. Within an attempt, receipts go forward only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// The backend has fetched it.
    Received,
    /// It is in the app's format.
    Converted,
    /// The first app has it. Final.
    Delivered,
    /// It cannot be used. Final, but for a new attempt.
    Rejected,
}

/// `POST /v1/events/{id}/redeliver`: the event as it stands in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventStatus {
    /// The event.
    pub id: EventId,
    /// Tries so far.
    pub attempts: u32,
    /// Where it is.
    pub state: EventState,
    /// When the next try is due, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

/// Where an event is on its way to the business backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// To be sent, or sent again.
    Pending,
    /// Acknowledged with a 2xx.
    Acknowledged,
    /// Given up after three days. Redeliver it by hand.
    Parked,
}

// For the page. The token in the path is the credential.

/// `GET /u/{token}/page`, and embedded in the page: all that the page needs to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageData {
    /// The token, to build addresses from.
    pub token: String,
    /// The language that was negotiated, a BCP 47 tag.
    pub lang: String,
    /// The languages that there are, with their own names.
    pub languages: BTreeMap<String, String>,
    /// The page's texts in that language, by key. Embedded in the page: those that it needs at
    /// its start. None with `?texts=none`; with `?texts=rest` only those that are not in the page
    /// of that browser, and then no token, languages or link.
    pub messages: BTreeMap<String, String>,
    /// The link; absent when the token does not lead to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<PageLink>,
    /// Why no file can be uploaded, if none can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// A link as the page sees it. Times are RFC 3339 text: the browser's own `Date` reads them, and
/// the page carries no date code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageLink {
    /// Name of the app that asks.
    pub app_name: String,
    /// What it asks for.
    pub title: String,
    /// More about it; may be empty.
    pub hint: String,
    /// Accepted media ranges.
    pub accept: Vec<String>,
    /// Largest file, in bytes.
    pub max_file_size: u64,
    /// Most files.
    pub max_files: u32,
    /// How many more it takes.
    pub files_left: u32,
    /// Where it is in its life.
    pub state: LinkState,
    /// When it ends, RFC 3339.
    pub expires_at: String,
    /// Where "back to the app" leads, if anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// Largest file that goes in one request, in bytes.
    pub single_request_max: u64,
    /// What is made of all files together; then the page says when the person is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
    /// Whether the scene asks for a note with the files.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub note: bool,
    /// What it has already.
    pub files: Vec<PageFile>,
}

/// `POST /u/{token}/done`: the person has sent all that they want to send. A link whose files are
/// joined is completed by it; another stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// The files in the order in which they were picked. Those that it does not name follow in the
    /// order in which they began.
    #[serde(default)]
    pub order: Vec<FileId>,
}

/// A stored file as the page sees it, and the answer to `POST /u/{token}/files` and to `complete`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageFile {
    /// The file.
    pub id: FileId,
    /// Its name as kept.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Type by content.
    pub media_type: String,
    /// SHA-256 of the whole content, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Storage address.
    pub address: String,
    /// What became of it, as far as the backend has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Lets whoever sent it withdraw it; in the answer to `POST /u/{token}/files` that stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

impl From<File> for PageFile {
    fn from(file: File) -> Self {
        Self {
            id: file.id,
            name: file.name,
            size: file.size,
            media_type: file.media_type,
            sha256: file.sha256,
            address: file.address,
            receipt: file.receipt,
            ticket: None,
        }
    }
}

/// `POST /u/{token}` as `multipart/form-data`: what became of each file of the form. Sent as JSON
/// where the request accepts `application/json`, else as a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FormResult {
    /// The files, in the order of the form.
    pub files: Vec<FormFile>,
    /// Why the form as a whole was not read to its end, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// A file of a form: stored or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FormFile {
    /// Its name, as kept.
    pub name: String,
    /// The file, if it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PageFile>,
    /// Why it is not, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// `POST /u/{token}/uploads`: announces a file that comes in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateUpload {
    /// The file's name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its first 4,096 bytes, or all of them, in base64: so that a type that is not accepted is
    /// refused before the rest travels. The stored content is checked again.
    pub head: String,
    /// The ticket of an earlier upload of this file, by who has it. If that upload is sealed, it is
    /// answered in place of a new one. One that leads nowhere is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// No other upload is joined, and nobody joins this one but who has its ticket: for a sender that
    /// computes no digests, and so cannot tell whether what is held is of the same file.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub alone: bool,
    /// What the sender writes to the app with it, where the scene asks for a note: plain text of 500
    /// characters at most. Of several announcements of a file the last one's holds, until it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// By how many degrees clockwise its pages are to be turned, where the link's files are joined: 0, 90,
    /// 180 or 270.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotate: u16,
}

/// The answer to `POST /u/{token}/uploads`. The same name and size announced again answers with
/// the same upload and the parts that the edge holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Upload {
    /// The upload.
    pub id: UploadId,
    /// To be sent with every part, in the `Upload-Ticket` header.
    pub ticket: String,
    /// Size in bytes.
    pub size: u64,
    /// Size of every part but the last, in bytes.
    pub part_size: u64,
    /// Parts that the edge holds. Their digests tell whether they are of the same file.
    pub parts: Vec<HeldPart>,
    /// Beginnings of parts that the edge holds: what arrived in chunks, or before a cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staged: Vec<StagedPart>,
    /// Whether it takes no more parts: it is being stored, or is a file. If the digests of `parts` are
    /// this file's, `complete` answers with it; else the file is announced without the ticket.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub sealed: bool,
}

/// The beginning of a part that the edge holds. Whether it is of the same file is told when the
/// part is whole, by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StagedPart {
    /// The part's number, from 1.
    pub n: u16,
    /// How many of its bytes are held.
    pub offset: u64,
}

/// The answer to a chunk that did not make its part whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Staged {
    /// How many bytes of the part are held: where the next chunk begins.
    pub offset: u64,
}

/// A part that the edge holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeldPart {
    /// Its number, from 1.
    pub n: u16,
    /// Its digest.
    pub sha256: Sha256,
}

/// `POST /u/{token}/uploads/{id}/complete`: all parts are there; store the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteUpload {
    /// Digest of the whole file. Compared where the edge knows it, which is where there is one part; else
    /// passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Digest of the parts' digests, 32 bytes each, in order. Left out by a sender that computes none, of an
    /// upload that was announced `alone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts_sha256: Option<Sha256>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_link_json_unchanged() {
        let body = r#"{"scene":"claim-documents","subject":"case-7","metadata":{"k":"v"},"expires_in":60}"#;
        let parsed: CreateLink = serde_json::from_str(body).expect("a request");
        assert_eq!(serde_json::to_string(&parsed).expect("JSON"), body);
    }

    #[test]
    fn a_misspelt_field_is_refused_by_its_name() {
        let error = serde_json::from_str::<CreateLink>(r#"{"scene":"a","subjct":"x"}"#)
            .expect_err("an unknown field");
        assert!(error.to_string().contains("subjct"), "{error}");
    }

    #[test]
    fn a_receipt_of_the_first_attempt_is_what_it_was_before_there_were_attempts() {
        let body = r#"{"status":"rejected","reason":"No.","code":"gone"}"#;
        let parsed: Receipt = serde_json::from_str(body).expect("a receipt");
        assert_eq!(parsed.attempt, 0);
        assert_eq!(serde_json::to_string(&parsed).expect("JSON"), body);
    }

    #[test]
    fn receipts_are_ordered_as_they_come() {
        use ReceiptStatus::{Converted, Delivered, Received, Rejected};
        assert!(Received < Converted && Converted < Delivered && Delivered < Rejected);
    }
}
