//! Random sequences of commands against the invariants.

use chatlift_shared::FileId;
use proptest::prelude::*;

use super::*;
use crate::link::serial::{Protocol, Role, Serial, SerialCommand};
use crate::link::state::EventRow;

fn is_aborted(upload: &UploadRow) -> bool {
    matches!(upload.state, UploadState::Aborted { .. })
}

/// About serial uploads 20 to 23, of which the odd ones are pieces, and about joining those to 24.
fn serial_command() -> impl Strategy<Value = Command> {
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
    let pieces = || vec![id(21), id(23)];
    let command = prop_oneof![
        prop_oneof![Just(0), Just(1), Just(9 * MIB)].prop_map(move |size| {
            (
                None,
                SerialCommand::Open {
                    name: "a".into(),
                    size,
                    multipart: multipart(20, size),
                    serial: serial(Role::File),
                },
            )
        }),
        (0_u64..3, any::<bool>()).prop_map(|(writer, checked)| {
            (
                None,
                SerialCommand::Begin {
                    protocol: Protocol::Tus,
                    writer,
                    offset: 0,
                    length: None,
                    total: None,
                    checked,
                },
            )
        }),
        (0_u64..3, 1_u16..3).prop_map(|(writer, n)| {
            (
                None,
                SerialCommand::Record {
                    writer,
                    n,
                    part: part_of(n),
                },
            )
        }),
        (0_u64..3).prop_map(|attempt| (
            None,
            SerialCommand::Seal {
                attempt,
                sha256: None
            }
        )),
        (0_u64..3).prop_map(|attempt| (None, SerialCommand::Keep { attempt })),
        Just((
            None,
            SerialCommand::Look {
                protocol: Protocol::Tus
            }
        )),
        (0_u64..3).prop_map(move |attempt| {
            (
                Some(24),
                SerialCommand::Join {
                    attempt,
                    name: "b".into(),
                    multipart: multipart(24, 9 * MIB),
                    serial: serial(Role::Join(pieces())),
                },
            )
        }),
    ];
    (20_u8..24, command).prop_map(move |(n, (joined, mut command))| {
        if let SerialCommand::Open { serial, .. } = &mut command {
            serial.role = role(n);
        }
        Command::Serial(id(joined.unwrap_or(n)), command)
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    let n = 0_u8..5;
    let size = prop_oneof![Just(0), Just(1), Just(MIB), Just(20 * MIB), Just(21 * MIB)];
    prop_oneof![
        (n.clone(), size.clone()).prop_map(|(n, size)| open(n, size)),
        (n.clone(), 1_u16..4).prop_map(|(n, part)| record(n, part)),
        (n.clone(), 1_u16..4, size.clone(), 0_u64..3)
            .prop_map(|(n, part, size, attempt)| record_last(n, part, size, attempt)),
        (n.clone(), size.clone()).prop_map(|(n, size)| reserve(n + 10, size)),
        (n.clone(), size, 0_u64..3).prop_map(|(n, size, attempt)| seal(n, size, attempt)),
        (0_u8..25, 0_u64..3).prop_map(|(n, attempt)| Command::Working {
            upload: id(n),
            attempt,
        }),
        (0_u8..25, 0_u64..3).prop_map(|(n, attempt)| commit(n, attempt)),
        (0_u8..25, 0_u64..3).prop_map(|(n, attempt)| Command::Withdraw {
            upload: id(n),
            attempt
        }),
        (0_u8..25, 0_u64..3, any::<bool>()).prop_map(|(n, attempt, keep_parts)| Command::Reopen {
            upload: id(n),
            attempt,
            keep_parts
        }),
        (0_u8..25).prop_map(|n| Command::Abort { upload: id(n) }),
        (0_u8..15).prop_map(|n| Command::DeleteFile { file: id(n).into() }),
        serial_command(),
        serial_command(),
        Just(Command::Revoke),
        Just(Command::Finish { order: vec![] }),
        Just(Command::Opened),
        Just(Command::Tick),
        Just(Command::Read),
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
            let _ = kept.run(command);
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
