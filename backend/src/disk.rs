//! Files on a disk that may fail at any moment: each change is safe when it is said to be made.

use std::io;
use std::path::{Path, PathBuf};

use chatlift_shared::digest::Sha256;
use sha2::Digest as _;

/// Removes a file; it may be gone already.
pub(crate) async fn remove(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder and all in it; it may be gone already.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Renames a file whose content is safe on disk, and makes the new name safe too.
pub(crate) async fn rename(from: PathBuf, to: PathBuf) -> io::Result<()> {
    blocking(move || {
        std::fs::rename(&from, &to)?;
        for folder in [from.parent(), to.parent()].into_iter().flatten() {
            // Windows cannot open a folder to synchronise it, and need not.
            #[cfg(unix)]
            std::fs::File::open(folder)?.sync_all()?;
            #[cfg(not(unix))]
            let _ = folder;
        }
        Ok(())
    })
    .await
}

/// Size and digest of a file; `None` when there is none.
pub(crate) async fn measure(path: PathBuf) -> io::Result<Option<(u64, Sha256)>> {
    blocking(move || match std::fs::File::open(path) {
        Ok(mut file) => {
            let mut hash = Hash(sha2::Sha256::new());
            let size = io::copy(&mut file, &mut hash)?;
            Ok(Some((size, Sha256(hash.0.finalize().into()))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
    .await
}

/// A hash as something to write to.
pub(crate) struct Hash(pub(crate) sha2::Sha256);

impl io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs what blocks on a thread where that is fine. A panic there becomes an error here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}
