//! Alarms as rows: which links have work that is due, and who is at it.
//!
//! Whoever claims an alarm renews that while it works; of a node that has died, others take the work
//! over when the claim ends.

use std::time::Duration;

use chatlift_shared::{LinkId, Timestamp};
use sqlx::Row as _;

use crate::database::Database;
use crate::error::Error;

/// How long a claim holds without being renewed. With [`crate::alarms`]' look for alarms, the work of a
/// node that died is taken over within 30 s.
const CLAIMED_FOR: Duration = Duration::from_secs(20);

/// How often whoever works on a claim renews it.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(5);

/// Claims links whose alarms are due, `most` at most.
///
/// # Errors
/// When the database fails.
pub(crate) async fn claim(db: &Database, most: usize) -> Result<Vec<LinkId>, Error> {
    const SQLITE: &str = "UPDATE alarm SET claimed_until = $1 WHERE link IN (
        SELECT link FROM alarm WHERE at <= $2 AND rest_until <= $2 AND claimed_until <= $2
        ORDER BY at LIMIT $3) RETURNING link";
    const POSTGRES: &str = "UPDATE alarm SET claimed_until = $1 WHERE link IN (
        SELECT link FROM alarm WHERE at <= $2 AND rest_until <= $2 AND claimed_until <= $2
        ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING link";
    let now = db.now().await?;
    let _turn = db.turn().await;
    let rows = sqlx::query(if db.shared { POSTGRES } else { SQLITE })
        .bind(now.plus(CLAIMED_FOR).millis())
        .bind(now.millis())
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&db.pool)
        .await?;
    let links = rows.into_iter().map(|row| {
        let link: String = row.try_get("link")?;
        link.parse().map_err(|_| Error::Row(link))
    });
    links.collect()
}

/// In how long the next alarm can be claimed, if there is one; one that is claimed ahead of its time may be
/// answered for too early. Both halves have their rows by the index.
///
/// # Errors
/// When the database fails.
pub(crate) async fn next(db: &Database) -> Result<Option<Duration>, Error> {
    const SQLITE: &str = "SELECT MIN(free) FROM (
        SELECT MAX(at, rest_until, claimed_until) AS free FROM alarm WHERE at <= $1
        UNION ALL SELECT MIN(at) FROM alarm WHERE at > $1) AS frees";
    const POSTGRES: &str = "SELECT MIN(free) FROM (
        SELECT GREATEST(at, rest_until, claimed_until) AS free FROM alarm WHERE at <= $1
        UNION ALL SELECT MIN(at) FROM alarm WHERE at > $1) AS frees";
    let now = db.now().await?;
    let at: Option<i64> = sqlx::query_scalar(if db.shared { POSTGRES } else { SQLITE })
        .bind(now.millis())
        .fetch_one(&db.pool)
        .await?;
    Ok(at.map(|at| now.until(Timestamp::from_millis(at))))
}

/// Goes on working on a claimed link.
///
/// # Errors
/// When the database fails.
pub(crate) async fn renew(db: &Database, link: LinkId) -> Result<(), Error> {
    let until = db.now().await?.plus(CLAIMED_FOR);
    let _turn = db.turn().await;
    sqlx::query("UPDATE alarm SET claimed_until = $2 WHERE link = $1")
        .bind(link.to_string())
        .bind(until.millis())
        .execute(&db.pool)
        .await?;
    Ok(())
}

/// Ends the work on a claimed link; what is left of it rests for so long, whatever is asked meanwhile.
///
/// # Errors
/// When the database fails.
pub(crate) async fn release(db: &Database, link: LinkId, rest: Duration) -> Result<(), Error> {
    let until = db.now().await?.plus(rest);
    let _turn = db.turn().await;
    sqlx::query("UPDATE alarm SET claimed_until = 0, rest_until = $2 WHERE link = $1")
        .bind(link.to_string())
        .bind(until.millis())
        .execute(&db.pool)
        .await?;
    Ok(())
}
