//! Who may do what: whoever bears a link's token, and has said its password where it has one, may use
//! the link; whoever bears an app's API key is its backend.

use chatlift_shared::api::{HEADER_PASS, LinkState};
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode};

use super::address::claims_of;
use super::gate::Call;
use super::message::{Request, header};
use super::rates;
use super::runtime::{Edge, Runtime};
use super::signed;
use crate::config::{App, Config};
use crate::ports::Failure;

/// The claims of a token whose bearer may use the link: they have said its password, if it has
/// one. A page that was open when its link was extended goes on with the token that it has.
///
/// # Errors
/// What the token lacks; `scene-removed` where nobody asks for its files any more.
pub(super) async fn claims<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
) -> Result<Claims, Failure> {
    let claims = match call.token()?.genuine() {
        Ok(claims) => claims.clone(),
        Err(problem) => extended(service, call).await?.ok_or(problem)?,
    };
    check_password(call, &claims)?;
    match call.config()?.scene(&claims.app, &claims.scene) {
        Some(_) => Ok(claims),
        None => Err(ProblemCode::SceneRemoved.into()),
    }
}

/// The claims of a link that was extended, for a token that has ended: the new address stands in
/// no chat yet. Only whoever bears a genuine token makes the edge look.
pub(super) async fn extended<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
) -> Result<Option<Claims>, Failure> {
    let Some(old) = call.token()?.expired() else {
        return Ok(None);
    };
    let view = match service.read_link(old.link).await {
        Ok(view) => view,
        Err(Failure::Refused(_)) => return Ok(None),
        Err(other) => return Err(other),
    };
    let claims = claims_of(&view.link);
    let on = view.link.status == LinkState::Active && claims.expiry() > call.runtime.now();
    Ok(on.then_some(claims))
}

/// Name of the cookie: one for each link, since a person may have several open.
pub(super) fn cookie_name(claims: &Claims) -> String {
    format!("pass_{}", claims.link)
}

/// Refuses a request about a link with a password that bears no pass.
pub(super) fn check_password(
    call: &Call<'_, impl Runtime>,
    claims: &Claims,
) -> Result<(), Failure> {
    let request = &call.request;
    if !claims.password {
        return Ok(());
    }
    let name = cookie_name(claims);
    let cookies = header(request, "cookie").unwrap_or_default();
    let cookie = cookies
        .split(';')
        .filter_map(|c| c.trim().split_once('='))
        .find(|(n, _)| *n == name)
        .map(|(_, v)| v.to_owned());
    let pass = header(request, HEADER_PASS).or(cookie);
    let (keys, now) = (&call.config()?.keys, call.runtime.now());
    let good = pass
        .and_then(|text| signed::read::<signed::Pass>(keys, &text, now))
        .is_some_and(|pass| pass.link == claims.link);
    if good {
        Ok(())
    } else {
        Err(ProblemCode::PasswordRequired.into())
    }
}

/// The app whose API key the request bears.
///
/// # Errors
/// `api-key-missing` or `api-key-unknown`, or `rate-limited` when it is one guess too many.
pub(super) async fn app<'r, R: Runtime>(call: &Call<'r, R>) -> Result<&'r App, Failure> {
    match bearer(call.config()?, &call.request) {
        Ok(app) => Ok(app),
        Err(refusal) => Err(rates::refused_key(call, refusal).await),
    }
}

fn bearer<'c, B>(config: &'c Config, request: &Request<B>) -> Result<&'c App, Problem> {
    let missing = || Problem::new(ProblemCode::ApiKeyMissing).field("Authorization");
    let value = header(request, "authorization").ok_or_else(missing)?;
    let (scheme, key) = value.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    config
        .app_of_key(key.trim())
        .ok_or_else(|| Problem::new(ProblemCode::ApiKeyUnknown).field("Authorization"))
}
