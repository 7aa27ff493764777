//! Events from the edge: each is recorded once, with the job that it starts.

use chatlift_shared::webhook::{Event, EventKind};
use chatlift_shared::{EventId, LinkId, Timestamp};
use sqlx::{Any, Transaction};

use super::erasure::{begin_erasing, erase_waiting, forget_events, is_erased};
use super::feed::{FeedKind, say_of_link, say_of_upload};
use super::groups::begin_joined;
use super::{Stage, Store, StoreError, to_json};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is new, and what it asks for will be done.
    New,
    /// It was recorded before; nothing changed.
    Known,
}

impl Store {
    /// Records an event, and the job of its file if it brings one.
    ///
    /// # Errors
    /// See [`StoreError`]; then nothing was recorded, and the edge will send it again.
    pub async fn record_event(
        &self,
        id: EventId,
        event: &Event,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let mut tx = self.write().await?;
        let link = event.kind.link().id;
        let inserted = sqlx::query(
            "INSERT INTO events (id, link, body, received_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
        )
        .bind(id.to_string())
        .bind(link.to_string())
        .bind(to_json("body", event)?)
        .bind(now.millis())
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(Recorded::Known);
        }
        match &event.kind {
            EventKind::FileStored(stored) => {
                sqlx::query(
                    "INSERT INTO jobs
                         (file, event, link, announced, stage, next_at, created_at, updated_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
                )
                .bind(stored.file.id.to_string())
                .bind(id.to_string())
                .bind(link.to_string())
                .bind(to_json("announced", stored)?)
                .bind(Stage::Fetch.as_str())
                .bind(now.millis())
                .bind(now.millis())
                .bind(now.millis())
                .execute(&mut *tx)
                .await?;
                if is_erased(&mut tx, stored.file.id).await? {
                    // It says what was erased anew.
                    forget_events(&mut tx, link, Some(stored.file.id)).await?;
                } else {
                    say_of_upload(&mut tx, stored, now).await?;
                    if stored.link.join.is_some() && is_revoked(&mut tx, link).await? {
                        begin_erasing(&mut tx, stored.file.id, now).await?;
                    }
                }
            }
            EventKind::LinkCompleted(ended) => {
                say_of_link(&mut tx, FeedKind::Completed, link, ended.files, now).await?;
                begin_joined(&mut tx, id, ended, now).await?;
            }
            EventKind::LinkExpired(ended) => {
                say_of_link(&mut tx, FeedKind::Expired, link, ended.files, now).await?;
                begin_joined(&mut tx, id, ended, now).await?;
            }
            EventKind::FileDeleted(deleted) => {
                let file = deleted.file.id;
                begin_erasing(&mut tx, file, now).await?;
                forget_events(&mut tx, link, Some(file)).await?;
            }
            // What waits to be joined will never be. Others are deleted one by one, if they are.
            EventKind::LinkRevoked(ended) if ended.link.join.is_some() => {
                erase_waiting(&mut tx, link, now).await?;
            }
            EventKind::LinkRevoked(_) => {}
        }
        self.commit(tx).await?;
        Ok(Recorded::New)
    }
}

/// Whether the edge has told that this link was revoked; it may tell of a file only then.
async fn is_revoked(tx: &mut Transaction<'static, Any>, link: LinkId) -> Result<bool, StoreError> {
    // In a string of JSON no quotation mark stands bare, so no subject looks like this.
    let told: i64 =
        sqlx::query_scalar("SELECT count(*) FROM events WHERE link = $1 AND body LIKE $2")
            .bind(link.to_string())
            .bind("%\"type\":\"link.revoked\"%")
            .fetch_one(&mut **tx)
            .await?;
    Ok(told > 0)
}
