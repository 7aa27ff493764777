//! What keeps a program in.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use crate::hostile::processes_of;
use crate::make::program;
use chatlift_backend::sandbox::{
    Limits, NoWalls, Program, Programs, Run, RunError, Sandbox, Walls,
};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    memory: 1 << 30,
    output: 1 << 30,
    processes: 16,
};

/// Runs ffmpeg behind each kind of walls that can be had here.
fn ffmpeg(
    sandbox: &Sandbox,
    folder: &Path,
    limits: Limits,
    arguments: &str,
) -> Result<bool, RunError> {
    let arguments = format!("-nostdin -y {arguments}");
    let ended = sandbox.run(&Run {
        program: Program::Ffmpeg,
        arguments: arguments.split(' ').map(OsString::from).collect(),
        folder,
        reads: &[],
        limits,
    })?;
    Ok(ended.success)
}

fn kinds() -> Vec<Sandbox> {
    let programs = Programs::find("/usr/bin:/bin".as_ref());
    let mut kinds = vec![crate::sandbox()];
    for walls in [Walls::Unshare, Walls::None] {
        kinds.push(Sandbox::with_walls(programs.clone(), walls));
    }
    kinds
}

const ENDLESS: &str = "-re -f lavfi -i sine -f null -";

#[test]
fn each_limit_ends_a_program_that_passes_it_and_the_next_runs() {
    for sandbox in kinds() {
        let folder = tempfile::tempdir().expect("a folder");
        let walls = sandbox.walls();
        let time = Duration::from_millis(500);
        let slow = ffmpeg(&sandbox, folder.path(), Limits { time, ..LIMITS }, ENDLESS);
        assert!(
            matches!(slow, Err(RunError::Time { .. })),
            "{walls:?} {slow:?}"
        );

        let output = 200_000;
        let limits = Limits { output, ..LIMITS };
        let much = "-f lavfi -i testsrc=size=1920x1080 -f rawvideo out.raw";
        let much = ffmpeg(&sandbox, folder.path(), limits, much);
        assert!(
            matches!(much, Err(RunError::Output { .. })),
            "{walls:?} {much:?}"
        );

        let memory = 20 << 20;
        let limits = Limits { memory, ..LIMITS };
        let fat = "-f lavfi -i testsrc=size=3840x2160 -vf reverse -f null -";
        let fat = ffmpeg(&sandbox, folder.path(), limits, fat);
        assert!(
            matches!(fat, Err(RunError::Memory { .. })),
            "{walls:?} {fat:?}"
        );

        let processes = 0;
        let limits = Limits {
            processes,
            ..LIMITS
        };
        let many = ffmpeg(&sandbox, folder.path(), limits, ENDLESS);
        assert!(
            matches!(many, Err(RunError::Processes { .. })),
            "{walls:?} {many:?}"
        );

        std::fs::remove_file(folder.path().join("out.raw")).expect("the file");
        let good = "-f lavfi -i sine=duration=1 out.wav";
        let good = ffmpeg(&sandbox, folder.path(), LIMITS, good);
        assert!(good.expect("it ran"), "{walls:?}");
        assert!(folder.path().join("out.wav").is_file());
    }
}

#[test]
fn a_program_has_no_network_and_no_files_but_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let other = tempfile::tempdir().expect("a folder");
    let secret = other.path().join("secret.wav");
    let plain = Sandbox::with_walls(Programs::find("/usr/bin:/bin".as_ref()), Walls::None);
    let make = format!("-f lavfi -i sine=duration=1 {}", secret.display());
    assert!(ffmpeg(&plain, folder.path(), LIMITS, &make).expect("it ran"));

    let sandbox = crate::sandbox();
    for reach in [
        format!("http://{address}/a.wav"),
        secret.display().to_string(),
    ] {
        let reach = format!("-i {reach} -f null -");
        assert!(!ffmpeg(&sandbox, folder.path(), LIMITS, &reach).expect("it ran"));
    }
    assert!(listener.accept().is_err(), "nobody has called");
    let elsewhere = format!(
        "-f lavfi -i sine=duration=1 {}/b.wav",
        other.path().display()
    );
    assert!(!ffmpeg(&sandbox, folder.path(), LIMITS, &elsewhere).expect("it ran"));
}

#[test]
fn a_stopped_sandbox_kills_what_runs_and_runs_nothing_more() {
    let sandbox = crate::sandbox();
    let folder = tempfile::tempdir().expect("a folder");
    let running = std::thread::spawn({
        let (sandbox, folder) = (sandbox.clone(), folder.path().to_owned());
        move || ffmpeg(&sandbox, &folder, LIMITS, ENDLESS)
    });
    while !folder.path().join(".stderr").is_file() {
        std::thread::yield_now();
    }
    sandbox.stop();
    let ended = running.join().expect("a thread");
    assert!(matches!(ended, Err(RunError::Stopped)), "{ended:?}");
    let again = tempfile::tempdir().expect("a folder");
    let refused = ffmpeg(&sandbox, again.path(), LIMITS, ENDLESS);
    assert!(matches!(refused, Err(RunError::Stopped)), "{refused:?}");
    let left = std::fs::read_dir(again.path()).expect("the folder");
    assert_eq!(left.count(), 0, "nothing was begun");
}

#[test]
fn whenever_a_sandbox_is_stopped_nothing_of_a_program_that_begins_is_left() {
    for wait in 0..60 {
        let sandbox = crate::sandbox();
        let folder = tempfile::tempdir().expect("a folder");
        let running = std::thread::spawn({
            let (sandbox, folder) = (sandbox.clone(), folder.path().to_owned());
            move || ffmpeg(&sandbox, &folder, LIMITS, ENDLESS)
        });
        std::thread::sleep(Duration::from_micros(wait * 150));
        sandbox.stop();
        assert_eq!(processes_of(folder.path()), 0, "after {wait} * 150 us");
        let ended = running.join().expect("a thread");
        assert!(matches!(ended, Err(RunError::Stopped)), "{ended:?}");
        assert_eq!(processes_of(folder.path()), 0, "after {wait} * 150 us");
    }
}

#[test]
fn without_strong_walls_nothing_runs_unless_that_is_said_to_be_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str, program: &str| {
        let to = std::path::Path::new(program);
        std::os::unix::fs::symlink(to, folder.path().join(name)).expect("a link");
    };
    let sandbox = |weak| Sandbox::new(Programs::find_in(&[folder.path().to_owned()]), weak);
    // With nothing to run there is nothing to keep in.
    assert_eq!(sandbox(false).expect("a sandbox").walls(), Walls::None);
    place("ffmpeg", "/usr/bin/ffmpeg");
    assert_eq!(sandbox(false).err(), Some(NoWalls));
    assert_eq!(sandbox(true).expect("a sandbox").walls(), Walls::None);
    // Where namespaces are refused, as in an ordinary container, bubblewrap fails.
    place("bwrap", "/usr/bin/false");
    assert_eq!(sandbox(false).err(), Some(NoWalls));
    let sentence = NoWalls.to_string();
    assert!(sentence.contains("CHATLIFT_WALLS=weak"), "{sentence}");
    // The user's files are within reach behind these.
    place("unshare", "/usr/bin/unshare");
    assert_eq!(sandbox(false).err(), Some(NoWalls));
}

#[test]
fn what_is_no_fault_of_the_file_is_told_as_trouble_of_the_system() {
    let sandbox = crate::sandbox();
    let folder = tempfile::tempdir().expect("a folder");
    // Killed by another, as by a system that has no memory left.
    let running = std::thread::spawn({
        let (sandbox, folder) = (sandbox.clone(), folder.path().to_owned());
        move || {
            ffmpeg(
                &sandbox,
                &folder,
                LIMITS,
                &format!("{ENDLESS} {}", folder.display()),
            )
        }
    });
    let killed = loop {
        let found = program_in(folder.path(), "ffmpeg");
        if let Some(pid) = found {
            break program("kill", "procps", &["-KILL", &pid.to_string()]);
        }
        assert!(!running.is_finished(), "it runs");
        std::thread::yield_now();
    };
    killed.expect("it was there");
    let ended = running.join().expect("a thread");
    assert!(matches!(ended, Err(RunError::System { .. })), "{ended:?}");
    // The walls cannot be put up.
    let missing = folder.path().join("missing");
    let ended = sandbox.run(&Run {
        program: Program::Ffmpeg,
        arguments: vec!["-version".into()],
        folder: folder.path(),
        reads: &[&missing],
        limits: LIMITS,
    });
    assert!(matches!(ended, Err(RunError::System { .. })), "{ended:?}");
}

/// A process of this name that works in this folder.
fn program_in(folder: &Path, name: &str) -> Option<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find_map(|process| {
            let known = std::fs::read_to_string(process.join("comm")).ok()?;
            let works_in = std::fs::read_link(process.join("cwd")).ok()?;
            let found = known.trim() == name && works_in == folder;
            found.then(|| process.file_name()?.to_str()?.parse().ok())?
        })
}
