//! Kinds of text, which have no signature: what it holds tells some, and its name the rest.

use std::borrow::Cow;

use super::{EXCEL_2003, MAIL, PAGE, PLAIN, WORD_2003, has};

/// How much of the end of a PDF readers search for what ends it, in bytes (ISO 32000-1, Annex H,
/// implementation note 18).
pub(super) const PDF_END: u64 = 1024;

/// Whether the header of a PDF stands where readers look for one (same place, note 13).
pub(super) fn names_late_pdf(head: &[u8]) -> bool {
    const SEARCHED: usize = 1024;
    let mut found = head.windows(7).take(SEARCHED);
    found.any(|w| w.starts_with(b"%PDF-") && w[5].is_ascii_digit() && w[6] == b'.')
}

/// Whether it is the end of a PDF. A text that names one ends otherwise.
pub(super) fn ends_as_pdf(tail: &[u8]) -> bool {
    has(tail, b"startxref") && has(tail, b"%%EOF")
}

/// Which UTF-16 a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wide {
    /// The low byte first.
    Little,
    /// The high byte first.
    Big,
}

impl Wide {
    fn read(self, pair: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(pair),
            Self::Big => u16::from_be_bytes(pair),
        }
    }
}

/// Which UTF-16 it is, by the mark at its beginning or, without one, if it is text in one. Only text that
/// holds a line break, a space or another character of ASCII can be told then.
#[must_use]
pub fn wide(bytes: &[u8]) -> Option<Wide> {
    match bytes {
        [0xff, 0xfe, ..] => return Some(Wide::Little),
        [0xfe, 0xff, ..] => return Some(Wide::Big),
        _ if !bytes.contains(&0) => return None,
        _ => {}
    }
    let units = |wide: Wide| bytes.as_chunks().0.iter().map(move |pair| wide.read(*pair));
    let ascii = |wide| units(wide).filter(|unit| *unit < 0x80).count();
    let (little, big) = (ascii(Wide::Little), ascii(Wide::Big));
    if little == 0 && big == 0 {
        return None;
    }
    let wide = if little > big {
        Wide::Little
    } else {
        Wide::Big
    };
    let mut text = char::decode_utf16(units(wide)).peekable();
    while let Some(c) = text.next() {
        let told = match c {
            Ok(c) => c.is_whitespace() || !(c.is_control() || is_no_word(c)),
            // The end may be cut in two.
            Err(_) => text.peek().is_none(),
        };
        if !told {
            return None;
        }
    }
    Some(wide)
}

/// Whether it begins with a mark of UTF-16.
pub(super) fn is_marked(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])
}

/// Whether no text has this character: it is for private use, or none at all.
fn is_no_word(c: char) -> bool {
    matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{f0000}'..)
        || u32::from(c) & 0xfffe == 0xfffe
}

/// Whether it reads as text. No control characters but those of lines, pages, the end of an old file
/// and the switch of ISO 2022 stand in UTF-8 and the older encodings alike.
pub(super) fn is_text(head: &[u8]) -> bool {
    let control = |b: &u8| {
        *b < 0x20 && !matches!(b, b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0x1a | 0x1b) || *b == 0x7f
    };
    !head.is_empty() && !head.iter().any(control)
}

/// The kind of a text; nothing if it is none.
pub(super) fn kind(head: &[u8], wide: Option<Wide>, extension: &str) -> Option<&'static str> {
    let text = match wide {
        Some(wide) => {
            let (pairs, _) = head.as_chunks();
            let units = pairs.iter().map(|pair| wide.read(*pair));
            let words = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
            Cow::Owned(words.collect::<String>().into_bytes())
        }
        None if is_text(head) => Cow::Borrowed(head),
        None => return None,
    };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let begin = text.trim_ascii_start();
    if begin.starts_with(b"<") {
        if begin.starts_with(b"<?xml") {
            let is = |words: &str| has(text, words.as_bytes());
            if is("progid=\"Excel.Sheet\"") || is("urn:schemas-microsoft-com:office:spreadsheet") {
                return Some(EXCEL_2003);
            }
            if is("progid=\"Word.Document\"") || is("schemas.microsoft.com/office/word/2003/wordml")
            {
                return Some(WORD_2003);
            }
        }
        let root = root(begin);
        let is = |name: &str| {
            let name = name.as_bytes();
            root.get(..name.len())
                .is_some_and(|r| r.eq_ignore_ascii_case(name))
        };
        if is("<svg") || is("<!doctype svg") {
            return Some("image/svg+xml");
        }
        if is("<html") || is("<!doctype html") || is("<head") || is("<body") {
            return Some("text/html");
        }
    }
    if begin.starts_with(b"BEGIN:VCARD") {
        return Some("text/vcard");
    }
    if begin.starts_with(b"BEGIN:VCALENDAR") {
        return Some("text/calendar");
    }
    if let Some(told) = mail(begin) {
        return Some(told);
    }
    Some(match extension {
        "csv" | "tsv" | "tab" => "text/csv",
        "html" | "htm" => "text/html",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => PLAIN,
    })
}

/// From the root on: past a declaration and comments.
fn root(mut text: &[u8]) -> &[u8] {
    loop {
        let end: &[u8] = if text.starts_with(b"<!--") {
            b"-->"
        } else if text.starts_with(b"<?") {
            b"?>"
        } else {
            return text;
        };
        let found = text.windows(end.len()).position(|window| window == end);
        let Some(found) = found else {
            return text;
        };
        text = text
            .get(found + end.len()..)
            .unwrap_or_default()
            .trim_ascii_start();
    }
}

/// A mail, or a page saved as one, by the fields of its head (RFC 5322, section 2.2).
fn mail(text: &[u8]) -> Option<&'static str> {
    let (mut from, mut date, mut mime, mut routed, mut page) = (false, false, false, false, false);
    for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        // A line that goes on, and one that mailboxes begin with.
        if n > 0 && (line.starts_with(b" ") || line.starts_with(b"\t"))
            || n == 0 && line.starts_with(b"From ")
        {
            page |= has(&line.to_ascii_lowercase(), b"multipart/related");
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let Some((name, value)) = colon.map(|at| line.split_at(at)) else {
            // The head of the file may end within a field.
            if mime || routed {
                break;
            }
            return None;
        };
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-') {
            return None;
        }
        let is = |field: &str| name.eq_ignore_ascii_case(field.as_bytes());
        from |= is("from");
        date |= is("date");
        mime |= is("mime-version");
        routed |= is("to")
            || is("received")
            || is("return-path")
            || is("message-id")
            || is("delivered-to");
        page |= is("content-type") && has(&value.to_ascii_lowercase(), b"multipart/related");
    }
    // A mail with pictures in its text is made of the same parts, and has a sender and a way.
    if page && mime && !routed {
        return Some(PAGE);
    }
    (mime || routed || from && date).then_some(MAIL)
}
