//! Versions of what crosses from one deployment to another: the rows that an object keeps, and the
//! messages between a worker and an object while only one of them is replaced yet.
//!
//! What is newer may mean something that this code does not know. So newer rows are neither read nor
//! written, and a message of another version is not carried out: both are answered as an object that
//! cannot be reached, which is asked again soon. A row that is older is read as it is, and gets this
//! version with the next decision about its link. Whoever changes a stored form or a message so that the
//! code before would misread it raises the number.

use serde::Deserialize;

use super::state::LinkRow;

/// Of all rows of a link. The link's own row has it.
pub const ROWS: u32 = 3;

/// Of commands, answers, chunks and leases, and of what crosses to the objects of lists and chat platforms.
pub const MESSAGES: u32 = 5;

/// Header of a message in either direction: its version.
pub const HEADER: &str = "chatlift-version";

/// Something of another version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} of version {theirs}, and this code knows {ours}")]
pub struct OtherVersion {
    what: &'static str,
    theirs: String,
    ours: u32,
}

/// Why a link's row was not read.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Code that is newer wrote it.
    #[error(transparent)]
    Newer(#[from] OtherVersion),
    /// It is broken.
    #[error(transparent)]
    Broken(#[from] serde_json::Error),
}

/// Reads a link's row, if this code knows all that its rows may mean.
///
/// # Errors
/// [`RowError::Newer`], whatever else the row says; [`RowError::Broken`].
pub fn read_link(json: &str) -> Result<LinkRow, RowError> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        version: u32,
    }
    let Version { version } = serde_json::from_str(json)?;
    if version > ROWS {
        return Err(RowError::Newer(OtherVersion {
            what: "rows",
            theirs: version.to_string(),
            ours: ROWS,
        }));
    }
    Ok(serde_json::from_str(json)?)
}

/// Checks the version that a message says it has. One of before versions says none.
///
/// # Errors
/// [`OtherVersion`] unless it is this code's.
pub fn check_message(version: Option<&str>) -> Result<(), OtherVersion> {
    let theirs = version.unwrap_or("0");
    if theirs == MESSAGES.to_string() {
        return Ok(());
    }
    Err(OtherVersion {
        what: "a message",
        theirs: theirs.to_owned(),
        ours: MESSAGES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"id":"lnk_AAAAAAAAAAAAAAAA","app":"demo","scene":"any","bucket":"b","policy":{"accept":["image/*"],"max_file_size":1,"max_files":2,"formats":[],"file_retention":3},"subject":null,"metadata":{},"created_at":"1970-01-01T00:00:00.000Z","expires_at":"1970-01-01T00:00:01.000Z","status":"active","request":null,"next_event":0}"#;

    #[test]
    fn a_row_of_before_versions_is_read_and_a_newer_one_is_left_alone() {
        assert_eq!(read_link(ROW).expect("an older row").version, 0);
        let of = |version: u32| ROW.replacen('{', &format!("{{\"version\":{version},"), 1);
        assert_eq!(read_link(&of(ROWS)).expect("this code's").version, ROWS);
        let newer = of(ROWS + 1);
        assert!(matches!(read_link(&newer), Err(RowError::Newer(_))));
        // Also one of which nothing else is known any more.
        let strange = r#"{"version":7,"link":[]}"#;
        assert!(matches!(read_link(strange), Err(RowError::Newer(_))));
        assert!(matches!(read_link("{}"), Err(RowError::Broken(_))));
    }

    #[test]
    fn a_message_of_another_version_is_not_carried_out() {
        assert_eq!(check_message(Some(&MESSAGES.to_string())), Ok(()));
        let newer = (MESSAGES + 1).to_string();
        for other in [
            None,
            Some("0"),
            Some("1"),
            Some(&newer),
            Some("03"),
            Some(""),
        ] {
            assert!(check_message(other).is_err(), "{other:?}");
        }
    }
}
