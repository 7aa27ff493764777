//! Byte ranges (RFC 9110 section 14) and conditions (section 13) of a file's content.

use chatlift_shared::ProblemCode;

use crate::ports::Selection;

/// What a `Range` header selects of `size` bytes.
///
/// A unit other than bytes, several ranges, or a malformed header select the whole, as section
/// 14.2 allows.
///
/// # Errors
/// [`ProblemCode::RangeNotSatisfiable`] when the range lies outside the file.
pub fn select(header: Option<&str>, size: u64) -> Result<Selection, ProblemCode> {
    let Some((first, last)) = header
        .and_then(|h| h.trim().strip_prefix("bytes="))
        .filter(|spec| !spec.contains(','))
        .and_then(|spec| spec.trim().split_once('-'))
    else {
        return Ok(Selection::Whole);
    };
    let number = |text: &str| -> Option<u64> {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (offset, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1)),
        (Some(first), None) if last.is_empty() => (first, size),
        (None, Some(suffix)) if first.is_empty() => {
            if suffix == 0 {
                return Err(ProblemCode::RangeNotSatisfiable);
            }
            (size.saturating_sub(suffix), size)
        }
        _ => return Ok(Selection::Whole),
    };
    if offset >= size {
        return Err(ProblemCode::RangeNotSatisfiable);
    }
    Ok(Selection::Part {
        offset,
        length: end.min(size) - offset,
    })
}

/// Whether the list of `If-Match` names `etag` (without quotes). The comparison is strong (RFC 9110
/// section 13.1.1): a weak tag names nothing.
#[must_use]
pub fn matches_strongly(list: &str, etag: &str) -> bool {
    list.trim() == "*" || list.split(',').any(|member| is_strong(member, etag))
}

/// Whether the list of `If-None-Match` names `etag` (without quotes). The comparison is weak (RFC 9110
/// section 13.1.2).
#[must_use]
pub fn matches_weakly(list: &str, etag: &str) -> bool {
    list.trim() == "*"
        || list.split(',').any(|member| {
            let member = member.trim();
            is_strong(member.strip_prefix("W/").unwrap_or(member), etag)
        })
}

/// Whether a range may be answered with a part under this `If-Range`: only for one strong entity tag
/// that is `etag` (RFC 9110 section 13.1.5). A date has seconds only, which two versions can share, so
/// it is answered with the whole.
#[must_use]
pub fn range_is_current(if_range: &str, etag: &str) -> bool {
    is_strong(if_range, etag)
}

fn is_strong(member: &str, etag: &str) -> bool {
    member
        .trim()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        == Some(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn ranges_select_what_rfc_9110_says() {
        use Selection::{Part, Whole};
        for (header, selection) in [
            (None, Ok(Whole)),
            (
                Some("bytes=0-0"),
                Ok(Part {
                    offset: 0,
                    length: 1,
                }),
            ),
            (
                Some("bytes=2-"),
                Ok(Part {
                    offset: 2,
                    length: 8,
                }),
            ),
            (
                Some("bytes=-3"),
                Ok(Part {
                    offset: 7,
                    length: 3,
                }),
            ),
            (
                Some("bytes=-30"),
                Ok(Part {
                    offset: 0,
                    length: 10,
                }),
            ),
            (
                Some("bytes=5-999"),
                Ok(Part {
                    offset: 5,
                    length: 5,
                }),
            ),
            (Some("bytes=10-"), Err(ProblemCode::RangeNotSatisfiable)),
            (Some("bytes=-0"), Err(ProblemCode::RangeNotSatisfiable)),
            (Some("bytes=3-1"), Ok(Whole)),
            (Some("bytes=0-1,3-4"), Ok(Whole)),
            (Some("lines=0-1"), Ok(Whole)),
            (Some("bytes=a-b"), Ok(Whole)),
        ] {
            assert_eq!(select(header, 10), selection, "{header:?}");
        }
    }

    #[test]
    fn etags_are_compared_whole() {
        for (list, strongly, weakly) in [
            ("\"b\"", true, true),
            ("\"a\", \"b\"", true, true),
            ("\"a\", W/\"b\"", false, true),
            ("W/\"b\"", false, true),
            ("*", true, true),
            ("\"ab\"", false, false),
            ("b", false, false),
            ("\"", false, false),
        ] {
            assert_eq!(matches_strongly(list, "b"), strongly, "{list}");
            assert_eq!(matches_weakly(list, "b"), weakly, "{list}");
        }
    }

    #[test]
    fn a_range_is_current_for_one_strong_tag_only() {
        for (if_range, current) in [
            ("\"b\"", true),
            ("W/\"b\"", false),
            ("\"a\", \"b\"", false),
            ("*", false),
            ("Sat, 21 Nov 2026 09:06:50 GMT", false),
        ] {
            assert_eq!(range_is_current(if_range, "b"), current, "{if_range}");
        }
    }

    proptest! {
        #[test]
        fn a_selection_lies_within_the_file(header in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in 0_u64..100) {
            if let Ok(Selection::Part { offset, length }) = select(Some(&header), size) {
                prop_assert!(length >= 1 && offset + length <= size);
            }
        }
    }
}
