//! File names, made safe to show and to use as one path component.

use crate::limits::NAME_MAX;

/// What a file without a usable name is called.
const FALLBACK: &str = "file";

/// Longest extension that is kept when a name is cut, in bytes with its dot.
const EXTENSION_MAX: usize = 16;

/// Makes a name safe: the last path component, without control characters, bidirectional
/// overrides (which make `exe.pdf` of `fdp.exe`), surrounding space or trailing dots, at most
/// [`NAME_MAX`] bytes with its extension kept. Never empty.
#[must_use]
pub fn safe(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|c| !is_unsafe(*c)).collect();
    // Together: behind dots there may be space again, of whatever kind.
    let at_end = |c: char| c == '.' || c.is_whitespace();
    let trimmed = kept.trim_start().trim_end_matches(at_end);
    if trimmed.is_empty() {
        return FALLBACK.to_owned();
    }
    if trimmed.len() <= NAME_MAX {
        return trimmed.to_owned();
    }
    let extension = trimmed
        .rfind('.')
        .map(|dot| &trimmed[dot..])
        .filter(|e| e.len() <= EXTENSION_MAX)
        .unwrap_or_default();
    let room = NAME_MAX - extension.len();
    let mut end = room.min(trimmed.len() - extension.len());
    while !trimmed.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", trimmed[..end].trim_end_matches(at_end))
}

/// Control and format characters that change how the rest is shown or read.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{061c}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
            | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
        || "<>:\"|?*".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_come_out_as_a_person_would_expect() {
        for (raw, name) in [
            ("invoice.pdf", "invoice.pdf"),
            ("发票 2026.pdf", "发票 2026.pdf"),
            ("/data/user/0/../a.pdf", "a.pdf"),
            ("C:\\Users\\x\\b.docx", "b.docx"),
            ("..", "file"),
            ("", "file"),
            ("  . ", "file"),
            ("A\u{a0}.", "A"),
            ("a. .\u{3000}..", "a"),
            ("a\u{202e}fdp.exe", "afdp.exe"),
            ("a\r\nSet-Cookie: x", "aSet-Cookie x"),
            ("👩‍👩‍👧.jpg", "👩‍👩‍👧.jpg"),
        ] {
            assert_eq!(safe(raw), name, "{raw:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let name = safe(&format!("{}.pdf", "长".repeat(200)));
        assert!(name.len() <= NAME_MAX && name.ends_with("长.pdf"), "{name}");
    }

    proptest! {
        #[test]
        fn any_name_becomes_one_path_component(raw in ".{0,400}") {
            let name = safe(&raw);
            prop_assert!(!name.is_empty() && name.len() <= NAME_MAX);
            prop_assert!(name != "." && name != "..");
            prop_assert!(!name.chars().any(|c| c == '/' || c == '\\' || c.is_control()));
            prop_assert_eq!(safe(&name), name.clone());
        }
    }
}
