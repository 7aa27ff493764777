//! Fuzz tests of archives and mails. `chatlift_fuzz` says how they are played.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use chatlift_fuzz::check;
use chatlift_shared::digest::Sha256;
use chatlift_shared::media::is_media_type;
use chatlift_shared::name;
use tempfile::TempDir;

use super::archive::{UNPACKED_MAX, list, unpack};
use super::{ConvertError, mail};

/// Most bytes of a member that is unpacked.
const MEMBER_MAX: u64 = 64 * 1024;

/// A folder in memory where the system has one: each member is synced.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    folder.expect("a folder")
}

/// What was made of a file; nothing where the file is to blame that nothing was.
fn made<T>(result: Result<T, ConvertError>) -> Option<T> {
    match result {
        Ok(made) => Some(made),
        Err(ConvertError::Rejected { .. }) => None,
        Err(ours) => panic!("a file is no trouble of ours: {ours}"),
    }
}

/// Unpacks the first members of the zip at `path`; how many it has, and how many were taken whole.
fn unpack_all(path: &Path, target: &Path) -> (usize, usize) {
    let Some(found) = made(list(path)) else {
        return (0, 0);
    };
    assert!((1..=200).contains(&found.len()));
    let sizes: u64 = found.iter().map(|member| member.size).sum();
    assert!(sizes <= UNPACKED_MAX);
    let mut whole = 0;
    for (n, member) in (1..).zip(&found).take(8) {
        assert_eq!(member.place, n);
        assert_eq!(member.name, name::safe(&member.name));
        let unpacked = made(unpack(path, member, target, MEMBER_MAX));
        let bytes = fs::read(target).expect("a member");
        assert!(
            bytes.len() as u64 <= MEMBER_MAX.min(member.size) + 1,
            "{} of {}",
            bytes.len(),
            member.size
        );
        let Some(unpacked) = unpacked else { continue };
        whole += 1;
        assert_eq!((unpacked.place, &unpacked.name), (n, &member.name));
        assert_eq!(
            (unpacked.size, unpacked.size),
            (member.size, bytes.len() as u64)
        );
        assert_eq!(unpacked.sha256, Sha256::of(&bytes));
        assert!(is_media_type(&unpacked.media_type));
    }
    (found.len(), whole)
}

fn files(folder: &TempDir) -> [PathBuf; 3] {
    ["source", "made", "member"].map(|name| folder.path().join(name))
}

/// The input is a zip.
#[test]
fn fuzz_archive() {
    let folder = folder();
    let [source, _, target] = files(&folder);
    check("archive", |bytes| {
        fs::write(&source, bytes).expect("a file");
        unpack_all(&source, &target);
    });
}

/// The input is a mail.
#[test]
fn fuzz_mail() {
    let folder = folder();
    let [source, zip, target] = files(&folder);
    check("mail", |bytes| {
        fs::write(&source, bytes).expect("a file");
        // As it is called: a parser that panics refuses the mail.
        let Ok(result) = catch_unwind(|| mail::as_zip(&source, &zip)) else {
            return;
        };
        if made(result).is_some() {
            // What we write we read: the text and each attachment, those without bytes too.
            let (found, whole) = unpack_all(&zip, &target);
            let large = fs::metadata(&zip).expect("a zip").len() > MEMBER_MAX;
            assert!(
                found > 0 && (large || whole == found.min(8)),
                "{whole} of {found}"
            );
        }
        let _ = catch_unwind(|| made(mail::page(&source)));
    });
}
