//! The gate: what a request is, found once: its route and its token.

use chatlift_shared::token::{Claims, TokenError, verify};
use chatlift_shared::{LinkId, Problem, ProblemCode};

use super::message::{Request, header};
use super::route;
use super::route::Route;
use super::runtime::{Edge, Runtime};
use crate::config::Config;
use crate::faults::HEADER_FAULT;
use crate::ports::Failure;

/// The token in a request's path.
#[derive(Debug)]
pub(super) struct Token {
    /// As it came.
    pub(super) text: String,
    /// What it says, where its MAC is right and its time not over.
    verdict: Result<Claims, TokenError>,
}

impl Token {
    /// The claims of a genuine token. One that has ended still says whose it was.
    pub(super) fn claims(&self) -> Option<&Claims> {
        match &self.verdict {
            Ok(claims) | Err(TokenError::Expired(claims)) => Some(claims),
            Err(_) => None,
        }
    }

    /// The claims, whether or not its bearer has said the link's password.
    ///
    /// # Errors
    /// `link-expired` or `link-token-invalid`.
    pub(super) fn genuine(&self) -> Result<&Claims, Problem> {
        self.verdict.as_ref().map_err(|error| {
            match error {
                TokenError::Expired(_) => ProblemCode::LinkExpired,
                TokenError::Malformed | TokenError::UnknownKey | TokenError::BadTag => {
                    ProblemCode::LinkTokenInvalid
                }
            }
            .into()
        })
    }

    /// The claims of a genuine token that has ended.
    pub(super) fn expired(&self) -> Option<&Claims> {
        match &self.verdict {
            Err(TokenError::Expired(claims)) => Some(claims),
            _ => None,
        }
    }
}

/// A request with what the gate found.
pub(super) struct Call<'r, R: Runtime> {
    pub(super) runtime: &'r R,
    /// The configuration, or what is wrong with it.
    config: Result<&'r Config, Failure>,
    pub(super) request: Request<R::Body>,
    /// Which route it is for, or why for none.
    pub(super) route: Result<Route, Problem>,
    /// The token of an address under `/u/`. A wrong configuration has no keys to verify one with.
    token: Option<Token>,
}

impl<'r, R: Runtime> Call<'r, R> {
    /// Parses and verifies. A forged token costs one HMAC.
    pub(super) fn new(runtime: &'r R, request: Request<R::Body>) -> Self {
        let config = runtime.config();
        let route = route::parse(request.method.as_str(), request.path());
        let text = request
            .path()
            .strip_prefix("/u/")
            .and_then(|rest| rest.split('/').next());
        let token = text.zip(config.as_ref().ok()).map(|(text, config)| Token {
            text: text.to_owned(),
            verdict: verify(&config.keys, text, runtime.now()),
        });
        Self {
            runtime,
            config,
            request,
            route,
            token,
        }
    }

    /// The configuration.
    ///
    /// # Errors
    /// [`Failure::Broken`] when it is wrong.
    pub(super) fn config(&self) -> Result<&'r Config, Failure> {
        self.config.clone()
    }

    /// The token, of a route of the page.
    ///
    /// # Errors
    /// `link-token-invalid` where there is none.
    pub(super) fn token(&self) -> Result<&Token, Problem> {
        self.token
            .as_ref()
            .ok_or_else(|| ProblemCode::LinkTokenInvalid.into())
    }

    /// The claims of a genuine token of any address under `/u/`; one that has ended still says whose
    /// it was.
    pub(super) fn claims(&self) -> Option<&Claims> {
        self.token.as_ref()?.claims()
    }

    /// The link that it is about, if its route names one.
    pub(super) fn link(&self) -> Option<LinkId> {
        match self.route.as_ref().ok()? {
            Route::Page(..) => self.claims().map(|claims| claims.link),
            route => route.link(),
        }
    }

    /// The service, with the fault that a test asked for.
    pub(super) fn service(&self) -> Result<Edge<R>, Failure> {
        let faults = self.config()?.faults;
        let fault = faults.then(|| header(&self.request, HEADER_FAULT));
        self.runtime.service(fault.flatten())
    }
}
