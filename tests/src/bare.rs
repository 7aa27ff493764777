//! The least that an upload can be, to compare the page with: a file input, one
//! `XMLHttpRequest` of the whole file, and a server that reads it and keeps nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// The page that it serves.
const PAGE: &str =
    "<!DOCTYPE html><meta charset=utf-8><title>bare</title><input type=file id=pick>";

/// A server of bare uploads. It ends with the process.
#[derive(Clone, Copy, Debug)]
pub struct Bare {
    port: u16,
}

impl Bare {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for browser in listener.incoming().flatten() {
                std::thread::spawn(move || serve(&browser).unwrap_or_default());
            }
        });
        Self { port }
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Serves the requests of a connection, one after the other.
fn serve(browser: &TcpStream) -> std::io::Result<()> {
    let mut from = BufReader::new(browser.try_clone()?);
    let mut to = browser;
    loop {
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut from.by_ref().take(length), &mut std::io::sink())?;
        let body = if length == 0 { PAGE } else { "" };
        write!(
            to,
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}
