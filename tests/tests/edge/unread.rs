//! Bodies that the edge refuses before it has read them: what comes next is answered, on the same
//! connection or on another.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use chatlift_shared::api::{HEADER_TICKET, Upload};
use chatlift_shared::digest::Sha256;
use chatlift_tests::client::Page;
use chatlift_tests::edge::{ANY_FILE, DOCUMENTS};
use chatlift_tests::fixtures::pdf;
use chatlift_tests::http::{Answer, is_whole, parse};
use chatlift_tests::serial::{TUS, create};
use chatlift_tests::stage::shared;

/// Far more than the buffers between a client and the edge take.
const BODY: usize = 20_000_000;

/// How long nothing may come before a connection counts as hanging.
const SILENCE: Duration = Duration::from_secs(20);

/// What came over a connection: an answer, or its end.
#[derive(Debug)]
enum Came {
    Answer(Answer),
    End,
}

fn read(stream: &mut TcpStream, about: &str) -> Came {
    stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
    let (mut read, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Came::End,
            Ok(n) => read.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Came::End,
            Err(e) => panic!("{about} hangs: {e}; {}", String::from_utf8_lossy(&read)),
        }
        if is_whole(&read) {
            return Came::Answer(parse(&read).expect("an answer"));
        }
    }
}

/// Sends a large body that is refused with `status`, and a request after it on the same connection
/// and on another one.
fn refuse(origin: &str, method: &str, path: &str, headers: &[(&str, &str)], status: u16) {
    let about = format!("{method} {path}");
    let host = origin.trim_start_matches("http://");
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {BODY}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = TcpStream::connect(host).expect("a connection");
    let mut sender = stream.try_clone().expect("a second handle");
    let next = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let sending = thread::spawn(move || {
        let mut all = (head + "\r\n").into_bytes();
        all.resize(all.len() + BODY, b'x');
        // The edge may close before it has read all.
        let _ = sender.write_all(&all);
    });
    match read(&mut stream, &about) {
        Came::Answer(answer) => {
            assert_eq!(answer.status, status, "{about}: {}", answer.text());
            sending.join().expect("the sender");
            // Of a connection that is closed by now it comes back as its end.
            let _ = stream.write_all(next.as_bytes());
            if let Came::Answer(second) = read(&mut stream, &format!("what follows {about}")) {
                assert_eq!(second.status, 200, "after {about}: {}", second.text());
            }
        }
        Came::End => panic!("{about}: closed without an answer"),
    }
    drop(stream);
    let mut another = TcpStream::connect(host).expect("a connection");
    another.write_all(next.as_bytes()).expect("a request");
    match read(&mut another, &format!("the next after {about}")) {
        Came::Answer(answer) => assert_eq!(answer.status, 200, "after {about}: {}", answer.text()),
        Came::End => panic!("the next after {about}: closed without an answer"),
    }
}

#[test]
fn whatever_body_is_refused_the_next_request_is_answered() {
    let stage = shared();
    let (app, origin) = (stage.edge.app(), stage.edge.origin());
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let documents = app.page(&app.link(DOCUMENTS));
    let revoked = app.link(ANY_FILE);
    let gone = app.page(&revoked);
    let _ = app.call("DELETE", &format!("/v1/links/{}", revoked.id), &[], None);
    let path = |page: &Page, rest: &str| {
        let at = page.url().find("/u/").expect("a link's address");
        format!("{}{rest}", &page.url()[at..])
    };
    let upload: Upload = page.announce("a.pdf", 1000, &pdf()).ok(201);
    let digest = Sha256::of(b"x").to_header();
    let part = [
        (HEADER_TICKET, upload.ticket.as_str()),
        ("content-digest", &digest),
    ];
    let tus = create(&page, "a.bin", 30_000_000, &[]);
    let patch = |offset| {
        [
            ("tus-resumable", "1.0.0"),
            ("content-type", TUS),
            ("upload-offset", offset),
        ]
    };
    let whole = [("upload-complete", "?1")];
    let parts = format!("/uploads/{}/parts", upload.id);
    for _ in 0..3 {
        for (method, path, headers, status) in [
            ("POST", "/v1/links".to_owned(), &[][..], 401),
            ("POST", "/v1/nothing".to_owned(), &[], 404),
            ("POST", "/u/forged/files".to_owned(), &[], 404),
            ("PUT", path(&page, "/files"), &[], 405),
            ("POST", path(&gone, "/resumable"), &whole, 410),
            ("POST", path(&page, "/files"), &[], 413),
            ("POST", path(&page, "/uploads"), &[], 413),
            ("POST", path(&documents, "/resumable"), &whole, 415),
            ("PUT", path(&page, &format!("{parts}/1")), &part, 422),
            ("PUT", path(&page, &format!("{parts}/9")), &part, 422),
            ("PUT", path(&page, &format!("{parts}/1")), &[], 403),
            ("PATCH", tus.path.clone(), &patch("7"), 409),
            (
                "POST",
                path(&page, ""),
                &[("accept", "application/json")],
                400,
            ),
        ] {
            refuse(&origin, method, &path, headers, status);
        }
    }
}
