//! Who may use a link: whoever bears its token, and has said its password where it has one.

use chatlift_shared::api::LinkState;
use chatlift_shared::token::{Claims, TokenError, verify};
use chatlift_shared::{Problem, ProblemCode};
use worker::Request;

use super::address::claims_of;
use super::edge::EdgeService;
use super::password;
use super::world::now;
use crate::config::Config;
use crate::ports::Failure;

/// The claims of a token whose bearer may use the link: they have said its password, if it has
/// one. A page that was open when its link was extended goes on with the token that it has.
pub(super) async fn claims(
    service: &EdgeService,
    config: &Config,
    request: &Request,
    token: &str,
) -> Result<Claims, Failure> {
    let claims = match genuine(config, token) {
        Ok(claims) => claims,
        Err(problem) => extended(service, config, token).await?.ok_or(problem)?,
    };
    password::check(config, request, &claims)?;
    Ok(claims)
}

/// The claims of a token, whether or not its bearer has said the link's password.
pub(super) fn genuine(config: &Config, token: &str) -> Result<Claims, Problem> {
    verify(&config.keys, token, now()).map_err(|error| {
        match error {
            TokenError::Expired(_) => ProblemCode::LinkExpired,
            TokenError::Malformed | TokenError::UnknownKey | TokenError::BadTag => {
                ProblemCode::LinkTokenInvalid
            }
        }
        .into()
    })
}

/// The claims of a link that was extended, for a token that has ended: the new address stands in
/// no chat yet. Only whoever bears a genuine token makes the edge look.
pub(super) async fn extended(
    service: &EdgeService,
    config: &Config,
    token: &str,
) -> Result<Option<Claims>, Failure> {
    let Err(TokenError::Expired(old)) = verify(&config.keys, token, now()) else {
        return Ok(None);
    };
    let view = match service.read_link(old.link).await {
        Ok(view) => view,
        Err(Failure::Refused(_)) => return Ok(None),
        Err(other) => return Err(other),
    };
    let claims = claims_of(&view.link);
    let on = view.link.status == LinkState::Active && claims.expiry() > now();
    Ok(on.then_some(claims))
}
