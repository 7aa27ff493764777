//! A digest is a fact, or it is not there: what a sender says of the whole file is told to nobody.

use serde_json::{Value, to_value};

use super::*;
use crate::link::reply::FoundFile;

const LIE: &[u8] = b"what the sender says that it is";

impl Large {
    /// Has it completed with a digest of the whole that is not its own.
    fn complete_with_a_lie(&self) -> FoundFile {
        let request = CompleteUpload {
            sha256: Sha256::of(LIE).into(),
            parts_sha256: Some(Sha256::of_parts(self.parts.iter().copied())),
        };
        let (service, app) = (&self.edge.service, &self.edge.app().id);
        block_on(service.complete(app, self.upload.id, request)).expect("a file")
    }

    /// The one event of its link, as it is sent.
    fn told(&self) -> Value {
        let links = self.edge.service.links.links.borrow();
        let event = links[&self.link].events.values().next().expect("an event");
        serde_json::from_str(&event.body).expect("JSON")
    }
}

/// It was in the event, in the record, in `Repr-Digest`, and in what another person was told.
#[test]
fn a_lie_about_the_whole_is_told_to_nobody() {
    let large = Large::new();
    large.send_parts();
    let found = large.complete_with_a_lie();
    let lie = Sha256::of(LIE).to_string();
    for told in [to_value(&found).expect("JSON"), large.told()] {
        assert!(!told.to_string().contains(&lie), "{told}");
    }
    let parts = to_value(&large.parts).expect("JSON");
    assert_eq!(large.told()["data"]["file"]["parts"]["sha256"], parts);
}

/// The other person's file was taken for the liar's, and never sent.
#[test]
fn a_lie_about_the_whole_takes_nothing_from_another_person() {
    let large = Large::new();
    large.send_parts();
    large.complete_with_a_lie();
    // Of the same name and size, and what the liar said that theirs was.
    let mut content = large.content.clone();
    content.pop();
    content.push(8);
    let upload = large
        .edge
        .announce(large.link, &content)
        .expect("an upload");
    assert!(upload.parts.is_empty());
    let request = CompleteUpload {
        sha256: Sha256::of(LIE).into(),
        parts_sha256: Some(Sha256::of(b"whatever")),
    };
    let (service, app) = (&large.edge.service, &large.edge.app().id);
    let refused = refusal(block_on(service.complete(app, upload.id, request)));
    assert_eq!(refused, ProblemCode::PartsMissing);
}

/// The bytes of the second were never read.
#[test]
fn a_file_that_only_claims_a_stored_ones_digest_is_refused() {
    let edge = Edge::new();
    let link = edge.link();
    edge.put(link, PDF, Some(Sha256::of(PDF))).expect("a file");
    let mut other = PDF.to_vec();
    other.pop();
    other.push(b'!');
    let refused = refusal(edge.put(link, &other, Some(Sha256::of(PDF))));
    assert_eq!(refused, ProblemCode::DigestMismatch);
    edge.settled(link, 1);
}
