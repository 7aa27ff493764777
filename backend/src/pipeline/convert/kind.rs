//! What a file is, told by its content. The edge has looked at the beginning only; the whole file
//! is here, so containers can be opened, and one that is locked can be told.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::directory::{Entry, Zip};
use super::{document, naming, text};

/// How much of the beginning is looked at, in bytes.
const HEAD: u64 = 8192;
/// Most of a manifest that is searched, in bytes.
const SEARCHED: u64 = 1024 * 1024;

const OCTETS: &str = "application/octet-stream";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its media type, by the name that the converters use.
    pub media_type: String,
    /// Whether it opens only with a password, as far as that can be told from here.
    pub protected: bool,
}

impl Kind {
    /// The media type, by the name that it was announced by if that is another one of the same.
    pub(super) fn same_as(&self, announced: &str) -> String {
        if usual(announced) == self.media_type {
            return announced.to_owned();
        }
        self.media_type.clone()
    }
}

/// Looks at a file that was announced as `announced` and is called `name`.
///
/// # Errors
/// When it cannot be read.
pub fn inspect(path: &Path, announced: &str, name: &str) -> io::Result<Kind> {
    let mut head = Vec::new();
    let mut file = File::open(path)?;
    file.by_ref().take(HEAD).read_to_end(&mut head)?;
    let extension = name
        .rsplit_once('.')
        .map_or(String::new(), |(_, e)| e.to_ascii_lowercase());
    let kind = |media_type: &str| Kind {
        media_type: usual(media_type).to_owned(),
        protected: false,
    };
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(zipped(path).unwrap_or_else(|| kind("application/zip")));
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
        return Ok(compound(path, announced));
    }
    // A byte order mark of UTF-16 looks like the beginning of an MP3.
    let wide = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    if let Some(known) = signature(&head).filter(|_| !wide) {
        return Ok(kind(known));
    }
    if is_late_pdf(&head, &mut file)? {
        return Ok(kind("application/pdf"));
    }
    // What unpacks itself begins with a program, or whatever else.
    if ends_as_zip(&mut file)?
        && let Some(kind) = zipped(path)
    {
        return Ok(kind);
    }
    let binary = head.contains(&0) && !wide && text::wide(&head).is_none();
    let head = text::decode(&head);
    if let Some(known) = told_by_text(&head).filter(|_| !binary) {
        return Ok(kind(known));
    }
    // Other text has no signature: the edge's word counts, and then the ending.
    if announced != OCTETS && announced != "text/plain" {
        return Ok(kind(announced));
    }
    if binary {
        return Ok(kind(announced));
    }
    Ok(kind(match extension.as_str() {
        "csv" | "tsv" => "text/csv",
        "html" | "htm" => "text/html",
        "svg" => "image/svg+xml",
        _ if begins_with_tag(&head, "<svg") => "image/svg+xml",
        _ if begins_with_tag(&head, "<html") || begins_with_tag(&head, "<!doctype html") => {
            "text/html"
        }
        "txt" | "md" | "log" => "text/plain",
        // Sound or a picture written out in letters is nothing to read.
        other if naming::is_of_media(other) => OCTETS,
        _ => announced,
    }))
}

/// Whether it is a PDF behind other bytes, as far as readers look for one (ISO 32000-1, Annex H,
/// implementation note 13). A text that names one ends otherwise.
fn is_late_pdf(head: &[u8], file: &mut File) -> io::Result<bool> {
    /// Where readers look for the beginning, and for the end, in bytes.
    const SEARCHED: usize = 1024;
    let begins = head
        .windows(7)
        .take(SEARCHED)
        .any(|w| w.starts_with(b"%PDF-") && w[5].is_ascii_digit() && w[6] == b'.');
    if !begins {
        return Ok(false);
    }
    let len = file.metadata()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(len.saturating_sub(SEARCHED as u64)))?;
    file.take(SEARCHED as u64).read_to_end(&mut tail)?;
    let has = |words: &[u8]| tail.windows(words.len()).any(|w| w == words);
    Ok(has(b"startxref") && has(b"%%EOF"))
}

/// What is written as text and is more than that: a mail or a page saved as one, which have a head of
/// fields (RFC 5322), and what Office 2003 wrote as XML.
fn told_by_text(head: &str) -> Option<&'static str> {
    if head.trim_start().starts_with("<?xml") {
        let is = |words: &str| head.contains(words);
        if is("progid=\"Excel.Sheet\"") || is("urn:schemas-microsoft-com:office:spreadsheet") {
            return Some(document::EXCEL_2003);
        }
        if is("progid=\"Word.Document\"") || is("schemas.microsoft.com/office/word/2003/wordml") {
            return Some(document::WORD_2003);
        }
    }
    let mut fields = Vec::new();
    for line in head.lines().take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) && !fields.is_empty() {
            continue;
        }
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return None;
        }
        fields.push((name.to_ascii_lowercase(), value.trim().to_ascii_lowercase()));
    }
    let has = |wanted: &str| fields.iter().find(|(name, _)| name == wanted);
    let page = |(_, value): &(String, String)| value.starts_with("multipart/related");
    match has("content-type") {
        Some(field) if page(field) && has("mime-version").is_some() => Some("multipart/related"),
        _ if has("mime-version").is_some() => Some("message/rfc822"),
        _ if has("from").is_some() && has("date").is_some() => Some("message/rfc822"),
        _ => None,
    }
}

/// The one of several names of a type that the converters use.
fn usual(media_type: &str) -> &str {
    match media_type {
        "image/heic" | "image/heic-sequence" | "image/heif-sequence" => "image/heif",
        "image/x-ms-bmp" => "image/bmp",
        "audio/m4a" | "audio/x-m4a" => "audio/mp4",
        "audio/x-wav" | "audio/vnd.wave" | "audio/wave" => "audio/wav",
        "audio/opus" | "application/ogg" => "audio/ogg",
        "audio/x-flac" => "audio/flac",
        "video/x-m4v" => "video/mp4",
        "text/rtf" => "application/rtf",
        "application/x-zip-compressed" => "application/zip",
        other => other,
    }
}

fn signature(head: &[u8]) -> Option<&'static str> {
    let at = |place: usize, what: &[u8]| head.get(place..).is_some_and(|h| h.starts_with(what));
    Some(match head {
        _ if at(0, b"%PDF-") => "application/pdf",
        _ if at(0, &[0xff, 0xd8, 0xff]) => "image/jpeg",
        _ if at(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if at(0, b"GIF8") => "image/gif",
        _ if at(0, b"BM") && at(6, &[0; 4]) => "image/bmp",
        _ if at(0, b"II*\0") || at(0, b"MM\0*") => "image/tiff",
        _ if at(0, b"RIFF") && at(8, b"WEBP") => "image/webp",
        _ if at(0, b"RIFF") && at(8, b"WAVE") => "audio/wav",
        _ if at(0, b"RIFF") && at(8, b"AVI ") => "video/x-msvideo",
        _ if at(0, b"#!AMR") => "audio/amr",
        _ if at(0, b"OggS") => "audio/ogg",
        _ if at(0, b"fLaC") => "audio/flac",
        _ if at(0, b"ID3") => "audio/mpeg",
        _ if at(0, b"{\\rtf") => "application/rtf",
        _ if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) => {
            let webm = head.windows(4).take(64).any(|w| w == b"webm");
            if webm {
                "video/webm"
            } else {
                "video/x-matroska"
            }
        }
        _ if at(4, b"ftyp") => brand(head.get(8..12)?),
        _ if at(4, b"moov") || at(4, b"mdat") || at(4, b"wide") => "video/quicktime",
        [0xff, second, ..] if second & 0xf6 == 0xf0 => "audio/aac",
        [0xff, second, ..] if second & 0xe0 == 0xe0 && second & 0x06 != 0 => "audio/mpeg",
        _ => return None,
    })
}

/// The type by the major brand of an ISO base media file.
fn brand(brand: &[u8]) -> &'static str {
    match brand {
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => {
            "image/heif"
        }
        b"avif" | b"avis" => "image/avif",
        b"M4A " | b"M4B " => "audio/mp4",
        b"qt  " => "video/quicktime",
        [b'3', b'g', ..] => "video/3gpp",
        _ => "video/mp4",
    }
}

fn begins_with_tag(head: &str, tag: &str) -> bool {
    let mut text = head.trim_start();
    // Past what may stand before the root: a declaration, comments, a document type of XML.
    while let Some(rest) = text
        .strip_prefix("<?")
        .or_else(|| text.strip_prefix("<!--"))
    {
        match rest.split_once('>') {
            Some((_, after)) => text = after.trim_start(),
            None => return false,
        }
    }
    let matches = |text: &str| {
        text.get(..tag.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(tag))
    };
    matches(text)
        || (tag == "<svg"
            && text
                .strip_prefix("<!DOCTYPE svg")
                .and_then(|t| t.split_once('>'))
                .is_some_and(|(_, after)| matches(after.trim_start())))
}

/// Whether the end of a zip's directory is where it may be: a comment of 65,535 bytes may follow its 22
/// (APPNOTE.TXT, section 4.3.16).
fn ends_as_zip(file: &mut File) -> io::Result<bool> {
    const LONGEST: u64 = 65_535 + 22;
    let len = file.metadata()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(len.saturating_sub(LONGEST)))?;
    file.take(LONGEST).read_to_end(&mut tail)?;
    Ok(tail.windows(4).any(|w| w == b"PK\x05\x06"))
}

/// What is in a zip container: the names of its members tell. `None` if it cannot be opened.
fn zipped(path: &Path) -> Option<Kind> {
    let archive = Zip::open(path).ok()?;
    let entries = archive.entries().ok()?;
    let of = |media_type: &str, protected| {
        Some(Kind {
            media_type: media_type.to_owned(),
            protected,
        })
    };
    let text = |name: &str, most| member(&archive, &entries, name, most);
    if let Some(stored) = text("mimetype", 200).filter(|s| s.starts_with("application/")) {
        let manifest = text("META-INF/manifest.xml", SEARCHED);
        let locked = manifest.is_some_and(|m| m.contains("encryption-data"));
        return of(stored.trim().trim_end_matches("-template"), locked);
    }
    let names = || entries.iter().map(|entry| &entry.raw[..]);
    let office = names().any(|name| name == b"[Content_Types].xml");
    let main = names().find_map(|name| match name {
        b"OFD.xml" => Some("application/ofd"),
        b"Index/Document.iwa" | b"Index.zip" => Some("application/x-iwork"),
        b"AndroidManifest.xml" => Some("application/vnd.android.package-archive"),
        b"META-INF/MANIFEST.MF" => Some("application/java-archive"),
        _ if !office => None,
        _ if name.starts_with(b"word/") => Some(DOCX),
        _ if name.starts_with(b"xl/") => Some(XLSX),
        _ if name.starts_with(b"ppt/") => Some(PPTX),
        _ if name.starts_with(b"visio/") => Some("application/vnd.ms-visio.drawing"),
        _ if name.ends_with(b".fdseq") => Some("application/vnd.ms-xpsdocument"),
        _ => None,
    });
    // Parts of a document of a kind that is not known are no files of their own.
    let other = if office { OCTETS } else { "application/zip" };
    of(main.unwrap_or(other), false)
}

/// A member as text, its beginning at most.
fn member(archive: &Zip, entries: &[Entry], name: &str, most: u64) -> Option<String> {
    let mut text = String::new();
    let entry = entries.iter().find(|entry| entry.raw == name.as_bytes())?;
    let content = archive.content(entry).ok()?;
    content.take(most).read_to_string(&mut text).ok()?;
    Some(text)
}

/// What is in a compound file (`[MS-CFB]`): the names of its streams tell. One that cannot be
/// opened is what it was announced as.
fn compound(path: &Path, announced: &str) -> Kind {
    let kind = |media_type: &str, protected| Kind {
        media_type: media_type.to_owned(),
        protected,
    };
    let Ok(mut file) = cfb::open(path) else {
        return kind(usual(announced), false);
    };
    let mut head = |name: &str| {
        let mut bytes = Vec::new();
        let stream = file.open_stream(name).ok()?;
        stream.take(HEAD).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    if head("/EncryptedPackage").is_some() {
        kind(DOCX, true)
    } else if let Some(document) = head("/WordDocument") {
        // The flag fEncrypted of the file's head ([MS-DOC] 2.5.2).
        let locked = document.get(11).is_some_and(|flags| flags & 1 == 1);
        kind("application/msword", locked)
    } else if let Some(book) = head("/Workbook").or_else(|| head("/Book")) {
        kind("application/vnd.ms-excel", locked_workbook(&book))
    } else if head("/PowerPoint Document").is_some() {
        let locked = head("/EncryptedSummary").is_some();
        kind("application/vnd.ms-powerpoint", locked)
    } else {
        kind(usual(announced), false)
    }
}

/// Whether a workbook has a `FilePass` record among its first ([MS-XLS] 2.4.117).
fn locked_workbook(stream: &[u8]) -> bool {
    const FILE_PASS: u16 = 0x2f;
    let mut rest = stream;
    for _ in 0..8 {
        let (Some(kind), Some(len)) = (rest.first_chunk::<2>(), rest.get(2..4)) else {
            return false;
        };
        if u16::from_le_bytes(*kind) == FILE_PASS {
            return true;
        }
        let len = usize::from(u16::from_le_bytes([len[0], len[1]]));
        rest = rest.get(4 + len..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(content: &[u8], announced: &str, name: &str) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("a file");
        inspect(file.path(), announced, name)
            .expect("a kind")
            .media_type
    }

    #[test]
    fn content_tells_before_the_name_does() {
        for (content, announced, name, expected) in [
            (&b"%PDF-1.7"[..], OCTETS, "a.docx", "application/pdf"),
            (b"a,b\n1,2", "text/plain", "a.csv", "text/csv"),
            (
                b"<?xml version='1.0'?>\n<svg/>",
                OCTETS,
                "drawing",
                "image/svg+xml",
            ),
            (b"<!DOCTYPE HTML><p>", "text/plain", "a", "text/html"),
            (b"plain words", "text/plain", "a", "text/plain"),
            (b"#!AMR\n", "audio/amr", "a.mp3", "audio/amr"),
            (b"\0\0\0\x18ftypheic", "image/heif", "a.jpg", "image/heif"),
            (b"\0\0\0\x18ftypqt  ", "video/mp4", "a", "video/quicktime"),
            (b"\x02#!SILK_V3", OCTETS, "a.silk", OCTETS),
            (b"a\0,\0b\0\n\0", OCTETS, "a.csv", "text/csv"),
            (b"\0a\0,\0b\0\n", OCTETS, "a.txt", "text/plain"),
            (b"<\0p\0>\0", OCTETS, "a.htm", "text/html"),
            (b"\0\0\0\x01", OCTETS, "a.csv", OCTETS),
            (b"IyFBTVIKPCQCB1AQ", "text/plain", "voice.amr", OCTETS),
            (
                b"From: a\nDate: b\n\nwords",
                "text/plain",
                "a.eml",
                "message/rfc822",
            ),
            (
                b"Dear all: words\n\nFrom: me",
                "text/plain",
                "a.txt",
                "text/plain",
            ),
            (
                b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=\"x\"\r\n\r\n--x",
                "text/plain",
                "report.doc",
                "multipart/related",
            ),
            (
                b"<?xml version=\"1.0\"?><?mso-application progid=\"Excel.Sheet\"?><Workbook/>",
                "text/plain",
                "table.xls",
                document::EXCEL_2003,
            ),
            (
                b"\xaa\xaa\n%PDF-1.4\n1 0 obj\nstartxref\n9\n%%EOF\n",
                OCTETS,
                "a",
                "application/pdf",
            ),
            (
                b"<html>%PDF-1.4 is how it begins</html>",
                "text/plain",
                "a",
                "text/html",
            ),
        ] {
            assert_eq!(of(content, announced, name), expected, "{name}");
        }
    }

    /// A zip of these members, after some bytes of something else.
    fn zip(before: usize, names: &[&str]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for name in names {
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file(*name, options).expect("a member");
        }
        let bytes = archive.finish().expect("a zip").into_inner();
        [vec![b'0'; before], bytes].concat()
    }

    #[test]
    fn a_zip_is_what_its_members_make_it_wherever_it_begins() {
        for (names, expected) in [
            (&["a.txt", "b.jpg"][..], "application/zip"),
            (
                &["[trash]/0.dat", "word/document.xml", "[Content_Types].xml"],
                DOCX,
            ),
            (&["[Content_Types].xml", "xl/workbook.xml"], XLSX),
            (&["[Content_Types].xml", "3D/model.model"], OCTETS),
            (
                &["Index/Document.iwa", "preview.jpg"],
                "application/x-iwork",
            ),
            (&["Doc_0/Res/seal.png", "OFD.xml"], "application/ofd"),
            (
                &["META-INF/MANIFEST.MF", "a.class"],
                "application/java-archive",
            ),
        ] {
            for before in [0, 1, 1292, 70_000] {
                let content = zip(before, names);
                assert_eq!(
                    of(&content, OCTETS, "a.exe"),
                    expected,
                    "{names:?} {before}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_look_panic(
            head in prop::sample::select(vec![
                &b""[..], b"PK\x03\x04", &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1], b"\xff",
            ]),
            rest: Vec<u8>,
        ) {
            let _ = of(&[head, &rest].concat(), OCTETS, "a.b");
        }
    }
}
