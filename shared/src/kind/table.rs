//! The kinds of files, and the signatures of those that their beginning tells.

use super::{DOC, DOCX, EXCEL_2003, MAIL, PAGE, PDF, PLAIN, PPT, PPTX, WORD_2003, XLS, XLSX, ZIP};

/// What is run.
pub(super) const PROGRAM: &str = "application/vnd.microsoft.portable-executable";

/// A kind of file.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its media type.
    pub media_type: &'static str,
    /// Other names of the same, by which a scene may ask for it.
    pub also: &'static [&'static str],
    /// Its extensions, the usual one first. Another kind may have them too.
    pub extensions: &'static [&'static str],
}

const fn kind(
    media_type: &'static str,
    also: &'static [&'static str],
    extensions: &'static [&'static str],
) -> Kind {
    Kind {
        media_type,
        also,
        extensions,
    }
}

/// The kinds that have an extension of their own or several names.
pub(super) const KINDS: &[Kind] = &[
    kind(PDF, &["application/x-pdf"], &["pdf", "ai"]),
    kind(
        DOC,
        &["application/wps-office.wps", "application/wps-office.doc"],
        &["doc", "dot", "wps", "wpt"],
    ),
    kind(
        DOCX,
        &["application/wps-office.docx"],
        &["docx", "docm", "dotx", "dotm"],
    ),
    kind(
        XLS,
        &["application/wps-office.et", "application/wps-office.xls"],
        &["xls", "xlt", "et", "ett"],
    ),
    kind(
        XLSX,
        &["application/wps-office.xlsx"],
        &["xlsx", "xlsm", "xltx", "xltm", "xlsb"],
    ),
    kind(
        PPT,
        &["application/wps-office.dps", "application/wps-office.ppt"],
        &["ppt", "pps", "pot", "dps", "dpt"],
    ),
    kind(
        PPTX,
        &["application/wps-office.pptx"],
        &["pptx", "pptm", "ppsx", "ppsm", "potx", "potm"],
    ),
    kind(
        "application/vnd.oasis.opendocument.text",
        &[],
        &["odt", "ott"],
    ),
    kind(
        "application/vnd.oasis.opendocument.spreadsheet",
        &[],
        &["ods", "ots"],
    ),
    kind(
        "application/vnd.oasis.opendocument.presentation",
        &[],
        &["odp", "otp"],
    ),
    kind("application/epub+zip", &[], &["epub"]),
    kind("application/ofd", &["application/vnd.ofd"], &["ofd"]),
    kind(
        "application/vnd.apple.pages",
        &["application/x-iwork-pages-sffpages"],
        &["pages"],
    ),
    kind(
        "application/vnd.apple.numbers",
        &["application/x-iwork-numbers-sffnumbers"],
        &["numbers"],
    ),
    kind(
        "application/vnd.apple.keynote",
        &["application/x-iwork-keynote-sffkey"],
        &["key"],
    ),
    kind("application/rtf", &["text/rtf"], &["rtf"]),
    // Whoever takes Excel's and Word's files takes what these wrote in XML.
    kind(EXCEL_2003, &[XLS], &["xml", "xls"]),
    kind(WORD_2003, &[DOC], &["xml", "doc"]),
    kind(ZIP, &["application/x-zip-compressed"], &["zip"]),
    kind(
        "application/vnd.rar",
        &["application/x-rar-compressed", "application/x-rar"],
        &["rar"],
    ),
    kind("application/x-7z-compressed", &[], &["7z"]),
    kind("application/x-tar", &[], &["tar"]),
    kind("application/gzip", &["application/x-gzip"], &["gz", "tgz"]),
    kind("application/x-bzip2", &[], &["bz2", "tbz2"]),
    kind("application/x-xz", &[], &["xz", "txz"]),
    kind("application/java-archive", &[], &["jar"]),
    kind("application/vnd.android.package-archive", &[], &["apk"]),
    kind(
        PROGRAM,
        &["application/x-msdownload"],
        &["exe", "dll", "com", "scr"],
    ),
    kind("application/vnd.ms-outlook", &[], &["msg"]),
    kind(MAIL, &[], &["eml"]),
    kind(PAGE, &["application/x-mimearchive"], &["mht", "mhtml"]),
    kind(
        "audio/aac",
        &["audio/x-aac", "audio/aacp"],
        &["aac", "adts"],
    ),
    kind("audio/aiff", &["audio/x-aiff"], &["aiff", "aif", "aifc"]),
    kind(
        "audio/amr",
        &["audio/amr-nb", "audio/3gpp"],
        &["amr", "3ga"],
    ),
    kind("audio/amr-wb", &["audio/amr"], &["awb", "amr"]),
    kind("audio/flac", &["audio/x-flac"], &["flac"]),
    kind("audio/midi", &["audio/mid"], &["mid", "midi"]),
    kind(
        "audio/mp4",
        &["audio/m4a", "audio/x-m4a", "audio/aac"],
        &["m4a", "m4b", "m4r", "mp4", "3gp"],
    ),
    kind("audio/mpeg", &["audio/mp3"], &["mp3", "mpga", "mp2"]),
    kind(
        "audio/ogg",
        &["audio/opus", "application/ogg"],
        &["ogg", "oga", "opus", "spx"],
    ),
    kind("audio/silk", &["audio/x-silk"], &["silk", "slk", "aud"]),
    kind(
        "audio/wav",
        &["audio/x-wav", "audio/vnd.wave", "audio/wave"],
        &["wav", "wave"],
    ),
    kind("audio/webm", &[], &["webm", "weba"]),
    kind("audio/x-ms-wma", &[], &["wma"]),
    kind("image/avif", &[], &["avif"]),
    kind(
        "image/bmp",
        &["image/x-ms-bmp", "image/x-bmp"],
        &["bmp", "dib"],
    ),
    kind("image/gif", &[], &["gif"]),
    kind(
        "image/heif",
        &["image/heic", "image/heic-sequence", "image/heif-sequence"],
        &["heic", "heif", "hif", "heics", "heifs"],
    ),
    kind("image/jp2", &[], &["jp2", "jpx", "j2k"]),
    kind(
        "image/jpeg",
        &["image/jpg", "image/pjpeg"],
        &["jpg", "jpeg", "jpe", "jfif", "mpo"],
    ),
    kind("image/jxl", &[], &["jxl"]),
    kind(
        "image/png",
        &["image/apng", "image/x-png"],
        &["png", "apng"],
    ),
    kind("image/svg+xml", &[], &["svg"]),
    kind("image/tiff", &["image/x-tiff"], &["tif", "tiff"]),
    kind(
        "image/vnd.adobe.photoshop",
        &["image/x-photoshop"],
        &["psd", "psb"],
    ),
    kind("image/vnd.microsoft.icon", &["image/x-icon"], &["ico"]),
    kind("image/webp", &[], &["webp"]),
    kind("image/x-adobe-dng", &["image/dng"], &["dng"]),
    kind(
        "image/x-raw",
        &[
            "image/x-canon-cr2",
            "image/x-canon-cr3",
            "image/x-nikon-nef",
            "image/x-sony-arw",
            "image/x-dcraw",
        ],
        &[
            "raw", "cr2", "cr3", "nef", "arw", "pef", "srw", "orf", "rw2", "raf", "nrw", "sr2",
        ],
    ),
    kind(
        "text/csv",
        &["application/csv"],
        &["csv", "tsv", "txt", "tab"],
    ),
    kind(
        "text/html",
        &["application/xhtml+xml"],
        &["html", "htm", "xhtml"],
    ),
    kind("text/calendar", &[], &["ics"]),
    kind("text/vcard", &["text/x-vcard", "text/directory"], &["vcf"]),
    kind("application/json", &["text/json"], &["json"]),
    kind(PLAIN, &[], &["txt", "md", "log"]),
    kind("video/3gpp", &[], &["3gp", "3gpp", "3g2"]),
    kind("video/mp2t", &[], &["ts", "mts", "m2ts", "m2t"]),
    kind("video/mp4", &["video/x-m4v"], &["mp4", "m4v"]),
    kind("video/mpeg", &[], &["mpg", "mpeg", "vob", "dat"]),
    kind("video/ogg", &[], &["ogv", "ogg"]),
    kind("video/quicktime", &[], &["mov", "qt"]),
    kind("video/webm", &[], &["webm"]),
    kind("video/x-flv", &[], &["flv"]),
    kind("video/x-matroska", &[], &["mkv", "mka", "mks"]),
    kind("video/x-ms-wmv", &["video/x-ms-asf"], &["wmv", "asf"]),
    kind("video/x-msvideo", &["video/avi", "video/msvideo"], &["avi"]),
];

/// What is known of a kind, by any of its names.
#[must_use]
pub fn of(media_type: &str) -> Option<&'static Kind> {
    let named = |kind: &&Kind| kind.media_type == media_type;
    let also = |kind: &&Kind| kind.also.contains(&media_type);
    KINDS.iter().find(named).or_else(|| KINDS.iter().find(also))
}

/// The kinds whose files have this extension, in small letters.
pub fn with_extension(extension: &str) -> impl Iterator<Item = &'static Kind> + '_ {
    KINDS
        .iter()
        .filter(move |kind| kind.extensions.contains(&extension))
}

/// Bytes at a place, from the beginning.
type Mark = (usize, &'static [u8]);

/// What begins so, the more telling first. The sources are the formats' own specifications, and for
/// those without one the `file` program's magic.
const SIGNATURES: &[(&str, &[Mark])] = &[
    (PDF, &[(0, b"%PDF-")]),
    (PDF, &[(0, b"\xef\xbb\xbf%PDF-")]),
    ("image/jpeg", &[(0, b"\xff\xd8\xff")]),
    ("image/png", &[(0, b"\x89PNG\r\n\x1a\n")]),
    ("image/gif", &[(0, b"GIF87a")]),
    ("image/gif", &[(0, b"GIF89a")]),
    ("image/webp", &[(0, b"RIFF"), (8, b"WEBP")]),
    ("audio/wav", &[(0, b"RIFF"), (8, b"WAVE")]),
    ("audio/wav", &[(0, b"RF64"), (8, b"WAVE")]),
    ("video/x-msvideo", &[(0, b"RIFF"), (8, b"AVI ")]),
    // Two reserved words of zeros, and a head of a known length.
    ("image/bmp", &[(0, b"BM"), (6, &[0; 4]), (15, &[0; 3])]),
    ("image/x-raw", &[(0, b"II*\0"), (8, b"CR")]),
    ("image/x-raw", &[(0, b"IIRO")]),
    ("image/x-raw", &[(0, b"IIU\0")]),
    ("image/x-raw", &[(0, b"FUJIFILMCCD-RAW")]),
    ("image/tiff", &[(0, b"II*\0")]),
    ("image/tiff", &[(0, b"MM\0*")]),
    ("image/tiff", &[(0, b"II+\0\x08\0")]),
    ("image/tiff", &[(0, b"MM\0+\0\x08")]),
    ("image/vnd.adobe.photoshop", &[(0, b"8BPS\0")]),
    (
        "image/vnd.microsoft.icon",
        &[(0, b"\0\0\x01\0"), (5, b"\0"), (9, b"\0")],
    ),
    ("image/jp2", &[(0, b"\0\0\0\x0cjP  \r\n\x87\n")]),
    ("image/jp2", &[(0, b"\xff\x4f\xff\x51\0")]),
    ("image/jxl", &[(0, b"\xff\x0a")]),
    ("image/jxl", &[(0, b"\0\0\0\x0cJXL \r\n\x87\n")]),
    ("image/vnd.djvu", &[(0, b"AT&TFORM")]),
    ("image/vnd.dwg", &[(0, b"AC10"), (6, b"\0")]),
    ("image/vnd.ms-photo", &[(0, b"II\xbc\x01")]),
    ("image/wmf", &[(0, b"\xd7\xcd\xc6\x9a\0\0")]),
    ("image/emf", &[(0, b"\x01\0\0\0"), (40, b" EMF")]),
    ("audio/silk", &[(0, b"#!SILK_V3")]),
    // As WeChat and QQ write it.
    ("audio/silk", &[(0, b"\x02#!SILK_V3")]),
    ("audio/amr-wb", &[(0, b"#!AMR-WB")]),
    ("audio/amr", &[(0, b"#!AMR")]),
    ("audio/flac", &[(0, b"fLaC")]),
    ("audio/mpeg", &[(0, b"ID3"), (3, b"\x02")]),
    ("audio/mpeg", &[(0, b"ID3"), (3, b"\x03")]),
    ("audio/mpeg", &[(0, b"ID3"), (3, b"\x04")]),
    ("audio/midi", &[(0, b"MThd\0\0\0\x06")]),
    ("audio/aiff", &[(0, b"FORM"), (8, b"AIFF")]),
    ("audio/aiff", &[(0, b"FORM"), (8, b"AIFC")]),
    ("audio/x-ape", &[(0, b"MAC \x96")]),
    ("audio/x-dsf", &[(0, b"DSD \x1c\0")]),
    ("video/x-flv", &[(0, b"FLV\x01")]),
    ("video/mpeg", &[(0, b"\0\0\x01\xba")]),
    ("video/mpeg", &[(0, b"\0\0\x01\xb3")]),
    (
        "video/mp2t",
        &[(0, b"\x47"), (188, b"\x47"), (376, b"\x47")],
    ),
    (
        "video/mp2t",
        &[(4, b"\x47"), (196, b"\x47"), (388, b"\x47")],
    ),
    ("application/rtf", &[(0, b"{\\rtf")]),
    ("application/rtf", &[(0, b"\xef\xbb\xbf{\\rtf")]),
    ("application/postscript", &[(0, b"%!PS")]),
    ("application/vnd.rar", &[(0, b"Rar!\x1a\x07")]),
    ("application/x-7z-compressed", &[(0, b"7z\xbc\xaf\x27\x1c")]),
    ("application/gzip", &[(0, b"\x1f\x8b\x08")]),
    ("application/x-bzip2", &[(0, b"BZh"), (4, b"1AY&SY")]),
    ("application/x-xz", &[(0, b"\xfd7zXZ\0")]),
    ("application/zstd", &[(0, b"\x28\xb5\x2f\xfd")]),
    ("application/x-lzip", &[(0, b"LZIP\x01")]),
    ("application/x-compress", &[(0, b"\x1f\x9d")]),
    ("application/vnd.ms-cab-compressed", &[(0, b"MSCF\0\0\0\0")]),
    ("application/x-lzh-compressed", &[(2, b"-lh"), (6, b"-")]),
    ("application/x-tar", &[(257, b"ustar")]),
    ("application/x-rpm", &[(0, b"\xed\xab\xee\xdb")]),
    (
        "application/vnd.debian.binary-package",
        &[(0, b"!<arch>\ndebian")],
    ),
    ("application/x-unix-archive", &[(0, b"!<arch>\n")]),
    ("application/x-executable", &[(0, b"\x7fELF")]),
    ("application/x-mach-binary", &[(0, b"\xcf\xfa\xed\xfe")]),
    ("application/x-mach-binary", &[(0, b"\xce\xfa\xed\xfe")]),
    ("application/java", &[(0, b"\xca\xfe\xba\xbe")]),
    ("application/wasm", &[(0, b"\0asm")]),
    ("application/vnd.android.dex", &[(0, b"dex\n")]),
    ("application/x-google-chrome-extension", &[(0, b"Cr24")]),
    ("application/vnd.sqlite3", &[(0, b"SQLite format 3\0")]),
    (
        "application/x-ms-shortcut",
        &[(0, b"L\0\0\0\x01\x14\x02\0")],
    ),
    ("application/vnd.ms-htmlhelp", &[(0, b"ITSF\x03\0")]),
    (
        "application/onenote",
        &[(0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d")],
    ),
    ("application/x-mobipocket-ebook", &[(60, b"BOOKMOBI")]),
    ("application/x-cnki-caj", &[(0, b"CAJ\0")]),
    ("application/x-cnki-caj", &[(0, b"HN\0\0")]),
    ("application/dicom", &[(128, b"DICM")]),
    ("application/font-woff", &[(0, b"wOFF")]),
    ("application/font-woff", &[(0, b"wOF2")]),
    ("application/font-sfnt", &[(0, b"\0\x01\0\0\0")]),
    ("application/font-sfnt", &[(0, b"OTTO\0")]),
];

/// What the beginning tells.
pub(super) fn by_signature(head: &[u8]) -> Option<&'static str> {
    let at = |(place, what): &Mark| head.get(*place..).is_some_and(|h| h.starts_with(what));
    let known = SIGNATURES.iter().find(|(_, marks)| marks.iter().all(at));
    if let Some((told, _)) = known {
        return Some(told);
    }
    // White space does no harm to a PDF (ISO 32000-1, 7.5.2).
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if text.trim_ascii_start().starts_with(b"%PDF-") {
        return Some(PDF);
    }
    if head.starts_with(b"OggS") {
        let theora = super::has(head, b"\x80theora");
        return Some(if theora { "video/ogg" } else { "audio/ogg" });
    }
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        let webm = super::has(head.get(..64).unwrap_or(head), b"webm");
        // The codecs of the tracks stand among the first elements (RFC 9559, section 5.1.4.1.21).
        let sound = super::has(head, b"\x86\x86A_") || super::has(head, b"A_OPUS");
        let sound = sound && !super::has(head, b"V_");
        return Some(match (webm, sound) {
            (true, true) => "audio/webm",
            (true, false) => "video/webm",
            (false, _) => "video/x-matroska",
        });
    }
    // Windows Media: the head's GUID, and among its objects a stream of pictures, by its GUID.
    if head.starts_with(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11") {
        let video = super::has(head, b"\xc0\xef\x19\xbc\x4d\x5b\xcf\x11");
        return Some(if video {
            "video/x-ms-wmv"
        } else {
            "audio/x-ms-wma"
        });
    }
    frames(head)
}

/// Sound that is frames from its first byte: their head has a pattern, and values that none has.
fn frames(head: &[u8]) -> Option<&'static str> {
    let [0xff, second, third, ..] = *head else {
        return None;
    };
    // ADTS: layer 0, one of 13 rates (ISO/IEC 13818-7, section 6.2).
    if second & 0xf6 == 0xf0 && (third >> 2) & 0xf < 13 {
        return Some("audio/aac");
    }
    // MPEG audio: a version, layer, bit rate and rate that there are (ISO/IEC 11172-3, section 2.4.2.3).
    let good = second & 0xe0 == 0xe0
        && second & 0x18 != 0x08
        && second & 0x06 != 0
        && third & 0xf0 != 0xf0
        && third & 0xf0 != 0
        && third & 0x0c != 0x0c;
    good.then_some("audio/mpeg")
}

/// Whether a TIFF is a camera's raw photo: one that says so (DNG), or one that begins with a small
/// picture of another that no TIFF reader makes anything of.
pub(super) fn raw_photo(head: &[u8]) -> Option<&'static str> {
    /// Tags (TIFF 6.0, section 8; DNG 1.7, chapter 4).
    const NEW_SUBFILE_TYPE: u16 = 0xfe;
    const MAKE: u16 = 0x10f;
    const SUB_IFDS: u16 = 0x14a;
    const DNG_VERSION: u16 = 0xc612;
    let little = head.starts_with(b"II");
    let short = |at: usize| {
        let bytes = *head.get(at..)?.first_chunk()?;
        Some(if little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    };
    let long = |at: usize| {
        let bytes = *head.get(at..)?.first_chunk()?;
        Some(if little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    };
    let first = usize::try_from(long(4)?).ok()?;
    let count = usize::from(short(first)?);
    let (mut reduced, mut made, mut more) = (false, false, false);
    for n in 0..count {
        let entry = first.checked_add(2 + n * 12)?;
        match short(entry)? {
            DNG_VERSION => return Some("image/x-adobe-dng"),
            NEW_SUBFILE_TYPE => reduced = long(entry + 8)? & 1 == 1,
            MAKE => made = true,
            SUB_IFDS => more = true,
            _ => {}
        }
    }
    (reduced && made && more).then_some("image/x-raw")
}
