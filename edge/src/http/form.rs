//! The plain form: for a browser without JavaScript or WebAssembly, and for a chat platform's own
//! upload call.

use core::time::Duration;

use chatlift_shared::api::{FormFile, FormResult, PageFile};
use chatlift_shared::limits::{FILE_SIZE_MAX, NOTE_MAX, PART_SIZE};
use chatlift_shared::token::Claims;
use chatlift_shared::{Problem, ProblemCode, disposition, text};
use futures_util::Stream;

use super::access;
use super::gate::Call;
use super::message::header;
use super::multipart::{self, Head, Multipart};
use super::request::{self, invalid};
use super::respond;
use super::runtime::{Edge, Response, Runtime};
use crate::link::state::Extras;
use crate::memory::Share;
use crate::page::{language, result};
use crate::ports::{Failure, Incoming, World as _};
use crate::upload::open::Label;
use chatlift_shared::name;

/// The field with the sender's note.
const NOTE: &str = "note";

/// The field that says by how many degrees clockwise the pages of the files behind it are turned, where the scene joins
/// its files.
const ROTATE: &str = "rotate";

/// The field that says that its sender sends more than this form: whatever its value is. Who sends each file in a form
/// of its own says so, and tells by `POST /u/{token}/done` that these were all, and their order.
const MORE: &str = "more";

/// Most bytes of a field that is no file. Chat platforms send a few; none but [`NOTE`], [`ROTATE`] and [`MORE`] is used.
const TEXT_FIELD_MAX: u64 = 16 * 1024;

/// Most bytes of memory that a form takes: a part, as it is gathered and as the store is given it.
pub const FORM_MEMORY: u64 = 2 * PART_SIZE;

/// How long a form waits for memory while others have it. Its sender waits too, and sees nothing.
const MEMORY_WAIT: Duration = Duration::from_secs(10);
const MEMORY_POLL: Duration = Duration::from_millis(250);

/// A share of the memory for a form of at most `bytes`.
async fn memory<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    bytes: u64,
) -> Result<Share, Failure> {
    let bytes = bytes.saturating_mul(2).min(FORM_MEMORY);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(share) = call.runtime.memory().take(bytes) {
            return Ok(share);
        }
        if waited >= MEMORY_WAIT {
            return Err(Failure::Away("other forms have the memory".to_owned()));
        }
        service.world.pause(MEMORY_POLL).await;
        waited += MEMORY_POLL;
    }
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
            let (problem, more) = match store_all(service, call, &claims, &mut files).await {
                Ok(_) if files.is_empty() => {
                    let missing = Problem::new(ProblemCode::FileMissing).field("file");
                    (Some(missing), false)
                }
                Ok(more) => (None, more),
                Err(failure) => (Some(told(call, &failure)), false),
            };
            // A form that was read to its end is all that its sender wants to send, if it does not say otherwise.
            let order: Vec<_> = files
                .iter()
                .filter_map(|f| Some(f.file.as_ref()?.id))
                .collect();
            let problem = if problem.is_none() && !order.is_empty() && !more {
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
        let html = result::html(&result, lang, language::messages(lang), app, now);
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

/// Stores the files of the form, one after the other as they arrive, and returns whether it says that more follows. A
/// file that is refused does not end the form.
async fn store_all<R: Runtime>(
    service: &Edge<R>,
    call: &Call<'_, R>,
    claims: &Claims,
    files: &mut Vec<FormFile>,
) -> Result<bool, Failure> {
    let request = &call.request;
    // A body of unknown length can be as long as any file.
    let most = request::content_length(request).unwrap_or(FILE_SIZE_MAX);
    let content_type = request.headers.get("content-type");
    let boundary = multipart::boundary(content_type.map_or(&[], |value| value.as_bytes()))
        .ok_or_else(|| {
            invalid(
                "Content-Type",
                "Send multipart/form-data with its boundary.",
            )
        })?;
    let body = request
        .body()
        .ok_or_else(|| invalid("body", "There is none."))?;
    let _share = memory(service, call, most).await?;
    let given = request.parameter("name");
    let mut extras = Extras::default();
    let mut more = false;
    let mut form = Multipart::new(call.runtime.stream(body), &boundary);
    while let Some(head) = form.next_part().await? {
        let problem = unusable(&head);
        let named = head
            .values("content-disposition")
            .find_map(disposition::form_file_name);
        // What is labelled as no text is a file, also without a name (RFC 7578 section 4.4).
        let raw_name = named.or_else(|| (!is_text(&head)).then(|| field_name(&head)));
        let Some(raw_name) = raw_name else {
            match problem {
                Some(problem) => {
                    let name = decoded_name(call.runtime, field_name(&head));
                    files.push(refused(name::safe(&name), problem));
                }
                None => {
                    let written = field(&mut form).await?;
                    let written = String::from_utf8_lossy(&written);
                    match &*String::from_utf8_lossy(&field_name(&head)) {
                        NOTE => {
                            if let Some(note) = note(&written)?
                                // Else it is passed over, as any other field is.
                                && service.read_link(claims.link).await?.link.policy.note
                            {
                                if !files.is_empty() {
                                    // The app has been told of those already.
                                    return Err(invalid(NOTE, "Send it before the files."));
                                }
                                extras.note = Some(note);
                            }
                        }
                        ROTATE => {
                            let policy = service.read_link(claims.link).await?.link.policy;
                            if policy.join.is_some() {
                                extras.rotate = rotate(written.trim().parse().ok())?;
                            }
                        }
                        MORE => more = true,
                        _ => {}
                    }
                }
            }
            continue;
        };
        let raw_name = decoded_name(call.runtime, raw_name);
        // A chat platform's own upload call sends a temporary name; the page knows the file's.
        let name = name::safe(given.as_deref().unwrap_or(&raw_name));
        if let Some(problem) = problem {
            files.push(refused(name, problem));
            continue;
        }
        let first = match form.next_bytes().await {
            Ok(Some(first)) => first,
            Ok(None) => {
                // An empty name is a file input in which nothing was chosen.
                if !raw_name.is_empty() {
                    files.push(refused(name, ProblemCode::FileEmpty.into()));
                }
                continue;
            }
            Err(failure) => {
                files.push(refused(name, told(call, &failure)));
                continue;
            }
        };
        let incoming = Begun {
            first: Some(first),
            rest: &mut form,
        };
        let label = Label {
            name: name.clone(),
            extras: extras.clone(),
        };
        let put = service
            .put_incoming(&claims.app, claims.link, label, most, incoming)
            .await;
        match put {
            Ok(found) => files.push(FormFile {
                name,
                file: Some(PageFile::from(found.file)),
                problem: None,
            }),
            // Also a fault of ours: what is stored already is stored, and the next file may be too.
            Err(failure) => files.push(refused(name, told(call, &failure))),
        }
    }
    Ok(more)
}

/// Why a part cannot be taken as its bytes are: it is encoded, or holds parts of its own.
fn unusable(head: &Head) -> Option<Problem> {
    // A header may come twice; none of its values may say that the bytes are not the file's.
    let texts = |name| head.values(name).map(lower_case);
    let refused = |field: &str, detail: &str| {
        Some(
            Problem::new(ProblemCode::InvalidRequest)
                .field(field)
                .detail(detail),
        )
    };
    if head.cut {
        return refused("body", "The headers of a part are too long.");
    }
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

/// Whether a part without a file name is a field: of no type, or of one that fields have.
fn is_text(head: &Head) -> bool {
    const FIELDS: [&str; 4] = [
        "",
        "text/plain",
        "application/json",
        "application/x-www-form-urlencoded",
    ];
    head.values("content-type").all(|value| {
        let value = lower_case(value);
        let essence = value.split(';').next().unwrap_or_default().trim();
        FIELDS.contains(&essence)
    })
}

fn lower_case(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim().to_ascii_lowercase()
}

/// The bytes of the name of a part's field; none where it has no name.
fn field_name(head: &Head) -> Vec<u8> {
    head.values("content-disposition")
        .find_map(|value| disposition::parameter(value, "name"))
        .unwrap_or_default()
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

/// The bytes of a form's body.
trait Bytes: Stream<Item = Result<Vec<u8>, std::io::Error>> {}
impl<S: Stream<Item = Result<Vec<u8>, std::io::Error>>> Bytes for S {}

async fn field(form: &mut Multipart<impl Bytes>) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    // What is wrong with the form is told with its next part.
    while let Ok(Some(bytes)) = form.next_bytes().await {
        text.extend(bytes);
        if text.len() as u64 > TEXT_FIELD_MAX {
            return Err(Problem::new(ProblemCode::BodyTooLarge)
                .limit(TEXT_FIELD_MAX)
                .into());
        }
    }
    Ok(text)
}

/// What a sender wrote to the app, as it is kept.
pub(super) fn note(written: &str) -> Result<Option<String>, Problem> {
    text::note(written).map_err(|error| {
        let problem = Problem::new(ProblemCode::InvalidRequest).field(NOTE);
        problem.limit(NOTE_MAX as u64).detail(error.to_string())
    })
}

/// By how many degrees clockwise the pages of a file are turned.
pub(super) fn rotate(degrees: Option<u16>) -> Result<u16, Failure> {
    degrees
        .filter(|degrees| matches!(degrees, 0 | 90 | 180 | 270))
        .ok_or_else(|| invalid("rotate", "Give 0, 90, 180 or 270."))
}

/// A file whose first bytes were looked at.
struct Begun<'a, S> {
    first: Option<Vec<u8>>,
    rest: &'a mut Multipart<S>,
}

impl<S: Bytes> Incoming for Begun<'_, S> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.rest.next_bytes().await,
        }
    }
}
