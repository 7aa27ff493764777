//! A file in parts, and parts in chunks.

use chatlift_shared::api::StagedPart;
use chatlift_shared::limits::{part_count, part_len};

use super::*;

impl Large {
    /// Sends a chunk of part 1, which has this digest as is said; its body may be cut.
    fn chunk(&self, said: Sha256, offset: u64, length: u64, body: &[u8]) -> Result<Held, Failure> {
        let (ticket, feed) = (self.ticket(), Bytes::new(body.to_vec()));
        let service = &self.edge.service;
        block_on(service.put_part(&ticket, part(1, said), Some(offset), length, feed))
    }

    fn staged_parts(&self) -> usize {
        self.edge.service.links.staged.borrow().len()
    }

    /// Sends part 1 in pieces, the first of which was cut short.
    fn send_part_1_in_chunks(&self) {
        let part = self.part(1);
        let chunk = |offset: usize, length: usize, arrives: usize| {
            let body = &part[offset..offset + arrives];
            self.chunk(self.parts[0], offset as u64, length as u64, body)
        };
        assert_eq!(chunk(0, 1000, 700), Ok(Held::Staged(700)));
        let elsewhere = chunk(1000, 500, 500);
        assert_eq!(refusal(elsewhere), ProblemCode::OffsetDiffers);
        assert_eq!(chunk(700, 300, 300), Ok(Held::Staged(1000)));
        let rest = part.len() - 1000;
        assert_eq!(
            refusal(chunk(1000, rest + 1, 0)),
            ProblemCode::PartSizeWrong
        );
        // The chunk that ends the part is cut too.
        assert_eq!(chunk(1000, rest, 500), Ok(Held::Staged(1500)));
        assert_eq!(chunk(1500, rest - 500, rest - 500), Ok(Held::Part));
        assert_eq!(self.staged_parts(), 0);
    }
}

#[test]
fn a_large_file_is_stored_from_its_parts() {
    let large = Large::new();
    let (size, part_size) = (large.upload.size, large.upload.multipart.part_size);
    assert_eq!(part_count(size, part_size), 3);
    assert_eq!(part_len(size, part_size, 3), Some(5));
    large.stored();
    large.complete().expect("the same file");
    large.edge.settled(large.link, 1);
}

/// A part with the wrong digest had replaced the right one in R2, and the upload could never be
/// completed.
#[test]
fn a_part_that_was_overwritten_is_asked_for_again() {
    let large = Large::new();
    large.send_parts();
    assert_eq!(
        refusal(large.put(part(3, large.parts[2]), b"wrong")),
        ProblemCode::DigestMismatch
    );
    assert_eq!(refusal(large.complete()), ProblemCode::PartsMissing);
    large.send_parts();
    // Two requests for one part that crossed: R2 kept the other one.
    let mut stored = large.edge.service.bucket.stored.borrow_mut();
    let multipart = stored
        .multiparts
        .get_mut(&large.upload.multipart.r2_upload_id);
    multipart
        .expect("the multipart upload")
        .insert(3, b"other".to_vec());
    drop(stored);
    assert_eq!(refusal(large.complete()), ProblemCode::PartsMissing);
    large.stored();
}

#[test]
fn chunks_become_a_part_and_a_cut_one_counts_as_far_as_it_came() {
    let large = Large::new();
    large.send_part_1_in_chunks();
    assert_eq!(large.known().parts.len(), 1);
    large.stored();
}

#[test]
fn where_memory_is_short_parts_go_by_way_of_the_rows() {
    let large = Large::new();
    let (ticket, service) = (large.ticket(), &large.edge.service);
    let send = |n: usize, offset: usize, arrives: usize| {
        let (whole, sent) = (large.part(n), part(n as u64, large.parts[n - 1]));
        let mut feed = Bytes::new(whole[offset..offset + arrives].to_vec());
        feed.keeps = false;
        let length = (whole.len() - offset) as u64;
        let offset = (offset > 0).then_some(offset as u64);
        block_on(service.put_part(&ticket, sent, offset, length, feed))
    };
    let size = large.part(1).len();
    assert_eq!(send(1, 0, 700), Ok(Held::Staged(700)));
    assert_eq!(send(1, 700, 800), Ok(Held::Staged(1500)));
    assert_eq!(send(1, 1500, size - 1500), Ok(Held::Part));
    assert_eq!(send(2, 0, size), Ok(Held::Part));
    assert_eq!((large.staged_parts(), large.known().parts.len()), (0, 2));
    large.stored();
}

#[test]
fn a_whole_part_that_is_cut_counts_as_far_as_it_came() {
    let large = Large::new();
    let (ticket, service) = (large.ticket(), &large.edge.service);
    let feed = Bytes::new(large.part(1)[..700].to_vec());
    let length = large.part(1).len() as u64;
    let put = service.put_part(&ticket, part(1, large.parts[0]), None, length, feed);
    assert_eq!(block_on(put), Ok(Held::Staged(700)));
    assert_eq!(large.known().staged, [StagedPart { n: 1, offset: 700 }]);
    // A browser sends it again, of itself: nothing more of it is taken.
    service.world.again.set(true);
    let again = large.put(part(1, large.parts[0]), large.part(1));
    assert_eq!(refusal(again), ProblemCode::OffsetDiffers);
    service.world.again.set(false);
    assert_eq!(large.known().staged, [StagedPart { n: 1, offset: 700 }]);
    large.stored();
}

#[test]
fn bytes_of_a_part_that_another_request_made_whole_are_refused_with_its_end_where_it_is_held() {
    let large = Large::new();
    large.send_part_1_in_chunks();
    let late = |said, offset| large.chunk(said, offset, 9, &[7; 9]);
    let size = large.part(1).len() as u64;
    for offset in [1000, 0] {
        match late(large.parts[0], offset) {
            Err(Failure::Refused(problem)) => assert_eq!(problem.offset, Some(size)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(large.chunk(large.parts[0], size, 0, &[]), Ok(Held::Part));
    assert_eq!(large.staged_parts(), 0);
    // Of another file, the part is taken anew.
    let other = Sha256::of(b"another file's part");
    assert_eq!(refusal(late(other, 1000)), ProblemCode::OffsetDiffers);
    assert_eq!(late(other, 0), Ok(Held::Staged(9)));
    large.stored();
}

#[test]
fn a_beginning_of_another_file_is_not_joined() {
    let large = Large::new();
    let other = Sha256::of(b"another file's part");
    let first = large.chunk(other, 0, 9, b"%PDF-9.9\n");
    assert_eq!(first, Ok(Held::Staged(9)));
    assert_eq!(large.known().staged, [StagedPart { n: 1, offset: 9 }]);
    let rest = &large.part(1)[9..];
    let joined = large.chunk(large.parts[0], 9, rest.len() as u64, rest);
    assert_eq!(refusal(joined), ProblemCode::DigestMismatch);
    large.stored();
}

#[test]
fn a_type_that_was_announced_and_not_sent_is_refused_in_the_end() {
    let Large {
        edge,
        link,
        content: mut other,
        upload,
        ..
    } = Large::new();
    other[..PDF.len()].fill(0);
    let parts = edge.send_parts(&upload, &other);
    assert_eq!(
        refusal(edge.complete(upload.id, &other, &parts)),
        ProblemCode::FileTypeNotAccepted
    );
    edge.settled(link, 0);
}

#[test]
fn revoking_removes_what_was_under_way() {
    let large = Large::new();
    let edge = &large.edge;
    large.send_parts();
    block_on(edge.service.revoke(edge.app(), large.link)).expect("revoked");
    assert_eq!(refusal(large.complete()), ProblemCode::LinkRevoked);
    edge.settled(large.link, 0);
    assert!(edge.service.bucket.stored.borrow().multiparts.is_empty());
}

/// The answer was a 503, and a client tried for ever.
#[test]
fn a_part_for_an_upload_that_was_cancelled_is_told_so() {
    let large = Large::new();
    block_on(large.edge.service.abort_upload(large.upload.id)).expect("cancelled");
    large.edge.recover();
    let late = large.put(part(3, Sha256::of(b"bytes")), b"bytes");
    assert_eq!(refusal(late), ProblemCode::UploadAborted);
}
