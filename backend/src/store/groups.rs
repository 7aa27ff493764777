//! Jobs that belong together: an archive and its members, files and what they are joined to.
//!
//! A member is a job of its own under an id that follows from its archive's, so that unpacking
//! twice makes each once. Its archive waits until all members have ended. The files of a link that
//! joins them wait until the link has ended and each of them is ready or rejected; then what they
//! are joined to is made, delivered once, and all of them are done with it in one transaction.

use chatlift_shared::api::{File, LeftOut, Receipt, ReceiptStatus};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{LEFT_OUT_NAMES_MAX, REASON_MAX};
use chatlift_shared::webhook::{FileStored, LinkEnded};
use chatlift_shared::{EventId, FileId, LinkId, Timestamp};
use sqlx::{Any, Transaction};

use super::feed::{Detail, FeedKind, say_of_file};
use super::job::{Awaited, Job, NEVER, Role, Stage, State, job, joined_id, member_id};
use super::notices::queue_notice;
use super::receipts::queue_receipt;
use super::transitions::{self, advance, park, queue_status};
use super::{Store, StoreError, to_json, unsigned};
use crate::rejection::Rejection;

const PDF: &str = "application/pdf";

/// A member of an archive, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its place in the archive, from 1.
    pub place: u32,
    /// Its name, made safe.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Its media type, by content.
    pub media_type: String,
    /// Digest of its content.
    pub sha256: Sha256,
    /// Why it could not be unpacked, if it could not, and what the operator is told; then the digest
    /// is that of nothing.
    pub refused: Option<(Rejection, String)>,
}

impl Store {
    /// The archive's members lie in the work folder: each is a job from `next` on, and the archive
    /// waits for them. Those that could not be unpacked are rejected. Not all of them may be.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unpacked(
        &self,
        archive: &Job,
        members: &[Member],
        next: State,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        if advance(&mut tx, archive, Stage::Wait, now).await? {
            let detail = Detail::members(members.len());
            say_of_file(&mut tx, FeedKind::Unpacked, archive, detail, now).await?;
            for member in members {
                let mut announced = archive.announced.clone();
                announced.file = File {
                    id: member_id(archive.file(), member.place),
                    name: member.name.clone(),
                    size: member.size,
                    media_type: member.media_type.clone(),
                    sha256: Some(member.sha256),
                    parts: None,
                    ..announced.file
                };
                let mut child = Job {
                    announced,
                    state: next.clone(),
                    role: Role::Member {
                        archive: archive.file(),
                        place: member.place,
                    },
                    attempt: 0,
                    ..archive.clone()
                };
                let Some(lease) = insert(&mut tx, &child, now, now).await? else {
                    continue;
                };
                child.lease = lease;
                if let Some((rejection, error)) = &member.refused {
                    park(&mut tx, &child, *rejection, error, now).await?;
                    if self.notices {
                        queue_notice(&mut tx, &child.announced, Err(*rejection), now).await?;
                    }
                    continue;
                }
                say_of_file(&mut tx, FeedKind::Received, &child, Detail::default(), now).await?;
            }
        }
        self.commit(tx).await
    }

    /// The files that are ready to be joined, in their order: as the person picked them, members
    /// at the place of their archive.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn ready_parts(&self, joined: &Job) -> Result<Vec<Job>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let mut ready = ready(&mut tx, joined.announced.link.id).await?;
        ready.sort_by_key(|part| {
            let (upload, place_in_it) = match part.role {
                Role::Member { archive, place } => (archive, place),
                Role::Upload | Role::Joined { .. } => (part.file(), 0),
            };
            let place = match &joined.role {
                Role::Joined { parts, .. } => parts.iter().position(|id| *id == upload),
                Role::Upload | Role::Member { .. } => None,
            };
            (place.unwrap_or(usize::MAX), upload, place_in_it)
        });
        Ok(ready)
    }

    /// The archive of a member that can be deleted at the edge with it: no other member is still
    /// needed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub(crate) async fn last_of_its_archive(&self, file: FileId) -> Result<bool, StoreError> {
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM jobs j LEFT JOIN deliveries d ON d.file = j.file
             WHERE j.archive = (SELECT archive FROM jobs WHERE file = $1) AND j.file <> $2
                 AND (j.stage NOT IN ('done', 'parked')
                     OR (d.file IS NOT NULL AND d.deleted_at IS NULL))",
        )
        .bind(file.to_string())
        .bind(file.to_string())
        .fetch_one(&self.pool)
        .await?;
        Ok(others == 0)
    }
}

/// Writes a new job; one that is parked begins anew, another stays as it is. The lease that the job is
/// under, if it was written.
async fn insert(
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    next_at: Timestamp,
    now: Timestamp,
) -> Result<Option<u32>, StoreError> {
    let (archive, place, parts) = match &job.role {
        Role::Upload => (None, 0, None),
        Role::Member { archive, place } => (Some(archive.to_string()), *place, None),
        Role::Joined { uploads, parts } => (None, *uploads, Some(to_json("parts", parts)?)),
    };
    let lease: Option<i64> = sqlx::query_scalar(
        "INSERT INTO jobs (file, event, link, announced, stage, next_at, created_at, updated_at,
             archive, place, parts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (file) DO UPDATE SET stage = excluded.stage, next_at = excluded.next_at,
             attempts = 0, crashes = 0, rejection = NULL, product = NULL
         WHERE jobs.stage = 'parked' AND jobs.archive IS NOT NULL RETURNING lease",
    )
    .bind(job.file().to_string())
    .bind(job.event.to_string())
    .bind(job.announced.link.id.to_string())
    .bind(to_json("announced", &job.announced)?)
    .bind(job.stage().as_str())
    .bind(next_at.millis())
    .bind(now.millis())
    .bind(now.millis())
    .bind(archive)
    .bind(i64::from(place))
    .bind(parts)
    .fetch_optional(&mut **tx)
    .await?;
    lease.map(|lease| unsigned("lease", lease)).transpose()
}

/// The link has ended: what its files are joined to waits for them.
pub(super) async fn begin_joined(
    tx: &mut Transaction<'static, Any>,
    event: EventId,
    ended: &LinkEnded,
    now: Timestamp,
) -> Result<(), StoreError> {
    let link = &ended.link;
    if link.join.is_none() || ended.files == 0 {
        return Ok(());
    }
    let date = now.to_string();
    let date = date.split('T').next().unwrap_or_default();
    let id = joined_id(link.id);
    let announced = FileStored {
        file: File {
            id,
            link: link.id,
            name: format!("{} {date}.pdf", link.scene),
            size: 0,
            media_type: PDF.to_owned(),
            sha256: None,
            parts: None,
            address: String::new(),
            stored_at: now,
            deleted_at: None,
            deleted_reason: None,
            receipt: None,
            note: None,
            rotate: 0,
        },
        link: link.clone(),
    };
    // An edge that names no order still joins: then the files follow each other by their ids.
    let parts = match ended.order.as_slice() {
        [] => vec![id],
        order => order.to_vec(),
    };
    let joined = Job {
        event,
        announced,
        role: Role::Joined {
            uploads: ended.files,
            parts,
        },
        state: State::Wait(Awaited::Parts),
        attempts: 0,
        mismatches: 0,
        crashes: 0,
        etag: None,
        last_error: None,
        attempt: 0,
        lease: 0,
    };
    insert(tx, &joined, NEVER, now).await?;
    join_if_ready(tx, &joined, now).await
}

/// Whether the files of this job's link are still being gathered.
pub(super) async fn takes_parts(
    tx: &mut Transaction<'static, Any>,
    part: &Job,
) -> Result<bool, StoreError> {
    let joined = one(tx, joined_id(part.announced.link.id)).await?;
    Ok(joined.is_none_or(|joined| joined.stage() == Stage::Wait))
}

/// Lets the files of this job's link be joined, if the link has ended and all of them are ready or
/// rejected.
pub(super) async fn join_if_ready(
    tx: &mut Transaction<'static, Any>,
    member: &Job,
    now: Timestamp,
) -> Result<(), StoreError> {
    if member.announced.link.join.is_none() {
        return Ok(());
    }
    let link = member.announced.link.id;
    let Some(joined) = one(tx, joined_id(link)).await? else {
        return Ok(());
    };
    let (
        Role::Joined {
            uploads: wanted, ..
        },
        Stage::Wait,
    ) = (&joined.role, joined.stage())
    else {
        return Ok(());
    };
    let jobs = of_link(tx, link).await?;
    let others = || jobs.iter().filter(|job| !job.is_joined());
    let uploads = others().filter(|job| job.is_upload()).count();
    let settled = |job: &Job| matches!(job.stage(), Stage::Wait | Stage::Done | Stage::Parked);
    if uploads < usize::try_from(*wanted).unwrap_or(usize::MAX) || !others().all(settled) {
        return Ok(());
    }
    if others().any(is_ready) {
        advance(tx, &joined, Stage::Convert, now).await?;
    } else {
        // Each of them has told why.
        advance(tx, &joined, Stage::Parked, now).await?;
        sqlx::query("UPDATE jobs SET rejection = $1, last_error = $2 WHERE file = $3")
            .bind(Rejection::NoUsableFormat.code())
            .bind("none of the files can be joined")
            .bind(joined.file().to_string())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// What the files are joined to is delivered, and they with it.
pub(super) async fn joined(
    tx: &mut Transaction<'static, Any>,
    joined: &Job,
    now: Timestamp,
) -> Result<(), StoreError> {
    let parts = ready(tx, joined.announced.link.id).await?;
    for part in &parts {
        if advance(tx, part, Stage::Done, now).await? {
            let detail = Detail::joined(joined.file());
            say_of_file(tx, FeedKind::Joined, part, detail, now).await?;
            queue_status(tx, part, ReceiptStatus::Delivered, now).await?;
        }
    }
    for part in &parts {
        archive_if_over(tx, part.archive(), now).await?;
    }
    Ok(())
}

/// The files cannot be joined: they are rejected for the same reason.
pub(super) async fn not_joined(
    tx: &mut Transaction<'static, Any>,
    joined: &Job,
    rejection: Rejection,
    error: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let parts = ready(tx, joined.announced.link.id).await?;
    for part in &parts {
        park(tx, part, rejection, error, now).await?;
    }
    for part in &parts {
        archive_if_over(tx, part.archive(), now).await?;
    }
    Ok(())
}

/// Ends an archive, if all its members have ended: with them, or rejected as they are.
pub(super) async fn archive_if_over(
    tx: &mut Transaction<'static, Any>,
    archive: Option<FileId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(archive) = archive else {
        return Ok(());
    };
    let Some(archive) = one(tx, archive).await? else {
        return Ok(());
    };
    let members = members(tx, archive.file()).await?;
    let over = |job: &Job| matches!(job.stage(), Stage::Done | Stage::Parked);
    if archive.stage() != Stage::Wait || !members.iter().all(over) {
        return Ok(());
    }
    if members.iter().any(|member| member.stage() == Stage::Done) {
        if advance(tx, &archive, Stage::Done, now).await? {
            queue_status(tx, &archive, ReceiptStatus::Converted, now).await?;
            let left_out = left_out(&members);
            let receipt = Receipt {
                reason: left_out.as_ref().map(in_english),
                code: left_out.as_ref().map(|_| LEFT_OUT_CODE.to_owned()),
                left_out: left_out.map(|mut left| {
                    left.names.truncate(LEFT_OUT_NAMES_MAX);
                    left
                }),
                attempt: archive.attempt,
                ..Receipt::new(ReceiptStatus::Delivered)
            };
            queue_receipt(tx, archive.file(), &receipt, now).await?;
        }
        return Ok(());
    }
    let why = members.iter().find_map(|member| match member.state {
        State::Parked(rejection) => Some(rejection),
        _ => None,
    });
    let error = "none of its members can be used";
    park(
        tx,
        &archive,
        why.unwrap_or(Rejection::NoUsableFormat),
        error,
        now,
    )
    .await?;
    Ok(())
}

/// The code of a receipt for an archive of which some members could not be used.
const LEFT_OUT_CODE: &str = "members-left-out";

/// The members that could not be used, all by name, if there are any.
fn left_out(members: &[Job]) -> Option<LeftOut> {
    let parked = members.iter().filter(|m| m.stage() == Stage::Parked);
    let names: Vec<String> = parked.map(|m| m.announced.file.name.clone()).collect();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (!names.is_empty()).then(|| LeftOut {
        count: number(names.len()),
        of: number(members.len()),
        names,
    })
}

/// The same for a reader who has no words for the code.
fn in_english(LeftOut { count, of, names }: &LeftOut) -> String {
    let names = names.join(", ");
    let sentence = format!("{count} of {of} files could not be used: {names}");
    if sentence.chars().count() <= REASON_MAX {
        return sentence;
    }
    let cut: String = sentence.chars().take(REASON_MAX - 1).collect();
    format!("{cut}…")
}

/// Takes up again what hangs together with a job that was.
pub(super) async fn restart(
    tx: &mut Transaction<'static, Any>,
    job: &Job,
    now: Timestamp,
) -> Result<(), StoreError> {
    if job.is_joined() {
        for part in of_link(tx, job.announced.link.id).await? {
            if part.is_upload() {
                transitions::restart(tx, &part, now).await?;
            }
        }
    }
    if let Some(archive) = job.archive() {
        sqlx::query(
            "UPDATE jobs SET stage = 'wait', attempt = attempt + 1, rejection = NULL, next_at = $1
             WHERE file = $2 AND stage = 'parked'",
        )
        .bind(NEVER.millis())
        .bind(archive.to_string())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Whether it waits with a product for the others that it is joined with.
fn is_ready(job: &Job) -> bool {
    matches!(job.state, State::Wait(Awaited::OtherParts(_)))
}

async fn ready(tx: &mut Transaction<'static, Any>, link: LinkId) -> Result<Vec<Job>, StoreError> {
    let mut jobs = of_link(tx, link).await?;
    jobs.retain(is_ready);
    Ok(jobs)
}

async fn of_link(tx: &mut Transaction<'static, Any>, link: LinkId) -> Result<Vec<Job>, StoreError> {
    let rows = sqlx::query("SELECT * FROM jobs WHERE link = $1 ORDER BY created_at, file")
        .bind(link.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(job).collect()
}

async fn members(
    tx: &mut Transaction<'static, Any>,
    archive: FileId,
) -> Result<Vec<Job>, StoreError> {
    let rows = sqlx::query("SELECT * FROM jobs WHERE archive = $1 ORDER BY place")
        .bind(archive.to_string())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(job).collect()
}

async fn one(tx: &mut Transaction<'static, Any>, file: FileId) -> Result<Option<Job>, StoreError> {
    let row = sqlx::query("SELECT * FROM jobs WHERE file = $1")
        .bind(file.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(job).transpose()
}
