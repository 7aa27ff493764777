//! Who sends to the link: files in every dialect, by requests that know what their answers said.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use chatlift_shared::api::CompleteUpload;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{HEAD_MAX, PART_SIZE, SINGLE_REQUEST_MAX, part_count, part_len};
use chatlift_shared::{AppId, LinkId, UploadId};

use super::feed::{FormFile, Sending, sending};
use super::ports::Port;
use super::rope::{Rope, form_file};
use crate::checksum::{Algorithm, Checksum};
use crate::link::reply::{FoundFile, OpenUpload};
use crate::link::serial;
use crate::link::serial::{Protocol, Role, SerialView};
use crate::ports::{Failure, Links as _};
use crate::service::Service;
use crate::upload::open::Joins;
use crate::upload::receive::{Held, SentPart};
use crate::upload::serial::{Append, Grown, NewSerial};
use crate::upload::ticket::Ticket;

pub(super) type Edge = Service<Port, Port, Port>;

/// What the file has as its number whose bytes come in place of another's.
const OTHERS: usize = 1_000;

/// How a file comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dialect {
    Page,
    Form,
    Tus,
    Resumable,
}

pub(super) const DIALECTS: [Dialect; 4] = [
    Dialect::Page,
    Dialect::Form,
    Dialect::Tus,
    Dialect::Resumable,
];

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum Answered {
    Announced(OpenUpload),
    Part(UploadId, u16, Held),
    Serial(Box<SerialView>),
    Grown(UploadId, Grown),
    File(Box<FoundFile>),
    Nothing,
}

pub(super) type Request = Pin<Box<dyn Future<Output = Result<Answered, Failure>>>>;

/// Somebody with a file.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) file: usize,
    pub(super) dialect: Dialect,
    pub(super) content: Rope,
    name: String,
    /// Whether nobody else joins its uploads, and it knows no digests of its parts.
    alone: bool,
    announced: Option<OpenUpload>,
    /// Where the sender believes that each part goes on.
    staged: BTreeMap<u16, u64>,
    serial: Option<(UploadId, u64)>,
}

impl Sender {
    /// One more, at times with a file of the name and the size of `twin`'s and other bytes.
    pub(super) fn new(file: usize, dialect: Dialect, twin: Option<&Self>, port: &Port) -> Self {
        let draw = |end| port.0.draw(end);
        let small = 1 + draw(3000);
        let size = match draw(6) {
            // In real bytes, so seldom.
            0 if dialect == Dialect::Form && draw(40) == 0 => PART_SIZE + 1 + draw(9),
            _ if dialect == Dialect::Form => small,
            0 => small,
            1 => PART_SIZE,
            2 => PART_SIZE + 1 + draw(9),
            _ => PART_SIZE + draw(PART_SIZE + 9),
        };
        let twin = twin.filter(|_| draw(3) == 0);
        let (name, size) = twin.map_or_else(
            || (format!("{file}.pdf"), size),
            |twin| (twin.name.clone(), twin.size()),
        );
        Self {
            file,
            dialect,
            name,
            alone: draw(5) == 0,
            content: match dialect {
                Dialect::Form => Rope::real(&form_file(file, size)),
                _ => Rope::of(file, size),
            },
            announced: None,
            staged: BTreeMap::new(),
            serial: None,
        }
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) fn size(&self) -> u64 {
        self.content.len()
    }

    /// What it learns of an answer.
    pub(super) fn learn(&mut self, answer: &Result<Answered, Failure>) {
        match answer {
            Ok(Answered::Announced(upload)) => {
                self.staged = upload.staged.iter().map(|s| (s.n, s.offset)).collect();
                self.announced = Some(upload.clone());
            }
            Ok(Answered::Part(_, n, Held::Staged(offset))) => {
                self.staged.insert(*n, *offset);
            }
            Ok(Answered::Serial(view)) => self.serial = Some((view.id, view.offset)),
            Ok(Answered::Grown(upload, Grown::To(offset) | Grown::Cut(offset))) => {
                self.serial = Some((*upload, *offset));
            }
            Err(Failure::Refused(problem)) => match (problem.code.code(), problem.offset) {
                (_, Some(offset)) => {
                    if let Some((_, at)) = &mut self.serial {
                        *at = offset;
                    }
                    self.staged.values_mut().for_each(|at| *at = offset);
                }
                ("upload-aborted" | "upload-not-found" | "upload-ticket-invalid", _) => {
                    (self.announced, self.serial) = (None, None);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Its next request, whatever comes of the last ones.
    pub(super) fn request(&self, edge: &Rc<Edge>, app: &AppId, link: LinkId) -> Request {
        let (edge, app) = (Rc::clone(edge), app.clone());
        match self.dialect {
            Dialect::Form => self.form(edge, app, link),
            Dialect::Tus | Dialect::Resumable => self.serial(edge, app, link),
            Dialect::Page => match &self.announced {
                _ if self.size() <= SINGLE_REQUEST_MAX && edge.links.0.draw(2) == 0 => {
                    self.single(edge, app, link)
                }
                Some(upload) if edge.links.0.draw(8) > 0 => self.part(edge, app, upload),
                _ => self.announce(edge, app, link),
            },
        }
    }

    /// Ends its upload.
    pub(super) fn cancel(&self, edge: &Rc<Edge>) -> Option<Request> {
        let edge = Rc::clone(edge);
        let protocol = self.protocol();
        let (announced, serial) = (self.announced.as_ref().map(|u| u.id), self.serial);
        announced.or(serial.map(|(id, _)| id))?;
        Some(Box::pin(async move {
            match (announced, serial) {
                (Some(upload), _) => edge.abort_upload(upload).await?,
                (_, Some((upload, _))) => edge.abort_serial(upload, protocol).await?,
                _ => {}
            }
            Ok(Answered::Nothing)
        }))
    }

    /// A worker of its serial upload that seals it, whatever has come, and dies.
    pub(super) fn hasty_seal(&self, edge: &Rc<Edge>) -> Option<Request> {
        let (edge, (upload, _)) = (Rc::clone(edge), self.serial?);
        let seal = serial::Seal {
            upload,
            attempt: edge.links.0.draw(u64::MAX),
            sha256: None,
        };
        Some(Box::pin(async move {
            edge.links.execute(upload.link(), seal).await?;
            Ok(Answered::Nothing)
        }))
    }

    fn protocol(&self) -> Protocol {
        match self.dialect {
            Dialect::Resumable => Protocol::Resumable,
            _ => Protocol::Tus,
        }
    }

    /// A body of these bytes, which may be cut. Of one that is `altered` others come in their place.
    fn body(&self, port: &Port, from: u64, to: u64, altered: bool) -> Sending {
        let others = Rope::of(self.file + OTHERS, self.size());
        let bytes = if altered { &others } else { &self.content };
        let cut = port.0.draw(4) == 0;
        let end = if cut {
            from + port.0.draw(to - from)
        } else {
            to
        };
        sending(port, bytes.slice(from, end), cut)
    }

    fn form(&self, edge: Rc<Edge>, app: AppId, link: LinkId) -> Request {
        let draw = |end| edge.links.0.draw(end);
        let bytes = form_file(self.file, self.size());
        let cut = draw(4) == 0;
        let comes = if cut { draw(self.size()) } else { self.size() };
        let comes = usize::try_from(comes).expect("fits");
        let piece = usize::try_from(1 + draw(self.size()))
            .expect("fits")
            .max(comes / 4 + 1);
        let pieces = bytes[..comes].chunks(piece).rev().map(<[u8]>::to_vec);
        let form = FormFile {
            pieces: pieces.collect(),
            cut,
        };
        let (name, most) = (self.name(), self.size() + 300);
        Box::pin(async move {
            let found = edge
                .put_incoming(&app, link, name.into(), most, form)
                .await?;
            Ok(Answered::File(Box::new(found)))
        })
    }

    fn single(&self, edge: Rc<Edge>, app: AppId, link: LinkId) -> Request {
        let (name, size) = (self.name(), self.size());
        let sha256 = (edge.links.0.draw(4) > 0).then(|| self.content.digest());
        let altered = sha256.is_some() && edge.links.0.draw(10) == 0;
        let feed = self.body(&edge.links, 0, size, altered);
        Box::pin(async move {
            let found = edge.put_file(&app, link, name, size, sha256, feed);
            Ok(Answered::File(Box::new(found.await?.0)))
        })
    }

    fn announce(&self, edge: Rc<Edge>, app: AppId, link: LinkId) -> Request {
        let (name, size, head) = (self.name(), self.size(), self.content.head(HEAD_MAX));
        let earlier = self.announced.as_ref().map(|own| self.ticket(&app, own));
        let alone = self.alone;
        Box::pin(async move {
            let earlier = earlier.as_ref();
            let joins = Joins { earlier, alone };
            let announced = edge.announce(&app, link, name.into(), size, &head, joins);
            Ok(Answered::Announced(announced.await?.0))
        })
    }

    fn part(&self, edge: Rc<Edge>, app: AppId, upload: &OpenUpload) -> Request {
        let draw = |end| edge.links.0.draw(end);
        let part_size = upload.multipart.part_size;
        let count = part_count(self.size(), part_size);
        let digests = (1..=count).map(|n| self.part_of(part_size, n).digest());
        let complete = CompleteUpload {
            sha256: Some(self.content.digest()),
            parts_sha256: (!self.alone).then(|| Sha256::of_parts(digests)),
        };
        let id = upload.id;
        match draw(36) {
            0 => {
                let parts_sha256 = Some(Sha256::of(b"of other parts"));
                return Box::pin(async move {
                    let wrong = CompleteUpload {
                        parts_sha256,
                        ..complete
                    };
                    let found = edge.complete(&app, id, wrong).await?;
                    // Of a file that was deleted no digests are kept.
                    let deleted = found.file.deleted_at.is_some();
                    assert!(deleted, "a file of other parts than its sender says");
                    Ok(Answered::Nothing)
                });
            }
            1..6 => {
                return Box::pin(async move {
                    let found = edge.complete(&app, id, complete).await?;
                    Ok(Answered::File(Box::new(found)))
                });
            }
            _ => {}
        }
        let ticket = self.ticket(&app, upload);
        let n = 1 + draw(count);
        let whole = self.part_of(part_size, n);
        let (begin, length) = ((n - 1) * part_size, whole.len());
        let part = SentPart {
            n,
            sha256: (!self.alone).then(|| whole.digest()),
            complete: (draw(2) == 0).then_some(complete),
        };
        let known = u16::try_from(n).expect("few parts");
        let altered = !self.alone && draw(10) == 0;
        if altered {
            edge.links.0.altered.borrow_mut().insert(id);
        }
        if self.alone || draw(2) == 0 {
            let feed = self.body(&edge.links, begin, begin + length, altered);
            return Box::pin(async move {
                let sent = edge.put_part(&ticket, part, None, length, feed).await?;
                Ok(Answered::Part(id, known, sent))
            });
        }
        let believed = self.staged.get(&known).copied().unwrap_or(0);
        let offset = if draw(10) == 0 {
            draw(length)
        } else {
            believed.min(length)
        };
        let left = length - offset;
        let length = if draw(2) == 0 { left } else { draw(left + 1) };
        let (from, to) = (begin + offset, begin + offset + length);
        let feed = self.body(&edge.links, from, to, altered);
        Box::pin(async move {
            let sent = edge.put_part(&ticket, part, Some(offset), length, feed);
            Ok(Answered::Part(id, known, sent.await?))
        })
    }

    fn ticket(&self, app: &AppId, upload: &OpenUpload) -> Ticket {
        Ticket {
            upload: upload.id,
            app: app.clone(),
            r2_upload_id: upload.multipart.r2_upload_id.clone(),
            size: self.size(),
            part_size: upload.multipart.part_size,
            expires_at: u64::MAX,
        }
    }

    pub(super) fn part_of(&self, part_size: u64, n: u64) -> Rope {
        let length = part_len(self.size(), part_size, n).expect("a part of it");
        let begin = (n - 1) * part_size;
        self.content.slice(begin, begin + length)
    }

    fn serial(&self, edge: Rc<Edge>, app: AppId, link: LinkId) -> Request {
        let draw = |end| edge.links.0.draw(end);
        let (protocol, size) = (self.protocol(), self.size());
        let Some((upload, offset)) = self.serial else {
            let known = protocol == Protocol::Tus || draw(2) == 0;
            let new = NewSerial {
                protocol,
                role: Role::File,
                label: self.name().into(),
                length: known.then_some(size),
                metadata: String::new(),
                sha256: (draw(4) == 0).then(|| self.content.digest()),
            };
            return Box::pin(async move {
                let view = edge.open_serial(&app, link, new).await?;
                Ok(Answered::Serial(Box::new(view)))
            });
        };
        if draw(5) == 0 {
            return Box::pin(async move {
                let view = edge.look(&app, upload, protocol).await?;
                Ok(Answered::Serial(Box::new(view)))
            });
        }
        let offset = if draw(16) == 0 { draw(size) } else { offset };
        let left = size.saturating_sub(offset);
        let length = if draw(4) > 0 { left } else { draw(left + 1) };
        let checksum = (protocol == Protocol::Tus && draw(5) == 0).then(|| {
            let right = self.content.slice(offset, offset + length).digest();
            let wrong = Sha256::of(b"another");
            let digest = if draw(4) == 0 { wrong } else { right };
            Checksum {
                algorithm: Algorithm::Sha256,
                digest: digest.0.to_vec(),
            }
        });
        let altered = checksum.is_some() && draw(4) == 0;
        let feed = self.body(&edge.links, offset, offset + length, altered);
        let ends = offset + length == size;
        let append = Append {
            protocol,
            offset,
            length: (draw(4) > 0).then_some(length),
            total: None,
            checksum,
            last: (protocol == Protocol::Resumable).then_some(ends),
        };
        Box::pin(async move {
            let (grown, _) = edge.append(&app, upload, append, feed).await?;
            Ok(match grown {
                Grown::File(found) => Answered::File(found),
                grown => Answered::Grown(upload, grown),
            })
        })
    }
}
