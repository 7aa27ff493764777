//! What can go wrong in the program itself.

use chatlift_edge::link::version::{OtherVersion, RowError};
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
    /// Code that is newer wrote a link.
    #[error(transparent)]
    Newer(OtherVersion),
    /// A row has an id that is none.
    #[error("a row with the id {0}")]
    Row(String),
    /// A file or a socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A link changes on other nodes faster than it can be decided on here.
    #[error("a link is contended")]
    Contended,
    /// The tables could not be made.
    #[error("tables: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A variable is wrong.
    #[error("{0}")]
    Config(String),
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Newer(other) => Self::Newer(other),
            RowError::Broken(error) => Self::Json(error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // A database that is started again answers soon, and so does newer code where it is rolled out.
            Error::Database(_) | Error::Contended | Error::Newer(_) => {
                Self::Away(error.to_string())
            }
            _ => Self::Broken(error.to_string()),
        }
    }
}
