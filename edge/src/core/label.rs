//! A name for each route, for counters: few, and without anything that a request says.

use super::route::{ManageRoute, PageRoute, Route, parse};

/// The name of the route of a request.
#[must_use]
pub fn label(method: &str, path: &str) -> &'static str {
    match parse(method, path) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_nothing_of_the_request() {
        assert_eq!(label("GET", "/u/secret"), "page");
        assert_eq!(label("POST", "/v1/links"), "create_link");
        assert_eq!(label("GET", "/v1/links"), "list_links");
        assert_eq!(label("GET", "/v1/secret"), "none");
        assert_eq!(label("GET", "/healthz"), "other");
    }
}
