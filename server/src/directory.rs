//! What an app has across its links: the list of them, and whether its webhook endpoint is disabled.

use chatlift_edge::link::listing::{Entry, Place, Query, SCAN_MAX, ShardPage, shard};
use chatlift_edge::ports;
use chatlift_edge::ports::Failure;
use chatlift_shared::api::LinkSummary;
use chatlift_shared::{AppId, Timestamp};
use sqlx::Row as _;

use crate::clock::now;
use crate::database::Database;
use crate::error::Error;

/// The list, in the database.
#[derive(Clone, Debug)]
pub(crate) struct Directory(pub(crate) Database);

impl Directory {
    /// Since when the app's endpoint is disabled, if it is.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn disabled_since(&self, app: &AppId) -> Result<Option<Timestamp>, Error> {
        let at: Option<i64> = sqlx::query_scalar("SELECT disabled_at FROM endpoint WHERE app = $1")
            .bind(app.to_string())
            .fetch_optional(&self.0.pool)
            .await?;
        Ok(at.map(Timestamp::from_millis))
    }

    /// Disables the app's endpoint.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn disable(&self, app: &AppId) -> Result<(), Error> {
        let statement = sqlx::query(
            "INSERT INTO endpoint (app, disabled_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(app.to_string())
        .bind(now().millis());
        self.0.run(statement).await
    }

    /// Enables it again.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn enable(&self, app: &AppId) -> Result<(), Error> {
        let statement = sqlx::query("DELETE FROM endpoint WHERE app = $1").bind(app.to_string());
        self.0.run(statement).await
    }

    async fn find(&self, app: &AppId, shard: u8, query: &Query) -> Result<ShardPage, Error> {
        let after = query.after.clone().unwrap_or(Place {
            created_at: i64::MAX,
            id: String::new(),
        });
        let rows = sqlx::query(
            "SELECT row FROM list
             WHERE app = $1 AND shard = $2 AND (created_at, id) < ($3, $4)
               AND (CAST($5 AS TEXT) IS NULL OR subject = $5)
             ORDER BY created_at DESC, id DESC LIMIT $6",
        )
        .bind(app.to_string())
        .bind(i32::from(shard))
        .bind(after.created_at)
        .bind(after.id)
        .bind(query.subject.clone())
        .bind(i64::try_from(SCAN_MAX + 1).unwrap_or(i64::MAX))
        .fetch_all(&self.0.pool)
        .await?;
        let mut page = ShardPage::default();
        let mut last = None;
        for (seen, row) in rows.into_iter().enumerate() {
            if seen == SCAN_MAX || page.links.len() == query.limit as usize {
                page.until = last;
                break;
            }
            let row: String = row.try_get("row")?;
            let link: LinkSummary = serde_json::from_str(&row)?;
            last = Some(Place::of(&link));
            if query.state.is_none_or(|state| state == link.state) {
                page.links.push(link);
            }
        }
        Ok(page)
    }

    async fn keep(&self, app: &AppId, entry: &Entry) -> Result<(), Error> {
        let link = &entry.link;
        let statement = sqlx::query(
            "INSERT INTO list (app, shard, created_at, id, subject, version, row)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (app, shard, created_at, id) DO UPDATE
             SET version = excluded.version, row = excluded.row
             WHERE excluded.version > list.version",
        )
        .bind(app.to_string())
        .bind(i32::from(shard(link.subject.as_deref(), link.id)))
        .bind(link.created_at.millis())
        .bind(link.id.to_string())
        .bind(link.subject.clone())
        .bind(i64::try_from(entry.version).unwrap_or(i64::MAX))
        .bind(serde_json::to_string(link)?);
        self.0.run(statement).await
    }

    async fn drop(&self, app: &AppId, entry: &Entry) -> Result<(), Error> {
        let statement = sqlx::query(
            "DELETE FROM list WHERE app = $1 AND shard = $2 AND created_at = $3 AND id = $4",
        )
        .bind(app.to_string())
        .bind(i32::from(shard(
            entry.link.subject.as_deref(),
            entry.link.id,
        )))
        .bind(entry.link.created_at.millis())
        .bind(entry.link.id.to_string());
        self.0.run(statement).await
    }
}

impl ports::Directory for Directory {
    async fn put(&self, app: &AppId, entry: &Entry) -> Result<(), Failure> {
        Ok(self.keep(app, entry).await?)
    }

    async fn remove(&self, app: &AppId, entry: &Entry) -> Result<(), Failure> {
        Ok(self.drop(app, entry).await?)
    }

    async fn page(&self, app: &AppId, shard: u8, query: &Query) -> Result<ShardPage, Failure> {
        Ok(self.find(app, shard, query).await?)
    }
}
