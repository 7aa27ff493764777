//! clamd: how it is asked, and what its answers mean (clamd(8)).

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long a scan may stand still: clamd says nothing until it is done, and a large archive
/// takes minutes.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes that are sent at once. clamd reads a length of 4 bytes before each.
const CHUNK: usize = 64 * 1024;
/// Longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 4096;

/// Where clamd listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clamd {
    /// A socket in the file system.
    Unix(PathBuf),
    /// An address on the network.
    Tcp(SocketAddr),
}

impl FromStr for Clamd {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:").filter(|p| p.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        text.strip_prefix("tcp:")
            .and_then(|address| address.parse().ok())
            .map(Self::Tcp)
            .ok_or("is neither unix:/path nor tcp:address:port")
    }
}

/// What becomes of a file that clamd could not scan to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unscanned {
    /// It is rejected.
    #[default]
    Refuse,
    /// It is delivered.
    Deliver,
    /// It waits until the operator has decided: `jobs release` or `jobs park`.
    Hold,
}

impl FromStr for Unscanned {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "deliver" => Ok(Self::Deliver),
            "hold" => Ok(Self::Hold),
            _ => Err("is neither refuse, deliver nor hold"),
        }
    }
}

/// What clamd says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was found.
    Clean,
    /// It holds this.
    Infected(String),
    /// It was not scanned to its end, now or later; why.
    NotScanned(String),
}

impl Clamd {
    /// Has a file scanned.
    ///
    /// # Errors
    /// When the file cannot be read or clamd does not answer.
    pub async fn scan(&self, path: &Path) -> io::Result<Verdict> {
        let file = tokio::fs::File::open(path).await?;
        let said = match self {
            Self::Tcp(address) => ask(TcpStream::connect(address).await?, file).await?,
            #[cfg(unix)]
            Self::Unix(path) => ask(tokio::net::UnixStream::connect(path).await?, file).await?,
            #[cfg(not(unix))]
            Self::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        verdict(&said).ok_or_else(|| io::Error::other(format!("clamd said {said:?}")))
    }
}

/// `zINSTREAM`, chunks with their lengths, a length of zero, and the answer (clamd(8)).
async fn ask(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    mut file: tokio::fs::File,
) -> io::Result<String> {
    socket.write_all(b"zINSTREAM\0").await?;
    let mut chunk = vec![0; CHUNK];
    let sent = async {
        loop {
            let read = file.read(&mut chunk).await?;
            let len = u32::try_from(read).unwrap_or(u32::MAX);
            socket.write_all(&len.to_be_bytes()).await?;
            if read == 0 {
                return socket.flush().await;
            }
            socket.write_all(&chunk[..read]).await?;
        }
    };
    let sent = tokio::time::timeout(PATIENCE, sent).await?;
    let mut said = String::new();
    let read = (&mut socket).take(ANSWER_MAX);
    let mut read = std::pin::pin!(read);
    let answered = tokio::time::timeout(PATIENCE, read.read_to_string(&mut said)).await?;
    // clamd closes in the middle of a file that is too long for it, and says so first.
    match (sent, answered) {
        _ if !said.is_empty() => Ok(said),
        (Err(error), _) | (_, Err(error)) => Err(error),
        (Ok(()), Ok(_)) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The answer is `stream: OK`, `stream: <name> FOUND` or ends with `ERROR`; `None` if it is neither,
/// or an error that says nothing of the file.
fn verdict(said: &str) -> Option<Verdict> {
    /// What clamd says where the file is the reason (`cl_strerror` in libclamav/others.c, and
    /// clamd/session.c).
    const OF_THE_FILE: [&str; 5] = [
        "size limit exceeded",
        "Bad format or broken data",
        "CL_EFORMAT",
        "CL_EPARSE",
        "CL_EUNPACK",
    ];
    let said = said.trim_end_matches('\0').trim();
    if said.ends_with("ERROR") {
        let of_the_file = OF_THE_FILE.iter().any(|words| said.contains(words));
        return of_the_file.then(|| Verdict::NotScanned(said.to_owned()));
    }
    let said = said.strip_prefix("stream: ")?;
    if said == "OK" {
        return Some(Verdict::Clean);
    }
    let name = said.strip_suffix(" FOUND")?.to_owned();
    Some(match name.starts_with("Heuristics.") {
        true => Verdict::NotScanned(name),
        false => Verdict::Infected(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamds_answers_are_understood() {
        for (said, expected) in [
            ("stream: OK\0", Some(Verdict::Clean)),
            (
                "stream: Eicar-Signature FOUND\0",
                Some(Verdict::Infected("Eicar-Signature".to_owned())),
            ),
            (
                "INSTREAM size limit exceeded. ERROR\0",
                Some(Verdict::NotScanned(
                    "INSTREAM size limit exceeded. ERROR".to_owned(),
                )),
            ),
            (
                "stream: Heuristics.Encrypted.Zip FOUND\0",
                Some(Verdict::NotScanned("Heuristics.Encrypted.Zip".to_owned())),
            ),
            (
                "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0",
                Some(Verdict::NotScanned(
                    "Heuristics.Limits.Exceeded.MaxFileSize".to_owned(),
                )),
            ),
            ("stream: Can't allocate memory ERROR\0", None),
            ("stream: Can't create temporary file ERROR\0", None),
            ("COMMAND READ TIMED OUT\0", None),
            ("UNKNOWN COMMAND ERROR\0", None),
            ("", None),
        ] {
            assert_eq!(verdict(said), expected, "{said}");
        }
    }

    #[test]
    fn an_address_of_clamd_is_a_path_or_a_port() {
        for (text, good) in [
            ("unix:/run/clamav/clamd.ctl", true),
            ("tcp:127.0.0.1:3310", true),
            ("unix:clamd.ctl", false),
            ("127.0.0.1:3310", false),
        ] {
            assert_eq!(text.parse::<Clamd>().is_ok(), good, "{text}");
        }
    }
}
