//! The program itself: its size, how soon it answers, and what it takes while it has nothing to do.

use std::fs;
use std::io;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use chatlift_tests::scratch::{Folder, free_port};
use xtask::secrets::AppSecrets;

use crate::servers::{Kind, Running, Watch, edge};
use crate::{median, mib};

const TIMES: usize = 20;

/// How often is asked whether it answers.
const EVERY: Duration = Duration::from_millis(1);

/// How long it has had nothing to do when its memory is read.
const IDLE: Duration = Duration::from_secs(5);

/// A process, killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `/healthz` answers.
fn answers(port: u16) -> io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// Milliseconds from the start of the process to its first answer.
fn first_answer(state: &Path) -> f64 {
    let port = free_port();
    let secrets = AppSecrets::random().expect("random bytes");
    let mut command = edge(
        port,
        state.to_owned(),
        "http://127.0.0.1:9/",
        (&secrets, &secrets),
    );
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begun = xtask::run::now();
    let _process = Process(command.spawn().expect("the edge"));
    while !answers(port).unwrap_or(false) {
        std::thread::sleep(EVERY);
    }
    begun.elapsed().as_secs_f64() * 1000.0
}

fn line(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    println!(
        "{what}: median {:.0} ms of {TIMES}, {:.0} to {:.0}",
        median(times.iter().copied()),
        times[0],
        times[times.len() - 1]
    );
}

pub(crate) fn report() {
    let program = fs::metadata(xtask::native::shipped()).expect("the program");
    println!("program with the page in it: {:.1} MiB", mib(program.len()));
    let new = (0..TIMES).map(|n| {
        let folder = Folder::new(&format!("bench-start-{n}"));
        first_answer(&folder.path().join("data"))
    });
    line("start to first answer, new folder", new.collect());
    let folder = Folder::new("bench-start");
    let again = (0..TIMES).map(|_| first_answer(&folder.path().join("data")));
    line("start to first answer, same folder", again.collect());
    let idle = Running::start(Kind::Edge, Watch::Nothing);
    std::thread::sleep(IDLE);
    println!("memory, idle: {:.1} MiB", mib(idle.resident()));
}
