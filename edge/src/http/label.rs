//! What counters and log lines say of a request: the name of its route, of which there are few and
//! which hold nothing that a request says; and which refusals have a line.

use chatlift_shared::ProblemCode;

use super::route::{ManageRoute, PageRoute, Route};

/// The name of the route of a request.
#[must_use]
pub fn label<E>(route: &Result<Route, E>) -> &'static str {
    match route {
        Err(_) => "none",
        Ok(Route::CreateLink) => "create_link",
        Ok(Route::ReadLink(_)) => "read_link",
        Ok(Route::RevokeLink(_)) => "revoke_link",
        Ok(Route::ReadFile(_)) => "read_file",
        Ok(Route::DeleteFile(_)) => "delete_file",
        Ok(Route::FileContent(_) | Route::Download(_)) => "download",
        Ok(Route::FileReceipt(_)) => "receipt",
        Ok(Route::Redeliver(_)) => "redeliver",
        Ok(Route::Manage(ManageRoute::List)) => "list_links",
        Ok(Route::Manage(ManageRoute::Events(_))) => "events",
        Ok(Route::Manage(ManageRoute::Audit(_))) => "audit",
        Ok(Route::Manage(_)) => "manage",
        Ok(Route::Asset) => "asset",
        Ok(Route::Page(_, route)) => match route {
            PageRoute::Html => "page",
            PageRoute::Form => "form",
            PageRoute::PutFile => "put_file",
            PageRoute::CreateUpload => "create_upload",
            PageRoute::PutPart(..) => "put_part",
            PageRoute::Complete(_) => "complete",
            PageRoute::Password => "password",
            _ => "page_other",
        },
        Ok(_) => "other",
    }
}

/// Whether the refusal of a request about a link is worth a line. Whoever has no key, or asks too
/// often, could fill the log with them.
#[must_use]
pub const fn is_logged(code: ProblemCode) -> bool {
    !matches!(
        code,
        ProblemCode::ApiKeyMissing | ProblemCode::ApiKeyUnknown | ProblemCode::RateLimited
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route::parse;

    #[test]
    fn nobody_without_a_key_fills_the_log() {
        assert!(is_logged(ProblemCode::FileTooLarge));
        assert!(!is_logged(ProblemCode::ApiKeyUnknown));
        assert!(!is_logged(ProblemCode::RateLimited));
    }

    #[test]
    fn a_name_holds_nothing_of_the_request() {
        assert_eq!(label(&parse("GET", "/u/secret")), "page");
        assert_eq!(label(&parse("POST", "/v1/links")), "create_link");
        assert_eq!(label(&parse("GET", "/v1/links")), "list_links");
        assert_eq!(label(&parse("GET", "/v1/secret")), "none");
        assert_eq!(label(&parse("GET", "/healthz")), "other");
    }
}
