//! The built page: in the program, where it was built with it, or a folder.

use std::io;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, VARY,
};

/// A file in the program: its name, its bytes, and the same compressed where that is smaller.
type Embedded = (&'static str, &'static [u8], Option<&'static [u8]>);

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/page.rs"));
}

/// A static file: its headers and its bytes.
#[derive(Debug)]
pub(crate) struct StaticFile {
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

/// The page's files.
#[derive(Debug)]
pub(crate) struct Page {
    folder: Option<PathBuf>,
    /// Headers of files by the pattern of their path, as the build's `_headers` has them.
    headers: Vec<(String, HeaderMap)>,
}

impl Page {
    /// The page of a folder; without one that in the program, or `dist` where there is none.
    ///
    /// # Errors
    /// When there is no page.
    pub(crate) async fn open(folder: Option<PathBuf>) -> io::Result<Self> {
        let folder = match folder {
            None if embedded::FILES.is_empty() => Some(PathBuf::from("dist")),
            folder => folder,
        };
        let mut page = Self {
            folder,
            headers: Vec::new(),
        };
        let headers = page.read("_headers").await.map_err(|e| {
            let place = page.folder.as_deref().unwrap_or(Path::new("the program"));
            io::Error::new(e.kind(), format!("no page in {}: {e}", place.display()))
        })?;
        page.headers = parse_headers(&String::from_utf8_lossy(&headers));
        Ok(page)
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn read(&self, name: &str) -> io::Result<Bytes> {
        match &self.folder {
            Some(folder) => tokio::fs::read(folder.join(name)).await.map(Bytes::from),
            None => find(name).map(|(_, bytes, _)| Bytes::from_static(bytes)),
        }
    }

    /// The file of a request's path, compressed where its sender takes that.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) async fn file(&self, path: &str, request: &HeaderMap) -> io::Result<StaticFile> {
        let name = path.trim_start_matches('/');
        // Names of the build have no escapes, so that what has one is none of them.
        let mut parts = Path::new(name).components();
        let plain = parts.all(|c| matches!(c, Component::Normal(_)));
        if !plain || name.is_empty() || name == "_headers" {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut headers = HeaderMap::new();
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        if let Ok(kind) = HeaderValue::from_str(kind.as_ref()) {
            headers.insert(CONTENT_TYPE, kind);
        }
        let mut bytes = self.read(name).await?;
        if self.folder.is_none()
            && let (_, _, Some(compressed)) = find(name)?
        {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
            if takes_brotli(request) {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
                bytes = Bytes::from_static(compressed);
            }
        }
        for (pattern, more) in &self.headers {
            let matches = match pattern.strip_suffix('*') {
                Some(beginning) => path.starts_with(beginning),
                None => pattern == path,
            };
            if matches {
                headers.extend(more.clone());
            }
        }
        Ok(StaticFile { headers, bytes })
    }
}

fn find(name: &str) -> io::Result<Embedded> {
    let found = embedded::FILES.iter().find(|(known, _, _)| *known == name);
    found.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Whether brotli is among the encodings (RFC 9110, 12.5.3), and not by a weight of zero.
fn takes_brotli(request: &HeaderMap) -> bool {
    let all = request.get_all(ACCEPT_ENCODING).iter();
    let texts = all.filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("br") && weight != Some(Ok(0.0))
    })
}

/// Reads a `_headers` file: a pattern of paths, and below it, indented, its headers.
fn parse_headers(text: &str) -> Vec<(String, HeaderMap)> {
    let mut all: Vec<(String, HeaderMap)> = Vec::new();
    for line in text.lines() {
        match (line.trim().split_once(": "), all.last_mut()) {
            (Some((name, value)), Some((_, headers))) if line.starts_with(' ') => {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                    headers.insert(name, value);
                }
            }
            _ if line.starts_with('/') => all.push((line.to_owned(), HeaderMap::new())),
            _ => {}
        }
    }
    all
}
