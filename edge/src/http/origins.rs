//! Which pages of other origins may upload (WHATWG Fetch, CORS protocol): those that the app's
//! config names. The token is the credential, so no cookie is sent or taken across origins.

/// Methods of the page's routes and of tus.
pub const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Request headers of the page's protocol, of tus 1.0 and of resumable uploads for HTTP.
pub const REQUEST_HEADERS: &str = "content-type, content-disposition, content-digest, repr-digest, \
    upload-ticket, link-pass, tus-resumable, upload-length, upload-metadata, upload-offset, \
    upload-checksum, upload-concat, upload-defer-length, upload-complete, \
    upload-draft-interop-version, x-http-method-override, x-request-id";

/// Response headers that a script may read, of the same protocols.
pub const RESPONSE_HEADERS: &str = "location, retry-after, repr-digest, content-digest, \
    tus-resumable, tus-version, tus-extension, tus-max-size, tus-checksum-algorithm, \
    upload-offset, upload-length, upload-metadata, upload-expires, upload-concat, \
    upload-defer-length, upload-complete, upload-limit, upload-draft-interop-version";

/// Seconds for which a browser remembers an answer: two hours, the most that Chromium takes.
pub const MAX_AGE: &str = "7200";

/// Whether `origin` is one of `allowed`, to the letter, as browsers compare them.
#[must_use]
pub fn allows(allowed: &[String], origin: &str) -> bool {
    allowed.iter().any(|known| known == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_origins_are_allowed() {
        let allowed = ["https://app.example.com".to_owned()];
        assert!(allows(&allowed, "https://app.example.com"));
        for other in [
            "https://app.example.com:8443",
            "http://app.example.com",
            "https://app.example.com.evil.example",
            "null",
            "",
        ] {
            assert!(!allows(&allowed, other), "{other}");
        }
        assert!(!allows(&[], "https://app.example.com"));
    }
}
