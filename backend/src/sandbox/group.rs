//! A program and all that it started, and how it ended.

#[cfg(unix)]
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};

use super::{LOOK_FIRST, watch};

/// How often it is looked whether killed processes are gone: 2 s in all.
const DEATHS_LOOKED_AT: u32 = 400;
/// A program and what it started; all killed when dropped.
pub(super) struct Group {
    pub(super) child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        let members = watch::members(self.child.id());
        // The group keeps its id while any of it lives; with none left this finds nothing.
        #[cfg(unix)]
        if let Some(pid) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Those in a namespace of their own die by the system's hand, a moment later; until then
        // they could still write.
        for _ in 0..DEATHS_LOOKED_AT {
            if !members.iter().any(|pid| watch::lives(*pid)) {
                break;
            }
            std::thread::sleep(LOOK_FIRST);
        }
    }
}

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
