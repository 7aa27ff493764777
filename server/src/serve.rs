//! Connections: HTTP/1.1 in, the edge's answers out.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use chatlift_edge::http as edge_http;
use chatlift_edge::http::{Request, Response};
use chatlift_edge::log;
use futures_util::stream::{self, LocalBoxStream, Stream, StreamExt as _};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyStream, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::timeout;
use url::Url;

use crate::body::Body;
use crate::edge::{Answering, Native};

/// How long a client may take to send the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// What is read of a body that nobody wants, at most: somewhat more than one request may bring, and for
/// so long.
const DRAINED_MAX: usize = 128 * 1024 * 1024;
const DRAINED_FOR: Duration = Duration::from_secs(30);

type Out = StreamBody<LocalBoxStream<'static, io::Result<Frame<Bytes>>>>;

/// Takes connections for ever.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn run(listener: TcpListener, edge: Rc<Native>) -> io::Result<()> {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // As when there are too many open files: others will be closed.
                log::error("accept", &[("reason", error.to_string())]);
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        spawn_local(connection(stream, peer, Rc::clone(&edge)));
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, edge: Rc<Native>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answering = Answering {
            edge: Rc::clone(&edge),
            peer: peer.ip(),
        };
        // A request goes on when its client has gone, so that what had arrived is put away.
        let answer = spawn_local(answer(answering, request));
        async move {
            Ok::<_, Infallible>(answer.await.unwrap_or_else(|_| {
                let mut failed = http::Response::new(out(stream::empty().boxed_local()));
                *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                failed
            }))
        }
    });
    // What a client does wrong, or that it goes away, is no news.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(answering: Answering, request: http::Request<Incoming>) -> http::Response<Out> {
    let (parts, body) = request.into_parts();
    let host = parts.headers.get(HOST).and_then(|h| h.to_str().ok());
    let address = format!(
        "http://{}{}",
        host.unwrap_or("localhost"),
        parts.uri.path_and_query().map_or("/", |path| path.as_str())
    );
    let Ok(url) = Url::parse(&address) else {
        let mut refused = http::Response::new(out(stream::empty().boxed_local()));
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return refused;
    };
    let body = (!body.is_end_stream()).then(|| {
        let frames = BodyStream::new(body).filter_map(|frame| async {
            match frame {
                Ok(frame) => frame.into_data().ok().map(Ok),
                Err(error) => Some(Err(io::Error::other(error))),
            }
        });
        Body(Drained(Some(frames.boxed_local())).boxed_local())
    });
    let request = Request::new(parts.method, url, parts.headers, body);
    response(edge_http::serve(&answering, request).await)
}

/// A body that is read on when nobody takes it any more, so that its sender hears the answer: a
/// connection that is closed while bytes come in is reset, and the answer is lost with it.
struct Drained(Option<LocalBoxStream<'static, io::Result<Bytes>>>);

impl Stream for Drained {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let next = ready!(body.poll_next_unpin(context));
        if !matches!(next, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        if let Some(mut body) = self.0.take() {
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
    }
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
