//! Connections: HTTP/1.1 and HTTP/2 in, the edge's answers out.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use chatlift_edge::http as edge_http;
use chatlift_edge::http::{RETRY_AFTER, Request, Response};
use chatlift_edge::log;
use chatlift_shared::problem::MEDIA_TYPE;
use chatlift_shared::{Problem, ProblemCode};
use futures_util::future::{Either, select};
use futures_util::stream::{self, LocalBoxStream, Stream, StreamExt as _};
use http::header::{self, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyStream, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use ipnet::IpNet;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_local;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::body::Body;
use crate::edge::{Answering, Native};
use crate::error::Error;
use crate::settings::Tls;

/// How long a client may take to agree on a connection, or to send the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// How long nothing may come of a body before it is taken for broken off.
const BODY_WITHIN: Duration = Duration::from_secs(60);

/// How long requests under way may take when the program is to end.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// What is read of a connection at once, in bytes, and so what each may have in memory that nobody has taken;
/// the longest head too. hyper keeps two of these; its own bound is 400 KiB, which is 160 MB with 200 connections.
const READ_MAX: usize = 32 * 1024;

/// Requests of a connection that are answered at once, by HTTP/2.
const STREAMS: u32 = 100;

/// What is read of a body that nobody wants, at most: somewhat more than one request may bring, and for
/// so long.
const DRAINED_MAX: usize = 128 * 1024 * 1024;
const DRAINED_FOR: Duration = Duration::from_secs(30);

type Out = StreamBody<LocalBoxStream<'static, io::Result<Frame<Bytes>>>>;

/// How connections are taken.
pub(crate) struct Door {
    pub(crate) tls: Option<TlsAcceptor>,
    /// Proxies whose word about the sender is taken.
    pub(crate) trusted: Vec<IpNet>,
    /// Connections that may be open at once.
    pub(crate) connections: usize,
}

/// TLS with a certificate of files, by HTTP/2 where a client knows it.
///
/// # Errors
/// Names the file that is wrong.
pub(crate) fn tls(files: &Tls) -> Result<TlsAcceptor, Error> {
    let wrong = |name: &str, why: String| Error::Config(format!("{name}: {why}"));
    let read = |name: &str, path| fs::read(path).map_err(|e| wrong(name, e.to_string()));
    let pem = read("TLS_CERTIFICATE", &files.certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|e| wrong("TLS_CERTIFICATE", e.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&read("TLS_KEY", &files.key)?)
        .map_err(|e| wrong("TLS_KEY", e.to_string()))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| wrong("TLS_CERTIFICATE", e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes connections until `stop`, and then ends those that there are when their requests are answered.
pub(crate) async fn run(
    listener: TcpListener,
    edge: Rc<Native>,
    door: Door,
    stop: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(door.connections));
    let (door, graceful) = (Rc::new(door), GracefulShutdown::new());
    let mut stop = pin!(stop);
    loop {
        let next = pin!(accept(&listener, &room));
        let (stream, peer, permit) = match select(stop.as_mut(), next).await {
            Either::Left(((), _)) => break,
            Either::Right((next, _)) => next,
        };
        let client = Client {
            edge: Rc::clone(&edge),
            door: Rc::clone(&door),
            peer,
            watcher: graceful.watcher(),
        };
        spawn_local(async move {
            client.edge.metrics.connections.inc();
            let gauge = client.edge.metrics.connections.clone();
            client.talk(stream).await;
            gauge.dec();
            drop(permit);
        });
    }
    edge.draining.set(true);
    drop(listener);
    log::info("draining", &[]);
    if timeout(DRAIN_WITHIN, graceful.shutdown()).await.is_err() {
        log::error("requests were cut off", &[]);
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, IpAddr, Option<OwnedSemaphorePermit>) {
    let permit = Arc::clone(room).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer.ip().to_canonical(), permit),
            Err(error) => {
                // As when there are too many open files: others will be closed.
                log::error("accept", &[("reason", error.to_string())]);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Runs what HTTP/2 wants to have run, on this thread.
#[derive(Clone, Copy, Debug)]
struct Here;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Here {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// A client that has connected.
struct Client {
    edge: Rc<Native>,
    door: Rc<Door>,
    peer: IpAddr,
    watcher: Watcher,
}

impl Client {
    /// Answers its requests until it goes away. What it does wrong is no news.
    async fn talk(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.door.tls.clone() else {
            return self.answer(stream, false).await;
        };
        if let Ok(Ok(stream)) = timeout(HEAD_WITHIN, tls.accept(stream)).await {
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            self.answer(stream, h2).await;
        }
    }

    async fn answer(self, io: impl AsyncRead + AsyncWrite + Unpin + 'static, h2: bool) {
        let (edge, door, peer) = (self.edge, self.door, self.peer);
        let service = service_fn(move |request| {
            let (edge, door) = (Rc::clone(&edge), Rc::clone(&door));
            // A request goes on when its client has gone, so that what had arrived is put away.
            let answer = spawn_local(answer(edge, door, peer, request));
            async move {
                Ok::<_, Infallible>(answer.await.unwrap_or_else(|_| {
                    let mut failed = http::Response::new(out(stream::empty().boxed_local()));
                    *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    failed
                }))
            }
        });
        let io = TokioIo::new(io);
        if h2 {
            let connection = http2::Builder::new(Here)
                .timer(TokioTimer::new())
                .keep_alive_interval(HEAD_WITHIN)
                .max_concurrent_streams(STREAMS)
                .serve_connection(io, service);
            let _ = self.watcher.watch(connection).await;
        } else {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .max_buf_size(READ_MAX)
                .serve_connection(io, service);
            let _ = self.watcher.watch(connection).await;
        }
    }
}

/// Whom a request comes from, and whether by https: as the proxies say that are trusted.
fn sender(door: &Door, peer: IpAddr, headers: &HeaderMap) -> (IpAddr, bool) {
    let trusted = |address: &IpAddr| door.trusted.iter().any(|net| net.contains(address));
    if !trusted(&peer) {
        return (peer, door.tls.is_some());
    }
    let https = headers
        .get("x-forwarded-proto")
        .is_some_and(|p| p == "https");
    let all = headers.get_all("x-forwarded-for").iter();
    let texts: Vec<&str> = all.filter_map(|value| value.to_str().ok()).collect();
    let hops = texts.iter().rev().flat_map(|text| text.rsplit(','));
    let mut sender = peer;
    // Each proxy adds whom it was asked by: what stands before one that is not trusted is anybody's word.
    for hop in hops {
        let Ok(hop) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        sender = hop.to_canonical();
        if !trusted(&sender) {
            break;
        }
    }
    (sender, https || door.tls.is_some())
}

async fn answer(
    edge: Rc<Native>,
    door: Rc<Door>,
    peer: IpAddr,
    request: http::Request<Incoming>,
) -> http::Response<Out> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET && parts.uri.path() == "/readyz" {
        let mut answer = http::Response::new(out(stream::empty().boxed_local()));
        if !edge.is_ready().await {
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        return answer;
    }
    let (peer, https) = sender(&door, peer, &parts.headers);
    let answering = Answering {
        edge: Rc::clone(&edge),
        peer,
    };
    let host = parts.headers.get(HOST).and_then(|h| h.to_str().ok());
    let host = host.or(parts.uri.authority().map(http::uri::Authority::as_str));
    let address = format!(
        "{}://{}{}",
        if https { "https" } else { "http" },
        host.unwrap_or("localhost"),
        parts.uri.path_and_query().map_or("/", |path| path.as_str())
    );
    let Ok(url) = Url::parse(&address) else {
        let mut refused = http::Response::new(out(stream::empty().boxed_local()));
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return refused;
    };
    let remainder = Remainder::default();
    let body = (!body.is_end_stream()).then(|| {
        let frames = BodyStream::new(body).filter_map(|frame| async {
            match frame {
                Ok(frame) => frame.into_data().ok().map(Ok),
                Err(error) => Some(Err(io::Error::other(error))),
            }
        });
        let incoming = RequestBody {
            body: Some(within(frames.boxed_local())),
            remainder: remainder.clone(),
        };
        Body(incoming.boxed_local())
    });
    let request = Request::new(parts.method, url, parts.headers, body);
    let answered = edge_http::serve(&answering, request).await;
    remainder.answered(answered.extensions().get::<edge_http::Unread>().is_some());
    if let Err(error) = edge.on_disk().await {
        log::error("not on the disk", &[("reason", error.to_string())]);
        return unavailable();
    }
    response(answered)
}

/// The answer where nothing can be promised.
fn unavailable() -> http::Response<Out> {
    let problem = Problem::new(ProblemCode::StorageUnavailable).retry_after(RETRY_AFTER);
    let text = serde_json::to_string(&problem).unwrap_or_default();
    let mut answer = http::Response::new(out(Body::of(text).0));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    answer
}

/// A body that breaks off when nothing comes of it for [`BODY_WITHIN`].
fn within(
    body: LocalBoxStream<'static, io::Result<Bytes>>,
) -> LocalBoxStream<'static, io::Result<Bytes>> {
    let pieces = stream::unfold(Some(body), |body| async {
        let mut body = body?;
        match timeout(BODY_WITHIN, body.next()).await {
            Ok(Some(piece)) => Some((piece, Some(body))),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    });
    pieces.boxed_local()
}

/// A request's body. What nobody takes of it is its [`Remainder`].
struct RequestBody {
    body: Option<LocalBoxStream<'static, io::Result<Bytes>>>,
    remainder: Remainder,
}

impl Stream for RequestBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let next = ready!(body.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            self.remainder.untaken(body);
        }
    }
}

/// What is left of a body that nobody takes any more. It is read on so that its sender hears the answer (a
/// connection that is closed while bytes come in is reset, and the answer is lost with it), unless the answer
/// says that its sender is to stop.
#[derive(Clone, Default)]
struct Remainder(Rc<RefCell<Untaken>>);

#[derive(Default)]
struct Untaken {
    body: Option<LocalBoxStream<'static, io::Result<Bytes>>>,
    /// Whether it stays unread, once there is an answer.
    unread: Option<bool>,
}

impl Remainder {
    /// Nobody takes the body any more.
    fn untaken(&self, body: LocalBoxStream<'static, io::Result<Bytes>>) {
        let mut untaken = self.0.borrow_mut();
        match untaken.unread {
            None => untaken.body = Some(body),
            Some(true) => {}
            Some(false) => drain(body),
        }
    }

    /// The request is answered, by an answer that leaves the body unread or does not.
    fn answered(&self, unread: bool) {
        let mut untaken = self.0.borrow_mut();
        untaken.unread = Some(unread);
        if let Some(body) = untaken.body.take()
            && !unread
        {
            drain(body);
        }
    }
}

/// Reads a body on, as far as is worth it.
fn drain(mut body: LocalBoxStream<'static, io::Result<Bytes>>) {
    spawn_local(timeout(DRAINED_FOR, async move {
        let mut drained = 0;
        while let Some(Ok(piece)) = body.next().await {
            drained += piece.len();
            if drained > DRAINED_MAX {
                return;
            }
        }
    }));
}

fn out(bytes: LocalBoxStream<'static, io::Result<Bytes>>) -> Out {
    StreamBody::new(bytes.map(|piece| piece.map(Frame::data)).boxed_local())
}

fn response(response: Response<Answering>) -> http::Response<Out> {
    let (mut parts, body) = response.into_parts();
    let (length, stream) = match body {
        edge_http::Body::Empty => (None, stream::empty().boxed_local()),
        edge_http::Body::Bytes(bytes) => (Some(bytes.len()), Body::of(bytes).0),
        edge_http::Body::Stream(body) => (None, body.0),
        edge_http::Body::StaticFile(file) => {
            parts.headers.extend(file.headers);
            (Some(file.bytes.len()), Body::of(file.bytes).0)
        }
    };
    if let Some(length) = length {
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    http::Response::from_parts(parts, out(stream))
}
