//! Object keys in R2. Nothing that a user sent is in them.

use chatlift_shared::{AppId, UploadId};

/// Key of the object of an upload: `<app>/<link id>/<upload id>`.
#[must_use]
pub fn object_key(app: &AppId, upload: UploadId) -> String {
    format!("{app}/{}/{upload}", upload.link())
}

/// Storage address of an object, `r2://<bucket>/<key>`.
#[must_use]
pub fn address(bucket: &str, key: &str) -> String {
    format!("r2://{bucket}/{key}")
}
