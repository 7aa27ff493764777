//! Which converters make what of a file, in the order in which they are tried. Pure.

use std::sync::Arc;

use super::Converter;
use super::kind::is_same;

/// What is to be done with a file.
pub(super) enum Plan<'a> {
    /// Nothing: it stays as it is.
    Keep,
    /// It is in a format of the app: check and clean it.
    Check(&'a Arc<dyn Converter>),
    /// Make it into the first of these types of which it can be made.
    Convert(Vec<(&'a Arc<dyn Converter>, &'a str)>),
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
    if formats.iter().any(|format| is_same(format, media_type)) {
        return able(media_type).map_or(Plan::Keep, Plan::Check);
    }
    let loses_picture = |to: &String| is_video(media_type) && !is_video(to);
    // A video becomes sound only where nothing else is wanted, whatever stands first.
    let (sound, others): (Vec<_>, Vec<_>) = formats.iter().partition(|to| loses_picture(to));
    let ways: Vec<_> = others
        .into_iter()
        .chain(sound)
        .filter_map(|to| Some((able(to)?, &to[..])))
        .collect();
    match ways.is_empty() {
        true => Plan::Impossible,
        false => Plan::Convert(ways),
    }
}

fn is_video(media_type: &str) -> bool {
    media_type
        .get(..6)
        .is_some_and(|kind| kind.eq_ignore_ascii_case("video/"))
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
            Plan::Convert(ways) => Some(ways[0].1.to_owned()),
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
}
