//! The plain form: for a browser without JavaScript or WebAssembly, and for a chat platform's own
//! upload call.

use chatlift_shared::api::{FormFile, FormResult, PageFile};
use chatlift_shared::limits::FILE_SIZE_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode};
use futures_util::TryStreamExt as _;
use multer::{Constraints, Field, Multipart, SizeLimit};
use send_wrapper::SendWrapper;
use worker::{Request, Response};

use super::request::{self, header, invalid};
use super::setup::{EdgeService, broken};
use super::{page, respond};
use crate::config::Config;
use crate::core::{language, name, result};
use crate::ports::{Failure, Incoming};

/// Most bytes of a field that is no file. Chat platforms send a few; none is used.
const TEXT_FIELD_MAX: u64 = 16 * 1024;

/// A file of the form, as the parser finds it.
struct FormField(Field<'static>);

impl Incoming for FormField {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let chunk = self.0.chunk().await.map_err(unreadable)?;
        Ok(chunk.map(|bytes| bytes.to_vec()))
    }
}

/// The form ended early, or is no form.
fn unreadable(error: multer::Error) -> Failure {
    invalid("body", &error.to_string())
}

/// `POST /u/{token}`
pub(super) async fn post(
    service: &EdgeService,
    config: &Config,
    request: &mut Request,
    token: &str,
) -> Result<Response, Failure> {
    let lang = page::language(request)?;
    let (result, app) = match page::claims(config, request, token) {
        Ok(claims) => {
            let app = config
                .app(&claims.app)
                .map(|a| a.name.get(lang))
                .unwrap_or_default();
            let mut files: Vec<FormFile> = Vec::new();
            let problem = match store_all(service, request, &claims, &mut files).await {
                Ok(()) if files.is_empty() => Some(ProblemCode::FileEmpty.into()),
                Ok(()) => None,
                Err(Failure::Refused(problem)) => Some(problem),
                Err(other) => return Err(other),
            };
            // A form that was read to its end is all that its sender wants to send.
            let order: Vec<_> = files
                .iter()
                .filter_map(|f| Some(f.file.as_ref()?.id))
                .collect();
            if problem.is_none() && !order.is_empty() {
                service.finish(claims.link, order).await?;
            }
            (FormResult { files, problem }, app)
        }
        Err(problem) => (
            FormResult {
                files: vec![],
                problem: Some(problem),
            },
            "",
        ),
    };
    let refused = result
        .files
        .iter()
        .find_map(|f| f.problem.as_ref())
        .or(result.problem.as_ref());
    let stored = result.files.iter().any(|f| f.file.is_some());
    let status = match refused {
        Some(problem) if !stored => problem.status,
        _ => 200,
    };
    if header(request, "accept").is_some_and(|a| a.contains("application/json")) {
        return respond::json(status, &result);
    }
    respond::html(
        status,
        lang,
        result::html(&result, lang, &language::messages(lang), app),
    )
}

/// Stores the files of the form, one after the other as they arrive. A file that is refused does
/// not end the form.
async fn store_all(
    service: &EdgeService,
    request: &mut Request,
    claims: &Claims,
    files: &mut Vec<FormFile>,
) -> Result<(), Failure> {
    // A body of unknown length can be as long as any file.
    let most = request::content_length(request).unwrap_or(FILE_SIZE_MAX);
    let content_type = header(request, "content-type").unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(unreadable)?;
    let body = request.stream().map_err(broken("body"))?;
    // One thread runs it all; the parser asks for `Send` that nothing uses.
    let body = SendWrapper::new(body.map_err(|error| std::io::Error::other(error.to_string())));
    let address = request.url().map_err(broken("address"))?;
    let given = address.query_pairs().find(|(key, _)| key == "name");
    let given = given.map(|(_, name)| name.into_owned());
    let limits = Constraints::new().size_limit(SizeLimit::new().per_field(most));
    let mut form = Multipart::with_constraints(body, boundary, limits);
    while let Some(mut field) = form.next_field().await.map_err(unreadable)? {
        let Some(raw_name) = field.file_name().map(str::to_owned) else {
            skip_text(&mut field).await?;
            continue;
        };
        // A chat platform's own upload call sends a temporary name; the page knows the file's.
        let name = name::safe(given.as_deref().unwrap_or(&raw_name));
        let mut field = FormField(field);
        let Some(first) = field.next().await? else {
            // A file input in which nothing was chosen.
            if !raw_name.is_empty() {
                files.push(refused(name, ProblemCode::FileEmpty.into()));
            }
            continue;
        };
        let incoming = Begun {
            first: Some(first),
            rest: &mut field,
        };
        let put = service
            .put_incoming(&claims.app, claims.link, name.clone(), most, incoming)
            .await;
        match put {
            Ok(found) => files.push(FormFile {
                name,
                file: Some(PageFile::from(found.file)),
                problem: None,
            }),
            Err(Failure::Refused(problem)) => {
                files.push(refused(name, problem));
                while field.next().await?.is_some() {}
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

fn refused(name: String, problem: Problem) -> FormFile {
    FormFile {
        name,
        file: None,
        problem: Some(problem),
    }
}

async fn skip_text(field: &mut Field<'static>) -> Result<(), Failure> {
    let mut size = 0;
    while let Some(bytes) = field.chunk().await.map_err(unreadable)? {
        size += bytes.len() as u64;
        if size > TEXT_FIELD_MAX {
            return Err(Problem::new(ProblemCode::BodyTooLarge)
                .limit(TEXT_FIELD_MAX)
                .into());
        }
    }
    Ok(())
}

/// A file whose first bytes were looked at.
struct Begun<'a> {
    first: Option<Vec<u8>>,
    rest: &'a mut FormField,
}

impl Incoming for Begun<'_> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.rest.next().await,
        }
    }
}
