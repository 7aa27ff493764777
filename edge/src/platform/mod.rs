//! The shell on Cloudflare Workers: turns requests into calls of the service and answers into
//! responses. Compiled for WebAssembly only.

mod about;
mod access;
mod address;
mod assets;
mod bucket;
mod chat;
mod content;
mod cors;
mod counts;
mod directory;
mod edge;
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
mod r2;
mod rates;
mod read;
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

use worker::{Context, Env, Request, Response, event};

use crate::core::label::{is_logged, label};
use crate::core::route;
use crate::core::tus::{VERSION, is_tus};
use crate::ports::Failure;

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
    let link = about::link(&env, request.method().as_ref(), &path);
    let answer = match rates::check(&request, &env).await {
        Ok(()) => log::working_for(link, routes::dispatch(request, &env)).await,
        Err(failure) => Err(failure),
    };
    let mut about = vec![("route", label.to_owned())];
    about.extend(link.map(|link| ("link", link.to_string())));
    let failed = matches!(
        &answer,
        Err(Failure::Bucket(_) | Failure::Away(_) | Failure::Broken(_))
    );
    let respond::Answered {
        mut response,
        refused,
    } = match answer {
        Ok(answered) => answered,
        Err(Failure::Refused(problem)) => respond::Answered {
            response: respond::problem(&problem)?,
            refused: Some(problem.code),
        },
        Err(fault) => respond::fault(&fault, &about)?.into(),
    };
    let counted = match refused {
        Some(code) => code.code(),
        None if failed => "failed",
        None => "",
    };
    metrics::count(&env, label, counted, response.status_code());
    if let Some(code) = refused.filter(|code| link.is_some() && is_logged(*code)) {
        about.push(("code", code.code().to_owned()));
        log::info("refused", &about);
    }
    if let Some(origin) = &origin {
        cors::allow(&mut response, origin)?;
    }
    if response.status_code() == 405 && !response.headers().has("allow")? {
        let allow = route::methods(&path);
        response.headers_mut().set("allow", &allow)?;
    }
    if is_tus(&path) {
        // Every answer has it (tus 1.0, "Tus-Resumable"), also one that never reached the protocol.
        let headers = response.headers_mut();
        headers.set("tus-resumable", VERSION)?;
    }
    if faults {
        // An answer of the static assets has headers that are fixed, and needs none of this.
        let _ = world::report_memory(&mut response);
    }
    Ok(response)
}
