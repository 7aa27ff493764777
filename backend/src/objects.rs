//! Where what is made of files is kept: in a folder of this machine, or in a bucket that speaks S3, which
//! lets each of several backends serve any file.
//!
//! Promise: an object appears under its key whole or not at all, and is never changed. Its key has the
//! file, the attempt and the lease under which it was made, so that a process that comes too late
//! overwrites nothing of the one that has the job now; it removes its own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chatlift_shared::FileId;
use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt as _,
    RetryConfig,
};
use tokio::io::AsyncWriteExt as _;

use crate::config::Bucket;
use crate::disk::{blocking, remove};
use crate::store::{Job, Product};

/// Longest wait for a connection to the store.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the next bytes of an answer. The whole may take as long as it is large.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How often and how long a request is repeated at once. A file waits for longer than that, and whoever
/// asks for one should not.
const RETRIES: (usize, Duration) = (2, Duration::from_secs(10));
/// Parts of one object that are sent at once; each is 10 MiB in memory.
const PARTS_AT_ONCE: usize = 2;

/// What keeps them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Folder(PathBuf),
    /// What stands before each key, with its slash.
    Bucket(String),
}

impl Objects {
    /// In a folder that is there.
    ///
    /// # Errors
    /// When it is not.
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            store: Arc::new(LocalFileSystem::new_with_prefix(folder)?),
            place: Place::Folder(folder.to_owned()),
        })
    }

    /// In a bucket, apart from what is kept under other names. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When its settings do not fit together.
    pub fn in_bucket(bucket: &Bucket, name: &str) -> io::Result<Self> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = bucket
            .endpoint
            .as_deref()
            .is_some_and(|e| e.starts_with("http://"));
        let client = ClientOptions::new()
            .with_allow_http(plain)
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(READ_TIMEOUT);
        let mut builder = AmazonS3Builder::new()
            .with_client_options(client)
            .with_retry(RetryConfig {
                max_retries: RETRIES.0,
                retry_timeout: RETRIES.1,
                ..RetryConfig::default()
            })
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region);
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(keys) = &bucket.keys {
            builder = builder
                .with_access_key_id(&keys.id)
                .with_secret_access_key(&keys.secret);
            if let Some(token) = &keys.token {
                builder = builder.with_token(token);
            }
        }
        let prefix = match bucket.prefix.as_str() {
            "" => format!("{name}/"),
            prefix => format!("{prefix}/{name}/"),
        };
        Ok(Self {
            store: Arc::new(builder.build()?),
            place: Place::Bucket(prefix),
        })
    }

    /// Whether other machines have them too; then what lies on this one's disk is scratch.
    #[must_use]
    pub fn shared(&self) -> bool {
        matches!(self.place, Place::Bucket(_))
    }

    /// The key of what is made of a job's file under its lease.
    #[must_use]
    pub fn key(&self, job: &Job) -> String {
        self.key_of(job.file(), job.attempt, job.lease)
    }

    fn key_of(&self, file: FileId, attempt: u32, lease: u32) -> String {
        match self.place {
            Place::Bucket(_) => format!("{file}/{attempt}.{lease}"),
            Place::Folder(_) if attempt == 0 && lease == 0 => file.to_string(),
            Place::Folder(_) => format!("{file}.{attempt}.{lease}"),
        }
    }

    fn at(&self, key: &str) -> Key {
        match &self.place {
            Place::Folder(_) => Key::from(key),
            Place::Bucket(prefix) => Key::from(format!("{prefix}{key}")),
        }
    }

    /// Keeps a file, whose content is safe on disk, under `key`.
    ///
    /// # Errors
    /// When it cannot be read or kept.
    pub(crate) async fn put(&self, key: &str, path: &Path) -> io::Result<()> {
        if let Place::Folder(folder) = &self.place {
            let (from, to) = (path.to_owned(), folder.join(key));
            let between = folder.join(format!(".{key}"));
            return blocking(move || link(&from, &between, &to)).await;
        }
        let mut file = tokio::fs::File::open(path).await?;
        let mut object = BufWriter::new(Arc::clone(&self.store), self.at(key))
            .with_max_concurrency(PARTS_AT_ONCE);
        if let Err(error) = tokio::io::copy(&mut file, &mut object).await {
            // What is left of it the store removes by its own rules.
            let _ = object.abort().await;
            return Err(error);
        }
        object.shutdown().await
    }

    /// The size of an object in bytes; `None` if there is none.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn size(&self, key: &str) -> io::Result<Option<u64>> {
        match self.store.head(&self.at(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The path of an object, if it lies in a folder.
    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        match &self.place {
            Place::Folder(folder) => Some(folder.join(key)),
            Place::Bucket(_) => None,
        }
    }

    /// An object as a file: where it lies, or fetched to `scratch`.
    ///
    /// # Errors
    /// When there is none, or the store or the disk fails.
    pub(crate) async fn local(&self, key: &str, scratch: &Path) -> io::Result<PathBuf> {
        if let Some(path) = self.path(key) {
            return Ok(path);
        }
        let mut content = self.read(key, None).await?.into_stream();
        let mut file = tokio::fs::File::create(scratch).await?;
        while let Some(bytes) = content.try_next().await? {
            file.write_all(&bytes).await?;
        }
        file.flush().await?;
        Ok(scratch.to_owned())
    }

    /// The content of an object, or a range of it, as it arrives.
    ///
    /// # Errors
    /// When there is none, or the store does not answer.
    pub(crate) async fn read(&self, key: &str, range: Option<GetRange>) -> io::Result<GetResult> {
        let options = GetOptions::new().with_range(range);
        Ok(self.store.get_opts(&self.at(key), options).await?)
    }

    /// Removes an object; it may be gone already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn remove(&self, key: &str) -> io::Result<()> {
        match self.store.delete(&self.at(key)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The files that objects are named by.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn list(&self) -> io::Result<Vec<FileId>> {
        let under = match &self.place {
            Place::Folder(_) => None,
            Place::Bucket(prefix) => Some(Key::from(prefix.as_str())),
        };
        let mut objects = self.store.list(under.as_ref());
        let mut files = Vec::new();
        while let Some(object) = objects.try_next().await? {
            files.extend(
                object
                    .location
                    .filename()
                    .and_then(|name| name.parse::<FileId>().ok()),
            );
        }
        Ok(files)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn ping(&self) -> io::Result<()> {
        self.size("probe").await.map(|_| ())
    }

    /// Removes all that was ever kept of a job's file, but for `keep`: what a process left that died
    /// or lost its lease.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn remove_all(&self, job: &Job, keep: Option<&Product>) -> io::Result<()> {
        let file = job.file();
        let keep = keep.map(|product| product.key(file));
        if let Place::Folder(folder) = &self.place {
            for (attempt, lease) in
                (0..=job.attempt).flat_map(|a| (0..=job.lease).map(move |l| (a, l)))
            {
                let key = self.key_of(file, attempt, lease);
                if keep.as_ref() != Some(&key) {
                    remove(&folder.join(key)).await?;
                }
            }
            return Ok(());
        }
        let keep = keep.map(|key| self.at(&key));
        let of_file = self.at(&file.to_string());
        let mut objects = self.store.list(Some(&of_file));
        while let Some(object) = objects.try_next().await? {
            if keep.as_ref() != Some(&object.location) {
                self.store.delete(&object.location).await?;
            }
        }
        Ok(())
    }
}

/// Gives a file a second name, whole; where the system has no links, a copy.
fn link(from: &Path, between: &Path, to: &Path) -> io::Result<()> {
    let gone = |path: &Path| match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    gone(between)?;
    if std::fs::hard_link(from, between).is_err() {
        std::fs::copy(from, between)?;
        std::fs::File::open(between)?.sync_all()?;
    }
    std::fs::rename(between, to)?;
    // Two names of one file are left as they are by a rename.
    gone(between)?;
    #[cfg(unix)]
    if let Some(folder) = to.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_in_a_folder_is_whole_and_may_be_kept_again() {
        let (folder, scratch) = (tempfile::tempdir(), tempfile::tempdir());
        let (folder, scratch) = (folder.expect("a folder"), scratch.expect("a folder"));
        let objects = Objects::in_folder(folder.path()).expect("a folder");
        let file = scratch.path().join("file");
        std::fs::write(&file, "words").expect("a file");
        for _ in 0..2 {
            objects.put("a", &file).await.expect("kept");
        }
        std::fs::remove_file(&file).expect("gone");
        assert_eq!(objects.size("a").await.expect("it answers"), Some(5));
        assert_eq!(objects.size("b").await.expect("it answers"), None);
        let left = std::fs::read_dir(folder.path()).expect("the folder");
        assert_eq!(left.count(), 1);
        for _ in 0..2 {
            objects.remove("a").await.expect("gone");
        }
        assert_eq!(objects.size("a").await.expect("it answers"), None);
    }
}
