//! Every way in which the backend says no, and the one mapping to problem details (RFC 9457).
//!
//! The detail of a 5xx is logged under an id, and only the id is sent.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chatlift_shared::problem;
use serde::Serialize;

use crate::ports::EdgeError;
use crate::store::StoreError;

/// Why a request is refused or fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The webhook's signature, timestamp or headers do not verify: forged, replayed, or signed
    /// with a secret that this backend does not have.
    #[error("{0}")]
    WebhookRefused(#[from] chatlift_shared::webhook::VerifyError),
    /// The event is for another app than the one that this backend serves.
    #[error("this backend serves another app")]
    AnotherApp,
    /// The request has no token of this backend's.
    #[error("give the token of CHATLIFT_APP_TOKEN as Authorization: Bearer")]
    Unauthorized,
    /// A body or parameter is not what the route takes.
    #[error("{0}")]
    InvalidRequest(String),
    /// The body is longer than the route reads.
    #[error("the request body is too large")]
    BodyTooLarge,
    /// No such route, request or delivery.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The route has other methods.
    #[error("the method is not allowed here")]
    MethodNotAllowed,
    /// The edge refused, failed or could not be reached.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk failed.
    #[error("{doing}: {source}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A problem as it is sent; the fields are those of the edge's problems.
#[derive(Serialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
}

impl Error {
    /// Status, stable code and title.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::WebhookRefused(_) => (
                StatusCode::UNAUTHORIZED,
                "webhook-refused",
                "The webhook does not verify",
            ),
            Self::AnotherApp => (
                StatusCode::FORBIDDEN,
                "another-app",
                "The event is for another app",
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "The request has no valid token",
            ),
            Self::InvalidRequest(_) => (
                StatusCode::BAD_REQUEST,
                "invalid-request",
                "The request is not valid",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The request body is too large",
            ),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "The method is not allowed here",
            ),
            // The edge's word about the caller's own input goes on to the caller; its word about
            // our key does not.
            Self::Edge(EdgeError::Refused {
                problem: Some(problem),
                ..
            }) if matches!(problem.status, 400 | 422) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                problem.code.code(),
                problem.code.title(),
            ),
            Self::Edge(EdgeError::Unreachable(_) | EdgeError::Unavailable { .. }) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "edge-unavailable",
                "The edge does not answer at the moment",
            ),
            Self::Edge(_) => (
                StatusCode::BAD_GATEWAY,
                "edge-refused",
                "The edge did not do what it was asked",
            ),
            Self::Store(_) | Self::Disk { .. } => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong on our side",
            ),
        }
    }
}

impl From<BytesRejection> for Error {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Self::BodyTooLarge
        } else {
            Self::InvalidRequest(rejection.body_text())
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code, title) = self.kind();
        let challenge = matches!(self, Self::Unauthorized);
        let (detail, instance) = if status.is_server_error() {
            let id = hex::encode(crate::random::random::<8>());
            tracing::error!(instance = %id, code, error = %self, "request failed");
            (None, Some(id))
        } else if let Self::Edge(EdgeError::Refused {
            problem: Some(problem),
            ..
        }) = self
        {
            (problem.detail, None)
        } else {
            (Some(self.to_string()), None)
        };
        let body = Body {
            kind: format!("/problems/{code}"),
            title,
            status: status.as_u16(),
            code,
            detail,
            instance,
        };
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(problem::MEDIA_TYPE),
        );
        if challenge {
            // RFC 6750 section 3.
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
