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
use crate::link::serial::{Protocol, Role, SerialView};
use crate::ports::Failure;
use crate::service::Service;
use crate::upload::open::Joins;
use crate::upload::parts::{Sent, SentPart};
use crate::upload::serial::{Append, Grown, NewSerial};
use crate::upload::ticket::Ticket;

pub(super) type Edge = Service<Port, Port, Port>;

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
    Part(UploadId, u16, Sent),
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
    announced: Option<OpenUpload>,
    /// Where the sender believes that each part goes on.
    staged: BTreeMap<u16, u64>,
    serial: Option<(UploadId, u64)>,
}

impl Sender {
    pub(super) fn new(file: usize, dialect: Dialect, port: &Port) -> Self {
        let draw = |end| port.0.draw(end);
        let small = 1 + draw(3000);
        let (size, dialect) = match draw(6) {
            // In real bytes, so seldom.
            0 if dialect == Dialect::Form && draw(40) == 0 => (PART_SIZE + 1 + draw(9), dialect),
            _ if dialect == Dialect::Form => (small, dialect),
            0 => (small, dialect),
            1 => (PART_SIZE, dialect),
            2 => (PART_SIZE + 1 + draw(9), dialect),
            _ => (PART_SIZE + draw(PART_SIZE + 9), dialect),
        };
        Self {
            file,
            dialect,
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
        format!("{}.pdf", self.file)
    }

    fn size(&self) -> u64 {
        self.content.len()
    }

    /// What it learns of an answer.
    pub(super) fn learn(&mut self, answer: &Result<Answered, Failure>) {
        match answer {
            Ok(Answered::Announced(upload)) => {
                self.staged = upload.staged.iter().map(|s| (s.n, s.offset)).collect();
                self.announced = Some(upload.clone());
            }
            Ok(Answered::Part(_, n, Sent::Staged(offset))) => {
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

    fn protocol(&self) -> Protocol {
        match self.dialect {
            Dialect::Resumable => Protocol::Resumable,
            _ => Protocol::Tus,
        }
    }

    /// A body of these bytes, which may be cut.
    fn body(&self, port: &Port, from: u64, to: u64) -> Sending {
        let cut = port.0.draw(4) == 0;
        let end = if cut {
            from + port.0.draw(to - from)
        } else {
            to
        };
        sending(port, self.content.slice(from, end), cut)
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
            let found = edge.put_incoming(&app, link, name, most, form).await?;
            Ok(Answered::File(Box::new(found)))
        })
    }

    fn single(&self, edge: Rc<Edge>, app: AppId, link: LinkId) -> Request {
        let (name, size) = (self.name(), self.size());
        let feed = self.body(&edge.links, 0, size);
        let sha256 = (edge.links.0.draw(4) > 0).then(|| self.content.digest());
        Box::pin(async move {
            let found = edge.put_file(&app, link, name, size, sha256, feed);
            Ok(Answered::File(Box::new(found.await?.0)))
        })
    }

    fn announce(&self, edge: Rc<Edge>, app: AppId, link: LinkId) -> Request {
        let (name, size, head) = (self.name(), self.size(), self.content.head(HEAD_MAX));
        Box::pin(async move {
            let announced = edge.announce(&app, link, name, size, &head, Joins::default());
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
            parts_sha256: Some(Sha256::of_parts(digests)),
        };
        let id = upload.id;
        if draw(6) == 0 {
            return Box::pin(async move {
                let found = edge.complete(&app, id, complete).await?;
                Ok(Answered::File(Box::new(found)))
            });
        }
        let ticket = Ticket {
            upload: id,
            app,
            r2_upload_id: upload.multipart.r2_upload_id.clone(),
            size: self.size(),
            part_size,
            expires_at: u64::MAX,
        };
        let n = 1 + draw(count);
        let whole = self.part_of(part_size, n);
        let (begin, length) = ((n - 1) * part_size, whole.len());
        let part = SentPart {
            n,
            sha256: Some(whole.digest()),
            complete: (draw(2) == 0).then_some(complete),
        };
        let known = u16::try_from(n).expect("few parts");
        if draw(2) == 0 {
            let feed = self.body(&edge.links, begin, begin + length);
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
        let feed = self.body(&edge.links, begin + offset, begin + offset + length);
        Box::pin(async move {
            let sent = edge.put_part(&ticket, part, Some(offset), length, feed);
            Ok(Answered::Part(id, known, sent.await?))
        })
    }

    fn part_of(&self, part_size: u64, n: u64) -> Rope {
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
                name: self.name(),
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
        let feed = self.body(&edge.links, offset, offset + length);
        let checksum = (protocol == Protocol::Tus && draw(5) == 0).then(|| {
            let right = self.content.slice(offset, offset + length).digest();
            let wrong = Sha256::of(b"another");
            let digest = if draw(4) == 0 { wrong } else { right };
            Checksum {
                algorithm: Algorithm::Sha256,
                digest: digest.0.to_vec(),
            }
        });
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
