//! What keeps a program in, by what the machine allows.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::programs::SYSTEM;
use super::{Limits, OPEN_FILES_MAX, Program, Programs};

/// What keeps a program in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walls {
    /// Namespaces of its own for network, processes, users and files, by bubblewrap.
    Bubblewrap,
    /// Rights taken away by Landlock and seccomp: no other files, network or processes. It needs no
    /// namespace.
    Landlock,
    /// Namespaces of its own for network and processes; the files of this user can be read.
    Unshare,
    /// Limits only: neither network nor files are kept away.
    None,
}

impl Walls {
    /// Their name, for the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Landlock => "landlock",
            Self::Unshare => "unshare",
            Self::None => "none",
        }
    }
}

/// What a program may reserve beyond the memory that it may use, in bytes: LibreOffice and ffmpeg
/// reserve some 3 GiB for stacks and mapped libraries without touching it.
const ADDRESS_SPACE_EXTRA: u64 = 4 * 1024 * 1024 * 1024;

/// Address space and processor time of one process, in bytes and seconds.
fn of_a_process(limits: &Limits) -> (u64, u64) {
    let memory = limits.memory.saturating_add(ADDRESS_SPACE_EXTRA);
    // A busy program on several cores uses more processor time than time passes.
    let seconds = limits.time.as_secs().saturating_mul(4).saturating_add(1);
    (memory, seconds)
}

/// The words in front of a program that put it behind `walls` and give it the system's limits.
pub(super) fn walls(
    programs: &Programs,
    walls: Walls,
    folder: &Path,
    reads: &[&Path],
    limits: &Limits,
) -> Vec<OsString> {
    #[cfg(target_os = "linux")]
    if let (Walls::Landlock, Some(own)) = (walls, programs.own()) {
        let (address_space, seconds) = of_a_process(limits);
        let confinement = super::confine::Confinement {
            folder,
            reads,
            address_space,
            file: limits.output,
            seconds,
        };
        let mut words = vec![own.into()];
        words.extend(confinement.words());
        return words;
    }
    let mut words: Vec<OsString> = Vec::new();
    if let Some(prlimit) = programs.get(Program::Prlimit) {
        let (memory, seconds) = of_a_process(limits);
        words.push(prlimit.into());
        words.extend(
            [
                format!("--as={memory}"),
                format!("--fsize={}", limits.output),
                format!("--cpu={seconds}"),
                format!("--nofile={OPEN_FILES_MAX}"),
                "--core=0".to_owned(),
                "--".to_owned(),
            ]
            .map(OsString::from),
        );
    }
    let mut say = |new: &[&OsStr]| words.extend(new.iter().map(|w| (*w).to_owned()));
    let setpriv = programs.get(Program::Setpriv);
    match (
        walls,
        programs.get(Program::Bubblewrap),
        programs.get(Program::Unshare),
    ) {
        (Walls::Bubblewrap, Some(bwrap), _) => {
            say(&[bwrap.as_ref()]);
            let plain = |words: &str| words.split(' ').map(OsString::from).collect::<Vec<_>>();
            let mut fixed = plain(
                "--unshare-all --die-with-parent --new-session --uid 65534 --gid 65534 \
                 --hostname sandbox --proc /proc --dev /dev --tmpfs /tmp",
            );
            for place in SYSTEM {
                fixed.extend(plain(&format!("--ro-bind-try {place} {place}")));
            }
            words.extend(fixed);
            let mut say = |new: &[&OsStr]| words.extend(new.iter().map(|w| (*w).to_owned()));
            say(&["--bind".as_ref(), folder.as_ref(), folder.as_ref()]);
            for path in reads {
                say(&["--ro-bind".as_ref(), path.as_ref(), path.as_ref()]);
            }
            say(&["--chdir".as_ref(), folder.as_ref(), "--".as_ref()]);
        }
        (Walls::Unshare, _, Some(unshare)) => {
            if let Some(setpriv) = setpriv {
                say(&[setpriv.as_ref(), "--pdeathsig".as_ref(), "KILL".as_ref()]);
            }
            say(&[unshare.as_ref()]);
            for word in [
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--",
            ] {
                say(&[word.as_ref()]);
            }
        }
        _ => {
            if let Some(setpriv) = setpriv {
                say(&[setpriv.as_ref(), "--pdeathsig".as_ref(), "KILL".as_ref()]);
            }
        }
    }
    words
}

/// Whether a program can be run behind `kind` here.
pub(super) fn works(programs: &Programs, kind: Walls) -> bool {
    let there = match kind {
        Walls::Bubblewrap => programs.get(Program::Bubblewrap).is_some(),
        Walls::Landlock => cfg!(target_os = "linux") && programs.own().is_some(),
        Walls::Unshare => programs.get(Program::Unshare).is_some(),
        Walls::None => return true,
    };
    let folder = PathBuf::from("/tmp");
    let mut words = walls(programs, kind, &folder, &[], &TRIED).into_iter();
    let Some(first) = words.next().filter(|_| there) else {
        return false;
    };
    Command::new(first)
        .args(words)
        .arg("/usr/bin/true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a program may use by which walls are tried: more than enough for one that does nothing.
const TRIED: Limits = Limits {
    time: Duration::from_secs(10),
    memory: 1024 * 1024 * 1024,
    output: 1024 * 1024,
    processes: 4,
};
