//! Commits: reserved or sealed, committed, or ended.

use std::collections::BTreeMap;

use chatlift_shared::api::{LinkState as Status, PartDigests};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{EVENT_PARTS_MAX, part_count};
use chatlift_shared::webhook::{EventKind, FileStored};
use chatlift_shared::{Problem, ProblemCode, UploadId};

use super::{Decide, PARTS_NAMED, PartWrite, Step};
use crate::link::command::{Commit, Reopen, Reserve, Seal, SealUpload, Withdraw, Working};
use crate::link::reply::{FoundFile, Reserved, Sealed, Sealing};
use crate::link::state::{Extras, Multipart, Part, StoredFile, UploadRow, UploadState};
use crate::link::work::{STALLED_AFTER, STUCK_AFTER, busy_for, busy_since};

impl Decide for Reserve {
    fn decide(self, step: &mut Step<'_>) -> Result<Reserved, Problem> {
        let Self {
            upload,
            attempt,
            name,
            size,
            sha256,
            extras,
        } = self;
        step.asks_for(&extras)?;
        if step.awaited(upload, attempt).unwrap_or(false) {
            return Ok(Reserved::Room(step.policy()));
        }
        if let Some(known) = step.find_same(&name, size, &extras, sha256) {
            match step.upload(known)?.state {
                UploadState::Stored(_) => {
                    let file = step.found_file(known.into())?;
                    return Ok(Reserved::Stored(Box::new(file)));
                }
                _ => step.end_stalled_attempt(&name, size, sha256).map(drop)?,
            }
        }
        if let Err(problem) = step.room_for(size) {
            if problem.code != ProblemCode::LinkFull
                || !step.end_stalled_attempt(&name, size, sha256)?
            {
                return Err(problem);
            }
            step.room_for(size)?;
        }
        let state = UploadState::Completing {
            attempt,
            since: step.now,
            sha256,
            multipart: None,
        };
        step.add(upload, name, size, state, None)?;
        step.describe(upload, extras);
        Ok(Reserved::Room(step.policy()))
    }

    fn is_retried(&self) -> bool {
        true
    }
}

impl Decide for SealUpload {
    fn decide(self, step: &mut Step<'_>) -> Result<Sealing, Problem> {
        let parts = (step.held)(self.upload).parts;
        step.seal(self.upload, self.seal, parts)
    }

    fn is_retried(&self) -> bool {
        true
    }
}

impl Decide for Working {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        step.working(self.upload, self.attempt, self.goes_on)
    }
}

impl Decide for Commit {
    fn decide(self, step: &mut Step<'_>) -> Result<FoundFile, Problem> {
        let Self {
            upload,
            attempt,
            media_type,
            sha256,
            etag,
        } = self;
        let upload = step.answered_with(upload);
        let row = step.kept_upload(upload)?;
        let (name, size, extras) = (row.name.clone(), row.size, row.extras.clone());
        // R2 took longer than the link waited, and has put the parts together: there is nothing left to send, and the
        // file is whole.
        let is_late = matches!(row.state, UploadState::Receiving { .. });
        // Who sends a file in one request without its digest means a file more.
        let names_no_digest = matches!(
            row.state,
            UploadState::Completing {
                sha256: None,
                multipart: None,
                ..
            }
        );
        let multipart = match &row.state {
            UploadState::Stored(_) => return step.found_file(upload.into()),
            UploadState::Completing {
                attempt: awaited,
                multipart,
                ..
            } if *awaited == attempt || planted!(CommitOfAnyAttempt) => multipart.clone(),
            UploadState::Receiving { multipart, .. } => Some(multipart.clone()),
            UploadState::Aborted { .. } => {
                step.open_for_files()?;
                return Err(ProblemCode::UploadAborted.into());
            }
            // The object is a later attempt's too, which sees to it.
            UploadState::Completing { since, .. } => return Err(busy_since(*since, step.now)),
            UploadState::Piece { .. } => return Err(ProblemCode::UploadBusy.into()),
        };
        let parts = (step.held)(upload).parts;
        let multipart = multipart
            .filter(|multipart| part_count(size, multipart.part_size) == parts.len() as u64);
        let digests = multipart
            .as_ref()
            .map(|multipart| part_digests(multipart, size, &parts));
        let only = parts.values().next().filter(|_| parts.len() == 1);
        let sha256 = sha256.or(only.map(|part| part.sha256));
        let is_beside = match is_late {
            true => planted!(LateBesideTwin),
            false => planted!(StoredBesideTwin),
        };
        if !names_no_digest
            && !is_beside
            && let Some(known) = step.find_stored(&name, size, &extras, sha256, digests.as_ref())
        {
            step.end_as_twin(upload, known);
            return step.found_file(upload.into());
        }
        if is_late {
            step.room_for(size)?;
            if let Some(digests) = &digests
                && !is_beside
            {
                step.no_attempt_of(upload, &name, digests, size)?;
            }
        }
        let stored = StoredFile {
            media_type,
            sha256,
            part_size: multipart.map(|multipart| multipart.part_size),
            etag,
            stored_at: step.now,
            deleted_at: None,
            deleted_reason: None,
            receipt: None,
        };
        step.parts.push(match stored.in_parts(size) {
            // Their digests are what the file is checked by.
            true if !planted!(PartDigestsForgotten) => PartWrite::Truncate(upload, 1, 0),
            _ => PartWrite::DropAll(upload),
        });
        step.set(upload, UploadState::Stored(stored));
        step.end_pieces(upload);
        if let Some(mut file) = step.file_with_parts(upload)
            && !planted!(EventLost)
        {
            file.parts = file
                .parts
                .filter(|parts| parts.sha256.len() <= EVENT_PARTS_MAX);
            let link = step.state.link_ref();
            step.tell(EventKind::FileStored(FileStored { file, link }));
        }
        let policy = &step.state.link.policy;
        if step.state.link.status == Status::Active
            && policy.join.is_none()
            && step.state.files_stored() >= policy.max_files
        {
            step.complete(&[]);
        }
        step.found_file(upload.into())
    }

    fn is_retried(&self) -> bool {
        true
    }
}

impl Decide for Withdraw {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { upload, attempt } = self;
        if step.awaited(upload, attempt)? || planted!(WithdrawOfAnyAttempt) {
            step.end_upload(upload);
        }
        match step.upload(upload)?.state {
            UploadState::Aborted { .. } => Ok(()),
            // The object is a later attempt's too, which sees to it.
            UploadState::Completing { since, .. } => Err(busy_since(since, step.now)),
            _ => Err(ProblemCode::UploadBusy.into()),
        }
    }

    fn is_retried(&self) -> bool {
        true
    }
}

impl Decide for Reopen {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self {
            upload,
            attempt,
            keep_parts,
        } = self;
        if !step.awaited(upload, attempt)? && !planted!(ReopenOfAnyAttempt) {
            return Ok(());
        }
        if step.cannot_reopen(upload, keep_parts) {
            step.end_upload(upload);
            return Ok(());
        }
        match (&step.upload(upload)?.state, step.state.link.status) {
            (
                UploadState::Completing {
                    multipart: Some(multipart),
                    ..
                },
                Status::Active,
            ) => {
                let state = UploadState::Receiving {
                    multipart: multipart.clone(),
                    touched_at: step.now,
                    attempted: true,
                };
                step.set(upload, state);
                if !keep_parts {
                    step.parts.push(PartWrite::DropAll(upload));
                }
            }
            _ => step.end_upload(upload),
        }
        Ok(())
    }

    fn is_retried(&self) -> bool {
        true
    }
}

impl Step<'_> {
    /// A file in one request that was stored, or is being stored, with this name, size and digest.
    fn find_same(
        &self,
        name: &str,
        size: u64,
        extras: &Extras,
        sha256: Option<Sha256>,
    ) -> Option<UploadId> {
        let being_stored = |row: &UploadRow| {
            let UploadState::Completing {
                sha256: expected,
                multipart: None,
                ..
            } = row.state
            else {
                return false;
            };
            sha256.is_some() && expected == sha256 && row.is_of(name, size, extras)
        };
        self.find_stored(name, size, extras, sha256, None)
            .or_else(|| {
                let mut rows = self.state.uploads.iter();
                rows.find(|(_, row)| being_stored(row)).map(|(id, _)| *id)
            })
    }

    /// A stored file with this name and size, of which its sender said the same, and with this digest of the whole or
    /// these of its parts. What is known of neither is no other's twin.
    fn find_stored(
        &self,
        name: &str,
        size: u64,
        extras: &Extras,
        whole: Option<Sha256>,
        parts: Option<&PartDigests>,
    ) -> Option<UploadId> {
        let has_digests = |id: UploadId| {
            (whole.is_some() && self.state.whole_digest(id) == whole)
                || (parts.is_some()
                    && self
                        .file_with_parts(id)
                        .and_then(|file| file.parts)
                        .as_ref()
                        == parts)
        };
        let mut rows = self.state.uploads.iter();
        rows.find(|(id, row)| {
            matches!(&row.state, UploadState::Stored(file) if file.deleted_at.is_none())
                && row.is_of(name, size, extras)
                && has_digests(**id)
        })
        .map(|(id, _)| *id)
    }

    /// Refuses as busy while an attempt is making a file of this name and these parts, of another upload.
    fn no_attempt_of(
        &self,
        upload: UploadId,
        name: &str,
        parts: &PartDigests,
        size: u64,
    ) -> Result<(), Problem> {
        let is_of = |id: UploadId, row: &UploadRow| {
            id != upload && row.serial.is_none() && row.name == name && row.size == size
        };
        let has_parts = |id: UploadId| {
            let known = (self.held)(id).parts;
            let known = known.values().map(|part| part.sha256);
            known.eq(parts.sha256.iter().copied())
        };
        let attempt = self
            .state
            .uploads
            .iter()
            .find_map(|(id, row)| match &row.state {
                UploadState::Completing {
                    since,
                    multipart: Some(_),
                    ..
                } if is_of(*id, row) && has_parts(*id) => Some(*since),
                _ => None,
            });
        attempt.map_or(Ok(()), |since| Err(busy_since(since, self.now)))
    }

    /// Ends an upload of a file that another one has become: the page was reloaded, or another tab or request sent it
    /// too. Its sender is answered with that one.
    fn end_as_twin(&mut self, upload: UploadId, known: UploadId) {
        self.end_upload(upload);
        self.end_pieces(upload);
        let (at, twin) = (self.now, Some(known));
        self.set(upload, UploadState::Aborted { at, twin });
    }

    /// Ends a file in one request that may be this one, sent before, if nothing has come of it lately.
    /// Answers whether there was one; that it is busy while something comes.
    fn end_stalled_attempt(
        &mut self,
        name: &str,
        size: u64,
        sha256: Option<Sha256>,
    ) -> Result<bool, Problem> {
        let earlier = self.state.uploads.iter().find_map(|(id, row)| {
            let UploadState::Completing {
                since,
                sha256: announced,
                multipart: None,
                ..
            } = &row.state
            else {
                return None;
            };
            let differs = sha256.is_some() && announced.is_some() && *announced != sha256;
            let same = row.serial.is_none() && row.name == name && row.size == size && !differs;
            same.then_some((*id, *since))
        });
        let Some((id, since)) = earlier else {
            return Ok(false);
        };
        if self.now < since.plus(STALLED_AFTER) {
            let wait = self.now.until(since.plus(STALLED_AFTER));
            return Err(busy_for(wait));
        }
        self.end_upload(id);
        Ok(true)
    }

    /// Seals an upload of which these `parts` are held. A refusal changes nothing.
    pub(super) fn seal(
        &mut self,
        upload: UploadId,
        seal: Seal,
        parts: BTreeMap<u16, Part>,
    ) -> Result<Sealing, Problem> {
        if self.upload(upload)?.serial.is_some() {
            return Err(ProblemCode::UploadNotFound.into());
        }
        let upload = self.answered_with(upload);
        let row = self.kept_upload(upload)?;
        let (name, size, extras) = (row.name.clone(), row.size, row.extras.clone());
        let multipart = match &row.state {
            UploadState::Stored(_) => {
                // A file of before the digests of parts were kept is told apart by its id alone.
                let parts = self.file_with_parts(upload).and_then(|file| file.parts);
                parts.map_or(Ok(()), |parts| check_digests(&seal, &parts.sha256))?;
                return self.sealed_before(upload);
            }
            UploadState::Aborted { .. } => {
                self.open_for_files()?;
                return Err(ProblemCode::UploadAborted.into());
            }
            UploadState::Completing {
                attempt,
                since,
                multipart: Some(multipart),
                ..
            } if *attempt == seal.attempt || since.plus(STUCK_AFTER) <= self.now => {
                multipart.clone()
            }
            UploadState::Completing { since, .. } => return Err(busy_since(*since, self.now)),
            UploadState::Piece { .. } => return Err(ProblemCode::UploadBusy.into()),
            UploadState::Receiving { multipart, .. } => {
                self.room_for(size)?;
                multipart.clone()
            }
        };
        let count = part_count(size, multipart.part_size);
        let missing: Vec<u16> = (1..=count)
            .filter_map(|n| u16::try_from(n).ok())
            .filter(|n| !parts.contains_key(n))
            .take(PARTS_NAMED)
            .collect();
        if !missing.is_empty() && !planted!(SealedWithoutParts) {
            let mut problem = Problem::new(ProblemCode::PartsMissing);
            problem.parts = missing;
            return Err(problem);
        }
        let digests = part_digests(&multipart, size, &parts);
        if seal.parts_sha256.is_none() && !multipart.alone {
            return Err(Problem::new(ProblemCode::InvalidRequest)
                .field("parts_sha256")
                .detail("Only an upload that was announced to be alone is completed without it."));
        }
        check_digests(&seal, &digests.sha256)?;
        if let Some(known) = self.find_stored(&name, size, &extras, None, Some(&digests)) {
            self.end_as_twin(upload, known);
            return self.sealed_before(upload);
        }
        self.no_attempt_of(upload, &name, &digests, size)?;
        self.sealed(upload, seal.attempt, multipart, parts, None)
    }

    /// Has an attempt complete an upload of these parts in R2.
    pub(super) fn sealed(
        &mut self,
        upload: UploadId,
        attempt: u64,
        multipart: Multipart,
        parts: BTreeMap<u16, Part>,
        sha256: Option<Sha256>,
    ) -> Result<Sealing, Problem> {
        let row = self.upload(upload)?;
        let sealed = Sealed {
            policy: self.policy(),
            name: row.name.clone(),
            size: row.size,
            multipart: multipart.clone(),
            etags: parts.into_values().map(|part| part.etag).collect(),
            sha256,
            attempt,
        };
        let state = UploadState::Completing {
            attempt,
            since: self.now,
            sha256,
            multipart: Some(multipart),
        };
        self.set(upload, state);
        Ok(Sealing::Sealed(Box::new(sealed)))
    }

    /// The file that an upload has become.
    pub(super) fn sealed_before(&self, upload: UploadId) -> Result<Sealing, Problem> {
        let found = self.found_file(upload.into())?;
        Ok(Sealing::File(Box::new(found)))
    }

    /// Whether `attempt` is the one that the upload waits for.
    pub(super) fn awaited(&self, upload: UploadId, attempt: u64) -> Result<bool, Problem> {
        Ok(matches!(
            self.upload(upload)?.state,
            UploadState::Completing { attempt: awaited, .. } if awaited == attempt
        ))
    }

    /// Refuses what is not the attempt of its upload; one that `goes_on` is not stuck.
    pub(super) fn working(
        &mut self,
        upload: UploadId,
        attempt: u64,
        goes_on: bool,
    ) -> Result<(), Problem> {
        if !self.awaited(upload, attempt)? {
            self.open_for_files()?;
            return Err(ProblemCode::UploadAborted.into());
        }
        let now = self.now;
        if goes_on
            && let Some(UploadRow {
                state: UploadState::Completing { since, .. },
                ..
            }) = self.state.uploads.get_mut(&upload)
        {
            *since = now;
        }
        Ok(())
    }
}

fn part_digests(multipart: &Multipart, size: u64, parts: &BTreeMap<u16, Part>) -> PartDigests {
    PartDigests {
        size: multipart.part_size.min(size),
        sha256: parts.values().map(|part| part.sha256).collect(),
    }
}

/// Refuses to complete with digests that are not those of the parts. That of the whole is the only
/// part's; what else is said of it cannot be compared.
fn check_digests(seal: &Seal, parts: &[Sha256]) -> Result<(), Problem> {
    let differ = |field: &str| Err(Problem::new(ProblemCode::PartsDiffer).field(field));
    let of_parts = Sha256::of_parts(parts.iter().copied());
    if seal.parts_sha256.is_some_and(|said| said != of_parts) && !planted!(PartsDigestUnchecked) {
        return differ("parts_sha256");
    }
    match (parts, seal.sha256) {
        ([only], Some(said)) if *only != said => differ("sha256"),
        _ => Ok(()),
    }
}
