//! Why a call did not do what it was asked.

use chatlift_shared::{Problem, ProblemCode};

/// Why the edge did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it was cut, or it stood still for too long. Try again.
    #[error("the edge cannot be reached: {0}")]
    Unreachable(String),
    /// The edge is in trouble or asks for patience (408, 429, 5xx). Try again.
    #[error("the edge answered {status}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// After how many seconds to try again, if it said so.
        retry_after: Option<u64>,
    },
    /// The edge refused, and will refuse again.
    #[error("the edge refused with {status}{}", words(.problem.as_deref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said about it; `None` when that is of no kind that this version knows.
        problem: Option<Box<Problem>>,
    },
    /// The answer is not what the edge's API promises. Try again, and look into it.
    #[error("the edge's answer makes no sense: {0}")]
    Nonsense(String),
}

impl Error {
    /// The problem's stable code, if the edge refused with one.
    #[must_use]
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Refused { problem, .. } => problem.as_ref().map(|p| p.code),
            _ => None,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

/// The problem in words, for a log line.
fn words(problem: Option<&Problem>) -> String {
    problem.map_or_else(String::new, |p| {
        let mut text = format!(": {} ({})", p.title, p.code.code());
        if let Some(field) = &p.field {
            text.push_str(&format!(", {field}"));
        }
        if let Some(detail) = &p.detail {
            text.push_str(&format!(": {detail}"));
        }
        text
    })
}

/// The error without its address: the edge's is in the configuration, and a path has ids only.
pub(crate) fn cut(error: &reqwest::Error) -> Error {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if text.is_empty() {
        text.push_str("the connection failed");
    }
    Error::Unreachable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_is_wrong_with_which_field() {
        let problem = Problem::new(ProblemCode::InvalidRequest)
            .field("expires_in")
            .detail("Too long.");
        let error = Error::Refused {
            status: 400,
            problem: Some(Box::new(problem)),
        };
        assert_eq!(
            error.to_string(),
            "the edge refused with 400: The request is not valid (invalid-request), expires_in: Too long."
        );
        assert!(!error.is_temporary());
    }
}
