//! Rate limits, by the platform's rate limiting bindings: counted at each of its locations by
//! itself, without a call that anything waits for. Each binding may be absent, as on a developer's
//! machine.
//!
//! Which requests count is in [`crate::core::rates`].

use chatlift_shared::token::verify;
use chatlift_shared::{Problem, ProblemCode};
use worker::{Env, Request};

use super::request::header;
use super::world::now;
use super::{log, setup};
use crate::core::rates::{counts, is_guess, sender};
use crate::ports::Failure;

/// What a refused client waits, in seconds: the period of the bindings in wrangler.toml.
const PERIOD: u64 = 60;

/// Refuses a request under `/u/` that is one too many from its address or about its link.
pub(super) async fn check(request: &Request, env: &Env) -> Result<(), Failure> {
    let path = request.path();
    let Some(rest) = path.strip_prefix("/u/") else {
        return Ok(());
    };
    let overridden = header(request, "x-http-method-override");
    if !counts(&request.inner().method(), overridden.as_deref(), &path) {
        return Ok(());
    }
    if let Some(sender) = sender_of(request) {
        count(env, "RATE_ADDRESS", sender).await?;
    }
    let token = rest.split('/').next().unwrap_or_default();
    // What is forged costs one HMAC and is no link's.
    let config = setup::config(env)?;
    if let Ok(claims) = verify(&config.keys, token, now()) {
        count(env, "RATE_LINK", claims.link.to_string()).await?;
    }
    Ok(())
}

/// What a request whose API key was refused is answered with: to wait, when it is one guess too
/// many from its address.
pub(super) async fn refused_key(request: &Request, env: &Env, refusal: Problem) -> Failure {
    if is_guess(refusal.code)
        && let Some(sender) = sender_of(request)
        && let Err(wait) = count(env, "RATE_KEY", sender).await
    {
        return wait;
    }
    refusal.into()
}

/// Whom a request comes from, as the limits know senders.
fn sender_of(request: &Request) -> Option<String> {
    header(request, "cf-connecting-ip").map(|address| sender(&address))
}

async fn count(env: &Env, binding: &str, key: String) -> Result<(), Failure> {
    let Ok(limiter) = env.rate_limiter(binding) else {
        return Ok(());
    };
    match limiter.limit(key).await {
        Ok(outcome) if !outcome.success => Err(Problem::new(ProblemCode::RateLimited)
            .retry_after(PERIOD)
            .into()),
        Ok(_) => Ok(()),
        Err(error) => {
            // A limiter that fails must not keep files out.
            log::error("rate limiter", &[("reason", log::text(&error))]);
            Ok(())
        }
    }
}
