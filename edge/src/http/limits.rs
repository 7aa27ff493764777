//! Which requests count towards the limits on requests, and for whom.

use std::net::IpAddr;

use chatlift_shared::{ProblemCode, UploadId};

use super::fields::tus;
use super::route::{PageRoute, Route};

/// Whether a request under `/u/` counts.
///
/// Not counted are requests that carry the bytes of an upload that was counted when it was made:
/// how many they are goes by the file. `overridden` is the request's `X-HTTP-Method-Override`,
/// which tus alone follows.
#[must_use]
pub fn counts<E>(method: &str, overridden: Option<&str>, route: &Result<Route, E>) -> bool {
    let Ok(Route::Page(_, route)) = route else {
        return true;
    };
    let one = |id: &Option<String>| id.as_ref().is_some_and(|id| id.parse::<UploadId>().is_ok());
    match route {
        PageRoute::PutPart(..) => false,
        PageRoute::Tus(id) => !(one(id) && tus::method(method, overridden) == "PATCH"),
        PageRoute::Resumable(id) => !(one(id) && method == "PATCH"),
        _ => true,
    }
}

/// Whether a refused request to a backend's route counts as a guess at an API key. The right key is
/// never limited, however often it is used and whoever guesses from the same address: it is 256
/// random bits that keep a guess from being right, and a backend that shares its address with
/// others must go on.
#[must_use]
pub const fn is_guess(code: ProblemCode) -> bool {
    matches!(code, ProblemCode::ApiKeyUnknown)
}

/// Whom an address stands for. One subscriber has a whole /64 of IPv6 (RFC 6177 section 2), and
/// could be another one of it with each request.
#[must_use]
pub fn sender(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        },
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::parse;

    fn counts(method: &str, overridden: Option<&str>, path: &str) -> bool {
        super::counts(method, overridden, &parse(method, path))
    }

    #[test]
    fn only_a_wrong_key_is_a_guess() {
        for code in ProblemCode::ALL.iter() {
            let guess = *code == ProblemCode::ApiKeyUnknown;
            assert_eq!(is_guess(*code), guess, "{code:?}");
        }
    }

    #[test]
    fn a_sender_of_many_addresses_is_one() {
        assert_eq!(sender("192.0.2.1"), "192.0.2.1");
        assert_eq!(sender("::ffff:192.0.2.1"), "192.0.2.1");
        let one = sender("2001:db8:1:2:3:4:5:6");
        assert_eq!(one, "2001:db8:1:2::/64");
        assert_eq!(sender("2001:db8:1:2::9"), one);
        assert_ne!(sender("2001:db8:1:3::9"), one);
        assert_eq!(sender("no address"), "no address");
    }

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
