//! File names in a `Content-Disposition` header (RFC 6266, RFC 8187).

use std::collections::BTreeMap;

use percent_encoding::{
    AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_decode_str, utf8_percent_encode,
};

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
    for (name, value) in Parameters::strict(header.as_bytes()) {
        match name.as_str() {
            "filename*" => {
                let value = String::from_utf8(value.raw).ok()?;
                let (charset, rest) = value.split_once('\'')?;
                let (_language, encoded) = rest.split_once('\'')?;
                if !charset.eq_ignore_ascii_case("utf-8") {
                    return None;
                }
                return Some(percent_decode_str(encoded).decode_utf8().ok()?.into_owned());
            }
            "filename" => plain = Some(String::from_utf8(value.unquoted()).ok()?),
            _ => {}
        }
    }
    plain
}

/// The bytes of the name of a form's part (RFC 7578 section 4.2) that is a file. `None` for a part that
/// has no file name in any form; an empty one where it has a name that cannot be read.
///
/// Reads what senders really write: `filename*` (RFC 8187) before `filename` and alone, continuations
/// (RFC 2231 section 3), names of any case and any charset, without quotes, and browsers' escapes, which
/// are `%22`, `%0D` and `%0A` (HTML standard, multipart/form-data encoding). Browsers leave backslashes
/// as they are, so one before the closing quote belongs to the name.
#[must_use]
pub fn form_file_name(header: &[u8]) -> Option<Vec<u8>> {
    let (mut plain, mut extended) = (None, None);
    let mut sections: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for (name, value) in Parameters::lenient(header) {
        let Some(rest) = name.strip_prefix("filename") else {
            continue;
        };
        match rest {
            "" => plain = plain.or_else(|| Some(value.unescaped())),
            "*" => extended = extended.or_else(|| Some(extended_value(&value.raw))),
            _ => {
                let Some(section) = rest.strip_prefix('*') else {
                    continue;
                };
                let encoded = section.ends_with('*');
                let number = section.trim_end_matches('*').parse();
                let text = match (encoded, &number) {
                    (true, Ok(0)) => extended_value(&value.raw),
                    (true, _) => percent_decode(&value.raw).collect(),
                    (false, _) => value.unescaped(),
                };
                sections.insert(number.unwrap_or(u32::MAX), text);
            }
        }
    }
    let joined = (!sections.is_empty()).then(|| sections.into_values().flatten().collect());
    extended.or(joined).or(plain)
}

/// The bytes of a parameter's value, by its lower-case name, with quotes and escapes undone as in
/// [`form_file_name`]. The first of several.
#[must_use]
pub fn parameter(header: &[u8], name: &str) -> Option<Vec<u8>> {
    Parameters::lenient(header).find_map(|(n, value)| (n == name).then(|| value.unescaped()))
}

/// The bytes of an `ext-value` (RFC 8187 section 3.2.1), in UTF-8 where its charset is that or ISO-8859-1.
fn extended_value(raw: &[u8]) -> Vec<u8> {
    let mut pieces = raw.splitn(3, |b| *b == b'\'');
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(charset), Some(_language), Some(encoded)) => {
            let bytes: Vec<u8> = percent_decode(encoded).collect();
            if charset.eq_ignore_ascii_case(b"iso-8859-1") {
                latin1(&bytes).into_bytes()
            } else {
                bytes
            }
        }
        _ => percent_decode(raw).collect(),
    }
}

/// Bytes as ISO-8859-1 text: each is the character of its number.
#[must_use]
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect()
}

/// A parameter's value as it stands, without its quotes.
struct Value {
    raw: Vec<u8>,
    quoted: bool,
}

impl Value {
    /// Without the quoted pairs of RFC 9110 section 5.6.4.
    fn unquoted(self) -> Vec<u8> {
        if !self.quoted {
            return self.raw;
        }
        let mut plain = Vec::with_capacity(self.raw.len());
        let mut bytes = self.raw.into_iter();
        while let Some(byte) = bytes.next() {
            plain.extend(if byte == b'\\' {
                bytes.next()
            } else {
                Some(byte)
            });
        }
        plain
    }

    /// Without what browsers escape, and without `\"`, which older ones wrote for a quote.
    fn unescaped(self) -> Vec<u8> {
        const ESCAPES: [(&[u8], u8); 6] = [
            (b"%22", b'"'),
            (b"%0D", b'\r'),
            (b"%0d", b'\r'),
            (b"%0A", b'\n'),
            (b"%0a", b'\n'),
            (b"\\\"", b'"'),
        ];
        let mut plain = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw.as_slice();
        while let Some((first, after)) = rest.split_first() {
            let escape = ESCAPES.iter().find(|(text, _)| rest.starts_with(text));
            let (byte, after) = match escape {
                Some((text, byte)) => (*byte, &rest[text.len()..]),
                None => (*first, after),
            };
            plain.push(byte);
            rest = after;
        }
        plain
    }
}

/// The parameters after the disposition type, each with its name in lower case.
struct Parameters<'a> {
    rest: &'a [u8],
    /// Whether a backslash before a quote always escapes it.
    strict: bool,
}

impl<'a> Parameters<'a> {
    const fn strict(rest: &'a [u8]) -> Self {
        Self { rest, strict: true }
    }

    const fn lenient(rest: &'a [u8]) -> Self {
        Self {
            rest,
            strict: false,
        }
    }

    /// Where a quoted value ends that begins at the start of `text`: at its closing quote, or with the
    /// header where there is none.
    fn closing_quote(&self, text: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            match byte {
                b'\\' if self.strict => at += 1,
                b'\\' if text.get(at + 1) == Some(&b'"') => {
                    if starts_parameter(&text[at + 2..]) {
                        return at + 1;
                    }
                    at += 1;
                }
                b'"' => return at,
                _ => {}
            }
            at += 1;
        }
        text.len()
    }
}

/// Whether a header goes on with another parameter, or ends.
fn starts_parameter(rest: &[u8]) -> bool {
    match rest.trim_ascii_start().split_first() {
        None => true,
        Some((b';', rest)) => {
            let name = rest.split(|b| matches!(b, b'=' | b';' | b'"')).next();
            let end = name.map_or(0, <[u8]>::len);
            rest.get(end) == Some(&b'=')
        }
        Some(_) => false,
    }
}

impl Iterator for Parameters<'_> {
    type Item = (String, Value);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let end = self.rest.iter().position(|b| matches!(b, b';' | b'='))?;
            let (name, rest) = (&self.rest[..end], &self.rest[end + 1..]);
            if self.rest[end] == b';' {
                // The disposition type, or a parameter without a value.
                self.rest = rest;
                continue;
            }
            let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
            let quoted = rest.trim_ascii_start().strip_prefix(b"\"");
            let (value, rest) = match quoted {
                Some(text) => {
                    let end = self.closing_quote(text).min(text.len());
                    (&text[..end], text.get(end + 1..).unwrap_or_default())
                }
                None => {
                    let end = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
                    (rest[..end].trim_ascii(), &rest[end..])
                }
            };
            self.rest = rest;
            let value = Value {
                raw: value.to_vec(),
                quoted: quoted.is_some(),
            };
            return Some((name, value));
        }
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

    #[test]
    fn a_part_with_a_file_name_in_whatever_form_is_a_file() {
        for (header, name) in [
            (
                &b"form-data; name=\"f\"; filename=\"a.pdf\""[..],
                Some(&b"a.pdf"[..]),
            ),
            (b"form-data; name=\"f\"", None),
            (b"form-data", None),
            (b"", None),
            // GBK and Latin-1.
            (
                b"form-data; filename=\"\xb7\xa2\xc6\xb1.pdf\"",
                Some(b"\xb7\xa2\xc6\xb1.pdf"),
            ),
            (b"form-data; filename=\"caf\xe9.pdf\"", Some(b"caf\xe9.pdf")),
            (
                b"form-data; filename*=UTF-8''%E5%8F%91.pdf; name=f",
                Some("发.pdf".as_bytes()),
            ),
            (
                b"form-data; filename=\"x.pdf\"; filename*=utf-8'en'y.pdf",
                Some(b"y.pdf"),
            ),
            (
                b"form-data; filename*=iso-8859-1''caf%E9.pdf",
                Some("caf\u{e9}.pdf".as_bytes()),
            ),
            (b"form-data; filename*=nonsense", Some(b"nonsense")),
            (
                b"form-data; filename*0=\"a-\"; filename*1=\"b.pdf\"",
                Some(b"a-b.pdf"),
            ),
            (
                b"form-data; filename*1*=%91.pdf; filename*0*=UTF-8''%E5%8F",
                Some("发.pdf".as_bytes()),
            ),
            (b"form-data; Filename=\"a.pdf\"", Some(b"a.pdf")),
            (b"form-data; FILENAME = a.pdf ; name=f", Some(b"a.pdf")),
            (b"form-data; odd; filename=a.pdf", Some(b"a.pdf")),
            (b"filename=a.pdf", Some(b"a.pdf")),
            (b"form-data; filename=\"a\\\"; name=\"f\"", Some(b"a\\")),
            (b"form-data; name=\"f\"; filename=\"a\\\"", Some(b"a\\")),
            (
                b"form-data; name=\"f\\\"; filename=\"a.pdf\"",
                Some(b"a.pdf"),
            ),
            (
                b"form-data; filename=\"C:\\new\\a.pdf\"",
                Some(b"C:\\new\\a.pdf"),
            ),
            (
                b"form-data; filename=\"a \\\"b\\\"; c.pdf\"",
                Some(b"a \"b\"; c.pdf"),
            ),
            (
                b"form-data; filename=\"a%22b%0D%0A%0d%41.pdf\"",
                Some(b"a\"b\r\n\r%41.pdf"),
            ),
            (b"form-data; filename=\"no end.pdf", Some(b"no end.pdf")),
            (b"form-data; filename=\"\"", Some(b"")),
            (b"form-data; filename=", Some(b"")),
        ] {
            let text = String::from_utf8_lossy(header);
            assert_eq!(form_file_name(header).as_deref(), name, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_a_browser_sends_comes_back(name in "[^\u{0}]*") {
            let escaped = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
            // A name that has an escape of its own cannot be told from one that was escaped.
            prop_assume!(["%22", "%0D", "%0d", "%0A", "%0a"].iter().all(|e| !name.contains(e)));
            let header = format!("form-data; name=\"f\"; filename=\"{escaped}\"");
            let read = form_file_name(header.as_bytes());
            prop_assert_eq!(read.as_deref(), Some(name.as_bytes()));
        }

        #[test]
        fn no_header_with_a_file_name_is_taken_for_text(
            before in "[ -~&&[^\"\\\\=]]{0,20}",
            value in "[ -~]{0,20}",
            name in "(?i)filename\\*?",
        ) {
            let header = format!("form-data; {before}; {name}={value}");
            prop_assert!(form_file_name(header.as_bytes()).is_some(), "{}", header);
        }

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
