//! `chatlift-backend jobs`: the operator's look at the jobs, another try for one, and its end.

use chatlift_shared::{FileId, Timestamp};

use crate::pipeline::Rejection;
use crate::store::{Role, Stage, Store};

/// What can be asked.
pub const USAGE: &str = "\
chatlift-backend jobs list            the jobs that are not done, newest first
chatlift-backend jobs show <file>     all that is known of one
chatlift-backend jobs retry <file>    begins a parked one anew; the running backend takes it up
chatlift-backend jobs release <file>  lets one go on that is held because it could not be scanned to its end
chatlift-backend jobs park <file>     ends one that is not done: its sender is told that it failed";

/// Runs one command; what it prints.
///
/// # Errors
/// One sentence.
pub async fn run(store: &Store, words: &[String], now: Timestamp) -> Result<String, String> {
    let id = |text: &str| -> Result<FileId, String> {
        text.parse()
            .map_err(|e| format!("{text} is no file id: {e}"))
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => list(store).await,
        ["show", file] => show(store, id(file)?).await,
        ["retry", file] => {
            let file = id(file)?;
            match store.retry(file, now).await {
                Ok(true) => Ok(format!("{file} begins anew\n")),
                Ok(false) => Err(format!("{file} is not parked")),
                Err(error) => Err(error.to_string()),
            }
        }
        ["release", file] => {
            let file = id(file)?;
            match store.release(file, now).await {
                Ok(true) => Ok(format!("{file} goes on\n")),
                Ok(false) => Err(format!("{file} is not held")),
                Err(error) => Err(error.to_string()),
            }
        }
        ["park", file] => {
            let file = id(file)?;
            let job = store.job(file).await.map_err(|e| e.to_string())?;
            let job = job.ok_or_else(|| format!("there is no job of {file}"))?;
            if matches!(job.stage(), Stage::Done | Stage::Parked | Stage::Erase) {
                return Err(format!("{file} is {} already", job.stage().as_str()));
            }
            let parked = store
                .park(&job, Rejection::GaveUp, "by the operator", now)
                .await;
            parked.map_err(|e| e.to_string())?;
            Ok(format!("{file} is parked\n"))
        }
        _ => Err(format!("no such command\n{USAGE}")),
    }
}

async fn list(store: &Store) -> Result<String, String> {
    let jobs = store.open_jobs().await.map_err(|e| e.to_string())?;
    let mut text = String::new();
    for job in &jobs {
        let file = &job.announced.file;
        let error = job.last_error.as_deref().unwrap_or("-").replace('\n', " ");
        text += &format!(
            "{}  {:8} {:3} tries  {}  {}  {error}\n",
            file.id,
            job.stage().as_str(),
            job.attempts,
            file.media_type,
            file.name.escape_debug()
        );
    }
    text += &format!("{} jobs\n", jobs.len());
    Ok(text)
}

async fn show(store: &Store, file: FileId) -> Result<String, String> {
    let job = store.job(file).await.map_err(|e| e.to_string())?;
    let job = job.ok_or_else(|| format!("there is no job of {file}"))?;
    let (announced, link) = (&job.announced.file, &job.announced.link);
    let line = |name: &str, value: &str| format!("{name:10} {}\n", value.escape_debug());
    let mut text = line("file", &file.to_string());
    text += &line("link", &link.id.to_string());
    text += &line("event", &job.event.to_string());
    text += &line("scene", link.scene.as_str());
    text += &line("name", &announced.name);
    text += &line("type", &announced.media_type);
    text += &line("size", &announced.size.to_string());
    if let Some(sha256) = announced.sha256 {
        text += &line("sha256", &sha256.to_string());
    }
    text += &line("formats", &link.formats.join(" "));
    text += &line("stage", job.stage().as_str());
    text += &line("tries", &job.attempts.to_string());
    if job.attempt > 0 {
        text += &line("attempt", &(job.attempt + 1).to_string());
    }
    match &job.role {
        Role::Upload => {}
        Role::Member { archive, place } => {
            text += &line("archive", &archive.to_string());
            text += &line("member", &place.to_string());
        }
        Role::Joined { parts, .. } => {
            let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
            text += &line("joins", &parts.join(" "));
        }
    }
    if let Some(product) = job.product() {
        text += &line("made", &format!("{} {}", product.media_type, product.size));
    }
    if let Some(error) = &job.last_error {
        text += &line("error", error);
    }
    if let Some(told) = job.told() {
        text += &line("told", &told);
    }
    Ok(text)
}
