//! Which converter makes what of a file. Pure.

use std::sync::Arc;

use super::Converter;

/// What is to be done with a file.
pub(super) enum Plan<'a> {
    /// Nothing: it stays as it is.
    Keep,
    /// It is in a format of the app: check and clean it.
    Check(&'a Arc<dyn Converter>),
    /// Make it into this type.
    Convert(&'a Arc<dyn Converter>, &'a str),
    /// No converter makes any of the formats.
    Impossible,
}

pub(super) fn plan<'a>(
    converters: &'a [Arc<dyn Converter>],
    media_type: &str,
    formats: &'a [String],
) -> Plan<'a> {
    let able = |to: &str| converters.iter().find(|c| c.handles(media_type, to));
    if formats.is_empty() {
        return Plan::Keep;
    }
    if formats.iter().any(|f| f.eq_ignore_ascii_case(media_type)) {
        return able(media_type).map_or(Plan::Keep, Plan::Check);
    }
    let loses_picture = |to: &String| is_video(media_type) && !is_video(to);
    // A video becomes sound only where nothing else is wanted, whatever stands first.
    let (sound, others): (Vec<_>, Vec<_>) = formats.iter().partition(|to| loses_picture(to));
    others
        .into_iter()
        .chain(sound)
        .find_map(|to| Some(Plan::Convert(able(to)?, to)))
        .unwrap_or(Plan::Impossible)
}

fn is_video(media_type: &str) -> bool {
    media_type
        .get(..6)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("video/"))
}

/// The name with the ending that its new type usually has.
pub(super) fn renamed(name: &str, media_type: &str) -> String {
    let ending = match media_type {
        "application/pdf" => "pdf",
        "audio/mp4" => "m4a",
        "audio/mpeg" => "mp3",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "text/plain" => "txt",
        "video/mp4" => "mp4",
        _ => return name.to_owned(),
    };
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => format!("{stem}.{ending}"),
        _ => format!("{name}.{ending}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::convert::all;
    use crate::sandbox::{Programs, Sandbox, Walls};

    fn outcome(media_type: &str, formats: &[&str]) -> Option<String> {
        let formats: Vec<String> = formats.iter().map(|f| (*f).to_owned()).collect();
        let sandbox = Sandbox::with_walls(Programs::default(), Walls::None);
        match plan(&all(&sandbox), media_type, &formats) {
            Plan::Check(_) => Some("check".to_owned()),
            Plan::Keep => Some("keep".to_owned()),
            Plan::Convert(_, to) => Some(to.to_owned()),
            Plan::Impossible => None,
        }
    }

    #[test]
    fn the_first_format_that_can_be_made_is_chosen() {
        for (media_type, formats, expected) in [
            ("image/png", &[][..], Some("keep")),
            ("image/png", &["image/jpeg", "image/png"], Some("check")),
            ("image/gif", &["image/gif"], Some("check")),
            ("model/stl", &["model/stl"], Some("keep")),
            (
                "image/png",
                &["image/jpeg", "image/webp"],
                Some("image/jpeg"),
            ),
            (
                "image/gif",
                &["audio/mpeg", "image/webp"],
                Some("image/webp"),
            ),
            ("application/pdf", &["image/jpeg"], Some("image/jpeg")),
            ("image/png", &["application/pdf"], Some("application/pdf")),
            ("audio/amr", &["application/pdf"], None),
            (
                "video/quicktime",
                &["application/pdf", "image/jpeg", "audio/mpeg", "video/mp4"],
                Some("video/mp4"),
            ),
            ("video/webm", &["audio/mp4", "video/mp4"], Some("video/mp4")),
            ("video/webm", &["audio/mp4"], Some("audio/mp4")),
            (
                "audio/amr",
                &["audio/mpeg", "video/mp4"],
                Some("audio/mpeg"),
            ),
            ("application/octet-stream", &["image/jpeg"], None),
        ] {
            assert_eq!(
                outcome(media_type, formats).as_deref(),
                expected,
                "{media_type} {formats:?}"
            );
        }
    }

    #[test]
    fn a_converted_file_has_the_ending_of_its_new_type() {
        for (name, expected) in [
            ("photo.webp", "photo.jpg"),
            ("照片.v2.PNG", "照片.v2.jpg"),
            ("photo", "photo.jpg"),
            (".png", ".png.jpg"),
        ] {
            assert_eq!(renamed(name, "image/jpeg"), expected);
        }
    }
}
