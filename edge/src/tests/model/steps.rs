//! What no decision may do, whoever asks for it and whenever.

use std::collections::BTreeMap;

use chatlift_shared::UploadId;
use chatlift_shared::limits::part_count;

use crate::link::decide::audit::tests as audit;
use crate::link::flow::Held;
use crate::link::message::AnyCommand;
use crate::link::serial::Role;
use crate::link::state::{LinkState, UploadRow, UploadState};

/// Checks what became of a link by a command, with what is `held` then.
pub(super) fn check(
    before: &LinkState,
    command: &AnyCommand,
    after: &LinkState,
    held: &BTreeMap<UploadId, Held>,
) {
    audit::goes_on(Some(before), after);
    if let Some((upload, named)) = attempt(command)
        && let Some(row) = before.uploads.get(&upload)
        && let UploadState::Completing { attempt, .. } = row.state
        && attempt != named
    {
        let same = after.uploads.get(&upload) == Some(row);
        assert!(same, "an attempt changed what another one took over");
    }
    for (id, row) in &after.uploads {
        let was = before.uploads.get(id).map(|row| &row.state);
        let sealed = !matches!(was, Some(UploadState::Completing { .. }));
        if let Some(count) = parts_needed(row).filter(|_| sealed) {
            let parts = held.get(id).map_or(0, |held| held.parts.len() as u64);
            assert_eq!(parts, count, "sealed without all of its parts");
        }
    }
}

/// The attempt that a command is of.
fn attempt(command: &AnyCommand) -> Option<(UploadId, u64)> {
    match command {
        AnyCommand::Working(c) => Some((c.upload, c.attempt)),
        AnyCommand::Commit(c) => Some((c.upload, c.attempt)),
        AnyCommand::Withdraw(c) => Some((c.upload, c.attempt)),
        AnyCommand::Reopen(c) => Some((c.upload, c.attempt)),
        _ => None,
    }
}

/// How many parts an upload in parts that is completed has.
fn parts_needed(row: &UploadRow) -> Option<u64> {
    let joined = matches!(&row.serial, Some(serial) if matches!(serial.role, Role::Join(_)));
    match &row.state {
        UploadState::Completing {
            multipart: Some(multipart),
            ..
        } if !joined => Some(part_count(row.size, multipart.part_size)),
        _ => None,
    }
}
