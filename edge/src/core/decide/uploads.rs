//! Uploads: announced, opened, filled, sealed, committed or ended.

use std::collections::BTreeMap;

use chatlift_shared::api::{HeldPart, LinkState as Status};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::part_count;
use chatlift_shared::webhook::{EventKind, FileStored};
use chatlift_shared::{Problem, ProblemCode, Timestamp, UploadId};

use super::super::command::{Answer, OpenUpload, Reply, Seal, Sealed};
use super::super::link::{Multipart, Part, StoredFile, UploadRow, UploadState};
use super::super::serial::Serial;
use super::super::work::{GIVES_WAY_AFTER, STUCK_AFTER, busy_for, busy_since};
use super::{PARTS_NAMED, PartWrite, Step};

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
                    if row.name == name && row.size == size && row.serial.is_none() =>
                {
                    let held = (self.held)(*id);
                    let parts = held.parts.into_iter();
                    Some(OpenUpload {
                        id: *id,
                        size,
                        multipart: multipart.clone(),
                        parts: parts
                            .map(|(n, part)| HeldPart {
                                n,
                                sha256: part.sha256,
                            })
                            .collect(),
                        staged: held.staged,
                        stored: self.stored_like(name, size),
                    })
                }
                _ => None,
            })
    }

    pub(super) fn announce(&mut self, name: &str, size: u64) -> Answer {
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
        if let Some(known) = self.find_receiving(&name, size) {
            if known.id != id {
                self.room_for_a_row()?;
                self.abort_multipart(id, &multipart);
            }
            return Ok(Reply::Upload(known));
        }
        self.make_room_for_one_upload();
        let stored = self.stored_like(&name, size);
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
            stored,
        }))
    }

    /// Digests of the stored files of this name and size: what is announced may be one of them.
    fn stored_like(&self, name: &str, size: u64) -> Vec<Sha256> {
        let rows = self.state.uploads.values();
        rows.filter(|row| row.name == name && row.size == size)
            .filter_map(|row| match &row.state {
                UploadState::Stored(file) if file.deleted_at.is_none() => Some(file.sha256),
                _ => None,
            })
            .collect()
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
            return match seal {
                Some(_) => self.found_file(upload.into()),
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

    /// A file that was stored, or is being stored in one request, comes again: the same name, size
    /// and digest are the same file.
    pub(super) fn find_same(
        &self,
        name: &str,
        size: u64,
        sha256: Option<Sha256>,
    ) -> Option<UploadId> {
        let sha256 = sha256?;
        self.state
            .uploads
            .iter()
            .find(|(_, row)| {
                row.name == name
                    && row.size == size
                    && match &row.state {
                        UploadState::Stored(file) => {
                            file.sha256 == sha256 && file.deleted_at.is_none()
                        }
                        UploadState::Completing {
                            sha256: announced,
                            multipart: None,
                            ..
                        } => *announced == Some(sha256),
                        _ => false,
                    }
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
        let Seal {
            attempt,
            sha256,
            parts_sha256,
        } = seal;
        let row = self.kept_upload(upload)?;
        if row.serial.is_some() {
            return Err(ProblemCode::UploadNotFound.into());
        }
        let (name, size) = (row.name.clone(), row.size);
        if let UploadState::Receiving { .. } | UploadState::Aborted { .. } = row.state
            && let Some(known) = self.find_same(&name, size, Some(sha256))
            && let UploadState::Stored(_) = self.upload(known)?.state
        {
            // The page was reloaded, and what the page before had under way was stored meanwhile.
            self.end_upload(upload);
            return self.found_file(known.into());
        }
        let multipart = match &row.state {
            UploadState::Stored(_) => return self.found_file(upload.into()),
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
        if Sha256::of_parts(parts.values().map(|p| p.sha256)) != parts_sha256 {
            return Err(Problem::new(ProblemCode::PartsDiffer).field("parts_sha256"));
        }
        let etags = parts.into_values().map(|p| p.etag).collect();
        self.set(
            upload,
            UploadState::Completing {
                attempt,
                since: self.now,
                sha256: Some(sha256),
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
            sha256: Some(sha256),
            attempt,
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
        sha256: Sha256,
        etag: String,
    ) -> Answer {
        let row = self.kept_upload(upload)?;
        match row.state {
            UploadState::Stored(_) => return self.found_file(upload.into()),
            UploadState::Completing {
                attempt: awaited, ..
            } if awaited == attempt => {}
            // R2 took longer than the link waited, and has put the parts together: there is nothing
            // left to send, and the file is whole.
            UploadState::Receiving { .. } => self.room_for(row.size)?,
            UploadState::Aborted { .. } => {
                self.open_for_files()?;
                return Err(ProblemCode::UploadAborted.into());
            }
            // The object is a later attempt's too, which sees to it.
            _ => return Err(ProblemCode::UploadBusy.into()),
        }
        self.set(
            upload,
            UploadState::Stored(StoredFile {
                media_type,
                sha256,
                etag,
                stored_at: self.now,
                deleted_at: None,
                deleted_reason: None,
                receipt: None,
            }),
        );
        self.parts.push(PartWrite::DropAll(upload));
        self.end_pieces(upload);
        if let Some(file) = self.state.file(upload) {
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
