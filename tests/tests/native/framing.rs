//! Requests whose framing means two things (RFC 9112 sections 6 and 11.2). On Workers the platform's own front
//! reads what frames a request, here hyper.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use chatlift_tests::edge::ANY_FILE;
use chatlift_tests::http::read_answer;
use chatlift_tests::scratch::wait_for;

use crate::operate::one;

/// Longer than the edge waits for a head.
const WITHIN: Duration = Duration::from_secs(90);

/// What comes over one connection after these bytes, until nothing does.
fn answers(origin: &str, bytes: &[u8]) -> Vec<u16> {
    let mut stream =
        TcpStream::connect(origin.trim_start_matches("http://")).expect("a connection");
    // It may be closed before all is read.
    let _ = stream.write_all(bytes);
    let mut statuses = Vec::new();
    while let Ok(answer) = read_answer(&mut stream) {
        statuses.push(answer.status);
    }
    statuses
}

#[test]
fn no_request_is_smuggled_in_the_body_of_another() {
    let (nodes, _receiver) = one("framing", &[]);
    let app = nodes.app();
    let link = app.link(ANY_FILE);
    let page = app.page(&link);
    let (origin, path) = page.url().split_at(page.url().find("/u/").expect("a page"));
    let host = origin.trim_start_matches("http://");
    let inner = format!(
        "POST {path}/files HTTP/1.1\r\nhost: {host}\r\ncontent-disposition: attachment; \
         filename=\"smuggled.txt\"\r\ncontent-length: 5\r\n\r\nwords"
    );
    let outer = format!("POST {path}/opened HTTP/1.1\r\nhost: {host}\r\n");
    let ended = format!("0\r\n\r\n{inner}");
    let (whole, none) = (ended.len(), 0);
    for framing in [
        // RFC 9112 section 6.3: both is an attack, or as good as one.
        format!("content-length: {whole}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {whole}"),
        format!("content-length: {whole}\r\ntransfer-encoding : chunked"),
        format!("content-length: {whole}\r\ntransfer-encoding: identity, chunked"),
        format!("content-length: {whole}\r\ntransfer-encoding: xchunked"),
        format!("content-length: {whole}\r\ntransfer-encoding:\tchunked"),
        format!("content-length: {whole}\r\ncontent-length: {none}"),
        format!("content-length: {none}\r\ncontent-length: {whole}"),
        format!("content-length: {none}, {whole}"),
        format!("content-length: +{none}"),
        format!("content-length: 0x{none}"),
        format!("content-length: {whole}\r\n transfer-encoding: chunked"),
    ] {
        let statuses = answers(
            origin,
            format!("{outer}{framing}\r\n\r\n{ended}").as_bytes(),
        );
        assert!(statuses.len() <= 1, "{framing}: {statuses:?}");
        assert!(statuses.iter().all(|s| *s < 500), "{framing}: {statuses:?}");
        let files = app.get_link(link.id).files;
        assert!(files.is_empty(), "{framing}: {statuses:?}, {files:?}");
    }
    // What is one request is still taken.
    assert_eq!(answers(origin, inner.as_bytes()), [201]);
}

#[test]
fn a_head_that_never_ends_holds_no_connection_for_ever() {
    let (nodes, _receiver) = one("slow-head", &[]);
    let origin = nodes.app().link(ANY_FILE).url;
    let host = origin.trim_start_matches("http://");
    let host = host.split('/').next().expect("a host");
    let mut stream = TcpStream::connect(host).expect("a connection");
    stream
        .write_all(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n").as_bytes())
        .expect("a beginning");
    wait_for("the end of the connection", WITHIN, || {
        stream.write_all(b"x: 1\r\n").is_err().then_some(())
    });
}
