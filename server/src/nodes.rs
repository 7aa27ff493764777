//! What nodes that share a database agree on: who may add to a part, and who has bytes of an upload in
//! memory. NOTIFY only says that it is worth a look; each node looks now and then in any case.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use chatlift_edge::link::lease::Lease;
use chatlift_edge::log;
use chatlift_shared::{LinkId, UploadId};
use sqlx::postgres::PgListener;
use sqlx::{AnyPool, Row as _};
use tokio::time::{sleep, timeout};

use crate::error::Error;
use crate::world::random;

/// How often a node looks at what others have asked or decided, without having been told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether another node has put away what it was asked for.
const PUT_AWAY_EVERY: Duration = Duration::from_millis(50);

/// A number of ours, of those that a column holds.
fn drawn() -> i64 {
    i64::from_be_bytes(random().to_be_bytes())
}

/// A node among others.
#[derive(Debug)]
pub(crate) struct Nodes {
    pool: AnyPool,
    url: String,
    /// Drawn at random when it starts.
    node: i64,
    /// The leases that its requests hold.
    held: RefCell<BTreeSet<Lease>>,
}

impl Nodes {
    /// A node that shares the database at `url`.
    pub(crate) fn new(pool: AnyPool, url: String) -> Self {
        Self {
            pool,
            url,
            node: drawn(),
            held: RefCell::default(),
        }
    }

    /// Takes the turn to add to a part from whoever has it; answers by what it is known.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn take_turn(&self, upload: UploadId, n: u16) -> Result<i64, Error> {
        const TAKE: &str = "INSERT INTO turn (upload, n, holder, until) VALUES
             ($1, $2, $3, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 30000)
             ON CONFLICT (upload, n) DO UPDATE SET holder = excluded.holder, until = excluded.until";
        let holder = drawn();
        self.turn(TAKE, upload, n, holder).await?;
        Ok(holder)
    }

    /// As [`Self::take_turn`], where nobody has it who has added to the part of late.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn take_turn_if_free(
        &self,
        upload: UploadId,
        n: u16,
    ) -> Result<Option<i64>, Error> {
        const TAKE: &str = "INSERT INTO turn (upload, n, holder, until) VALUES
             ($1, $2, $3, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 30000)
             ON CONFLICT (upload, n) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE turn.until < (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let holder = drawn();
        let taken = self.turn(TAKE, upload, n, holder).await?;
        Ok((taken > 0).then_some(holder))
    }

    /// Ends a turn.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn end_turn(
        pool: AnyPool,
        upload: UploadId,
        n: u16,
        holder: i64,
    ) -> Result<(), Error> {
        sqlx::query("DELETE FROM turn WHERE upload = $1 AND n = $2 AND holder = $3")
            .bind(upload.to_string())
            .bind(i32::from(n))
            .bind(holder)
            .execute(&pool)
            .await?;
        Ok(())
    }

    async fn turn(
        &self,
        query: &'static str,
        upload: UploadId,
        n: u16,
        holder: i64,
    ) -> Result<u64, Error> {
        let done = sqlx::query(query)
            .bind(upload.to_string())
            .bind(i32::from(n))
            .bind(holder)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }

    /// Holds a lease, for the first time or anew: what was asked for is put away.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn hold(&self, lease: Lease) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO lease (upload, n, holder, node, asked, until) VALUES
             ($1, $2, $3, $4, FALSE, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + 25000)
             ON CONFLICT (upload, n, holder) DO UPDATE SET asked = FALSE, until = excluded.until",
        )
        .bind(lease.upload.to_string())
        .bind(i32::from(lease.n))
        .bind(i64::from_be_bytes(lease.holder.to_be_bytes()))
        .bind(self.node)
        .execute(&self.pool)
        .await?;
        self.held.borrow_mut().insert(lease);
        Ok(())
    }

    /// Ends a lease.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn end(&self, lease: Lease) -> Result<(), Error> {
        if self.held.borrow_mut().remove(&lease) {
            sqlx::query("DELETE FROM lease WHERE upload = $1 AND n = $2 AND holder = $3")
                .bind(lease.upload.to_string())
                .bind(i32::from(lease.n))
                .bind(i64::from_be_bytes(lease.holder.to_be_bytes()))
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// Ends all leases of a part that are held here.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn end_part(&self, upload: UploadId, n: u16) -> Result<(), Error> {
        let of_part = |lease: &&Lease| (lease.upload, lease.n) == (upload, n);
        let held: Vec<Lease> = self.held.borrow().iter().filter(of_part).copied().collect();
        for lease in held {
            self.end(lease).await?;
        }
        Ok(())
    }

    /// Has other nodes stage the bytes that they have of an upload, or of part `n` alone, and waits until they
    /// have, `within` at most.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn ask(
        &self,
        upload: UploadId,
        n: Option<u16>,
        within: Duration,
    ) -> Result<(), Error> {
        const HERE: &str = "upload = $1 AND node <> $2 AND ($3 = 0 OR n = $3)
             AND until > (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        // Parts are numbered from 1.
        let (upload, n) = (upload.to_string(), n.map_or(0, i32::from));
        let asked = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE lease SET asked = TRUE WHERE {HERE}"
        )))
        .bind(&upload)
        .bind(self.node)
        .bind(n)
        .execute(&self.pool)
        .await?;
        if asked.rows_affected() == 0 {
            return Ok(());
        }
        sqlx::query("SELECT pg_notify('chatlift_edge', '')")
            .execute(&self.pool)
            .await?;
        let spilled = async {
            loop {
                let left: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                    "SELECT COUNT(*) FROM lease WHERE asked AND {HERE}"
                )))
                .bind(&upload)
                .bind(self.node)
                .bind(n)
                .fetch_one(&self.pool)
                .await?;
                if left == 0 {
                    return Ok(());
                }
                sleep(PUT_AWAY_EVERY).await;
            }
        };
        timeout(within, spilled).await.unwrap_or(Ok(()))
    }

    /// The parts of which another node has asked for what is held here.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn asked(&self) -> Result<Vec<(UploadId, u16)>, Error> {
        if self.held.borrow().is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query("SELECT DISTINCT upload, n FROM lease WHERE node = $1 AND asked")
            .bind(self.node)
            .fetch_all(&self.pool)
            .await?;
        let parts = rows.into_iter().map(|row| {
            let (upload, n): (String, i32) = (row.try_get("upload")?, row.try_get("n")?);
            let part = upload.parse().ok().zip(u16::try_from(n).ok());
            part.ok_or(Error::Row(upload))
        });
        parts.collect()
    }

    /// Removes what nodes have left that ended without a word.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn tidy(&self) -> Result<(), Error> {
        for query in [
            "DELETE FROM lease WHERE until + 60000 < (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            "DELETE FROM turn WHERE until + 60000 < (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        ] {
            sqlx::query(query).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Calls `look` whenever another node says that it is worth it, with the link that has changed if it is
    /// about one, and now and then without. For ever.
    pub(crate) async fn listen(&self, look: impl AsyncFn(Option<LinkId>)) {
        loop {
            match PgListener::connect(&self.url).await {
                Ok(mut listener) => {
                    let listening = listener.listen("chatlift_edge").await;
                    if let Err(error) = listening {
                        log::error("listening", &[("reason", error.to_string())]);
                    } else {
                        loop {
                            match timeout(LOOK_EVERY, listener.recv()).await {
                                Ok(Ok(told)) => look(told.payload().parse().ok()).await,
                                Ok(Err(error)) => {
                                    log::error("listening", &[("reason", error.to_string())]);
                                    break;
                                }
                                Err(_) => look(None).await,
                            }
                        }
                    }
                }
                Err(error) => log::error("listening", &[("reason", error.to_string())]),
            }
            look(None).await;
            sleep(LOOK_EVERY).await;
        }
    }
}
