//! Leases: which requests have bytes of parts that nobody else knows of yet, on their way into R2.
//!
//! A page that was reloaded announces its file again while the requests of the page before still
//! run, and would send again all that those have. So a request holds a lease with the link's object
//! for the part that it takes. Whoever wants to know what is held has the holders put away what
//! has come first, and waits until they have. What is still on its way of a request whose sender has
//! gone comes within moments, and counts too: a holder reads on until it is quiet ([`Holder`]).

use core::future::{pending, poll_fn};
use core::ops::ControlFlow;
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::collections::BTreeMap;

use chatlift_shared::UploadId;
use futures_channel::oneshot::{Receiver, Sender, channel};
use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};

/// For how long nothing comes once all has come that was on its way: longer than a busy machine leaves what it
/// has received unread.
const QUIET: Duration = Duration::from_millis(250);

/// How long a holder that is asked reads on where it is not quiet: its sender is still there, and so long the
/// other one waits.
const READ_ON_MAX: Duration = Duration::from_secs(1);

/// A part on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lease {
    /// The upload.
    pub upload: UploadId,
    /// Part number, from 1.
    pub n: u16,
    /// Which request holds it: drawn at random.
    pub holder: u64,
}

/// The answer to a request that holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseAnswer {
    /// So many bytes of the part are held already, more than those before what it brings: its sender goes on
    /// from there. It holds no lease.
    Held(u64),
    /// Somebody waits for what it has. It puts that away, and then holds the lease anew or ends it.
    Collect,
    /// Nobody asked yet. A holder that is alive holds the lease anew.
    Renew,
}

#[derive(Debug)]
struct Held {
    ask: Option<Sender<()>>,
    /// Who waits until it is put away.
    waiting: Vec<Sender<()>>,
}

/// The leases that are held.
#[derive(Debug, Default)]
pub struct Leases(BTreeMap<Lease, Held>);

impl Leases {
    /// Holds a lease, for the first time or anew: what was asked for is put away. Answers what tells
    /// that somebody asks; a holder that drops it is gone.
    pub fn hold(&mut self, lease: Lease) -> Receiver<()> {
        self.0.retain(|_, held| !held.is_gone());
        let (ask, asked) = channel();
        let held = Held {
            ask: Some(ask),
            waiting: Vec::new(),
        };
        // Whoever waited goes on when its sender is dropped.
        self.0.insert(lease, held);
        asked
    }

    /// Ends a lease: what it was for is put away, or lost.
    pub fn end(&mut self, lease: Lease) {
        self.0.remove(&lease);
    }

    /// Ends all leases of a part, which R2 has.
    pub fn end_part(&mut self, upload: UploadId, n: u16) {
        self.0
            .retain(|lease, _| (lease.upload, lease.n) != (upload, n));
    }

    /// Asks all holders of an upload, or of part `n` of it alone, to stage the bytes that they have. Each
    /// receiver resolves when one of them has done so, or has gone.
    pub fn ask(&mut self, upload: UploadId, n: Option<u16>) -> Vec<Receiver<()>> {
        self.0.retain(|_, held| !held.is_gone());
        let asked = self
            .0
            .iter_mut()
            .filter(|(lease, _)| lease.upload == upload && n.is_none_or(|n| lease.n == n));
        asked
            .map(|(_, held)| {
                if let Some(ask) = held.ask.take() {
                    // One that has gone this moment is let go by whoever waits.
                    let _ = ask.send(());
                }
                let (done, waits) = channel();
                held.waiting.push(done);
                waits
            })
            .collect()
    }
}

/// Holds a lease until it is dropped.
type StillHeld<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Who reads a body and holds a lease for what it has not put away.
#[derive(Debug)]
pub struct Holder<Asked, Pause> {
    /// Is done when somebody wants to know what came. Called again, it tells that this is put away.
    pub asked: Asked,
    /// Waits.
    pub pause: Pause,
    /// How long nothing may come before what came is put away unasked.
    pub stall: Option<Duration>,
}

/// What a holder meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<P> {
    /// The next bytes.
    Piece(P),
    /// Nothing comes for a while: what came is to be put away.
    Stalled,
    /// Somebody asked: what came is to be put away.
    Asked,
}

impl<Asked: AsyncFn(), Pause: AsyncFn(Duration)> Holder<Asked, Pause> {
    /// Reads to the end, or until `take` breaks off. Once somebody was told what came, nothing counts as
    /// stalled any more: whoever was told goes on from there. Answers with what holds the lease, to be dropped
    /// when all that came is put away: until then whoever asks is to wait.
    pub async fn read<P, B>(
        &self,
        mut next: impl AsyncFnMut() -> Option<P>,
        mut take: impl AsyncFnMut(Read<P>) -> ControlFlow<B>,
    ) -> (ControlFlow<B>, StillHeld<'_>) {
        let mut asked: StillHeld<'_> = Box::pin((self.asked)());
        let mut reads_on = pin!((self.pause)(READ_ON_MAX));
        // It is held before there is anything to ask for, however much is there to be read.
        let (mut is_asked, mut stall) = (is_ready(&mut asked).await, self.stall);
        loop {
            let mut coming = pin!(next());
            let piece = loop {
                let silence = if is_asked { Some(QUIET) } else { stall };
                let quiet = pin!(async {
                    match silence {
                        Some(time) => (self.pause)(time).await,
                        None => pending().await,
                    }
                });
                let told = match is_asked {
                    true => Either::Left(reads_on.as_mut()),
                    false => Either::Right(asked.as_mut()),
                };
                let read = match select(coming.as_mut(), select(told, quiet)).await {
                    Either::Left((piece, _)) => break piece,
                    Either::Right((Either::Left(_), _)) if !is_asked => {
                        is_asked = true;
                        reads_on.set((self.pause)(READ_ON_MAX));
                        continue;
                    }
                    Either::Right(_) if is_asked => Read::Asked,
                    Either::Right(_) => Read::Stalled,
                };
                let taken = take(read).await;
                if taken.is_break() {
                    return (taken, asked);
                }
                if is_asked {
                    asked = Box::pin((self.asked)());
                    reads_on.set((self.pause)(READ_ON_MAX));
                    (is_asked, stall) = (is_ready(&mut asked).await, None);
                }
            };
            let taken = match piece {
                Some(piece) => take(Read::Piece(piece)).await,
                None => return (ControlFlow::Continue(()), asked),
            };
            if taken.is_break() {
                return (taken, asked);
            }
        }
    }
}

/// Begins to wait; whether there is nothing to wait for.
async fn is_ready(waits: &mut StillHeld<'_>) -> bool {
    poll_fn(|context| Poll::Ready(waits.as_mut().poll(context).is_ready())).await
}

impl Held {
    fn is_gone(&self) -> bool {
        match &self.ask {
            Some(ask) => ask.is_canceled(),
            None => self.waiting.iter().all(Sender::is_canceled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::LinkId;
    use std::cell::RefCell;

    use futures::executor::block_on;

    fn lease(n: u16, holder: u64) -> Lease {
        Lease {
            upload: UploadId::new(LinkId::from_bytes([1; 12]), [2; 6]),
            n,
            holder,
        }
    }

    fn is_told(receiver: &mut Receiver<()>) -> bool {
        !matches!(receiver.try_recv(), Ok(None))
    }

    #[test]
    fn who_asks_waits_until_every_holder_has_put_its_bytes_away() {
        let mut leases = Leases::default();
        let (mut one, mut two) = (leases.hold(lease(1, 1)), leases.hold(lease(2, 2)));
        assert_eq!(one.try_recv(), Ok(None));
        let mut waits = leases.ask(lease(1, 1).upload, None);
        assert_eq!(
            (one.try_recv(), two.try_recv()),
            (Ok(Some(())), Ok(Some(())))
        );
        assert!(waits.iter_mut().all(|wait| !is_told(wait)));
        let mut anew = leases.hold(lease(1, 1));
        assert!(is_told(&mut waits[0]) && !is_told(&mut waits[1]));
        leases.end(lease(2, 2));
        assert!(is_told(&mut waits[1]));
        // It can be asked again, and R2 having the part is an answer too.
        let mut waits = leases.ask(lease(1, 1).upload, None);
        assert_eq!(anew.try_recv(), Ok(Some(())));
        leases.end_part(lease(1, 1).upload, 1);
        assert!(is_told(&mut waits[0]));
        assert!(leases.ask(lease(1, 1).upload, None).is_empty());
    }

    /// What a request had read to its end was being put away when somebody asked, who was told of less.
    #[test]
    fn who_asks_waits_for_a_holder_that_has_read_all() {
        let leases = RefCell::new(Leases::default());
        let holder = Holder {
            asked: async || {
                let asked = leases.borrow_mut().hold(lease(1, 1));
                let _ = asked.await;
            },
            pause: async |_| pending().await,
            stall: None,
        };
        let take = async |_| ControlFlow::<()>::Continue(());
        let (_, held) = block_on(holder.read(async || None::<()>, take));
        let mut waits = leases.borrow_mut().ask(lease(1, 1).upload, None);
        assert_eq!(waits.len(), 1);
        assert!(!is_told(&mut waits[0]));
        leases.borrow_mut().end(lease(1, 1));
        assert!(is_told(&mut waits[0]));
        drop(held);
    }

    #[test]
    fn nobody_waits_for_a_holder_that_has_gone() {
        let mut leases = Leases::default();
        drop(leases.hold(lease(1, 1)));
        assert!(leases.ask(lease(1, 1).upload, None).is_empty());
        let other = leases.hold(lease(2, 1));
        let mut ask = |n| leases.ask(lease(2, 1).upload, n);
        let (all, this, another) = (ask(None), ask(Some(2)), ask(Some(1)));
        assert_eq!((all.len(), this.len(), another.len()), (1, 1, 0));
        drop(other);
    }
}
