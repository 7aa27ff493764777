//! What a program that a stranger's file has taken over gets at, behind each kind of walls.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chatlift_backend::sandbox::{Limits, Program, Programs, Run, Sandbox, Walls};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use crate::common::process::Process;
use crate::common::{TestEdge, announce, event_id, file_id};
use crate::hostile::processes_of;
use crate::killed::{long, until};

const LIMITS: Limits = Limits {
    time: Duration::from_secs(30),
    memory: 1 << 30,
    output: 1 << 30,
    processes: 16,
};

/// What it tries, and says that it got.
const TRIES: &str = r#"
    use Socket;
    use POSIX ();
    my ($secret, $other, $pid, $port, $path) = @ARGV;
    $| = 1;
    sub try { my ($what, $got) = @_; print "$what\n" if $got; }
    sub in { sockaddr_in($port, inet_aton("127.0.0.1")) }
    my ($tcp, $udp, $unix, $abstract, $environ, $memory);
    try("read", open(my $read, "<", $secret));
    try("append", open(my $append, ">>", $secret));
    try("create", open(my $create, ">", "$other/new"));
    try("list", opendir(my $list, $other));
    try("mode", chmod(0666, $secret));
    try("truncate", truncate($secret, 1));
    try("remove", unlink("$other/removable"));
    try("rename", rename("$other/movable", "$other/moved"));
    try("environment", open($environ, "<", "/proc/$pid/environ") && defined(scalar(<$environ>)));
    try("memory", open($memory, "<", "/proc/$pid/mem") && 1);
    try("signal", kill(0, $pid));
    try("tcp", socket($tcp, PF_INET, SOCK_STREAM, 0) && connect($tcp, in()));
    try("udp", socket($udp, PF_INET, SOCK_DGRAM, 0) && defined(send($udp, "x", 0, in())));
    try("unix", socket($unix, PF_UNIX, SOCK_STREAM, 0) && connect($unix, sockaddr_un($path)));
    try("abstract", socket($abstract, PF_UNIX, SOCK_STREAM, 0)
        && connect($abstract, pack_sockaddr_un("\0chatlift-walls-$port")));
    try("nice", setpriority(0, $pid, 19));
    open(my $own, ">", "own") or die "no file of its own: $!";
    print "end\n";
"#;

/// Everything that [`TRIES`] may say before its end.
const ALL: [&str; 16] = [
    "read",
    "append",
    "create",
    "list",
    "mode",
    "truncate",
    "remove",
    "rename",
    "environment",
    "memory",
    "signal",
    "tcp",
    "udp",
    "unix",
    "abstract",
    "nice",
];

/// The program that is called to confine others.
fn own() -> PathBuf {
    std::env::var_os("CHATLIFT_TEST_OWN")
        .map_or_else(|| env!("CARGO_BIN_EXE_chatlift-backend").into(), Into::into)
}

/// What a program that is run behind these walls gets at.
fn gets(walls: Walls) -> Vec<String> {
    let (tools, folder) = (tempfile::tempdir(), tempfile::tempdir());
    let (tools, folder) = (tools.expect("a folder"), folder.expect("a folder"));
    let other = tempfile::tempdir().expect("a folder");
    for (name, program) in [
        ("bwrap", "/usr/bin/bwrap"),
        ("prlimit", "/usr/bin/prlimit"),
        ("setpriv", "/usr/bin/setpriv"),
        ("exiftool", "/usr/bin/perl"),
    ] {
        symlink(program, tools.path().join(name)).expect("a link");
    }
    let secret = other.path().join("chatlift.db");
    std::fs::write(&secret, "secret").expect("a file");
    for name in ["removable", "movable"] {
        std::fs::write(other.path().join(name), "").expect("a file");
    }
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = tcp.local_addr().expect("an address").port();
    let udp = UdpSocket::bind(("127.0.0.1", port)).expect("a port");
    let path = other.path().join("socket");
    let unix = UnixListener::bind(&path).expect("a socket");
    let name = format!("chatlift-walls-{port}");
    let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("a name");
    let hidden = UnixListener::bind_addr(&address).expect("a socket");

    let programs = Programs::find_in(&[tools.path().to_owned()]).with_own(own());
    let perl = programs.get(Program::ExifTool).expect("perl").to_owned();
    let sandbox = Sandbox::with_walls(programs, walls);
    let arguments = [
        "-e".into(),
        TRIES.into(),
        secret.clone().into(),
        other.path().into(),
        std::process::id().to_string().into(),
        port.to_string().into(),
        path.clone().into(),
    ];
    let ended = sandbox.run(&Run {
        program: Program::ExifTool,
        arguments: arguments.into(),
        folder: folder.path(),
        reads: &[&perl],
        limits: LIMITS,
    });
    let ended = ended.expect("it runs");
    assert!(ended.success, "{walls:?} {ended:?}");
    assert!(folder.path().join("own").is_file());
    drop((tcp, unix, hidden));
    let mut got: Vec<String> = ended.output.lines().map(str::to_owned).collect();
    assert_eq!(got.pop().as_deref(), Some("end"));
    // In a network of its own it may send, but to nobody.
    udp.set_nonblocking(true).expect("a socket");
    if udp.recv(&mut [0; 1]).is_err() {
        got.retain(|got| got != "udp");
    }
    got
}

#[test]
fn a_program_gets_at_nothing_from_behind_any_strong_walls() {
    assert_eq!(gets(Walls::None), ALL, "the tries are good");
    for walls in [Walls::Bubblewrap, Walls::Landlock] {
        assert_eq!(gets(walls), [""; 0], "{walls:?}");
    }
}

#[test]
fn an_ordinary_users_program_gets_at_nothing_either() {
    let folder = tempfile::tempdir_in("/tmp").expect("a folder");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("an open folder");
    let this = std::env::current_exe().expect("this program");
    let copies = [&this, &own()].map(|program| {
        let copy = folder.path().join(program.file_name().expect("a name"));
        std::fs::copy(program, &copy).expect("a copy");
        copy
    });
    let id = Command::new("id").arg("-u").output().expect("id");
    let mut command = match id.stdout == b"0\n" {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            command.arg(&copies[0]);
            command
        }
        false => Command::new(&copies[0]),
    };
    let ended = command
        .args([
            "--exact",
            "walls::a_program_gets_at_nothing_from_behind_any_strong_walls",
        ])
        .env("CHATLIFT_TEST_OWN", &copies[1])
        .current_dir(folder.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    for walls in [Walls::Bubblewrap, Walls::Landlock] {
        let (tools, folder) = (tempfile::tempdir(), tempfile::tempdir());
        let (tools, folder) = (tools.expect("a folder"), folder.expect("a folder"));
        symlink("/usr/bin/bwrap", tools.path().join("bwrap")).expect("a link");
        symlink("/usr/bin/perl", tools.path().join("exiftool")).expect("a link");
        let programs = Programs::find_in(&[tools.path().to_owned()]).with_own(own());
        let perl = programs.get(Program::ExifTool).expect("perl").to_owned();
        // A grandchild in a session of its own, whose parent has ended.
        let words = "use POSIX; unless (fork) { POSIX::setsid(); exit if fork; sleep 600 } wait;";
        let ended = Sandbox::with_walls(programs, walls).run(&Run {
            program: Program::ExifTool,
            arguments: vec!["-e".into(), words.into(), folder.path().into()],
            folder: folder.path(),
            reads: &[&perl],
            limits: LIMITS,
        });
        assert!(ended.expect("it runs").success, "{walls:?}");
        assert_eq!(processes_of(folder.path()), 0, "{walls:?}");
    }
}

/// Refuses namespaces to this thread and all that it starts, as containers do by default.
fn refuse_namespaces() {
    let user = u64::from(libc::CLONE_NEWUSER.unsigned_abs());
    let flag = |argument| {
        let made = SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(user),
            user,
        );
        vec![SeccompRule::new(vec![made.expect("a condition")]).expect("a rule")]
    };
    let arch = std::env::consts::ARCH.try_into().expect("an architecture");
    for (rules, errno) in [
        (
            [(libc::SYS_unshare, vec![]), (libc::SYS_clone, flag(0))].to_vec(),
            libc::EPERM,
        ),
        ([(libc::SYS_clone3, vec![])].to_vec(), libc::ENOSYS),
    ] {
        let rules = rules.into_iter().collect();
        let errno = SeccompAction::Errno(errno.unsigned_abs());
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, arch);
        let filter = filter.expect("a filter").try_into().expect("a program");
        let filter: seccompiler::BpfProgram = filter;
        apply_filter(&filter).expect("the filter");
    }
}

/// Runs `work` where no namespace can be made.
fn without_namespaces<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        refuse_namespaces();
        work()
    });
    thread.join().expect("it ends well")
}

#[test]
fn where_namespaces_are_refused_landlock_stands() {
    let (walls, got) = without_namespaces(|| {
        let programs = Programs::find("/usr/bin:/bin".as_ref()).with_own(own());
        let sandbox = Sandbox::new(programs, false).expect("strong walls");
        (sandbox.walls(), gets(sandbox.walls()))
    });
    assert_eq!(walls, Walls::Landlock);
    assert_eq!(got, [""; 0]);
}

/// A text, and how LibreOffice's PDF of it begins.
const TEXT: &[u8] = "海港保险 words\n".as_bytes();

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_without_namespaces_converts_behind_landlock_and_says_so() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let (folder, of) = (data.path().to_owned(), edge.clone());
    let process = tokio::task::spawn_blocking(|| {
        without_namespaces(move || Process::start(&folder, &of, &[("CHATLIFT_WALLS", "strong")]))
    });
    let process = process.await.expect("it starts");
    edge.hold(file_id(1), TEXT, "\"v1\"");
    let event = announce(1, "a.txt", "text/plain", TEXT, &["application/pdf"]);
    assert_eq!(process.tell(event_id(1), &event).await, Some(204));
    edge.receipts(3).await;
    let delivered = data.path().join("deliveries").join(file_id(1).to_string());
    assert!(
        std::fs::read(delivered)
            .expect("the file")
            .starts_with(b"%PDF")
    );
    let log = process.log();
    let says = |words: &[&str]| {
        log.iter()
            .any(|line| words.iter().all(|w| line.contains(w)))
    };
    assert!(
        says(&["converters run behind walls", "landlock"]),
        "{log:?}"
    );
    assert!(
        says(&["LibreOffice", "landlock", &file_id(1).to_string()]),
        "{log:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_landlock_confines_dies_with_a_killed_backend() {
    let data = tempfile::tempdir().expect("a folder");
    let edge = TestEdge::start().await;
    let (folder, of) = (data.path().to_owned(), edge.clone());
    let process = tokio::task::spawn_blocking(|| {
        without_namespaces(move || Process::start(&folder, &of, &[("CHATLIFT_WALLS", "strong")]))
    });
    let mut process = process.await.expect("it starts");
    let content = long();
    edge.hold(file_id(1), &content, "\"v1\"");
    let event = announce(1, "a.txt", "text/plain", &content, &["application/pdf"]);
    assert_eq!(process.tell(event_id(1), &event).await, Some(204));
    // The supervisor, and what it supervises.
    until("LibreOffice runs", || processes_of(data.path()) > 1).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    process.kill();
    until("LibreOffice is dead", || processes_of(data.path()) == 0).await;
}
