//! What is held of an upload, and where the bytes of a serial one go.

use std::collections::BTreeMap;

use chatlift_shared::api::StagedPart;
use chatlift_shared::limits::part_len;

use super::state::Part;

/// What is held of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Whole parts, which R2 has.
    pub parts: BTreeMap<u16, Part>,
    /// Beginnings of parts.
    pub staged: Vec<StagedPart>,
}

impl Held {
    /// Drops what is staged from byte `begin` of part `n` on.
    pub fn truncate(&mut self, n: u16, begin: u64) {
        self.staged.retain(|s| s.n < n || (s.n == n && begin > 0));
        if let Some(cut) = self.staged.iter_mut().find(|s| s.n == n) {
            cut.offset = cut.offset.min(begin);
        }
    }
}

/// How bytes of a request travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Straight into R2, after what is staged of their part: they end it.
    Straight,
    /// As rows, until the part is whole.
    Staged,
}

/// The next bytes of a request: of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The part, from 1.
    pub n: u16,
    /// Where in the part they begin.
    pub begin: u64,
    /// How many there are; fewer may come.
    pub length: u64,
    /// Length of the whole part.
    pub part_len: u64,
    /// How they travel.
    pub way: Way,
}

/// Where the bytes from `at` go, of which the request announces `left` more; `None` at the end of
/// the upload. Bytes that do not count before their checksum was checked are always staged.
#[must_use]
pub fn segment(
    at: u64,
    left: Option<u64>,
    size: u64,
    part_size: u64,
    checked: bool,
) -> Option<Segment> {
    let index = at / part_size;
    let whole = part_len(size, part_size, index + 1)?;
    let begin = at % part_size;
    let room = whole.checked_sub(begin).filter(|room| *room > 0)?;
    let straight = !checked && left.is_some_and(|left| left >= room);
    Some(Segment {
        n: u16::try_from(index + 1).ok()?,
        begin,
        length: left.map_or(room, |left| left.min(room)),
        part_len: whole,
        way: if straight { Way::Straight } else { Way::Staged },
    })
}

/// How many bytes from the beginning are held.
#[must_use]
pub fn offset(held: &Held, size: u64, part_size: u64) -> u64 {
    let mut offset = 0;
    for n in 1_u16.. {
        let Some(whole) = part_len(size, part_size, n.into()) else {
            break;
        };
        let has = if held.parts.contains_key(&n) {
            whole
        } else {
            staged_of(&held.staged, n).min(whole)
        };
        offset += has;
        if has < whole {
            break;
        }
    }
    offset
}

/// The parts of which everything is staged.
#[must_use]
pub fn whole_staged(held: &Held, size: u64, part_size: u64) -> Vec<u16> {
    let whole = |s: &&StagedPart| part_len(size, part_size, s.n.into()) == Some(s.offset);
    held.staged.iter().filter(whole).map(|s| s.n).collect()
}

fn staged_of(staged: &[StagedPart], n: u16) -> u64 {
    staged.iter().find(|s| s.n == n).map_or(0, |s| s.offset)
}

/// Where in which part the byte at `offset` lies.
#[must_use]
pub fn place(offset: u64, part_size: u64) -> (u16, u64) {
    let n = u16::try_from(offset / part_size + 1).unwrap_or(u16::MAX);
    (n, offset % part_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::state::Part;
    use chatlift_shared::digest::Sha256;
    use proptest::prelude::*;

    fn held(parts: &[u16], staged: &[(u16, u64)]) -> Held {
        let part = |n: &u16| {
            let part = Part {
                etag: String::new(),
                sha256: Sha256::of(b""),
            };
            (*n, part)
        };
        Held {
            parts: parts.iter().map(part).collect(),
            staged: staged
                .iter()
                .map(|(n, offset)| StagedPart {
                    n: *n,
                    offset: *offset,
                })
                .collect(),
        }
    }

    #[test]
    fn the_offset_ends_where_the_first_byte_is_missing() {
        for (parts, staged, expected) in [
            (&[][..], &[][..], 0),
            (&[1, 2], &[(3, 4)], 24),
            (&[1, 3], &[], 10),
            (&[], &[(1, 10), (2, 10), (3, 1)], 21),
            (&[1, 2], &[(3, 5)], 25),
            (&[2], &[(1, 9)], 9),
        ] {
            assert_eq!(offset(&held(parts, staged), 25, 10), expected);
        }
        assert_eq!(
            whole_staged(&held(&[], &[(1, 10), (2, 9), (3, 5)]), 25, 10),
            [1, 3]
        );
    }

    proptest! {
        /// However a file is cut into requests, its bytes land in its parts in order, none passes
        /// the end of its part, and only what ends a part goes straight.
        #[test]
        fn segments_cover_the_file_in_order(
            size in 1_u64..200,
            part_size in 1_u64..40,
            bodies in prop::collection::vec((1_u64..90, any::<bool>(), any::<bool>()), 1..60),
        ) {
            let mut at = 0;
            for (length, announced, checked) in bodies {
                let mut left = length.min(size - at);
                while left > 0 {
                    let known = announced.then_some(left);
                    let s = segment(at, known, size, part_size, checked).expect("before the end");
                    prop_assert_eq!((u64::from(s.n) - 1) * part_size + s.begin, at);
                    prop_assert!(s.length > 0 && s.begin + s.length <= s.part_len);
                    prop_assert_eq!(part_len(size, part_size, s.n.into()), Some(s.part_len));
                    if s.way == Way::Straight {
                        prop_assert!(!checked && announced);
                        prop_assert_eq!(s.begin + s.length, s.part_len);
                    }
                    let taken = s.length.min(left);
                    at += taken;
                    left -= taken;
                }
            }
            prop_assert_eq!(segment(size, Some(1), size, part_size, false), None);
        }
    }
}
