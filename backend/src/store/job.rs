//! A job: a file on its way through the pipeline.

use chatlift_shared::digest::Sha256;
use chatlift_shared::webhook::FileStored;
use chatlift_shared::{EventId, FileId, Timestamp, UploadId};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{StoreError, from_json, parse, unsigned};
use crate::rejection::Rejection;

/// When what waits for others is due.
pub(super) const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The file is to be fetched from the edge.
    Fetch,
    /// The fetched file is to be looked at for malware.
    Scan,
    /// The file is to be brought into the app's format.
    Convert,
    /// The product is to be handed to the first app.
    Deliver,
    /// It waits for others: an archive for its members, a file for those that it is joined with,
    /// and what they are joined to for all of them.
    Wait,
    /// The scanner could not see all of it: it waits for the operator.
    Held,
    /// All that is here of it is to be erased.
    Erase,
    /// The first app has it, or it was erased. Final.
    Done,
    /// It cannot be done; the job's reason says why. Final.
    Parked,
}

impl Stage {
    /// Whether there is something to do in it; else it waits for others, or has ended.
    #[must_use]
    pub const fn is_work(self) -> bool {
        !matches!(self, Self::Wait | Self::Held | Self::Done | Self::Parked)
    }

    pub(super) const ALL: [Self; 9] = [
        Self::Fetch,
        Self::Scan,
        Self::Convert,
        Self::Deliver,
        Self::Wait,
        Self::Held,
        Self::Erase,
        Self::Done,
        Self::Parked,
    ];

    /// The name as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Scan => "scan",
            Self::Convert => "convert",
            Self::Deliver => "deliver",
            Self::Wait => "wait",
            Self::Held => "held",
            Self::Erase => "erase",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }
}

/// What conversion made of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its name, to be shown; never a path.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of its content.
    pub sha256: Sha256,
    /// Whether it is another file than the one that was fetched.
    pub converted: bool,
    /// The uploaded files that it was made of, where it is not made of one that bears its id: the
    /// archive of a member, the files that were joined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<FileId>,
    /// The key under which it is kept; the file's id if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// What the sender wrote with the files that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Product {
    /// The key under which it is kept, if it is made of `file`.
    #[must_use]
    pub fn key(&self, file: FileId) -> String {
        self.object.clone().unwrap_or_else(|| file.to_string())
    }
}

/// Where a job is, with what is so in that state only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// See [`Stage::Fetch`].
    Fetch,
    /// See [`Stage::Scan`].
    Scan,
    /// See [`Stage::Convert`].
    Convert,
    /// This was made of it, and is to be handed over.
    Deliver(Product),
    /// It waits for others.
    Wait(Awaited),
    /// See [`Stage::Held`].
    Held,
    /// See [`Stage::Erase`].
    Erase,
    /// It is over. Of an archive, and of what was erased, there is no product.
    Done(Option<Product>),
    /// It cannot be done, for this reason.
    Parked(Rejection),
}

/// What a job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// An archive, for its members.
    Members,
    /// A file of which this was made, for those that it is joined with.
    OtherParts(Product),
    /// What files are joined to, for all of them.
    Parts,
}

/// What a job's file is among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It was uploaded, so that the edge knows it by its id.
    Upload,
    /// It came in an archive.
    Member {
        /// The archive.
        archive: FileId,
        /// Its place in there, from 1.
        place: u32,
    },
    /// It is what the files of a link are joined to.
    Joined {
        /// How many uploads there are.
        uploads: u32,
        /// The uploads in their order.
        parts: Vec<FileId>,
    },
}

/// A file on its way through the pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The event that brought it.
    pub event: EventId,
    /// The edge's word about the file and its link.
    pub announced: FileStored,
    /// What it is among others.
    pub role: Role,
    /// Where it is.
    pub state: State,
    /// Failed tries of this stage.
    pub attempts: u32,
    /// How often what was fetched was not what was announced.
    pub mismatches: u32,
    /// Conversions begun and not ended.
    pub crashes: u32,
    /// Version that the partly fetched file is of.
    pub etag: Option<String>,
    /// What went wrong last, for the operator.
    pub last_error: Option<String>,
    /// How often it was taken up again by hand.
    pub attempt: u32,
    /// How often a process has taken it into its hands: what an earlier one still wants to write of it
    /// is not written. Always 0 where there is one process.
    pub lease: u32,
}

impl Job {
    /// The file.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.announced.file.id
    }

    /// The name of its state.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self.state {
            State::Fetch => Stage::Fetch,
            State::Scan => Stage::Scan,
            State::Convert => Stage::Convert,
            State::Deliver(_) => Stage::Deliver,
            State::Wait(_) => Stage::Wait,
            State::Held => Stage::Held,
            State::Erase => Stage::Erase,
            State::Done(_) => Stage::Done,
            State::Parked(_) => Stage::Parked,
        }
    }

    /// What was made of it, as long as that is known.
    #[must_use]
    pub const fn product(&self) -> Option<&Product> {
        match &self.state {
            State::Deliver(product)
            | State::Wait(Awaited::OtherParts(product))
            | State::Done(Some(product)) => Some(product),
            _ => None,
        }
    }

    /// What its sender is told if it is parked.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        match self.state {
            State::Parked(rejection) => Some(rejection.to_string()),
            _ => None,
        }
    }

    /// The archive that it is a member of.
    #[must_use]
    pub const fn archive(&self) -> Option<FileId> {
        match self.role {
            Role::Member { archive, .. } => Some(archive),
            Role::Upload | Role::Joined { .. } => None,
        }
    }

    /// Whether several files are joined to it.
    #[must_use]
    pub const fn is_joined(&self) -> bool {
        matches!(self.role, Role::Joined { .. })
    }

    /// Whether it is to be joined with others.
    #[must_use]
    pub const fn is_part(&self) -> bool {
        self.announced.link.join.is_some() && !self.is_joined()
    }

    /// Whether it was uploaded, so that the edge knows it by this id.
    #[must_use]
    pub const fn is_upload(&self) -> bool {
        matches!(self.role, Role::Upload)
    }
}

/// An id that belongs to `file` and is always the same: for what is made of it and is a delivery of
/// its own. It is as unlikely to be another file's as two random ids of a link are to be the same.
fn derived(file: FileId, what: &str) -> FileId {
    let hash = sha2::Sha256::digest(format!("chatlift\0{file}\0{what}"));
    let mut suffix = [0; 6];
    suffix.copy_from_slice(&hash[..6]);
    UploadId::new(file.link(), suffix).into()
}

/// The id of member `place` of an archive.
#[must_use]
pub fn member_id(archive: FileId, place: u32) -> FileId {
    derived(archive, &format!("member {place}"))
}

/// The id of what the files of a link are joined to.
#[must_use]
pub fn joined_id(link: chatlift_shared::LinkId) -> FileId {
    derived(UploadId::new(link, [0; 6]).into(), "joined")
}

pub(super) fn job(row: &AnyRow) -> Result<Job, StoreError> {
    let role = role(row)?;
    Ok(Job {
        event: parse("event", row.try_get("event")?)?,
        announced: from_json("announced", row.try_get("announced")?)?,
        state: state(row, &role)?,
        role,
        attempts: unsigned("attempts", row.try_get("attempts")?)?,
        mismatches: unsigned("mismatches", row.try_get("mismatches")?)?,
        crashes: unsigned("crashes", row.try_get("crashes")?)?,
        etag: row.try_get("etag")?,
        last_error: row.try_get("last_error")?,
        attempt: unsigned("attempt", row.try_get("attempt")?)?,
        lease: unsigned("lease", row.try_get("lease")?)?,
    })
}

fn role(row: &AnyRow) -> Result<Role, StoreError> {
    let place = unsigned("place", row.try_get("place")?)?;
    let parts: Option<&str> = row.try_get("parts")?;
    let archive: Option<&str> = row.try_get("archive")?;
    Ok(match (archive, parts) {
        (Some(archive), _) => Role::Member {
            archive: parse("archive", archive)?,
            place,
        },
        (None, Some(parts)) => Role::Joined {
            uploads: place,
            parts: from_json("parts", parts)?,
        },
        (None, None) => Role::Upload,
    })
}

fn state(row: &AnyRow, role: &Role) -> Result<State, StoreError> {
    let unreadable = |column, problem: String| StoreError::Unreadable { column, problem };
    let name: &str = row.try_get("stage")?;
    let stage = Stage::ALL.into_iter().find(|s| s.as_str() == name);
    let stage = stage.ok_or_else(|| unreadable("stage", format!("no stage {name}")))?;
    let product = row
        .try_get::<Option<&str>, _>("product")?
        .map(|text| from_json("product", text))
        .transpose()?;
    Ok(match stage {
        Stage::Fetch => State::Fetch,
        Stage::Scan => State::Scan,
        Stage::Convert => State::Convert,
        Stage::Deliver => State::Deliver(
            product.ok_or_else(|| unreadable("product", "none to be delivered".to_owned()))?,
        ),
        Stage::Wait => State::Wait(match (role, product) {
            (Role::Joined { .. }, _) => Awaited::Parts,
            (_, Some(product)) => Awaited::OtherParts(product),
            (_, None) => Awaited::Members,
        }),
        Stage::Held => State::Held,
        Stage::Erase => State::Erase,
        Stage::Done => State::Done(product),
        Stage::Parked => {
            let code: Option<&str> = row.try_get("rejection")?;
            // One of a newer version has its words there.
            let rejection = code.and_then(Rejection::from_code);
            State::Parked(rejection.unwrap_or(Rejection::GaveUp))
        }
    })
}
