//! Which route a request is for.

use chatlift_shared::{AppId, EventId, FileId, LinkId, Problem, ProblemCode, UploadId};
use percent_encoding::percent_decode_str;

use crate::chat::domain;

/// A route, with what stands in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /v1/links`
    CreateLink,
    /// `GET /v1/links/{id}`
    ReadLink(LinkId),
    /// `DELETE /v1/links/{id}`
    RevokeLink(LinkId),
    /// `GET /v1/files/{id}`
    ReadFile(FileId),
    /// `DELETE /v1/files/{id}`
    DeleteFile(FileId),
    /// `GET /v1/files/{id}/content`
    FileContent(FileId),
    /// `POST /v1/files/{id}/receipt`
    FileReceipt(FileId),
    /// `POST /v1/events/{id}/redeliver`
    Redeliver(EventId),
    /// What a backend does with its links after making them.
    Manage(ManageRoute),
    /// `GET /v1/apps/{app}/webhook-keys`, which needs no key.
    WebhookKeys(AppId),
    /// `GET /d/{text}`: a download whose credential is its address.
    Download(String),
    /// A route of the page, whose credential is the token.
    Page(String, PageRoute),
    /// `GET /healthz`
    Health,
    /// A text file at the root: it proves to a chat platform whose domain this is, or is an asset.
    DomainFile(String),
    /// Anything else: the static assets.
    Asset,
}

/// What a backend does with its links after making them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManageRoute {
    /// `GET /v1/links`
    List,
    /// `PATCH /v1/links/{id}`
    Extend(LinkId),
    /// `POST /v1/links/{id}/close`
    Close(LinkId),
    /// `GET /v1/links/{id}/events`, as JSON or as a stream
    Events(LinkId),
    /// `GET /v1/links/{id}/audit`
    Audit(LinkId),
    /// `GET /v1/links/{id}/qr.svg` and `qr.png`
    Qr(LinkId, QrForm),
    /// `POST /v1/files/{id}/download-url`
    DownloadUrl(FileId),
    /// `GET /v1/webhook-endpoint`
    Endpoint,
    /// `POST /v1/webhook-endpoint/enable`
    EnableEndpoint,
}

/// The form of a QR code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QrForm {
    /// `image/svg+xml`
    Svg,
    /// `image/png`
    Png,
}

/// A route under `/u/{token}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageRoute {
    /// `GET /u/{token}`
    Html,
    /// `POST /u/{token}`
    Form,
    /// `GET /u/{token}/page`
    Data,
    /// `POST /u/{token}/opened`
    Opened,
    /// `POST /u/{token}/done`
    Done,
    /// `GET /u/{token}/chat-config`
    ChatConfig,
    /// `POST /u/{token}/password`
    Password,
    /// `POST /u/{token}/files`
    PutFile,
    /// `POST /u/{token}/uploads`
    CreateUpload,
    /// `PUT /u/{token}/uploads/{id}/parts/{n}`; the number is checked later, against the upload.
    PutPart(UploadId, u64),
    /// `POST /u/{token}/uploads/{id}/complete`
    Complete(UploadId),
    /// `DELETE /u/{token}/uploads/{id}`
    Abort(UploadId),
    /// `/u/{token}/tus` and one upload under it: tus, whatever the method.
    Tus(Option<String>),
    /// `/u/{token}/resumable` and one upload under it: Resumable Uploads for HTTP.
    Resumable(Option<String>),
}

impl Route {
    /// The link that the path of a route for backends names, by its own id or by that of what came
    /// by it.
    #[must_use]
    pub fn link(&self) -> Option<LinkId> {
        match self {
            Self::ReadLink(id)
            | Self::RevokeLink(id)
            | Self::Manage(
                ManageRoute::Extend(id)
                | ManageRoute::Close(id)
                | ManageRoute::Events(id)
                | ManageRoute::Audit(id)
                | ManageRoute::Qr(id, _),
            ) => Some(*id),
            Self::ReadFile(id)
            | Self::DeleteFile(id)
            | Self::FileContent(id)
            | Self::FileReceipt(id)
            | Self::Manage(ManageRoute::DownloadUrl(id)) => Some(id.link()),
            Self::Redeliver(id) => Some(id.link()),
            Self::CreateLink
            | Self::Manage(
                ManageRoute::List | ManageRoute::Endpoint | ManageRoute::EnableEndpoint,
            )
            | Self::WebhookKeys(_)
            | Self::Download(_)
            | Self::Page(..)
            | Self::Health
            | Self::DomainFile(_)
            | Self::Asset => None,
        }
    }
}

/// Finds the route. `HEAD` goes where `GET` goes.
///
/// # Errors
/// `not-found` for an unknown path, `method-not-allowed` for a known one, and the matching
/// `...-not-found` for an id that cannot be one.
pub fn parse(method: &str, path: &str) -> Result<Route, Problem> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let method = if method == "HEAD" { "GET" } else { method };
    match segments.as_slice() {
        ["v1", rest @ ..] => backend(method, rest),
        ["u", token] | ["u", token, ""] => match method {
            "GET" => Ok(Route::Page((*token).to_owned(), PageRoute::Html)),
            "POST" => Ok(Route::Page((*token).to_owned(), PageRoute::Form)),
            _ => Err(not_allowed("GET, POST")),
        },
        ["u", token, rest @ ..] => page(method, rest).map(|r| Route::Page((*token).to_owned(), r)),
        ["d", text] => allow(method, &[("GET", Route::Download((*text).to_owned()))]),
        ["healthz"] => allow(method, &[("GET", Route::Health)]),
        // What the edge fills in before it sends it; raw it is no page. The assets decode their paths.
        [page] if percent_decode_str(page).eq(*b"index.html") => Err(ProblemCode::NotFound.into()),
        [name] if domain::is_file_name(name) => {
            allow(method, &[("GET", Route::DomainFile((*name).to_owned()))])
        }
        _ => allow(method, &[("GET", Route::Asset)]),
    }
}

/// The methods that a path takes, as an `Allow` header has them (RFC 9110 section 15.5.6).
#[must_use]
pub fn methods(path: &str) -> String {
    let takes = |method: &&str| parse(method, path).is_ok();
    let methods: Vec<_> = METHODS.into_iter().filter(takes).collect();
    methods.join(", ")
}

/// The methods that some route takes.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fn backend(method: &str, segments: &[&str]) -> Result<Route, Problem> {
    match segments {
        ["links"] => allow(
            method,
            &[
                ("GET", Route::Manage(ManageRoute::List)),
                ("POST", Route::CreateLink),
            ],
        ),
        ["links", id] => {
            let id = id.parse().map_err(|_| ProblemCode::LinkNotFound)?;
            allow(
                method,
                &[
                    ("GET", Route::ReadLink(id)),
                    ("PATCH", Route::Manage(ManageRoute::Extend(id))),
                    ("DELETE", Route::RevokeLink(id)),
                ],
            )
        }
        ["links", id, rest] => {
            let id = id.parse().map_err(|_| ProblemCode::LinkNotFound)?;
            let (only, route) = match *rest {
                "close" => ("POST", ManageRoute::Close(id)),
                "events" => ("GET", ManageRoute::Events(id)),
                "audit" => ("GET", ManageRoute::Audit(id)),
                "qr.svg" => ("GET", ManageRoute::Qr(id, QrForm::Svg)),
                "qr.png" => ("GET", ManageRoute::Qr(id, QrForm::Png)),
                _ => return Err(ProblemCode::NotFound.into()),
            };
            allow(method, &[(only, Route::Manage(route))])
        }
        ["webhook-endpoint"] => allow(method, &[("GET", Route::Manage(ManageRoute::Endpoint))]),
        ["webhook-endpoint", "enable"] => allow(
            method,
            &[("POST", Route::Manage(ManageRoute::EnableEndpoint))],
        ),
        ["apps", app, "webhook-keys"] => {
            let app = app.parse().map_err(|_| ProblemCode::NotFound)?;
            allow(method, &[("GET", Route::WebhookKeys(app))])
        }
        ["files", id, rest @ ..] => {
            let id = id.parse().map_err(|_| ProblemCode::FileNotFound)?;
            match rest {
                [] => allow(
                    method,
                    &[
                        ("GET", Route::ReadFile(id)),
                        ("DELETE", Route::DeleteFile(id)),
                    ],
                ),
                ["content"] => allow(method, &[("GET", Route::FileContent(id))]),
                ["download-url"] => allow(
                    method,
                    &[("POST", Route::Manage(ManageRoute::DownloadUrl(id)))],
                ),
                ["receipt"] => allow(method, &[("POST", Route::FileReceipt(id))]),
                _ => Err(ProblemCode::NotFound.into()),
            }
        }
        ["events", id, "redeliver"] => {
            let id = id.parse().map_err(|_| ProblemCode::EventNotFound)?;
            allow(method, &[("POST", Route::Redeliver(id))])
        }
        _ => Err(ProblemCode::NotFound.into()),
    }
}

fn page(method: &str, segments: &[&str]) -> Result<PageRoute, Problem> {
    match segments {
        ["page"] => allow(method, &[("GET", PageRoute::Data)]),
        ["opened"] => allow(method, &[("POST", PageRoute::Opened)]),
        ["done"] => allow(method, &[("POST", PageRoute::Done)]),
        ["chat-config"] => allow(method, &[("GET", PageRoute::ChatConfig)]),
        ["password"] => allow(method, &[("POST", PageRoute::Password)]),
        ["files"] => allow(method, &[("POST", PageRoute::PutFile)]),
        ["uploads"] => allow(method, &[("POST", PageRoute::CreateUpload)]),
        ["uploads", id, rest @ ..] => {
            let id = id.parse().map_err(|_| ProblemCode::UploadNotFound)?;
            match rest {
                [] => allow(method, &[("DELETE", PageRoute::Abort(id))]),
                ["complete"] => allow(method, &[("POST", PageRoute::Complete(id))]),
                ["parts", n] => {
                    let n = n.parse().map_err(|_| {
                        Problem::new(ProblemCode::PartOutOfRange).field("part number")
                    })?;
                    allow(method, &[("PUT", PageRoute::PutPart(id, n))])
                }
                _ => Err(ProblemCode::NotFound.into()),
            }
        }
        // These protocols answer in their own words also to what they do not know.
        ["tus"] | ["tus", ""] => Ok(PageRoute::Tus(None)),
        ["tus", id] => Ok(PageRoute::Tus(Some((*id).to_owned()))),
        ["resumable"] | ["resumable", ""] => Ok(PageRoute::Resumable(None)),
        ["resumable", id] => Ok(PageRoute::Resumable(Some((*id).to_owned()))),
        _ => Err(ProblemCode::NotFound.into()),
    }
}

fn allow<R: Clone>(method: &str, routes: &[(&str, R)]) -> Result<R, Problem> {
    routes
        .iter()
        .find(|(m, _)| *m == method)
        .map(|(_, route)| route.clone())
        .ok_or_else(|| {
            let methods: Vec<_> = routes.iter().map(|(m, _)| *m).collect();
            not_allowed(&methods.join(", "))
        })
}

/// A path does not take the method; it takes these.
#[must_use]
pub fn not_allowed(methods: &str) -> Problem {
    Problem::new(ProblemCode::MethodNotAllowed).detail(format!("Use {methods}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn routes_are_found_with_their_ids() {
        let file = "fil_AAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(
            parse("GET", &format!("/v1/files/{file}/content")),
            Ok(Route::FileContent(file.parse().expect("a file id")))
        );
        assert_eq!(
            parse("HEAD", "/u/abc"),
            Ok(Route::Page("abc".into(), PageRoute::Html))
        );
        assert_eq!(
            parse("POST", "/u/abc"),
            Ok(Route::Page("abc".into(), PageRoute::Form))
        );
        let upload = "upl_AAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(
            parse("PUT", &format!("/u/t/uploads/{upload}/parts/3")),
            Ok(Route::Page(
                "t".into(),
                PageRoute::PutPart(upload.parse().expect("an id"), 3)
            ))
        );
        assert_eq!(parse("GET", "/assets/page.js"), Ok(Route::Asset));
    }

    #[test]
    fn what_is_no_route_says_why() {
        let code = |method, path: &str| parse(method, path).expect_err("no route").code;
        assert_eq!(code("PUT", "/v1/links"), ProblemCode::MethodNotAllowed);
        assert_eq!(code("GET", "/v1/links/x/close"), ProblemCode::LinkNotFound);
        assert_eq!(code("GET", "/v1/links/x"), ProblemCode::LinkNotFound);
        assert_eq!(code("GET", "/v1/files/x"), ProblemCode::FileNotFound);
        assert_eq!(code("GET", "/v1/x"), ProblemCode::NotFound);
        assert_eq!(code("POST", "/"), ProblemCode::MethodNotAllowed);
        assert_eq!(
            code("PUT", "/u/t/uploads/x/parts/1"),
            ProblemCode::UploadNotFound
        );
        let upload = "upl_AAAAAAAAAAAAAAAAAAAAAAAA";
        for n in ["0x1", "-1", "", "99999999999999999999"] {
            let path = format!("/u/t/uploads/{upload}/parts/{n}");
            assert_eq!(code("PUT", &path), ProblemCode::PartOutOfRange, "{n}");
        }
    }

    #[test]
    fn a_route_for_backends_knows_its_link() {
        let link = Some(LinkId::from_bytes([0; 12]));
        for (path, expected) in [
            ("/v1/links/lnk_AAAAAAAAAAAAAAAA", link),
            ("/v1/links/lnk_AAAAAAAAAAAAAAAA/events", link),
            ("/v1/links/lnk_AAAAAAAAAAAAAAAA/audit", link),
            ("/v1/files/fil_AAAAAAAAAAAAAAAAAAAAAAAA/content", link),
            ("/v1/links", None),
            ("/u/t/page", None),
        ] {
            let route = parse("GET", path).expect("a route");
            assert_eq!(route.link(), expected, "{path}");
        }
    }

    #[test]
    fn a_path_knows_its_methods() {
        assert_eq!(methods("/healthz"), "GET, HEAD");
        assert_eq!(
            methods("/v1/links/lnk_AAAAAAAAAAAAAAAA"),
            "GET, HEAD, PATCH, DELETE"
        );
        assert_eq!(methods("/u/t/files"), "POST");
    }

    proptest! {
        #[test]
        fn any_path_is_read_without_a_panic(method in "[A-Z]{0,8}", path in ".*") {
            let _ = parse(&method, &path);
        }
    }
}
