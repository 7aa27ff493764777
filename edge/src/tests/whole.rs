//! A file in one request: its bytes alone, or a form.

use chatlift_shared::api::File;
use futures_util::FutureExt as _;

use super::*;
use crate::ports::Incoming;

#[test]
fn a_small_file_is_stored_and_told_of() {
    let edge = Edge::new();
    let link = edge.link();
    edge.put(link, PDF, Some(Sha256::of(PDF))).expect("a file");
    // Again, as when the answer was lost.
    edge.put(link, PDF, Some(Sha256::of(PDF)))
        .expect("the same file");
    edge.put(link, PDF, None).expect("a file without a digest");
    edge.settled(link, 2);
}

/// A file of a form, in pieces of whatever size.
struct Pieces(Vec<Vec<u8>>);

impl Incoming for Pieces {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok((!self.0.is_empty()).then(|| self.0.remove(0)))
    }
}

impl Edge {
    /// Sends a file in a form.
    fn put_form(&self, link: LinkId, content: &[u8]) -> Result<File, Failure> {
        let pieces = Pieces(content.chunks(1_000_003).map(<[u8]>::to_vec).collect());
        let (app, name) = (&self.app().id, "a.pdf".into());
        // The form is longer than the file.
        let most = content.len() as u64 + 300;
        block_on(self.service.put_incoming(app, link, name, most, pieces)).map(|found| found.file)
    }
}

#[test]
fn a_file_of_a_form_is_stored_whatever_its_length() {
    let part = usize::try_from(PART_SIZE).expect("fits");
    for length in [PDF.len(), part - 1, part, part + 1, 2 * part, 2 * part + 5] {
        let edge = Edge::new();
        let link = edge.link();
        let mut content = PDF.to_vec();
        content.resize(length, 3);
        let file = edge.put_form(link, &content).expect("a file");
        assert_eq!(
            (file.size, file.sha256),
            (length as u64, Some(Sha256::of(&content)))
        );
        edge.settled(link, 1);
    }
}

/// What was read of a file before its worker was killed.
struct UntilKilled(Pieces);

impl Incoming for UntilKilled {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.0.next().await? {
            Some(piece) => Ok(Some(piece)),
            None => core::future::pending().await,
        }
    }
}

/// It was busy until the upload of the worker that was killed had expired.
#[test]
fn a_form_whose_worker_was_killed_is_sent_again_at_once() {
    let edge = Edge::new();
    let link = edge.link();
    let content = large_pdf();
    let most = content.len() as u64 + 300;
    let (app, read) = (&edge.app().id, UntilKilled(Pieces(vec![content.clone()])));
    let put = (edge.service).put_incoming(app, link, "a.pdf".into(), most, read);
    assert!(put.now_or_never().is_none(), "it waits for the rest");
    edge.put_form(link, &content).expect("a file");
}

#[test]
fn a_file_of_a_form_that_is_refused_leaves_nothing() {
    for (content, code) in [
        (vec![], ProblemCode::FileEmpty),
        (vec![0; 9_000_000], ProblemCode::FileTypeNotAccepted),
        ([PDF, &[1; 20_000_000]].concat(), ProblemCode::FileTooLarge),
    ] {
        let edge = Edge::new();
        let link = edge.link();
        assert_eq!(refusal(edge.put_form(link, &content)), code);
        edge.settled(link, 0);
        assert!(edge.service.bucket.stored.borrow().multiparts.is_empty());
    }
}

#[test]
fn what_is_refused_stores_nothing() {
    let edge = Edge::new();
    let link = edge.link();
    assert_eq!(
        refusal(edge.put(link, b"\x7fELF\x02\x01\x01\0", None)),
        ProblemCode::FileTypeNotAccepted
    );
    assert_eq!(
        refusal(edge.put(link, PDF, Some(Sha256::of(b"other")))),
        ProblemCode::DigestMismatch
    );
    assert_eq!(refusal(edge.put(link, b"", None)), ProblemCode::FileEmpty);
    let mut liar = large_pdf();
    liar[..PDF.len()].fill(0);
    assert_eq!(
        refusal(edge.announce(link, &liar)),
        ProblemCode::FileTypeNotAccepted
    );
    edge.settled(link, 0);
}

/// It was a 503 that told of storage, with an error in the log.
#[test]
fn a_body_that_ends_early_is_its_senders_fault() {
    let edge = Edge::new();
    let link = edge.link();
    let feed = Bytes::cut(PDF);
    // As R2 does with a body that is shorter than it was said to be.
    edge.service.bucket.fault.set(("put", Fault::Fail));
    let app = &edge.app().id;
    let length = PDF.len() as u64 + 9;
    let service = &edge.service;
    let put = service.put_file(app, link, "a.pdf".into(), length, None, feed);
    assert_eq!(refusal(block_on(put)), ProblemCode::InvalidRequest);
    edge.settled(link, 0);
}

#[test]
fn a_file_whose_beginning_leaves_its_type_open_is_told_by_its_end() {
    let late = [&[0xaa; 990][..], b"%PDF-1.4\n", &[0xaa; 10_000]].concat();
    let whole = [&late[..], b"startxref\n9\n%%EOF\n"].concat();
    for in_parts in [false, true] {
        let edge = Edge::new();
        let link = edge.link();
        let send = |content: &[u8]| {
            if !in_parts {
                return edge.put(link, content, None).map(drop);
            }
            let upload = edge.announce(link, content)?;
            let parts = edge.send_parts(&upload, content);
            edge.complete(upload.id, content, &parts)
        };
        let refused = send(&late);
        assert!(
            matches!(&refused, Err(Failure::Refused(problem))
                if problem.code == ProblemCode::FileTypeNotAccepted),
            "{refused:?}"
        );
        send(&whole).expect("a file");
        edge.settled(link, 1);
    }
}
