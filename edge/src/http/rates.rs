//! Rate limits, which the runtime counts. Which requests count is in [`super::limits`].

use chatlift_shared::{Problem, ProblemCode};

use super::gate::Call;
use super::limits::{counts, is_guess, sender};
use super::message::header;
use super::runtime::{Limit, Runtime};
use crate::ports::Failure;

/// What a refused client waits, in seconds: the period of the bindings in wrangler.toml.
const PERIOD: u64 = 60;

/// Refuses a request under `/u/` that is one too many from its address or about its link.
pub(super) async fn check(call: &Call<'_, impl Runtime>) -> Result<(), Failure> {
    let request = &call.request;
    if !request.path().starts_with("/u/") {
        return Ok(());
    }
    let overridden = header(request, "x-http-method-override");
    if !counts(request.method.as_str(), overridden.as_deref(), &call.route) {
        return Ok(());
    }
    if let Some(sender) = sender_of(call) {
        count(call, Limit::Address, sender).await?;
    }
    call.config()?;
    // What is forged is no link's.
    if let Ok(claims) = call.token().and_then(|token| token.genuine()) {
        count(call, Limit::Link, claims.link.to_string()).await?;
    }
    Ok(())
}

/// What a request whose API key was refused is answered with: to wait, when it is one guess too
/// many from its address.
pub(super) async fn refused_key(call: &Call<'_, impl Runtime>, refusal: Problem) -> Failure {
    if is_guess(refusal.code)
        && let Some(sender) = sender_of(call)
        && let Err(wait) = count(call, Limit::Key, sender).await
    {
        return wait;
    }
    refusal.into()
}

/// Whom a request comes from, as the limits know senders.
pub(super) fn sender_of(call: &Call<'_, impl Runtime>) -> Option<String> {
    let address = call.runtime.sender(&call.request)?;
    Some(sender(&address))
}

async fn count(call: &Call<'_, impl Runtime>, limit: Limit, key: String) -> Result<(), Failure> {
    match call.runtime.allows(limit, key).await {
        true => Ok(()),
        false => Err(Problem::new(ProblemCode::RateLimited)
            .retry_after(PERIOD)
            .into()),
    }
}
