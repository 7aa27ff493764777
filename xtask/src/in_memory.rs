//! A folder in memory for what scenarios keep while they run.
//!
//! Stores sync what they keep, and on a disk that is busy with what was just built or written a sync of a few bytes may
//! wait for all of that: requests of one link were seen to stand still for 47 s.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::sweep;

/// Where Linux has a file system in memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// Memory that has to be free, in bytes: a scenario writes 1.5 GB at most, and browsers run beside it.
const FREE: u64 = 12 << 30;

/// Room that has to be there, in bytes.
const ROOM: u64 = 6 << 30;

/// The folder, named after this process.
#[derive(Debug)]
pub(crate) struct InMemory(PathBuf);

impl InMemory {
    /// Makes one, where there is memory for it. What runs have left that are over goes.
    pub(crate) fn new() -> Option<Self> {
        sweep(Path::new(SHARED_MEMORY), |name| {
            name.strip_prefix("chatlift-")
        });
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let free = available(&read("/proc/meminfo"))?;
        let room = room(&read("/proc/mounts")).unwrap_or(free / 2);
        let path = Path::new(SHARED_MEMORY).join(format!("chatlift-{}", std::process::id()));
        let enough = free >= FREE && room >= ROOM;
        (enough && fs::create_dir(&path).is_ok()).then_some(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it. One that is not removed is there to be looked at until the next run.
    pub(crate) fn remove(self) {
        let _ = fs::remove_dir_all(self.0);
    }
}

/// Bytes that programs can have, by `/proc/meminfo` (proc(5)).
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|l| l.strip_prefix("MemAvailable:"))?;
    kib(line.trim().strip_suffix("kB")?.trim())
}

/// Bytes that [`SHARED_MEMORY`] holds at most, by `/proc/mounts`, where it says.
fn room(mounts: &str) -> Option<u64> {
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let mut mount = mounts.find(|mount| mount.clone().nth(1) == Some(SHARED_MEMORY))?;
    let mut options = mount.nth(3)?.split(',');
    kib(options
        .find_map(|option| option.strip_prefix("size="))?
        .strip_suffix('k')?)
}

fn kib(number: &str) -> Option<u64> {
    Some(number.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_room_are_read_as_linux_tells_them() {
        let meminfo = "MemTotal:       24684096 kB\nMemAvailable:   22291296 kB\n";
        assert_eq!(available(meminfo), Some(22_291_296 << 10));
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw,relatime,size=65536k 0 0\n";
        assert_eq!(room(mounts), Some(64 << 20));
        assert_eq!(room("tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n"), None);
    }
}
