//! What a decision adds to the audit trail of its link: derived in one place, where each ends, from what it made
//! of the link, so that none can forget its entry.

use std::collections::BTreeMap;

use chatlift_shared::api::{EventState, LinkState as Status, PartDigests};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{FileId, UploadId};

use crate::link::audit::{Begun, Dialect, Fact, Made};
use crate::link::password::Password;
use crate::link::serial_row::Protocol;
use crate::link::state::{LinkState, StoredFile, UploadRow, UploadState};

/// What happened to a link between two states. Without a state before, all that is known of it: the trail of a
/// link that was made before there were trails begins so. `parts` looks up the digests of a file's parts.
pub(super) fn facts(
    before: Option<&LinkState>,
    after: &LinkState,
    parts: impl Fn(UploadId) -> Option<PartDigests>,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    of_link(before, after, &mut facts);
    for (id, was, row) in with_before(before.map(|b| &b.uploads), &after.uploads) {
        of_upload(*id, was, row, after, &parts, &mut facts);
    }
    for (id, was, row) in with_before(before.map(|b| &b.events), &after.events) {
        let was = was.map_or(EventState::Pending, |was| was.state);
        let (event, attempts) = (*id, row.attempts);
        match (was, row.state) {
            (was, now) if was == now => {}
            (_, EventState::Acknowledged) => {
                facts.push(Fact::EventAcknowledged { event, attempts });
            }
            (_, EventState::Parked) => facts.push(Fact::EventParked { event, attempts }),
            (_, EventState::Pending) => facts.push(Fact::EventRedelivered { event }),
        }
    }
    // How a link ended comes after what ended it.
    if let Some(end) = of_status(before, after.link.status) {
        facts.push(end);
    }
    facts
}

/// Each row of `after` with that of `before`, side by side: to look each up is what most of a decision would cost.
fn with_before<'r, K: Ord, R>(
    before: Option<&'r BTreeMap<K, R>>,
    after: &'r BTreeMap<K, R>,
) -> impl Iterator<Item = (&'r K, Option<&'r R>, &'r R)> {
    let mut known = before.into_iter().flatten().peekable();
    after.iter().map(move |(key, row)| {
        while known.next_if(|(other, _)| *other < key).is_some() {}
        let was = known.next_if(|(other, _)| *other == key);
        (key, was.map(|(_, was)| was), row)
    })
}

fn of_link(before: Option<&LinkState>, after: &LinkState, facts: &mut Vec<Fact>) {
    let link = &after.link;
    let Some(before) = before.map(|before| &before.link) else {
        facts.push(Fact::LinkMade(Box::new(Made {
            link: link.id,
            app: link.app.clone(),
            scene: link.scene.clone(),
            created_at: link.created_at,
            expires_at: link.expires_at,
            accept: link.policy.accept.iter().map(ToString::to_string).collect(),
            max_files: link.policy.max_files,
            max_file_size: link.policy.max_file_size,
            file_retention: link.policy.file_retention,
            password: link.password.is_some(),
            join: link.policy.join,
        })));
        return;
    };
    if before.opened_at != link.opened_at {
        facts.push(Fact::LinkOpened);
    }
    if before.expires_at != link.expires_at {
        let expires_at = link.expires_at;
        facts.push(Fact::LinkExtended { expires_at });
    }
    let locked = |password: &Option<_>| password.as_ref().and_then(Password::locked_until);
    let (was, until) = (locked(&before.password), locked(&link.password));
    if let Some(until) = until.filter(|until| was.is_none_or(|was| was < *until)) {
        facts.push(Fact::PasswordLocked { until });
    }
}

fn of_status(before: Option<&LinkState>, status: Status) -> Option<Fact> {
    let was = before.map_or(Status::Active, |before| before.link.status);
    (was != status).then_some(match status {
        Status::Active => Fact::LinkReopened,
        Status::Completed => Fact::LinkCompleted,
        Status::Expired => Fact::LinkExpired,
        Status::Revoked => Fact::LinkRevoked,
    })
}

/// How the upload of a row is sent, as far as that can be seen: not of what was stored before there was a trail.
fn dialect(row: &UploadRow) -> Option<Dialect> {
    if let Some(serial) = &row.serial {
        return Some(match serial.protocol {
            Protocol::Tus => Dialect::Tus,
            Protocol::Resumable => Dialect::Resumable,
        });
    }
    match &row.state {
        UploadState::Completing {
            multipart: None, ..
        } => Some(Dialect::Request),
        UploadState::Completing { .. } | UploadState::Receiving { .. } => Some(Dialect::Parts),
        _ => None,
    }
}

fn of_upload(
    upload: UploadId,
    was: Option<&UploadRow>,
    row: &UploadRow,
    state: &LinkState,
    parts: impl Fn(UploadId) -> Option<PartDigests>,
    facts: &mut Vec<Fact>,
) {
    let begun = || Begun {
        begun_at: row.created_at,
        by: dialect(was.unwrap_or(row)),
    };
    match (was.map(|was| &was.state), &row.state) {
        (Some(UploadState::Aborted { .. }), _) => {}
        (_, UploadState::Aborted { twin, .. }) => facts.push(Fact::UploadEnded {
            upload,
            begun: begun(),
            same_as: twin.map(Into::into),
        }),
        (Some(UploadState::Stored(was)), UploadState::Stored(now)) => {
            of_file(upload, Some(was), now, facts);
        }
        (_, UploadState::Stored(now)) => {
            let whole = state.whole_digest(upload);
            let digests = parts(upload).filter(|_| now.in_parts(row.size));
            facts.push(Fact::FileStored {
                file: upload.into(),
                upload,
                begun: begun(),
                size: row.size,
                media_type: now.media_type.clone(),
                sha256: whole,
                part_size: digests.as_ref().map(|digests| digests.size),
                parts_sha256: digests.map(|digests| Sha256::of_parts(digests.sha256)),
            });
            of_file(upload, None, now, facts);
        }
        _ => {}
    }
}

fn of_file(upload: UploadId, was: Option<&StoredFile>, now: &StoredFile, facts: &mut Vec<Fact>) {
    let file: FileId = upload.into();
    if let Some(receipt) = &now.receipt
        && was.is_none_or(|was| was.receipt != now.receipt)
    {
        facts.push(Fact::FileReceipt {
            file,
            status: receipt.status,
            attempt: receipt.attempt,
            sha256: receipt.sha256,
        });
    }
    if now.deleted_at.is_some() && was.is_none_or(|was| was.deleted_at.is_none()) {
        let reason = now.deleted_reason;
        facts.push(Fact::FileDeleted { file, reason });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chatlift_shared::api::AuditHead;
    use chatlift_shared::audit::verify;

    use super::*;
    use crate::link::audit::Trail;

    /// Checks that a link's trail goes on from where it was before a decision: nothing of it was changed, and
    /// what was added verifies. That of a link that is erased is gone.
    pub(crate) fn goes_on(before: Option<&LinkState>, after: &LinkState) {
        if after.link.erased {
            assert_eq!(after.audit, Trail::default(), "the trail of an erased link");
            return;
        }
        if before.is_some_and(|before| before.audit == after.audit) {
            return;
        }
        let known = before.map_or(&[][..], |before| before.audit.rows());
        assert!(
            after.audit.rows().starts_with(known),
            "the trail was changed"
        );
        let head = before.map_or_else(AuditHead::default, |before| before.audit.head());
        let added = after.audit.entries(head.entries, usize::MAX);
        assert_eq!(verify(head, &added, &[head]), Ok(after.audit.head()));
    }
}
