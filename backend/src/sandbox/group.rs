//! A program and all that it started, and how it ended.

#[cfg(unix)]
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};

use rustix::process::Signal;

use super::{LOOK_FIRST, watch};

/// How often it is looked whether killed processes are gone: 2 s in all.
pub(super) const DEATHS_LOOKED_AT: u32 = 400;

/// A program and what it started; all killed when dropped.
pub(super) struct Group {
    pub(super) child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            kill(self.child.id());
            let _ = self.child.wait();
        } else {
            kill_group(self.child.id());
        }
    }
}

/// Kills a program and all that it started, and waits until they are gone.
///
/// It is held still first, so that it starts nothing that is not seen; those that it left behind
/// would live on, for what ties their life to its own takes a moment to be tied.
pub(super) fn kill(root: u32) {
    signal_to(root, Signal::STOP);
    let others = || {
        let mut members = watch::members(root);
        members.retain(|pid| *pid != root && watch::lives(*pid));
        members
    };
    for _ in 0..DEATHS_LOOKED_AT {
        let members = others();
        if members.is_empty() {
            break;
        }
        for pid in members {
            signal_to(pid, Signal::KILL);
        }
        std::thread::sleep(LOOK_FIRST);
    }
    kill_group(root);
    signal_to(root, Signal::KILL);
    for _ in 0..DEATHS_LOOKED_AT {
        if !watch::lives(root) {
            break;
        }
        std::thread::sleep(LOOK_FIRST);
    }
}

/// Kills what has left the family and is still in the group, which keeps its id while any of it
/// lives; with none left this finds nothing.
fn kill_group(root: u32) {
    #[cfg(unix)]
    if let Some(pid) = process(root) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(unix)]
fn process(pid: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)
}

pub(super) fn signal_to(pid: u32, signal: Signal) {
    #[cfg(unix)]
    if let Some(pid) = process(pid) {
        let _ = rustix::process::kill_process(pid, signal);
    }
    #[cfg(not(unix))]
    let _ = (pid, signal);
}

/// It was killed (POSIX).
pub(super) const SIGKILL: i32 = 9;
/// The file that was written was too long (Linux and BSD).
pub(super) const SIGXFSZ: i32 = 25;
/// The processor time is used up (Linux and BSD).
pub(super) const SIGXCPU: i32 = 24;

/// The signal that ended a program; bubblewrap and shells report it as 128 and more.
pub(super) fn signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    if let Some(signal) = status.signal() {
        return Some(signal);
    }
    status
        .code()
        .filter(|code| *code > 128)
        .map(|code| code - 128)
}
