//! Erasure: what the rows of a file say of a person, the file and its link goes; that there was a file
//! stays, so that it is neither delivered again nor told of twice.

use chatlift_shared::webhook::{Event, EventKind, LinkRef};
use chatlift_shared::{FileId, LinkId, Timestamp};
use serde_json::Value;
use sqlx::{Any, Row as _, Transaction};

use super::groups::join_if_ready;
use super::job::{Job, Stage, joined_id};
use super::transitions::advance;
use super::{Product, Store, StoreError, from_json, to_json};

/// What stands in the place of a name.
const ERASED: &str = "erased";

impl Store {
    /// These files are to be erased, with the members of those that are archives. Files that are not
    /// known here are passed over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn begin_erasing(&self, files: &[FileId], now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for file in files {
            begin_erasing(&mut tx, *file, now).await?;
        }
        self.commit(tx).await
    }

    /// The content of a file is gone: the names, subjects and metadata in its rows go too, and those
    /// of its link with the last of its files. What was joined of files that are all erased is to be
    /// erased next.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn erased(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if advance(&mut tx, job, Stage::Done, now).await? {
            let (file, link) = (job.file(), job.announced.link.id);
            forget_file(&mut tx, job, now).await?;
            let left: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM jobs WHERE link = $1 AND erased_at IS NULL",
            )
            .bind(link.to_string())
            .fetch_one(&mut *tx)
            .await?;
            forget_events(&mut tx, link, Some(file).filter(|_| left > 0)).await?;
            if left == 0 {
                forget_request(&mut tx, link).await?;
            }
            erase_joined(&mut tx, link, now).await?;
            join_if_ready(&mut tx, job, now).await?;
        }
        self.commit(tx).await
    }
}

/// Marks a file to be erased, and its members.
pub(super) async fn begin_erasing(
    tx: &mut Transaction<'static, Any>,
    file: FileId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE jobs SET stage = $1, attempts = 0, crashes = 0, next_at = $2, updated_at = $3
         WHERE (file = $4 OR archive = $5) AND erased_at IS NULL AND stage <> 'erase'",
    )
    .bind(Stage::Erase.as_str())
    .bind(now.millis())
    .bind(now.millis())
    .bind(file.to_string())
    .bind(file.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Marks the files of a link to be erased that have not come to their end.
pub(super) async fn erase_waiting(
    tx: &mut Transaction<'static, Any>,
    link: LinkId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE jobs SET stage = 'erase', attempts = 0, crashes = 0, next_at = $1, updated_at = $2
         WHERE link = $3 AND erased_at IS NULL AND stage NOT IN ('done', 'parked', 'erase')",
    )
    .bind(now.millis())
    .bind(now.millis())
    .bind(link.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Erases what the files of a link were joined to once all of them are erased.
async fn erase_joined(
    tx: &mut Transaction<'static, Any>,
    link: LinkId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let left: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM jobs WHERE link = $1 AND parts IS NULL AND erased_at IS NULL",
    )
    .bind(link.to_string())
    .fetch_one(&mut **tx)
    .await?;
    if left == 0 {
        begin_erasing(tx, joined_id(link), now).await?;
    }
    Ok(())
}

async fn forget_file(
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    now: Timestamp,
) -> Result<(), StoreError> {
    let file = job.file().to_string();
    let mut announced = job.announced.clone();
    announced.file.name = ERASED.to_owned();
    forget_link(&mut announced.link);
    sqlx::query(
        "UPDATE jobs SET announced = $1, product = NULL, last_error = NULL, erased_at = $2
         WHERE file = $3",
    )
    .bind(to_json("announced", &announced)?)
    .bind(now.millis())
    .bind(&file)
    .execute(&mut **tx)
    .await?;

    let delivery: Option<String> =
        sqlx::query_scalar("SELECT product FROM deliveries WHERE file = $1")
            .bind(&file)
            .fetch_optional(&mut **tx)
            .await?;
    if let Some(product) = delivery {
        let mut product: Product = from_json("product", &product)?;
        product.name = ERASED.to_owned();
        sqlx::query(
            "UPDATE deliveries SET product = $1, deleted_at = coalesce(deleted_at, $2)
             WHERE file = $3",
        )
        .bind(to_json("product", &product)?)
        .bind(now.millis())
        .bind(&file)
        .execute(&mut **tx)
        .await?;
    }

    for row in sqlx::query("SELECT seq, data FROM feed WHERE of = $1")
        .bind(&file)
        .fetch_all(&mut **tx)
        .await?
    {
        let seq: i64 = row.try_get("seq")?;
        let mut data: Value = from_json("data", row.try_get("data")?)?;
        data["name"] = ERASED.into();
        sqlx::query("UPDATE feed SET data = $1 WHERE seq = $2")
            .bind(data.to_string())
            .bind(seq)
            .execute(&mut **tx)
            .await?;
    }

    for row in sqlx::query("SELECT id, body FROM notices WHERE file = $1")
        .bind(&file)
        .fetch_all(&mut **tx)
        .await?
    {
        let id: String = row.try_get("id")?;
        let mut body: Value = from_json("body", row.try_get("body")?)?;
        let data = &mut body["data"];
        data["name"] = ERASED.into();
        data["metadata"] = Value::Object(serde_json::Map::new());
        if let Some(data) = data.as_object_mut() {
            data.remove("subject");
        }
        sqlx::query(
            "UPDATE notices SET body = $1, settled_at = coalesce(settled_at, $2) WHERE id = $3",
        )
        .bind(body.to_string())
        .bind(now.millis())
        .bind(id)
        .execute(&mut **tx)
        .await?;
    }

    // The edge has nothing to show them at any more; their reasons may hold names.
    sqlx::query("DELETE FROM receipts WHERE file = $1")
        .bind(&file)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether a file was erased here.
pub(super) async fn is_erased(
    tx: &mut Transaction<'static, Any>,
    file: FileId,
) -> Result<bool, StoreError> {
    let erased: i64 =
        sqlx::query_scalar("SELECT count(*) FROM jobs WHERE file = $1 AND erased_at IS NOT NULL")
            .bind(file.to_string())
            .fetch_one(&mut **tx)
            .await?;
    Ok(erased > 0)
}

/// Takes the words from what the events of a link say of one of its files; with none, of all and of
/// the link itself.
pub(super) async fn forget_events(
    tx: &mut Transaction<'static, Any>,
    link: LinkId,
    only: Option<FileId>,
) -> Result<(), StoreError> {
    for row in sqlx::query("SELECT id, body FROM events WHERE link = $1")
        .bind(link.to_string())
        .fetch_all(&mut **tx)
        .await?
    {
        let id: String = row.try_get("id")?;
        let mut event: Event = from_json("body", row.try_get("body")?)?;
        let (file, link) = match &mut event.kind {
            EventKind::FileStored(told) => (Some(&mut told.file), &mut told.link),
            EventKind::FileDeleted(told) => (Some(&mut told.file), &mut told.link),
            EventKind::LinkCompleted(told)
            | EventKind::LinkExpired(told)
            | EventKind::LinkRevoked(told) => (None, &mut told.link),
        };
        let told_of = file.as_ref().map(|file| file.id);
        if only.is_some() && told_of != only {
            continue;
        }
        if let Some(file) = file {
            file.name = ERASED.to_owned();
        }
        forget_link(link);
        sqlx::query("UPDATE events SET body = $1 WHERE id = $2")
            .bind(to_json("body", &event)?)
            .bind(id)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

fn forget_link(link: &mut LinkRef) {
    link.subject = None;
    link.metadata.clear();
}

/// What the app said of a person when it asked for the link.
async fn forget_request(
    tx: &mut Transaction<'static, Any>,
    link: LinkId,
) -> Result<(), StoreError> {
    let body: Option<String> = sqlx::query_scalar("SELECT body FROM requests WHERE link = $1")
        .bind(link.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(body) = body else {
        return Ok(());
    };
    let mut request: chatlift_shared::api::Link = from_json("body", &body)?;
    request.subject = None;
    request.metadata.clear();
    sqlx::query("UPDATE requests SET body = $1 WHERE link = $2")
        .bind(to_json("body", &request)?)
        .bind(link.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
