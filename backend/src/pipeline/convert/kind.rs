//! What a file is, by its content, and whether it is locked, which only a look into it tells.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use chatlift_shared::kind::{self, Content, DOC, DOCX, PLAIN, PPT, PPTX, UNKNOWN, XLS, XLSX};
use chatlift_shared::limits::HEAD_MAX;

use super::directory::{Entry, Zip};
use super::naming;

/// How much of a stream's beginning is looked at for a lock, in bytes.
const HEAD: u64 = 8192;
/// Most of a manifest that is searched, in bytes.
const SEARCHED: u64 = 1024 * 1024;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its media type, by the name that the converters use.
    pub media_type: String,
    /// Whether it opens only with a password, as far as that can be told from here.
    pub protected: bool,
}

impl Kind {
    /// What the edge announced, which has seen the file too, where nothing is known of it here. That it is
    /// text is always told here.
    pub(crate) fn or_announced(mut self, announced: &str) -> Self {
        if self.media_type == UNKNOWN && announced != PLAIN {
            announced.clone_into(&mut self.media_type);
        }
        self
    }

    /// The media type, by the name that it was announced by if that is another one of the same.
    pub(crate) fn same_as(&self, announced: &str) -> String {
        if is_same(announced, &self.media_type) {
            return announced.to_owned();
        }
        self.media_type.clone()
    }
}

/// Whether both are names of one type.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let usual = |name: &str| kind::of(&name.to_ascii_lowercase()).map(|kind| kind.media_type);
    one.eq_ignore_ascii_case(other) || usual(one).is_some_and(|one| usual(other) == Some(one))
}

/// Looks at a file that is called `name`.
///
/// # Errors
/// When it cannot be read.
pub fn inspect(path: &Path, name: &str) -> io::Result<Kind> {
    let media_type = told(path, name)?;
    let extension = name
        .rsplit_once('.')
        .map_or(String::new(), |(_, e)| e.to_ascii_lowercase());
    // Sound or a picture written out in letters is nothing to read.
    let media_type = match media_type {
        PLAIN if naming::is_of_media(&extension) => UNKNOWN,
        told => told,
    };
    let protected = match media_type {
        DOC | XLS | PPT | DOCX | XLSX | PPTX => is_locked_compound(path),
        odf if odf.starts_with("application/vnd.oasis.opendocument.") => is_locked_odf(path),
        _ => false,
    };
    Ok(Kind {
        media_type: media_type.to_owned(),
        protected,
    })
}

fn told(path: &Path, name: &str) -> io::Result<&'static str> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    file.by_ref().take(HEAD_MAX).read_to_end(&mut head)?;
    let mut content = Content::new(size, &head);
    let mut likeliest = UNKNOWN;
    for _ in 0..kind::WINDOWS_MAX {
        let window = match kind::sniff(&content, name) {
            Ok(media_type) => return Ok(media_type),
            Err(unsettled) => {
                likeliest = unsettled.among.first().copied().unwrap_or(likeliest);
                unsettled.window
            }
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(window.offset))?;
        file.by_ref().take(window.length).read_to_end(&mut bytes)?;
        content.add(window, bytes);
    }
    Ok(likeliest)
}

/// Whether an OpenDocument says in its manifest that its members are encrypted.
fn is_locked_odf(path: &Path) -> bool {
    let manifest = || {
        let archive = Zip::open(path).ok()?;
        let entries = archive.entries().ok()?;
        member(&archive, &entries, "META-INF/manifest.xml")
    };
    manifest().is_some_and(|manifest| manifest.contains("encryption-data"))
}

/// A member as text, its beginning at most.
fn member(archive: &Zip, entries: &[Entry], name: &str) -> Option<String> {
    let mut text = String::new();
    let entry = entries.iter().find(|entry| entry.raw == name.as_bytes())?;
    let content = archive.content(entry).ok()?;
    content.take(SEARCHED).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Whether a document of Office in a compound file (`[MS-CFB]`) is encrypted.
fn is_locked_compound(path: &Path) -> bool {
    let Ok(mut file) = cfb::open(path) else {
        return false;
    };
    let mut head = |name: &str| {
        let mut bytes = Vec::new();
        let stream = file.open_stream(name).ok()?;
        stream.take(HEAD).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    if head("/EncryptedPackage").is_some() {
        true
    } else if let Some(document) = head("/WordDocument") {
        // The flag fEncrypted of the file's head ([MS-DOC] 2.5.2).
        document.get(11).is_some_and(|flags| flags & 1 == 1)
    } else if let Some(book) = head("/Workbook").or_else(|| head("/Book")) {
        is_locked_workbook(&book)
    } else {
        head("/EncryptedSummary").is_some()
    }
}

/// Whether a workbook has a `FilePass` record among its first ([MS-XLS] 2.4.117).
fn is_locked_workbook(stream: &[u8]) -> bool {
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

    fn of(content: &[u8], name: &str) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("a file");
        inspect(file.path(), name).expect("a kind").media_type
    }

    #[test]
    fn a_file_is_what_the_sniffer_makes_of_its_windows() {
        for before in [0, 70_000] {
            let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
            for name in ["[trash]/0.dat", "word/document.xml", "[Content_Types].xml"] {
                let options = zip::write::SimpleFileOptions::default();
                archive.start_file(name, options).expect("a member");
            }
            let bytes = archive.finish().expect("a zip").into_inner();
            let content = [vec![b'0'; before], bytes].concat();
            assert_eq!(of(&content, "a.zip"), DOCX);
        }
    }

    #[test]
    fn sound_written_out_in_letters_is_nothing_to_read() {
        assert_eq!(of(b"IyFBTVIKPCQCB1AQ", "voice.amr"), UNKNOWN);
        assert_eq!(of(b"IyFBTVIKPCQCB1AQ", "voice.txt"), PLAIN);
    }

    #[test]
    fn a_type_has_several_names() {
        assert!(is_same("image/HEIC", "image/heif") && is_same("audio/x-wav", "audio/wav"));
        assert!(is_same("model/stl", "model/STL") && !is_same("model/stl", "model/obj"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_look_panic(
            head in prop::sample::select(vec![
                &b""[..], b"PK\x03\x04", &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1], b"\xff",
            ]),
            rest: Vec<u8>,
        ) {
            let _ = of(&[head, &rest].concat(), "a.b");
        }
    }
}
