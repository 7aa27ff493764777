//! Clients of the open upload protocols, request by request: tus 1.0 and Resumable Uploads for
//! HTTP. Nothing is hidden, so that a scenario can also send what no client would.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::Page;
use crate::http::{Answer, send, send_cut};

/// The media type of a tus body.
pub const TUS: &str = "application/offset+octet-stream";
/// The media type of an append of Resumable Uploads for HTTP.
pub const PARTIAL: &str = "application/partial-upload";

/// An upload by one of the protocols.
#[derive(Clone, Debug)]
pub struct Serial {
    origin: String,
    /// The path of the upload, as `Location` gave it.
    pub path: String,
}

/// An `Upload-Metadata` with a file's name.
#[must_use]
pub fn metadata(name: &str) -> String {
    format!("filename {}", STANDARD.encode(name))
}

/// A number in a header.
///
/// # Panics
/// When there is none.
#[must_use]
#[track_caller]
pub fn number(answer: &Answer, header: &str) -> u64 {
    answer
        .header(header)
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("no {header}: {} {}", answer.status, answer.text()))
}

/// Any tus request under a link's address, with the version that it must have.
#[must_use]
pub fn tus(
    page: &Page,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Answer {
    let mut all = vec![("tus-resumable", "1.0.0")];
    all.extend_from_slice(headers);
    page.call(method, &format!("/tus{path}"), &all, body)
}

/// Creates a tus upload, that must be taken.
///
/// # Panics
/// When it is refused.
#[must_use]
#[track_caller]
pub fn create(page: &Page, name: &str, size: u64, more: &[(&str, &str)]) -> Serial {
    let (size, metadata) = (size.to_string(), metadata(name));
    let mut headers = vec![
        ("upload-length", size.as_str()),
        ("upload-metadata", metadata.as_str()),
    ];
    headers.extend_from_slice(more);
    let created = tus(page, "POST", "", &headers, Some(&[]));
    assert_eq!(created.status, 201, "{}", created.text());
    Serial::at(page, &created)
}

impl Serial {
    /// The upload that an answer points to.
    ///
    /// # Panics
    /// When it points to none.
    #[must_use]
    #[track_caller]
    pub fn at(page: &Page, created: &Answer) -> Self {
        let path = created.header("location").expect("a location").to_owned();
        let end = page.url().find("/u/").expect("a link's address");
        Self {
            origin: page.url()[..end].to_owned(),
            path,
        }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// Its id, at the end of its path.
    #[must_use]
    pub fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The file that it becomes.
    ///
    /// # Panics
    /// When its address has no id.
    #[must_use]
    pub fn file(&self) -> chatlift_shared::FileId {
        self.id().replace("upl_", "fil_").parse().expect("an id")
    }

    /// Any request to it.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    #[track_caller]
    pub fn call(&self, method: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        send(method, &self.url(), headers, body).unwrap_or_else(|e| panic!("{method}: {e}"))
    }

    /// Adds bytes by tus, with more headers.
    #[must_use]
    #[track_caller]
    pub fn patch(&self, offset: u64, bytes: &[u8], more: &[(&str, &str)]) -> Answer {
        let offset = offset.to_string();
        let mut headers = vec![
            ("tus-resumable", "1.0.0"),
            ("content-type", TUS),
            ("upload-offset", offset.as_str()),
        ];
        headers.extend_from_slice(more);
        self.call("PATCH", &headers, Some(bytes))
    }

    /// Adds bytes by tus, that must be taken.
    ///
    /// # Panics
    /// When they are not.
    #[track_caller]
    pub fn add(&self, offset: u64, bytes: &[u8]) {
        let answer = self.patch(offset, bytes, &[]);
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert_eq!(
            number(&answer, "upload-offset"),
            offset + bytes.len() as u64
        );
    }

    /// Asks by tus how far it is.
    #[must_use]
    #[track_caller]
    pub fn head(&self) -> Answer {
        self.call("HEAD", &[("tus-resumable", "1.0.0")], None)
    }

    /// Appends bytes by Resumable Uploads for HTTP, with more headers.
    #[must_use]
    #[track_caller]
    pub fn append(
        &self,
        offset: u64,
        bytes: &[u8],
        complete: bool,
        more: &[(&str, &str)],
    ) -> Answer {
        let offset = offset.to_string();
        let mut headers = vec![
            ("content-type", PARTIAL),
            ("upload-offset", offset.as_str()),
            ("upload-complete", if complete { "?1" } else { "?0" }),
            ("upload-draft-interop-version", "9"),
        ];
        headers.extend_from_slice(more);
        self.call("PATCH", &headers, Some(bytes))
    }

    /// Announces `announced` bytes at `offset`, sends only `sent`, and cuts the connection.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn cut(&self, headers: &str, announced: u64, sent: &[u8]) {
        let head = format!("PATCH {} HTTP/1.1\r\n{headers}", self.path);
        send_cut(&self.origin, &head, announced, sent).expect("a cut request");
    }
}
