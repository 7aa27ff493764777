//! A link with a password: who has a pass, the plain form that asks for it, and the check.
//!
//! The form is the edge's own and comes before the page, so the page carries nothing for it. The
//! pass is a MAC over the link and its end: a cookie for a browser, a header for other clients.

use chatlift_shared::api::{EnterPassword, HEADER_PASS, LinkPass};
use chatlift_shared::limits::PASSWORD_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, Timestamp};
use worker::{Request, Response};

use super::edge::EdgeService;
use super::request::{self, header, invalid};
use super::setup::broken;
use super::world::now;
use super::{log, respond};
use crate::config::Config;
use crate::core::{password_page, signed};
use crate::ports::Failure;

/// Name of the cookie: one for each link, since a person may have several open.
fn cookie_name(claims: &Claims) -> String {
    format!("pass_{}", claims.link)
}

/// Refuses a request about a link with a password that bears no pass.
pub(super) fn check(config: &Config, request: &Request, claims: &Claims) -> Result<(), Problem> {
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
    let good = pass
        .and_then(|text| signed::read::<signed::Pass>(&config.keys, &text, now()))
        .is_some_and(|pass| pass.link == claims.link);
    if good {
        Ok(())
    } else {
        Err(Problem::new(ProblemCode::PasswordRequired))
    }
}

/// The form, for whoever opens the link.
pub(super) fn form(
    config: &Config,
    request: &Request,
    token: &str,
    claims: &Claims,
    problem: Option<&Problem>,
) -> Result<Response, Failure> {
    let lang = request::language(request)?;
    let app = config.app(&claims.app).map_or("", |app| app.name.get(lang));
    // A chat app that draws a preview card follows a 200 only.
    let status = problem.map_or(200, |p| p.status);
    let mut response = respond::html(status, lang, password_page::html(token, lang, app, problem))?;
    if let Some(secs) = problem.and_then(|p| p.retry_after) {
        response
            .headers_mut()
            .set("retry-after", &secs.to_string())
            .map_err(broken("headers"))?;
    }
    Ok(response)
}

/// `POST /u/{token}/password`, as JSON or as a form.
pub(super) async fn enter(
    service: &EdgeService,
    config: &Config,
    request: &mut Request,
    token: &str,
    claims: &Claims,
) -> Result<Response, Failure> {
    let media_type = header(request, "content-type").unwrap_or_default();
    let from_form = media_type.starts_with("application/x-www-form-urlencoded");
    let password = if from_form {
        let bytes = request::bytes(request).await?;
        url::form_urlencoded::parse(&bytes)
            .find(|(name, _)| name == "password")
            .map(|(_, value)| value.into_owned())
            .ok_or_else(|| invalid("password", "It is missing."))?
    } else {
        request::json::<EnterPassword>(request).await?.password
    };
    let checked = if password.chars().count() > PASSWORD_MAX {
        Err(Problem::new(ProblemCode::PasswordWrong)
            .field("password")
            .into())
    } else {
        service.check_password(claims.link, &password).await
    };
    match checked {
        Ok(()) => {}
        Err(Failure::Refused(problem)) if from_form => {
            return form(config, request, token, claims, Some(&problem));
        }
        Err(other) => return Err(other),
    }
    log::info("password right", &[("link", claims.link.to_string())]);
    let pass = LinkPass {
        pass: signed::issue(
            &config.keys,
            &signed::Pass {
                link: claims.link,
                expires_at: claims.expires_at,
            },
        ),
        expires_at: claims.expiry(),
    };
    let mut response = if from_form {
        // Back to the link, whose address holds no password.
        respond::redirect(303, &format!("/u/{token}"))?
    } else {
        respond::json(200, &pass)?
    };
    let secure = if request.url().is_ok_and(|u| u.scheme() == "https") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{}={}; Path=/u/; Max-Age={}; HttpOnly; SameSite=Lax{secure}",
        cookie_name(claims),
        pass.pass,
        remaining(claims.expiry()),
    );
    response
        .headers_mut()
        .set("set-cookie", &cookie)
        .map_err(broken("headers"))?;
    Ok(response)
}

fn remaining(end: Timestamp) -> u64 {
    now().until(end).as_secs()
}
