//! Uploads of a sender that computes no digests, as a page in plain HTTP cannot.

use super::*;
use crate::link::reply::FoundFile;

/// A file that was announced to be alone.
struct Alone {
    edge: Edge,
    link: LinkId,
    content: Vec<u8>,
}

impl Alone {
    fn new() -> Self {
        let edge = Edge::new();
        let link = edge.link();
        let content = large_pdf();
        Self {
            edge,
            link,
            content,
        }
    }

    fn announce(&self, earlier: Option<&Ticket>) -> (OpenUpload, bool) {
        let (service, app) = (&self.edge.service, &self.edge.app().id);
        let (size, head) = (self.content.len() as u64, &self.content[..4096]);
        let joins = Joins {
            earlier,
            alone: true,
        };
        let announced = service.announce(app, self.link, "a.pdf".into(), size, head, joins);
        block_on(announced).expect("an upload")
    }

    /// Sends part `n` of these bytes, without a digest.
    fn send(&self, upload: &OpenUpload, n: usize, content: &[u8]) -> Result<Held, Failure> {
        let size = usize::try_from(upload.multipart.part_size).expect("fits");
        let bytes = content.chunks(size).nth(n - 1).expect("a part");
        let part = SentPart {
            n: n as u64,
            sha256: None,
            complete: None,
        };
        let (ticket, feed) = (self.edge.ticket(upload), Bytes::new(bytes.to_vec()));
        let put = self
            .edge
            .service
            .put_part(&ticket, part, None, bytes.len() as u64, feed);
        block_on(put)
    }

    fn complete(&self, upload: &OpenUpload) -> Result<FoundFile, Failure> {
        let (service, app) = (&self.edge.service, &self.edge.app().id);
        let request = CompleteUpload {
            sha256: None,
            parts_sha256: None,
        };
        block_on(service.complete(app, upload.id, request))
    }
}

#[test]
fn a_file_whose_sender_computes_no_digests_is_checked_by_the_edges_own() {
    let scene = Alone::new();
    let (upload, _) = scene.announce(None);
    for n in 1..=3 {
        assert_eq!(scene.send(&upload, n, &scene.content), Ok(Held::Part));
    }
    let found = scene.complete(&upload).expect("a file");
    let size = usize::try_from(upload.multipart.part_size).expect("fits");
    let digests: Vec<_> = scene.content.chunks(size).map(Sha256::of).collect();
    assert_eq!(found.file.parts.expect("its parts").sha256, digests);
    // Asked again: the same file.
    assert_eq!(scene.complete(&upload).expect("it").file.id, found.file.id);
    scene.edge.settled(scene.link, 1);
}

#[test]
fn an_upload_that_is_alone_is_found_by_its_ticket_and_by_nothing_else() {
    let scene = Alone::new();
    let (first, new) = scene.announce(None);
    assert!(new);
    assert_eq!(scene.send(&first, 2, &scene.content), Ok(Held::Part));
    // Another file of its name and size, by a sender of either kind.
    let (second, _) = scene.announce(None);
    let digesting = scene.edge.announce(scene.link, &scene.content).expect("it");
    for other in [&second, &digesting] {
        assert_ne!(other.id, first.id);
        assert_eq!(other.parts, []);
    }
    assert_ne!(second.id, digesting.id);
    // Where a digesting sender's waits, it is still joined by none that computes no digests.
    assert_ne!(scene.announce(None).0.id, digesting.id);
    let ticket = scene.edge.ticket(&first);
    let (again, new) = scene.announce(Some(&ticket));
    assert_eq!((again.id, new, again.sealed), (first.id, false, false));
    assert_eq!(
        again.parts.iter().map(|part| part.n).collect::<Vec<_>>(),
        [2]
    );
    for n in [1, 3] {
        assert_eq!(scene.send(&first, n, &scene.content), Ok(Held::Part));
    }
    let found = scene.complete(&first).expect("a file");
    // Stored, it is told to who has its ticket.
    let (stored, _) = scene.announce(Some(&ticket));
    assert_eq!((stored.id, stored.sealed), (first.id, true));
    assert_eq!(scene.complete(&stored).expect("it").file.id, found.file.id);
}

/// Others may have sent parts of another file of its name and size.
#[test]
fn an_upload_that_others_may_join_is_not_completed_without_digests() {
    let scene = Alone::new();
    let joined = scene.edge.announce(scene.link, &scene.content).expect("it");
    for n in 1..=3 {
        assert_eq!(scene.send(&joined, n, &scene.content), Ok(Held::Part));
    }
    assert_eq!(
        refusal(scene.complete(&joined)),
        ProblemCode::InvalidRequest
    );
    let parts = scene.edge.send_parts(&joined, &scene.content);
    let whole = scene.edge.complete(joined.id, &scene.content, &parts);
    whole.expect("a file");
}
