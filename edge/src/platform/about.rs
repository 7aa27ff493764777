//! Which link a request is about: for the log, and for what a link's app allows.

use chatlift_shared::LinkId;
use chatlift_shared::token::{Claims, TokenError, verify};
use worker::Env;

use super::setup;
use super::world::now;
use crate::config::Config;
use crate::core::route::{Route, parse};

/// The claims of a genuine token. One that has ended still says whose it was.
pub(super) fn claims(config: &Config, token: &str) -> Option<Claims> {
    match verify(&config.keys, token, now()) {
        Ok(claims) | Err(TokenError::Expired(claims)) => Some(claims),
        Err(_) => None,
    }
}

/// The link, if the request names one.
pub(super) fn link(env: &Env, method: &str, path: &str) -> Option<LinkId> {
    match parse(method, path).ok()? {
        Route::Page(token, _) => Some(claims(setup::config(env).ok()?, &token)?.link),
        route => route.link(),
    }
}
