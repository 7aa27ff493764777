//! Random sequences of commands against the invariants.

use chatlift_shared::FileId;
use proptest::prelude::*;

use super::*;
use crate::link::serial;
use crate::link::serial::{Protocol, Role, Serial};
use crate::link::state::{EventRow, Extras};

fn is_aborted(upload: &UploadRow) -> bool {
    matches!(upload.state, UploadState::Aborted { .. })
}

/// About serial uploads 20 to 23, of which the odd ones are pieces, and about joining those to 24.
fn serial_command() -> impl Strategy<Value = AnyCommand> {
    let role = |n: u8| if n % 2 == 1 { Role::Piece } else { Role::File };
    let serial = |role| Serial {
        protocol: Protocol::Tus,
        role,
        length_known: true,
        writer: 0,
        unchecked: None,
        metadata: String::new(),
        sha256: None,
    };
    let multipart = |n: u8, size| Multipart {
        alone: false,
        r2_upload_id: format!("r2-{n}"),
        part_size: part_size(size),
    };
    let n = 20_u8..24;
    prop_oneof![
        (n.clone(), prop_oneof![Just(0), Just(1), Just(9 * MIB)]).prop_map(move |(n, size)| {
            AnyCommand::from(serial::Open {
                upload: id(n),
                name: "a".into(),
                size,
                multipart: multipart(20, size),
                serial: serial(role(n)),
                extras: Extras::default(),
            })
        }),
        (n.clone(), 0_u64..3, any::<bool>()).prop_map(|(n, writer, checked)| {
            AnyCommand::from(serial::Begin {
                upload: id(n),
                protocol: Protocol::Tus,
                writer,
                offset: 0,
                length: None,
                total: None,
                checked,
            })
        }),
        (n.clone(), 0_u64..3, 1_u16..3).prop_map(|(n, writer, part)| {
            AnyCommand::from(serial::Record {
                upload: id(n),
                writer,
                n: part,
                part: part_of(part),
            })
        }),
        (n.clone(), 0_u64..3).prop_map(|(n, attempt)| {
            AnyCommand::from(serial::Seal {
                upload: id(n),
                attempt,
                sha256: None,
            })
        }),
        (n.clone(), 0_u64..3).prop_map(|(n, attempt)| {
            AnyCommand::from(serial::Keep {
                upload: id(n),
                attempt,
            })
        }),
        n.prop_map(|n| {
            AnyCommand::from(serial::Look {
                upload: id(n),
                protocol: Protocol::Tus,
            })
        }),
        (0_u64..3).prop_map(move |attempt| {
            AnyCommand::from(serial::Join {
                upload: id(24),
                attempt,
                name: "b".into(),
                multipart: multipart(24, 9 * MIB),
                serial: serial(Role::Join(vec![id(21), id(23)])),
                extras: Extras::default(),
            })
        }),
    ]
}

fn any_command() -> impl Strategy<Value = AnyCommand> {
    let n = 0_u8..5;
    let size = prop_oneof![Just(0), Just(1), Just(MIB), Just(20 * MIB), Just(21 * MIB)];
    prop_oneof![
        (n.clone(), size.clone()).prop_map(|(n, size)| AnyCommand::from(open(n, size))),
        (n.clone(), 1_u16..4).prop_map(|(n, part)| AnyCommand::from(record(n, part))),
        (n.clone(), 1_u16..4, size.clone(), 0_u64..3)
            .prop_map(|(n, part, size, attempt)| record_last(n, part, size, attempt).into()),
        (n.clone(), size.clone()).prop_map(|(n, size)| AnyCommand::from(reserve(n + 10, size))),
        (n.clone(), size, 0_u64..3).prop_map(|(n, size, attempt)| seal(n, size, attempt).into()),
        (0_u8..25, 0_u64..3).prop_map(|(n, attempt)| {
            AnyCommand::from(command::Working {
                upload: id(n),
                attempt,
                goes_on: true,
            })
        }),
        (0_u8..25, 0_u64..3).prop_map(|(n, attempt)| AnyCommand::from(commit(n, attempt))),
        (0_u8..25, 0_u64..3).prop_map(|(n, attempt)| {
            AnyCommand::from(command::Withdraw {
                upload: id(n),
                attempt,
            })
        }),
        (0_u8..25, 0_u64..3, any::<bool>()).prop_map(|(n, attempt, keep_parts)| {
            AnyCommand::from(command::Reopen {
                upload: id(n),
                attempt,
                keep_parts,
            })
        }),
        (0_u8..25).prop_map(|n| AnyCommand::from(command::Abort { upload: id(n) })),
        (0_u8..15).prop_map(|n| AnyCommand::from(command::DeleteFile { file: id(n).into() })),
        serial_command(),
        serial_command(),
        Just(command::Revoke.into()),
        Just(command::Finish { order: vec![] }.into()),
        Just(command::Opened.into()),
        Just(command::Tick.into()),
        Just(command::Read.into()),
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_commands_breaks_the_promises(
        max_files in 1_u32..4,
        steps in prop::collection::vec((any_command(), 0_u64..400), 0..80),
    ) {
        let mut kept = Kept::new(max_files);
        let mut stored = std::collections::BTreeSet::new();
        for (command, wait) in steps {
            kept.pass(wait);
            let before = kept.state.clone().expect("a link");
            let _ = kept.run_any(command);
            let state = kept.state();
            // Never more files than the link takes.
            prop_assert!(state.places_taken() <= max_files);
            // What was stored stays stored, each with one event.
            for (id, upload) in &state.uploads {
                if matches!(upload.state, UploadState::Stored(_)) {
                    stored.insert(*id);
                }
            }
            for id in &stored {
                prop_assert!(state.file(*id).is_some(), "{id} was lost");
                let naming = format!("\"id\":\"{}\"", FileId::from(*id));
                let stored = |e: &&EventRow| e.body.contains("\"type\":\"file.stored\"");
                let events = state.events.values().filter(stored).filter(|e| e.body.contains(&naming)).count();
                prop_assert_eq!(events, 1, "events of {}", id);
            }
            // No event is lost, no end is undone.
            prop_assert!(before.events.keys().all(|e| state.events.contains_key(e)));
            prop_assert!(before.link.status == Status::Active || before.link.status == state.link.status);
            for (id, old) in &before.uploads {
                if is_aborted(old) {
                    prop_assert!(is_aborted(&state.uploads[id]));
                }
            }
            // R2's multipart uploads and objects are referenced, or on their way out.
            for (id, upload) in &state.uploads {
                if is_aborted(upload) {
                    prop_assert!(!kept.held.borrow().contains_key(id));
                    prop_assert!(state.cleanups.keys().any(|name| name.ends_with(&id.to_string())));
                }
            }
            // Whatever is due, something will wake for it.
            if !due(state, kept.now).is_empty() {
                prop_assert!(next_alarm(state).is_some_and(|at| at <= kept.now));
            }
            // An ended link has nothing under way.
            if state.link.status != Status::Active {
                let receiving = state.uploads.values().any(|u| u.state.is_under_way());
                prop_assert!(!receiving);
            }
        }
    }
}
