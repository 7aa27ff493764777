//! Resumable Uploads for HTTP: its header fields and problem types, as
//! draft-ietf-httpbis-resumable-upload-12 has them. Its interop version guards the interim response
//! 104 only, which Workers cannot send.
//!
//! The fields are structured ones (RFC 9651); a value of another type is refused.

use chatlift_shared::{Problem, ProblemCode};
use serde_json::{Value, json};
use sfv::{Item, Parser};

/// The media type of a body that adds to an upload.
pub const MEDIA_TYPE: &str = "application/partial-upload";

/// Where the draft's problem types are registered.
const TYPES: &str = "https://iana.org/assignments/http-problem-types#";

/// Largest integer of a structured field (RFC 9651 section 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// A field of another structured type than the draft gives it: what the sender means by it is not
/// known, and to pass it over could store half a file as a whole one.
fn ill_typed(field: &str, wanted: &str) -> Problem {
    Problem::new(ProblemCode::InvalidRequest)
        .field(field)
        .detail(format!("Give {wanted} (RFC 9651)."))
}

/// Reads an `Upload-Offset` or `Upload-Length`.
///
/// # Errors
/// `invalid-request` on the field when it is no Integer of bytes.
pub fn integer(field: &str, value: Option<&str>) -> Result<Option<u64>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let item = Parser::new(value).parse::<Item>().ok();
    item.and_then(|item| u64::try_from(i64::from(item.bare_item.as_integer()?)).ok())
        .map(Some)
        .ok_or_else(|| ill_typed(field, "a number of bytes, an Integer"))
}

/// Reads an `Upload-Complete`.
///
/// # Errors
/// `invalid-request` on the field when it is no Boolean.
pub fn boolean(value: Option<&str>) -> Result<Option<bool>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let item = Parser::new(value).parse::<Item>().ok();
    item.and_then(|item| item.bare_item.as_boolean())
        .map(Some)
        .ok_or_else(|| ill_typed("Upload-Complete", "?0 or ?1, a Boolean"))
}

/// Refuses `Upload-Incomplete`, by which drafts before interop version 4 say the opposite of
/// `Upload-Complete`.
///
/// # Errors
/// `invalid-request` on the field.
pub fn no_incomplete(value: Option<&str>) -> Result<(), Problem> {
    match value {
        None => Ok(()),
        Some(_) => Err(Problem::new(ProblemCode::InvalidRequest)
            .field("Upload-Incomplete")
            .detail("That is of drafts before interop version 4. Use Upload-Complete.")),
    }
}

/// Refuses a request for a whole file that says that its body is not all of it. `header` looks up a
/// field.
///
/// # Errors
/// `invalid-request` on the field that says so: `Upload-Incomplete`, `Upload-Complete`, or
/// `Content-Range` (RFC 9110 section 14.5).
pub fn all_of_it(header: impl Fn(&str) -> Option<String>) -> Result<(), Problem> {
    no_incomplete(header("upload-incomplete").as_deref())?;
    let field = match boolean(header("upload-complete").as_deref())? {
        Some(false) => "Upload-Complete",
        _ if header("content-range").is_some() => "Content-Range",
        _ => return Ok(()),
    };
    Err(Problem::new(ProblemCode::InvalidRequest)
        .field(field)
        .detail("A file in one request comes whole. Announce one that comes in pieces."))
}

/// Writes an `Upload-Complete`.
#[must_use]
pub const fn complete(complete: bool) -> &'static str {
    if complete { "?1" } else { "?0" }
}

/// Writes an `Upload-Limit`; `max_age` in seconds where an upload is spoken of.
#[must_use]
pub fn limit(max_size: u64, max_append_size: u64, max_age: Option<u64>) -> String {
    let mut limit = format!(
        "max-size={}, max-append-size={max_append_size}",
        max_size.min(INTEGER_MAX)
    );
    if let Some(secs) = max_age {
        limit.push_str(&format!(", max-age={secs}"));
    }
    limit
}

/// The length that a request tells, by `Upload-Length` or by the end of its body.
///
/// # Errors
/// `invalid-request` on `Upload-Length` when they differ.
pub fn length(
    upload_length: Option<u64>,
    complete: bool,
    offset: u64,
    content_length: Option<u64>,
) -> Result<Option<u64>, Problem> {
    let by_end = content_length
        .filter(|_| complete)
        .map(|length| offset.saturating_add(length));
    match (upload_length, by_end) {
        (Some(told), Some(end)) if told != end => Err(Problem::new(ProblemCode::InvalidRequest)
            .field("Upload-Length")
            .detail(format!("It says {told} bytes, and the body ends at {end}."))),
        (told, end) => Ok(told.or(end)),
    }
}

/// A refusal in the draft's own words, where it has some.
#[must_use]
pub fn problem(problem: &Problem, provided_offset: Option<u64>) -> (u16, Value) {
    let mut body = serde_json::to_value(problem).unwrap_or_default();
    let (status, name, title) = match (problem.code, problem.field.as_deref()) {
        (ProblemCode::OffsetDiffers, _) => (
            409,
            "mismatching-upload-offset",
            "The offset of the request is not that of the upload",
        ),
        (ProblemCode::InvalidRequest, Some("Upload-Length")) => (
            400,
            "inconsistent-upload-length",
            "The lengths of the upload differ",
        ),
        (ProblemCode::BodyTooLarge, Some("Upload-Length")) => (
            400,
            "inconsistent-upload-length",
            "The upload is longer than its length",
        ),
        _ => {
            // 409 is about offsets only; and what ended is gone.
            let status = match problem.code {
                ProblemCode::UploadAborted | ProblemCode::PartsMissing => 410,
                ProblemCode::UploadBusy => 423,
                ProblemCode::LinkFull => 403,
                _ => problem.status,
            };
            body["status"] = json!(status);
            return (status, body);
        }
    };
    body["type"] = json!(format!("{TYPES}{name}"));
    body["title"] = json!(title);
    body["status"] = json!(status);
    if let Some(expected) = problem.offset {
        body["expected-offset"] = json!(expected);
        body["provided-offset"] = json!(provided_offset);
    }
    (status, body)
}

/// Whether a refusal is the answer to the whole upload, which resuming would not change, and not
/// one to this request only.
#[must_use]
pub fn is_final(problem: &Problem) -> bool {
    // A digest of the whole, not of this request's content.
    let whole = problem.field.as_deref() == Some("Repr-Digest");
    (whole && problem.code == ProblemCode::DigestMismatch)
        || matches!(
            problem.code,
            ProblemCode::FileTypeNotAccepted
                | ProblemCode::FileTooLarge
                | ProblemCode::FileEmpty
                | ProblemCode::LinkFull
                | ProblemCode::LinkExpired
                | ProblemCode::LinkRevoked
                | ProblemCode::SceneRemoved
                | ProblemCode::LinkTokenInvalid
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_of_another_type_are_refused_and_not_passed_over() {
        let length = |value| integer("Upload-Length", Some(value));
        assert_eq!(length("70"), Ok(Some(70)));
        assert_eq!(length(" 70;a=1 "), Ok(Some(70)));
        for bad in [
            "",
            "-1",
            "+1",
            "1.0",
            "\"1\"",
            "?1",
            "1000000000000000",
            "7, 8",
        ] {
            let problem = length(bad).expect_err(bad);
            assert_eq!(problem.field.as_deref(), Some("Upload-Length"));
        }
        assert_eq!(boolean(Some("?1")), Ok(Some(true)));
        assert_eq!(boolean(Some("?0;x")), Ok(Some(false)));
        for bad in ["1", "true", "?2", "", "?1, ?0"] {
            assert!(boolean(Some(bad)).is_err(), "{bad}");
        }
        assert_eq!((integer("", None), boolean(None)), (Ok(None), Ok(None)));
    }

    /// Half a file was stored as a whole one by each of these.
    #[test]
    fn half_a_file_in_one_request_is_refused() {
        let named = |name: &'static str, value: &'static str| {
            all_of_it(move |field| (field == name).then(|| value.to_owned()))
        };
        assert_eq!(named("upload-complete", "?1"), Ok(()));
        for (name, value, field) in [
            ("upload-incomplete", "?1", "Upload-Incomplete"),
            ("upload-complete", "?0", "Upload-Complete"),
            ("upload-complete", "1", "Upload-Complete"),
            ("content-range", "bytes 0-4/10", "Content-Range"),
        ] {
            let problem = named(name, value).expect_err(value);
            assert_eq!(problem.field.as_deref(), Some(field));
        }
    }

    #[test]
    fn lengths_that_are_told_twice_must_be_the_same() {
        assert_eq!(length(Some(10), true, 4, Some(6)), Ok(Some(10)));
        assert_eq!(length(None, true, 4, Some(6)), Ok(Some(10)));
        assert_eq!(length(None, false, 4, Some(6)), Ok(None));
        assert_eq!(length(None, true, 4, None), Ok(None));
        let problem = length(Some(11), true, 4, Some(6)).expect_err("two lengths");
        let (status, body) = super::problem(&problem, None);
        assert_eq!(status, 400);
        assert_eq!(
            body["type"],
            "https://iana.org/assignments/http-problem-types#inconsistent-upload-length"
        );
    }

    #[test]
    fn another_offset_is_answered_with_both() {
        let (status, body) = problem(&crate::link::stage::offset_differs(5), Some(9));
        assert_eq!(status, 409);
        assert_eq!(
            (&body["expected-offset"], &body["provided-offset"]),
            (&json!(5), &json!(9))
        );
    }

    #[test]
    fn limits_are_a_dictionary() {
        assert_eq!(
            limit(20, 10, Some(3600)),
            "max-size=20, max-append-size=10, max-age=3600"
        );
    }

    proptest! {
        #[test]
        fn any_field_is_read_without_a_panic(value in ".{0,60}") {
            let _ = (integer("", Some(&value)), boolean(Some(&value)));
        }

        #[test]
        fn any_offset_is_read_back(n in 0..=INTEGER_MAX) {
            prop_assert_eq!(integer("", Some(&n.to_string())), Ok(Some(n)));
        }
    }
}
