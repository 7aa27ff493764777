//! What is in a zip container: the names of its members tell (APPNOTE.TXT, section 4.3).

use super::{Content, DOCX, PPTX, UNKNOWN, Window, XLSX, ZIP, u16_at, u32_at};

/// The end of the directory has 22 bytes, and a comment of 65,535 at most may follow it.
const END_MAX: u64 = 22 + 65_535;
/// Most of the directory that is looked at, in bytes: some 2,000 members.
const DIRECTORY_MAX: u64 = 256 * 1024;

/// Formats that store their own type first, as their first member.
const STORED: [&str; 5] = [
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/vnd.oasis.opendocument.graphics",
    "application/epub+zip",
];

/// What a zip may be, by how often it is.
const AMONG: [&str; 20] = [
    ZIP,
    DOCX,
    XLSX,
    PPTX,
    STORED[0],
    STORED[1],
    STORED[2],
    STORED[3],
    STORED[4],
    "application/ofd",
    "application/vnd.apple.pages",
    "application/vnd.apple.numbers",
    "application/vnd.apple.keynote",
    "application/vnd.android.package-archive",
    "application/java-archive",
    "application/vnd.ms-visio.drawing",
    "application/vnd.ms-xpsdocument",
    "application/vnd.xmind.workbook",
    "application/hwp+zip",
    UNKNOWN,
];

/// What a zip with a name of this extension may be. One that says that it is no more than a zip is
/// believed until it is looked at as a whole.
pub(super) fn among(extension: &str) -> &'static [&'static str] {
    if extension == "zip" {
        &AMONG[..1]
    } else {
        &AMONG
    }
}

/// Whether something of this extension may be a zip behind other bytes.
pub(super) fn may_begin_late(extension: &str) -> bool {
    matches!(extension, "exe" | "run" | "sfx")
        || super::table::with_extension(extension).any(|kind| AMONG.contains(&kind.media_type))
}

/// What the first members tell, if they do.
pub(super) fn by_head(head: &[u8]) -> Option<&'static str> {
    if let Some(stored) = head
        .get(30..)
        .and_then(|rest| rest.strip_prefix(b"mimetype"))
    {
        let of = |media_type: &&str| {
            let rest = stored.strip_prefix(media_type.as_bytes());
            // What comes next is the next member, or says that it is a template.
            rest.is_some_and(|rest| rest.starts_with(b"PK") || rest.starts_with(b"-template"))
        };
        return STORED.into_iter().find(of);
    }
    let mut members = Members::default();
    for (at, window) in head.windows(4).enumerate() {
        if window == b"PK\x03\x04"
            && let Some(len) = u16_at(head, at + 26)
            && let Some(name) = head.get(at + 30..at + 30 + usize::from(len))
        {
            members.add(name);
        }
    }
    members.told.filter(|_| members.office)
}

/// What the directory tells; nothing where there is none.
pub(super) fn by_directory(content: &Content<'_>) -> Result<Option<&'static str>, Window> {
    let tail = content.tail(END_MAX)?;
    let from = content.size.saturating_sub(tail.len() as u64);
    let found = tail.windows(4).rposition(|window| window == b"PK\x05\x06");
    let Some((at, length)) = found.and_then(|at| Some((at, u32_at(tail, at + 12)?))) else {
        return Ok(None);
    };
    // Where the directory ends is sure, wherever its offsets count from.
    let length = u64::from(length);
    let Some(begin) = (from + at as u64).checked_sub(length) else {
        return Ok(Some(ZIP));
    };
    let mut directory = content.read(begin, length.min(DIRECTORY_MAX))?;
    let mut members = Members::default();
    while directory.starts_with(b"PK\x01\x02") {
        let part = |at| u16_at(directory, at).map(usize::from);
        let (Some(name), Some(extra), Some(comment)) = (part(28), part(30), part(32)) else {
            break;
        };
        members.add(directory.get(46..46 + name).unwrap_or_default());
        directory = directory
            .get(46 + name + extra + comment..)
            .unwrap_or_default();
    }
    Ok(Some(members.kind(content)))
}

/// What the names of the members tell.
#[derive(Default)]
struct Members {
    /// Whether it is a package of parts (ISO/IEC 29500-2, section 7.2.3).
    office: bool,
    told: Option<&'static str>,
    /// Whether it stores its own type.
    stored: bool,
}

impl Members {
    fn add(&mut self, name: &[u8]) {
        self.office |= name == b"[Content_Types].xml";
        self.stored |= name == b"mimetype";
        let begins = |with: &str| name.starts_with(with.as_bytes());
        let told = match name {
            b"OFD.xml" => "application/ofd",
            b"AndroidManifest.xml" => "application/vnd.android.package-archive",
            b"Index/Document.iwa" | b"index.xml" | b"Index.zip" => "application/vnd.apple.pages",
            b"index.apxl" => "application/vnd.apple.keynote",
            b"content.json" => "application/vnd.xmind.workbook",
            b"META-INF/MANIFEST.MF" if self.told.is_none() => "application/java-archive",
            b"Contents/content.hpf" => "application/hwp+zip",
            _ if begins("Index/Slide") => "application/vnd.apple.keynote",
            _ if begins("Index/Tables/") || begins("Index/CalculationEngine") => {
                "application/vnd.apple.numbers"
            }
            _ if begins("word/") => DOCX,
            _ if begins("xl/") => XLSX,
            _ if begins("ppt/") => PPTX,
            _ if begins("visio/") => "application/vnd.ms-visio.drawing",
            _ if name.ends_with(b".fdseq") => "application/vnd.ms-xpsdocument",
            _ => return,
        };
        // All of iWork have a document, and a text may have tables.
        let apple = |kind: &str| kind.starts_with("application/vnd.apple.");
        match self.told {
            Some("application/java-archive") | None => self.told = Some(told),
            Some("application/vnd.apple.pages" | "application/vnd.apple.numbers")
                if apple(told) && told != "application/vnd.apple.pages" =>
            {
                self.told = Some(told);
            }
            Some(_) => {}
        }
    }

    fn kind(&self, content: &Content<'_>) -> &'static str {
        const PACKAGES: [&str; 5] = [
            DOCX,
            XLSX,
            PPTX,
            "application/vnd.ms-visio.drawing",
            "application/vnd.ms-xpsdocument",
        ];
        match self.told {
            Some(told) if PACKAGES.contains(&told) == self.office => told,
            // Parts of a document of a kind that is not known are no files of their own.
            _ if self.office => UNKNOWN,
            _ if self.stored => by_head(content.head()).unwrap_or(ZIP),
            _ => ZIP,
        }
    }
}
