//! Which requests count towards the limits on requests.

use chatlift_shared::UploadId;

use super::route::{PageRoute, Route, parse};
use super::tus;

/// Whether a request under `/u/` counts.
///
/// Not counted are requests that carry the bytes of an upload that was counted when it was made:
/// how many they are goes by the file. `overridden` is the request's `X-HTTP-Method-Override`,
/// which tus alone follows.
#[must_use]
pub fn counts(method: &str, overridden: Option<&str>, path: &str) -> bool {
    let Ok(Route::Page(_, route)) = parse(method, path) else {
        return true;
    };
    let one = |id: Option<String>| id.is_some_and(|id| id.parse::<UploadId>().is_ok());
    match route {
        PageRoute::PutPart(..) => false,
        PageRoute::Tus(id) => !(one(id) && tus::method(method, overridden) == "PATCH"),
        PageRoute::Resumable(id) => !(one(id) && method == "PATCH"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLOAD: &str = "upl_AAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn bytes_of_an_upload_do_not_count() {
        let part = format!("/u/t/uploads/{UPLOAD}/parts/1");
        assert!(!counts("PUT", None, &part));
        for protocol in ["tus", "resumable"] {
            let upload = format!("/u/t/{protocol}/{UPLOAD}");
            assert!(!counts("PATCH", None, &upload), "{protocol}");
        }
        let tus = format!("/u/t/tus/{UPLOAD}");
        assert!(!counts("POST", Some("PATCH"), &tus));
        assert!(!counts("POST", Some("patch"), &tus));
    }

    #[test]
    fn all_else_counts_whatever_its_method() {
        for method in ["POST", "PUT", "PATCH"] {
            for path in [
                "/u/t",
                "/u/t/files",
                "/u/t/uploads",
                "/u/t/tus",
                "/u/t/tus/",
                "/u/t/tus/x",
                "/u/t/resumable",
                "/u/t/resumable/",
                "/u/t/resumable/x",
                "/u/t/x",
            ] {
                assert!(counts(method, None, path), "{method} {path}");
                assert!(counts(method, Some("PATCH"), path), "{method} {path}");
            }
        }
        let tus = format!("/u/t/tus/{UPLOAD}");
        assert!(counts("HEAD", None, &tus));
        assert!(counts("PUT", None, &tus));
        assert!(counts("PATCH", Some("DELETE"), &tus));
        // No part of that protocol.
        let resumable = format!("/u/t/resumable/{UPLOAD}");
        assert!(counts("POST", Some("PATCH"), &resumable));
        assert!(counts("PUT", None, &resumable));
    }
}
