//! The links' alarms: what is due is done when it is due, also after the program was started again.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use chatlift_edge::link::command::Command;
use chatlift_edge::link::work::due;
use chatlift_edge::log;
use chatlift_edge::ports::{Failure, Links as _};
use chatlift_shared::LinkId;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use crate::clock::now;
use crate::edge::Native;
use crate::outgoing::Endpoints;

/// Most pieces of work that one alarm does; the rest is left to the next, at once.
const WORK_PER_ALARM: usize = 20;

/// Shortest wait before an alarm whose work failed is tried again, also one of the database.
const RETRY: Duration = Duration::from_secs(10);

/// Longest wait without a look at the alarms: a clock that was set must not hold them up for long.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Does what is due, for ever.
pub(crate) async fn run(edge: Rc<Native>) {
    // Links that are at work, so that none is begun twice.
    let busy: Rc<RefCell<BTreeSet<LinkId>>> = Rc::default();
    loop {
        let at_work = busy.borrow().clone();
        let wait = match edge.links.first_alarm(&at_work).await {
            Ok(Some((link, at))) if at <= now() => {
                busy.borrow_mut().insert(link);
                let (edge, busy) = (Rc::clone(&edge), Rc::clone(&busy));
                spawn_local(async move {
                    work(&edge, link).await;
                    busy.borrow_mut().remove(&link);
                    edge.links.look_again();
                });
                continue;
            }
            Ok(Some((_, at))) => now().until(at).min(LOOK_EVERY),
            Ok(None) => LOOK_EVERY,
            Err(error) => {
                log::error("alarms", &[("reason", error.to_string())]);
                sleep(RETRY).await;
                continue;
            }
        };
        let _ = timeout(wait, edge.links.alarm_changed()).await;
    }
}

async fn work(edge: &Native, link: LinkId) {
    let failed = match try_work(edge, link).await {
        Ok(failed) => failed,
        Err(failure) => {
            let reason = failure.reason();
            log::error(
                "alarm failed",
                &[("link", link.to_string()), ("reason", reason)],
            );
            true
        }
    };
    let rest = failed.then(|| now().plus(RETRY));
    if let Err(error) = edge.links.rest(link, rest).await {
        log::error("alarm", &[("reason", error.to_string())]);
        sleep(RETRY).await;
    }
}

async fn try_work(edge: &Native, link: LinkId) -> Result<bool, Failure> {
    edge.links.execute(link, Command::Tick).await?;
    let Some(state) = edge.links.state(link).await? else {
        return Ok(false);
    };
    let service = edge.service(None);
    let endpoints = Endpoints {
        config: &edge.config,
        directory: &edge.directory,
        client: &edge.client,
    };
    let mut failed = false;
    for piece in due(&state, now()).into_iter().take(WORK_PER_ALARM) {
        let done = service
            .perform(link, &state.link.policy, piece, &endpoints, &edge.directory)
            .await;
        if let Err(failure) = done {
            failed = true;
            log::error(
                "alarm work failed",
                &[("link", link.to_string()), ("reason", failure.reason())],
            );
        }
    }
    Ok(failed)
}
