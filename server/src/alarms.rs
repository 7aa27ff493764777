//! The links' alarms: what is due is done when it is due, also after the program was started again, and by
//! another node after this one has died.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use chatlift_edge::link::command::Tick;
use chatlift_edge::link::work::due;
use chatlift_edge::log;
use chatlift_edge::ports::{Failure, Links as _};
use chatlift_shared::LinkId;
use futures_util::future::{Either, select};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::clock::now;
use crate::due::{RENEW_EVERY, claim, next, release, renew};
use crate::edge::Native;
use crate::outgoing::Endpoints;

/// Most links that are worked on at once.
const LINKS_AT_WORK: usize = 64;

/// Shortest wait before an alarm whose work failed is tried again, also one of the database.
const RETRY: Duration = Duration::from_secs(10);

/// Longest wait without a look at the alarms: another node may have died, and a clock that was set must
/// not hold them up for long.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Does what is due, for ever.
pub(crate) async fn run(edge: Rc<Native>) {
    let at_work = Rc::new(Cell::new(0));
    loop {
        let wait = match take(&edge, &at_work).await {
            Ok(wait) => wait,
            Err(error) => {
                log::error("alarms", &[("reason", error.to_string())]);
                sleep(RETRY).await;
                continue;
            }
        };
        let _ = timeout(wait.min(LOOK_EVERY), edge.links.alarm_changed()).await;
    }
}

/// Begins what is due; answers in how long to look again.
async fn take(
    edge: &Rc<Native>,
    at_work: &Rc<Cell<usize>>,
) -> Result<Duration, crate::error::Error> {
    let room = LINKS_AT_WORK - at_work.get();
    if room == 0 {
        return Ok(LOOK_EVERY);
    }
    let wait = next(&edge.database).await?.unwrap_or(LOOK_EVERY);
    if !wait.is_zero() {
        return Ok(wait);
    }
    for link in claim(&edge.database, room).await? {
        at_work.set(at_work.get() + 1);
        let (edge, at_work) = (Rc::clone(edge), Rc::clone(at_work));
        spawn_local(async move {
            work(&edge, link).await;
            at_work.set(at_work.get() - 1);
            edge.links.look_again();
        });
    }
    Ok(Duration::ZERO)
}

async fn work(edge: &Native, link: LinkId) {
    let renewal = async || {
        if let Err(error) = renew(&edge.database, link).await {
            log::error("alarm", &[("reason", error.to_string())]);
        }
    };
    let done = renewed(RENEW_EVERY, renewal, try_work(edge, link)).await;
    let failed = done.unwrap_or_else(|failure| {
        let reason = failure.reason();
        log::error(
            "alarm failed",
            &[("link", link.to_string()), ("reason", reason)],
        );
        true
    });
    let rest = if failed { RETRY } else { Duration::ZERO };
    if let Err(error) = release(&edge.database, link, rest).await {
        log::error("alarm", &[("reason", error.to_string())]);
        sleep(RETRY).await;
    }
}

/// Does work, and renews the claim on it every so often. A renewal that is under way as the work ends is waited
/// for: dropped late or never polled, it would keep the turn to write, or its place in the queue for it.
async fn renewed<T>(every: Duration, renewal: impl AsyncFn(), work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Either::Left((done, _)) = select(work.as_mut(), pin!(sleep(every))).await {
            return done;
        }
        if let Either::Left((done, renewal)) = select(work.as_mut(), pin!(renewal())).await {
            renewal.await;
            return done;
        }
    }
}

async fn try_work(edge: &Native, link: LinkId) -> Result<bool, Failure> {
    match edge.links.execute(link, Tick).await {
        // It was erased as its work began.
        Err(Failure::Refused(_)) => return Ok(false),
        done => done?,
    }
    let Some(state) = edge.links.state(link).await? else {
        return Ok(false);
    };
    let service = edge.service(None);
    let endpoints = Endpoints {
        config: &edge.config,
        directory: &edge.directory,
        client: &edge.client,
    };
    let (policy, work) = (&state.link.policy, due(&state, now()));
    Ok(service
        .perform_due(link, policy, work, &endpoints, &edge.directory)
        .await)
}

#[cfg(test)]
mod tests {
    use tokio::sync::Mutex;

    use super::*;

    /// Once, all that a node wrote waited for ever after a webhook that had no answer: it was given up in the moment in
    /// which the claim was renewed.
    #[tokio::test]
    async fn a_renewal_that_waits_for_its_turn_as_the_work_ends_does_not_keep_it() {
        let (turn, every) = (Mutex::new(()), Duration::from_millis(1));
        let waits = Cell::new(false);
        let renewal = async || {
            waits.set(true);
            drop(turn.lock().await);
        };
        let work = async {
            let _mine = turn.lock().await;
            while !waits.get() {
                sleep(every).await;
            }
        };
        renewed(every, renewal, work).await;
        assert!(waits.get() && turn.try_lock().is_ok());
    }
}
