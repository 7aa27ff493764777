//! Many uploads at once to the edge, and the most memory that it takes meanwhile.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatlift_shared::api::{HEADER_TICKET, HeldPart, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_shared::limits::{HEAD_MAX, part_count};
use chatlift_tests::client::Page;
use chatlift_tests::fixtures::Random;
use chatlift_tests::http::{Answer, is_whole, parse};
use chatlift_tests::scratch::wait_for;

use crate::servers::{Kind, Running, Watch};
use crate::{MB, mib};

/// Uploads at once, each to a link of its own.
const UPLOADS: usize = 200;

/// Sizes of their files, in bytes.
const SIZES: [u64; 2] = [MB, 20 * MB];

/// How long the first halves of all, and an answer, may take.
const WITHIN: Duration = Duration::from_secs(600);

/// Sends a request of which half has come when as much of all others has.
fn send(origin: &str, head: &str, body: &[u8], halfway: Option<&AtomicUsize>) -> Answer {
    let host = origin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("a connection");
    let length = body.len();
    write!(
        stream,
        "{head}host: {host}\r\ncontent-length: {length}\r\n\r\n"
    )
    .expect("a head");
    let (first, second) = body.split_at(length / 2);
    stream.write_all(first).expect("its first half");
    if let Some(halfway) = halfway {
        halfway.fetch_add(1, Ordering::Relaxed);
        wait_for("the others", WITHIN, || {
            (halfway.load(Ordering::Relaxed) >= UPLOADS).then_some(())
        });
    }
    stream.write_all(second).expect("its second half");
    stream.set_read_timeout(Some(WITHIN)).expect("a timeout");
    let (mut read, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while !is_whole(&read) {
        match stream.read(&mut buffer).expect("an answer") {
            0 => break,
            n => read.extend_from_slice(&buffer[..n]),
        }
    }
    parse(&read).expect("an answer")
}

/// The path of an address.
fn path(page: &Page, origin: &str) -> String {
    page.url().replacen(origin, "", 1)
}

fn store(origin: &str, page: &Page, bytes: &[u8], digests: &[String], halfway: &AtomicUsize) {
    let path = path(page, origin);
    if bytes.len() as u64 <= chatlift_shared::limits::SINGLE_REQUEST_MAX {
        let head = format!(
            "POST {path}/files HTTP/1.1\r\ncontent-disposition: attachment; filename=a.bin\r\n\
             content-digest: {}\r\n",
            digests[0]
        );
        let answer = send(origin, &head, bytes, Some(halfway));
        assert_eq!(answer.status, 201, "{}", answer.text());
        return;
    }
    let head = usize::try_from(HEAD_MAX).unwrap_or(0);
    let upload: Upload = page
        .announce("a.bin", bytes.len() as u64, &bytes[..head])
        .ok(201);
    let part_size = usize::try_from(upload.part_size).expect("a size");
    for ((n, part), digest) in (1..).zip(bytes.chunks(part_size)).zip(digests) {
        let head = format!(
            "PUT {path}/uploads/{}/parts/{n} HTTP/1.1\r\ncontent-digest: {digest}\r\n{HEADER_TICKET}: {}\r\n",
            upload.id, upload.ticket
        );
        let answer = send(origin, &head, part, (n == 1).then_some(halfway));
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    let parts: Vec<_> = (1..)
        .zip(bytes.chunks(part_size))
        .map(|(n, part)| HeldPart {
            n,
            sha256: Sha256::of(part),
        })
        .collect();
    let done = page.complete(upload.id, Sha256::of(bytes), &parts, &[]);
    assert_eq!(done.status, 200, "{}", done.text());
}

pub(crate) fn report() {
    for size in SIZES {
        let content = Random { seed: size, size };
        let bytes = content.read(0, size);
        let part_size = chatlift_shared::limits::part_size(size);
        let count = part_count(size, part_size);
        let digests: Vec<_> = bytes
            .chunks(usize::try_from(part_size).expect("a size"))
            .map(|part| Sha256::of(part).to_header())
            .collect();
        let edge = Running::start(Kind::Edge, Watch::Nothing);
        let pages: Vec<_> = (0..UPLOADS).map(|_| edge.page()).collect();
        let (origin, before) = (edge.origin(), edge.peak());
        let halfway = AtomicUsize::new(0);
        let begun = xtask::run::now();
        std::thread::scope(|scope| {
            for page in &pages {
                scope.spawn(|| store(&origin, page, &bytes, &digests, &halfway));
            }
        });
        println!(
            "{UPLOADS} uploads at once of {} MB in {count} parts: {:.1} s, at most {:.0} MiB in RAM, {:.0} before",
            size / MB,
            begun.elapsed().as_secs_f64(),
            mib(edge.peak()),
            mib(before)
        );
    }
}
