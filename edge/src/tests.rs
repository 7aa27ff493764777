//! The service against a bucket and links in memory. The bucket can store and then report
//! failure, and any step can be the last one before the worker dies.

mod alone;
mod bytes;
mod digests;
mod faults;
mod flow;
mod forms;
mod fuzz;
mod http;
mod instructions;
mod last_part;
mod lies;
mod manage;
mod memory;
mod model;
mod parts;
mod planted;
mod serial;
mod simulation;
mod whole;

use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

use chatlift_shared::api::{CompleteUpload, CreateLink, EventState, LinkState as Status};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::PART_SIZE;
use chatlift_shared::{LinkId, ProblemCode, Timestamp, UploadId};
use futures::executor::block_on;

use self::bytes::Bytes;
use self::memory::{Backend, Clock, Fault, List, Memory, Objects};
use crate::config::{App, Config, tests as config};
use crate::link::command;
use crate::link::reply::OpenUpload;
use crate::link::work::{STUCK_AFTER, due};
use crate::ports::{Failure, Links as _};
use crate::service::Service;
use crate::upload::open::Joins;
use crate::upload::receive::{Held, SentPart};
use crate::upload::ticket::Ticket;

struct Edge {
    service: Service<Objects, Memory, Clock>,
    config: Config,
    backend: Backend,
    list: Rc<List>,
}

impl Edge {
    fn new() -> Self {
        let now = Rc::new(Cell::new(Timestamp::from_secs(1_795_000_000)));
        let edge = Self {
            service: Service {
                links: Objects {
                    links: Rc::default(),
                    held: Rc::default(),
                    staged: Rc::default(),
                    now: Rc::clone(&now),
                    left: Rc::new(Cell::new(usize::MAX)),
                },
                bucket: Memory {
                    stored: Rc::default(),
                    fault: Rc::new(Cell::new(("", Fault::None))),
                },
                world: Clock {
                    now,
                    drawn: Rc::default(),
                    again: Rc::default(),
                },
            },
            config: Config::check(&config::raw()).expect("a good config"),
            backend: Backend::default(),
            list: Rc::default(),
        };
        edge.backend.up.set(true);
        edge.list.up.set(true);
        edge
    }

    fn app(&self) -> &App {
        self.config
            .app(&"demo".parse().expect("an app id"))
            .expect("the app")
    }

    fn create(&self, key: Option<&str>, subject: &str) -> Result<LinkId, Failure> {
        let request = CreateLink {
            subject: Some(subject.into()),
            ..CreateLink::new("docs".parse().expect("a scene id"))
        };
        block_on(
            self.service
                .create_link(&self.config, self.app(), request, key),
        )
        .map(|view| view.link.id)
    }

    fn link(&self) -> LinkId {
        self.create(None, "s").expect("a link")
    }

    fn put(&self, link: LinkId, body: &[u8], sha256: Option<Sha256>) -> Result<Sha256, Failure> {
        let length = body.len() as u64;
        let app = &self.app().id;
        let feed = Bytes::new(body.to_vec());
        block_on(
            self.service
                .put_file(app, link, "a.pdf".into(), length, sha256, feed),
        )
        .map(|(found, _)| found.file.sha256.expect("a digest"))
    }

    fn announce(&self, link: LinkId, content: &[u8]) -> Result<OpenUpload, Failure> {
        let head = &content[..content.len().min(4096)];
        let size = content.len() as u64;
        block_on(self.service.announce(
            &self.app().id,
            link,
            "a.pdf".into(),
            size,
            head,
            Joins::default(),
        ))
        .map(|(upload, _)| upload)
    }

    fn ticket(&self, upload: &OpenUpload) -> Ticket {
        Ticket {
            upload: upload.id,
            app: self.app().id.clone(),
            r2_upload_id: upload.multipart.r2_upload_id.clone(),
            size: upload.size,
            part_size: upload.multipart.part_size,
            expires_at: u64::MAX,
        }
    }

    fn send_parts(&self, upload: &OpenUpload, content: &[u8]) -> Vec<Sha256> {
        let ticket = self.ticket(upload);
        let size = usize::try_from(upload.multipart.part_size).expect("fits");
        (1_u64..)
            .zip(content.chunks(size))
            .map(|(n, part)| {
                let sha256 = Sha256::of(part);
                let (sent, length) = (self::part(n, sha256), part.len() as u64);
                let feed = Bytes::new(part.to_vec());
                let put = self.service.put_part(&ticket, sent, None, length, feed);
                assert_eq!(block_on(put), Ok(Held::Part));
                sha256
            })
            .collect()
    }

    fn complete(&self, upload: UploadId, content: &[u8], parts: &[Sha256]) -> Result<(), Failure> {
        let request = CompleteUpload {
            sha256: Some(Sha256::of(content)),
            parts_sha256: Some(Sha256::of_parts(parts.iter().copied())),
        };
        block_on(self.service.complete(&self.app().id, upload, request)).map(drop)
    }

    /// Starts the worker again, lets time pass, and lets the alarm do all that is due by then.
    fn recover(&self) {
        self.service.links.left.set(usize::MAX);
        self.service.bucket.fault.set(("", Fault::None));
        for _ in 0..20 {
            let now = self.service.links.now.get().plus(Duration::from_secs(60));
            self.service.links.now.set(now);
            let links: Vec<LinkId> = self.service.links.links.borrow().keys().copied().collect();
            for link in links {
                block_on(self.service.links.execute(link, command::Tick)).expect("a tick");
                let state = self.service.links.links.borrow()[&link].clone();
                for work in due(&state, now) {
                    let done = self.service.perform(
                        link,
                        &state.link.policy,
                        work,
                        &self.backend,
                        &self.list,
                    );
                    block_on(done).expect("work");
                }
            }
        }
    }

    /// After recovery: what is stored is referenced, and every file was told of once.
    fn check(&self, link: LinkId, files: usize) {
        let state = self.service.links.links.borrow()[&link].clone();
        let stored = self.service.bucket.stored.borrow();
        assert_eq!(state.files().len(), files, "files");
        let mut keys: Vec<String> = state
            .files()
            .iter()
            .map(|f| state.key(UploadId::new(link, f.id.suffix())))
            .collect();
        keys.sort();
        assert_eq!(
            stored.objects.keys().cloned().collect::<Vec<_>>(),
            keys,
            "objects"
        );
        for file in state.files() {
            let key = state.key(UploadId::new(link, file.id.suffix()));
            let whole = Sha256::of(&stored.objects[&key]);
            assert!(file.sha256.is_none_or(|told| told == whole), "content");
        }
        let told = self.backend.heard.borrow().len();
        let ended = usize::from(matches!(
            state.link.status,
            Status::Completed | Status::Revoked
        ));
        assert_eq!(told, files + ended, "events");
        assert!(
            state
                .events
                .values()
                .all(|e| e.state == EventState::Acknowledged)
        );
        assert!(state.cleanups.is_empty(), "{:?}", state.cleanups);
    }

    /// As [`Self::recover`] and then [`Self::check`].
    fn settled(&self, link: LinkId, files: usize) {
        self.recover();
        self.check(link, files);
    }
}

/// A large file that is announced to an edge of its own.
struct Large {
    edge: Edge,
    link: LinkId,
    content: Vec<u8>,
    upload: OpenUpload,
    /// The digests of its parts.
    parts: Vec<Sha256>,
}

impl Large {
    fn new() -> Self {
        let edge = Edge::new();
        let link = edge.link();
        let content = large_pdf();
        let upload = edge.announce(link, &content).expect("an upload");
        let size = usize::try_from(upload.multipart.part_size).expect("fits");
        Self {
            edge,
            link,
            parts: content.chunks(size).map(Sha256::of).collect(),
            content,
            upload,
        }
    }

    /// Part `n`, which counts from 1.
    fn part(&self, n: usize) -> &[u8] {
        let size = usize::try_from(self.upload.multipart.part_size).expect("fits");
        self.content.chunks(size).nth(n - 1).expect("a part")
    }

    fn ticket(&self) -> Ticket {
        self.edge.ticket(&self.upload)
    }

    /// Announces it again.
    fn known(&self) -> OpenUpload {
        let known = self.edge.announce(self.link, &self.content);
        known.expect("the upload")
    }

    /// Sends a part.
    fn put(&self, part: SentPart, bytes: &[u8]) -> Result<Held, Failure> {
        let ticket = self.ticket();
        let service = &self.edge.service;
        let feed = Bytes::new(bytes.to_vec());
        block_on(service.put_part(&ticket, part, None, bytes.len() as u64, feed))
    }

    fn send_parts(&self) {
        let sent = self.edge.send_parts(&self.upload, &self.content);
        assert_eq!(sent, self.parts);
    }

    fn complete(&self) -> Result<(), Failure> {
        let (edge, upload) = (&self.edge, self.upload.id);
        edge.complete(upload, &self.content, &self.parts)
    }

    /// Sends all that it has, whatever was sent before, and it is stored once.
    fn stored(&self) {
        self.send_parts();
        self.complete().expect("a file");
        self.edge.settled(self.link, 1);
    }
}

fn refusal(result: Result<impl core::fmt::Debug, Failure>) -> ProblemCode {
    match result {
        Err(Failure::Refused(problem)) => problem.code,
        other => panic!("no refusal: {other:?}"),
    }
}

const PDF: &[u8] = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n";

fn large_pdf() -> Vec<u8> {
    let mut content = PDF.to_vec();
    content.resize(usize::try_from(2 * PART_SIZE + 5).expect("fits"), 7);
    content
}

fn part(n: u64, sha256: Sha256) -> SentPart {
    SentPart {
        n,
        sha256: Some(sha256),
        complete: None,
    }
}
