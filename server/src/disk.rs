//! What the store asks of a file system, so that a test can play one that loses power.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use tokio::task::spawn_blocking;

/// A file system. What was written or renamed is there after a power cut once its file or folder was synced.
pub(crate) trait Disk: Clone + std::fmt::Debug + 'static {
    /// An open file.
    type File: Clone + 'static;

    /// Makes a folder, and those above it, where they are not there.
    async fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Opens a file to be written and read, and makes it where it is not there.
    async fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file that is there to be written and read.
    async fn open_to_write(&self, path: &Path) -> io::Result<Self::File>;

    /// As [`Self::open_to_write`], and takes room for `length` bytes from an offset, so that a full disk is told
    /// of before they come. The file is as large then as if they had been written.
    async fn open_with_room(&self, path: &Path, offset: u64, length: u64)
    -> io::Result<Self::File>;

    /// Opens a file to be read.
    async fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Writes bytes at an offset.
    async fn write(&self, file: &Self::File, offset: u64, bytes: Bytes) -> io::Result<()>;

    /// Reads at most `length` bytes from an offset; fewer, or none, only at the file's end.
    async fn read(&self, file: &Self::File, offset: u64, length: usize) -> io::Result<Bytes>;

    /// The file's size in bytes, and when it was written to last, in nanoseconds since 1970.
    async fn about(&self, file: &Self::File) -> io::Result<(u64, u128)>;

    /// Cuts a file to a size, in bytes.
    async fn set_len(&self, file: &Self::File, length: u64) -> io::Result<()>;

    /// Waits until a file's bytes are on the disk.
    async fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// As [`Self::sync`], of a file that is cut before, if it is `from` bytes large, to `to`.
    async fn cut_and_sync(&self, file: &Self::File, from: u64, to: u64) -> io::Result<()>;

    /// Waits until a folder's names are on the disk.
    async fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of any that has it.
    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    async fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder with all that is in it.
    async fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder.
    async fn names(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// The machine's own.
#[derive(Clone, Debug)]
pub(crate) struct Machine;

/// How often the program has waited for a disk: a figure of [`crate::metrics`].
static SYNCS: AtomicU64 = AtomicU64::new(0);

/// How often something was synced.
pub(crate) fn syncs() -> u64 {
    SYNCS.load(Ordering::Relaxed)
}

/// Counts a sync.
pub(crate) fn count_sync() {
    SYNCS.fetch_add(1, Ordering::Relaxed);
}

/// Has another thread do what waits for a disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

impl Disk for Machine {
    type File = Arc<File>;

    async fn make_folder(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || fs::create_dir_all(path)).await
    }

    async fn create(&self, path: &Path) -> io::Result<Arc<File>> {
        let path = path.to_owned();
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(path).map(Arc::new)
        };
        blocking(open).await
    }

    async fn open_to_write(&self, path: &Path) -> io::Result<Arc<File>> {
        let path = path.to_owned();
        let open = || OpenOptions::new().read(true).write(true).open(path);
        blocking(move || open().map(Arc::new)).await
    }

    async fn open_with_room(&self, path: &Path, offset: u64, length: u64) -> io::Result<Arc<File>> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        let path = path.to_owned();
        let open = move || {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            match fallocate(&file, FallocateFlags::empty(), offset, length) {
                // Not every file system can; a full disk is then told of by the write.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Arc::new(file)),
                Err(error) => Err(error.into()),
            }
        };
        blocking(open).await
    }

    async fn open(&self, path: &Path) -> io::Result<Arc<File>> {
        let path = path.to_owned();
        blocking(move || File::open(path).map(Arc::new)).await
    }

    async fn write(&self, file: &Arc<File>, offset: u64, bytes: Bytes) -> io::Result<()> {
        let file = Arc::clone(file);
        blocking(move || file.write_all_at(&bytes, offset)).await
    }

    async fn read(&self, file: &Arc<File>, offset: u64, length: usize) -> io::Result<Bytes> {
        let file = Arc::clone(file);
        let read = move || {
            let mut bytes = vec![0; length];
            let mut have = 0;
            while have < length {
                match file.read_at(&mut bytes[have..], offset + have as u64) {
                    Ok(0) => break,
                    Ok(more) => have += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(have);
            Ok(Bytes::from(bytes))
        };
        blocking(read).await
    }

    async fn about(&self, file: &Arc<File>) -> io::Result<(u64, u128)> {
        let file = Arc::clone(file);
        let about = move || {
            let about = file.metadata()?;
            let since = about.modified()?.duration_since(UNIX_EPOCH);
            Ok((about.len(), since.unwrap_or_default().as_nanos()))
        };
        blocking(about).await
    }

    async fn set_len(&self, file: &Arc<File>, length: u64) -> io::Result<()> {
        let file = Arc::clone(file);
        blocking(move || file.set_len(length)).await
    }

    async fn sync(&self, file: &Arc<File>) -> io::Result<()> {
        let file = Arc::clone(file);
        count_sync();
        blocking(move || file.sync_data()).await
    }

    async fn cut_and_sync(&self, file: &Arc<File>, from: u64, to: u64) -> io::Result<()> {
        let file = Arc::clone(file);
        count_sync();
        let cut = move || {
            if file.metadata()?.len() == from {
                file.set_len(to)?;
            }
            file.sync_data()
        };
        blocking(cut).await
    }

    async fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        count_sync();
        blocking(move || File::open(path)?.sync_all()).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        blocking(move || fs::rename(from, to)).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || fs::remove_file(path)).await
    }

    async fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || fs::remove_dir_all(path)).await
    }

    async fn names(&self, path: &Path) -> io::Result<Vec<String>> {
        let path: PathBuf = path.to_owned();
        let names = move || {
            let entries = fs::read_dir(path)?;
            let name = |entry: io::Result<fs::DirEntry>| {
                Ok(entry?.file_name().to_string_lossy().into_owned())
            };
            entries.map(name).collect()
        };
        blocking(names).await
    }
}
