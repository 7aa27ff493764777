//! The last part of an upload, which makes it a file in the same request.

use super::*;

/// An upload of which all parts are there but the last, and what the last is sent with.
struct Scene {
    edge: Edge,
    link: LinkId,
    content: Vec<u8>,
    upload: OpenUpload,
    parts: Vec<Sha256>,
}

impl Scene {
    fn new() -> Self {
        let edge = Edge::new();
        let link = edge.link();
        let content = large_pdf();
        let upload = edge.announce(link, &content).expect("an upload");
        let size = usize::try_from(upload.multipart.part_size).expect("fits");
        let parts: Vec<Sha256> = content.chunks(size).map(Sha256::of).collect();
        let scene = Self {
            edge,
            link,
            content,
            upload,
            parts,
        };
        for n in 1..scene.parts.len() {
            assert_eq!(scene.send(n), Ok(Sent::Part));
        }
        scene
    }

    /// Sends part `n`, to complete the upload with it.
    fn send(&self, n: usize) -> Result<Sent, Failure> {
        let complete = CompleteUpload {
            sha256: Sha256::of(&self.content),
            parts_sha256: Sha256::of_parts(self.parts.iter().copied()),
        };
        self.send_with(n, complete)
    }

    fn send_with(&self, n: usize, complete: CompleteUpload) -> Result<Sent, Failure> {
        let size = usize::try_from(self.upload.multipart.part_size).expect("fits");
        let bytes = self.content.chunks(size).nth(n - 1).expect("a part");
        let sent = SentPart {
            n: n as u64,
            sha256: Some(self.parts[n - 1]),
            complete: Some(complete),
        };
        let ticket = self.edge.ticket(&self.upload);
        let put = self
            .edge
            .service
            .put_part(&ticket, sent, bytes.len() as u64, bytes.to_vec());
        block_on(put)
    }

    fn complete(&self) -> Result<(), Failure> {
        self.edge
            .complete(self.upload.id, &self.content, &self.parts)
    }
}

#[test]
fn it_makes_the_file() {
    let scene = Scene::new();
    let sent = scene.send(scene.parts.len());
    assert!(
        matches!(&sent, Ok(Sent::File(found)) if found.file.size == scene.content.len() as u64),
        "{sent:?}"
    );
    // Whoever did not hear of it asks, or sends it once more.
    scene.complete().expect("the file");
    scene.edge.recover();
    scene.edge.check(scene.link, 1);
}

#[test]
fn it_is_kept_when_the_digests_are_not_those_of_the_parts() {
    let scene = Scene::new();
    let wrong = CompleteUpload {
        sha256: Sha256::of(&scene.content),
        parts_sha256: Sha256::of(b"of other parts"),
    };
    let last = scene.parts.len();
    assert_eq!(scene.send_with(last, wrong), Ok(Sent::Part));
    scene.complete().expect("a file");
    scene.edge.recover();
    scene.edge.check(scene.link, 1);
}

#[test]
fn a_worker_that_dies_with_it_loses_and_doubles_nothing() {
    for left in 1..4 {
        let scene = Scene::new();
        scene.edge.service.links.left.set(left);
        let sent = scene.send(scene.parts.len());
        scene.edge.recover();
        // The page asks whether it is a file now, and sends what is missing.
        if !matches!(sent, Ok(Sent::File(_))) {
            if let Err(Failure::Refused(problem)) = scene.complete() {
                assert_eq!(problem.code, ProblemCode::PartsMissing);
                scene.send(scene.parts.len()).expect("the part");
            }
            scene.complete().expect("a file");
        }
        scene.edge.recover();
        scene.edge.check(scene.link, 1);
    }
}

#[test]
fn a_bucket_that_fails_with_it_loses_and_doubles_nothing() {
    for operation in ["put part", "complete", "head", "read head"] {
        for fault in [Fault::Fail, Fault::DoThenFail] {
            let scene = Scene::new();
            scene.edge.service.bucket.fault.set((operation, fault));
            let sent = scene.send(scene.parts.len());
            scene.edge.recover();
            if sent.is_err() {
                if operation == "put part" {
                    scene.send(scene.parts.len()).expect("the part");
                }
                scene.complete().expect("a file");
            }
            scene.edge.recover();
            scene.edge.check(scene.link, 1);
        }
    }
}
