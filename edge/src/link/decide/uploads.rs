//! Uploads: announced, opened, filled, sealed, committed or ended.

use std::collections::BTreeMap;

use chatlift_shared::api::{HeldPart, LinkState as Status, PartDigests};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{EVENT_PARTS_MAX, part_count};
use chatlift_shared::webhook::{EventKind, FileStored};
use chatlift_shared::{Problem, ProblemCode, Timestamp, UploadId};

use super::{PARTS_NAMED, PartWrite, Step};
use crate::link::command::{Answer, OpenUpload, Reply, Seal, Sealed};
use crate::link::serial::Serial;
use crate::link::state::{Multipart, Part, StoredFile, UploadRow, UploadState};
use crate::link::work::{GIVES_WAY_AFTER, STUCK_AFTER, busy_for, busy_since};

/// Uploads that may be under way beside the places left: a person who starts over, or has two
/// tabs open. Beyond it the one that was heard of longest ago makes room.
pub(super) const SPARE_UPLOADS: usize = 8;

impl Step<'_> {
    pub(super) fn room_for(&self, size: u64) -> Result<(), Problem> {
        self.open_for_files()?;
        let policy = &self.state.link.policy;
        if size == 0 {
            return Err(ProblemCode::FileEmpty.into());
        }
        if size > policy.max_file_size {
            return Err(Problem::new(ProblemCode::FileTooLarge).limit(policy.max_file_size));
        }
        if self.state.places_taken() >= policy.max_files {
            return Err(Problem::new(ProblemCode::LinkFull).limit(policy.max_files.into()));
        }
        Ok(())
    }

    /// Adds an upload. Ids are drawn at random, but one that ended must never come back to life.
    pub(super) fn add(
        &mut self,
        id: UploadId,
        name: String,
        size: u64,
        state: UploadState,
        serial: Option<Serial>,
    ) -> Result<(), Problem> {
        if self.state.uploads.contains_key(&id) {
            return Err(ProblemCode::UploadBusy.into());
        }
        self.room_for_a_row()?;
        let row = UploadRow {
            name,
            size,
            created_at: self.now,
            state,
            serial,
        };
        self.state.uploads.insert(id, row);
        Ok(())
    }

    pub(super) fn room(&self) -> Reply {
        Reply::Room(self.state.link.policy.clone())
    }

    pub(super) fn find_receiving(&self, name: &str, size: u64) -> Option<OpenUpload> {
        self.state
            .uploads
            .iter()
            .find_map(|(id, row)| match &row.state {
                UploadState::Receiving { multipart, .. }
                    if row.name == name
                        && row.size == size
                        && row.serial.is_none()
                        && !multipart.alone =>
                {
                    let held = (self.held)(*id);
                    Some(OpenUpload {
                        id: *id,
                        size,
                        multipart: multipart.clone(),
                        parts: held_parts(held.parts),
                        staged: held.staged,
                        sealed: false,
                    })
                }
                _ => None,
            })
    }

    /// The upload of this name and size that a sender has the ticket of, if an announcement alone would
    /// not find it: nobody joins it, or it is sealed, and its parts' digests tell whether it is of the
    /// same file.
    fn find_own(
        &self,
        name: &str,
        size: u64,
        (id, mut multipart): (UploadId, Multipart),
    ) -> Option<OpenUpload> {
        let row = self.state.uploads.get(&id)?;
        if row.name != name || row.size != size || row.serial.is_some() {
            return None;
        }
        let (mut staged, mut sealed) = (vec![], true);
        let parts = match &row.state {
            UploadState::Receiving {
                multipart: own @ Multipart { alone: true, .. },
                ..
            } => {
                let held = (self.held)(id);
                (multipart, staged, sealed) = (own.clone(), held.staged, false);
                held_parts(held.parts)
            }
            UploadState::Completing {
                multipart: Some(own),
                ..
            } => {
                multipart.alone = own.alone;
                held_parts((self.held)(id).parts)
            }
            UploadState::Stored(file) if file.deleted_at.is_none() => {
                let parts = self.file_with_parts(id)?.parts?;
                let parts = (1..).zip(parts.sha256);
                parts.map(|(n, sha256)| HeldPart { n, sha256 }).collect()
            }
            _ => return None,
        };
        Some(OpenUpload {
            id,
            size,
            multipart,
            parts,
            staged,
            sealed,
        })
    }

    pub(super) fn announce(
        &mut self,
        name: &str,
        size: u64,
        earlier: Option<(UploadId, Multipart)>,
    ) -> Answer {
        if let Some(own) = earlier.and_then(|own| self.find_own(name, size, own)) {
            self.touch(own.id);
            return Ok(Reply::Upload(own));
        }
        self.room_for(size)?;
        let Some(known) = self.find_receiving(name, size) else {
            self.room_for_a_row()?;
            return Ok(self.room());
        };
        self.touch(known.id);
        Ok(Reply::Upload(known))
    }

    pub(super) fn touch(&mut self, upload: UploadId) {
        let now = self.now;
        if let Some(UploadRow {
            state: UploadState::Receiving { touched_at, .. },
            ..
        }) = self.state.uploads.get_mut(&upload)
        {
            *touched_at = now;
        }
    }

    pub(super) fn open(
        &mut self,
        id: UploadId,
        name: String,
        size: u64,
        multipart: Multipart,
    ) -> Answer {
        self.room_for(size)?;
        let known = self.find_receiving(&name, size);
        if let Some(known) = known.filter(|_| !multipart.alone) {
            if known.id != id {
                self.room_for_a_row()?;
                self.abort_multipart(id, &multipart);
            }
            return Ok(Reply::Upload(known));
        }
        self.make_room_for_one_upload();
        let state = UploadState::Receiving {
            multipart: multipart.clone(),
            touched_at: self.now,
        };
        self.add(id, name, size, state, None)?;
        Ok(Reply::Upload(OpenUpload {
            id,
            size,
            multipart,
            parts: vec![],
            staged: vec![],
            sealed: false,
        }))
    }

    pub(super) fn make_room_for_one_upload(&mut self) {
        let left = self
            .state
            .link
            .policy
            .max_files
            .saturating_sub(self.state.places_taken());
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .saturating_add(SPARE_UPLOADS);
        let mut receiving: Vec<(Timestamp, UploadId)> =
            self.state
                .uploads
                .iter()
                .filter_map(|(id, u)| match u.state {
                    UploadState::Receiving { touched_at, .. }
                    | UploadState::Piece { touched_at } => Some((touched_at, *id)),
                    _ => None,
                })
                .collect();
        receiving.sort_unstable();
        let too_many = (receiving.len() + 1).saturating_sub(most);
        for (_, id) in receiving.into_iter().take(too_many) {
            self.end_upload(id);
        }
    }

    /// Refuses unless the upload takes parts.
    pub(super) fn take_parts(&mut self, upload: UploadId) -> Result<(), Problem> {
        self.open_for_files()?;
        match &self.kept_upload(upload)?.state {
            UploadState::Receiving { .. } => {
                self.touch(upload);
                Ok(())
            }
            UploadState::Completing { since, .. } => Err(busy_since(*since, self.now)),
            UploadState::Piece { .. } | UploadState::Stored(_) => {
                Err(ProblemCode::UploadBusy.into())
            }
            UploadState::Aborted { .. } => Err(ProblemCode::UploadAborted.into()),
        }
    }

    /// Records a part, and seals the upload if that was the last. What keeps it from being sealed is
    /// no problem of the part: who then asks to complete the upload is told.
    pub(super) fn record_part(
        &mut self,
        upload: UploadId,
        n: u16,
        part: Part,
        seal: Option<Seal>,
    ) -> Answer {
        // A part that was sent twice, and the first one led to the end.
        if let UploadState::Stored(_) = self.kept_upload(upload)?.state {
            let parts = self.file_with_parts(upload).and_then(|file| file.parts);
            let kept = parts.and_then(|p| p.sha256.get(usize::from(n).checked_sub(1)?).copied());
            return match seal {
                _ if kept.is_some_and(|kept| kept != part.sha256) => {
                    Err(ProblemCode::PartsDiffer.into())
                }
                Some(seal) => self.seal(upload, seal, BTreeMap::new()),
                None => Ok(Reply::Done),
            };
        }
        self.take_parts(upload)?;
        self.parts.push(PartWrite::Put(upload, n, part.clone()));
        let Some(seal) = seal else {
            return Ok(Reply::Done);
        };
        let mut parts = (self.held)(upload).parts;
        parts.insert(n, part);
        Ok(self.seal(upload, seal, parts).unwrap_or(Reply::Done))
    }

    pub(super) fn resize(&mut self, upload: UploadId, size: u64) -> Answer {
        self.take_parts(upload)?;
        if size == 0 {
            return Err(ProblemCode::FileEmpty.into());
        }
        match self.state.uploads.get_mut(&upload) {
            Some(row) if size <= row.size => row.size = size,
            Some(row) => {
                return Err(Problem::new(ProblemCode::FileTooLarge).limit(row.size));
            }
            None => return Err(ProblemCode::UploadNotFound.into()),
        }
        Ok(Reply::Done)
    }

    pub(super) fn forget_part(&mut self, upload: UploadId, n: u16) -> Answer {
        if let UploadState::Receiving { .. } = self.upload(upload)?.state {
            self.parts.push(PartWrite::Drop(upload, n));
        }
        Ok(Reply::Done)
    }

    /// A file in one request that was stored, or is being stored, with this name, size and digest.
    fn find_same(&self, name: &str, size: u64, sha256: Option<Sha256>) -> Option<UploadId> {
        let sha256 = sha256?;
        let is_same = |id: UploadId, row: &UploadRow| match &row.state {
            UploadState::Stored(file) => {
                file.deleted_at.is_none() && self.state.whole_digest(id) == Some(sha256)
            }
            UploadState::Completing {
                sha256: expected,
                multipart: None,
                ..
            } => *expected == Some(sha256),
            _ => false,
        };
        let mut rows = self.state.uploads.iter();
        rows.find(|(id, row)| row.name == name && row.size == size && is_same(**id, row))
            .map(|(id, _)| *id)
    }

    /// A stored file with this name and these parts.
    fn find_same_parts(&self, name: &str, parts: &PartDigests, size: u64) -> Option<UploadId> {
        let mut rows = self.state.uploads.iter();
        rows.find(|(id, row)| {
            matches!(&row.state, UploadState::Stored(file) if file.deleted_at.is_none())
                && row.name == name
                && row.size == size
                && self
                    .file_with_parts(**id)
                    .and_then(|file| file.parts)
                    .as_ref()
                    == Some(parts)
        })
        .map(|(id, _)| *id)
    }

    /// Ends a file in one request that may be this one, sent before, if nothing has come of it lately.
    /// Answers whether there was one; that it is busy while something comes.
    fn gives_way(
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
        if self.now < since.plus(GIVES_WAY_AFTER) {
            let wait = self.now.until(since.plus(GIVES_WAY_AFTER));
            return Err(busy_for(wait));
        }
        self.end_upload(id);
        Ok(true)
    }

    pub(super) fn reserve(
        &mut self,
        upload: UploadId,
        attempt: u64,
        name: String,
        size: u64,
        sha256: Option<Sha256>,
    ) -> Answer {
        if let Some(known) = self.find_same(&name, size, sha256) {
            match self.upload(known)?.state {
                UploadState::Stored(_) => return self.found_file(known.into()),
                _ => self.gives_way(&name, size, sha256).map(drop)?,
            }
        }
        if let Err(problem) = self.room_for(size) {
            if problem.code != ProblemCode::LinkFull || !self.gives_way(&name, size, sha256)? {
                return Err(problem);
            }
            self.room_for(size)?;
        }
        let state = UploadState::Completing {
            attempt,
            since: self.now,
            sha256,
            multipart: None,
        };
        self.add(upload, name, size, state, None)?;
        Ok(self.room())
    }

    /// Seals an upload of which these `parts` are held. A refusal changes nothing.
    pub(super) fn seal(
        &mut self,
        upload: UploadId,
        seal: Seal,
        parts: BTreeMap<u16, Part>,
    ) -> Answer {
        let row = self.kept_upload(upload)?;
        if row.serial.is_some() {
            return Err(ProblemCode::UploadNotFound.into());
        }
        let (name, size) = (row.name.clone(), row.size);
        let multipart = match &row.state {
            UploadState::Stored(_) => {
                // A file of before the digests of parts were kept is told apart by its id alone.
                let parts = self.file_with_parts(upload).and_then(|file| file.parts);
                parts.map_or(Ok(()), |parts| check_digests(&seal, &parts.sha256))?;
                return self.found_file(upload.into());
            }
            UploadState::Aborted { .. } => {
                self.open_for_files()?;
                return Err(ProblemCode::UploadAborted.into());
            }
            UploadState::Completing {
                since,
                multipart: Some(multipart),
                ..
            } if since.plus(STUCK_AFTER) <= self.now => multipart.clone(),
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
        if !missing.is_empty() {
            let mut problem = Problem::new(ProblemCode::PartsMissing);
            problem.parts = missing;
            return Err(problem);
        }
        let digests = PartDigests {
            size: multipart.part_size.min(size),
            sha256: parts.values().map(|part| part.sha256).collect(),
        };
        if seal.parts_sha256.is_none() && !multipart.alone {
            return Err(Problem::new(ProblemCode::InvalidRequest)
                .field("parts_sha256")
                .detail("Only an upload that was announced to be alone is completed without it."));
        }
        check_digests(&seal, &digests.sha256)?;
        if let Some(known) = self.find_same_parts(&name, &digests, size) {
            // The page was reloaded, and what the page before had under way was stored meanwhile.
            self.end_upload(upload);
            return self.found_file(known.into());
        }
        let etags = parts.into_values().map(|p| p.etag).collect();
        self.set(
            upload,
            UploadState::Completing {
                attempt: seal.attempt,
                since: self.now,
                sha256: None,
                multipart: Some(multipart.clone()),
            },
        );
        let policy = self.state.link.policy.clone();
        Ok(Reply::Sealed(Sealed {
            policy,
            name,
            size,
            multipart,
            etags,
            sha256: None,
            attempt: seal.attempt,
        }))
    }

    /// Whether `attempt` is the one that the upload waits for.
    pub(super) fn awaited(&self, upload: UploadId, attempt: u64) -> Result<bool, Problem> {
        Ok(matches!(
            self.upload(upload)?.state,
            UploadState::Completing { attempt: awaited, .. } if awaited == attempt
        ))
    }

    pub(super) fn working(&mut self, upload: UploadId, attempt: u64) -> Answer {
        if !self.awaited(upload, attempt)? {
            self.open_for_files()?;
            return Err(ProblemCode::UploadAborted.into());
        }
        let now = self.now;
        if let Some(UploadRow {
            state: UploadState::Completing { since, .. },
            ..
        }) = self.state.uploads.get_mut(&upload)
        {
            *since = now;
        }
        Ok(Reply::Done)
    }

    pub(super) fn commit(
        &mut self,
        upload: UploadId,
        attempt: u64,
        media_type: String,
        sha256: Option<Sha256>,
        etag: String,
    ) -> Answer {
        let row = self.kept_upload(upload)?;
        let size = row.size;
        let multipart = match &row.state {
            UploadState::Stored(_) => return self.found_file(upload.into()),
            UploadState::Completing {
                attempt: awaited,
                multipart,
                ..
            } if *awaited == attempt => multipart.clone(),
            // R2 took longer than the link waited, and has put the parts together: there is nothing
            // left to send, and the file is whole.
            UploadState::Receiving { multipart, .. } => {
                self.room_for(size)?;
                Some(multipart.clone())
            }
            UploadState::Aborted { .. } => {
                self.open_for_files()?;
                return Err(ProblemCode::UploadAborted.into());
            }
            // The object is a later attempt's too, which sees to it.
            UploadState::Completing { since, .. } => return Err(busy_since(*since, self.now)),
            UploadState::Piece { .. } => return Err(ProblemCode::UploadBusy.into()),
        };
        let parts = (self.held)(upload).parts;
        let part_size = multipart
            .map(|multipart| multipart.part_size)
            .filter(|part_size| part_count(size, *part_size) == parts.len() as u64);
        let only = parts.values().next().filter(|_| parts.len() == 1);
        let stored = StoredFile {
            media_type,
            sha256: sha256.or(only.map(|part| part.sha256)),
            part_size,
            etag,
            stored_at: self.now,
            deleted_at: None,
            deleted_reason: None,
            receipt: None,
        };
        self.parts.push(match stored.in_parts(size) {
            // Their digests are what the file is checked by.
            true => PartWrite::Truncate(upload, 1, 0),
            false => PartWrite::DropAll(upload),
        });
        self.set(upload, UploadState::Stored(stored));
        self.end_pieces(upload);
        if let Some(mut file) = self.file_with_parts(upload) {
            file.parts = file
                .parts
                .filter(|parts| parts.sha256.len() <= EVENT_PARTS_MAX);
            let link = self.state.link_ref();
            self.tell(EventKind::FileStored(FileStored { file, link }));
        }
        if self.state.link.status == Status::Active
            && self.state.files_stored() >= self.state.link.policy.max_files
        {
            self.complete(&[]);
        }
        self.found_file(upload.into())
    }

    pub(super) fn withdraw(&mut self, upload: UploadId, attempt: u64) -> Answer {
        if self.awaited(upload, attempt)? {
            self.end_upload(upload);
        }
        match self.upload(upload)?.state {
            UploadState::Aborted { .. } => Ok(Reply::Done),
            // The object is a later attempt's too, which sees to it.
            UploadState::Completing { since, .. } => Err(busy_since(since, self.now)),
            _ => Err(ProblemCode::UploadBusy.into()),
        }
    }

    pub(super) fn reopen(&mut self, upload: UploadId, attempt: u64, keep_parts: bool) -> Answer {
        if !self.awaited(upload, attempt)? {
            return Ok(Reply::Done);
        }
        if self.cannot_reopen(upload, keep_parts) {
            self.end_upload(upload);
            return Ok(Reply::Done);
        }
        match (&self.upload(upload)?.state, self.state.link.status) {
            (
                UploadState::Completing {
                    multipart: Some(multipart),
                    ..
                },
                Status::Active,
            ) => {
                let state = UploadState::Receiving {
                    multipart: multipart.clone(),
                    touched_at: self.now,
                };
                self.set(upload, state);
                if !keep_parts {
                    self.parts.push(PartWrite::DropAll(upload));
                }
            }
            _ => self.end_upload(upload),
        }
        Ok(Reply::Done)
    }

    pub(super) fn abort(&mut self, upload: UploadId) -> Answer {
        match &self.upload(upload)?.state {
            UploadState::Receiving { .. } | UploadState::Piece { .. } => {
                self.end_upload(upload);
                Ok(Reply::Done)
            }
            UploadState::Stored(file) if file.is_withdrawn() => Ok(Reply::Done),
            UploadState::Aborted { .. } => Ok(Reply::Done),
            // Too late to change one's mind: the answer to `complete` tells how it went.
            UploadState::Completing { since, .. } => Err(busy_since(*since, self.now)),
            UploadState::Stored(_) => Err(ProblemCode::UploadBusy.into()),
        }
    }
}

fn held_parts(parts: BTreeMap<u16, Part>) -> Vec<HeldPart> {
    let held = parts.into_iter().map(|(n, part)| HeldPart {
        n,
        sha256: part.sha256,
    });
    held.collect()
}

/// Refuses to complete with digests that are not those of the parts. That of the whole is the only
/// part's; what else is said of it cannot be compared.
fn check_digests(seal: &Seal, parts: &[Sha256]) -> Result<(), Problem> {
    let differ = |field: &str| Err(Problem::new(ProblemCode::PartsDiffer).field(field));
    let of_parts = Sha256::of_parts(parts.iter().copied());
    if seal.parts_sha256.is_some_and(|said| said != of_parts) {
        return differ("parts_sha256");
    }
    match (parts, seal.sha256) {
        ([only], Some(said)) if *only != said => differ("sha256"),
        _ => Ok(()),
    }
}
