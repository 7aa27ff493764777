//! Every limit that more than one part keeps, with its unit and its source.

/// One mebibyte, in bytes.
pub const MIB: u64 = 1024 * 1024;

/// Most parts whose digests an event names: 67 kB of JSON. All events of a link are read whenever its
/// object starts, and 500 files ([`LINK_FILES_MAX`]) have 33 MB so, of its 128 MB.
pub const EVENT_PARTS_MAX: usize = 1_000;

/// Smallest part but the last, in bytes: R2 refuses smaller ones
/// (<https://developers.cloudflare.com/r2/objects/multipart-objects/>).
pub const PART_SIZE_MIN: u64 = 5 * MIB;

/// Part size of a usual upload, in bytes: over R2's least, small enough that a phone can hold a
/// few of them, and a whole number of MiB.
pub const PART_SIZE: u64 = 8 * MIB;

/// Most parts of one upload (R2, same page).
pub const PARTS_MAX: u64 = 10_000;

/// Largest part, in bytes. A Worker takes request bodies of up to 100 MB on the usual plans
/// (<https://developers.cloudflare.com/workers/platform/limits/>); 95 MiB is 99.6 MB.
pub const PART_SIZE_MAX: u64 = 95 * MIB;

/// Largest file, in bytes, whatever a scene says: [`PARTS_MAX`] parts of [`PART_SIZE_MAX`], about
/// 928 GiB.
pub const FILE_SIZE_MAX: u64 = PARTS_MAX * PART_SIZE_MAX;

/// Largest file that goes in one request, in bytes: one usual part.
pub const SINGLE_REQUEST_MAX: u64 = PART_SIZE;

/// How much of a file's beginning the page announces and the edge reads back to tell its type, in
/// bytes. It tells most kinds; for the others more of the file is looked at once it is stored
/// ([`crate::kind`]).
pub const HEAD_MAX: u64 = 4096;

/// Longest file name that is kept, in bytes of UTF-8: what common file systems take.
pub const NAME_MAX: usize = 255;

/// Longest JSON body that the edge reads, in bytes.
pub const JSON_BODY_MAX: u64 = 64 * 1024;

/// Longest `subject` of a link, in characters, as JSON Schema counts them.
pub const SUBJECT_MAX: usize = 200;

/// Most entries in a link's `metadata`.
pub const METADATA_ENTRIES_MAX: usize = 20;

/// Longest key in a link's `metadata`, in characters.
pub const METADATA_KEY_MAX: usize = 40;

/// Longest value in a link's `metadata`, in characters.
pub const METADATA_VALUE_MAX: usize = 500;

/// Longest title that a link gives itself, in characters in each language.
pub const TITLE_MAX: usize = 200;

/// Longest hint that a link gives itself, in characters in each language.
pub const HINT_MAX: usize = 500;

/// Longest note of a sender, in characters: as much as a hint. A link keeps one for each of its files.
pub const NOTE_MAX: usize = 500;

/// Most languages of a text.
pub const LANGUAGES_MAX: usize = 20;

/// Most media ranges that a link accepts.
pub const ACCEPT_MAX: usize = 50;

/// Shortest and longest password of a link, in characters.
pub const PASSWORD_MIN: usize = 4;
/// See [`PASSWORD_MIN`].
pub const PASSWORD_MAX: usize = 128;

/// Longest life of a download address, in seconds: an hour.
pub const DOWNLOAD_SECS_MAX: u64 = 60 * 60;

/// Life of a download address whose life nobody named, in seconds.
pub const DOWNLOAD_SECS: u64 = 5 * 60;

/// Most links in a page of a list, and how many if nobody says.
pub const LIST_MAX: u32 = 100;
/// See [`LIST_MAX`].
pub const LIST_DEFAULT: u32 = 20;

/// Most entries in a page of a link's audit trail, and how many if nobody says: at some 400 bytes each, 0.4 MB.
pub const AUDIT_MAX: u32 = 1_000;

/// Longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

/// Longest reason in a receipt, in characters.
pub const REASON_MAX: usize = 500;

/// Longest code in a receipt, in characters.
pub const RECEIPT_CODE_MAX: usize = 64;

/// Most members of an archive that a receipt names as left out: as many as are read on a phone.
pub const LEFT_OUT_NAMES_MAX: usize = 20;

/// Most files of one link, whatever a scene says.
pub const LINK_FILES_MAX: u32 = 500;

/// Most files of one link that may be withdrawn by who sent them. Each stays in the link's record and
/// in two of its events, so that a sender must not have as many as they like.
pub const WITHDRAWN_MAX: u32 = 100;

/// Size of the parts of an upload of `size` bytes, in bytes: [`PART_SIZE`], or the least whole
/// MiB that keeps the upload within [`PARTS_MAX`] parts.
#[must_use]
pub const fn part_size(size: u64) -> u64 {
    let least = size.div_ceil(PARTS_MAX).div_ceil(MIB) * MIB;
    if least > PART_SIZE { least } else { PART_SIZE }
}

/// How many parts an upload of `size` bytes has; an empty file has none.
#[must_use]
pub const fn part_count(size: u64, part_size: u64) -> u64 {
    size.div_ceil(part_size)
}

/// Length of part `n` (from 1) in bytes, or `None` when there is no such part.
#[must_use]
pub const fn part_len(size: u64, part_size: u64, n: u64) -> Option<u64> {
    if n == 0 || n > part_count(size, part_size) {
        return None;
    }
    let start = (n - 1) * part_size;
    let rest = size - start;
    Some(if rest < part_size { rest } else { part_size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_cover_the_file_and_keep_r2s_rules(size in 1..=FILE_SIZE_MAX) {
            let part = part_size(size);
            let count = part_count(size, part);
            prop_assert!((PART_SIZE_MIN..=PART_SIZE_MAX).contains(&part));
            prop_assert!((1..=PARTS_MAX).contains(&count));
            let last = part_len(size, part, count).expect("the last part");
            prop_assert_eq!((count - 1) * part + last, size);
            prop_assert!(last >= 1 && last <= part);
            prop_assert_eq!(part_len(size, part, 0), None);
            prop_assert_eq!(part_len(size, part, count + 1), None);
        }
    }
}
