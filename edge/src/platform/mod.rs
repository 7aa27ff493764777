//! The shell on Cloudflare Workers: turns requests into calls of the service and answers into
//! responses. Compiled for WebAssembly only.

mod bucket;
mod chat;
mod content;
mod cors;
mod counts;
mod directory;
mod feed;
mod form;
mod kdf;
mod links;
mod log;
mod manage;
mod metrics;
mod object;
mod page;
mod password;
mod rates;
mod request;
mod respond;
mod resumable;
mod routes;
mod setup;
mod stage;
mod store;
mod tus;
mod watch;
mod webhooks;
mod world;

use crate::core::label::label;
use crate::ports::Failure;
use worker::{Context, Env, Request, Response, event};

/// Every request of the edge comes in here.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    log::panics();
    let faults = setup::config(&env).is_ok_and(|c| c.faults);
    let path = request.path();
    counts::worker_request();
    // Shown to tests only: see `counts`.
    if faults && request.path() == "/_counts" {
        return Response::from_json(&counts::json());
    }
    let _held = feed::outlive(&request, &context);
    let label = label(request.method().as_ref(), &path);
    let origin = cors::origin(&request, &env);
    if let Some(origin) = &origin
        && let Some(response) = cors::preflight(&request, origin)
    {
        return response;
    }
    let answer = match rates::check(&request, &env).await {
        Ok(()) => routes::dispatch(request, &env).await,
        Err(failure) => Err(failure),
    };
    let problem = match &answer {
        Err(Failure::Refused(problem)) => problem.code.code(),
        Err(_) => "failed",
        Ok(_) => "",
    };
    let mut response = match answer {
        Ok(response) => response,
        Err(failure) => respond::failure(failure)?,
    };
    metrics::count(&env, label, problem, response.status_code());
    if let Some(origin) = &origin {
        cors::allow(&mut response, origin)?;
    }
    if response.status_code() == 405 && !response.headers().has("allow")? {
        let allow = crate::core::route::methods(&path);
        response.headers_mut().set("allow", &allow)?;
    }
    if faults {
        // An answer of the static assets has headers that are fixed, and needs none of this.
        let _ = world::report_memory(&mut response);
    }
    Ok(response)
}
