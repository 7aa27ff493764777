//! What keeps a program in, by what the machine allows.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Program, Programs};

/// What keeps a program in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walls {
    /// Namespaces of its own for network, processes, users and files, by bubblewrap.
    Bubblewrap,
    /// Namespaces of its own for network and processes; the files of this user can be read.
    Unshare,
    /// Limits only: neither network nor files are kept away.
    None,
}

/// The words in front of a program that put it behind `walls`.
pub(super) fn walls(
    programs: &Programs,
    walls: Walls,
    folder: &Path,
    reads: &[&Path],
) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
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
            // Programs and libraries, fonts, and the settings that they cannot do without.
            for place in [
                "/usr",
                "/bin",
                "/sbin",
                "/lib",
                "/lib64",
                "/etc/alternatives",
                "/etc/fonts",
                "/etc/ld.so.cache",
                "/etc/libreoffice",
                "/var/cache/fontconfig",
            ] {
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
    let folder = PathBuf::from("/tmp");
    let mut words = walls(programs, kind, &folder, &[]).into_iter();
    let Some(first) = words.next() else {
        return false;
    };
    let needed = match kind {
        Walls::Bubblewrap => Program::Bubblewrap,
        Walls::Unshare => Program::Unshare,
        Walls::None => return true,
    };
    programs.get(needed).is_some()
        && Command::new(first)
            .args(words)
            .arg("/usr/bin/true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}
