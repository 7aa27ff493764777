//! Runs outside programs on files that strangers sent.
//!
//! Each run has a folder of its own, which is all that it may write to, and limits on time,
//! memory, processes and output. It has no network. When it ends, or is over a limit, or the
//! backend stops or dies, everything that it started is killed.
//!
//! How strong the walls are depends on what the machine allows, see [`Walls`]. Where they would let a
//! program read this user's files, nothing runs unless the operator has said that it may.

#[cfg(target_os = "linux")]
mod confine;
mod group;
mod programs;
#[cfg(target_os = "linux")]
mod syscalls;
mod walls;
mod watch;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
#[cfg(unix)]
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use group::{Group, SIGKILL, SIGXCPU, SIGXFSZ, signal};
pub use programs::{Program, Programs};
pub use walls::Walls;
use walls::{walls, works};

/// First wait for a program to end; it doubles up to [`LOOK_EVERY`].
const LOOK_FIRST: Duration = Duration::from_millis(5);
/// Time between two looks at what a program uses.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Most of a program's words that are read, in bytes.
const WORDS_MAX: u64 = 64 * 1024;
/// Open files of one process.
const OPEN_FILES_MAX: u32 = 512;
/// With less room than this on its disk a program that fails has failed for that, in bytes.
const ROOM_MIN: u64 = 16 * 1024 * 1024;
/// What those that put a program behind its walls and limits begin their complaints with.
const WRAPPERS: [&str; 5] = [
    "bwrap: ",
    "chatlift-backend: ",
    "prlimit: ",
    "setpriv: ",
    "unshare: ",
];

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
    /// It could not be started or was killed by another, or the disk failed or is full.
    #[error("{program:?} could not be run: {source}")]
    System {
        /// What was to run.
        program: Program,
        /// What the system said.
        source: io::Error,
    },
}

/// Nothing here keeps a program that a stranger's file has taken over from this user's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no walls keep converters from the database, the network and this user's files: run on a Linux with \
     Landlock (5.13 or later, landlock among its lsm), or install bubblewrap and allow user namespaces \
     (in a container: --security-opt seccomp=unconfined --security-opt unmask=ALL), or accept weaker \
     walls by CHATLIFT_WALLS=weak"
)]
pub struct NoWalls;

/// Runs programs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    programs: Programs,
    walls: Walls,
    running: Mutex<Running>,
}

/// What runs now.
#[derive(Debug, Default)]
struct Running {
    /// Nothing begins any more.
    stopped: bool,
    /// The first process of each group.
    roots: BTreeSet<u32>,
}

impl Sandbox {
    /// A sandbox for `programs`, with the strongest walls that work here; `weak` ones if that is
    /// allowed. Says in the log which they are, and which programs are missing.
    ///
    /// Blocks for a moment.
    ///
    /// # Errors
    /// [`NoWalls`] when there is a program to run and no strong walls to run it behind.
    pub fn new(programs: Programs, weak: bool) -> Result<Self, NoWalls> {
        let walls = [Walls::Bubblewrap, Walls::Landlock, Walls::Unshare]
            .into_iter()
            .find(|walls| works(&programs, *walls))
            .unwrap_or(Walls::None);
        for program in programs.missing() {
            tracing::warn!("{}", program.missing());
        }
        match walls {
            Walls::Bubblewrap | Walls::Landlock => {
                tracing::info!(walls = walls.as_str(), "converters run behind walls");
            }
            _ if !programs.any_converts() => {}
            _ if !weak => return Err(NoWalls),
            Walls::Unshare => tracing::warn!(
                walls = walls.as_str(),
                "converters run behind weak walls, as CHATLIFT_WALLS allows: they could read this user's files"
            ),
            Walls::None => tracing::warn!(
                walls = walls.as_str(),
                "converters run with limits only, as CHATLIFT_WALLS allows: they could use the network and \
                 this user's files"
            ),
        }
        Ok(Self::with_walls(programs, walls))
    }

    /// A sandbox with these walls.
    #[must_use]
    pub fn with_walls(programs: Programs, walls: Walls) -> Self {
        Self(Arc::new(Inner {
            programs,
            walls,
            running: Mutex::default(),
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

    /// Kills what runs, and lets nothing run any more. When it returns, nothing does. Blocks for as
    /// long as the system takes for that.
    pub fn stop(&self) {
        let mut running = self.running();
        running.stopped = true;
        for root in &running.roots {
            group::kill(*root);
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // What it guards is whole at every moment.
        self.0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a program, unless nothing may run any more. Both under one lock, so that none begins
    /// unseen by [`Sandbox::stop`].
    fn start(&self, program: Program, command: &mut Command) -> Result<Group, RunError> {
        let mut running = self.running();
        if running.stopped {
            return Err(RunError::Stopped);
        }
        let child = command.spawn();
        let child = child.map_err(|source| RunError::System { program, source })?;
        running.roots.insert(child.id());
        Ok(Group { child })
    }

    /// Runs a program to its end. Blocks.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run(&self, run: &Run<'_>) -> Result<Ended, RunError> {
        let (code, ended) = self.run_once(run)?;
        if code.is_some_and(|code| run.program.restarts(code)) {
            return Ok(self.run_once(run)?.1);
        }
        Ok(ended)
    }

    /// Runs a program once; its exit code, too, if it had one.
    fn run_once(&self, run: &Run<'_>) -> Result<(Option<i32>, Ended), RunError> {
        let program = run.program;
        let system = |source| RunError::System { program, source };
        let programs = &self.0.programs;
        let path = match self.0.walls {
            Walls::Landlock => programs.itself(program),
            _ => programs.get(program).map(Path::to_owned),
        };
        let path = path.ok_or(RunError::Missing(program))?;
        if self.running().stopped {
            return Err(RunError::Stopped);
        }
        let (out, err) = (run.folder.join(".stdout"), run.folder.join(".stderr"));
        tracing::info!(
            ?program, walls = self.0.walls.as_str(), folder = %run.folder.display(), "running"
        );
        let mut command = self.command(run, &path);
        command
            .args(&run.arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", run.folder)
            .env("TMPDIR", run.folder)
            // Where LibreOffice listens for another of its kind: relative, for a socket's path is short.
            .env("OSL_SOCKET_PATH", ".")
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(run.folder)
            .stdin(Stdio::null())
            .stdout(File::create(&out).map_err(system)?)
            .stderr(File::create(&err).map_err(system)?);
        #[cfg(unix)]
        command.process_group(0);
        let mut group = self.start(program, &mut command)?;
        let root = group.child.id();
        let outcome = self.watch(run, &mut group);
        drop(group);
        let stopped = {
            let mut running = self.running();
            running.roots.remove(&root);
            running.stopped
        };
        if stopped {
            return Err(RunError::Stopped);
        }
        let (status, room) = outcome?;
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
            // Not by us: the system had no memory for it, or somebody ended it.
            Some(SIGKILL) => {
                let error = io::Error::new(io::ErrorKind::OutOfMemory, "killed by another");
                return Err(system(error));
            }
            _ => {}
        }
        let errors = words(&err).map_err(system)?;
        if !status.success() && room < ROOM_MIN {
            let error = format!("the disk is full: {errors}");
            return Err(system(io::Error::new(io::ErrorKind::StorageFull, error)));
        }
        if !status.success() && WRAPPERS.iter().any(|words| errors.starts_with(words)) {
            return Err(system(io::Error::other(errors)));
        }
        let ended = Ended {
            success: status.success(),
            output: words(&out).map_err(system)?,
            errors,
        };
        Ok((status.code(), ended))
    }

    /// Waits for the end, or for a limit; how it ended, and the least room that its disk had
    /// meanwhile, in bytes.
    #[expect(
        clippy::disallowed_methods,
        reason = "a real program runs in real time, whatever clock the pipeline goes by"
    )]
    fn watch(&self, run: &Run<'_>, group: &mut Group) -> Result<(ExitStatus, u64), RunError> {
        let (program, limits) = (run.program, run.limits);
        let begun = Instant::now();
        let (mut pause, mut room) = (LOOK_FIRST, u64::MAX);
        loop {
            room = room.min(watch::room(run.folder));
            let waited = group.child.try_wait();
            if let Some(status) = waited.map_err(|source| RunError::System { program, source })? {
                return Ok((status, room));
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
        let (programs, kind) = (&self.0.programs, self.0.walls);
        let mut words = walls(programs, kind, run.folder, run.reads, &run.limits).into_iter();
        let mut command = match words.next() {
            Some(first) => Command::new(first),
            None => return Command::new(path),
        };
        command.args(words).arg(path);
        command
    }
}

/// Does what the backend calls its own program for, to put a converter behind walls, if `words`, the
/// command line without the program's name, say so. To be asked before anything else. An error is
/// one sentence.
#[must_use]
pub fn confine(words: &[OsString]) -> Option<Result<ExitCode, String>> {
    #[cfg(target_os = "linux")]
    return confine::run(words);
    #[cfg(not(target_os = "linux"))]
    return {
        let _ = words;
        None
    };
}

/// The beginning of what a program said.
fn words(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(WORDS_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
