//! The shell on Cloudflare Workers: turns requests into calls of the service and answers into
//! responses. Compiled for WebAssembly only.

mod bucket;
mod chat;
mod content;
mod counts;
mod directory;
mod feed;
mod form;
mod kdf;
mod links;
mod log;
mod manage;
mod object;
mod page;
mod password;
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

/// Every request of the edge comes in here.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    console_error_panic_hook::set_once();
    let faults = setup::config(&env).is_ok_and(|c| c.faults);
    let path = request.path();
    counts::worker_request();
    // Shown to tests only: see `counts`.
    if faults && request.path() == "/_counts" {
        return Response::from_json(&counts::json());
    }
    let _held = feed::outlive(&request, &context);
    let answer = routes::dispatch(request, &env).await;
    let mut response = match answer {
        Ok(response) => response,
        Err(failure) => respond::failure(failure)?,
    };
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
