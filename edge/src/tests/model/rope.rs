//! Bytes by what they are of, so that a file of many megabytes costs nothing to move, cut and compare.

use std::rc::Rc;

use chatlift_shared::digest::Sha256;

use crate::tests::bytes::fits;

/// What every file begins with.
const HEAD: &[u8] = b"%PDF-1.7\n";

/// A run of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Run {
    /// These of a file.
    Of { file: usize, begin: u64, end: u64 },
    /// Real ones, of a form.
    Real(Rc<[u8]>),
}

/// Some bytes.
#[derive(Clone, Debug, Default)]
pub(in crate::tests) struct Rope(Vec<Run>);

impl Run {
    fn len(&self) -> u64 {
        match self {
            Self::Of { begin, end, .. } => end - begin,
            Self::Real(bytes) => bytes.len() as u64,
        }
    }

    fn slice(&self, from: u64, to: u64) -> Self {
        match self {
            Self::Of { file, begin, .. } => Self::Of {
                file: *file,
                begin: begin + from,
                end: begin + to,
            },
            Self::Real(bytes) => Self::Real(bytes[fits(from)..fits(to)].into()),
        }
    }
}

impl Rope {
    /// All of a file.
    pub(in crate::tests) fn of(file: usize, size: u64) -> Self {
        let mut rope = Self::default();
        rope.push(Run::Of {
            file,
            begin: 0,
            end: size,
        });
        rope
    }

    pub(in crate::tests) fn real(bytes: &[u8]) -> Self {
        let mut rope = Self::default();
        rope.push(Run::Real(bytes.into()));
        rope
    }

    pub(in crate::tests) fn len(&self) -> u64 {
        self.0.iter().map(Run::len).sum()
    }

    pub(in crate::tests) fn slice(&self, from: u64, to: u64) -> Self {
        let (mut cut, mut at) = (Self::default(), 0);
        for run in &self.0 {
            let (begin, end) = (from.max(at), to.min(at + run.len()));
            if begin < end {
                cut.push(run.slice(begin - at, end - at));
            }
            at += run.len();
        }
        cut
    }

    fn push(&mut self, run: Run) {
        match (self.0.last_mut(), &run) {
            (_, run) if run.len() == 0 => {}
            (
                Some(Run::Of { file, end, .. }),
                Run::Of {
                    file: next,
                    begin,
                    end: last,
                },
            ) if file == next && end == begin => *end = *last,
            (Some(Run::Real(bytes)), Run::Real(more)) => *bytes = [&**bytes, more].concat().into(),
            _ => self.0.push(run),
        }
    }

    pub(in crate::tests) fn append(&mut self, more: Self) {
        more.0.into_iter().for_each(|run| self.push(run));
    }

    /// Its digest: of real bytes their SHA-256, else that of what they are of.
    pub(in crate::tests) fn digest(&self) -> Sha256 {
        match self.0.as_slice() {
            [] => Sha256::of(b""),
            [Run::Real(bytes)] => Sha256::of(bytes),
            runs => Sha256::of(format!("{runs:?}").as_bytes()),
        }
    }

    /// Its first bytes.
    pub(in crate::tests) fn head(&self, most: u64) -> Vec<u8> {
        let mut head = Vec::new();
        for run in self.slice(0, most).0 {
            match run {
                Run::Real(bytes) => head.extend_from_slice(&bytes),
                Run::Of { begin, end, .. } => head.extend((begin..end).map(|at| {
                    let at = usize::try_from(at).unwrap_or(usize::MAX);
                    HEAD.get(at).copied().unwrap_or(7)
                })),
            }
        }
        head
    }
}

impl PartialEq for Rope {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// A form's file, in real bytes.
pub(in crate::tests) fn form_file(file: usize, size: u64) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    bytes.resize(fits(size), u8::try_from(file % 251).expect("a byte"));
    bytes.truncate(fits(size));
    bytes
}
