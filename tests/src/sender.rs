//! Senders by every dialect that do not give up, and what must be true of what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::client::{App, Page};
use crate::fixtures::Random;
use crate::http::Answer;
use crate::receiver::Receiver;
use crate::scratch::{now, wait_for};
use crate::serial;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::api::{FormResult, HeldPart, Link, PageFile, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::{FileId, disposition, limits};
use serde_json::json;

/// How long one upload may take, with all that is done to it.
const PATIENCE: Duration = Duration::from_secs(300);

/// What stands between parts of a form: long, as a browser's, since a file of random bytes may hold a short one.
const BOUNDARY: &str = "----chatlift-9a3f1c7e5b2d";

/// Largest file of the scenarios that only kill: three parts.
pub const SIZE_MAX: u64 = 2 * limits::PART_SIZE + limits::MIB;

/// A way of sending a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// One request; at most [`limits::SINGLE_REQUEST_MAX`].
    Single,
    /// Parts and chunks of them, as the page.
    Parts,
    /// tus 1.0.
    Tus,
    /// Resumable Uploads for HTTP.
    Resumable,
    /// A form, as a page without a program.
    Form,
}

/// The dialects that go on after any fault.
const DIALECTS: [Dialect; 4] = [
    Dialect::Parts,
    Dialect::Tus,
    Dialect::Resumable,
    Dialect::Form,
];

/// A number that a variable asks for.
///
/// # Panics
/// When it says something else.
#[must_use]
pub fn variable(name: &str, default: u64) -> u64 {
    let said = std::env::var(name).ok();
    said.map_or(default, |n| n.parse().expect("a number"))
}

/// The numbers of a seed (SplitMix64).
#[derive(Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// The next number, below `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (n ^ (n >> 31)) % most
    }
}

/// A sender that does not give up, as a page: what failed is tried again.
struct Sender<'a> {
    page: &'a Page,
    name: String,
    file: Random,
    seed: Seed,
    until: chatlift_shared::Timestamp,
    on_answer: &'a dyn Fn(Option<&Answer>),
}

impl Sender<'_> {
    /// Answers that are final; of all else nothing is known, and it is tried again.
    fn settled(&self, answer: Result<Answer, String>) -> Option<Answer> {
        (self.on_answer)(answer.as_ref().ok());
        assert!(now() < self.until, "{}: {answer:?}", self.name);
        match answer {
            Ok(answer) if answer.status < 400 => return Some(answer),
            Ok(answer) => assert!(
                // Somebody else is at it, the node is ill, or more is held than was known.
                matches!(answer.status, 404 | 409 | 423 | 429 | 500..),
                "{}: {} {}",
                self.name,
                answer.status,
                answer.text()
            ),
            Err(_) => {}
        }
        std::thread::sleep(Duration::from_millis(100));
        None
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Answer> {
        let answer = self.page.try_call(method, path, headers, Some(body));
        self.settled(answer.map_err(|e| e.to_string()))
    }

    fn at(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Option<Answer> {
        let answer = self.page.try_call_at(method, url, headers, body);
        self.settled(answer.map_err(|e| e.to_string()))
    }

    fn parts(&mut self) -> FileId {
        let head = STANDARD.encode(self.file.read(0, limits::HEAD_MAX));
        let mut body = json!({ "name": self.name, "size": self.file.size, "head": head });
        loop {
            let json = [("content-type", "application/json")];
            let Some(answer) = self.ask("POST", "/uploads", &json, body.to_string().as_bytes())
            else {
                continue;
            };
            let upload: Upload = answer.ok(answer.status);
            // As a page: by its ticket it finds the upload again, also one that was stored meanwhile.
            body["ticket"] = upload.ticket.clone().into();
            if let Some(file) = self.send_missing(&upload) {
                return file;
            }
        }
    }

    fn send_missing(&mut self, upload: &Upload) -> Option<FileId> {
        let count = limits::part_count(upload.size, upload.part_size);
        let mut parts = Vec::new();
        for n in 1..=count {
            let bytes = self.file.read((n - 1) * upload.part_size, upload.part_size);
            let sha256 = Sha256::of(&bytes);
            let number = u16::try_from(n).expect("few parts");
            if !upload.parts.iter().any(|held| held.n == number) {
                self.send_part(upload, n, &bytes, sha256)?;
            }
            parts.push(HeldPart { n: number, sha256 });
        }
        let completed = self
            .page
            .try_complete(upload.id, self.file.sha256(), &parts, &[]);
        let answer = self.settled(completed.map_err(|e| e.to_string()))?;
        let file: PageFile = answer.ok(200);
        Some(file.id)
    }

    /// A part whole, or in two chunks that reach different nodes.
    fn send_part(&mut self, upload: &Upload, n: u64, bytes: &[u8], sha256: Sha256) -> Option<()> {
        let path = format!("/uploads/{}/parts/{n}", upload.id);
        let digest = sha256.to_header();
        let ticket = ("upload-ticket", &*upload.ticket);
        if self.seed.below(2) == 0 {
            self.ask("PUT", &path, &[("content-digest", &digest), ticket], bytes)?;
            return Some(());
        }
        let held = upload.staged.iter().find(|staged| u64::from(staged.n) == n);
        let mut offset = usize::try_from(held.map_or(0, |held| held.offset)).expect("small");
        while offset < bytes.len() {
            let left = (bytes.len() - offset) as u64;
            let end = offset + usize::try_from(1 + self.seed.below(left)).expect("small");
            let at = offset.to_string();
            let headers = [("upload-offset", &*at), ("repr-digest", &digest), ticket];
            self.ask("PUT", &path, &headers, &bytes[offset..end])?;
            offset = end;
        }
        Some(())
    }

    /// Some bytes from `offset`, never so many that a node must be lucky.
    fn next(&mut self, offset: u64) -> Vec<u8> {
        let length = 1 + self.seed.below(3 * limits::MIB);
        self.file.read(offset, length)
    }

    fn tus(&mut self) -> FileId {
        let (size, metadata) = (self.file.size.to_string(), serial::metadata(&self.name));
        let version = ("tus-resumable", "1.0.0");
        let new = [
            version,
            ("upload-length", &*size),
            ("upload-metadata", &*metadata),
        ];
        let created = loop {
            if let Some(created) = self.ask("POST", "/tus", &new, b"") {
                break serial::Serial::at(self.page, &created);
            }
        };
        loop {
            let Some(head) = self.at("HEAD", &created.url(), &[version], None) else {
                continue;
            };
            let offset = serial::number(&head, "upload-offset");
            if offset == self.file.size {
                return created.file();
            }
            let (bytes, at) = (self.next(offset), offset.to_string());
            let kind = ("content-type", "application/offset+octet-stream");
            let headers = [version, kind, ("upload-offset", &*at)];
            self.at("PATCH", &created.url(), &headers, Some(&bytes));
        }
    }

    fn resumable(&mut self) -> FileId {
        let size = self.file.size.to_string();
        let name = format!("attachment; filename=\"{}\"", self.name);
        let version = ("upload-draft-interop-version", "9");
        let new = [
            version,
            ("upload-complete", "?0"),
            ("upload-length", &*size),
            ("content-disposition", &*name),
        ];
        let created = loop {
            if let Some(created) = self.ask("POST", "/resumable", &new, b"") {
                break serial::Serial::at(self.page, &created);
            }
        };
        loop {
            let Some(head) = self.at("HEAD", &created.url(), &[version], None) else {
                continue;
            };
            if head.header("upload-complete") == Some("?1") {
                return created.file();
            }
            let offset = serial::number(&head, "upload-offset");
            let (bytes, at) = (self.next(offset), offset.to_string());
            let ends = offset + bytes.len() as u64 == self.file.size;
            let headers = [
                version,
                ("content-type", "application/partial-upload"),
                ("upload-offset", &*at),
                ("upload-complete", if ends { "?1" } else { "?0" }),
            ];
            self.at("PATCH", &created.url(), &headers, Some(&bytes));
        }
    }

    fn single(&mut self) -> FileId {
        let bytes = self.file.read(0, self.file.size);
        let (name, digest) = (
            disposition::attachment(&self.name),
            Sha256::of(&bytes).to_header(),
        );
        let headers = [
            ("content-disposition", &*name),
            ("content-digest", &*digest),
        ];
        loop {
            if let Some(answer) = self.ask("POST", "/files", &headers, &bytes) {
                let file: PageFile = answer.ok(answer.status);
                return file.id;
            }
        }
    }

    fn form(&mut self) -> FileId {
        let mut body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            self.name
        )
        .into_bytes();
        body.extend(self.file.read(0, self.file.size));
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [("content-type", &*kind), ("accept", "application/json")];
        loop {
            let Some(answer) = self.ask("POST", "", &headers, &body) else {
                continue;
            };
            let result: FormResult = answer.ok(200);
            if let Some(file) = result.files.into_iter().find_map(|f| f.file) {
                return file.id;
            }
        }
    }

    fn send(&mut self, dialect: Dialect) -> FileId {
        match dialect {
            Dialect::Single => self.single(),
            Dialect::Parts => self.parts(),
            Dialect::Tus => self.tus(),
            Dialect::Resumable => self.resumable(),
            Dialect::Form => self.form(),
        }
    }
}

/// A stored file, as its sender was told.
#[derive(Debug)]
pub struct Acknowledged {
    /// Its id.
    pub id: FileId,
    /// Its name.
    pub name: String,
    /// What was sent.
    pub file: Random,
    /// How it was sent.
    pub dialect: Dialect,
}

/// What is sent, how, and by which numbers where a dialect leaves a choice.
#[derive(Debug)]
pub struct Sending {
    /// The file's name.
    pub name: String,
    /// Its content.
    pub file: Random,
    /// How it is sent.
    pub dialect: Dialect,
    /// What lengths and ways are drawn from.
    pub seed: Seed,
}

/// Sends a file until it is stored. `on_answer` is told of each answer first, and of each that did not come.
///
/// # Panics
/// When it is refused for good, or not stored after 5 minutes.
#[must_use]
pub fn send(page: &Page, sending: Sending, on_answer: &dyn Fn(Option<&Answer>)) -> Acknowledged {
    let Sending {
        name,
        file,
        dialect,
        seed,
    } = sending;
    let mut sender = Sender {
        page,
        name: name.clone(),
        file,
        seed,
        until: now().plus(PATIENCE),
        on_answer,
    };
    Acknowledged {
        id: sender.send(dialect),
        name,
        file,
        dialect,
    }
}

/// Sends the `n`th file of a run, of at most so many bytes, to one of its pages, until it is stored.
///
/// # Panics
/// As [`send`].
#[must_use]
pub fn send_one(pages: &[Page], run: u64, n: u64, size_max: u64) -> Acknowledged {
    let mut seed = Seed(run.wrapping_mul(1_000_003) + n);
    let file = Random {
        seed: 7_000 + n,
        size: 1 + seed.below(size_max),
    };
    let dialect = DIALECTS[usize::try_from(n % 4).expect("small")];
    let page = usize::try_from(n / 4).expect("small") % pages.len();
    let sending = Sending {
        name: format!("{dialect:?}-{n}.bin"),
        file,
        dialect,
        seed,
    };
    send(&pages[page], sending, &|_| {})
}

/// Each file is there once, as it was sent, and told of under one id. A form that was sent again may be there
/// more than once.
///
/// # Panics
/// When one is lost, altered, doubled, or not told of.
pub fn all_is_there(app: &App, links: &[Link], receiver: &Receiver, sent: &[Acknowledged]) {
    let mut files = BTreeMap::new();
    for link in links {
        let link = app.get_link(link.id);
        files.extend(link.files.into_iter().map(|file| (file.id, file)));
    }
    for one in sent {
        assert!(files.contains_key(&one.id), "{} is lost", one.name);
        assert_eq!(app.sha256(one.id), one.file.sha256(), "{}", one.name);
        let same = files.values().filter(|file| file.name == one.name).count();
        let once = same == 1 || one.dialect == Dialect::Form;
        assert!(once, "{}: {same} times", one.name);
    }
    for link in links {
        let link = app.get_link(link.id);
        let mine: BTreeSet<FileId> = link.files.iter().map(|file| file.id).collect();
        let told = || {
            let about = receiver.about(link.id);
            let stored = about
                .iter()
                .filter_map(|d| Some((d.id, d.stored()?.file.id)));
            stored.collect::<BTreeSet<_>>()
        };
        wait_for("all webhooks", Duration::from_secs(120), || {
            let files: BTreeSet<FileId> = told().into_iter().map(|(_, file)| file).collect();
            (files == mine).then_some(())
        });
        assert_eq!(told().len(), mine.len(), "one event for each file");
    }
}
