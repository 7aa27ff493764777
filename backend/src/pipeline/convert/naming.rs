//! Names whose extension says what the file is. Pure.

/// The extensions of a type, the usual one first. A name may have any of them.
const EXTENSIONS: &[(&str, &[&str])] = &[
    ("application/pdf", &["pdf", "ai"]),
    ("application/msword", &["doc", "dot", "wps", "wpt"]),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        &["docx", "docm", "dotx", "dotm"],
    ),
    ("application/vnd.ms-excel", &["xls", "xlt", "et", "ett"]),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        &["xlsx", "xlsm", "xltx", "xltm", "xlsb"],
    ),
    (
        "application/vnd.ms-powerpoint",
        &["ppt", "pps", "pot", "dps", "dpt"],
    ),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        &["pptx", "pptm", "ppsx", "ppsm", "potx", "potm"],
    ),
    ("application/vnd.oasis.opendocument.text", &["odt", "ott"]),
    (
        "application/vnd.oasis.opendocument.spreadsheet",
        &["ods", "ots"],
    ),
    (
        "application/vnd.oasis.opendocument.presentation",
        &["odp", "otp"],
    ),
    ("application/rtf", &["rtf"]),
    ("application/zip", &["zip"]),
    ("application/x-excel-2003-xml", &["xml", "xls"]),
    ("application/x-word-2003-xml", &["xml", "doc"]),
    ("audio/aac", &["aac", "adts"]),
    ("audio/amr", &["amr", "3ga"]),
    ("audio/flac", &["flac"]),
    ("audio/mp4", &["m4a", "m4b", "m4r", "mp4"]),
    ("audio/mpeg", &["mp3", "mpga", "mp2"]),
    ("audio/ogg", &["ogg", "oga", "ogv", "opus", "spx"]),
    ("audio/wav", &["wav", "wave"]),
    ("image/avif", &["avif"]),
    ("image/bmp", &["bmp", "dib"]),
    ("image/gif", &["gif"]),
    ("image/heif", &["heic", "heif", "hif", "heics", "heifs"]),
    ("image/jpeg", &["jpg", "jpeg", "jpe", "jfif", "mpo"]),
    ("image/png", &["png", "apng"]),
    ("image/svg+xml", &["svg"]),
    // What cameras write raw is built like a TIFF.
    (
        "image/tiff",
        &["tif", "tiff", "dng", "nef", "cr2", "arw", "pef", "srw"],
    ),
    ("image/webp", &["webp"]),
    ("text/csv", &["csv", "tsv", "txt"]),
    ("text/html", &["html", "htm", "xhtml"]),
    ("text/plain", &["txt", "md", "log"]),
    ("video/3gpp", &["3gp", "3gpp", "3g2"]),
    ("video/mp4", &["mp4", "m4v"]),
    ("video/quicktime", &["mov", "qt"]),
    ("video/webm", &["webm"]),
    ("video/x-matroska", &["mkv", "mka", "mks"]),
    ("video/x-msvideo", &["avi"]),
];

fn extensions(media_type: &str) -> Option<&'static [&'static str]> {
    let known = EXTENSIONS.iter().find(|(known, _)| *known == media_type);
    known.map(|(_, extensions)| *extensions)
}

/// Whether it is the extension of sound, video or pictures in bytes.
pub(super) fn is_of_media(extension: &str) -> bool {
    EXTENSIONS
        .iter()
        .filter(|(known, _)| {
            ["audio/", "video/", "image/"]
                .iter()
                .any(|top| known.starts_with(top))
        })
        .any(|(known, extensions)| *known != "image/svg+xml" && extensions.contains(&extension))
}

/// The name of a file of this type, which it has had before: with another extension if the one that
/// it has belongs to another type, and with one if it has none.
pub(super) fn named(name: &str, media_type: &str) -> String {
    let Some(own) = extensions(media_type) else {
        return name.to_owned();
    };
    let (stem, extension) = parted(name);
    let said = extension.to_ascii_lowercase();
    if own.contains(&&said[..]) {
        return name.to_owned();
    }
    let another = EXTENSIONS
        .iter()
        .any(|(_, others)| others.contains(&&said[..]));
    // One that nobody knows may say more than a general type does.
    let general = matches!(media_type, "application/zip" | "text/plain") && !said.is_empty();
    if general && !another {
        return name.to_owned();
    }
    let stem = if another { stem } else { name };
    let stem: String = stem
        .chars()
        .map(|c| if "<>:\"|?*".contains(c) { '-' } else { c })
        .collect();
    format!("{stem}.{}", own[0])
}

/// The name of what was made of a file: with the usual extension of its type in place of the one that
/// it had.
pub(super) fn renamed(name: &str, media_type: &str) -> String {
    let Some([usual, ..]) = extensions(media_type) else {
        return name.to_owned();
    };
    let (stem, extension) = parted(name);
    // A number after a dot is a part of the name.
    let stem = match extension.chars().any(char::is_alphabetic) {
        true => stem,
        false => name,
    };
    format!("{stem}.{usual}")
}

/// Stem and extension; a name that only begins with a dot has none.
fn parted(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_converted_file_has_the_ending_of_its_new_type() {
        for (name, expected) in [
            ("photo.webp", "photo.jpg"),
            ("照片.v2.PNG", "照片.v2.jpg"),
            ("photo", "photo.jpg"),
            ("photo 3.5", "photo 3.5.jpg"),
            (".png", ".png.jpg"),
        ] {
            assert_eq!(renamed(name, "image/jpeg"), expected);
        }
    }

    #[test]
    fn an_extension_that_lies_is_replaced_and_one_that_says_as_much_stays() {
        for (name, media_type, expected) in [
            ("photo.jpg", "image/png", "photo.png"),
            ("photo.JPEG", "image/jpeg", "photo.JPEG"),
            ("image:1641", "application/pdf", "image-1641.pdf"),
            ("scan.backup", "application/pdf", "scan.backup.pdf"),
            ("letter.doc", "application/rtf", "letter.rtf"),
            ("letter.wps", "application/msword", "letter.wps"),
            ("photo.heic", "image/jpeg", "photo.jpg"),
            ("raw.dng", "image/tiff", "raw.dng"),
            ("sketch.xmind", "application/zip", "sketch.xmind"),
            ("report.docx", "application/zip", "report.zip"),
            ("main.rs", "text/plain", "main.rs"),
            ("notes", "text/plain", "notes.txt"),
            ("a.bin", "application/octet-stream", "a.bin"),
            ("model.stl", "model/stl", "model.stl"),
        ] {
            assert_eq!(named(name, media_type), expected, "{name} {media_type}");
        }
    }

    #[test]
    fn each_type_is_listed_once() {
        let types: BTreeSet<_> = EXTENSIONS.iter().map(|(known, _)| known).collect();
        assert_eq!(types.len(), EXTENSIONS.len());
    }
}
