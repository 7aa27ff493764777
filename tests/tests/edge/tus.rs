//! tus 1.0 in workerd: every status of the protocol, the scene's limits, what a cut keeps.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::Link;
use chatlift_shared::digest::Sha256;
use chatlift_shared::{ProblemCode, limits};
use chatlift_tests::assertions::{nothing_stored, without_trace};
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENT_MAX, DOCUMENTS, ONE_FILE};
use chatlift_tests::fixtures::{Random, elf, pdf};
use chatlift_tests::http::{Answer, send_raw};
use chatlift_tests::receiver::Content;
use chatlift_tests::scratch::wait_for;
use chatlift_tests::serial::{Serial, TUS, create, metadata, number, tus};
use chatlift_tests::stage::{Stage, shared};

const PART: u64 = limits::PART_SIZE;
const WITHIN: Duration = Duration::from_secs(60);

/// The answer is a refusal as tus has it: in the form of every problem, with tus's status.
#[track_caller]
fn refused(answer: &Answer, status: u16, code: ProblemCode) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
    if !answer.body.is_empty() {
        let problem = answer.problem();
        assert_eq!((problem.code, problem.status), (code, status));
    }
}

/// The file is there, its bytes and its event.
#[track_caller]
fn stored(stage: &Stage, link: &Link, upload: &Serial, content: impl Content) {
    let told = stage.receiver.wait_stored(link.id, content, WITHIN);
    let file = &told.stored().expect("a stored file").file;
    assert_eq!(file.id, upload.file());
    // What is served is checked against the record.
    let _ = stage.edge.app().sha256(file.id);
}

fn new_link(stage: &Stage, scene: &str) -> (Link, Page) {
    let app = stage.edge.app();
    let link = app.link(scene);
    let page = app.page(&link);
    (link, page)
}

#[test]
fn what_the_edge_can_do_is_told_without_a_version() {
    let stage = shared();
    let (_, page) = new_link(&stage, DOCUMENTS);
    let answer = page.call("OPTIONS", "/tus", &[], None);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("tus-version"), Some("1.0.0"));
    assert_eq!(number(&answer, "tus-max-size"), DOCUMENT_MAX);
    assert_eq!(
        answer.header("tus-extension"),
        Some(
            "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,concatenation"
        )
    );
    let algorithms = answer.header("tus-checksum-algorithm").expect("algorithms");
    assert!(algorithms.split(',').any(|a| a == "sha1"), "{algorithms}");
}

#[test]
fn a_small_file_is_stored_and_can_be_asked_for_again() {
    let stage = shared();
    let (link, page) = new_link(&stage, DOCUMENTS);
    let bytes = pdf();
    let size = bytes.len() as u64;
    let upload = create(&page, "发票.pdf", size, &[]);
    let asked = upload.head();
    assert_eq!(asked.status, 200);
    assert_eq!(number(&asked, "upload-offset"), 0);
    assert_eq!(number(&asked, "upload-length"), size);
    assert_eq!(asked.header("cache-control"), Some("no-store"));
    assert_eq!(
        asked.header("upload-metadata"),
        Some(&*metadata("发票.pdf"))
    );
    assert!(
        asked
            .header("upload-expires")
            .is_some_and(|e| e.ends_with(" GMT"))
    );

    let half = bytes.len() / 2;
    upload.add(0, &bytes[..half]);
    upload.add(half as u64, &bytes[half..]);
    stored(&stage, &link, &upload, Sha256::of(&bytes));
    let files = stage.edge.app().get_link(link.id).files;
    assert_eq!(files[0].name, "发票.pdf");

    let asked = upload.head();
    assert_eq!((asked.status, number(&asked, "upload-offset")), (200, size));
    let again = upload.patch(size, &[], &[]);
    assert_eq!((again.status, number(&again, "upload-offset")), (204, size));
    refused(
        &upload.patch(size, b"x", &[]),
        413,
        ProblemCode::BodyTooLarge,
    );
    let ended = upload.call("DELETE", &[("tus-resumable", "1.0.0")], None);
    refused(&ended, 403, ProblemCode::UploadBusy);
}

#[test]
fn a_file_of_many_parts_in_one_request_streams_with_bounded_memory() {
    let stage = shared();
    let (link, page) = new_link(&stage, ANY_FILE);
    let file = Random {
        seed: 901,
        size: 90_000_000,
    };
    let memory = |answer: &Answer| number(answer, "chatlift-wasm-memory");
    let upload = create(&page, "90 MB.bin", file.size, &[]);
    let before = memory(&upload.head());
    let answer = upload.patch(0, &file.read(0, file.size), &[]);
    assert_eq!(answer.status, 204, "{}", answer.text());
    let after = memory(&answer);
    println!("worker memory: {before} bytes before 90 MB in one request, {after} after");
    assert!(after - before <= 2 * limits::MIB, "{before} to {after}");
    stored(&stage, &link, &upload, file);
}

#[test]
fn any_size_of_chunk_makes_the_file() {
    let stage = shared();
    let (link, page) = new_link(&stage, ANY_FILE);
    let file = Random {
        seed: 902,
        size: 2 * PART + 12_345,
    };
    let upload = create(&page, "odd.bin", file.size, &[]);
    let mut at = 0;
    // Within a part, over its end, a whole one, and the rest.
    for length in [1, 700_001, PART, 5_000_000, u64::MAX] {
        let bytes = file.read(at, length.min(file.size - at));
        upload.add(at, &bytes);
        at += bytes.len() as u64;
    }
    assert_eq!(at, file.size);
    stored(&stage, &link, &upload, file);
}

#[test]
fn a_cut_keeps_every_byte_that_arrived() {
    let stage = shared();
    let (link, page) = new_link(&stage, ANY_FILE);
    let file = Random {
        seed: 903,
        size: 3 * PART + 5,
    };
    let bytes = file.read(0, file.size);
    let upload = create(&page, "cut.bin", file.size, &[]);
    let mut at = 0;
    // Cut in the second part, which was on its way into R2; in the rest of it, which is staged; and
    // in the third.
    for sent in [PART + 3_000_000, 1_000_000, 6_000_000] {
        let headers =
            format!("tus-resumable: 1.0.0\r\ncontent-type: {TUS}\r\nupload-offset: {at}\r\n");
        let from = usize::try_from(at).expect("fits");
        let to = from + usize::try_from(sent).expect("fits");
        upload.cut(&headers, file.size - at, &bytes[from..to]);
        at += sent;
        // Asking takes the upload over; what the cut request still puts away must come first, as
        // it does where a client waits before it tries again.
        stage.edge.app().wait_held(link.id, at);
        assert_eq!(
            number(&upload.head(), "upload-offset"),
            at,
            "every byte that arrived"
        );
    }
    upload.add(at, &bytes[usize::try_from(at).expect("fits")..]);
    stored(&stage, &link, &upload, file);
}

#[test]
fn an_upload_goes_on_after_a_killed_edge() {
    let mut stage = Stage::new("tus-killed");
    let (link, page) = new_link(&stage, ANY_FILE);
    let file = Random {
        seed: 904,
        size: PART + 1_000_000,
    };
    let upload = create(&page, "killed.bin", file.size, &[]);
    upload.add(0, &file.read(0, PART + 300_000));
    stage.edge.kill();
    stage.edge.start();
    assert_eq!(number(&upload.head(), "upload-offset"), PART + 300_000);
    upload.add(PART + 300_000, &file.read(PART + 300_000, file.size));
    stored(&stage, &link, &upload, file);
}

#[test]
fn a_length_may_be_told_with_the_last_bytes() {
    let stage = shared();
    let (link, page) = new_link(&stage, ANY_FILE);
    let created = tus(
        &page,
        "POST",
        "",
        &[("upload-defer-length", "1")],
        Some(&[]),
    );
    assert_eq!(created.status, 201, "{}", created.text());
    let upload = Serial::at(&page, &created);
    let file = Random {
        seed: 905,
        size: PART + 77,
    };
    upload.add(0, &file.read(0, PART + 7));
    let asked = upload.head();
    assert_eq!(asked.header("upload-defer-length"), Some("1"));
    assert_eq!(asked.header("upload-length"), None);
    let size = file.size.to_string();
    let shorter = upload.patch(PART + 7, &[], &[("upload-length", "7")]);
    refused(&shorter, 400, ProblemCode::InvalidRequest);
    let rest = file.read(PART + 7, 70);
    let last = upload.patch(PART + 7, &rest, &[("upload-length", &size)]);
    assert_eq!(last.status, 204, "{}", last.text());
    stored(&stage, &link, &upload, file);
}

#[test]
fn a_body_may_come_with_the_creation_and_without_a_length() {
    let stage = shared();
    let (link, page) = new_link(&stage, DOCUMENTS);
    let bytes = pdf();
    let size = bytes.len().to_string();
    let headers = [
        ("content-type", TUS),
        ("upload-length", &*size),
        ("upload-metadata", &*metadata("a.pdf")),
    ];
    let created = tus(&page, "POST", "", &headers, Some(&bytes));
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(number(&created, "upload-offset"), bytes.len() as u64);
    stored(
        &stage,
        &link,
        &Serial::at(&page, &created),
        Sha256::of(&bytes),
    );

    // A chunked body, whose length only its end tells.
    let upload = create(&page, "b.pdf", bytes.len() as u64, &[]);
    let mut request = format!(
        "POST {} HTTP/1.1\r\nhost: edge\r\nx-http-method-override: PATCH\r\ntus-resumable: 1.0.0\r\n\
         content-type: {TUS}\r\nupload-offset: 0\r\ntransfer-encoding: chunked\r\n\r\n",
        upload.path
    )
    .into_bytes();
    for chunk in bytes.chunks(100) {
        request.extend(format!("{:x}\r\n", chunk.len()).bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let answer = send_raw(&stage.edge.origin(), &request).expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(number(&answer, "upload-offset"), bytes.len() as u64);
}

#[test]
fn a_wrong_checksum_adds_nothing() {
    let stage = shared();
    let (link, page) = new_link(&stage, ANY_FILE);
    let file = Random {
        seed: 906,
        size: PART + 500_000,
    };
    let bytes = file.read(0, file.size);
    let upload = create(&page, "checked.bin", file.size, &[]);
    let wrong = format!("sha256 {}", STANDARD.encode(Sha256::of(b"other").0));
    upload.add(0, &bytes[..1000]);
    let answer = upload.patch(1000, &bytes[1000..], &[("upload-checksum", &wrong)]);
    refused(&answer, 460, ProblemCode::DigestMismatch);
    assert_eq!(number(&upload.head(), "upload-offset"), 1000);
    for bad in ["md5 AAAA", "sha1 AAAA", "sha256"] {
        let answer = upload.patch(1000, &bytes[1000..], &[("upload-checksum", bad)]);
        refused(&answer, 400, ProblemCode::InvalidRequest);
    }
    // Cut before its checksum could be checked: none of it counts.
    let right = format!("sha256 {}", STANDARD.encode(Sha256::of(&bytes[1000..]).0));
    let headers = format!(
        "tus-resumable: 1.0.0\r\ncontent-type: {TUS}\r\nupload-offset: 1000\r\nupload-checksum: {right}\r\n"
    );
    upload.cut(&headers, file.size - 1000, &bytes[1000..400_000]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(number(&upload.head(), "upload-offset"), 1000);
    let answer = upload.patch(1000, &bytes[1000..], &[("upload-checksum", &right)]);
    assert_eq!(answer.status, 204, "{}", answer.text());
    stored(&stage, &link, &upload, file);
}

#[test]
fn pieces_that_were_sent_beside_each_other_become_one_file() {
    let stage = shared();
    let (link, page) = new_link(&stage, ONE_FILE);
    let file = Random {
        seed: 907,
        size: 2 * PART + 333,
    };
    let cuts = [0, 3_000_000, 3_000_000, PART + 1, file.size];
    let pieces: Vec<Serial> = std::thread::scope(|scope| {
        let sent: Vec<_> = cuts
            .windows(2)
            .map(|cut| {
                let page = &page;
                let bytes = file.read(cut[0], cut[1] - cut[0]);
                scope.spawn(move || {
                    let partial = [("upload-concat", "partial")];
                    let piece = create(page, "piece", bytes.len() as u64, &partial);
                    if !bytes.is_empty() {
                        piece.add(0, &bytes);
                    }
                    piece
                })
            })
            .collect();
        sent.into_iter().map(|s| s.join().expect("sent")).collect()
    });
    let asked = pieces[0].head();
    assert_eq!(asked.header("upload-concat"), Some("partial"));
    nothing_stored(&stage, &stage.edge.app(), &link);

    let urls: Vec<_> = pieces.iter().map(Serial::url).collect();
    let concat = format!("final;{}", urls.join(" "));
    let headers = [
        ("upload-concat", &*concat),
        ("upload-metadata", &*metadata("joined.bin")),
    ];
    let joined = tus(&page, "POST", "", &headers, Some(&[]));
    assert_eq!(joined.status, 201, "{}", joined.text());
    let upload = Serial::at(&page, &joined);
    stored(&stage, &link, &upload, file);
    // An answer that was lost is asked for again, though the link is full by now.
    let again = tus(&page, "POST", "", &headers, Some(&[]));
    assert_eq!(again.header("location"), Some(&*upload.path));
    let asked = upload.head();
    assert_eq!(number(&asked, "upload-offset"), file.size);
    assert!(
        asked
            .header("upload-concat")
            .is_some_and(|c| c.starts_with("final;/u/"))
    );
    refused(
        &upload.patch(file.size, b"x", &[]),
        403,
        ProblemCode::InvalidRequest,
    );
    // The pieces are no more.
    assert_eq!(pieces[0].head().status, 410);
    let more = tus(&page, "POST", "", &[("upload-length", "5")], Some(&[]));
    refused(&more, 403, ProblemCode::LinkFull);
}

#[test]
fn what_cannot_be_joined_is_refused() {
    without_trace(DOCUMENTS, |_, page| {
        let partial = [("upload-concat", "partial")];
        let half = create(page, "half", 10, &partial);
        half.add(0, b"12345");
        let whole = create(page, "whole", 10, &[]);
        let join = |concat: &str| tus(page, "POST", "", &[("upload-concat", concat)], Some(&[]));
        for concat in [
            format!("final;{}", half.path),
            format!("final;{}", whole.path),
            "final;".to_owned(),
            "both".to_owned(),
        ] {
            refused(&join(&concat), 400, ProblemCode::InvalidRequest);
        }
        let unknown = "final;/u/x/tus/upl_AAAAAAAAAAAAAAAAAAAAAAAA";
        refused(&join(unknown), 404, ProblemCode::UploadNotFound);
        // A type that the scene does not take, seen when the pieces are together.
        let elf = elf();
        let (head, tail) = elf.split_at(2);
        let pieces: Vec<_> = [head, tail]
            .into_iter()
            .map(|bytes| {
                let piece = create(page, "piece", bytes.len() as u64, &partial);
                piece.add(0, bytes);
                piece.path
            })
            .collect();
        let joined = join(&format!("final;{}", pieces.join(" ")));
        refused(&joined, 415, ProblemCode::FileTypeNotAccepted);
    });
}

#[test]
fn the_limits_of_the_scene_hold() {
    without_trace(DOCUMENTS, |_, page| {
        let post = |headers: &[(&str, &str)]| tus(page, "POST", "", headers, Some(&[]));
        let over = (DOCUMENT_MAX + 1).to_string();
        refused(
            &post(&[("upload-length", &over)]),
            413,
            ProblemCode::FileTooLarge,
        );
        refused(
            &post(&[("upload-length", "0")]),
            422,
            ProblemCode::FileEmpty,
        );
        // Of another type: seen by its first bytes, and the upload is over.
        let program = create(page, "a.pdf", 100_000, &[]);
        refused(
            &program.patch(0, &elf(), &[]),
            415,
            ProblemCode::FileTypeNotAccepted,
        );
        assert_eq!(program.head().status, 410);
        refused(
            &program.patch(0, &elf(), &[]),
            410,
            ProblemCode::UploadAborted,
        );
        // In bodies too short to tell, it is seen at the end.
        let program = create(page, "b.pdf", 4096, &[]);
        program.add(0, &elf()[..2000]);
        let last = program.patch(2000, &elf()[2000..], &[]);
        refused(&last, 415, ProblemCode::FileTypeNotAccepted);
        // Longer than it said, or than a file may be where it said nothing.
        let short = create(page, "c.pdf", 10, &[]);
        refused(&short.patch(0, &pdf(), &[]), 413, ProblemCode::BodyTooLarge);
        let created = post(&[("upload-defer-length", "1")]);
        let deferred = Serial::at(page, &created);
        let told = deferred.patch(0, &[], &[("upload-length", &over)]);
        refused(&told, 413, ProblemCode::FileTooLarge);
    });
}

#[test]
fn a_body_that_is_too_large_names_the_setting() {
    without_trace(ANY_FILE, |_, page| {
        let upload = create(page, "large.bin", 1 << 30, &[]);
        let answer = upload.patch(0, &vec![7; 100_000_001], &[]);
        refused(&answer, 413, ProblemCode::BodyTooLarge);
        assert!(answer.text().contains("chunkSize"), "{}", answer.text());
    });
}

#[test]
fn what_is_not_tus_is_refused_in_its_words() {
    without_trace(DOCUMENTS, |_, page| {
        let post = |headers: &[(&str, &str)]| page.call("POST", "/tus", headers, Some(&[]));
        for version in [&[][..], &[("tus-resumable", "0.2.2")]] {
            let answer = post(version);
            refused(&answer, 412, ProblemCode::InvalidRequest);
            assert_eq!(answer.header("tus-version"), Some("1.0.0"));
        }
        let tus_post = |headers: &[(&str, &str)]| tus(page, "POST", "", headers, Some(&[]));
        let bad: [&[(&str, &str)]; 6] = [
            &[],
            &[("upload-length", "-1")],
            &[("upload-length", "5"), ("upload-defer-length", "1")],
            &[("upload-defer-length", "2")],
            &[("upload-length", "5"), ("upload-metadata", "a !")],
            &[("upload-length", "5"), ("upload-concat", "whole")],
        ];
        for headers in bad {
            refused(&tus_post(headers), 400, ProblemCode::InvalidRequest);
        }
        let upload = create(page, "a.pdf", 100, &[]);
        let version = ("tus-resumable", "1.0.0");
        let typed = upload.call("PATCH", &[version, ("upload-offset", "0")], Some(b"x"));
        refused(&typed, 415, ProblemCode::InvalidRequest);
        let placed = upload.call("PATCH", &[version, ("content-type", TUS)], Some(b"x"));
        refused(&placed, 400, ProblemCode::InvalidRequest);
        let elsewhere = upload.patch(5, b"x", &[]);
        refused(&elsewhere, 409, ProblemCode::OffsetDiffers);
        assert_eq!(number(&elsewhere, "upload-offset"), 0);
        refused(
            &upload.call("GET", &[version], None),
            405,
            ProblemCode::MethodNotAllowed,
        );
        let unknown = tus(page, "HEAD", "/upl_AAAAAAAAAAAAAAAAAAAAAAAA", &[], None);
        assert_eq!(unknown.status, 404);
        assert_eq!(tus(page, "HEAD", "/x", &[], None).status, 404);
        let forged = Page::of(&format!("{}x", page.url()));
        refused(
            &tus(&forged, "POST", "", &[], Some(&[])),
            404,
            ProblemCode::LinkTokenInvalid,
        );
    });
}

#[test]
fn an_upload_that_was_ended_is_gone() {
    without_trace(DOCUMENTS, |_, page| {
        let upload = create(page, "a.pdf", 100, &[]);
        upload.add(0, b"12345");
        let ended = upload.call("DELETE", &[("tus-resumable", "1.0.0")], None);
        assert_eq!(ended.status, 204, "{}", ended.text());
        assert_eq!(upload.head().status, 410);
        refused(&upload.patch(5, b"x", &[]), 410, ProblemCode::UploadAborted);
        // The page's own protocol knows nothing of tus uploads, nor the other way round.
        let other: chatlift_shared::api::Upload = page.announce("b.pdf", 50, b"%PDF-1.7\n").ok(201);
        let crossed = tus(page, "HEAD", &format!("/{}", other.id), &[], None);
        assert_eq!(crossed.status, 404);
        let upload = create(page, "c.pdf", 100, &[]);
        let id = upload.id();
        let body = format!(
            "{{\"sha256\":\"{0}\",\"parts_sha256\":\"{0}\"}}",
            Sha256::of(b"")
        );
        let crossed = page.call(
            "POST",
            &format!("/uploads/{id}/complete"),
            &[],
            Some(body.as_bytes()),
        );
        assert_eq!(crossed.problem().code, ProblemCode::UploadNotFound);
    });
}

#[test]
fn an_upload_ends_with_its_link() {
    let stage = shared();
    let app = stage.edge.app();
    let (link, page) = new_link(&stage, DOCUMENTS);
    let upload = create(&page, "a.pdf", 100, &[]);
    upload.add(0, b"12345");
    assert_eq!(app.revoke(link.id).status, 204);
    refused(&upload.patch(5, b"x", &[]), 410, ProblemCode::LinkRevoked);
    assert_eq!(upload.head().status, 410);
    let more = tus(&page, "POST", "", &[("upload-length", "5")], Some(&[]));
    refused(&more, 410, ProblemCode::LinkRevoked);
    wait_for("the end of the upload", WITHIN, || {
        (app.get_link(link.id).uploads == 0).then_some(())
    });
}
