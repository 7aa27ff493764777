//! A body on its way into the model, which may break off, stall, and be taken away half way.

use futures_util::stream;

use super::ports::{Port, pause};
use super::rope::Rope;
use crate::ports::{BucketError, Failure, Feed as _, Hash, Incoming, Piece};
use crate::tests::flow::{Coming, Flow};

/// Bytes that somebody reads.
pub(in crate::tests) type Body = Flow<Rope>;

/// All of a body; `None` where it broke off.
pub(in crate::tests) async fn all_of(body: Body) -> Option<Rope> {
    let (pieces, whole) = body.read().await;
    let mut all = Rope::default();
    pieces.into_iter().for_each(|piece| all.append(piece));
    whole.then_some(all)
}

/// The body of a request.
pub(in crate::tests) type Sending = Coming<Rope>;

/// A body of these bytes, which comes in pieces, and for which there is memory or not. One that is cut breaks
/// off at its end.
pub(in crate::tests) fn sending(port: &Port, bytes: Rope, cut: bool) -> Sending {
    let keeps = port.0.draw(8) > 0;
    let pieces = stream::unfold((port.clone(), bytes), |(port, mut rest)| async move {
        // At times nothing comes for a while.
        let turns = match port.0.draw(4) {
            0 => 30,
            few => few,
        };
        for _ in 0..turns {
            pause().await;
        }
        if rest.len() == 0 {
            return None;
        }
        let at = match port.0.draw(3) {
            0 => rest.len(),
            _ => 1 + port.0.draw(rest.len()),
        };
        let later = rest.split_off(at);
        Some((Some(rest), (port, later)))
    });
    let end = Flow::from(stream::iter(cut.then_some(None)));
    let mut sending = Sending::of(Flow::from(pieces).then(end));
    sending.keeps = keeps;
    sending
}

impl Piece for Rope {
    fn length(&self) -> u64 {
        self.len()
    }

    fn split_off(&mut self, at: u64) -> Self {
        let rest = self.slice(at, self.len());
        *self = self.slice(0, at);
        rest
    }

    fn copy(&self, most: u64) -> Vec<u8> {
        self.head(most)
    }
}

impl Hash for Rope {
    type Piece = Self;

    async fn update(&mut self, piece: &Self) {
        self.append(piece.clone());
    }

    async fn finish(self) -> Result<Vec<u8>, BucketError> {
        Ok(self.digest().0.to_vec())
    }
}

/// A file of a form.
#[derive(Debug)]
pub(in crate::tests) struct FormFile {
    pub(in crate::tests) pieces: Vec<Vec<u8>>,
    pub(in crate::tests) cut: bool,
}

impl Incoming for FormFile {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        pause().await;
        match self.pieces.pop() {
            Some(piece) => Ok(Some(piece)),
            None if self.cut => Err(Failure::Broken("the form was cut".into())),
            None => Ok(None),
        }
    }
}
