//! Archives as people make them: with members that cannot be used, with two of one name, and ones
//! that unpack themselves.

use chatlift_backend::pipeline::Rejection;
use chatlift_backend::store::{Stage, State, member_id};
use chatlift_shared::api::{Receipt, ReceiptStatus};

use crate::common::{Backend, TestEdge, announce, event_id, file_id, job};
use crate::families::{archive, picture};
use crate::make::{mail, program, rar};

const JPEG: &str = "image/jpeg";

/// Changes what the archive's directory says of a member, at this place of its entry.
fn change(archive: &mut [u8], name: &[u8], at: usize, change: impl FnOnce(&mut u8)) {
    let found = archive
        .windows(4)
        .enumerate()
        .filter(|(_, w)| w == b"PK\x01\x02")
        .map(|(place, _)| place)
        .find(|place| archive[place + 46..].starts_with(name));
    change(&mut archive[found.expect("an entry") + at]);
}

/// The archive's job once it has ended, and what the edge was told of it last.
async fn ended(backend: &Backend, edge: &TestEdge, content: &[u8], name: &str) -> (Stage, Receipt) {
    edge.hold(file_id(1), content, "\"v1\"");
    let octets = "application/octet-stream";
    let event = announce(1, name, octets, content, &[JPEG]);
    assert_eq!(backend.tell(event_id(1), &event).await, 204);
    let stage = backend.ended(file_id(1)).await.stage();
    let last = match stage {
        Stage::Done => 3,
        _ => 2,
    };
    edge.receipts(last).await;
    let receipts = edge.lock().receipts.clone();
    assert!(receipts.iter().all(|(file, _)| *file == file_id(1)));
    (stage, receipts.last().expect("a receipt").1.clone())
}

async fn delivered(backend: &Backend, place: u32) -> Option<(u32, u32)> {
    let member = member_id(file_id(1), place);
    let delivery = backend.app.store().delivery(member).await;
    delivery.expect("the store")?;
    let made = backend.content(member).await.bytes().await.expect("bytes");
    let made = image::load_from_memory(&made).expect("a JPEG");
    Some((made.width(), made.height()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_of_an_archive_is_named_and_the_rest_is_delivered() {
    crate::sandbox();
    let inner = archive(&[(b"far.png", &picture(50, 20))]);
    let mut content = archive(&[
        (b"inner.zip", &inner),
        (b"good.png", &picture(40, 20)),
        (b"bad.png", &picture(41, 20)),
        (b"locked.png", &picture(42, 20)),
        (b"strange.png", &picture(43, 20)),
        (b"plan.dwg", b"AC1032 and nothing that is known"),
        (b"also.png", &picture(30, 20)),
    ]);
    // A wrong checksum, a password, a way to compress that is not known here.
    change(&mut content, b"bad.png", 16, |crc| *crc ^= 1);
    change(&mut content, b"locked.png", 8, |flags| *flags |= 1);
    change(&mut content, b"strange.png", 10, |method| *method = 14);
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let (stage, told) = ended(&backend, &edge, &content, "photos.zip").await;
    assert_eq!(
        (stage, told.status),
        (Stage::Done, ReceiptStatus::Delivered)
    );
    let reason = told.reason.expect("a reason");
    let expected =
        "5 of 7 files could not be used: inner.zip, bad.png, locked.png, strange.png, plan.dwg";
    assert_eq!(reason, expected);
    // For a reader in another language.
    assert_eq!(told.code.as_deref(), Some("members-left-out"));
    let left = told.left_out.expect("the members");
    assert_eq!((left.count, left.of), (5, 7));
    let names = [
        "inner.zip",
        "bad.png",
        "locked.png",
        "strange.png",
        "plan.dwg",
    ];
    assert_eq!(left.names, names);
    for (place, expected) in [
        (1, Err(Rejection::ArchiveInArchive)),
        (2, Ok((40, 20))),
        (3, Err(Rejection::Unreadable)),
        (4, Err(Rejection::PasswordProtected)),
        (5, Err(Rejection::NoUsableFormat)),
        (6, Err(Rejection::NoUsableFormat)),
        (7, Ok((30, 20))),
    ] {
        let reason = match job(&backend.app, member_id(file_id(1), place)).await.state {
            State::Parked(rejection) => Some(rejection),
            _ => None,
        };
        let found = delivered(&backend, place).await;
        assert_eq!(found.ok_or(reason), expected.map_err(Some), "{place}");
    }
    backend.stop().await;
    let left = std::fs::read_dir(data.path().join("work")).expect("the folder");
    assert_eq!(left.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_archives_alone_says_so() {
    crate::sandbox();
    let inner = archive(&[(b"far.png", &picture(50, 20))]);
    let content = archive(&[(b"one.zip", &inner), (b"two.zip", &inner)]);
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let (stage, told) = ended(&backend, &edge, &content, "photos.zip").await;
    assert_eq!(stage, Stage::Parked);
    assert_eq!(told.code.as_deref(), Some("archive-in-archive"));
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_needs_a_password_for_all_of_it_says_so() {
    crate::sandbox();
    let mut content = archive(&[
        (b"one.png", &picture(40, 20)),
        (b"two.png", &picture(40, 20)),
    ]);
    for name in [b"one.png", b"two.png"] {
        change(&mut content, name, 8, |flags| *flags |= 1);
    }
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let (stage, told) = ended(&backend, &edge, &content, "photos.zip").await;
    assert_eq!(stage, Stage::Parked);
    assert_eq!(told.code.as_deref(), Some("password-protected"));
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_of_one_name_are_two_and_bytes_before_an_archive_do_no_harm() {
    crate::sandbox();
    let archive = archive(&[(b"a.png", &picture(40, 20)), (b"a.png", &picture(30, 20))]);
    for (before, name) in [
        (0, "photos.zip"),
        (1292, "photos.exe"),
        (1292, "photos.zip"),
    ] {
        let content = [vec![b'0'; before], archive.clone()].concat();
        let data = tempfile::tempdir().expect("a folder");
        let edge = TestEdge::start().await;
        let backend = Backend::start(data.path(), &edge).await;
        let (stage, told) = ended(&backend, &edge, &content, name).await;
        assert_eq!((stage, told.reason), (Stage::Done, None), "{name}");
        for (place, size) in [(1, (40, 20)), (2, (30, 20))] {
            assert_eq!(delivered(&backend, place).await, Some(size), "{name}");
        }
        backend.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_an_archive_of_any_format_are_files_of_their_own() {
    crate::sandbox();
    let (one, two) = (picture(40, 20), picture(30, 20));
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("发票 1.png"), &one).expect("a file");
    std::fs::write(at("b.png"), &two).expect("a file");
    let inside = folder.path().to_str().expect("UTF-8");
    let mut archives = vec![(
        "photos.rar",
        rar(&[("发票 1.png", &one[..]), ("b.png", &two[..])]),
    )];
    for (name, how) in [
        ("photos.7z", "--format=7zip"),
        ("photos.tar", "--format=pax"),
        ("photos.tgz", "--format=pax -z"),
        ("photos.cab.txz", "--format=ustar -J"),
    ] {
        let path = at(name);
        let mut arguments = vec!["-C", inside];
        arguments.extend(how.split(' '));
        arguments.extend(["-cf", path.to_str().expect("UTF-8"), "发票 1.png", "b.png"]);
        program("bsdtar", "libarchive-tools", &arguments).expect("an archive");
        archives.push((name, std::fs::read(path).expect("an archive")));
    }
    for (name, content) in archives {
        let data = tempfile::tempdir().expect("a folder");
        let edge = TestEdge::start().await;
        let backend = Backend::start(data.path(), &edge).await;
        let (stage, told) = ended(&backend, &edge, &content, name).await;
        assert_eq!((stage, told.reason), (Stage::Done, None), "{name}");
        let mut found = [delivered(&backend, 1).await, delivered(&backend, 2).await];
        found.sort();
        assert_eq!(found, [Some((30, 20)), Some((40, 20))], "{name}");
        backend.stop().await;
        let left = std::fs::read_dir(data.path().join("work")).expect("the folder");
        assert_eq!(left.count(), 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_any_format_that_was_cut_is_damaged() {
    crate::sandbox();
    let whole = rar(&[("a.png", &picture(40, 20)[..])]);
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let cut = &whole[..whole.len() - 60];
    let (stage, told) = ended(&backend, &edge, cut, "photos.rar").await;
    assert_eq!(stage, Stage::Parked);
    assert_eq!(told.code.as_deref(), Some("unreadable"));
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_what_is_read_in_it_and_what_is_attached() {
    crate::sandbox();
    let (one, two) = (picture(40, 20), picture(30, 20));
    let attached = [("发票.png", &one[..]), ("b.png", &two[..])];
    let content = mail("words", &picture(8, 8), &attached);
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let backend = Backend::start(data.path(), &edge).await;
    let (stage, told) = ended(&backend, &edge, &content, "mail.eml").await;
    // The app takes pictures only.
    assert_eq!(
        (stage, told.reason.as_deref()),
        (
            Stage::Done,
            Some("1 of 3 files could not be used: 理赔材料.html")
        )
    );
    for (place, size) in [(2, (40, 20)), (3, (30, 20))] {
        assert_eq!(delivered(&backend, place).await, Some(size), "{place}");
    }
    backend.stop().await;
}
