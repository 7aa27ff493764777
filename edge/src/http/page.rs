//! The upload page: its HTML with the link in it, and the same as JSON.

use chatlift_shared::api::{PageData, PageLink};
use chatlift_shared::limits::SINGLE_REQUEST_MAX;
use chatlift_shared::text::LocalizedText;
use chatlift_shared::token::mint;
use chatlift_shared::{Problem, ProblemCode};

use super::access::{check_password, claims, extended};
use super::address::link_url;
use super::gate::Call;
use super::message::header;
use super::request::language;
use super::runtime::{Edge, Response, Runtime};
use super::{chat, password, respond};
use crate::chat::page::Picker;
use crate::config::Config;
use crate::link::state::{LinkView, refusal};
use crate::page::{csp, first, html as page, language};
use crate::ports::Failure;

/// All that the page needs to begin, and the status of its HTML.
async fn data<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
) -> Result<(u16, PageData), Failure> {
    let lang = language(&call.request);
    let config = call.config()?;
    let (link, problem) = match claims(service, call).await {
        // What was asked for, and what was sent, can still be read.
        Err(Failure::Refused(problem)) if problem.code == ProblemCode::SceneRemoved => {
            let of = call.claims().map(|claims| claims.link);
            let view = match of {
                Some(link) => service.read_link(link).await.ok(),
                None => None,
            };
            let link = view.map(|view| page_link(config, &view, lang));
            (link, Some(problem))
        }
        Err(Failure::Refused(problem)) => (None, Some(problem)),
        Err(other) => return Err(other),
        Ok(claims) => match service.read_link(claims.link).await {
            Ok(view) => (Some(page_link(config, &view, lang)), unusable(&view)),
            Err(Failure::Refused(problem)) => (None, Some(problem)),
            Err(other) => return Err(other),
        },
    };
    // A link that has all its files is a success to look back on.
    let status = problem.as_ref().map_or(200, |p| match p.code {
        ProblemCode::LinkFull => 200,
        _ => p.status,
    });
    let mut data = PageData {
        token: call.token()?.text.clone(),
        lang: lang.to_owned(),
        languages: language::names(),
        messages: language::messages(lang).clone(),
        link,
        problem,
    };
    if let Some(picker) = picker(call, &data) {
        picker.adapt(&mut data);
    }
    Ok((status, data))
}

/// The picker of the chat app in whose browser a link that takes files is opened.
fn picker<'c>(call: &Call<'c, impl Runtime>, data: &PageData) -> Option<Picker<'c>> {
    data.problem.is_none().then_some(())?;
    chat::picker(call)
}

/// Why the link takes no files, if it takes none.
fn unusable(view: &LinkView) -> Option<Problem> {
    let full = (view.files_left == 0).then_some(ProblemCode::LinkFull);
    let code = refusal(view.link.status).or(full)?;
    Some(Problem::new(code).limit(view.link.policy.max_files.into()))
}

/// The link in a language. What is no longer configured says what it said when the link was made.
fn page_link(config: &Config, view: &LinkView, lang: &str) -> PageLink {
    let app = config.app(&view.link.app);
    let scene = config.scene(&view.link.app, &view.link.scene);
    let (policy, words, said) = (&view.link.policy, &view.link.words, view.link.said.as_ref());
    let text = |text: Option<&LocalizedText>| {
        text.map_or_else(String::new, |text| text.get(lang).to_owned())
    };
    let (title, hint) = (words.title.as_ref(), words.hint.as_ref());
    let title = title.or(scene.map(|s| &s.title)).or(said.map(|s| &s.title));
    let hint = hint.or(scene.map(|s| &s.hint)).or(said.map(|s| &s.hint));
    PageLink {
        app_name: text(app.map(|a| &a.name).or(said.map(|s| &s.app))),
        title: text(title),
        hint: text(hint),
        accept: policy.accept.iter().map(ToString::to_string).collect(),
        max_file_size: policy.max_file_size,
        max_files: policy.max_files,
        files_left: view.files_left,
        state: view.link.status,
        expires_at: view.link.expires_at.to_string(),
        return_url: words
            .return_url
            .clone()
            .or_else(|| Some(scene?.return_url.as_ref()?.to_string())),
        single_request_max: SINGLE_REQUEST_MAX,
        join: policy.join,
        note: policy.note,
        files: view
            .files
            .iter()
            .filter(|f| f.deleted_at.is_none())
            .cloned()
            .map(Into::into)
            .collect(),
    }
}

/// `GET /u/{token}`
pub(super) async fn html<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
) -> Result<Response<R>, Failure> {
    let (config, request) = (call.config()?, &call.request);
    match call.token()?.genuine() {
        Ok(claims) if check_password(call, claims).is_err() => {
            return password::form(call, claims, None);
        }
        Err(_) => {
            if let Some(claims) = extended(service, call).await? {
                let token = mint(&config.keys, &claims);
                return Ok(respond::redirect(302, &format!("/u/{token}")));
            }
        }
        Ok(_) => {}
    }
    let (status, data) = data(service, call).await?;
    let built = call.runtime.built("index.html").await?;
    let user_agent = header(request, "user-agent").unwrap_or_default();
    let address = link_url(config, request, &data.token);
    let wrong = |e: page::NoMark| Failure::Broken(e.to_string());
    let claims = call.token()?.genuine().ok();
    let scene = claims.and_then(|claims| config.scene(&claims.app, &claims.scene));
    let card = page::Card {
        address: &address,
        image: scene.and_then(|scene| Some(scene.card_image.as_ref()?.as_str())),
    };
    let html = page::fill(&built, &data, card, &user_agent).map_err(wrong)?;
    let (html, more) = match picker(call, &data) {
        None => (html, csp::More::default()),
        Some(picker) => {
            let chunks = chat::chunks(call.runtime).await?;
            let html = picker.add(&html, &data.lang, &chunks).map_err(wrong)?;
            (html, picker.policy())
        }
    };
    let policy = csp::with_program(&user_agent, more);
    Ok(respond::html_with(status, &data.lang, html, &policy))
}

/// `GET /u/{token}/page`; with `texts=none`, for a page that has them, without the texts; with
/// `texts=rest` only those that are not in the page itself.
pub(super) async fn json<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
) -> Result<Response<R>, Failure> {
    let (_, mut data) = data(service, call).await?;
    match call.request.parameter("texts").as_deref() {
        Some("none") => data.messages.clear(),
        Some("rest") => {
            let user_agent = header(&call.request, "user-agent").unwrap_or_default();
            data = first::rest(&data, &user_agent);
        }
        _ => {}
    }
    respond::json(200, &data)
}
