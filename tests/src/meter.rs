//! Reads along HTTP/1.1 requests on a connection, and tells the bytes of files from the rest.

/// Longest head of a request, in bytes; more is taken for no HTTP, and not counted.
const HEAD_MAX: usize = 64 * 1024;

/// What comes next on the connection.
#[derive(Debug)]
enum Next {
    /// The rest of a request's head.
    Head(Vec<u8>),
    /// So many bytes of a body, a file's or not.
    Body { left: u64, file: bool },
    /// Something that cannot be read.
    Unknown,
}

/// Counts the bytes of files among what is sent up on one connection. Bodies have a length, as
/// those of all requests that carry a file do.
#[derive(Debug)]
pub(crate) struct Meter {
    next: Next,
    /// Requests of which the head has passed, until they are asked for.
    requests: u64,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            next: Next::Head(Vec::new()),
            requests: 0,
        }
    }
}

impl Meter {
    /// How many of the next bytes are a file's.
    pub(crate) fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut files = 0;
        while !bytes.is_empty() {
            match &mut self.next {
                Next::Unknown => return files,
                Next::Body { left, file } => {
                    let here = (*left).min(bytes.len() as u64);
                    files += if *file { here } else { 0 };
                    *left -= here;
                    let ended = *left == 0;
                    bytes = &bytes[usize::try_from(here).unwrap_or(bytes.len())..];
                    if ended {
                        self.next = Next::Head(Vec::new());
                    }
                }
                Next::Head(head) => {
                    head.push(bytes[0]);
                    bytes = &bytes[1..];
                    if head.ends_with(b"\r\n\r\n") {
                        self.requests += 1;
                        self.next = after(&String::from_utf8_lossy(head));
                    } else if head.len() > HEAD_MAX {
                        self.next = Next::Unknown;
                    }
                }
            }
        }
        files
    }

    /// How many requests have begun since this was last asked.
    pub(crate) fn take_requests(&mut self) -> u64 {
        std::mem::take(&mut self.requests)
    }
}

/// What follows a head.
fn after(head: &str) -> Next {
    let mut lines = head.split("\r\n");
    let request = lines.next().unwrap_or_default();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("content-length");
        named.then(|| value.trim().parse().ok())?
    });
    let left = length.unwrap_or(0);
    if left == 0 {
        return Next::Head(Vec::new());
    }
    let file = matches!(method, "PUT" | "PATCH") || (method == "POST" && path.ends_with("/files"));
    Next::Body { left, file }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bytes_of_files_count_however_they_are_cut() {
        let mut sent = Vec::new();
        for (request, body) in [
            ("GET /u/t HTTP/1.1\r\nHost: x\r\n\r\n", ""),
            (
                "POST /u/t/uploads HTTP/1.1\r\nContent-Length: 2\r\n\r\n",
                "{}",
            ),
            (
                "PUT /u/t/uploads/1/parts/1 HTTP/1.1\r\ncontent-length: 5\r\n\r\n",
                "12345",
            ),
            (
                "PUT /u/t/uploads/1/parts/2 HTTP/1.1\r\nContent-Length: 7\r\n\r\n",
                "1234567",
            ),
            (
                "POST /u/t/files HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
                "123",
            ),
            (
                "PATCH /u/t/tus/1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n",
                "1234",
            ),
        ] {
            sent.extend_from_slice(request.as_bytes());
            sent.extend_from_slice(body.as_bytes());
        }
        for size in [1, 2, 7, 64, 1000] {
            let mut meter = Meter::default();
            let count: u64 = sent.chunks(size).map(|piece| meter.count(piece)).sum();
            assert_eq!(count, 19, "pieces of {size}");
            assert_eq!(meter.take_requests(), 6);
        }
    }
}
