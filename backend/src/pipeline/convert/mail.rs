//! Mails (RFC 5322), and pages that were saved with their pictures as a mail is written (RFC 2557).
//!
//! A mail is a folder of files: what a person reads in it, as a page of HTML, and what is attached. It
//! becomes a zip, so that it is treated as any archive is. A page is one page: its pictures are written
//! into it, since nothing is loaded from elsewhere.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatlift_shared::name;
use mail_parser::{
    Address, Message, MessageParser, MessagePart, MessagePartId, MimeHeaders as _, PartType,
};
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::{ConvertError, reject};
use crate::pipeline::Rejection;

/// Largest mail, in bytes: servers take 50 MB at most, and it is held several times.
const SIZE_MAX: u64 = 128 * 1024 * 1024;
/// Longest page with its pictures in it, in bytes.
const PAGE_MAX: usize = 64 * 1024 * 1024;

/// The text of a saved page, its pictures in it.
pub(super) fn page(path: &Path) -> Result<String, ConvertError> {
    let bytes = read(path)?;
    let message = parse(&bytes)?;
    Ok(body(&message)?.0)
}

/// Writes a mail as a zip of what is in it.
pub(super) fn as_zip(path: &Path, target: &Path) -> Result<(), ConvertError> {
    let bytes = read(path)?;
    let message = parse(&bytes)?;
    let (body, shown) = body(&message)?;
    let text = format!("{}{body}", head(&message));
    let subject = message.subject().unwrap_or_default().trim();
    let subject = match subject {
        "" => "mail",
        subject => subject,
    };
    let mut archive = ZipArchiveWriter::new(BufWriter::new(File::create(target)?));
    let mut add = |name: &str, content: &[u8]| -> Result<(), rawzip::Error> {
        let file = archive
            .new_file(name)
            .compression_method(CompressionMethod::STORE);
        let (mut entry, config) = file.start()?;
        let mut writer = config.wrap(&mut entry);
        writer.write_all(content)?;
        let (_, written) = writer.finish()?;
        entry.finish(written).map(drop)
    };
    add(&name::safe(&format!("{subject}.html")), text.as_bytes()).map_err(disk)?;
    for (n, id) in message.attachments.iter().enumerate() {
        let Some(part) = message.part(*id).filter(|_| !shown.contains(id)) else {
            continue;
        };
        let (name, content) = attachment(&message, part, n + 1);
        add(&name::safe(&name), &content).map_err(disk)?;
    }
    archive.finish().map_err(disk)?.flush()?;
    Ok(())
}

fn disk(error: rawzip::Error) -> ConvertError {
    ConvertError::Disk(std::io::Error::other(error))
}

fn read(path: &Path) -> Result<Vec<u8>, ConvertError> {
    let size = fs::metadata(path)?.len();
    if size > SIZE_MAX {
        let error = format!("a mail of {size} bytes");
        return Err(reject(Rejection::ResultTooLarge, error));
    }
    Ok(fs::read(path)?)
}

fn parse(bytes: &[u8]) -> Result<Message<'_>, ConvertError> {
    let message = MessageParser::default().parse(bytes);
    message.ok_or_else(|| reject(Rejection::Unreadable, "no mail"))
}

/// What a person reads, as HTML; and the parts that are shown in it.
fn body<'a>(message: &'a Message<'a>) -> Result<(String, Vec<MessagePartId>), ConvertError> {
    let mut text = String::new();
    for n in 0..message.html_body_count() {
        text.push_str(&message.body_html(n).unwrap_or_default());
        text.push('\n');
    }
    let mut shown = Vec::new();
    for (id, part) in (0..).zip(&message.parts) {
        let Some(kind) = part.content_type().filter(|kind| kind.ctype() == "image") else {
            continue;
        };
        let by_id = part
            .content_id()
            .map(|id| format!("cid:{}", id.trim_matches(['<', '>'])));
        let by_place = part.content_location().map(str::to_owned);
        for address in [by_id, by_place].into_iter().flatten() {
            if !text.contains(&address) {
                continue;
            }
            let subtype = kind.subtype().unwrap_or("png");
            let picture = format!(
                "data:image/{subtype};base64,{}",
                STANDARD.encode(part.contents())
            );
            let times = text.matches(&address).count();
            if text.len() + times * picture.len() > PAGE_MAX {
                return Err(reject(Rejection::ResultTooLarge, "a page of many pictures"));
            }
            text = text.replace(&address, &picture);
            shown.push(id);
        }
    }
    Ok((text, shown))
}

/// Who wrote to whom, when, and of what, as mail programs print it.
fn head(message: &Message<'_>) -> String {
    let people = |address: Option<&Address<'_>>| {
        let people = address.into_iter().flat_map(Address::iter);
        let people = people.map(|one| match (&one.name, &one.address) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (name, address) => name
                .as_ref()
                .or(address.as_ref())
                .map_or(String::new(), Cow::to_string),
        });
        people.collect::<Vec<_>>().join(", ")
    };
    let fields = [
        ("From", people(message.from())),
        ("To", people(message.to())),
        ("Cc", people(message.cc())),
        (
            "Date",
            message.date().map(ToString::to_string).unwrap_or_default(),
        ),
        ("Subject", message.subject().unwrap_or_default().to_owned()),
    ];
    let mut head = "<meta charset=\"utf-8\"><p>".to_owned();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a string cannot fail.
        let _ = write!(head, "<b>{name}:</b> {}<br>", escaped(value));
    }
    head.push_str("</p><hr>");
    head
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Name and content of an attachment; of a mail in a mail, as it was written.
fn attachment<'a>(
    message: &'a Message<'a>,
    part: &'a MessagePart<'a>,
    n: usize,
) -> (String, Cow<'a, [u8]>) {
    let name = part.attachment_name().map(str::to_owned);
    if let PartType::Message(inner) = &part.body {
        let raw = message.raw_message();
        let from = usize::try_from(part.offset_body).unwrap_or_default();
        let to = usize::try_from(part.offset_end).unwrap_or(raw.len());
        let name = name.unwrap_or_else(|| format!("{}.eml", inner.subject().unwrap_or("mail")));
        return (name, Cow::Borrowed(raw.get(from..to).unwrap_or_default()));
    }
    (
        name.unwrap_or_else(|| format!("attachment {n}")),
        Cow::Borrowed(part.contents()),
    )
}
