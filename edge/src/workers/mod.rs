//! The shell on Cloudflare Workers: turns requests into calls of the service and answers into
//! responses. Compiled for WebAssembly only.

mod bucket;
mod chat;
mod counts;
mod directory;
mod edge;
mod feed;
mod kdf;
mod links;
mod log;
mod metrics;
mod object;
mod r2;
mod read;
mod rpc;
mod runtime;
mod setup;
mod stage;
mod store;
mod watch;
mod webhooks;
mod world;

use worker::{Context, Env, Request, Response, event};

use crate::http;
use crate::link::version::MESSAGES;

/// Runs once, before the Worker and each of its objects.
#[event(start)]
fn start() {
    log::to_console();
}

/// Every request of the edge comes in here.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    // After the platform has set its own.
    crate::log::panics();
    let faults = setup::config(&env).is_ok_and(|c| c.faults);
    counts::worker_request();
    // Shown to tests only: see `counts`.
    if faults && request.path() == "/_counts" {
        return Response::from_json(&counts::json());
    }
    let _held = feed::outlive(&request, &context);
    let bindings = runtime::Bindings {
        env: &env,
        request: &request,
        version: match faults && world::is_newer(&request) {
            true => MESSAGES + 1,
            false => MESSAGES,
        },
    };
    let call = runtime::request(&request).map_err(|e| worker::Error::RustError(e.reason()))?;
    let response = http::serve(&bindings, call).await;
    let unread = response.extensions().get::<http::Unread>().is_some();
    let mut response = runtime::response(response)?;
    if let Some(body) = request.inner().body().filter(|_| !unread) {
        read::drain(&body).await;
    }
    if faults {
        // An answer of the static assets has headers that are fixed, and needs none of this.
        let _ = world::report_memory(&mut response);
    }
    Ok(response)
}
