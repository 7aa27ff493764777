//! Reads the edge's answers: what the page needs of the types of `chatlift_shared::api`, out of
//! parsed JSON.
//!
//! The browser parses JSON itself, so the page carries no JSON parser, and these few lines read
//! what it needs at a tenth of the bytes of a serde data format. Tests hold them to serde's own
//! reading of the same types.

use crate::uploader::Refusal;
use chatlift_shared::ProblemCode;
use chatlift_shared::api::{HeldPart, ReceiptStatus, StagedPart};

/// What the page needs of a `PageLink`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name of the app that asks.
    pub app_name: String,
    /// What it asks for.
    pub title: String,
    /// More about it; may be empty.
    pub hint: String,
    /// Accepted media ranges.
    pub accept: Vec<String>,
    /// Largest file, in bytes.
    pub max_file_size: u64,
    /// Most files.
    pub max_files: u32,
    /// How many more it takes.
    pub files_left: u32,
    /// When it ends, RFC 3339.
    pub expires_at: String,
    /// Where "back to the app" leads, if anywhere.
    pub return_url: Option<String>,
    /// Largest file that goes in one request, in bytes.
    pub single_request_max: u64,
    /// Whether the edge is told when the person is done, because the files are joined then.
    pub join: bool,
    /// Whether the scene asks for a note with the files.
    pub note: bool,
    /// What it has already.
    pub files: Vec<File>,
}

/// What the page needs of a `PageFile`. Its id is only shown, so it stays text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The file's id.
    pub id: String,
    /// Its name as kept.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Storage address.
    pub address: String,
    /// What became of it, as far as the backend has said.
    pub receipt: Option<Receipt>,
    /// Lets this page take it back; only in the answer that stored it.
    pub ticket: Option<String>,
}

/// What the page needs of a `Receipt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// How far the file came.
    pub status: ReceiptStatus,
    /// Why it was rejected, as a word that the page may have a sentence for.
    pub code: Option<String>,
    /// Why it was rejected, in the backend's own words.
    pub reason: Option<String>,
    /// What of an archive could not be used.
    pub left_out: Option<LeftOut>,
}

/// What the page needs of a `LeftOut`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// How many members could not be used.
    pub count: u32,
    /// How many the archive has.
    pub of: u32,
    /// Their names, or the first of them.
    pub names: Vec<String>,
}

/// An announced upload. Its id only goes back into addresses, so it stays text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The upload's id.
    pub id: String,
    /// To be sent with every part.
    pub ticket: String,
    /// Size in bytes.
    pub size: u64,
    /// Size of every part but the last, in bytes.
    pub part_size: u64,
    /// Parts that the edge holds.
    pub parts: Vec<HeldPart>,
    /// Beginnings of parts that the edge holds.
    pub staged: Vec<StagedPart>,
    /// Whether it takes no more parts: it is being stored, or is a file.
    pub sealed: bool,
}

/// A parsed JSON value.
pub trait Value: Sized {
    /// The field `name` of an object, unless it is absent or null.
    fn get(&self, name: &str) -> Option<Self>;
    /// A string.
    fn text(&self) -> Option<String>;
    /// A number.
    fn number(&self) -> Option<f64>;
    /// The items of an array; none of anything else.
    fn items(&self) -> Vec<Self>;
}

fn text(value: &impl Value, name: &str) -> Option<String> {
    value.get(name)?.text()
}

/// A whole number that is not negative. JSON numbers are exact up to 2^53, 9 PB.
fn whole(value: &impl Value, name: &str) -> Option<u64> {
    let number = value.get(name)?.number()?;
    // The cast saturates, and NaN becomes 0.
    (number >= 0.0).then_some(number as u64)
}

fn small<N: TryFrom<u64>>(value: &impl Value, name: &str) -> Option<N> {
    whole(value, name)?.try_into().ok()
}

/// The readable items of an array; nothing if there is no array.
fn list<V: Value, T>(value: &V, name: &str, read: fn(&V) -> Option<T>) -> Option<Vec<T>> {
    let mut list = Vec::new();
    for item in &value.get(name)?.items() {
        list.extend(read(item));
    }
    Some(list)
}

/// The link in the page's data.
pub fn link(value: &impl Value) -> Option<Link> {
    Some(Link {
        app_name: text(value, "app_name")?,
        title: text(value, "title")?,
        hint: text(value, "hint")?,
        accept: list(value, "accept", Value::text)?,
        max_file_size: whole(value, "max_file_size")?,
        max_files: small(value, "max_files")?,
        files_left: small(value, "files_left")?,
        expires_at: text(value, "expires_at")?,
        return_url: text(value, "return_url"),
        single_request_max: whole(value, "single_request_max")?,
        join: value.get("join").is_some(),
        note: value.get("note").is_some(),
        files: list(value, "files", file)?,
    })
}

/// A stored file.
pub fn file(value: &impl Value) -> Option<File> {
    Some(File {
        id: text(value, "id")?,
        name: text(value, "name")?,
        size: whole(value, "size")?,
        address: text(value, "address")?,
        receipt: value.get("receipt").as_ref().and_then(receipt),
        ticket: text(value, "ticket"),
    })
}

fn receipt(value: &impl Value) -> Option<Receipt> {
    Some(Receipt {
        status: match text(value, "status")?.as_str() {
            "received" => ReceiptStatus::Received,
            "converted" => ReceiptStatus::Converted,
            "delivered" => ReceiptStatus::Delivered,
            "rejected" => ReceiptStatus::Rejected,
            _ => return None,
        },
        code: text(value, "code"),
        reason: text(value, "reason"),
        left_out: value.get("left_out").as_ref().and_then(left_out),
    })
}

fn left_out(value: &impl Value) -> Option<LeftOut> {
    Some(LeftOut {
        count: small(value, "count")?,
        of: small(value, "of")?,
        names: list(value, "names", Value::text)?,
    })
}

/// An announced upload.
pub fn upload(value: &impl Value) -> Option<Upload> {
    Some(Upload {
        id: text(value, "id")?,
        ticket: text(value, "ticket")?,
        size: whole(value, "size")?,
        part_size: whole(value, "part_size")?,
        parts: list(value, "parts", |part| {
            Some(HeldPart {
                n: small(part, "n")?,
                sha256: text(part, "sha256")?.parse().ok()?,
            })
        })?,
        staged: list(value, "staged", |part| {
            Some(StagedPart {
                n: small(part, "n")?,
                offset: offset(part)?,
            })
        })
        .unwrap_or_default(),
        // Absent where it is false.
        sealed: value.get("sealed").is_some(),
    })
}

/// How many bytes of a part are held: the answer to a chunk that did not end its part.
pub fn offset(value: &impl Value) -> Option<u64> {
    whole(value, "offset")
}

/// What the page needs of a problem; its code is missing when it is no problem that is known.
pub fn problem(value: &impl Value) -> Refusal {
    let code = text(value, "code");
    let known = |known: &&ProblemCode| Some(known.code()) == code.as_deref();
    Refusal {
        code: ProblemCode::ALL.iter().find(known).copied(),
        parts: list(value, "parts", part_number).unwrap_or_default(),
        limit: whole(value, "limit"),
        offset: offset(value),
        ..Refusal::default()
    }
}

fn part_number(value: &impl Value) -> Option<u16> {
    // The cast saturates; no upload has a part of either end.
    Some(value.number()? as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatlift_shared::api::{self, LinkState, PageFile, PageLink};
    use chatlift_shared::digest::Sha256;
    use chatlift_shared::{LinkId, Problem, UploadId};
    use serde::Serialize;
    use serde_json::Value as Json;

    impl Value for Json {
        fn get(&self, name: &str) -> Option<Self> {
            self.as_object()?
                .get(name)
                .filter(|v| !v.is_null())
                .cloned()
        }
        fn text(&self) -> Option<String> {
            self.as_str().map(str::to_owned)
        }
        fn number(&self) -> Option<f64> {
            self.as_f64()
        }
        fn items(&self) -> Vec<Self> {
            self.as_array().cloned().unwrap_or_default()
        }
    }

    fn json(value: &impl Serialize) -> Json {
        serde_json::to_value(value).expect("JSON")
    }

    fn upload_id() -> UploadId {
        UploadId::new(LinkId::from_bytes([7; 12]), [1; 6])
    }

    fn files() -> Vec<PageFile> {
        use ReceiptStatus::{Converted, Delivered, Received, Rejected};
        let bare = PageFile {
            id: upload_id().into(),
            name: "发票.pdf".into(),
            size: 5 << 30,
            media_type: "application/pdf".into(),
            sha256: Some(Sha256::of(b"x")),
            address: "r2://b/k".into(),
            receipt: None,
            ticket: Some("t".into()),
        };
        let with = |status, reason| PageFile {
            receipt: Some(api::Receipt {
                status,
                code: Some("unreadable".into()),
                left_out: (status == Delivered).then(|| api::LeftOut {
                    count: 2,
                    of: 3,
                    names: vec!["a.dwg".into()],
                }),
                reason,
                sha256: None,
                attempt: 0,
            }),
            ..bare.clone()
        };
        vec![
            with(Received, None),
            with(Converted, None),
            with(Delivered, None),
            with(Rejected, Some("blurred".into())),
            bare,
        ]
    }

    fn expected_file(file: &PageFile) -> File {
        File {
            id: file.id.to_string(),
            name: file.name.clone(),
            size: file.size,
            address: file.address.clone(),
            receipt: file.receipt.clone().map(|receipt| Receipt {
                status: receipt.status,
                code: receipt.code,
                reason: receipt.reason,
                left_out: receipt.left_out.map(|left| LeftOut {
                    count: left.count,
                    of: left.of,
                    names: left.names,
                }),
            }),
            ticket: file.ticket.clone(),
        }
    }

    #[test]
    fn a_link_is_read_as_serde_reads_it() {
        for (state, return_url) in [
            (LinkState::Active, None),
            (LinkState::Completed, Some("https://app.test/".into())),
            (LinkState::Expired, None),
            (LinkState::Revoked, None),
        ] {
            let whole = PageLink {
                app_name: "App".into(),
                title: "Title".into(),
                hint: String::new(),
                accept: vec!["image/*".into(), "application/pdf".into()],
                max_file_size: 104_857_600,
                max_files: 10,
                files_left: 5,
                state,
                expires_at: "2026-11-26T18:00:00.000Z".into(),
                return_url,
                single_request_max: 8 << 20,
                join: (state == LinkState::Active).then_some(api::Join::Pdf),
                note: state == LinkState::Active,
                files: files(),
            };
            let expected = Link {
                app_name: whole.app_name.clone(),
                title: whole.title.clone(),
                hint: whole.hint.clone(),
                accept: whole.accept.clone(),
                max_file_size: whole.max_file_size,
                max_files: whole.max_files,
                files_left: whole.files_left,
                expires_at: whole.expires_at.clone(),
                return_url: whole.return_url.clone(),
                single_request_max: whole.single_request_max,
                join: whole.join.is_some(),
                note: whole.note,
                files: whole.files.iter().map(expected_file).collect(),
            };
            assert_eq!(link(&json(&whole)), Some(expected));
        }
    }

    #[test]
    fn an_upload_is_read_as_serde_reads_it() {
        let whole = api::Upload {
            id: upload_id(),
            ticket: "t".into(),
            size: (5 << 30) + 1,
            part_size: 8 << 20,
            parts: vec![HeldPart {
                n: 2,
                sha256: Sha256::of(b"2"),
            }],
            staged: vec![StagedPart {
                n: 3,
                offset: 70_000,
            }],
            sealed: true,
        };
        let expected = Upload {
            id: whole.id.to_string(),
            ticket: whole.ticket.clone(),
            size: whole.size,
            part_size: whole.part_size,
            parts: whole.parts.clone(),
            staged: whole.staged.clone(),
            sealed: whole.sealed,
        };
        assert_eq!(upload(&json(&whole)), Some(expected));
    }

    #[test]
    fn every_problem_is_read() {
        for &code in ProblemCode::ALL {
            let mut whole = Problem::new(code).limit(8);
            whole.parts = vec![1, 10_000];
            whole.offset = Some(65_536);
            let expected = Refusal {
                code: Some(code),
                parts: whole.parts.clone(),
                limit: whole.limit,
                offset: whole.offset,
                ..Refusal::default()
            };
            assert_eq!(problem(&json(&whole)), expected);
        }
        assert_eq!(problem(&json(&"x")), Refusal::default());
    }

    #[test]
    fn what_is_cut_short_is_no_link() {
        assert_eq!(link(&json(&"")), None);
        assert_eq!(file(&serde_json::json!({"id": "fil_"})), None);
        assert_eq!(
            upload(&serde_json::json!({"id": upload_id(), "size": -1})),
            None
        );
    }
}
