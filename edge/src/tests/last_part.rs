//! The last part of an upload, which makes it a file in the same request.

use super::*;

/// A large file of which all parts are there but the last.
fn almost() -> Large {
    let large = Large::new();
    for n in 1..large.parts.len() {
        assert_eq!(large.send(n), Ok(Held::Part));
    }
    large
}

impl Large {
    /// Sends part `n`, to complete the upload with it.
    fn send(&self, n: usize) -> Result<Held, Failure> {
        let parts_sha256 = Sha256::of_parts(self.parts.iter().copied());
        self.send_with(n, parts_sha256)
    }

    fn send_with(&self, n: usize, parts_sha256: Sha256) -> Result<Held, Failure> {
        let complete = CompleteUpload {
            sha256: Some(Sha256::of(&self.content)),
            parts_sha256: Some(parts_sha256),
        };
        let part = SentPart {
            n: n as u64,
            sha256: Some(self.parts[n - 1]),
            complete: Some(complete),
        };
        self.put(part, self.part(n))
    }
}

#[test]
fn it_makes_the_file() {
    let large = almost();
    let sent = large.send(large.parts.len());
    assert!(
        matches!(&sent, Ok(Held::File(found)) if found.file.size == large.content.len() as u64),
        "{sent:?}"
    );
    // Whoever did not hear of it asks, or sends it once more.
    large.complete().expect("the file");
    large.edge.settled(large.link, 1);
}

#[test]
fn it_is_kept_when_the_digests_are_not_those_of_the_parts() {
    let large = almost();
    let wrong = Sha256::of(b"of other parts");
    let last = large.parts.len();
    assert_eq!(large.send_with(last, wrong), Ok(Held::Part));
    large.complete().expect("a file");
    large.edge.settled(large.link, 1);
}

#[test]
fn a_worker_that_dies_with_it_loses_and_doubles_nothing() {
    for left in 1..4 {
        let large = almost();
        large.edge.service.links.left.set(left);
        let sent = large.send(large.parts.len());
        large.edge.recover();
        // The page asks whether it is a file now, and sends what is missing.
        if !matches!(sent, Ok(Held::File(_))) {
            if let Err(Failure::Refused(problem)) = large.complete() {
                assert_eq!(problem.code, ProblemCode::PartsMissing);
                large.send(large.parts.len()).expect("the part");
            }
            large.complete().expect("a file");
        }
        large.edge.settled(large.link, 1);
    }
}

#[test]
fn a_bucket_that_fails_with_it_loses_and_doubles_nothing() {
    for operation in ["put part", "complete", "head", "read head"] {
        for fault in [Fault::Fail, Fault::DoThenFail] {
            let large = almost();
            large.edge.service.bucket.fault.set((operation, fault));
            let sent = large.send(large.parts.len());
            large.edge.recover();
            if sent.is_err() {
                if operation == "put part" {
                    large.send(large.parts.len()).expect("the part");
                }
                large.complete().expect("a file");
            }
            large.edge.settled(large.link, 1);
        }
    }
}
