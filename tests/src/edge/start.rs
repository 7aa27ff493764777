//! The wait for an edge that starts.

use std::time::Duration;

use chatlift_shared::Timestamp;
use xtask::process::Group;

use crate::scratch::now;

/// How long workerd may take to answer; on a busy machine it has taken 10 s.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// How long it may take once wrangler has told of an error, which may be one of the last run's.
pub(super) const READY_AFTER_ERROR: Duration = Duration::from_secs(5);

/// Waits until the edge answers; no longer than `patience` when wrangler has said why it cannot
/// start. `printed` is what it has printed of this start.
///
/// # Errors
/// Why it does not answer, with its last lines.
pub(super) fn wait(
    group: &mut Group,
    patience: Duration,
    printed: impl Fn() -> String,
    answers: impl Fn() -> bool,
) -> Result<(), String> {
    let mut error: Option<(String, Timestamp)> = None;
    let mut up = false;
    let waited = group.wait_until(READY_WITHIN, || {
        up = answers();
        if error.is_none() {
            error = startup_error(&printed()).map(|line| (line.to_owned(), now()));
        }
        let lost = |(_, at): &(String, Timestamp)| at.until(now()) > patience;
        up || error.as_ref().is_some_and(lost)
    });
    waited.map_err(|e| e.to_string())?;
    if up {
        return Ok(());
    }
    let line = error.map(|(line, _)| line).unwrap_or_default();
    Err(format!(
        "the edge does not start: {line}\n{}",
        group.tail(40)
    ))
}

/// The line in which wrangler says why it cannot start. What the worker itself logs as an error
/// stands behind the same mark, and is JSON.
fn startup_error(log: &str) -> Option<&str> {
    log.lines().find(|line| {
        line.split_once("[ERROR]")
            .is_some_and(|(_, text)| !text.trim_start().starts_with('{'))
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::scratch::Folder;

    const ERROR: &str = "✘ [ERROR] Durable Objects are not exported";

    /// Waits for a program that stands in for wrangler, and answers at the nth question, if ever.
    fn wait_for(script: &str, answers_at: u32) -> Result<(), String> {
        let folder = Folder::new("start");
        let log = folder.path().join("edge.log");
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut group = Group::spawn("edge", &command, &log).expect("a shell");
        let asked = Cell::new(0);
        let printed = || fs::read_to_string(&log).unwrap_or_default();
        wait(&mut group, Duration::from_secs(2), printed, || {
            asked.set(asked.get() + 1);
            asked.get() == answers_at
        })
    }

    #[test]
    fn an_edge_that_says_why_it_cannot_start_is_not_waited_for() {
        let begun = now();
        let said = wait_for(&format!("echo '{ERROR}'; sleep 120"), u32::MAX);
        let why = said.expect_err("no start");
        assert!(why.starts_with("the edge does not start: ✘"), "{why}");
        assert!(begun.until(now()) < READY_WITHIN / 2, "{why}");
    }

    #[test]
    fn an_edge_that_ends_is_not_waited_for() {
        let why = wait_for("echo no memory; exit 1", u32::MAX).expect_err("no start");
        assert!(why.contains("no memory"), "{why}");
    }

    #[test]
    fn an_edge_that_answers_after_an_error_of_the_last_run_has_started() {
        // Asked every 50 ms, while 2 s are granted.
        assert_eq!(wait_for(&format!("echo '{ERROR}'; sleep 120"), 3), Ok(()));
    }

    #[test]
    fn what_the_worker_logs_is_no_failure_to_start() {
        let worker = "✘ [ERROR] {\"event\":\"webhook failed\"}\n";
        assert_eq!(startup_error(worker), None);
        assert_eq!(startup_error(&format!("{worker}{ERROR}\n")), Some(ERROR));
    }
}
