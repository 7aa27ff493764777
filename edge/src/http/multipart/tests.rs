//! Forms as they come, in pieces of any size.

use futures::executor::block_on;
use futures_util::stream;
use proptest::prelude::*;

use super::*;

/// What is read of a form that comes in pieces of `piece` bytes: each part's disposition and its
/// bytes or what is wrong with it, and what is wrong with the form.
fn read(body: &[u8], boundary: &str, piece: usize) -> (Vec<(String, String)>, Option<String>) {
    let pieces: Vec<_> = body.chunks(piece).map(|p| Ok(p.to_vec())).collect();
    let mut form = Multipart::new(stream::iter(pieces), boundary.as_bytes());
    let mut parts = Vec::new();
    let detail = |failure| match failure {
        Failure::Refused(Problem { detail, .. }) => detail.unwrap_or_default(),
        other => panic!("{other:?}"),
    };
    block_on(async {
        loop {
            let head = match form.next_part().await {
                Ok(Some(head)) => head,
                Ok(None) => return (parts, None),
                Err(failure) => return (parts, Some(detail(failure))),
            };
            let name = head
                .values("content-disposition")
                .next()
                .unwrap_or_default();
            let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
            let mut content = Vec::new();
            let content = loop {
                match form.next_bytes().await {
                    Ok(Some(bytes)) => content.extend(bytes),
                    Ok(None) => break String::from_utf8_lossy(&content).into_owned(),
                    Err(failure) => break format!("! {}", detail(failure)),
                }
            };
            let cut = if head.cut { "cut " } else { "" };
            parts.push((format!("{cut}{name}"), content));
        }
    })
}

const DOUBT: &str = "! Its end is in doubt: let all lines end in CR LF.";
const EARLY: &str = "It ended early.";
const NO_BOUNDARY: &str = "A line begins with the boundary and is none.";

#[test]
fn parts_are_told_apart_as_senders_write_them() {
    let a = ("a", "1");
    let b = ("b", "2");
    for (body, parts, problem) in [
        (
            "--x\r\nContent-Disposition: a\r\n\r\n1\r\n--x--\r\n",
            &[a][..],
            None,
        ),
        ("--x--", &[], None),
        ("--x--\r\n", &[], None),
        // Around the parts.
        (
            "\r\n--x\r\nContent-Disposition: a\r\n\r\n1\r\n--x--",
            &[a],
            None,
        ),
        (
            "Parts.\r\n--x\r\nContent-Disposition: a\r\n\r\n1\r\n--x-- \r\nThe end.",
            &[a],
            None,
        ),
        (
            "--x \t\r\nContent-Disposition: a\r\n\r\n1\r\n--x--",
            &[a],
            None,
        ),
        // Heads.
        (
            "--x\r\ncontent-disposition :\r\n a\r\n\r\n1\r\n--x--",
            &[a],
            None,
        ),
        (
            "--x\r\nCONTENT-DISPOSITION:\r\n\t a\r\n\r\n1\r\n--x--",
            &[a],
            None,
        ),
        (
            "--x\r\n odd\r\nContent-Disposition: a\r\n\r\n1\r\n--x--",
            &[a],
            None,
        ),
        (
            "--x\r\nContent-Disposition: a\nd\r\n\r\n1\r\n--x--",
            &[("ad", "1")],
            None,
        ),
        ("--x\r\n\r\n1\r\n--x--", &[("", "1")], None),
        // Lines that end in LF alone.
        (
            "--x\nContent-Disposition: a\n\n1\n--x\nContent-Disposition: b\n\n2\n--x--\n",
            &[a, b],
            None,
        ),
        (
            "--x\nContent-Disposition: a\n\n1\r\n\n--x--",
            &[("a", "1\r\n")],
            None,
        ),
        (
            "--x\r\nContent-Disposition: a\r\n\r\n1\n\r\n--x--",
            &[("a", "1\n")],
            None,
        ),
        // Without bytes.
        (
            "--x\r\nContent-Disposition: a\r\n\r\n\r\n--x--",
            &[("a", "")],
            None,
        ),
        (
            "--x\r\nContent-Disposition: a\r\n\r\n--x--",
            &[("a", "")],
            None,
        ),
        (
            "--x\r\nContent-Disposition: a\r\n--x\r\nContent-Disposition: b\r\n\r\n2\r\n--x--",
            &[("a", ""), b],
            None,
        ),
        ("--x\r\n--x--", &[("", "")], None),
        // In doubt: what one reading takes for a file's bytes is another file in the other.
        (
            "--x\r\nContent-Disposition: a\r\n\r\n1\n--x\r\nContent-Disposition: b\r\n\r\n2\r\n--x--",
            &[("a", DOUBT), b],
            None,
        ),
        (
            "--x\nContent-Disposition: a\n\n1\r\n--x--",
            &[("a", DOUBT)],
            None,
        ),
        (
            "--x\r\nContent-Disposition: a\r\n\r\n1\r\n--xy\r\n--x--",
            &[("a", &format!("! {NO_BOUNDARY}"))],
            Some(NO_BOUNDARY),
        ),
        ("--xy\r\n--x--", &[], Some(NO_BOUNDARY)),
        (
            "--x\r\nContent-Disposition: a\r\n\r\n1\r\n--x--\r\n--x\r\nContent-Disposition: b\r\n\r\n2\r\n--x--",
            &[a],
            Some("It goes on after its last boundary."),
        ),
        (
            " --x\r\nContent-Disposition: a\r\n\r\n1\r\n--x\r\nContent-Disposition: b\r\n\r\n2\r\n--x--",
            &[],
            Some("A part is before the first boundary."),
        ),
        // Cut.
        ("", &[], Some(EARLY)),
        ("--x", &[], Some(EARLY)),
        ("--x\r\nContent-Dis", &[], Some(EARLY)),
        (
            "--x\r\nContent-Disposition: a\r\n\r\n1",
            &[("a", "! It ended early.")],
            Some(EARLY),
        ),
        (
            "--x\r\nContent-Disposition: a\r\n\r\n1\r\n--x",
            &[a],
            Some(EARLY),
        ),
        (
            "--x\r\nContent-Disposition: a\r\n\r\n1\r\n--x\r\n",
            &[a],
            Some(EARLY),
        ),
    ] {
        let parts: Vec<_> = parts
            .iter()
            .map(|(n, c)| ((*n).to_owned(), (*c).to_owned()))
            .collect();
        for piece in [1, 2, 3, 7, 1000] {
            let found = read(body.as_bytes(), "x", piece);
            assert_eq!(found.0, parts, "{body:?} by {piece}");
            assert_eq!(found.1.as_deref(), problem, "{body:?} by {piece}");
        }
    }
}

#[test]
fn a_form_takes_no_more_memory_than_its_limits() {
    let long = "h".repeat(HEAD_MAX);
    let cut = format!("--x\r\nContent-Disposition: a\r\n{long}: 1\r\n\r\n1\r\n--x--");
    for piece in [1000, 100_000] {
        let (parts, problem) = read(cut.as_bytes(), "x", piece);
        assert_eq!(parts[0].0, "cut a");
        assert_eq!((parts.len(), problem), (1, None));
        let (_, problem) = read(&vec![b'-'; 1_000_000], "x", piece);
        assert_eq!(
            problem.as_deref(),
            Some("It does not begin with the boundary.")
        );
    }
    let many = "--x\r\n\r\n".repeat(PARTS_MAX + 1) + "--x--";
    let (parts, problem) = read(many.as_bytes(), "x", 1000);
    assert_eq!(parts.len(), PARTS_MAX);
    assert_eq!(problem.as_deref(), Some("A form has fewer parts."));
}

#[test]
fn a_boundary_is_read_as_it_is_written() {
    for (header, expected) in [
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7",
            Some("----WebKitFormBoundary7"),
        ),
        (
            "Multipart/Form-Data;charset=utf-8;BOUNDARY=\"a b:c=?,/'()+_.\"",
            Some("a b:c=?,/'()+_."),
        ),
        (
            "multipart/form-data; boundary=a:b/c=d; charset=utf-8",
            Some("a:b/c=d"),
        ),
        (
            "multipart/form-data; charset=\"; boundary=no\"; boundary=yes",
            Some("yes"),
        ),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=a", None),
        ("", None),
    ] {
        let found = boundary(header.as_bytes());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{header}");
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_read_whatever_the_bytes_and_pieces(
        contents in proptest::collection::vec("[\r\n\\-xab]{0,40}", 0..5),
        piece in 1_usize..50,
    ) {
        // A boundary that no content has.
        let body: String = contents
            .iter()
            .map(|c| format!("--B0undary\r\nContent-Disposition: f\r\n\r\n{c}\r\n"))
            .collect();
        let (parts, problem) = read((body + "--B0undary--").as_bytes(), "B0undary", piece);
        let read: Vec<_> = parts.into_iter().map(|(_, content)| content).collect();
        prop_assert_eq!(read, contents);
        prop_assert_eq!(problem, None);
    }

    #[test]
    fn no_body_makes_it_panic_and_no_part_vanishes(
        body in "(--x|--|\r\n|\n|content-disposition: f|a| |:){0,30}",
        piece in 1_usize..20,
    ) {
        let whole = read(body.as_bytes(), "x", 1000);
        prop_assert_eq!(&whole, &read(body.as_bytes(), "x", piece));
    }
}

/// The input is a form's body, whose boundary is `x`, and the content of one part of another.
#[test]
fn fuzz_multipart() {
    chatlift_fuzz::check("multipart", |bytes| {
        // However it arrives, it is read as the same.
        let whole = read(bytes, "x", bytes.len().max(1));
        for piece in [1, 2, 7, 1000] {
            assert_eq!(read(bytes, "x", piece), whole, "in pieces of {piece}");
        }
        let (parts, _) = &whole;
        assert!(parts.len() <= bytes.len() / 3 && parts.len() <= PARTS_MAX);
        // What is in a part comes out of it, and between two others.
        let boundary = "a-boundary-that-nobody-writes";
        if memmem::find(bytes, boundary.as_bytes()).is_some() {
            return;
        }
        let part = |content: &[u8]| {
            let head = format!("--{boundary}\r\ncontent-disposition: f\r\n\r\n");
            [head.as_bytes(), content, b"\r\n"].concat()
        };
        let end = format!("--{boundary}--\r\n");
        let form = [part(b"1"), part(bytes), part(b"2"), end.into_bytes()].concat();
        for piece in [5, form.len()] {
            let (parts, problem) = read(&form, boundary, piece);
            let content = String::from_utf8_lossy(bytes).into_owned();
            let expected =
                ["1".to_owned(), content, "2".to_owned()].map(|content| ("f".to_owned(), content));
            assert_eq!((parts, problem), (expected.to_vec(), None));
        }
    });
}
