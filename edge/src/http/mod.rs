//! The edge's HTTP interface, without a platform: requests and responses are those of the `http`
//! crate, and what a platform must provide is [`Runtime`]. It compiles and is tested natively.
//!
//! A request is parsed and its token verified once, by the [`gate`]; rate limits, CORS, the log and the
//! handlers take the [`Call`](gate::Call) that it makes.

mod access;
mod address;
mod apps;
mod chat;
mod content;
mod cors;
mod dispatch;
pub mod fields;
mod form;
mod gate;
pub mod label;
pub mod limits;
mod message;
mod multipart;
pub mod origins;
mod page;
mod password;
pub mod range;
mod rates;
mod request;
mod respond;
mod resumable;
pub mod route;
mod runtime;
pub mod signed;
pub mod sse;
mod tus;

use gate::Call;
use http::StatusCode;
use http::header::ALLOW;

pub use form::FORM_MEMORY;
pub use message::Request;
pub use respond::{RETRY_AFTER, Unread};
pub use runtime::{Body, Edge, Limit, Response, Runtime};

use self::fields::tus::{VERSION, is_tus};
use self::label::{is_logged, label};
use crate::log;
use crate::ports::Failure;
use respond::Refused;

/// Answers a request. What fails is answered as a problem, and logged where it is ours.
pub async fn serve<R: Runtime>(runtime: &R, request: Request<R::Body>) -> Response<R> {
    let path = request.path().to_owned();
    let is_https = request.url.scheme() == "https";
    let call = Call::new(runtime, request);
    let label = label(&call.route);
    let origin = cors::origin(&call);
    if let Some(origin) = &origin
        && let Some(response) = cors::preflight(&call.request, origin)
    {
        return response;
    }
    let link = call.link();
    let answer = match rates::check(&call).await {
        Ok(()) => log::working_for(link, dispatch::dispatch(&call)).await,
        Err(failure) => Err(failure),
    };
    let mut about = vec![("route", label.to_owned())];
    about.extend(link.map(|link| ("link", link.to_string())));
    let failed = matches!(
        &answer,
        Err(Failure::Bucket(_) | Failure::Away(_) | Failure::Broken(_))
    );
    let mut response = match answer {
        Ok(response) => response,
        Err(Failure::Refused(problem)) => respond::problem(&problem),
        Err(fault) => respond::fault(&fault, &about, runtime.random()),
    };
    let refused = response.extensions().get::<Refused>().map(|r| r.0);
    let counted = match refused {
        _ if failed => "failed",
        Some(code) => code.code(),
        None => "",
    };
    runtime.count(label, counted, response.status().as_u16());
    if !failed && let Some(code) = refused.filter(|code| link.is_some() && is_logged(*code)) {
        about.push(("code", code.code().to_owned()));
        log::info("refused", &about);
    }
    if let Some(origin) = &origin {
        cors::allow(&mut response, origin);
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && !response.headers().contains_key(ALLOW)
    {
        respond::set(&mut response, "allow", &route::methods(&path));
    }
    if is_tus(&path) {
        // Every answer has it (tus 1.0, "Tus-Resumable"), also one that never reached the protocol.
        respond::set(&mut response, "tus-resumable", VERSION);
    }
    if is_https {
        // Two years, as lists of such hosts ask for. What other hosts of the domain do is not ours to say.
        respond::set(
            &mut response,
            "strict-transport-security",
            "max-age=63072000",
        );
    }
    response
}
