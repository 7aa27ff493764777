//! What a program and all its children use, as `/proc` tells it.
//!
//! Limits that the system keeps per process do not bound a group, and those per user do not bind
//! root; so the group is looked at. Between two looks it may overshoot; the system's own limit on
//! address space bounds by how much.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What a group uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processes, without those of the sandbox itself that take next to nothing.
    pub(super) processes: usize,
    /// Resident memory in bytes; what is shared counts for each.
    pub(super) memory: u64,
}

/// One line of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    pages: u64,
}

/// The parent (field 4) and the resident pages (field 24). The name in field 2 may hold anything,
/// so fields are counted from its last parenthesis.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let pages = fields.nth(19)?.parse().ok()?;
    Some(Stat { parent, pages })
}

/// `root` and everything below it, with its resident pages. Nothing where there is no `/proc`.
fn group(root: u32) -> Vec<(u32, u64)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let all: BTreeMap<u32, Stat> = entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, parse(&stat)?))
        })
        .collect();
    let below = |pid: u32| {
        let (mut pid, mut steps) = (pid, 0);
        while pid != root && steps < 64 {
            match all.get(&pid) {
                Some(stat) if stat.parent != 0 => pid = stat.parent,
                _ => return false,
            }
            steps += 1;
        }
        pid == root
    };
    all.iter()
        .filter(|(pid, _)| below(**pid))
        .map(|(pid, stat)| (*pid, stat.pages))
        .collect()
}

/// What `root` and everything below it use.
pub(super) fn usage(root: u32) -> Usage {
    let page = rustix::param::page_size() as u64;
    let group = group(root);
    Usage {
        processes: group.len(),
        memory: group.iter().map(|(_, pages)| pages * page).sum(),
    }
}

/// `root` and everything below it, by process id.
pub(super) fn members(root: u32) -> Vec<u32> {
    group(root).into_iter().map(|(pid, _)| pid).collect()
}

/// Whether a process is there and not only waiting to be reaped.
pub(super) fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

/// Bytes that this user may still write to the disk of `folder`; all there are where that cannot be
/// told.
pub(super) fn room(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(u64::MAX, |disk| disk.f_bavail * disk.f_frsize)
}

/// Bytes on disk in a folder, links not followed, unreadable entries skipped: what a program
/// writes may come and go under this.
pub(super) fn folder_size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                Some(folder_size(&entry.path()))
            } else {
                Some(entry.metadata().ok()?.len())
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "17 (a) S 5 (x) R 4 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 99 1000 250 18446";
        let expected = Stat {
            parent: 4,
            pages: 250,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("17 (short) S"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        let usage = usage(std::process::id());
        assert!(usage.processes >= 1 && usage.memory > 100_000, "{usage:?}");
    }
}
