//! ISO base media files (ISO/IEC 14496-12): pictures, sound and video in boxes, each of which begins
//! with its length and its name.

use core::ops::Range;

use super::{Content, Window};

/// What a file of a general brand may be.
pub(super) const AMONG: &[&str] = &["video/mp4", "video/3gpp", "audio/mp4"];

/// The type by the brands of the first box; nothing if it is no such file.
pub(super) fn brand(head: &[u8]) -> Option<&'static str> {
    match head.get(4..8)? {
        b"ftyp" => {}
        // Four letters, a space and a word are no box.
        _ if super::text::is_text(head) => return None,
        b"moov" | b"mdat" | b"wide" | b"pnot" => return Some("video/quicktime"),
        // Free space is first only in what QuickTime wrote, and then what it wrote comes next.
        b"free" | b"skip" => {
            let length = u32::from_be_bytes(*head.first_chunk()?);
            let next = usize::try_from(length).ok()?.checked_add(4)?;
            let next = head.get(next..next.checked_add(4)?)?;
            return matches!(next, b"moov" | b"mdat" | b"wide").then_some("video/quicktime");
        }
        _ => return None,
    }
    let length = usize::try_from(u32::from_be_bytes(*head.first_chunk()?)).unwrap_or_default();
    let all = head.get(8..length.clamp(16, 512).min(head.len()))?;
    let (brands, _) = all.as_chunks::<4>();
    let (major, others) = brands.split_first()?;
    // The second is a version.
    let any = |wanted: &[&[u8; 4]]| others.iter().skip(1).any(|brand| wanted.contains(&brand));
    Some(match major {
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            "image/heif"
        }
        // A general one, which says no coding.
        b"mif1" | b"msf1" | b"miaf" if any(&[b"avif", b"avis"]) => "image/avif",
        b"mif1" | b"msf1" | b"miaf" => "image/heif",
        b"crx " => "image/x-raw",
        b"jp2 " | b"jpx " => "image/jp2",
        b"M4A " | b"M4B " | b"M4P " => "audio/mp4",
        b"qt  " => "video/quicktime",
        [b'3', b'g', ..] => "video/3gpp",
        _ => "video/mp4",
    })
}

/// A box: its name, and where its content is.
type Section = ([u8; 4], Range<u64>);

/// Most boxes of one level that are passed.
const BOXES_MAX: usize = 64;

/// Whether a film of this type has pictures at all, by the handlers of its tracks (section 8.4.3): many
/// a voice recorder writes nothing but sound under a film's brand. One that cannot be read stays a film.
pub(super) fn kind(content: &Content<'_>, film: &'static str) -> Result<&'static str, Window> {
    let whole = 0..content.size;
    let Some(moov) = find(content, whole, b"moov")? else {
        return Ok(film);
    };
    let (mut at, mut sound) = (moov.start, false);
    for _ in 0..BOXES_MAX {
        let Some((name, inner)) = header(content, at, moov.end)? else {
            break;
        };
        at = inner.end;
        if name != *b"trak" {
            continue;
        }
        let Some(media) = find(content, inner, b"mdia")? else {
            continue;
        };
        let Some(handler) = find(content, media, b"hdlr")? else {
            continue;
        };
        match content.read(handler.start + 8, 4)? {
            b"vide" => return Ok(film),
            b"soun" => sound = true,
            _ => {}
        }
    }
    Ok(if sound { "audio/mp4" } else { film })
}

/// What is in the first box of this name.
fn find(
    content: &Content<'_>,
    within: Range<u64>,
    wanted: &[u8; 4],
) -> Result<Option<Range<u64>>, Window> {
    let mut at = within.start;
    for _ in 0..BOXES_MAX {
        match header(content, at, within.end)? {
            Some((name, inner)) if name == *wanted => return Ok(Some(inner)),
            Some((_, inner)) => at = inner.end,
            None => break,
        }
    }
    Ok(None)
}

/// The name of the box at `at`, and where its content is; nothing where there is none.
fn header(content: &Content<'_>, at: u64, end: u64) -> Result<Option<Section>, Window> {
    if end.saturating_sub(at) < 8 {
        return Ok(None);
    }
    let bytes = content.read(at, 16)?;
    let (Some(length), Some(name)) = (bytes.first_chunk::<4>(), bytes.get(4..8)) else {
        return Ok(None);
    };
    let name = [name[0], name[1], name[2], name[3]];
    let (head, length) = match u32::from_be_bytes(*length) {
        // To the end of the file.
        0 => (8, end - at),
        1 => match bytes.get(8..).and_then(|rest| rest.first_chunk()) {
            Some(length) => (16, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        length => (8, u64::from(length)),
    };
    if length < head {
        return Ok(None);
    }
    let next = at.saturating_add(length).min(end);
    Ok(Some((name, (at + head).min(next)..next)))
}
