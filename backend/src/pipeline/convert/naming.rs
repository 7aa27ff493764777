//! Names whose extension says what the file is. Pure.

use chatlift_shared::kind;

/// The extensions of a type, the usual one first. A name may have any of them.
fn extensions(media_type: &str) -> Option<&'static [&'static str]> {
    Some(kind::of(media_type)?.extensions)
}

/// Whether it is the extension of sound, video or pictures in bytes.
pub(super) fn is_of_media(extension: &str) -> bool {
    let top = |kind: &kind::Kind| kind.media_type.split('/').next().unwrap_or_default();
    kind::with_extension(extension).any(|kind| {
        matches!(top(kind), "audio" | "video" | "image") && kind.media_type != "image/svg+xml"
    })
}

/// The name of a file of this type, which it has had before: with another extension if the one that
/// it has belongs to another type, and with one if it has none.
pub(crate) fn named(name: &str, media_type: &str) -> String {
    let Some(own) = extensions(media_type) else {
        return name.to_owned();
    };
    let (stem, extension) = parted(name);
    let said = extension.to_ascii_lowercase();
    if own.contains(&&said[..]) {
        return name.to_owned();
    }
    let another = kind::with_extension(&said).next().is_some();
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
pub(crate) fn renamed(name: &str, media_type: &str) -> String {
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
            ("raw.dng", "image/x-adobe-dng", "raw.dng"),
            ("report.xls", "text/html", "report.html"),
            ("voice.amr", "audio/silk", "voice.silk"),
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
}
