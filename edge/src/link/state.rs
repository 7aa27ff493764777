//! What the link's Durable Object keeps: one row for the link, one for each upload, event and
//! cleanup. Every row is stored as the JSON of its type; a test pins that form.
//!
//! ```text
//! link    active ──┬─> completed   (it has all its files)
//!                  ├─> expired     (its time is over)
//!                  └─> revoked     (its app took it back)
//!
//! upload  receiving ──> completing ──> stored
//!             ^  │          │  │
//!             │  └──────────┼──┴────> aborted
//!             └─────────────┘ (R2 turned out to have no object)
//! ```

use std::collections::BTreeMap;

use chatlift_shared::api::{
    self, AuditHead, DeletedReason, EventState, LinkState as Status, Receipt,
};
use chatlift_shared::digest::Sha256;
use chatlift_shared::media::MediaRange;
use chatlift_shared::text::LocalizedText;
use chatlift_shared::webhook::LinkRef;
use chatlift_shared::{AppId, EventId, FileId, LinkId, ProblemCode, SceneId, Timestamp, UploadId};
use serde::{Deserialize, Serialize};

use super::audit::Trail;
use super::key::{address, object_key};
use super::listing::{Entry, Listed};
use super::password::Password;
use super::serial_row::{Role, Serial};

/// Everything about one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// The link itself.
    pub link: LinkRow,
    /// Its uploads; a stored one is a file.
    pub uploads: BTreeMap<UploadId, UploadRow>,
    /// Its outbox: events until acknowledged, and after.
    pub events: BTreeMap<EventId, EventRow>,
    /// What is still to be removed from R2, by a name of its own.
    pub cleanups: BTreeMap<String, CleanupRow>,
    /// What happened to it, for auditors.
    pub audit: Trail,
}

/// The rules of the scene as they stood when the link was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Accepted media ranges.
    pub accept: Vec<MediaRange>,
    /// Largest file, in bytes.
    pub max_file_size: u64,
    /// Most files.
    pub max_files: u32,
    /// Formats that the app can use, best first.
    pub formats: Vec<String>,
    /// What is made of all files together, if anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<api::Join>,
    /// Whether senders are asked for a note.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub note: bool,
    /// How long a stored file is kept, in seconds.
    pub file_retention: u64,
    /// How long a link is remembered when it has ended and its files are gone, in seconds; `None` for
    /// [`RECORD_RETENTION`](super::work::RECORD_RETENTION).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_retention: Option<u64>,
}

/// The link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    /// Version of the link's rows ([`ROWS`](super::version::ROWS)); 0 for those of before there was one.
    #[serde(default)]
    pub version: u32,
    /// Its id.
    pub id: LinkId,
    /// The app that asks.
    pub app: AppId,
    /// What it asks for.
    pub scene: SceneId,
    /// Name of the R2 bucket that holds its files.
    pub bucket: String,
    /// Its rules.
    pub policy: Policy,
    /// The app's own user or case id.
    pub subject: Option<String>,
    /// What the app gave when it made the link.
    pub metadata: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Where it is in its life.
    pub status: Status,
    /// Digest of the request that made it, when that had an `Idempotency-Key`.
    pub request: Option<Sha256>,
    /// Number of the next event.
    pub next_event: u64,
    /// When the page's program first ran for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// What the page says in place of the scene's words.
    #[serde(default, skip_serializing_if = "Words::is_empty")]
    pub words: Words,
    /// What the app and the scene said when the link was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// What the page asks for first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// Where it stands with its app's list.
    #[serde(default, skip_serializing_if = "is_default")]
    pub listed: Listed,
    /// Whether its app had it erased: it goes as soon as R2 has nothing of it any more.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub erased: bool,
}

/// What an app and its scene said of themselves when a link was made: shown once they are no longer
/// configured. Until then what they say now is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The app's name.
    pub app: LocalizedText,
    /// What the scene asks for.
    pub title: LocalizedText,
    /// More about it.
    pub hint: LocalizedText,
}

/// What a link says in place of its scene's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// What it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<LocalizedText>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<LocalizedText>,
    /// Where "back to the app" leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
}

impl Words {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRow {
    /// The file's name, already made safe.
    pub name: String,
    /// Its size in bytes, as announced and enforced.
    pub size: u64,
    /// When it was announced.
    pub created_at: Timestamp,
    /// Where it is in its life.
    pub state: UploadState,
    /// What it has beside, if it is a serial upload: one by tus or Resumable Uploads for HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// What its sender says of it to the app.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

impl UploadRow {
    /// Whether the file has this name and size, and its sender said the same of it.
    #[must_use]
    pub fn is_of(&self, name: &str, size: u64, extras: &Extras) -> bool {
        (self.name.as_str(), self.size, &self.extras) == (name, size, extras)
    }
}

/// What a sender says of a file to the app, beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extras {
    /// A note, as [`chatlift_shared::text::note`] leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// By how many degrees clockwise its pages are turned: 0, 90, 180 or 270.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rotate: u16,
}

impl Extras {
    /// Whether there is nothing but the file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An R2 multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Multipart {
    /// R2's own id of it.
    pub r2_upload_id: String,
    /// Size of every part but the last, in bytes.
    pub part_size: u64,
    /// Nobody joins it by name and size: its sender cannot tell by digests what is of the same file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
}

/// Where an upload is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// Takes parts.
    Receiving {
        /// Where they go.
        multipart: Multipart,
        /// When it was last heard of.
        touched_at: Timestamp,
        /// Whether an attempt to complete it was given up: R2 may make its object late.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        attempted: bool,
    },
    /// The intent to commit is recorded; R2 may or may not have the object yet.
    Completing {
        /// Which try this is. A confirmation must name it.
        attempt: u64,
        /// When the try began.
        since: Timestamp,
        /// Digest of the whole: computed, or that which R2 checks a file in one request by.
        sha256: Option<Sha256>,
        /// The multipart upload to complete; absent for a file that comes in one request.
        multipart: Option<Multipart>,
    },
    /// A whole piece of a file, an object of its own until it is joined.
    Piece {
        /// When it was last heard of.
        touched_at: Timestamp,
    },
    /// A file.
    Stored(StoredFile),
    /// Ended without a file of its own.
    Aborted {
        /// When.
        at: Timestamp,
        /// The stored upload of the same file: its sender is answered with that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        twin: Option<UploadId>,
    },
}

impl UploadState {
    /// Whether more is to come: it takes bytes, or waits to be joined.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        matches!(self, Self::Receiving { .. } | Self::Piece { .. })
    }
}

/// A committed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Type by content.
    pub media_type: String,
    /// Digest of the whole content, if the edge computed it. Rows that have no `part_size` may have what
    /// the sender said; [`LinkState::whole_digest`] tells these apart.
    #[serde(default)]
    pub sha256: Option<Sha256>,
    /// Size of its parts in bytes, where it was stored in parts whose digests were computed. If there are
    /// several, their rows stay as long as the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    /// R2's entity tag, without quotes.
    pub etag: String,
    /// When it was committed.
    pub stored_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Why it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_reason: Option<DeletedReason>,
    /// What the backend said of it.
    pub receipt: Option<Receipt>,
}

impl StoredFile {
    /// Whether who sent it has withdrawn it.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.deleted_reason == Some(DeletedReason::Withdrawn)
    }

    /// Whether a file of `size` bytes has several parts whose digests are kept.
    #[must_use]
    pub fn in_parts(&self, size: u64) -> bool {
        self.part_size.is_some_and(|part_size| size > part_size)
    }
}

/// A part that R2 holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// R2's entity tag of the part, needed to complete.
    pub etag: String,
    /// Its digest, checked while it was stored.
    pub sha256: Sha256,
}

/// An event in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// The exact JSON that is signed and sent at every try.
    pub body: String,
    /// Where it is.
    pub state: EventState,
    /// When it happened.
    pub created_at: Timestamp,
    /// When its present round of tries began: `created_at`, or the last redelivery.
    pub round_at: Timestamp,
    /// Tries in all.
    pub attempts: u32,
    /// Tries in this round.
    pub round_attempts: u32,
    /// When the next try is due, while pending.
    pub next_at: Timestamp,
}

/// Something to be removed from R2, until it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupRow {
    /// What.
    pub what: Cleanup,
    /// When it is due.
    pub due: Timestamp,
    /// Tries so far.
    pub attempts: u32,
}

/// What is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleanup {
    /// A multipart upload with its parts.
    AbortMultipart {
        /// Its object key.
        key: String,
        /// R2's id of it.
        r2_upload_id: String,
    },
    /// An object; no harm if it is not there.
    DeleteObject {
        /// Its key.
        key: String,
    },
}

impl LinkState {
    /// A link that was just made.
    #[must_use]
    pub fn new(link: LinkRow) -> Self {
        Self {
            link,
            uploads: BTreeMap::new(),
            events: BTreeMap::new(),
            cleanups: BTreeMap::new(),
            audit: Trail::default(),
        }
    }

    /// Key of the object that `upload` becomes.
    #[must_use]
    pub fn key(&self, upload: UploadId) -> String {
        object_key(&self.link.app, upload)
    }

    /// How many places the link's files take: those stored and those being committed.
    #[must_use]
    pub fn places_taken(&self) -> u32 {
        let taken = self.uploads.values().filter(|u| match &u.state {
            UploadState::Stored(file) => !file.is_withdrawn(),
            // A piece is no file.
            UploadState::Completing { .. } => {
                u.serial.as_ref().is_none_or(|s| s.role != Role::Piece)
            }
            _ => false,
        });
        u32::try_from(taken.count()).unwrap_or(u32::MAX)
    }

    /// How many files were stored, deleted ones too: a deleted file does not make room for one
    /// more. One that was withdrawn does.
    #[must_use]
    pub fn files_stored(&self) -> u32 {
        self.count_files(|file| !file.is_withdrawn())
    }

    /// How many files were withdrawn.
    #[must_use]
    pub fn files_withdrawn(&self) -> u32 {
        self.count_files(StoredFile::is_withdrawn)
    }

    fn count_files(&self, counts: impl Fn(&StoredFile) -> bool) -> u32 {
        let files = self.uploads.values();
        let files = files.filter(|u| matches!(&u.state, UploadState::Stored(file) if counts(file)));
        u32::try_from(files.count()).unwrap_or(u32::MAX)
    }

    /// Digest of the whole of a stored file, if the edge computed it.
    ///
    /// Rows of before digests were facts have what the sender said, where the file came in parts by the
    /// page's own protocol. R2's tag of an object that was put together from parts has a dash
    /// (<https://developers.cloudflare.com/r2/objects/multipart-objects/>).
    #[must_use]
    pub fn whole_digest(&self, upload: UploadId) -> Option<Sha256> {
        let row = self.uploads.get(&upload)?;
        let UploadState::Stored(stored) = &row.state else {
            return None;
        };
        let is_claim =
            stored.part_size.is_none() && row.serial.is_none() && stored.etag.contains('-');
        stored.sha256.filter(|_| !is_claim)
    }

    /// The file that `upload` became, if it is one. Digests of several parts are kept apart from it.
    #[must_use]
    pub fn file(&self, upload: UploadId) -> Option<api::File> {
        let row = self.uploads.get(&upload)?;
        let UploadState::Stored(stored) = &row.state else {
            return None;
        };
        let whole = self.whole_digest(upload);
        Some(api::File {
            id: upload.into(),
            link: self.link.id,
            name: row.name.clone(),
            size: row.size,
            media_type: stored.media_type.clone(),
            sha256: whole.or(stored.receipt.as_ref().and_then(|receipt| receipt.sha256)),
            parts: whole
                .filter(|_| !stored.in_parts(row.size))
                .map(|sha256| api::PartDigests {
                    size: row.size,
                    sha256: vec![sha256],
                }),
            address: address(&self.link.bucket, &self.key(upload)),
            stored_at: stored.stored_at,
            deleted_at: stored.deleted_at,
            deleted_reason: stored.deleted_reason,
            receipt: stored.receipt.clone(),
            note: row.extras.note.clone(),
            rotate: row.extras.rotate,
        })
    }

    /// All files, oldest first.
    #[must_use]
    pub fn files(&self) -> Vec<api::File> {
        let mut files: Vec<_> = self
            .uploads
            .keys()
            .filter_map(|id| self.file(*id))
            .collect();
        files.sort_by_key(|f| (f.stored_at, f.id));
        files
    }

    /// What names this link in an event.
    #[must_use]
    pub fn link_ref(&self) -> LinkRef {
        LinkRef {
            id: self.link.id,
            app: self.link.app.clone(),
            scene: self.link.scene.clone(),
            subject: self.link.subject.clone(),
            metadata: self.link.metadata.clone(),
            formats: self.link.policy.formats.clone(),
            join: self.link.policy.join,
        }
    }

    /// What the app's list says of this link.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry {
            link: api::LinkSummary {
                id: self.link.id,
                scene: self.link.scene.clone(),
                state: self.link.status,
                subject: self.link.subject.clone(),
                created_at: self.link.created_at,
                expires_at: self.link.expires_at,
            },
            version: self.link.listed.version,
        }
    }

    /// What the link looks like from outside.
    #[must_use]
    pub fn view(&self) -> LinkView {
        let receiving = self.uploads.values().filter(|u| {
            u.state.is_under_way() || matches!(u.state, UploadState::Completing { .. })
        });
        LinkView {
            link: self.link.clone(),
            uploads: u32::try_from(receiving.count()).unwrap_or(u32::MAX),
            under_way: vec![],
            files: self.files(),
            files_left: match self.link.status {
                Status::Active => self
                    .link
                    .policy
                    .max_files
                    .saturating_sub(self.places_taken()),
                _ => 0,
            },
            audit: self.audit.head(),
        }
    }
}

/// A link with its files, as it leaves the Durable Object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// The link.
    pub link: LinkRow,
    /// Uploads under way.
    pub uploads: u32,
    /// How far they are, where that was asked.
    #[serde(default)]
    pub under_way: Vec<api::UnderWay>,
    /// Its files, oldest first.
    pub files: Vec<api::File>,
    /// How many more it takes.
    pub files_left: u32,
    /// Where its audit trail ends.
    #[serde(default)]
    pub audit: AuditHead,
}

/// Why a link of this status takes no more files, if it takes none.
#[must_use]
pub const fn refusal(status: Status) -> Option<ProblemCode> {
    match status {
        Status::Active => None,
        Status::Completed => Some(ProblemCode::LinkFull),
        Status::Expired => Some(ProblemCode::LinkExpired),
        Status::Revoked => Some(ProblemCode::LinkRevoked),
    }
}

/// Why the page of a link does not open at `now`, if it does not. That of a completed link opens as
/// long as its address is good: there is a success to look back on.
#[must_use]
pub fn closed(link: &LinkRow, now: Timestamp) -> Option<ProblemCode> {
    match link.status {
        Status::Active | Status::Completed => {
            (link.expires_at <= now).then_some(ProblemCode::LinkExpired)
        }
        ended @ (Status::Expired | Status::Revoked) => refusal(ended),
    }
}

/// The upload that a file was.
#[must_use]
pub fn upload_of(file: FileId) -> UploadId {
    UploadId::new(file.link(), file.suffix())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_row_json_unchanged() {
        let row = UploadRow {
            name: "a.pdf".into(),
            size: 3,
            created_at: Timestamp::from_secs(0),
            state: UploadState::Completing {
                attempt: 7,
                since: Timestamp::from_secs(1),
                sha256: None,
                multipart: Some(Multipart {
                    r2_upload_id: "r2".into(),
                    part_size: 8,
                    alone: false,
                }),
            },
            serial: None,
            extras: Extras::default(),
        };
        let json = r#"{"name":"a.pdf","size":3,"created_at":"1970-01-01T00:00:00.000Z","state":{"completing":{"attempt":7,"since":"1970-01-01T00:00:01.000Z","sha256":null,"multipart":{"r2_upload_id":"r2","part_size":8}}}}"#;
        assert_eq!(serde_json::to_string(&row).expect("JSON"), json);
        let old: UploadRow = serde_json::from_str(json).expect("a row of before there were extras");
        assert_eq!(old, row);
        let row = UploadRow {
            extras: Extras {
                note: Some("Roof".into()),
                rotate: 90,
            },
            ..row
        };
        assert_eq!(
            serde_json::to_string(&row).expect("JSON"),
            [
                json.strip_suffix('}').expect("an object"),
                r#","extras":{"note":"Roof","rotate":90}}"#
            ]
            .concat()
        );
    }

    /// Before digests were facts, a row had what the sender said of a file in parts.
    #[test]
    fn an_older_row_loads_and_tells_no_digest_that_its_sender_claimed() {
        let upload = UploadId::new(LinkId::from_bytes([0; 12]), [1; 6]);
        let digest = Sha256::of(b"whole");
        let serial = r#","serial":{"protocol":"tus","role":"file","length_known":true,"writer":1,"unchecked":null,"metadata":"","sha256":null}"#;
        for (etag, serial, told) in [
            ("0f-2", "", None),
            ("0f", "", Some(digest)),
            ("0f-2", serial, Some(digest)),
        ] {
            let json = format!(
                r#"{{"name":"a.pdf","size":9000000,"created_at":"1970-01-01T00:00:00.000Z","state":{{"stored":{{"media_type":"application/pdf","sha256":"{digest}","etag":"{etag}","stored_at":"1970-01-01T00:00:01.000Z","deleted_at":null,"receipt":null}}}}{serial}}}"#
            );
            let mut state = LinkState::new(row());
            let row = serde_json::from_str(&json).expect("an older row");
            state.uploads.insert(upload, row);
            let file = state.file(upload).expect("a file");
            assert_eq!(file.sha256, told, "{etag}");
            assert_eq!(file.parts.map(|parts| parts.sha256), told.map(|d| vec![d]));
        }
    }

    fn row() -> LinkRow {
        LinkRow {
            version: 1,
            id: LinkId::from_bytes([0; 12]),
            app: "demo".parse().expect("an app id"),
            scene: "any".parse().expect("a scene id"),
            bucket: "b".into(),
            policy: Policy {
                accept: vec!["image/*".parse().expect("a media range")],
                max_file_size: 1,
                max_files: 2,
                formats: vec![],
                join: None,
                note: false,
                file_retention: 3,
                record_retention: None,
            },
            subject: None,
            metadata: BTreeMap::new(),
            created_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(1),
            status: Status::Active,
            request: None,
            next_event: 0,
            opened_at: None,
            words: Words::default(),
            said: None,
            password: None,
            listed: Listed::default(),
            erased: false,
        }
    }

    #[test]
    fn a_page_opens_until_its_link_ends() {
        let second = |n| Timestamp::from_secs(n);
        for (status, before, after) in [
            (Status::Active, None, Some(ProblemCode::LinkExpired)),
            (Status::Completed, None, Some(ProblemCode::LinkExpired)),
            (
                Status::Expired,
                Some(ProblemCode::LinkExpired),
                Some(ProblemCode::LinkExpired),
            ),
            (
                Status::Revoked,
                Some(ProblemCode::LinkRevoked),
                Some(ProblemCode::LinkRevoked),
            ),
        ] {
            let link = LinkRow { status, ..row() };
            assert_eq!(closed(&link, second(0)), before, "{status:?}");
            assert_eq!(closed(&link, second(1)), after, "{status:?}");
        }
    }

    #[test]
    fn link_row_json_unchanged() {
        let row = row();
        assert_eq!(
            serde_json::to_string(&row).expect("JSON"),
            r#"{"version":1,"id":"lnk_AAAAAAAAAAAAAAAA","app":"demo","scene":"any","bucket":"b","policy":{"accept":["image/*"],"max_file_size":1,"max_files":2,"formats":[],"file_retention":3},"subject":null,"metadata":{},"created_at":"1970-01-01T00:00:00.000Z","expires_at":"1970-01-01T00:00:01.000Z","status":"active","request":null,"next_event":0}"#
        );
    }
}
