//! A file beyond 4 GiB, where 32 bits end: counts and sizes alone, no bytes.

use super::*;

const SIZE: u64 = 5 * 1024 * MIB + 1;

#[test]
fn a_file_beyond_4_gib_is_stored_with_all_its_parts() {
    let mut kept = Kept::new(1);
    let link = &mut kept.state.as_mut().expect("a link").link;
    link.policy.max_file_size = SIZE;
    assert_eq!(kept.refused(open(2, SIZE + 1)), ProblemCode::FileTooLarge);
    kept.open(1, SIZE);
    // The 641st part has one byte, and is the last.
    kept.send_parts(1, SIZE);
    assert_eq!(kept.held.borrow()[&id(1)].parts.len(), 641);
    kept.run(seal(1, SIZE, 1)).expect("sealed");
    kept.run(commit(1, 1)).expect("a file");
    let sizes: Vec<_> = kept.state().files().iter().map(|file| file.size).collect();
    assert_eq!(sizes, [SIZE]);
    let events = kept.state().events.values();
    let told = events.filter(|event| event.body.contains(&format!("\"size\":{SIZE}")));
    assert_eq!(told.count(), 1);
}

#[test]
fn of_a_file_that_differs_beyond_32_bits_another_upload_is_begun() {
    let mut kept = Kept::new(1);
    let link = &mut kept.state.as_mut().expect("a link").link;
    link.policy.max_file_size = SIZE;
    kept.open(1, SIZE);
    let announce = |size| command::Announce {
        name: "file-1.pdf".into(),
        size,
        earlier: None,
        extras: Extras::default(),
    };
    let again = kept.run(announce(SIZE)).expect("the upload");
    assert!(matches!(again, Announced::Known(upload) if upload.id == id(1)));
    // The same lower 32 bits.
    let other = kept.run(announce(SIZE - (1 << 32)));
    assert!(!matches!(other, Ok(Announced::Known(_))), "{other:?}");
}
