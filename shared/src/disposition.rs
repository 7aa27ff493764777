//! File names in a `Content-Disposition` header (RFC 6266, RFC 8187).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but `attr-char` of RFC 8187 section 3.2.1.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The header that names a file: an ASCII `filename` for old clients and the exact `filename*`.
///
/// The result is printable ASCII whatever the name holds.
#[must_use]
pub fn attachment(name: &str) -> String {
    let ascii: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' | '/' => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect();
    format!(
        "attachment; filename=\"{ascii}\"; filename*=UTF-8''{}",
        utf8_percent_encode(name, ATTR_CHAR)
    )
}

/// The name in a `Content-Disposition` header: `filename*` in UTF-8 if it is there, else
/// `filename`. `None` when there is neither, or the encoding is broken.
#[must_use]
pub fn file_name(header: &str) -> Option<String> {
    let mut plain = None;
    for (name, value) in Parameters(header) {
        if name.eq_ignore_ascii_case("filename*") {
            let (charset, rest) = value.split_once('\'')?;
            let (_language, encoded) = rest.split_once('\'')?;
            if !charset.eq_ignore_ascii_case("utf-8") {
                return None;
            }
            return Some(percent_decode_str(encoded).decode_utf8().ok()?.into_owned());
        }
        if name.eq_ignore_ascii_case("filename") {
            plain = Some(value);
        }
    }
    plain
}

/// The parameters after the disposition type, with quotes and their escapes taken off.
struct Parameters<'a>(&'a str);

impl Iterator for Parameters<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        let (_, rest) = self.0.split_once(';')?;
        let (name, rest) = rest.split_once('=')?;
        let mut value = String::new();
        let rest = if let Some(quoted) = rest.trim_start().strip_prefix('"') {
            let mut chars = quoted.char_indices();
            loop {
                match chars.next() {
                    None => break "",
                    Some((at, '"')) => break &quoted[at + 1..],
                    Some((_, '\\')) => value.extend(chars.next().map(|(_, c)| c)),
                    Some((_, c)) => value.push(c),
                }
            }
        } else {
            let end = rest.find(';').unwrap_or(rest.len());
            value.push_str(rest[..end].trim());
            &rest[end..]
        };
        self.0 = rest;
        Some((name.trim().to_owned(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_forms_that_clients_send() {
        for (header, name) in [
            ("attachment; filename=\"a b.pdf\"", Some("a b.pdf")),
            ("attachment; filename=a.pdf; size=3", Some("a.pdf")),
            (
                "form-data; name=\"f\"; filename=\"q\\\"uote;d.pdf\"",
                Some("q\"uote;d.pdf"),
            ),
            (
                "attachment; filename=\"x\"; filename*=UTF-8''%E5%8F%91%E7%A5%A8.pdf",
                Some("发票.pdf"),
            ),
            ("attachment; filename*=iso-8859-1''a", None),
            ("attachment; filename*=UTF-8''%FF", None),
            ("attachment", None),
            ("", None),
        ] {
            assert_eq!(file_name(header).as_deref(), name, "{header}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in ".*") {
            let header = attachment(&name);
            prop_assert!(header.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(file_name(&header), Some(name));
        }

        #[test]
        fn any_header_is_read_without_a_panic(header in ".*") {
            let _ = file_name(&header);
        }
    }
}
