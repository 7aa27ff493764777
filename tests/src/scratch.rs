//! Folders, ports and moments for one run.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chatlift_shared::Timestamp;
use xtask::process::sweep;

/// A folder of its own, gone when this is dropped, or at the start of a later run.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one. `name` helps a reader to find it.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        let all = std::env::var_os(xtask::test::SCENARIOS);
        let all = all.map_or_else(|| xtask::root::target().join("scenarios"), PathBuf::from);
        SWEEP.call_once(|| sweep(&all, |name| name.split('-').next()));
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = all.join(format!("{}-{n}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the run");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What went wrong is to be looked at.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Ports of the servers that tests start. Linux gives those from 32,768 on to connections and to
/// whoever asks for any (`net.ipv4.ip_local_port_range`): one of these could be taken before its
/// server starts, or while it is down.
const PORTS: Range<u32> = 15_000..32_000;

/// A port on 127.0.0.1 that nothing listens on, and that no other call gets.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes beside each other begin far from each other.
    let start = std::process::id().wrapping_mul(97);
    std::iter::repeat_with(|| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
        .take(PORTS.len())
        .filter_map(|n| u16::try_from(PORTS.start + n % (PORTS.end - PORTS.start)).ok())
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .expect("a free port")
}

/// Now, by the clock that the edge goes by too.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one clock of the scenarios, which run natively"
)]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Waits for the next minute of the clock if less than half of this one is left: workerd counts the
/// requests of each minute for itself, so a scenario that counts them must not see one end.
pub fn early_in_a_minute() {
    let into = now().secs().rem_euclid(60);
    if into > 30 {
        std::thread::sleep(Duration::from_secs(60 - into.unsigned_abs()));
    }
}

/// Waits until `found` finds something.
///
/// # Panics
/// When it does not within `within`; `what` says what was waited for.
pub fn wait_for<T>(what: &str, within: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let start = xtask::run::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(
            start.elapsed() < within,
            "waited {} s in vain for {what}",
            within.as_secs()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
