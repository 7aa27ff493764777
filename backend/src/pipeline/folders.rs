//! Where files lie on disk. A file is named by its id and nothing else: no name that a user gave
//! ever becomes a path.
//!
//! A name without a suffix that says "unfinished" is only ever given by a rename after the content
//! is safe on disk, so what bears it is whole.

use std::io;
use std::path::{Path, PathBuf};

use chatlift_shared::FileId;

use super::Picture;
use crate::disk::{blocking, remove, remove_folder};

/// The folders below the data folder.
#[derive(Clone, Debug)]
pub struct Folders {
    work: PathBuf,
    deliveries: PathBuf,
    quarantine: PathBuf,
    thumbnails: PathBuf,
}

impl Folders {
    /// Makes the folders below `data` where they are missing.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub async fn create(data: &Path) -> io::Result<Self> {
        let folders = Self {
            work: data.join("work"),
            deliveries: data.join("deliveries"),
            quarantine: data.join("quarantine"),
            thumbnails: data.join("thumbnails"),
        };
        tokio::fs::create_dir_all(&folders.work).await?;
        for folder in [
            &folders.deliveries,
            &folders.quarantine,
            &folders.thumbnails,
        ] {
            tokio::fs::create_dir_all(folder).await?;
        }
        Ok(folders)
    }

    /// A file that is being fetched.
    pub(crate) fn part(&self, file: FileId) -> PathBuf {
        self.work.join(format!("{file}.part"))
    }

    /// A file as it was fetched, digest checked.
    pub(crate) fn original(&self, file: FileId) -> PathBuf {
        self.work.join(format!("{file}.original"))
    }

    /// A conversion under way.
    pub(crate) fn converting(&self, file: FileId) -> PathBuf {
        self.work.join(format!("{file}.converting"))
    }

    /// The folder of a conversion under way.
    pub(crate) fn run(&self, file: FileId) -> PathBuf {
        self.work.join(format!("{file}.run"))
    }

    /// What a conversion made.
    pub(crate) fn product(&self, file: FileId) -> PathBuf {
        self.work.join(format!("{file}.product"))
    }

    /// Where what is made of files is kept, if no bucket keeps it.
    pub(crate) fn deliveries(&self) -> &Path {
        &self.deliveries
    }

    /// Where what the scanner found infected is kept, if no bucket keeps it.
    pub(crate) fn quarantine(&self) -> &Path {
        &self.quarantine
    }

    /// A picture of what the first app has.
    pub(crate) fn picture(&self, file: FileId, picture: Picture) -> PathBuf {
        self.thumbnails.join(format!("{file}.{picture}.jpg"))
    }

    /// What a picture is made of, where that has to be fetched.
    pub(crate) fn picture_source(&self, file: FileId, picture: Picture) -> PathBuf {
        self.thumbnails.join(format!("{file}.{picture}.source"))
    }

    /// The folder in which a picture is made.
    pub(crate) fn picture_run(&self, file: FileId, picture: Picture) -> PathBuf {
        self.thumbnails.join(format!("{file}.{picture}.run"))
    }

    /// Removes all pictures of a file.
    pub(crate) async fn clear_pictures(&self, file: FileId) -> io::Result<()> {
        let own = format!("{file}.");
        let mut entries = tokio::fs::read_dir(&self.thumbnails).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(&own) && entry.file_type().await?.is_file() {
                remove(&entry.path()).await?;
            }
        }
        Ok(())
    }

    /// Whether files can be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        let probe = self.thumbnails.join("probe");
        tokio::fs::write(&probe, b"").await?;
        remove(&probe).await
    }

    /// Removes what lies in the work folder for `file`.
    pub(crate) async fn clear(&self, file: FileId) -> io::Result<()> {
        for path in [
            self.part(file),
            self.original(file),
            self.converting(file),
            self.product(file),
        ] {
            remove(&path).await?;
        }
        let run = self.run(file);
        blocking(move || remove_folder(&run)).await
    }

    /// Bytes in the work folder, without what is there of `file`.
    pub(crate) async fn used_beside(&self, file: FileId) -> io::Result<u64> {
        let (work, own) = (self.work.clone(), file.to_string());
        blocking(move || {
            let mut sum = 0;
            for entry in std::fs::read_dir(work)? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(&own) {
                    continue;
                }
                // What other jobs are done with may go under this.
                sum += entry.metadata().map_or(0, |m| m.len());
            }
            Ok(sum)
        })
        .await
    }

    /// The files that have anything in the work folder, and the entries there that are not ours.
    pub(crate) async fn at_work(&self) -> io::Result<(Vec<FileId>, usize)> {
        let (mut files, mut strange) = (Vec::new(), 0);
        let mut entries = tokio::fs::read_dir(&self.work).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name();
            let id = name
                .to_str()
                .and_then(|n| n.split('.').next()?.parse().ok());
            match id {
                Some(id) => files.push(id),
                None => strange += 1,
            }
        }
        files.sort_unstable();
        files.dedup();
        Ok((files, strange))
    }
}
