//! Walls that need no namespace: a program that restricts itself, by Landlock and seccomp, before it
//! becomes the converter.
//!
//! It is this backend's own program, called again: once as the supervisor, which outlives neither the
//! backend nor the converter and leaves nothing behind that the converter started, and once as the
//! process that takes its rights away and then executes the converter.
//!
//! The converter may write in its folder, read that and the system's programs, and nothing else: no
//! other file, no network, no socket but streams of its own, no other process, no privilege of root.
//! Whatever of this the system cannot do ends the process before the converter runs.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, Scope, path_beneath_rules,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, getpid, getppid, pidfd_open,
    set_child_subreaper, set_parent_process_death_signal, setrlimit, wait,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::programs::SYSTEM;
use super::{LOOK_FIRST, OPEN_FILES_MAX, group, syscalls, watch};

/// The command by which the backend is called as the supervisor.
pub(super) const SUPERVISE: &str = "confine";
/// The command by which the supervisor is called as the converter to be.
const CONFINE: &str = "confined";

/// What a program may read and write beside its folder, to be what every program takes for granted.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];
/// What it may read.
const RANDOM: [&str; 2] = ["/dev/random", "/dev/urandom"];

/// What a program is confined to, as it stands on the command line.
pub(super) struct Confinement<'a> {
    /// The folder that it may write to.
    pub(super) folder: &'a Path,
    /// What else it may read.
    pub(super) reads: &'a [&'a Path],
    /// Address space of a process, in bytes.
    pub(super) address_space: u64,
    /// Longest file, in bytes.
    pub(super) file: u64,
    /// Processor time of a process, in seconds.
    pub(super) seconds: u64,
}

impl Confinement<'_> {
    /// The words behind the name of this program; the converter's follow.
    pub(super) fn words(&self) -> Vec<OsString> {
        let numbers = [
            u64::from(std::process::id()),
            self.address_space,
            self.file,
            self.seconds,
            self.reads.len() as u64,
        ];
        let mut words = vec![OsString::from(SUPERVISE)];
        words.extend(numbers.map(|n| n.to_string().into()));
        words.push(self.folder.into());
        words.extend(self.reads.iter().map(OsString::from));
        words
    }
}

/// The same, read again.
struct Words {
    parent: Pid,
    address_space: u64,
    file: u64,
    seconds: u64,
    folder: PathBuf,
    reads: Vec<PathBuf>,
    program: OsString,
    arguments: Vec<OsString>,
}

impl Words {
    fn read(words: &[OsString]) -> Option<Self> {
        let mut words = words.iter();
        let mut number = || words.next()?.to_str()?.parse::<u64>().ok();
        let parent = Pid::from_raw(i32::try_from(number()?).ok()?)?;
        let (address_space, file, seconds) = (number()?, number()?, number()?);
        let reads = usize::try_from(number()?).ok()?;
        let folder = words.next()?.into();
        let reads: Vec<PathBuf> = words.by_ref().take(reads).map(PathBuf::from).collect();
        let program = words.next()?.clone();
        Some(Self {
            parent,
            address_space,
            file,
            seconds,
            folder,
            reads,
            program,
            arguments: words.cloned().collect(),
        })
    }
}

/// Does what the backend calls itself for, if `words`, the command line without the program's name,
/// say so. The error is one sentence.
pub(super) fn run(words: &[OsString]) -> Option<Result<ExitCode, String>> {
    let (command, rest) = words.split_first()?;
    let done = match command.to_str()? {
        SUPERVISE => supervise(rest),
        CONFINE => Err(confine(rest)),
        _ => return None,
    };
    Some(done.map_err(|error| format!("cannot confine a program: {error}")))
}

/// Runs the converter, confined, to its end or the backend's, and leaves nothing of it.
fn supervise(words: &[OsString]) -> Result<ExitCode, String> {
    let parent = Words::read(words).ok_or("the words are wrong")?.parent;
    // What the converter leaves behind becomes this process's own.
    set_child_subreaper(Some(getpid())).map_err(told("no subreaper"))?;
    let backend = pidfd_open(parent, PidfdFlags::empty()).map_err(told("no pidfd"))?;
    if getppid() != Some(parent) {
        return Err("the backend is gone".to_owned());
    }
    let mut child = Command::new("/proc/self/exe")
        .arg(CONFINE)
        .arg(std::process::id().to_string())
        .args(&words[1..])
        .spawn()
        .map_err(told("not started"))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let converter = pid
        .ok_or("no process id")
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).map_err(|_| "no pidfd"))?;
    let mut ends = [&backend, &converter].map(|end| PollFd::new(end, PollFlags::IN));
    while poll(&mut ends, None) == Err(Errno::INTR) {}
    let status = child.try_wait().map_err(told("no end"))?;
    end_all();
    let code = status.and_then(|status| status.code().or(status.signal().map(|s| 128 + s)));
    Ok(ExitCode::from(
        code.and_then(|code| u8::try_from(code).ok())
            .unwrap_or(u8::MAX),
    ))
}

/// Kills all that this process has started, and what that has.
fn end_all() {
    let own = std::process::id();
    for _ in 0..group::DEATHS_LOOKED_AT {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let mut left = watch::members(own);
        left.retain(|pid| *pid != own);
        if left.is_empty() {
            return;
        }
        for pid in left {
            group::signal_to(pid, Signal::KILL);
        }
        std::thread::sleep(LOOK_FIRST);
    }
}

/// Takes this process's rights away and becomes the converter. Returns only what went wrong.
fn confine(words: &[OsString]) -> String {
    let Some(words) = Words::read(words) else {
        return "the words are wrong".to_owned();
    };
    let confined = tie_to(words.parent)
        .and_then(|()| limit(&words).map_err(told("no limits")))
        .and_then(|()| {
            set_capabilities(None, NO_CAPABILITIES).map_err(told("capabilities are kept"))
        })
        .and_then(|()| wall(&words).map_err(told("no Landlock")))
        .and_then(|()| syscalls::deny());
    match confined {
        Err(error) => error,
        Ok(()) => Command::new(words.program)
            .args(words.arguments)
            .exec()
            .to_string(),
    }
}

/// Root's files can still be its own; that it may do everything else ends here, for good, since
/// Landlock and seccomp see to it that no program gives new privileges.
const NO_CAPABILITIES: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// Ties this process's life to its supervisor's.
fn tie_to(supervisor: Pid) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(told("no signal at death"))?;
    if getppid() == Some(supervisor) {
        Ok(())
    } else {
        Err("the supervisor is gone".to_owned())
    }
}

fn limit(words: &Words) -> rustix::io::Result<()> {
    for (resource, most) in [
        (Resource::As, words.address_space),
        (Resource::Fsize, words.file),
        (Resource::Cpu, words.seconds),
        (Resource::Nofile, u64::from(OPEN_FILES_MAX)),
        (Resource::Core, 0),
    ] {
        let (current, maximum) = (Some(most), Some(most));
        setrlimit(resource, Rlimit { current, maximum })?;
    }
    Ok(())
}

/// What is not said here to be allowed is not. The first version of Landlock (Linux 5.13) has to be
/// there; what later ones add is taken where it is, and [`syscalls`] denies what matters of it.
fn wall(words: &Words) -> Result<(), RulesetError> {
    let all = AccessFs::from_all(ABI::V5);
    let read = AccessFs::from_read(ABI::V5);
    let system = SYSTEM.iter().map(Path::new);
    let reads = words.reads.iter().map(PathBuf::as_path);
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rules(path_beneath_rules(system.chain(reads), read))?
        .add_rules(path_beneath_rules(
            DEVICES,
            AccessFs::ReadFile | AccessFs::WriteFile,
        ))?
        .add_rules(path_beneath_rules(RANDOM, AccessFs::ReadFile))?
        .add_rules(path_beneath_rules([&words.folder], all))?
        .restrict_self()?;
    Ok(())
}

fn told<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{what}: {error}")
}
