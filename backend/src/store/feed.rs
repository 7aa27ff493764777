//! The live stream: what happened to a link's files, in order, each thing once.

use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::FileStored;
use chatlift_shared::{FileId, LinkId, Timestamp};
use serde::Serialize;
use sqlx::{Any, Row as _, Transaction};

use super::{Job, Product, Store, StoreError, to_json};
use crate::rejection::Rejection;

/// Most entries that one read returns.
const BATCH: i64 = 100;

/// What an entry of the live stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedKind {
    /// The edge has the file.
    Uploaded,
    /// The backend has it, digest checked.
    Received,
    /// It is in a format that the app can use.
    Converted,
    /// It was an archive, and its members are files of their own. Final.
    Unpacked,
    /// It is a part of what the link's files were joined to, which the first app has. Final.
    Joined,
    /// The first app has it. Final.
    Delivered,
    /// It cannot be used. Final.
    Rejected,
    /// The link has all the files that it takes.
    Completed,
    /// The link's time is over.
    Expired,
}

impl FeedKind {
    /// The name as stored and as sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Received => "received",
            Self::Converted => "converted",
            Self::Unpacked => "unpacked",
            Self::Joined => "joined",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Completed => "completed",
            Self::Expired => "expired",
        }
    }
}

/// One entry of the live stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its place in the stream.
    pub seq: i64,
    /// What it says, see [`FeedKind::as_str`].
    pub kind: String,
    /// The rest, a JSON object.
    pub data: String,
}

/// The JSON of an entry about a file.
#[derive(Serialize)]
struct FileData<'a> {
    file: FileId,
    name: &'a str,
    size: u64,
    media_type: &'a str,
    /// That of the whole, once it has been read.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    converted_from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The archive that it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<FileId>,
    /// How many files there were in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<usize>,
    /// What it was joined to.
    #[serde(skip_serializing_if = "Option::is_none")]
    joined_to: Option<FileId>,
    /// The uploads that it was made of.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    of: &'a [FileId],
    /// What its sender wrote with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    at: Timestamp,
}

/// What is said of a file beside what the edge said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detail<'a> {
    product: Option<&'a Product>,
    rejection: Option<Rejection>,
    members: Option<usize>,
    joined_to: Option<FileId>,
}

impl<'a> Detail<'a> {
    /// This was made of it.
    pub(super) fn product(product: &'a Product) -> Self {
        Self {
            product: Some(product),
            ..Self::default()
        }
    }

    /// It is rejected.
    pub(super) fn rejection(rejection: Rejection) -> Self {
        Self {
            rejection: Some(rejection),
            ..Self::default()
        }
    }

    /// So many files were in it.
    pub(super) fn members(members: usize) -> Self {
        Self {
            members: Some(members),
            ..Self::default()
        }
    }

    /// It was joined to this.
    pub(super) fn joined(to: FileId) -> Self {
        Self {
            joined_to: Some(to),
            ..Self::default()
        }
    }
}

/// The JSON of an entry about a link.
#[derive(Serialize)]
struct LinkData {
    files: u32,
    at: Timestamp,
}

impl Store {
    /// The entries of `link` after `seq`, oldest first, 100 at most.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn feed_after(&self, link: LinkId, seq: i64) -> Result<Vec<FeedEntry>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, kind, data FROM feed WHERE link = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        )
        .bind(link.to_string())
        .bind(seq)
        .bind(BATCH)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(FeedEntry {
                    seq: row.try_get("seq")?,
                    kind: row.try_get("kind")?,
                    data: row.try_get("data")?,
                })
            })
            .collect()
    }
}

/// Says that the edge has a file.
pub(super) async fn say_of_upload(
    tx: &mut Transaction<'static, Any>,
    announced: &FileStored,
    at: Timestamp,
) -> Result<(), StoreError> {
    say(
        tx,
        FeedKind::Uploaded,
        announced,
        None,
        Detail::default(),
        at,
    )
    .await
}

/// Says something about a file: as it was uploaded, or as its product once there is one.
pub(super) async fn say_of_file(
    tx: &mut Transaction<'static, Any>,
    kind: FeedKind,
    job: &Job,
    detail: Detail<'_>,
    at: Timestamp,
) -> Result<(), StoreError> {
    say(tx, kind, &job.announced, job.archive(), detail, at).await
}

async fn say(
    tx: &mut Transaction<'static, Any>,
    kind: FeedKind,
    announced: &FileStored,
    archive: Option<FileId>,
    detail: Detail<'_>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (file, product) = (&announced.file, detail.product);
    let data = FileData {
        file: file.id,
        name: product.map_or(&file.name, |p| &p.name),
        size: product.map_or(file.size, |p| p.size),
        media_type: product.map_or(&file.media_type, |p| &p.media_type),
        sha256: product.map_or(file.sha256, |p| Some(p.sha256)),
        converted_from: product
            .filter(|p| p.converted && p.media_type != file.media_type)
            .map(|_| file.media_type.as_str()),
        rejection: detail.rejection.map(Rejection::code),
        reason: detail.rejection.map(|r| r.to_string()),
        archive,
        members: detail.members,
        joined_to: detail.joined_to,
        of: product.map_or(&[], |p| &p.of),
        note: product.map_or(&file.note, |p| &p.note).as_deref(),
        at,
    };
    insert(
        tx,
        announced.link.id,
        &file.id.to_string(),
        kind,
        &to_json("data", &data)?,
    )
    .await
}

/// Says something about a link.
pub(super) async fn say_of_link(
    tx: &mut Transaction<'static, Any>,
    kind: FeedKind,
    link: LinkId,
    files: u32,
    at: Timestamp,
) -> Result<(), StoreError> {
    let data = to_json("data", &LinkData { files, at })?;
    insert(tx, link, &link.to_string(), kind, &data).await
}

async fn insert(
    tx: &mut Transaction<'static, Any>,
    link: LinkId,
    of: &str,
    kind: FeedKind,
    data: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO feed (link, of, kind, data) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(link.to_string())
    .bind(of)
    .bind(kind.as_str())
    .bind(data)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
