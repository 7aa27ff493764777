//! The type of a file by its content. What its name or its sender says is only heard where the
//! content leaves it open: which Office format a container holds, and which kind of text a text is.

use chatlift_shared::media::MediaRange;

/// What is known of content that has no signature.
const UNKNOWN: &str = "application/octet-stream";

const PDF: &str = "application/pdf";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

/// Formats that are zip containers, by extension, and a path that they have and others do not.
const ZIPPED: [(&str, &str, &str); 3] = [
    ("docx", DOCX, "word/"),
    ("xlsx", XLSX, "xl/"),
    ("pptx", PPTX, "ppt/"),
];

/// Formats in a compound file (`[MS-CFB]`), which the beginning alone does not tell apart.
const COMPOUND: [(&str, &str); 3] = [
    ("doc", "application/msword"),
    ("xls", "application/vnd.ms-excel"),
    ("ppt", "application/vnd.ms-powerpoint"),
];

/// Kinds of text, which have no signature.
const TEXTS: [(&str, &str); 5] = [
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("svg", "image/svg+xml"),
    ("json", "application/json"),
];

/// The media type of a file that begins with `head` and is called `name`.
#[must_use]
pub fn media_type(head: &[u8], name: &str) -> &'static str {
    let extension = name
        .rsplit_once('.')
        .map_or(String::new(), |(_, e)| e.to_ascii_lowercase());
    if head.starts_with(b"PK\x03\x04") {
        return zipped(head, &extension);
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
        return COMPOUND
            .iter()
            .find(|(e, _)| *e == extension)
            .map_or("application/x-ole-storage", |(_, m)| m);
    }
    // Formats whose signature is printable text would otherwise be taken for text.
    match infer::get(head).map(|kind| kind.mime_type()) {
        // `infer` finds the header of a PDF anywhere, so any text that mentions it would be one.
        Some(PDF) if !begins_as_pdf(head) => {}
        Some("text/html" | "text/xml") | None => {}
        Some(known) => return known,
    }
    if is_text(head) {
        return TEXTS
            .iter()
            .find(|(e, _)| *e == extension)
            .map_or("text/plain", |(_, m)| m);
    }
    UNKNOWN
}

/// Whether nothing but a byte order mark and white space comes before the header of a PDF (ISO
/// 32000-1, 7.5.2).
fn begins_as_pdf(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.trim_ascii_start().starts_with(b"%PDF-")
}

/// The format in a zip container: by the names of its first entries (OpenDocument and EPUB store
/// their media type first), else by an extension that the container could bear.
fn zipped(head: &[u8], extension: &str) -> &'static str {
    const PLAIN: &str = "application/zip";
    if let Some(stored) = head.get(30..) {
        for (media, known) in [
            (
                "application/vnd.oasis.opendocument.text",
                "application/vnd.oasis.opendocument.text",
            ),
            (
                "application/vnd.oasis.opendocument.spreadsheet",
                "application/vnd.oasis.opendocument.spreadsheet",
            ),
            (
                "application/vnd.oasis.opendocument.presentation",
                "application/vnd.oasis.opendocument.presentation",
            ),
            ("application/epub+zip", "application/epub+zip"),
        ] {
            if stored
                .strip_prefix(b"mimetype")
                .is_some_and(|s| s.starts_with(media.as_bytes()))
            {
                return known;
            }
        }
    }
    let mut office = false;
    for name in entry_names(head) {
        for (_, media, folder) in ZIPPED {
            if name.starts_with(folder.as_bytes()) {
                return media;
            }
        }
        office |= name == b"[Content_Types].xml"
            || name.starts_with(b"_rels/")
            || name.starts_with(b"docProps/");
    }
    // The telling entries may lie beyond the head.
    match ZIPPED.iter().find(|(e, ..)| office && *e == extension) {
        Some((_, media, _)) => media,
        None => PLAIN,
    }
}

/// The names in the local file headers (APPNOTE.TXT 4.3.7) that begin within `head`.
fn entry_names(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.windows(4)
        .enumerate()
        .filter(|(_, w)| *w == b"PK\x03\x04")
        .filter_map(move |(at, _)| {
            let len = head.get(at + 26..at + 28)?;
            let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
            head.get(at + 30..at + 30 + len)
        })
}

/// Whether the head reads as text: UTF-16 with a byte order mark, or no control characters. The
/// latter holds for UTF-8 and for the older encodings of Chinese and Japanese alike.
fn is_text(head: &[u8]) -> bool {
    let control = |b: &u8| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c) || *b == 0x7f;
    head.starts_with(&[0xff, 0xfe])
        || head.starts_with(&[0xfe, 0xff])
        || (!head.is_empty() && !head.iter().any(control))
}

/// Whether a scene that accepts `accept` takes a file of this type.
#[must_use]
pub fn accepted(accept: &[MediaRange], media_type: &str) -> bool {
    accept.iter().any(|range| range.contains(media_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A local file header with this name and content, stored.
    fn entry(name: &str, content: &str) -> Vec<u8> {
        let mut bytes = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        let len = u32::try_from(content.len()).expect("short content");
        bytes.extend(len.to_le_bytes());
        bytes.extend(len.to_le_bytes());
        bytes.extend(u16::try_from(name.len()).expect("short name").to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(name.as_bytes());
        bytes.extend(content.as_bytes());
        bytes
    }

    #[test]
    fn content_decides_and_not_the_name() {
        for (head, name, media) in [
            (&b"%PDF-1.7\n%"[..], "a.jpg", "application/pdf"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.pdf", "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "a", "image/jpeg"),
            (b"GIF89a\x01\0\x01\0", "a.png", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "a.png", "image/webp"),
            (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "a.pdf", "application/x-executable"),
            (b"MZ\x90\0\x03\0\0\0", "a.pdf", "application/vnd.microsoft.portable-executable"),
            (b"just words", "a.pdf", "text/plain"),
            (b"a,b\n1,2\n", "a.csv", "text/csv"),
            (b"#!/bin/sh\necho %PDF-1.7\n", "a.pdf", "text/plain"),
            (b"printf %PDF-1.7\n", "a.pdf", "text/plain"),
            (b"\xef\xbb\xbf\n%PDF-1.7\n", "a", "application/pdf"),
            ("发票".as_bytes(), "a.txt", "text/plain"),
            (b"\xb7\xa2\xc6\xb1", "a.txt", "text/plain"),
            (b"\x00\x01\x02\x03", "a.pdf", "application/octet-stream"),
            (b"", "a.pdf", "application/octet-stream"),
        ] {
            assert_eq!(media_type(head, name), media, "{name}: {head:?}");
        }
    }

    #[test]
    fn office_documents_are_told_by_what_is_in_the_container() {
        let mut docx = entry("[Content_Types].xml", "<x/>");
        docx.extend(entry("word/document.xml", "<x/>"));
        assert_eq!(media_type(&docx, "a.xlsx"), DOCX);
        let unclear = entry("[Content_Types].xml", "<x/>");
        assert_eq!(media_type(&unclear, "a.docx"), DOCX);
        assert_eq!(media_type(&unclear, "a.zip"), "application/zip");
        assert_eq!(
            media_type(&entry("evil.exe", ""), "a.docx"),
            "application/zip"
        );
        let odt = entry("mimetype", "application/vnd.oasis.opendocument.text");
        assert_eq!(
            media_type(&odt, "a"),
            "application/vnd.oasis.opendocument.text"
        );
    }

    #[test]
    fn text_cut_in_the_middle_of_a_character_is_text() {
        assert_eq!(media_type(&"发票".as_bytes()[..4], "a.txt"), "text/plain");
    }

    proptest! {
        #[test]
        fn any_content_has_a_type(head: Vec<u8>, name in ".*") {
            prop_assert!(chatlift_shared::media::is_media_type(media_type(&head, &name)));
        }
    }
}
