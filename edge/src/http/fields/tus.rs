//! tus 1.0 (<https://tus.io/protocols/resumable-upload>): its headers, read and written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::{LinkId, Problem, ProblemCode, UploadId};

use crate::checksum::{Algorithm, Checksum};
use crate::http::route::{PageRoute, Route, parse};
use crate::link::serial::{METADATA_MAX, PIECES_MAX, Role};

/// The one version.
pub const VERSION: &str = "1.0.0";

/// The method that is meant: that of `X-HTTP-Method-Override`, where a client cannot send it.
#[must_use]
pub fn method(sent: &str, overridden: Option<&str>) -> String {
    overridden.unwrap_or(sent).to_ascii_uppercase()
}

/// Whether a path is one of this protocol.
#[must_use]
pub fn is_tus(path: &str) -> bool {
    // Its routes take any method, and answer in the protocol's words.
    matches!(
        parse("OPTIONS", path),
        Ok(Route::Page(_, PageRoute::Tus(_)))
    )
}

/// The extensions.
pub const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,expiration,\
    checksum,termination,concatenation";

/// The media type of a body that adds to an upload.
pub const MEDIA_TYPE: &str = "application/offset+octet-stream";

fn invalid(field: &str, detail: &str) -> Problem {
    Problem::new(ProblemCode::InvalidRequest)
        .field(field)
        .detail(detail)
}

/// A number of bytes in a header: digits, and nothing else.
///
/// # Errors
/// `invalid-request` naming the header.
pub fn number(field: &str, value: &str) -> Result<u64, Problem> {
    Some(value)
        .filter(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|v| v.parse().ok())
        .ok_or_else(|| invalid(field, "Give a number of bytes."))
}

/// The length of a new upload, from `Upload-Length` and `Upload-Defer-Length`; `None` when it is
/// told later.
///
/// # Errors
/// `invalid-request` unless exactly one of them is there, as it must be.
pub fn length(length: Option<&str>, defer: Option<&str>) -> Result<Option<u64>, Problem> {
    match (length, defer) {
        (Some(length), None) => number("Upload-Length", length).map(Some),
        (None, Some("1")) => Ok(None),
        (None, None) => Err(invalid("Upload-Length", "Give the length of the file.")),
        _ => Err(invalid(
            "Upload-Defer-Length",
            "Give either an Upload-Length or an Upload-Defer-Length of 1.",
        )),
    }
}

/// The pairs of an `Upload-Metadata`, decoded.
///
/// # Errors
/// `invalid-request` for what is no list of keys with base64 values, for a key that comes twice,
/// and for more than [`METADATA_MAX`] bytes.
pub fn metadata(value: &str) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let wrong = |detail: &str| invalid("Upload-Metadata", detail);
    if value.len() > METADATA_MAX {
        return Err(wrong("It is too long.").limit(METADATA_MAX as u64));
    }
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
    if value.trim().is_empty() {
        return Ok(pairs);
    }
    for pair in value.split(',') {
        let pair = pair.trim();
        let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("A key is ASCII, without spaces and commas."));
        }
        if pairs.iter().any(|(known, _)| known == key) {
            return Err(wrong("A key comes twice."));
        }
        let decoded = STANDARD
            .decode(encoded.trim())
            .map_err(|_| wrong("A value is not base64."))?;
        pairs.push((key.to_owned(), decoded));
    }
    Ok(pairs)
}

/// The file's name in its metadata: under `filename`, as tus clients give it, or under `name`, as
/// Uppy does. Empty where there is none.
#[must_use]
pub fn file_name(metadata: &[(String, Vec<u8>)]) -> String {
    ["filename", "name"]
        .iter()
        .find_map(|key| metadata.iter().find(|(known, _)| known == key))
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

/// Reads an `Upload-Checksum`.
///
/// # Errors
/// `invalid-request` for another algorithm, or what is no digest of it.
pub fn checksum(value: &str) -> Result<Checksum, Problem> {
    let (name, encoded) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    let algorithm = Algorithm::NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, algorithm)| *algorithm)
        .ok_or_else(|| invalid("Upload-Checksum", &format!("Use one of {}.", algorithms())))?;
    let digest = STANDARD
        .decode(encoded.trim())
        .ok()
        .filter(|d| d.len() == algorithm.length())
        .ok_or_else(|| invalid("Upload-Checksum", "It is no digest in base64."))?;
    Ok(Checksum { algorithm, digest })
}

/// The algorithms, as `Tus-Checksum-Algorithm` lists them.
#[must_use]
pub fn algorithms() -> String {
    Algorithm::NAMES.map(|(name, _)| name).join(",")
}

/// Reads an `Upload-Concat` about uploads of `link`.
///
/// # Errors
/// `invalid-request` for what is neither `partial` nor `final` with addresses of uploads;
/// `upload-not-found` for an upload of another link.
pub fn concat(value: Option<&str>, link: LinkId) -> Result<Role, Problem> {
    let Some(value) = value.map(str::trim) else {
        return Ok(Role::File);
    };
    if value == "partial" {
        return Ok(Role::Piece);
    }
    let wrong = |detail: &str| invalid("Upload-Concat", detail);
    let urls = value.strip_prefix("final;").ok_or_else(|| {
        wrong("Give `partial`, or `final;` with the addresses of partial uploads.")
    })?;
    let mut pieces = Vec::new();
    for url in urls.split(' ').filter(|url| !url.is_empty()) {
        let id: UploadId = url
            .rsplit('/')
            .next()
            .and_then(|id| id.parse().ok())
            .filter(|id: &UploadId| id.link() == link)
            .ok_or(ProblemCode::UploadNotFound)?;
        pieces.push(id);
        if pieces.len() > PIECES_MAX {
            break;
        }
    }
    Ok(Role::Join(pieces))
}

/// The `Upload-Concat` of an upload, if it has one. `base` is the address of all uploads.
#[must_use]
pub fn concat_header(role: &Role, base: &str) -> Option<String> {
    match role {
        Role::File => None,
        Role::Piece => Some("partial".to_owned()),
        Role::Join(pieces) => {
            let urls: Vec<_> = pieces.iter().map(|id| format!("{base}/{id}")).collect();
            Some(format!("final;{}", urls.join(" ")))
        }
    }
}

/// The problem as tus has it: a checksum that is wrong is 460, an upload that ended is gone, one
/// that is being completed is locked; and 409 is only ever about offsets, since clients take it as
/// a reason to ask for the offset and go on.
#[must_use]
pub fn problem(mut problem: Problem) -> Problem {
    problem.status = match problem.code {
        ProblemCode::DigestMismatch => 460,
        ProblemCode::UploadAborted | ProblemCode::PartsMissing => 410,
        ProblemCode::UploadBusy => 423,
        ProblemCode::LinkFull => 403,
        _ => problem.status,
    };
    problem
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(number("Upload-Offset", "70"), Ok(70));
        for bad in ["", "-1", "+1", " 1", "1.0", "0x1", "99999999999999999999"] {
            let problem = number("Upload-Offset", bad).expect_err(bad);
            assert_eq!(problem.field.as_deref(), Some("Upload-Offset"));
        }
    }

    #[test]
    fn a_length_is_told_now_or_later() {
        assert_eq!(length(Some("5"), None), Ok(Some(5)));
        assert_eq!(length(None, Some("1")), Ok(None));
        for bad in [(None, None), (Some("5"), Some("1")), (None, Some("0"))] {
            assert!(length(bad.0, bad.1).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn metadata_is_read_as_clients_write_it() {
        let read = metadata("filename d29ybGQucGRm,empty, is_confidential").expect("metadata");
        assert_eq!(file_name(&read), "world.pdf");
        assert_eq!(read.len(), 3);
        assert_eq!(metadata(""), Ok(vec![]));
        assert_eq!(file_name(&[]), "");
        let uppy = metadata("name YS5wZGY=,type YXBwbGljYXRpb24vcGRm").expect("metadata");
        assert_eq!(file_name(&uppy), "a.pdf");
        for bad in ["a !", "a YQ==,a YQ==", ",", "ä YQ=="] {
            assert!(metadata(bad).is_err(), "{bad}");
        }
        assert!(metadata(&"a".repeat(METADATA_MAX + 1)).is_err());
    }

    #[test]
    fn a_checksum_names_its_algorithm() {
        let sha1 = checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").expect("a checksum");
        assert_eq!((sha1.algorithm, sha1.digest.len()), (Algorithm::Sha1, 20));
        for bad in [
            "md5 rL0Y20zC+Fzt72VPzMSk2A==",
            "sha1",
            "sha1 AAAA",
            "sha256 !",
        ] {
            assert!(checksum(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pieces_are_of_the_link_and_in_order() {
        let link = LinkId::from_bytes([1; 12]);
        let (a, b) = (UploadId::new(link, [1; 6]), UploadId::new(link, [2; 6]));
        let value = format!("final;/u/t/tus/{b} https://edge.example/u/t/tus/{a}");
        let role = concat(Some(&value), link).expect("pieces");
        assert_eq!(role, Role::Join(vec![b, a]));
        assert_eq!(
            concat_header(&role, "/u/t/tus"),
            Some(format!("final;/u/t/tus/{b} /u/t/tus/{a}"))
        );
        assert_eq!(concat(None, link), Ok(Role::File));
        assert_eq!(concat(Some("partial"), link), Ok(Role::Piece));
        let foreign = UploadId::new(LinkId::from_bytes([2; 12]), [1; 6]);
        for bad in [format!("final;/u/t/tus/{foreign}"), "final;/files/a".into()] {
            let problem = concat(Some(&bad), link).expect_err("another link");
            assert_eq!(problem.code, ProblemCode::UploadNotFound);
        }
        assert!(concat(Some("whole"), link).is_err());
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(value in ".{0,200}") {
            let link = LinkId::from_bytes([1; 12]);
            let _ = (number("f", &value), metadata(&value), checksum(&value));
            let _ = (concat(Some(&value), link), length(Some(&value), None));
        }

        #[test]
        fn metadata_comes_back_as_it_was_sent(
            pairs in prop::collection::btree_map("[a-zA-Z0-9_-]{1,12}", prop::collection::vec(any::<u8>(), 0..40), 0..8)
        ) {
            let text: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{key} {}", STANDARD.encode(value)))
                .collect();
            let read = metadata(&text.join(",")).expect("metadata");
            prop_assert_eq!(read, pairs.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_number_of_bytes_is_read_back(n in any::<u64>()) {
            prop_assert_eq!(number("Upload-Length", &n.to_string()), Ok(n));
        }
    }
}
