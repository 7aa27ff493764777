//! Programs that run beside us, each in a process group of its own.
//!
//! Promise: none outlives its starter. The group's leader is a shell that holds the reading end
//! of a pipe from the starter; when the starter ends, even by `kill -9`, the pipe closes and the
//! shell kills the whole group, grandchildren such as workerd with it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Error;
use crate::run::{not_started, now};

/// The leader: watches the pipe in the background, runs the program in the foreground. The watch
/// stays behind when the program ends, to take what it left with it when the pipe closes.
const LEADER: &str = r#"
exec 3<&0 </dev/null
{ read -r _ <&3; kill -KILL 0; } &
exec 3<&-
"$@"
"#;

/// How long a killed group may take until the last of its processes is gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Removes from `all` the folders of processes that have ended, whose ids `pid_of` finds in the folders' names.
pub fn sweep(all: &Path, pid_of: impl Fn(&str) -> Option<&str>) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(&pid_of);
        let pid = pid.and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A running program with everything that it started.
#[derive(Debug)]
pub struct Group {
    name: String,
    log: PathBuf,
    child: Child,
    pid: Pid,
}

impl Group {
    /// Starts `command` in a group of its own; what it prints goes to the end of `log`.
    /// `name` is what it is called in messages, as in "the {name} ended by itself".
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub fn spawn(name: &str, command: &Command, log: &Path) -> Result<Self, Error> {
        use std::os::unix::process::CommandExt as _;
        // The shell would start even if the program is not there.
        let program = Path::new(command.get_program());
        if program.components().count() > 1 && !program.exists() {
            return Err(not_started(command, io::ErrorKind::NotFound.into()));
        }
        if let Some(folder) = log.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder))?;
        }
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::file(log))?;
        let err = out.try_clone().map_err(Error::file(log))?;
        let mut leader = Command::new("sh");
        leader
            .args(["-c", LEADER, "sh"])
            .arg(program)
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        if let Some(dir) = command.get_current_dir() {
            leader.current_dir(dir);
        }
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => leader.env(key, value),
                None => leader.env_remove(key),
            };
        }
        let child = leader.spawn().map_err(|e| not_started(&leader, e))?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            name: name.to_owned(),
            log: log.to_owned(),
            child,
            pid,
        })
    }

    /// How the program ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Fails when the program has ended, with its last lines.
    ///
    /// # Errors
    /// [`Error::Died`].
    pub fn check(&mut self) -> Result<(), Error> {
        match self.exited() {
            None => Ok(()),
            Some(status) => Err(Error::Died {
                name: self.name.clone(),
                status: status.to_string(),
                log: self.log.clone(),
                tail: self.tail(20),
            }),
        }
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// [`Error::Died`] when the program ends before, [`Error::Silent`] when it takes too long.
    pub fn wait_until(
        &mut self,
        within: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), Error> {
        let start = now();
        while !ready() {
            self.check()?;
            if start.elapsed() > within {
                return Err(Error::Silent {
                    name: self.name.clone(),
                    seconds: within.as_secs(),
                    log: self.log.clone(),
                    tail: self.tail(20),
                });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Asks the group to end, and kills it when it has not within `patience`.
    pub fn stop(&mut self, patience: Duration) {
        self.terminate();
        let start = now();
        while start.elapsed() < patience && !self.members().is_empty() {
            if self.exited().is_some() && self.members().len() <= 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    /// Asks the group to end.
    pub fn terminate(&self) {
        let _ = kill_process_group(self.pid, Signal::TERM);
    }

    /// Kills the whole group at once (`kill -9`) and waits until it is gone.
    pub fn kill(&mut self) {
        // The group may be gone already: then there is nothing to do.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
        let start = now();
        while start.elapsed() < GONE_WITHIN && !self.members().is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The last `lines` lines that the program printed.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Memory that the group has in RAM, in bytes, by the name of the program.
    #[must_use]
    pub fn resident(&self, program: &str) -> u64 {
        self.memory(program, "VmRSS:")
    }

    /// The most that each process of the program has had in RAM since it began, in bytes, summed.
    #[must_use]
    pub fn peak(&self, program: &str) -> u64 {
        self.memory(program, "VmHWM:")
    }

    /// Sums a field of /proc/pid/status over the processes of a program, in bytes (proc_pid_status(5)).
    fn memory(&self, program: &str, field: &str) -> u64 {
        self.members()
            .iter()
            .filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/status")).ok())
            .filter(|status| status.lines().next() == Some(&format!("Name:\t{program}")))
            .filter_map(|status| {
                let line = status.lines().find_map(|l| l.strip_prefix(field))?;
                line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
            })
            .map(|kib| kib * 1024)
            .sum()
    }

    /// Processor time that programs of the group have used, their own and the kernel's for them. `is`
    /// looks at a command line, its words separated by spaces. What has ended is not in it.
    #[must_use]
    pub fn cpu(&self, is: impl Fn(&str) -> bool) -> Duration {
        let line = |pid: &&u32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            !line.is_empty() && is(&line.replace('\0', " "))
        };
        let members = self.members();
        members.iter().filter(line).map(|&pid| cpu(pid)).sum()
    }

    /// Ids of the group's processes that still run.
    fn members(&self) -> Vec<u32> {
        let group = self.pid.as_raw_nonzero().get();
        let Ok(processes) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                // The name may hold spaces and parentheses; what follows its last one does not.
                let mut fields = stat
                    .rsplit(')')
                    .next()
                    .unwrap_or_default()
                    .split_whitespace();
                let running = fields
                    .next()
                    .is_some_and(|state| !matches!(state, "Z" | "X"));
                running && fields.nth(1).is_some_and(|g| g.parse() == Ok(group))
            })
            .collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Processor time that a process has used, its kernel's with it; none of one that is gone.
#[must_use]
pub fn cpu(pid: u32) -> Duration {
    /// Ticks a second in which /proc counts (`USER_HZ`, proc_pid_stat(5)).
    const USER_HZ: u64 = 100;
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The 14th and 15th of all fields; the third is the first after the name.
        let mut ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut next = || ticks.next()?.parse::<u64>().ok();
        Some(next()? + next()?)
    };
    Duration::from_millis(ticks().unwrap_or_default() * 1000 / USER_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("chatlift-{name}-{}.log", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn killing_a_group_ends_its_grandchildren() {
        let log = log("grandchildren");
        let mut group =
            Group::spawn("test", &shell("sleep 60 & echo up; wait"), &log).expect("a group");
        group
            .wait_until(Duration::from_secs(10), || {
                fs::read_to_string(&log).is_ok_and(|t| t.contains("up"))
            })
            .expect("a start");
        assert!(
            group.members().len() >= 3,
            "leader, watch, shell, sleep: {:?}",
            group.members()
        );
        group.kill();
        assert_eq!(group.members(), Vec::<u32>::new());
        let _ = fs::remove_file(log);
    }

    #[test]
    fn the_processor_time_of_a_group_is_that_of_its_programs() {
        let log = log("cpu");
        let busy = shell("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo up; sleep 60");
        let mut group = Group::spawn("test", &busy, &log).expect("a group");
        group
            .wait_until(Duration::from_secs(60), || {
                fs::read_to_string(&log).is_ok_and(|t| t.contains("up"))
            })
            .expect("a start");
        let used = group.cpu(|line| line.starts_with("sh "));
        assert!(used > Duration::from_millis(20), "{used:?}");
        assert_eq!(group.cpu(|line| line.starts_with("sleep ")), Duration::ZERO);
        let _ = fs::remove_file(log);
    }

    #[test]
    fn the_peak_of_memory_stays_when_the_memory_was_given_back() {
        let log = log("peak");
        // perl, which Debian has in any case, maps what is this large by itself and gives it back.
        let mut used = Command::new("perl");
        used.args([
            "-e",
            "$| = 1; { my $x = 'a' x 50_000_000; undef $x; } print \"up\\n\"; sleep 60",
        ]);
        let mut group = Group::spawn("test", &used, &log).expect("a group");
        group
            .wait_until(Duration::from_secs(60), || {
                fs::read_to_string(&log).is_ok_and(|t| t.contains("up"))
            })
            .expect("a start");
        let (peak, now) = (group.peak("perl"), group.resident("perl"));
        assert!(peak >= 50_000_000 && now < peak, "{now} of {peak}");
        assert_eq!(group.peak("another"), 0);
        let _ = fs::remove_file(log);
    }

    #[test]
    fn a_program_that_ends_is_reported_with_its_last_lines() {
        let log = log("ends");
        let mut group =
            Group::spawn("test", &shell("echo one; echo two; exit 3"), &log).expect("a group");
        let error = group
            .wait_until(Duration::from_secs(10), || false)
            .expect_err("an end");
        let text = error.to_string();
        assert!(
            text.contains("the test ended by itself (exit status: 3)") && text.contains("one\ntwo"),
            "{text}"
        );
        let _ = fs::remove_file(log);
    }

    #[test]
    fn a_group_ends_when_the_pipe_of_its_starter_closes() {
        let log = log("orphan");
        let mut group = Group::spawn("test", &shell("sleep 60"), &log).expect("a group");
        // What the kernel does when the starter dies.
        drop(group.child.stdin.take());
        let start = now();
        while !group.members().is_empty() && start.elapsed() < Duration::from_secs(10) {
            let _ = group.exited();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(group.members(), Vec::<u32>::new());
        let _ = fs::remove_file(log);
    }
}
