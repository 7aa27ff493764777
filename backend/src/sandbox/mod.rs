//! Runs outside programs on files that strangers sent.
//!
//! Each run has a folder of its own, which is all that it may write to, and limits on time,
//! memory, processes and output. It has no network. When it ends, or is over a limit, or the
//! backend stops or dies, everything that it started is killed.
//!
//! How strong the walls are depends on what the machine allows, see [`Walls`]; what is missing is
//! said once at the start.

mod programs;
mod watch;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
#[cfg(unix)]
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use programs::{Program, Programs};

/// First wait for a program to end; it doubles up to [`LOOK_EVERY`].
const LOOK_FIRST: Duration = Duration::from_millis(5);
/// Time between two looks at what a program uses.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a program may reserve beyond the memory that it may use, in bytes: LibreOffice and ffmpeg
/// reserve some 3 GiB for stacks and mapped libraries without touching it.
const ADDRESS_SPACE_EXTRA: u64 = 4 * 1024 * 1024 * 1024;
/// How often it is looked whether killed processes are gone: 2 s in all.
const DEATHS_LOOKED_AT: u32 = 400;
/// Most of a program's words that are read, in bytes.
const WORDS_MAX: u64 = 64 * 1024;
/// Open files of one process.
const OPEN_FILES_MAX: u32 = 512;

/// What one run may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time by the clock.
    pub time: Duration,
    /// Resident memory of the whole group, in bytes.
    pub memory: u64,
    /// What may lie in the run's folder, in bytes.
    pub output: u64,
    /// Processes of the group, those of the sandbox included.
    pub processes: usize,
}

/// One run.
#[derive(Debug)]
pub struct Run<'a> {
    /// What to run.
    pub program: Program,
    /// Its arguments. Paths are absolute.
    pub arguments: Vec<OsString>,
    /// The folder that it works in and may write to. It is `HOME` and `TMPDIR` too.
    pub folder: &'a Path,
    /// Files outside the folder that it may read, and nothing else of the data folder.
    pub reads: &'a [&'a Path],
    /// What it may use.
    pub limits: Limits,
}

/// How a program ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether it says that all went well.
    pub success: bool,
    /// What it said, standard output first, 64 KiB of each at most.
    pub output: String,
    /// What it said on standard error.
    pub errors: String,
}

/// Why a program did not end by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It is not installed.
    #[error("{}", .0.missing())]
    Missing(Program),
    /// It ran out of time.
    #[error("{program:?} took longer than {limit:?}")]
    Time {
        /// What ran.
        program: Program,
        /// The limit.
        limit: Duration,
    },
    /// It used too much memory.
    #[error("{program:?} used more than {limit} bytes of memory")]
    Memory {
        /// What ran.
        program: Program,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It wrote too much.
    #[error("{program:?} wrote more than {limit} bytes")]
    Output {
        /// What ran.
        program: Program,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It started too many processes.
    #[error("{program:?} started more than {limit} processes")]
    Processes {
        /// What ran.
        program: Program,
        /// The limit.
        limit: usize,
    },
    /// The backend stops.
    #[error("the backend stops")]
    Stopped,
    /// It could not be started, or the disk failed.
    #[error("{program:?} could not be run: {source}")]
    System {
        /// What was to run.
        program: Program,
        /// What the system said.
        source: io::Error,
    },
}

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

/// Runs programs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    programs: Programs,
    walls: Walls,
    stopped: AtomicBool,
}

impl Sandbox {
    /// A sandbox for `programs`, with the strongest walls that work here. Says in the log what is
    /// missing.
    ///
    /// Blocks for a moment.
    #[must_use]
    pub fn new(programs: Programs) -> Self {
        let walls = [Walls::Bubblewrap, Walls::Unshare]
            .into_iter()
            .find(|walls| works(&programs, *walls))
            .unwrap_or(Walls::None);
        match walls {
            Walls::Bubblewrap => {}
            Walls::Unshare => tracing::warn!(
                "converters run without bubblewrap: they could read this user's files; install bubblewrap"
            ),
            Walls::None => tracing::warn!(
                "converters run with limits only: they could use the network and this user's files; \
                 install bubblewrap and allow user namespaces"
            ),
        }
        for program in programs.missing() {
            tracing::warn!("{}", program.missing());
        }
        Self::with_walls(programs, walls)
    }

    /// A sandbox with these walls.
    #[must_use]
    pub fn with_walls(programs: Programs, walls: Walls) -> Self {
        Self(Arc::new(Inner {
            programs,
            walls,
            stopped: AtomicBool::new(false),
        }))
    }

    /// What keeps the programs in.
    #[must_use]
    pub fn walls(&self) -> Walls {
        self.0.walls
    }

    /// Which programs are here.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.0.programs
    }

    /// Kills what runs, and lets nothing run any more.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
    }

    /// Runs a program to its end. Blocks.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run(&self, run: &Run<'_>) -> Result<Ended, RunError> {
        let program = run.program;
        let system = |source| RunError::System { program, source };
        let path = self
            .0
            .programs
            .get(program)
            .ok_or(RunError::Missing(program))?;
        let (out, err) = (run.folder.join(".stdout"), run.folder.join(".stderr"));
        let mut command = self.command(run, path);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", run.folder)
            .env("TMPDIR", run.folder)
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(run.folder)
            .stdin(Stdio::null())
            .stdout(File::create(&out).map_err(system)?)
            .stderr(File::create(&err).map_err(system)?);
        #[cfg(unix)]
        command.process_group(0);
        let mut group = Group {
            child: command.spawn().map_err(system)?,
        };
        let status = self.watch(run, &mut group)?;
        drop(group);
        // The first process of a namespace gets no signal for a file that is too long, only an error.
        let full = !status.success() && watch::folder_size(run.folder) >= run.limits.output;
        match signal(status) {
            Some(SIGXCPU) => {
                let limit = run.limits.time;
                return Err(RunError::Time { program, limit });
            }
            Some(SIGXFSZ) => {
                let limit = run.limits.output;
                return Err(RunError::Output { program, limit });
            }
            _ if full => {
                let limit = run.limits.output;
                return Err(RunError::Output { program, limit });
            }
            _ => {}
        }
        Ok(Ended {
            success: status.success(),
            output: words(&out).map_err(system)?,
            errors: words(&err).map_err(system)?,
        })
    }

    /// Waits for the end, or for a limit.
    #[expect(
        clippy::disallowed_methods,
        reason = "a real program runs in real time, whatever clock the pipeline goes by"
    )]
    fn watch(&self, run: &Run<'_>, group: &mut Group) -> Result<ExitStatus, RunError> {
        let (program, limits) = (run.program, run.limits);
        let begun = Instant::now();
        let mut pause = LOOK_FIRST;
        loop {
            let waited = group.child.try_wait();
            if let Some(status) = waited.map_err(|source| RunError::System { program, source })? {
                return Ok(status);
            }
            if self.0.stopped.load(Ordering::SeqCst) {
                return Err(RunError::Stopped);
            }
            if begun.elapsed() > limits.time {
                let limit = limits.time;
                return Err(RunError::Time { program, limit });
            }
            let used = watch::usage(group.child.id());
            if used.memory > limits.memory {
                let limit = limits.memory;
                return Err(RunError::Memory { program, limit });
            }
            if used.processes > limits.processes {
                let limit = limits.processes;
                return Err(RunError::Processes { program, limit });
            }
            if watch::folder_size(run.folder) > limits.output {
                let limit = limits.output;
                return Err(RunError::Output { program, limit });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOK_EVERY);
        }
    }

    /// The program behind its limits and walls.
    fn command(&self, run: &Run<'_>, path: &Path) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(prlimit) = self.0.programs.get(Program::Prlimit) {
            let limits = run.limits;
            let memory = limits.memory.saturating_add(ADDRESS_SPACE_EXTRA);
            // A busy program on several cores uses more processor time than time passes.
            let seconds = limits.time.as_secs().saturating_mul(4).saturating_add(1);
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
        words.extend(walls(&self.0.programs, self.0.walls, run.folder, run.reads));
        words.push(path.into());
        words.extend(run.arguments.iter().cloned());
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }
}

/// The words in front of a program that put it behind `walls`.
fn walls(programs: &Programs, walls: Walls, folder: &Path, reads: &[&Path]) -> Vec<OsString> {
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
fn works(programs: &Programs, kind: Walls) -> bool {
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

/// A program and what it started; all killed when dropped.
struct Group {
    child: Child,
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
const SIGXFSZ: i32 = 25;
/// The processor time is used up (Linux and BSD).
const SIGXCPU: i32 = 24;

/// The signal that ended a program; bubblewrap and shells report it as 128 and more.
fn signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    if let Some(signal) = status.signal() {
        return Some(signal);
    }
    status
        .code()
        .filter(|code| *code > 128)
        .map(|code| code - 128)
}

/// The beginning of what a program said.
fn words(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(WORDS_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
