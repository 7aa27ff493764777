//! The plain form: for a browser without JavaScript or WebAssembly, and for a chat platform's own
//! upload call.

use chatlift_shared::api::{FormFile, FormResult, PageFile};
use chatlift_shared::limits::FILE_SIZE_MAX;
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, disposition};
use multer::{Constraints, Field, Multipart, SizeLimit};
use send_wrapper::SendWrapper;

use super::access;
use super::gate::Call;
use super::message::header;
use super::request;
use super::request::invalid;
use super::respond;
use super::runtime::{Edge, Response, Runtime};
use crate::page::{language, result};
use crate::ports::{Failure, Incoming};
use chatlift_shared::name;

/// Most bytes of a field that is no file. Chat platforms send a few; none is used.
const TEXT_FIELD_MAX: u64 = 16 * 1024;

/// A file of the form, as the parser finds it.
struct FormField(Field<'static>);

impl Incoming for FormField {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        // An empty piece is no end, and no beginning either.
        while let Some(bytes) = self.0.chunk().await.map_err(unreadable_form)? {
            if !bytes.is_empty() {
                return Ok(Some(bytes.to_vec()));
            }
        }
        Ok(None)
    }
}

/// The form ended early, or is no form.
fn unreadable_form(error: multer::Error) -> Failure {
    invalid("body", &error.to_string())
}

/// `POST /u/{token}`
pub(super) async fn post<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
) -> Result<Response<R>, Failure> {
    let request = &call.request;
    let lang = request::language(request);
    let (result, app) = match access::claims(service, call).await {
        Ok(claims) => {
            let app = call
                .config()?
                .app(&claims.app)
                .map(|a| a.name.get(lang))
                .unwrap_or_default();
            let mut files: Vec<FormFile> = Vec::new();
            let problem = match store_all(service, call, &claims, &mut files).await {
                Ok(()) if files.is_empty() => {
                    Some(Problem::new(ProblemCode::FileMissing).field("file"))
                }
                Ok(()) => None,
                Err(failure) => Some(told(call, &failure)),
            };
            // A form that was read to its end is all that its sender wants to send.
            let order: Vec<_> = files
                .iter()
                .filter_map(|f| Some(f.file.as_ref()?.id))
                .collect();
            let problem = if problem.is_none() && !order.is_empty() {
                // The files are stored all the same, and the answer must say so.
                let finished = service.finish(claims.link, order).await;
                finished.err().map(|failure| told(call, &failure))
            } else {
                problem
            };
            (FormResult { files, problem }, app)
        }
        Err(Failure::Refused(problem)) => (
            FormResult {
                files: vec![],
                problem: Some(problem),
            },
            "",
        ),
        Err(other) => return Err(other),
    };
    let refused = result
        .files
        .iter()
        .find_map(|f| f.problem.as_ref())
        .or(result.problem.as_ref());
    let stored = result.files.iter().any(|f| f.file.is_some());
    let status = match refused {
        None => 200,
        // Multi-Status (RFC 4918 section 11.1): the body says what became of each.
        Some(_) if stored => 207,
        Some(problem) => problem.status,
    };
    let wait = refused.and_then(|problem| problem.retry_after);
    let mut response = if header(request, "accept").is_some_and(|a| a.contains("application/json"))
    {
        respond::json(status, &result)?
    } else {
        let now = call.runtime.now();
        let html = result::html(&result, lang, &language::messages(lang), app, now);
        respond::html(status, lang, html)
    };
    if let Some(secs) = wait {
        respond::set(&mut response, "retry-after", &secs.to_string());
    }
    Ok(response)
}

/// What the sender is told of a failure.
fn told(call: &Call<'_, impl Runtime>, failure: &Failure) -> Problem {
    match failure {
        Failure::Refused(problem) => problem.clone(),
        fault => {
            let link = call.link().map(|link| ("link", link.to_string()));
            let about: Vec<_> = link.into_iter().collect();
            respond::fault_problem(fault, &about, call.runtime.random())
        }
    }
}

/// Stores the files of the form, one after the other as they arrive. A file that is refused does
/// not end the form.
async fn store_all<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
    files: &mut Vec<FormFile>,
) -> Result<(), Failure> {
    let request = &call.request;
    // A body of unknown length can be as long as any file.
    let most = request::content_length(request).unwrap_or(FILE_SIZE_MAX);
    let content_type = header(request, "content-type").unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(unreadable_form)?;
    let body = request
        .body()
        .ok_or_else(|| invalid("body", "There is none."))?;
    // One thread runs it all; the parser asks for `Send` that nothing uses.
    let body = SendWrapper::new(call.runtime.stream(body));
    let given = request.parameter("name");
    let limits = Constraints::new().size_limit(SizeLimit::new().per_field(most));
    let mut form = Multipart::with_constraints(body, boundary, limits);
    while let Some(mut field) = form.next_field().await.map_err(unreadable_form)? {
        let dispositions = field.headers().get_all("content-disposition");
        let raw_name = dispositions
            .iter()
            .find_map(|header| disposition::form_file_name(header.as_bytes()));
        let problem = encoded(&field);
        let Some(raw_name) = raw_name else {
            match problem {
                Some(problem) => {
                    let name = name::safe(field.name().unwrap_or_default());
                    files.push(refused(name, problem));
                    while field.chunk().await.map_err(unreadable_form)?.is_some() {}
                }
                None => skip_text(&mut field).await?,
            }
            continue;
        };
        let raw_name = decoded_name(call.runtime, raw_name);
        // A chat platform's own upload call sends a temporary name; the page knows the file's.
        let name = name::safe(given.as_deref().unwrap_or(&raw_name));
        let mut field = FormField(field);
        if let Some(problem) = problem {
            files.push(refused(name, problem));
            while field.next().await?.is_some() {}
            continue;
        }
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
            // Also a fault of ours: what is stored already is stored, and the next file may be too.
            Err(failure) => {
                files.push(refused(name, told(call, &failure)));
                while field.next().await?.is_some() {}
            }
        }
    }
    Ok(())
}

/// Why a part cannot be taken as its bytes are: it is encoded, or holds parts of its own.
fn encoded(field: &Field<'static>) -> Option<Problem> {
    // A header may come twice; none of its values may say that the bytes are not the file's.
    let texts = |name: &str| {
        let values = field.headers().get_all(name).into_iter();
        values.map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .trim()
                .to_ascii_lowercase()
        })
    };
    let refused = |field: &str, detail: &str| {
        Some(
            Problem::new(ProblemCode::InvalidRequest)
                .field(field)
                .detail(detail),
        )
    };
    // Deprecated in forms (RFC 7578 section 4.7); the identity encodings change nothing (RFC 2045
    // section 6.2).
    let identity = |encoding: String| ["", "7bit", "8bit", "binary"].contains(&&*encoding);
    if !texts("content-transfer-encoding").all(identity) {
        return refused(
            "Content-Transfer-Encoding",
            "Send the file's bytes as they are.",
        );
    }
    // Deprecated too (RFC 7578 section 4.3).
    if texts("content-type").any(|kind| kind.starts_with("multipart/")) {
        return refused("Content-Type", "Send each file as a part of its own.");
    }
    // Every part of a form has it (RFC 7578 section 4.2); of one without, nobody knows what it is.
    if texts("content-disposition").next().is_none() {
        return refused("Content-Disposition", "Every part of a form needs one.");
    }
    None
}

/// A name whose charset nobody told: UTF-8 where it is that, else GB18030 as Chinese systems write it,
/// else Latin-1, which any bytes are.
fn decoded_name(runtime: &impl Runtime, bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let bytes = error.into_bytes();
        let text = runtime.gb18030(&bytes);
        text.unwrap_or_else(|| disposition::latin1(&bytes))
    })
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
    while let Some(bytes) = field.chunk().await.map_err(unreadable_form)? {
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
