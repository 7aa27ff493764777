//! What can go wrong in the program itself.

use chatlift_edge::ports::Failure;

/// A failure of the database or of the program's set-up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A row cannot be read or written.
    #[error("a row: line {} column {}", .0.line(), .0.column())]
    Json(#[from] serde_json::Error),
    /// A row has an id that is none.
    #[error("a row with the id {0}")]
    Row(String),
    /// A file or a socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A variable is wrong.
    #[error("{0}")]
    Config(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Broken(error.to_string())
    }
}
