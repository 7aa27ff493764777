//! The store: objects as files of a folder.
//!
//! Promise: what is acknowledged is on the disk. A part is written where it belongs in its upload's one file,
//! and synced; the whole is renamed to where it belongs. A crash leaves the object or nothing. A part's tag has its
//! length and digest, by which it is known again in its place after the program was started again. What came
//! for a place that has something already is kept aside until its upload is complete, so that no try destroys
//! what was acknowledged.

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

use crate::body::{Body, Incoming, MEMORY};
use crate::clock::now;
use crate::disk::Disk;
use crate::group_sync::GroupSync;

/// Bytes that are read or written at once; each upload on its way has so many in memory.
const PIECE: usize = 64 * 1024;

/// Bytes that are written at once where there is memory for them: each write wakes two threads.
const LARGE_PIECE: usize = 512 * 1024;

/// How long an upload is kept to which nothing was added: as R2 does.
const UNFINISHED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a file that is being written ends with, and the folder of what is kept aside of an upload.
const NEW: &str = ".new";
const ASIDE: &str = ".aside";

/// A part that is in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    length: u64,
    sha256: Sha256,
}

impl Placed {
    /// Reads a part's tag.
    fn of_tag(tag: &str) -> Option<Self> {
        let (length, sha256) = tag.split_once('-')?;
        Some(Self {
            length: length.parse().ok()?,
            sha256: sha256.parse().ok()?,
        })
    }

    fn tag(self) -> String {
        format!("{}-{}", self.length, self.sha256)
    }
}

/// An upload on its way.
#[derive(Debug)]
struct Upload {
    part_size: u64,
    placed: BTreeMap<u16, Placed>,
    /// Places that a request is writing to.
    busy: BTreeSet<u16>,
    /// Up to where its file may have bytes, of parts that are not known, from before the program began.
    before: u64,
    /// Whether something may be kept aside.
    aside: bool,
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
    /// The names of uploads' files.
    names: Rc<GroupSync>,
    /// Apps' folders that are on the disk for sure, and the names in them.
    folders: Rc<RefCell<BTreeMap<PathBuf, Rc<GroupSync>>>>,
    /// Whether it answers nothing, as a test asked.
    silent: bool,
}

/// A failure of a file as one of the store.
pub(crate) fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> BucketError {
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
            names: Rc::default(),
            folders: Rc::default(),
            silent: false,
        };
        files.disk.make_folder(&files.objects).await?;
        files.disk.make_folder(&files.parts).await?;
        files.disk.sync_folder(folder).await?;
        for name in files.disk.names(&files.parts).await? {
            let path = files.parts.join(&name);
            if name.ends_with(NEW) {
                files.disk.remove(&path).await?;
            } else if files.is_over(&name).await? {
                files.remove_any(&path).await?;
            }
        }
        Ok(files)
    }

    /// Whether an upload was completed, or has been left alone for too long, by the name of its file or of its
    /// folder.
    async fn is_over(&self, name: &str) -> io::Result<bool> {
        let upload = self.upload(name.strip_suffix(ASIDE).unwrap_or(name));
        let file = match self.disk.open(&upload).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        let (_, changed) = self.disk.about(&file).await?;
        let changed = i64::try_from(changed / 1_000_000).unwrap_or(i64::MAX);
        Ok(Timestamp::from_millis(changed).plus(UNFINISHED_FOR) < now())
    }

    /// Removes a file, or a folder with all that is in it; one that is gone is no error.
    async fn remove_any(&self, path: &Path) -> io::Result<()> {
        let removed = match self.disk.remove(path).await {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                self.disk.remove_folder(path).await
            }
            other => other,
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
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

    /// Where is kept what has no place in an upload.
    fn aside(&self, id: &str) -> PathBuf {
        self.parts.join(format!("{id}{ASIDE}"))
    }

    /// Waits until the uploads that were begun by now are on the disk.
    ///
    /// # Errors
    /// When the folder cannot be synced.
    pub(crate) async fn on_disk(&self) -> io::Result<()> {
        let sync = async || self.disk.sync_folder(&self.parts).await;
        self.names.on_disk(sync).await
    }

    /// Reads what is known of an upload, unless it is in memory.
    async fn know(&self, id: &str) -> io::Result<()> {
        if self.uploads.borrow().contains_key(id) {
            return Ok(());
        }
        let size = id.split('-').next_back().and_then(|size| size.parse().ok());
        let part_size = size.ok_or(io::ErrorKind::NotFound)?;
        let file = self.disk.open(&self.upload(id)).await?;
        let (before, _) = self.disk.about(&file).await?;
        let upload = Upload {
            part_size,
            placed: BTreeMap::new(),
            busy: BTreeSet::new(),
            before,
            aside: true,
        };
        // Another request may have read it meanwhile, and be at work.
        self.uploads
            .borrow_mut()
            .entry(id.to_owned())
            .or_insert(upload);
        Ok(())
    }

    /// The place of a part to which nobody writes, and where that begins. Unless what is there `may_go`, only
    /// where nothing is there.
    fn place(&self, id: &str, n: u16, may_go: bool) -> Option<(Busy, u64, u64)> {
        let mut uploads = self.uploads.borrow_mut();
        let upload = uploads.get_mut(id)?;
        let begin = u64::from(n.saturating_sub(1)) * upload.part_size;
        let free = !upload.placed.contains_key(&n) && begin >= upload.before;
        if !(free || may_go) || !upload.busy.insert(n) {
            return None;
        }
        upload.placed.remove(&n);
        let busy = Busy {
            uploads: Rc::clone(&self.uploads),
            id: id.to_owned(),
            n,
        };
        Some((busy, begin, upload.part_size))
    }

    /// Notes that a part is in its place, on the disk.
    fn note(&self, id: &str, n: u16, part: Placed) -> io::Result<()> {
        let mut uploads = self.uploads.borrow_mut();
        // It was dropped meanwhile, and its file with it.
        let upload = uploads.get_mut(id).ok_or(io::ErrorKind::NotFound)?;
        upload.placed.insert(n, part);
        Ok(())
    }

    /// Writes a body into a file from `begin`, and syncs it. Of the `most` bytes that it may have, those were
    /// reserved before that do not come are given back, if they are the file's last.
    async fn write(&self, file: &D::File, begin: u64, body: Body, most: u64) -> io::Result<Placed> {
        let mut hasher = sha2::Sha256::new();
        let (mut stream, mut length) = (body.0, 0);
        let mut pieces: Vec<u8> = Vec::new();
        let share = MEMORY.take_spare(LARGE_PIECE as u64);
        let full = if share.is_some() { LARGE_PIECE } else { PIECE };
        loop {
            let next = stream.next().await.transpose()?;
            if let Some(piece) = &next {
                hasher.update(piece);
                if pieces.capacity() == 0 {
                    // One that grows would be twice as large in the end.
                    pieces.reserve_exact(full + piece.len());
                }
                pieces.extend_from_slice(piece);
            }
            if !pieces.is_empty() && (next.is_none() || pieces.len() >= full) {
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
        match length < most && most < u64::MAX {
            true => {
                let (reserved, end) = (begin + most, begin + length);
                self.disk.cut_and_sync(file, reserved, end).await?;
            }
            false => self.disk.sync(file).await?,
        }
        Ok(Placed {
            length,
            sha256: Sha256(hasher.finalize().into()),
        })
    }

    /// Puts a written file where it belongs.
    async fn settle(&self, from: &Path, to: &Path) -> io::Result<()> {
        let folder = to.parent().unwrap_or(to);
        let known = self.folders.borrow().get(folder).cloned();
        let names = match known {
            Some(names) => names,
            // An app's folder is new once.
            None => {
                self.disk.make_folder(folder).await?;
                self.disk.sync_folder(&self.objects).await?;
                let mut folders = self.folders.borrow_mut();
                Rc::clone(folders.entry(folder.to_owned()).or_default())
            }
        };
        self.disk.rename(from, to).await?;
        names.wrote();
        let sync = async || self.disk.sync_folder(folder).await;
        names.on_disk(sync).await
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
        // In it are the names of what is written here.
        self.on_disk().await?;
        if let Some((_busy, begin, part_size)) = self.place(id, n, false) {
            let path = self.upload(id);
            let file = self.disk.open_with_room(&path, begin, part_size).await?;
            let part = self.write(&file, begin, body, part_size).await?;
            self.note(id, n, part)?;
            return Ok(part);
        }
        let new = unique(&self.parts);
        let part = self.write_new(&new, body).await?;
        let folder = self.aside(id);
        self.disk.make_folder(&folder).await?;
        self.disk.sync_folder(&self.parts).await?;
        let kept = folder.join(format!("{n}-{}", part.tag()));
        self.disk.rename(&new, &kept).await?;
        self.disk.sync_folder(&folder).await?;
        match self.uploads.borrow_mut().get_mut(id) {
            Some(upload) => upload.aside = true,
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(part)
    }

    /// Whether a part is in its place since before the program began.
    async fn is_in_place(
        &self,
        file: &D::File,
        id: &str,
        n: u16,
        part: Placed,
    ) -> io::Result<bool> {
        let known = |upload: &Upload| {
            let begin = u64::from(n.saturating_sub(1)) * upload.part_size;
            (begin < upload.before && !upload.placed.contains_key(&n)).then_some(begin)
        };
        let Some(begin) = self.uploads.borrow().get(id).and_then(known) else {
            return Ok(false);
        };
        let found = self.stream(file.clone(), begin, part.length).digest();
        let found = found.await? == part.sha256;
        if found {
            self.note(id, n, part)?;
        }
        Ok(found)
    }

    /// Has a part that was kept aside take its place; answers whether there is one.
    async fn take_place(&self, file: &D::File, id: &str, n: u16, part: Placed) -> io::Result<bool> {
        let kept = self.aside(id).join(format!("{n}-{}", part.tag()));
        let kept = match self.disk.open(&kept).await {
            Ok(kept) => kept,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Of what was there before, nothing is left from here on.
        let Some((_busy, begin, part_size)) = self.place(id, n, true) else {
            return Ok(false);
        };
        let body = self.stream(kept, 0, part.length);
        let taken = self.write(file, begin, body, part_size).await?;
        self.note(id, n, taken)?;
        Ok(taken == part)
    }

    async fn try_complete(&self, key: &str, id: &str, etags: &[String]) -> io::Result<bool> {
        self.know(id).await?;
        // Completed already, it is gone.
        let whole = self.disk.open_to_write(&self.upload(id)).await?;
        let mut size = 0;
        for (n, etag) in (1..).zip(etags) {
            let Some(part) = Placed::of_tag(etag) else {
                return Ok(false);
            };
            let known = |upload: &Upload| (upload.part_size, upload.placed.get(&n).copied());
            let known = self.uploads.borrow().get(id).map(known);
            let (part_size, placed) = known.ok_or(io::ErrorKind::NotFound)?;
            let is_there = placed == Some(part)
                || self.is_in_place(&whole, id, n, part).await?
                || self.take_place(&whole, id, n, part).await?;
            // All but the last fill their places, as R2 asks.
            if !is_there || size != u64::from(n - 1) * part_size {
                return Ok(false);
            }
            size += part.length;
        }
        let busy = |upload: &Upload| (!upload.busy.is_empty(), upload.aside);
        let (busy, aside) = self.uploads.borrow().get(id).map_or((false, true), busy);
        if busy {
            // It would write on into the object.
            return Err(io::Error::other("a part of it is still on its way"));
        }
        if self.disk.about(&whole).await?.0 != size {
            self.disk.set_len(&whole, size).await?;
            self.disk.sync(&whole).await?;
        }
        self.settle(&self.upload(id), &self.object(key)).await?;
        self.uploads.borrow_mut().remove(id);
        if aside {
            // What is left of it goes now, or when the store is opened again.
            let _ = self.disk.remove_folder(&self.aside(id)).await;
        }
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
    folder.join(format!("{random:016x}{NEW}"))
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
        let made = self.disk.create(&self.upload(&id)).await;
        made.map_err(failed("create"))?;
        self.names.wrote();
        let upload = Upload {
            part_size,
            placed: BTreeMap::new(),
            busy: BTreeSet::new(),
            before: 0,
            aside: false,
        };
        self.uploads.borrow_mut().insert(id.clone(), upload);
        Ok(id)
    }

    async fn put_part(&self, _key: &str, id: &str, n: u16, body: Body) -> Result<Put, BucketError> {
        self.asked("put part")?;
        let put = self.try_put_part(id, n, body).await;
        let part = put.map_err(failed("put part"))?;
        Ok(Put {
            etag: part.tag(),
            sha256: part.sha256,
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
        let upload = self.uploads.borrow_mut().remove(id);
        let removed = async {
            self.remove_any(&self.upload(id)).await?;
            match upload.is_none_or(|upload| upload.aside) {
                true => self.remove_any(&self.aside(id)).await,
                false => Ok(()),
            }
        };
        removed.await.map_err(failed("abort"))
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
