//! The live stream: what happened to a link's files, in order, each thing once.

use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::FileStored;
use chatlift_shared::{FileId, LinkId, Timestamp};
use serde::Serialize;
use sqlx::{Any, Row as _, Transaction};

use super::{Product, Store, StoreError, to_json};
use crate::pipeline::Rejection;

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
    sha256: Sha256,
    #[serde(skip_serializing_if = "Option::is_none")]
    converted_from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    at: Timestamp,
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

/// Says something about a file: as it was uploaded, or as `product` once there is one.
pub(super) async fn say_of_file(
    tx: &mut Transaction<'static, Any>,
    kind: FeedKind,
    announced: &FileStored,
    product: Option<&Product>,
    rejection: Option<Rejection>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let file = &announced.file;
    let data = FileData {
        file: file.id,
        name: product.map_or(&file.name, |p| &p.name),
        size: product.map_or(file.size, |p| p.size),
        media_type: product.map_or(&file.media_type, |p| &p.media_type),
        sha256: product.map_or(file.sha256, |p| p.sha256),
        converted_from: product
            .filter(|p| p.converted && p.media_type != file.media_type)
            .map(|_| file.media_type.as_str()),
        rejection: rejection.map(Rejection::code),
        reason: rejection.map(|r| r.to_string()),
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
