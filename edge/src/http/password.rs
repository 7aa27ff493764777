//! A link with a password: who has a pass, the plain form that asks for it, and the check.
//!
//! The form is the edge's own and comes before the page, so the page carries nothing for it. The
//! pass is a MAC over the link and its end: a cookie for a browser, a header for other clients.

use chatlift_shared::api::{EnterPassword, LinkPass};
use chatlift_shared::limits::PASSWORD_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode};

use super::access::cookie_name;
use super::gate::Call;
use super::message::header;
use super::rates::sender_of;
use super::request;
use super::request::invalid;
use super::respond;
use super::runtime::{Edge, Response, Runtime};
use super::signed;
use crate::link::password::Asker;
use crate::log;
use crate::page::password as password_page;
use crate::ports::Failure;

/// A cookie that comes with the form. A browser that posts the form without it keeps none, and would be asked for
/// the password again and again.
const PROBE: &str = "probe=1";

/// The form, for whoever opens the link.
pub(super) fn form<R: Runtime>(
    call: &Call<'_, R>,
    claims: &Claims,
    problem: Option<&Problem>,
) -> Result<Response<R>, Failure> {
    let lang = request::language(&call.request);
    let token = &call.token()?.text;
    let app = call.config()?.app(&claims.app);
    let app = app.map_or("", |app| app.name.get(lang));
    // A chat app that draws a preview card follows a 200 only.
    let status = problem.map_or(200, |p| p.status);
    let mut response = respond::html(status, lang, password_page::html(token, lang, app, problem));
    if let Some(secs) = problem.and_then(|p| p.retry_after) {
        respond::set(&mut response, "retry-after", &secs.to_string());
    }
    respond::set(&mut response, "set-cookie", &cookie(call, PROBE));
    Ok(response)
}

/// What a cookie of these pages is set by.
fn cookie<R: Runtime>(call: &Call<'_, R>, pair: &str) -> String {
    let secure = if call.request.url.scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    format!("{pair}; Path=/u/; HttpOnly; SameSite=Lax{secure}")
}

/// `POST /u/{token}/password`, as JSON or as a form.
pub(super) async fn enter<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
) -> Result<Response<R>, Failure> {
    let (request, token) = (&call.request, call.token()?);
    let claims = token.genuine()?;
    let media_type = header(request, "content-type").unwrap_or_default();
    let from_form = media_type.starts_with("application/x-www-form-urlencoded");
    let mut refuses_cookies = false;
    let password = if from_form {
        let bytes = request::bytes(call).await?;
        let kept =
            header(request, "cookie").is_some_and(|c| c.split(';').any(|c| c.trim() == PROBE));
        let ours =
            url::form_urlencoded::parse(&bytes).any(|(name, _)| name == password_page::FROM_FORM);
        refuses_cookies = ours && !kept;
        url::form_urlencoded::parse(&bytes)
            .find(|(name, _)| name == "password")
            .map(|(_, value)| value.into_owned())
            .ok_or_else(|| invalid("password", "It is missing."))?
    } else {
        request::json::<EnterPassword>(call).await?.password
    };
    let checked = if password.chars().count() > PASSWORD_MAX {
        Err(Problem::new(ProblemCode::PasswordWrong)
            .field("password")
            .into())
    } else {
        let sender = sender_of(call).unwrap_or_default();
        let asker = Asker::new(&call.config()?.keys, claims.link, &sender);
        service.check_password(claims.link, asker, &password).await
    };
    match checked {
        Ok(()) => {}
        Err(Failure::Refused(problem)) if from_form => {
            return form(call, claims, Some(&problem));
        }
        Err(other) => return Err(other),
    }
    if refuses_cookies {
        let problem = Problem::new(ProblemCode::PasswordRequired);
        return form(call, claims, Some(&problem));
    }
    log::info("password right", &[("link", claims.link.to_string())]);
    let pass = LinkPass {
        pass: signed::issue(
            &call.config()?.keys,
            &signed::Pass {
                link: claims.link,
                expires_at: claims.expires_at,
            },
        ),
        expires_at: claims.expiry(),
    };
    let mut response = if from_form {
        // Back to the link, whose address holds no password.
        respond::redirect(303, &format!("/u/{}", token.text))
    } else {
        respond::json(200, &pass)?
    };
    let pair = format!(
        "{}={}; Max-Age={}",
        cookie_name(claims),
        pass.pass,
        call.runtime.now().until(claims.expiry()).as_secs(),
    );
    respond::set(&mut response, "set-cookie", &cookie(call, &pair));
    Ok(response)
}
