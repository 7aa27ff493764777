//! The audit trail of a link: its entries, and how they are chained.
//!
//! They are stored with the decision that they tell of (`decide/audit.rs`), in one transaction: none tells of what was
//! not stored. Nothing that a person wrote is in them, nor the app's words for one: no names, notes, subjects, metadata,
//! addresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use chatlift_shared::api::{AuditHead, DeletedReason, Join, ReceiptStatus};
use chatlift_shared::audit::AuditEntry;
use chatlift_shared::digest::Sha256;
use chatlift_shared::{AppId, EventId, FileId, LinkId, SceneId, Timestamp, UploadId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::outbox::EVENTS_MAX;

/// Most entries of one kind that a trail has; the last of them is the last that is told of that kind. More
/// than a link has files, deletions and events of its own accord; what senders and backends may repeat without an
/// end is bounded by it. With some 300 bytes each and 14 kinds, 6 MB at most.
pub const OF_A_KIND_MAX: usize = 1_500;
const _: () = assert!(OF_A_KIND_MAX > EVENTS_MAX as usize);

/// What an entry tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Fact {
    /// The link was made. In an older link, of before there was a trail, the first entry is of its next change.
    #[serde(rename = "link.made")]
    LinkMade(Box<Made>),
    /// The page's program first ran for a person.
    #[serde(rename = "link.opened")]
    LinkOpened,
    /// It was given more time.
    #[serde(rename = "link.extended")]
    LinkExtended {
        /// When it ends now.
        expires_at: Timestamp,
    },
    /// It takes no more files: it has them all, or its app closed it.
    #[serde(rename = "link.completed")]
    LinkCompleted,
    /// A file was withdrawn, and it takes one in its place.
    #[serde(rename = "link.reopened")]
    LinkReopened,
    /// Its time was over.
    #[serde(rename = "link.expired")]
    LinkExpired,
    /// Its app took it back.
    #[serde(rename = "link.revoked")]
    LinkRevoked,
    /// So many passwords were tried that who tried the last one has to wait, unless that was right.
    #[serde(rename = "password.locked")]
    PasswordLocked {
        /// Until when.
        until: Timestamp,
    },
    /// An upload ended without a file of its own.
    #[serde(rename = "upload.ended")]
    UploadEnded {
        /// The upload.
        upload: UploadId,
        /// When and how it began.
        #[serde(flatten)]
        begun: Begun,
        /// The stored file that it was the same as.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        same_as: Option<FileId>,
    },
    /// An upload is a file.
    #[serde(rename = "file.stored")]
    FileStored {
        /// The file.
        file: FileId,
        /// The upload.
        upload: UploadId,
        /// When and how it began.
        #[serde(flatten)]
        begun: Begun,
        /// Its size in bytes.
        size: u64,
        /// Its type by content.
        media_type: String,
        /// SHA-256 of the whole, where the edge computed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<Sha256>,
        /// Size of each part but the last in bytes, where it has several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part_size: Option<u64>,
        /// SHA-256 of the parts' SHA-256, each of 32 bytes, in order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parts_sha256: Option<Sha256>,
    },
    /// The backend said how far the file came.
    #[serde(rename = "file.receipt")]
    FileReceipt {
        /// The file.
        file: FileId,
        /// How far.
        status: ReceiptStatus,
        /// Which attempt of the backend it is about.
        attempt: u32,
        /// SHA-256 of what it has, as it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<Sha256>,
    },
    /// The file was deleted.
    #[serde(rename = "file.deleted")]
    FileDeleted {
        /// The file.
        file: FileId,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<DeletedReason>,
    },
    /// The backend acknowledged an event.
    #[serde(rename = "event.acknowledged")]
    EventAcknowledged {
        /// The event.
        event: EventId,
        /// At which try.
        attempts: u32,
    },
    /// An event is sent no more, until its app asks for it.
    #[serde(rename = "event.parked")]
    EventParked {
        /// The event.
        event: EventId,
        /// After how many tries.
        attempts: u32,
    },
    /// An event that was acknowledged or parked is sent again: its app asked.
    #[serde(rename = "event.redelivered")]
    EventRedelivered {
        /// The event.
        event: EventId,
    },
}

/// The link as it was made, and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub(super) link: LinkId,
    pub(super) app: AppId,
    pub(super) scene: SceneId,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) accept: Vec<String>,
    pub(super) max_files: u32,
    pub(super) max_file_size: u64,
    pub(super) file_retention: u64,
    pub(super) password: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) join: Option<Join>,
}

/// When and how an upload began. It has no entry of its own before it ends, as each does: rows are what links
/// cost most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub(super) begun_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Dialect>,
}

/// How an upload is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// In one request, of the page or in a form.
    Request,
    /// In parts, of the page or in a form.
    Parts,
    /// By tus.
    Tus,
    /// By Resumable Uploads for HTTP.
    Resumable,
}

/// A row of the trail. Its number is its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
    /// The hash of the entry that it is.
    pub hash: Sha256,
}

/// The trail. Copies share their rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail(Arc<Vec<Row>>);

impl FromIterator<Row> for Trail {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        Self(Arc::new(rows.into_iter().collect()))
    }
}

impl Trail {
    /// Its rows, from the first.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    /// Where it ends.
    #[must_use]
    pub fn head(&self) -> AuditHead {
        self.head_at(self.0.len())
    }

    /// Where it ended when it had this many rows.
    fn head_at(&self, entries: usize) -> AuditHead {
        let last = entries.checked_sub(1).and_then(|last| self.0.get(last));
        last.map_or_else(AuditHead::default, |last| AuditHead {
            entries: entries as u64,
            hash: last.hash,
        })
    }

    /// What a store that has the trail as it was `before` writes: whether it first removes what it has, as of a link
    /// that is erased, and the rows that are new, by their numbers from 1.
    pub fn since(&self, before: Option<&Self>) -> (bool, impl Iterator<Item = (i64, &Row)>) {
        let known = before.map_or(0, |before| before.0.len());
        (self.0.len() < known, (1..).zip(self.0.iter()).skip(known))
    }

    /// At most `limit` entries after the first `after`.
    #[must_use]
    pub fn entries(&self, after: u64, limit: usize) -> Vec<AuditEntry> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        let rows = self.0.iter().enumerate().skip(after).take(limit);
        rows.map(|(n, row)| entry(self.head_at(n), row.at, &row.fact))
            .collect()
    }

    /// Adds what happened, unless as much of its kind is there already as may be.
    pub(super) fn add(&mut self, at: Timestamp, facts: Vec<Fact>) {
        for fact in facts {
            let kind = core::mem::discriminant(&fact);
            let of_kind = |row: &&Row| core::mem::discriminant(&row.fact) == kind;
            if self.0.iter().filter(of_kind).count() < OF_A_KIND_MAX {
                let hash = entry(self.head(), at, &fact).hash;
                Arc::make_mut(&mut self.0).push(Row { at, fact, hash });
            }
        }
    }
}

fn entry(head: AuditHead, at: Timestamp, fact: &Fact) -> AuditEntry {
    // A fact is an object of strings, numbers and lists of strings, and says its type.
    let mut facts: BTreeMap<String, Value> = match serde_json::to_value(fact) {
        Ok(Value::Object(fields)) => fields.into_iter().collect(),
        _ => unreachable!("facts encode"),
    };
    let kind = match facts.remove("type") {
        Some(Value::String(kind)) => kind,
        _ => unreachable!("facts have a type"),
    };
    AuditEntry::following(head, at, kind, facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_row_json_unchanged() {
        let upload = UploadId::new(LinkId::from_bytes([0; 12]), [1; 6]);
        let row = Row {
            at: Timestamp::from_secs(0),
            fact: Fact::UploadEnded {
                upload,
                begun: Begun {
                    begun_at: Timestamp::from_secs(0),
                    by: Some(Dialect::Request),
                },
                same_as: None,
            },
            hash: Sha256([0; 32]),
        };
        let json = format!(
            r#"{{"at":"1970-01-01T00:00:00.000Z","fact":{{"type":"upload.ended","upload":"{upload}","begun_at":"1970-01-01T00:00:00.000Z","by":"request"}},"hash":"{}"}}"#,
            "0".repeat(64)
        );
        assert_eq!(serde_json::to_string(&row).expect("JSON"), json);
        assert_eq!(serde_json::from_str::<Row>(&json).expect("a row"), row);
    }
}
