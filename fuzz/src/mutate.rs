//! Mutations without coverage: the same ones always, for `cargo test`.

use std::fs;
use std::path::Path;

use crate::INPUT_MAX;

/// What the formats of the project are made of, and what has broken readers of them.
const TOKENS: [&[u8]; 40] = [
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b"\"",
    b"\\",
    b"'",
    b";",
    b":",
    b"=",
    b",",
    b" ",
    b"--",
    b"-",
    b"/",
    b"../",
    b"%",
    b"%00",
    b"%2F",
    b"*",
    b"?1",
    b"\x7f",
    b"\xff",
    b"\xc3",
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "长".as_bytes(),
    b"null",
    b"{}",
    b"[]",
    b"{",
    b"[",
    b"-1",
    b"0",
    b"1e999",
    b"4294967296",
    b"9223372036854775808",
    b"18446744073709551615",
    b"PK\x05\x06",
    b"%PDF-1.7",
];

/// Most mutations of one input at once.
const AT_ONCE: u64 = 6;

/// The inputs of a target, in the order of their files' names.
///
/// # Panics
/// When one cannot be read.
#[must_use]
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let entries = fs::read_dir(&folder).into_iter().flatten();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("an input"))
        .collect()
}

/// Mutations of some inputs, without an end.
#[derive(Debug)]
pub struct Mutations<'a> {
    inputs: &'a [Vec<u8>],
    state: u64,
}

impl<'a> Mutations<'a> {
    /// Of these inputs; of the empty one where there are none.
    #[must_use]
    pub const fn new(inputs: &'a [Vec<u8>]) -> Self {
        Self { inputs, state: 0 }
    }

    /// A number below `end`, and 0 where that is 0. SplitMix64 (Steele, Lea and Flood, 2014).
    fn draw(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = (z ^ (z >> 31)).checked_rem(end as u64).unwrap_or_default();
        usize::try_from(drawn).unwrap_or_default()
    }

    fn input(&mut self) -> Vec<u8> {
        let n = self.draw(self.inputs.len());
        self.inputs.get(n).cloned().unwrap_or_default()
    }

    /// A piece of `bytes`, of any length from 1 where they are not empty.
    fn piece(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.draw(bytes.len());
        // Short ones are as likely as all long ones together.
        let most = if self.draw(2) == 0 { 8 } else { bytes.len() };
        let length = 1 + self.draw(most.min(bytes.len() - start));
        start..(start + length).min(bytes.len())
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.draw(bytes.len() + 1);
        match self.draw(10) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.draw(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(self.draw(256)).unwrap_or_default(),
            2 => {
                let piece = self.piece(bytes);
                bytes.drain(piece);
            }
            3 => {
                let piece = self.piece(bytes);
                let copy = bytes[piece].to_vec();
                bytes.splice(at..at, copy);
            }
            4 => {
                let other = self.input();
                let piece = self.piece(&other);
                bytes.splice(at..at, other[piece].iter().copied());
            }
            5 => {
                let other = self.input();
                let piece = self.piece(&other);
                let end = (at + piece.len()).min(bytes.len());
                bytes.splice(at..end, other[piece].iter().copied());
            }
            6 => bytes.truncate(at),
            7 => {
                let number = u32::try_from(self.draw(1 << 32))
                    .unwrap_or_default()
                    .to_le_bytes();
                let width = 1 + self.draw(4);
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, number[..width].iter().copied());
            }
            _ => {
                let token = TOKENS[self.draw(TOKENS.len())];
                let over = self.draw(2) * token.len();
                bytes.splice(at..(at + over).min(bytes.len()), token.iter().copied());
            }
        }
    }
}

impl Iterator for Mutations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = self.input();
        let times = 1 + self.draw(usize::try_from(AT_ONCE).unwrap_or(1));
        for _ in 0..times {
            self.mutate(&mut bytes);
        }
        bytes.truncate(INPUT_MAX);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_inputs_have_the_same_mutations_and_most_are_new() {
        let inputs = [b"a form".to_vec(), Vec::new(), b"a header: value".to_vec()];
        let first: Vec<_> = Mutations::new(&inputs).take(1_000).collect();
        let again: Vec<_> = Mutations::new(&inputs).take(1_000).collect();
        assert_eq!(first, again);
        let mut new: Vec<_> = first
            .iter()
            .filter(|input| !inputs.contains(input))
            .collect();
        new.sort();
        new.dedup();
        assert!(new.len() > 800, "{}", new.len());
        assert_eq!(Mutations::new(&[]).take(100).count(), 100);
    }
}
