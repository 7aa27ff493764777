//! The store: objects as files of a folder.
//!
//! Promise: what is acknowledged is on the disk. A part is written where it belongs in one file, which is
//! synced before the part is noted in an index, synced too; the whole is renamed to where it belongs. A crash
//! leaves the object or nothing. What came for a part that is there already is kept aside until its upload is
//! complete, so that no try destroys what was acknowledged.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use chatlift_edge::ports::{Bucket, BucketError, CompleteError, Head, Put, PutError, Selection};
use chatlift_shared::Timestamp;
use chatlift_shared::digest::Sha256;
use futures_util::stream::{self, StreamExt as _};
use sha2::Digest as _;

use crate::body::{Body, Incoming};
use crate::clock::now;
use crate::disk::Disk;

/// Bytes that are read or written at once; each upload on its way has so many in memory.
const PIECE: usize = 128 * 1024;

/// How long an upload is kept to which nothing was added: as R2 does.
const UNFINISHED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The file of an upload that its parts are written into.
const WHOLE: &str = "whole";
/// The file that says which parts are in it: a line for each, with number, length in bytes and digest. A later
/// line stands above an earlier one, and one with the length 0 says that the part is there no more.
const INDEX: &str = "index";

/// A part that is in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    length: u64,
    sha256: Sha256,
}

/// An upload on its way.
#[derive(Debug)]
struct Upload {
    part_size: u64,
    placed: BTreeMap<u16, Placed>,
    /// Places that a request is writing to.
    busy: BTreeSet<u16>,
    /// Length of the index, in bytes.
    index: u64,
}

/// Uploads on their way that were touched since the program began.
type Uploads = Rc<RefCell<BTreeMap<String, Upload>>>;

/// A folder of objects, and one of the parts of those that are on their way.
#[derive(Clone, Debug)]
pub(crate) struct Files<D> {
    disk: D,
    objects: PathBuf,
    parts: PathBuf,
    uploads: Uploads,
    /// Apps' folders that are on the disk for sure.
    folders: Rc<RefCell<BTreeSet<PathBuf>>>,
    /// Whether it answers nothing, as a test asked.
    silent: bool,
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> BucketError {
    move |error| BucketError {
        operation,
        gone: error.kind() == io::ErrorKind::NotFound,
        reason: error.to_string(),
    }
}

/// The place of a part while a request writes to it.
struct Busy {
    uploads: Uploads,
    id: String,
    n: u16,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(upload) = self.uploads.borrow_mut().get_mut(&self.id) {
            upload.busy.remove(&self.n);
        }
    }
}

/// Reads an index. A line that a crash left unfinished says nothing.
fn read_index(text: &[u8]) -> (BTreeMap<u16, Placed>, u64) {
    let mut placed = BTreeMap::new();
    let whole = text
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    for line in String::from_utf8_lossy(&text[..whole]).lines() {
        let mut words = line.split(' ');
        let (n, length, sha256) = (words.next(), words.next(), words.next());
        let line = (
            n.and_then(|n| n.parse().ok()),
            length.and_then(|length| length.parse().ok()),
            sha256.and_then(|sha256| sha256.parse().ok()),
        );
        match line {
            (Some(n), Some(0), _) => {
                placed.remove(&n);
            }
            (Some(n), Some(length), Some(sha256)) => {
                placed.insert(n, Placed { length, sha256 });
            }
            _ => {}
        }
    }
    (placed, whole as u64)
}

impl<D: Disk> Files<D> {
    /// Opens the store in a folder, which is made where it is not there, and removes what nobody can finish.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) async fn open(disk: D, folder: &Path) -> io::Result<Self> {
        let files = Self {
            disk,
            objects: folder.join("objects"),
            parts: folder.join("parts"),
            uploads: Uploads::default(),
            folders: Rc::default(),
            silent: false,
        };
        files.disk.make_folder(&files.objects).await?;
        files.disk.make_folder(&files.parts).await?;
        files.disk.sync_folder(folder).await?;
        for name in files.disk.names(&files.parts).await? {
            let path = files.parts.join(&name);
            if name.ends_with(".new") {
                files.disk.remove(&path).await?;
            } else if files.is_over(&path).await? {
                files.disk.remove_folder(&path).await?;
            }
        }
        Ok(files)
    }

    /// Whether an upload was completed, or has been left alone for too long.
    async fn is_over(&self, folder: &Path) -> io::Result<bool> {
        if let Err(error) = self.disk.open(&folder.join(WHOLE)).await {
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(true),
                _ => Err(error),
            };
        }
        let index = self.disk.open(&folder.join(INDEX)).await;
        let Ok(index) = index else {
            return Ok(true);
        };
        let (_, changed) = self.disk.about(&index).await?;
        let changed = i64::try_from(changed / 1_000_000).unwrap_or(i64::MAX);
        Ok(Timestamp::from_millis(changed).plus(UNFINISHED_FOR) < now())
    }

    /// As if it did not answer.
    pub(crate) fn silent(&self) -> Self {
        Self {
            silent: true,
            ..self.clone()
        }
    }

    fn asked(&self, operation: &'static str) -> Result<(), BucketError> {
        match self.silent {
            false => Ok(()),
            true => Err(failed(operation)(io::Error::other("a test asked for it"))),
        }
    }

    /// Keys are made by the edge: an app's id and an upload's, neither with a dot or a slash.
    fn object(&self, key: &str) -> PathBuf {
        self.objects.join(key)
    }

    fn upload(&self, id: &str) -> PathBuf {
        self.parts.join(id)
    }

    /// Reads what is known of an upload, unless it is in memory.
    async fn know(&self, id: &str) -> io::Result<()> {
        if self.uploads.borrow().contains_key(id) {
            return Ok(());
        }
        let size = id.split('-').next_back().and_then(|size| size.parse().ok());
        let part_size = size.ok_or(io::ErrorKind::NotFound)?;
        let index = self.disk.open(&self.upload(id).join(INDEX)).await?;
        let (length, _) = self.disk.about(&index).await?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let (placed, index) = read_index(&self.disk.read(&index, 0, length).await?);
        let upload = Upload {
            part_size,
            placed,
            busy: BTreeSet::new(),
            index,
        };
        // Another request may have read it meanwhile, and be at work.
        self.uploads
            .borrow_mut()
            .entry(id.to_owned())
            .or_insert(upload);
        Ok(())
    }

    /// The place of a part, where nothing is there and nobody writes to it; and where that begins.
    fn place(&self, id: &str, n: u16) -> Option<(Busy, u64, u64)> {
        let mut uploads = self.uploads.borrow_mut();
        let upload = uploads.get_mut(id)?;
        if upload.placed.contains_key(&n) || !upload.busy.insert(n) {
            return None;
        }
        let busy = Busy {
            uploads: Rc::clone(&self.uploads),
            id: id.to_owned(),
            n,
        };
        let begin = u64::from(n.saturating_sub(1)) * upload.part_size;
        Some((busy, begin, upload.part_size))
    }

    /// Writes a body into a file from `begin`, and syncs it.
    async fn write(&self, file: &D::File, begin: u64, body: Body, most: u64) -> io::Result<Placed> {
        let mut hasher = sha2::Sha256::new();
        let (mut stream, mut length) = (body.0, 0);
        let mut pieces: Vec<u8> = Vec::new();
        loop {
            let next = stream.next().await.transpose()?;
            if let Some(piece) = &next {
                hasher.update(piece);
                if pieces.capacity() == 0 {
                    // One that grows would be twice as large in the end.
                    pieces.reserve_exact(PIECE + piece.len());
                }
                pieces.extend_from_slice(piece);
            }
            if !pieces.is_empty() && (next.is_none() || pieces.len() >= PIECE) {
                let bytes = Bytes::from(std::mem::take(&mut pieces));
                let at = begin + length;
                length += bytes.len() as u64;
                if length > most {
                    return Err(io::Error::other(
                        "a part is longer than those of its upload",
                    ));
                }
                self.disk.write(file, at, bytes).await?;
            }
            if next.is_none() {
                break;
            }
        }
        self.disk.sync(file).await?;
        Ok(Placed {
            length,
            sha256: Sha256(hasher.finalize().into()),
        })
    }

    /// Notes that a part is in its place, or `None` that it is there no more.
    async fn note(&self, id: &str, n: u16, part: Option<Placed>) -> io::Result<()> {
        let line = match part {
            Some(part) => format!("{n} {} {}\n", part.length, part.sha256),
            None => format!("{n} 0 -\n"),
        };
        let file = self.disk.create(&self.upload(id).join(INDEX)).await?;
        let at = {
            let mut uploads = self.uploads.borrow_mut();
            let upload = uploads.get_mut(id).ok_or(io::ErrorKind::NotFound)?;
            let at = upload.index;
            upload.index += line.len() as u64;
            at
        };
        self.disk.write(&file, at, line.into()).await?;
        self.disk.sync(&file).await?;
        let mut uploads = self.uploads.borrow_mut();
        let upload = uploads.get_mut(id).ok_or(io::ErrorKind::NotFound)?;
        match part {
            Some(part) => upload.placed.insert(n, part),
            None => upload.placed.remove(&n),
        };
        Ok(())
    }

    /// Puts a written file where it belongs.
    async fn settle(&self, from: &Path, to: &Path) -> io::Result<()> {
        let folder = to.parent().unwrap_or(to);
        self.disk.make_folder(folder).await?;
        self.disk.rename(from, to).await?;
        self.disk.sync_folder(folder).await?;
        // An app's folder is new once.
        if !self.folders.borrow().contains(folder) {
            self.disk.sync_folder(&self.objects).await?;
            self.folders.borrow_mut().insert(folder.to_owned());
        }
        Ok(())
    }

    /// Writes a body to a file of its own, which is gone when that fails.
    async fn write_new(&self, path: &Path, body: Body) -> io::Result<Placed> {
        let file = self.disk.create(path).await?;
        let written = self.write(&file, 0, body, u64::MAX).await;
        if written.is_err() {
            let _ = self.disk.remove(path).await;
        }
        written
    }

    async fn try_put_part(&self, id: &str, n: u16, body: Body) -> io::Result<Placed> {
        self.know(id).await?;
        let folder = self.upload(id);
        if let Some((_busy, begin, part_size)) = self.place(id, n) {
            let file = self.disk.create(&folder.join(WHOLE)).await?;
            self.disk.reserve(&file, begin, part_size).await?;
            let part = self.write(&file, begin, body, part_size).await?;
            self.note(id, n, Some(part)).await?;
            return Ok(part);
        }
        let new = unique(&folder);
        let part = self.write_new(&new, body).await?;
        let aside = folder.join(format!("{n}-{}", part.sha256));
        self.disk.rename(&new, &aside).await?;
        self.disk.sync_folder(&folder).await?;
        Ok(part)
    }

    /// Has a part that was kept aside take its place; answers its length, or `None` where there is none.
    async fn take_place(&self, id: &str, n: u16, sha256: Sha256) -> io::Result<Option<u64>> {
        let folder = self.upload(id);
        let aside = match self.disk.open(&folder.join(format!("{n}-{sha256}"))).await {
            Ok(aside) => aside,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (length, _) = self.disk.about(&aside).await?;
        // Of what was there before, nothing is left from here on.
        self.note(id, n, None).await?;
        let Some((_busy, begin, part_size)) = self.place(id, n) else {
            return Ok(None);
        };
        let file = self.disk.create(&folder.join(WHOLE)).await?;
        let body = self.stream(aside, 0, length);
        let part = self.write(&file, begin, body, part_size).await?;
        self.note(id, n, Some(part)).await?;
        Ok(Some(part.length))
    }

    async fn try_complete(&self, key: &str, id: &str, etags: &[String]) -> io::Result<bool> {
        self.know(id).await?;
        let folder = self.upload(id);
        // Completed already, it is gone.
        self.disk.open(&folder.join(WHOLE)).await?;
        let mut size = 0;
        for (n, etag) in (1..).zip(etags) {
            let Ok(sha256) = etag.parse() else {
                return Ok(false);
            };
            let known = |upload: &Upload| (upload.part_size, upload.placed.get(&n).copied());
            let known = self.uploads.borrow().get(id).map(known);
            let (part_size, placed) = known.ok_or(io::ErrorKind::NotFound)?;
            let length = match placed.filter(|part| part.sha256 == sha256) {
                Some(part) => Some(part.length),
                None => self.take_place(id, n, sha256).await?,
            };
            // All but the last fill their places, as R2 asks.
            match length {
                Some(length) if size == u64::from(n - 1) * part_size => size += length,
                _ => return Ok(false),
            }
        }
        let busy = |upload: &Upload| !upload.busy.is_empty();
        if self.uploads.borrow().get(id).is_some_and(busy) {
            // It would write on into the object.
            return Err(io::Error::other("a part of it is still on its way"));
        }
        let whole = self.disk.create(&folder.join(WHOLE)).await?;
        self.disk.set_len(&whole, size).await?;
        self.disk.sync(&whole).await?;
        self.settle(&folder.join(WHOLE), &self.object(key)).await?;
        self.uploads.borrow_mut().remove(id);
        // What is left of it goes now, or when the store is opened again.
        let _ = self.disk.remove_folder(&folder).await;
        Ok(true)
    }

    /// Bytes of a file as a body.
    fn stream(&self, file: D::File, offset: u64, length: u64) -> Body {
        let disk = self.disk.clone();
        let pieces = stream::unfold((offset, length), move |(at, left)| {
            let (disk, file) = (disk.clone(), file.clone());
            async move {
                if left == 0 {
                    return None;
                }
                let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                match disk.read(&file, at, most).await {
                    Ok(piece) if piece.is_empty() => None,
                    Ok(piece) => {
                        let have = piece.len() as u64;
                        Some((Ok(piece), (at + have, left - have)))
                    }
                    Err(error) => Some((Err(error), (at, 0))),
                }
            }
        });
        Body(pieces.boxed_local())
    }

    async fn find(&self, key: &str) -> io::Result<Option<D::File>> {
        match self.disk.open(&self.object(key)).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A tag of an object is made of its size and time of change, since its digest is not kept. It has no
    /// dash: R2's tags have one where an object was joined from parts.
    async fn head_of(&self, file: &D::File) -> io::Result<Head> {
        let (size, changed) = self.disk.about(file).await?;
        Ok(Head {
            size,
            etag: format!("{size:016x}{changed:016x}"),
        })
    }
}

/// A name that nobody else has.
fn unique(folder: &Path) -> PathBuf {
    let random = getrandom::u64().unwrap_or_default();
    folder.join(format!("{random:016x}.new"))
}

impl<D: Disk> Bucket for Files<D> {
    type Body = Body;
    type Objects = Incoming;

    fn objects(&self, objects: Vec<(String, u64)>) -> Incoming {
        let this = self.clone();
        let all = stream::iter(objects)
            .then(move |(key, size)| {
                let this = this.clone();
                async move {
                    match this.disk.open(&this.object(&key)).await {
                        Ok(file) => this.stream(file, 0, size).0,
                        Err(error) => stream::iter([Err(error)]).boxed_local(),
                    }
                }
            })
            .flatten();
        Incoming::body(Some(Body(all.boxed_local())))
    }

    fn body(&self, bytes: Vec<u8>) -> Result<Body, BucketError> {
        Ok(Body::of(bytes))
    }

    async fn create(&self, _key: &str, part_size: u64) -> Result<String, BucketError> {
        self.asked("create")?;
        let random = getrandom::u64().unwrap_or_default();
        let id = format!("{random:016x}-{part_size}");
        let folder = self.upload(&id);
        let made = async {
            self.disk.make_folder(&folder).await?;
            self.disk.create(&folder.join(WHOLE)).await?;
            self.disk.create(&folder.join(INDEX)).await?;
            self.disk.sync_folder(&folder).await?;
            self.disk.sync_folder(&self.parts).await
        };
        made.await.map_err(failed("create"))?;
        Ok(id)
    }

    async fn put_part(&self, _key: &str, id: &str, n: u16, body: Body) -> Result<Put, BucketError> {
        self.asked("put part")?;
        let put = self.try_put_part(id, n, body).await;
        let sha256 = put.map_err(failed("put part"))?.sha256;
        Ok(Put {
            etag: sha256.to_string(),
            sha256,
        })
    }

    async fn complete(&self, key: &str, id: &str, etags: &[String]) -> Result<(), CompleteError> {
        self.asked("complete").map_err(CompleteError::Bucket)?;
        match self.try_complete(key, id, etags).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(CompleteError::Parts),
            Err(error) => Err(CompleteError::Bucket(failed("complete")(error))),
        }
    }

    async fn abort(&self, _key: &str, id: &str) -> Result<(), BucketError> {
        self.asked("abort")?;
        self.uploads.borrow_mut().remove(id);
        match self.disk.remove_folder(&self.upload(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("abort")(error)),
            _ => Ok(()),
        }
    }

    async fn put(&self, key: &str, body: Body, expected: Option<Sha256>) -> Result<Put, PutError> {
        self.asked("put").map_err(PutError::Bucket)?;
        let new = unique(&self.parts);
        let put = async {
            let sha256 = self.write_new(&new, body).await?.sha256;
            if expected.is_some_and(|e| e != sha256) {
                self.disk.remove(&new).await?;
                return Ok(None);
            }
            self.settle(&new, &self.object(key)).await?;
            let file = self.disk.open(&self.object(key)).await?;
            let etag = self.head_of(&file).await?.etag;
            Ok(Some(Put { etag, sha256 }))
        };
        match put.await {
            Ok(Some(put)) => Ok(put),
            Ok(None) => Err(PutError::Digest),
            Err(error) => Err(PutError::Bucket(failed("put")(error))),
        }
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        self.asked("head")?;
        match self.find(key).await.map_err(failed("head"))? {
            Some(file) => Ok(Some(self.head_of(&file).await.map_err(failed("head"))?)),
            None => Ok(None),
        }
    }

    async fn read(
        &self,
        key: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError> {
        self.asked("get")?;
        let Some(file) = self.find(key).await.map_err(failed("get"))? else {
            return Ok(None);
        };
        let read = async {
            let head = self.head_of(&file).await?;
            let length = usize::try_from(length).map_err(io::Error::other)?;
            let bytes = self.disk.read(&file, offset, length).await?;
            Ok((head, bytes.to_vec()))
        };
        read.await.map(Some).map_err(failed("get"))
    }

    async fn open(&self, key: &str, what: Selection) -> Result<Option<Body>, BucketError> {
        self.asked("get")?;
        let (offset, length) = match what {
            Selection::Whole => (0, u64::MAX),
            Selection::Part { offset, length } => (offset, length),
        };
        let file = self.find(key).await.map_err(failed("get"))?;
        Ok(file.map(|file| self.stream(file, offset, length)))
    }

    async fn digest(&self, body: Body) -> Result<Sha256, BucketError> {
        self.asked("digest")?;
        body.digest().await.map_err(failed("digest"))
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.asked("delete")?;
        match self.disk.remove(&self.object(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete")(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
