//! Files: receipts, deletion and withdrawal.

use core::cmp::Ordering;

use chatlift_shared::api::{
    DeletedReason, File, LinkState as Status, PartDigests, Receipt, ReceiptStatus,
};
use chatlift_shared::limits::{LEFT_OUT_NAMES_MAX, REASON_MAX, RECEIPT_CODE_MAX, WITHDRAWN_MAX};
use chatlift_shared::webhook::{EventKind, FileDeleted};
use chatlift_shared::{FileId, Problem, ProblemCode, UploadId, name};

use super::{Decide, PartWrite, Step};
use crate::link::command::{DeleteFile, ReadFile, RecordReceipt, WithdrawFile};
use crate::link::reply::FoundFile;
use crate::link::serial::with_status;
use crate::link::state::{Cleanup, Extras, StoredFile, UploadState, upload_of};

impl Decide for ReadFile {
    fn decide(self, step: &mut Step<'_>) -> Result<FoundFile, Problem> {
        step.found_file(self.file)
    }
}

impl Decide for RecordReceipt {
    fn decide(self, step: &mut Step<'_>) -> Result<FoundFile, Problem> {
        let Self { file, mut receipt } = self;
        for (field, text, limit) in [
            ("reason", &receipt.reason, REASON_MAX),
            ("code", &receipt.code, RECEIPT_CODE_MAX),
        ] {
            if text.as_ref().is_some_and(|t| t.chars().count() > limit) {
                return Err(Problem::new(ProblemCode::InvalidRequest)
                    .field(field)
                    .limit(limit as u64));
            }
        }
        if let Some(left) = &mut receipt.left_out {
            if left.names.len() > LEFT_OUT_NAMES_MAX {
                return Err(Problem::new(ProblemCode::InvalidRequest)
                    .field("left_out.names")
                    .limit(LEFT_OUT_NAMES_MAX as u64));
            }
            // Whoever made the archive chose them.
            for name in &mut left.names {
                *name = name::safe(name);
            }
        }
        let whole = step.state.whole_digest(upload_of(file));
        let stored = step.stored_mut(file)?;
        let told = stored.receipt.as_ref().and_then(|known| known.sha256);
        if receipt.sha256.is_some() && whole.is_some() && receipt.sha256 != whole {
            // No content came with it that could be wrong: what the two say differs.
            let problem = Problem::new(ProblemCode::DigestMismatch).field("sha256");
            return Err(with_status(problem, 409));
        }
        receipt.sha256 = receipt.sha256.or(told);
        match &stored.receipt {
            Some(known) if *known == receipt => {}
            Some(known) if !follows(known, &receipt) => {
                return Err(Problem::new(ProblemCode::ReceiptOutOfOrder).field("status"));
            }
            _ => stored.receipt = Some(receipt),
        }
        step.found_file(file)
    }
}

impl Decide for DeleteFile {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { file } = self;
        step.stored_mut(file)?;
        step.delete(upload_of(file), DeletedReason::Requested);
        Ok(())
    }
}

/// Ends an upload for who sent it, stored or not. An attempt to commit it hears that it has ended,
/// and removes its object. A link that was completed by having all its files takes one in its place,
/// but for one whose files are joined: its backend joins what is left.
impl Decide for WithdrawFile {
    fn decide(self, step: &mut Step<'_>) -> Result<(), Problem> {
        let Self { upload } = self;
        let UploadState::Stored(file) = &step.upload(upload)?.state else {
            step.end_upload(upload);
            return Ok(());
        };
        if file.deleted_at.is_some() {
            return Ok(());
        }
        let taken = |receipt: &Receipt| receipt.status == ReceiptStatus::Delivered;
        if file.receipt.as_ref().is_some_and(taken) {
            return Err(ProblemCode::FileTaken.into());
        }
        if step.state.files_withdrawn() >= WITHDRAWN_MAX {
            return Err(Problem::new(ProblemCode::TooManyWithdrawn).limit(WITHDRAWN_MAX.into()));
        }
        let link = &step.state.link;
        let was_full =
            link.status == Status::Completed && step.state.files_stored() >= link.policy.max_files;
        let takes_another = was_full && link.policy.join.is_none() && link.expires_at > step.now;
        step.delete(upload, DeletedReason::Withdrawn);
        if takes_another {
            step.state.link.status = Status::Active;
        }
        Ok(())
    }
}

impl Step<'_> {
    fn stored_mut(&mut self, file: FileId) -> Result<&mut StoredFile, Problem> {
        match self
            .state
            .uploads
            .get_mut(&upload_of(file))
            .map(|u| &mut u.state)
        {
            Some(UploadState::Stored(stored)) => Ok(stored),
            _ => Err(ProblemCode::FileNotFound.into()),
        }
    }

    pub(super) fn found_file(&self, file: FileId) -> Result<FoundFile, Problem> {
        let upload = self.answered_with(upload_of(file));
        match (
            self.file_with_parts(upload),
            self.state.uploads.get(&upload).map(|u| &u.state),
        ) {
            (Some(file), Some(UploadState::Stored(stored))) => Ok(FoundFile {
                app: self.state.link.app.clone(),
                file,
                stored: stored.clone(),
            }),
            _ => Err(ProblemCode::FileNotFound.into()),
        }
    }

    /// The file that `upload` became, with the digests of all its parts.
    pub(super) fn file_with_parts(&self, upload: UploadId) -> Option<File> {
        let mut file = self.state.file(upload)?;
        if let Some(UploadState::Stored(stored)) =
            self.state.uploads.get(&upload).map(|row| &row.state)
            && stored.deleted_at.is_none()
            && stored.in_parts(file.size)
            && let Some(size) = stored.part_size
        {
            let parts = (self.held)(upload).parts;
            file.parts = Some(PartDigests {
                size,
                sha256: parts.values().map(|part| part.sha256).collect(),
            });
        }
        Some(file)
    }

    pub(super) fn delete(&mut self, upload: UploadId, reason: DeletedReason) {
        let now = self.now;
        if let Ok(stored) = self.stored_mut(upload.into())
            && stored.deleted_at.is_none()
        {
            stored.deleted_at = Some(now);
            stored.deleted_reason = Some(reason);
            self.parts.push(PartWrite::DropAll(upload));
            // What was said of it goes with it.
            if let Some(row) = self.state.uploads.get_mut(&upload) {
                row.extras = Extras::default();
            }
            let key = self.state.key(upload);
            self.clean(
                format!("object:{upload}"),
                Cleanup::DeleteObject { key },
                now,
            );
            if let Some(file) = self.state.file(upload) {
                let link = self.state.link_ref();
                self.tell(EventKind::FileDeleted(FileDeleted { file, link }));
            }
        }
    }
}

/// Whether `next` may take the place of `known`. A delivered file has ended; a rejected one may be
/// taken up again, in an attempt of its own.
fn follows(known: &Receipt, next: &Receipt) -> bool {
    use ReceiptStatus::{Delivered, Rejected};
    match (known.status, next.attempt.cmp(&known.attempt)) {
        (Delivered, _) | (_, Ordering::Less) => false,
        (_, Ordering::Greater) => true,
        (Rejected, Ordering::Equal) => false,
        (status, Ordering::Equal) => status <= next.status,
    }
}
