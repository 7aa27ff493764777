//! The store: objects as files of a folder.
//!
//! Promise: what is acknowledged is on the disk. A file is written under a name of its own, synced, and
//! then renamed to where it belongs, with the folder synced too; a crash leaves the file or nothing.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chatlift_edge::ports::Selection;
use chatlift_edge::ports::{Bucket, BucketError, CompleteError, Head, Put, PutError};
use chatlift_shared::digest::Sha256;
use futures_util::stream::{self, StreamExt as _};
use sha2::Digest as _;
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;

use crate::body::{Body, Incoming};

/// Bytes that are read of a file at once.
const PIECE: usize = 64 * 1024;

/// A folder of objects, and one of the parts of those that are on their way.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    objects: PathBuf,
    parts: PathBuf,
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

impl Files {
    /// Opens the store in a folder, which is made where it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) async fn open(folder: &Path) -> io::Result<Self> {
        let files = Self {
            objects: folder.join("objects"),
            parts: folder.join("parts"),
            silent: false,
        };
        fs::create_dir_all(&files.objects).await?;
        fs::create_dir_all(&files.parts).await?;
        Ok(files)
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
}

/// Writes a body to a new file and syncs it. A body that breaks off leaves none.
async fn write(path: &Path, body: Body) -> io::Result<(u64, Sha256)> {
    let written = async {
        let mut file = File::create(path).await?;
        let mut hasher = sha2::Sha256::new();
        let (mut stream, mut size) = (body.0, 0);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            hasher.update(&chunk);
            file.write_all(&chunk).await?;
            size += chunk.len() as u64;
        }
        file.flush().await?;
        file.sync_data().await?;
        Ok((size, Sha256(hasher.finalize().into())))
    };
    let written = written.await;
    if written.is_err() {
        let _ = fs::remove_file(path).await;
    }
    written
}

/// Puts a written file where it belongs.
async fn settle(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).await?;
    fs::rename(from, to).await?;
    sync_folder(folder).await
}

async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

/// A name that nobody else has.
fn unique(folder: &Path) -> PathBuf {
    let random = getrandom::u64().unwrap_or_default();
    folder.join(format!("{random:016x}.new"))
}

/// A tag of an object is made of its size and time of change, since its digest is not kept. It has no dash:
/// R2's tags have one where an object was joined from parts.
async fn head_of(file: &File) -> io::Result<Head> {
    let about = file.metadata().await?;
    let changed = about.modified()?;
    let since = changed
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Head {
        size: about.len(),
        etag: format!("{:016x}{:016x}", about.len(), since.as_nanos()),
    })
}

impl Bucket for Files {
    type Body = Body;
    type Objects = Incoming;

    fn objects(&self, objects: Vec<(String, u64)>) -> Incoming {
        let paths: Vec<PathBuf> = objects.iter().map(|(key, _)| self.object(key)).collect();
        let all = stream::iter(paths)
            .then(|path| async move {
                match File::open(path).await {
                    Ok(file) => ReaderStream::with_capacity(file, PIECE).boxed_local(),
                    Err(error) => stream::iter([Err(error)]).boxed_local(),
                }
            })
            .flatten();
        Incoming::body(Some(Body(all.boxed_local())))
    }

    fn body(&self, bytes: Vec<u8>) -> Result<Body, BucketError> {
        Ok(Body::of(bytes))
    }

    async fn create(&self, _key: &str, _part_size: u64) -> Result<String, BucketError> {
        self.asked("create")?;
        let id = format!("{:016x}", getrandom::u64().unwrap_or_default());
        fs::create_dir(self.upload(&id))
            .await
            .map_err(failed("create"))?;
        sync_folder(&self.parts).await.map_err(failed("create"))?;
        Ok(id)
    }

    async fn put_part(&self, _key: &str, id: &str, n: u16, body: Body) -> Result<Put, BucketError> {
        self.asked("put part")?;
        let folder = self.upload(id);
        let new = unique(&folder);
        let (_, sha256) = write(&new, body).await.map_err(failed("put part"))?;
        let part = folder.join(format!("{n}-{sha256}"));
        settle(&new, &part).await.map_err(failed("put part"))?;
        Ok(Put {
            etag: sha256.to_string(),
            sha256,
        })
    }

    async fn complete(&self, key: &str, id: &str, etags: &[String]) -> Result<(), CompleteError> {
        self.asked("complete").map_err(CompleteError::Bucket)?;
        let failed = |error| CompleteError::Bucket(failed("complete")(error));
        let folder = self.upload(id);
        fs::metadata(&folder).await.map_err(failed)?;
        let parts: Vec<PathBuf> = (1..)
            .zip(etags)
            .map(|(n, etag)| folder.join(format!("{n}-{etag}")))
            .collect();
        for part in &parts {
            if !fs::try_exists(part).await.map_err(failed)? {
                return Err(CompleteError::Parts);
            }
        }
        let new = unique(&folder);
        let joined = async {
            let mut into = File::create(&new).await?;
            for part in &parts {
                let mut from = File::open(part).await?;
                tokio::io::copy(&mut from, &mut into).await?;
            }
            into.flush().await?;
            into.sync_data().await?;
            settle(&new, &self.object(key)).await
        };
        joined.await.map_err(failed)?;
        // What is left of it is the cleanup's.
        let _ = fs::remove_dir_all(folder).await;
        Ok(())
    }

    async fn abort(&self, _key: &str, id: &str) -> Result<(), BucketError> {
        self.asked("abort")?;
        match fs::remove_dir_all(self.upload(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("abort")(error)),
            _ => Ok(()),
        }
    }

    async fn put(&self, key: &str, body: Body, expected: Option<Sha256>) -> Result<Put, PutError> {
        self.asked("put").map_err(PutError::Bucket)?;
        let new = unique(&self.parts);
        let put = async {
            let (_, sha256) = write(&new, body).await?;
            if expected.is_some_and(|e| e != sha256) {
                fs::remove_file(&new).await?;
                return Ok(None);
            }
            settle(&new, &self.object(key)).await?;
            let file = File::open(self.object(key)).await?;
            let etag = head_of(&file).await?.etag;
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
        match File::open(self.object(key)).await {
            Ok(file) => Ok(Some(head_of(&file).await.map_err(failed("head"))?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("head")(error)),
        }
    }

    async fn read(
        &self,
        key: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Head, Vec<u8>)>, BucketError> {
        self.asked("get")?;
        let mut file = match File::open(self.object(key)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("get")(error)),
        };
        let read = async {
            let head = head_of(&file).await?;
            file.seek(SeekFrom::Start(offset)).await?;
            let mut bytes = Vec::new();
            file.take(length).read_to_end(&mut bytes).await?;
            Ok((head, bytes))
        };
        read.await.map(Some).map_err(failed("get"))
    }

    async fn open(&self, key: &str, what: Selection) -> Result<Option<Body>, BucketError> {
        self.asked("get")?;
        let mut file = match File::open(self.object(key)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("get")(error)),
        };
        let length = match what {
            Selection::Whole => u64::MAX,
            Selection::Part { offset, length } => {
                file.seek(SeekFrom::Start(offset))
                    .await
                    .map_err(failed("get"))?;
                length
            }
        };
        let stream = ReaderStream::with_capacity(file.take(length), PIECE);
        Ok(Some(Body(stream.boxed_local())))
    }

    async fn digest(&self, body: Body) -> Result<Sha256, BucketError> {
        self.asked("digest")?;
        let (mut hasher, mut stream) = (sha2::Sha256::new(), body.0);
        while let Some(chunk) = stream.next().await {
            hasher.update(chunk.map_err(failed("digest"))?);
        }
        Ok(Sha256(hasher.finalize().into()))
    }

    async fn delete(&self, key: &str) -> Result<(), BucketError> {
        self.asked("delete")?;
        match fs::remove_file(self.object(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("delete")(error)),
            _ => Ok(()),
        }
    }
}

/// A static file's bytes.
pub(crate) async fn read(path: &Path) -> io::Result<Bytes> {
    fs::read(path).await.map(Bytes::from)
}
