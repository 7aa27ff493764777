//! Pictures of what was delivered: a small one, and a PDF's pages. Made when they are first asked for.

use std::io;
use std::path::Path;

use super::{Lane, Picture, Pipeline, convert};
use crate::disk;
use crate::store::Delivery;

impl Pipeline {
    /// A picture of a delivery, a JPEG, which is made if there is none yet.
    ///
    /// # Errors
    /// When none can be made of it.
    pub async fn picture(&self, delivery: &Delivery, picture: Picture) -> io::Result<Vec<u8>> {
        let file = delivery.file;
        let made = self.folders.picture(file, picture);
        if !tokio::fs::try_exists(&made).await? {
            let media_type = delivery.product.media_type.clone();
            if !picture.possible(&media_type) {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let (sandbox, result) = (self.sandbox.clone(), made.clone());
            self.look(delivery, picture, move |source, folder| {
                let small = folder.join("small.jpg");
                picture
                    .make(&sandbox, source, &media_type, folder, &small)
                    .map_err(io::Error::other)?;
                std::fs::rename(&small, &result)
            })
            .await?;
        }
        let bytes = tokio::fs::read(&made).await?;
        if self.objects.shared() {
            // Whoever erases the file may be on another machine.
            disk::remove(&made).await?;
        }
        Ok(bytes)
    }

    /// How many pages a delivered PDF has.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn pages(&self, delivery: &Delivery) -> io::Result<u32> {
        let sandbox = self.sandbox.clone();
        self.look(delivery, Picture::Page(0), move |source, folder| {
            convert::pdf::pages(&sandbox, source, folder).map_err(io::Error::other)
        })
        .await
    }

    /// Has `work` look at a delivery, in a folder of its own.
    async fn look<T: Send + 'static>(
        &self,
        delivery: &Delivery,
        picture: Picture,
        work: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let file = delivery.file;
        // One at a time, so that two who ask for the same one do not meet in its folder.
        let _one = self.pictures.lock().await;
        let _turn = self.turn(Lane::Quick).await;
        let fetched = self.folders.picture_source(file, picture);
        let key = delivery.product.key(file);
        let source = self.objects.local(&key, &fetched).await?;
        let folder = self.folders.picture_run(file, picture);
        let outcome = disk::blocking(move || {
            disk::remove_folder(&folder)?;
            std::fs::create_dir(&folder)?;
            let outcome = work(&source, &folder);
            disk::remove_folder(&folder)?;
            outcome
        })
        .await;
        disk::remove(&fetched).await?;
        outcome
    }
}
