//! What a process and all that it starts take of memory, as the system tells it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(4);

/// The most that was seen, in bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peak {
    /// Resident memory of all processes together at one moment.
    pub(crate) together: u64,
    /// High-water mark of each program, which the system keeps between two looks too.
    pub(crate) each: BTreeMap<String, u64>,
}

impl Peak {
    /// The program that took the most, and how much.
    pub(crate) fn largest(&self) -> (String, u64) {
        let largest = self.each.iter().max_by_key(|(_, bytes)| **bytes);
        largest.map_or_else(Default::default, |(name, bytes)| (name.clone(), *bytes))
    }
}

/// Looks at a process and its descendants until it is asked for what it saw.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Peak>,
}

impl Watch {
    /// Begins, with the high-water mark of `root` set back to what it takes now.
    pub(crate) fn begin(root: u32) -> Self {
        // proc(5): 5 sets the peak resident size back.
        fs::write(format!("/proc/{root}/clear_refs"), "5").expect("a process of ours");
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut peak = Peak::default();
            while !told.load(Ordering::SeqCst) {
                look(root, &mut peak);
                std::thread::sleep(EVERY);
            }
            peak
        });
        Self { stop, thread }
    }

    pub(crate) fn end(self) -> Peak {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the watch ends well")
    }
}

fn look(root: u32, peak: &mut Peak) {
    let (mut open, mut sum) = (vec![root], 0);
    while let Some(pid) = open.pop() {
        if let Some((name, now, most)) = memory(pid) {
            sum += now;
            let known = peak.each.entry(name).or_default();
            *known = most.max(*known);
        }
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten();
        for task in tasks.filter_map(Result::ok) {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            open.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
    }
    peak.together = peak.together.max(sum);
}

/// Name, resident memory and its high-water mark; nothing of a process that has gone.
fn memory(pid: u32) -> Option<(String, u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").trim().to_owned())
    };
    let kib = |name: &str| Some(field(name)?.parse::<u64>().ok()? * 1024);
    Some((field("Name:")?, kib("VmRSS:")?, kib("VmHWM:")?))
}
