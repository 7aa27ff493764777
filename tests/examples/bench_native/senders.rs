//! Who sends files: tus-js-client, or what the page does.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use chatlift_shared::api::HeldPart;
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{HEAD_MAX, SINGLE_REQUEST_MAX, part_count};
use chatlift_tests::client::Page;
use chatlift_tests::outside::script;
use xtask::process::cpu;

use crate::servers::Running;

/// Files of 1 MB that are sent first, so that both sides are warm.
const BEFORE: usize = 5;

/// A number of files of one size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) times: usize,
}

impl Work {
    /// Large files warm up by none of their own.
    fn before(self) -> usize {
        match self.times {
            1 => 0,
            _ => BEFORE,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender {
    /// tus-js-client in Node.js, 50 MB in a `PATCH`.
    Tus,
    /// The page's own protocol, some requests at once.
    Page,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tus => "tus-js-client",
            Self::Page => "the page's protocol",
        })
    }
}

impl Sender {
    /// Sends all, and answers how many milliseconds that took, and how many of the sender's processor.
    pub(crate) fn send(
        self,
        server: &Running,
        work: Work,
        path: &Path,
        bytes: &[u8],
        at_once: usize,
    ) -> [f64; 2] {
        match self {
            Self::Tus => {
                let numbers = [work.times, at_once, work.before()].map(|n| n.to_string());
                let mut node = Command::new("node");
                node.arg(script("tus_many.mjs"))
                    .arg(server.tus_endpoint())
                    .arg(path)
                    .args(numbers);
                let said = xtask::run::quiet(&mut node).expect("files sent by tus-js-client");
                let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
                ["ms", "cpu"].map(|name| said[name].as_f64().expect("milliseconds"))
            }
            Self::Page => {
                let page = server.page();
                send_all(&page, "before", work.before(), bytes, at_once);
                let own = std::process::id();
                let (begun, before) = (xtask::run::now(), cpu(own));
                send_all(&page, "file", work.times, bytes, at_once);
                [begun.elapsed(), cpu(own) - before].map(|took| took.as_secs_f64() * 1000.0)
            }
        }
    }
}

fn send_all(page: &Page, name: &str, times: usize, bytes: &[u8], at_once: usize) {
    if bytes.len() as u64 > SINGLE_REQUEST_MAX {
        for n in 0..times {
            send_parts(page, &format!("{name}-{n}.bin"), bytes, at_once);
        }
        return;
    }
    each(times, at_once, |n| {
        let digest = Sha256::of(bytes).to_header();
        let sent = page.send_file(
            &format!("{name}-{n}.bin"),
            bytes,
            &[("content-digest", &digest)],
        );
        assert_eq!(sent.status, 201, "{}", sent.text());
    });
}

/// Announces a file, sends its parts, and completes it.
pub(crate) fn send_parts(page: &Page, name: &str, bytes: &[u8], at_once: usize) {
    let size = bytes.len() as u64;
    let head = &bytes[..usize::try_from(HEAD_MAX).unwrap_or(0).min(bytes.len())];
    let upload = page.announce(name, size, head).ok(201);
    let chatlift_shared::api::Upload { id, part_size, .. } = upload;
    let part_size = usize::try_from(part_size).expect("a size");
    let count = usize::try_from(part_count(size, part_size as u64)).expect("few parts");
    let part = |n: usize| &bytes[n * part_size..((n + 1) * part_size).min(bytes.len())];
    each(count, at_once, |n| {
        let sent = page.send_part(&upload, n as u64 + 1, part(n));
        assert_eq!(sent.status, 204, "{}", sent.text());
    });
    let parts: Vec<_> = (0..count)
        .map(|n| HeldPart {
            n: u16::try_from(n + 1).expect("a part number"),
            sha256: Sha256::of(part(n)),
        })
        .collect();
    let done = page.complete(id, Sha256::of(bytes), &parts, &[]);
    assert_eq!(done.status, 200, "{}", done.text());
}

/// Does something `times`, in `at_once` threads.
fn each(times: usize, at_once: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= times {
                        return;
                    }
                    work(n);
                }
            });
        }
    });
}
