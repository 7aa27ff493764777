//! Which picks the page refuses by itself, and how accepted types are named.
//!
//! The edge decides by content. The page only spares its user a useless upload, so it refuses
//! what is clearly wrong and lets every doubt pass.

use crate::format;

/// A kind of file that people have a word for: the text key of the word, the media types (whole,
/// or a prefix that ends in `/`), and the usual extensions.
struct Kind {
    key: &'static str,
    types: &'static [&'static str],
    extensions: &'static [&'static str],
}

const fn kind(
    key: &'static str,
    types: &'static [&'static str],
    extensions: &'static [&'static str],
) -> Kind {
    Kind {
        key,
        types,
        extensions,
    }
}

const OOXML_WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const OOXML_EXCEL: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const OOXML_POWERPOINT: &str =
    "application/vnd.openxmlformats-officedocument.presentationml.presentation";

const KINDS: &[Kind] = &[
    kind("type.pdf", &["application/pdf"], &["pdf"]),
    kind(
        "type.image",
        &["image/"],
        &[
            "jpg", "jpeg", "png", "gif", "webp", "heic", "heif", "bmp", "tif", "tiff", "avif",
            "svg",
        ],
    ),
    kind(
        "type.word",
        &["application/msword", OOXML_WORD],
        &["doc", "docx"],
    ),
    kind(
        "type.excel",
        &["application/vnd.ms-excel", OOXML_EXCEL],
        &["xls", "xlsx"],
    ),
    kind(
        "type.powerpoint",
        &["application/vnd.ms-powerpoint", OOXML_POWERPOINT],
        &["ppt", "pptx"],
    ),
    kind(
        "type.video",
        &["video/"],
        &["mp4", "mov", "webm", "mkv", "avi", "3gp"],
    ),
    kind(
        "type.audio",
        &["audio/"],
        &["mp3", "m4a", "wav", "ogg", "amr", "aac", "flac", "silk"],
    ),
    kind("type.text", &["text/"], &["txt", "csv", "md"]),
    kind(
        "type.zip",
        &["application/zip", "application/x-zip-compressed"],
        &["zip"],
    ),
];

impl Kind {
    fn is_in(&self, range: &str) -> bool {
        let top = range.strip_suffix('*').unwrap_or(range);
        self.types
            .iter()
            .any(|&t| t == range || t == top || (t.ends_with('/') && range.starts_with(t)))
    }
}

/// Whether the scene accepts any type.
#[must_use]
pub fn is_any(accept: &[String]) -> bool {
    accept.is_empty() || accept.iter().any(|range| range == "*/*")
}

/// The text keys that name the accepted types, each once, in the scene's order; and the ranges
/// that nobody has a word for, as they are.
#[must_use]
pub fn names(accept: &[String]) -> Vec<Result<&'static str, &str>> {
    let mut names = Vec::new();
    for range in accept {
        let kind = KINDS.iter().find(|kind| kind.is_in(range));
        let name = kind.map(|kind| kind.key).ok_or(range.as_str());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The value of the input's `accept` attribute, which steers the picker of the system.
///
/// Extensions are named beside the types: some systems grey out files whose type they do not know.
#[must_use]
pub fn attribute(accept: &[String]) -> String {
    if is_any(accept) {
        return String::new();
    }
    let mut parts = accept.to_vec();
    for kind in KINDS
        .iter()
        .filter(|kind| accept.iter().any(|range| kind.is_in(range)))
    {
        // A type of its own stands for one format of a kind; only a whole kind has all extensions.
        if kind.types.iter().all(|t| !t.ends_with('/')) {
            parts.extend(
                kind.extensions
                    .iter()
                    .map(|extension| [".", extension].concat()),
            );
        }
    }
    format::join(&parts, ",")
}

/// The kind by which a file is drawn: the last part of a `type.` key, or `file`.
#[must_use]
pub fn glyph(media_type: &str, name: &str) -> &'static str {
    of(media_type, name)
        .and_then(|kind| kind.key.strip_prefix("type."))
        .unwrap_or("file")
}

fn of(media_type: &str, name: &str) -> Option<&'static Kind> {
    let extension = extension(name);
    KINDS
        .iter()
        .find(|kind| {
            kind.types
                .iter()
                .any(|&t| t == media_type || (t.ends_with('/') && media_type.starts_with(t)))
        })
        .or_else(|| {
            KINDS
                .iter()
                .find(|kind| kind.extensions.contains(&extension.as_str()))
        })
}

fn extension(name: &str) -> String {
    let extension = format::extension(name);
    extension.unwrap_or_default().to_ascii_lowercase()
}

/// Whether a file is clearly of a type that is not accepted: what the browser declares and what
/// the name says are both known, and neither is accepted.
#[must_use]
pub fn is_clearly_wrong(accept: &[String], media_type: &str, name: &str) -> bool {
    if is_any(accept) {
        return false;
    }
    let declared = accept.iter().any(|range| match range.strip_suffix('*') {
        Some(top) => media_type.starts_with(top),
        None => media_type == range,
    });
    let extension = extension(name);
    let by_name = KINDS
        .iter()
        .find(|kind| kind.extensions.contains(&extension.as_str()));
    let named = by_name.is_some_and(|kind| accept.iter().any(|range| kind.is_in(range)));
    // Android often declares nothing, or octet-stream, for what comes out of a chat.
    let known = !matches!(media_type, "" | "application/octet-stream") || by_name.is_some();
    known && !declared && !named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept() -> Vec<String> {
        [
            "application/pdf",
            "image/*",
            OOXML_WORD,
            "application/msword",
        ]
        .map(str::to_owned)
        .into()
    }

    #[test]
    fn types_are_named_once_and_in_order() {
        assert_eq!(
            names(&accept()),
            [Ok("type.pdf"), Ok("type.image"), Ok("type.word")]
        );
        assert_eq!(
            names(&["application/x-cad".into()]),
            [Err("application/x-cad")]
        );
        assert_eq!(
            names(&["image/png".into(), "image/jpeg".into()]),
            [Ok("type.image")]
        );
        assert!(is_any(&["*/*".into()]));
    }

    #[test]
    fn only_what_is_clearly_wrong_is_refused() {
        for (media_type, name, wrong) in [
            ("application/pdf", "a.pdf", false),
            ("", "a.pdf", false),
            ("", "a", false),
            ("", "a.bin", false),
            ("application/octet-stream", "photo.HEIC", false),
            ("image/heic", "x", false),
            ("application/zip", "report.docx", false),
            ("video/mp4", "a.mp4", true),
            ("", "a.mp4", true),
            ("application/x-msdownload", "a.exe", true),
            ("application/octet-stream", "a.mp3", true),
        ] {
            assert_eq!(
                is_clearly_wrong(&accept(), media_type, name),
                wrong,
                "{media_type} {name}"
            );
        }
        assert!(!is_clearly_wrong(&["*/*".into()], "video/mp4", "a.mp4"));
    }

    #[test]
    fn the_picker_is_told_extensions_too() {
        let attribute = attribute(&accept());
        assert!(attribute.starts_with("application/pdf,image/*,"));
        assert!(attribute.ends_with(".pdf,.doc,.docx"), "{attribute}");
    }

    #[test]
    fn a_glyph_goes_by_type_then_by_name() {
        assert_eq!(glyph("image/png", "x"), "image");
        assert_eq!(glyph("", "x.DOCX"), "word");
        assert_eq!(glyph("", "x"), "file");
    }
}
