//! A disk of few bytes, that can be full, and have room again.
//!
//! It is a tmpfs in a mount namespace of its own (`unshare`, and `nsenter` for what runs on it), so that it goes when the
//! process that holds it does, and asks for no rights where Linux lets everybody make namespaces.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use xtask::process::Group;

/// How long it takes to be there.
const WITHIN: Duration = Duration::from_secs(10);

/// Makes the disk at a folder, of a size, says by which process, and holds it.
const HOLD: &str =
    r#"mount -t tmpfs -o size="$2" tmpfs "$1" && echo $$ > "$3" && exec sleep infinity"#;

/// The disk. Whatever runs on it must be gone before it is.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    pid: String,
    _holder: Group,
}

/// Whether this user may mount without a namespace of users.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

impl Disk {
    /// One of so many bytes, at a folder that is made.
    ///
    /// # Panics
    /// When Linux does not allow it.
    #[must_use]
    pub fn new(folder: &Path, bytes: u64) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let pid = folder.with_extension("pid");
        let mut hold = Command::new("unshare");
        hold.arg("--mount")
            .args((!is_root()).then_some("--map-root-user"))
            .args(["sh", "-c", HOLD, "sh"])
            .arg(folder)
            .arg(bytes.to_string())
            .arg(&pid);
        let log = folder.with_extension("log");
        let mut holder = Group::spawn("disk", &hold, &log).expect("unshare");
        let read = || fs::read_to_string(&pid).unwrap_or_default();
        let held = holder.wait_until(WITHIN, || read().ends_with('\n'));
        held.unwrap_or_else(|why| panic!("{why}"));
        Self {
            folder: folder.to_owned(),
            pid: read().trim().to_owned(),
            _holder: holder,
        }
    }

    /// A command that runs where the disk is.
    #[must_use]
    pub fn run(&self, command: &Command) -> Command {
        let mut entered = Command::new("nsenter");
        entered.args(["--target", &self.pid, "--mount"]);
        if !is_root() {
            entered.args(["--user", "--preserve-credentials"]);
        }
        entered
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            entered.env(name, value.unwrap_or_default());
        }
        entered
    }

    /// Where this process sees what lies on it.
    fn ballast(&self) -> PathBuf {
        let folder = self.folder.strip_prefix("/").expect("a whole path");
        let root = Path::new("/proc").join(&self.pid).join("root");
        root.join(folder).join("ballast")
    }

    /// Leaves no byte of room.
    ///
    /// # Panics
    /// When it cannot be written to for another reason.
    pub fn fill(&self) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.ballast())
            .expect("a file");
        for piece in [1 << 20, 1 << 12] {
            let full = loop {
                if let Err(error) = file.write_all(&vec![1; piece]) {
                    break error.kind();
                }
            };
            assert_eq!(full, ErrorKind::StorageFull);
        }
    }

    /// Gives the room back.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("a file");
    }
}
