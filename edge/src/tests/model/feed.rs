//! A body on its way into the model, which may break off, stall, and be taken away half way.

use std::cell::Cell;
use std::pin::pin;

use futures_util::future::{Either, select};

use super::ports::{Port, pause};
use super::rope::Rope;
use crate::checksum::Algorithm;
use crate::ports::{BucketError, Failure, Feed, Incoming, Taken};

/// Bytes that somebody reads.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) bytes: Rope,
    /// Whether they end before their announced length.
    pub(super) broken: bool,
}

impl Body {
    pub(super) fn whole(bytes: Rope) -> Self {
        Self {
            bytes,
            broken: false,
        }
    }
}

/// The body of a request.
#[derive(Debug)]
pub(super) struct Sending {
    port: Port,
    bytes: Rope,
    at: u64,
    cut: bool,
    /// Whether parts on their way may be kept.
    keeps: bool,
    kept: Option<Rope>,
    hashed: Option<u64>,
}

impl Sending {
    pub(super) fn new(port: &Port, bytes: Rope, cut: bool) -> Self {
        Self {
            port: port.clone(),
            bytes,
            at: 0,
            cut,
            keeps: port.0.draw(8) > 0,
            kept: None,
            hashed: None,
        }
    }

    fn next(&mut self, length: u64) -> Body {
        let end = self.bytes.len().min(self.at.saturating_add(length));
        let bytes = self.bytes.slice(self.at, end);
        self.at = end;
        Body {
            broken: bytes.len() < length,
            bytes,
        }
    }
}

impl Feed for Sending {
    type Body = Body;

    async fn peek(&mut self, most: u64) -> Vec<u8> {
        pause().await;
        let end = self.bytes.len().min(self.at.saturating_add(most));
        self.bytes.slice(self.at, end).head(most)
    }

    fn broken(&self) -> bool {
        self.cut && self.at == self.bytes.len()
    }

    async fn take<T>(&mut self, length: u64, consume: impl AsyncFnOnce(Body) -> T) -> Taken<T> {
        let next = self.next(length);
        let bytes = next.bytes.len();
        Taken {
            said: consume(next).await,
            bytes,
        }
    }

    async fn take_whole<T>(
        &mut self,
        length: u64,
        consume: impl AsyncFnOnce(Body) -> T,
    ) -> Option<Taken<T>> {
        if !self.keeps {
            return None;
        }
        let body = self.next(length);
        let bytes = body.bytes.len();
        // So much has come when it is taken away half way.
        let came = self.port.0.draw(bytes + 1);
        self.kept = Some(body.bytes.slice(0, came));
        let (all, end) = (body.bytes.clone(), self.at);
        let rest = std::mem::take(&mut self.bytes);
        self.at = 0;
        let said = consume(body).await;
        (self.bytes, self.at) = (rest, end);
        self.kept = Some(all);
        Some(Taken { said, bytes })
    }

    async fn take_rest<T, E>(
        &mut self,
        before: Option<(Body, u64)>,
        length: u64,
        consume: impl AsyncFnOnce(Body) -> Result<T, E>,
        asked: impl AsyncFn(),
        mut spill: impl AsyncFnMut(Body, u64, u64) -> bool,
    ) -> Option<Result<T, E>> {
        if !self.keeps {
            return None;
        }
        let rest = self.body()?;
        let came = rest.bytes.len();
        let mut body = Body::whole(Rope::default());
        if let Some((staged, length)) = before {
            body.broken = staged.broken || staged.bytes.len() < length;
            body.bytes = staged.bytes;
        }
        body.broken |= came < length;
        body.bytes.append(rest.bytes.clone());
        let (mut spilt, mut wanted) = (0, true);
        let mut spill_to = async |to: u64, spilt: &mut u64, wanted: &mut bool| {
            if *wanted && to > *spilt {
                let bytes = Body::whole(rest.bytes.slice(*spilt, to));
                *wanted = spill(bytes, *spilt, to - *spilt).await;
                *spilt = to;
            }
        };
        if self.port.0.draw(3) == 0 {
            // For a while nothing comes.
            let stalled = self.port.0.draw(came + 1);
            spill_to(stalled, &mut spilt, &mut wanted).await;
        }
        let mut consuming = pin!(consume(body));
        let said = match select(consuming.as_mut(), pin!(asked())).await {
            Either::Left((said, _)) => said,
            Either::Right(_) => {
                let come = spilt + self.port.0.draw(came - spilt + 1);
                spill_to(come, &mut spilt, &mut wanted).await;
                consuming.await
            }
        };
        if said.is_err() {
            spill_to(came, &mut spilt, &mut wanted).await;
        }
        Some(said)
    }

    async fn take_exactly<T>(
        &mut self,
        length: u64,
        moved: &Cell<u64>,
        consume: impl AsyncFnOnce(Body) -> T,
    ) -> Taken<T> {
        moved.set(length);
        self.take(length, consume).await
    }

    fn body(&mut self) -> Option<Body> {
        (self.at == 0 && self.bytes.len() > 0).then(|| {
            let all = self.next(self.bytes.len());
            Body {
                broken: self.cut,
                ..all
            }
        })
    }

    fn kept(&mut self) -> Option<(Body, u64)> {
        let kept = self.kept.take()?;
        let length = kept.len();
        Some((Body::whole(kept), length))
    }

    fn hash(&mut self, _: Algorithm) -> Result<(), BucketError> {
        self.hashed = Some(self.at);
        Ok(())
    }

    async fn digest(&mut self) -> Result<Vec<u8>, BucketError> {
        let from = self.hashed.take().expect("a digest was begun");
        Ok(self.bytes.slice(from, self.at).digest().0.to_vec())
    }
}

/// A file of a form.
#[derive(Debug)]
pub(super) struct FormFile {
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) cut: bool,
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
