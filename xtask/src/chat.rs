//! Bundles the pickers of the chat apps, with the official SDKs that npm has, into chunks under
//! `dist/assets/chat/`. Nothing of the page refers to them: the edge puts them into the page inside
//! their chat app, by the manifest `dist/chat.json`, so nobody else loads a byte of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::page::JS_TARGET;
use crate::root::{at, npm_bin, target};
use crate::run::quiet;

/// Where the pickers are.
const SOURCE: &str = "frontend/chat";

/// What the page loads inside a chat app.
const ENTRY: &str = "frontend/chat/main.js";

/// The chat apps, as their pickers' files are named.
pub const PLATFORMS: [&str; 4] = ["wecom", "wechat", "dingtalk", "feishu"];

/// Builds the chunks and the manifest, unless nothing that they are made of has changed.
///
/// # Errors
/// When esbuild cannot bundle them.
pub fn build() -> Result<(), Error> {
    let stamp = stamp()?;
    let stamp_file = target().join("chat.stamp");
    let (manifest, folder) = (at("dist/chat.json"), at("dist/assets/chat"));
    if fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp)
        && manifest.exists()
        && folder.exists()
    {
        return Ok(());
    }
    let _ = fs::remove_file(&stamp_file);
    let _ = fs::remove_dir_all(&folder);
    let meta = target().join("chat.meta.json");
    quiet(
        Command::new(npm_bin("esbuild"))
            .current_dir(at(""))
            .args(["--log-level=warning", "--bundle", "--splitting", "--minify"])
            .args(["--format=esm", "--legal-comments=none"])
            .args(["--entry-names=[name]-[hash]", "--chunk-names=[name]-[hash]"])
            .args(JS_TARGET)
            .arg("--outdir=dist/assets/chat")
            .arg(format!("--metafile={}", meta.display()))
            .arg(ENTRY),
    )?;
    let text = fs::read_to_string(&meta).map_err(Error::file(&meta))?;
    let meta: Value = serde_json::from_str(&text)
        .map_err(|e| Error::Project(format!("esbuild's metafile: {e}")))?;
    let text = plan(&meta)?.to_string();
    fs::write(&manifest, text).map_err(Error::file(&manifest))?;
    fs::write(&stamp_file, stamp).map_err(Error::file(&stamp_file))
}

/// The manifest: the script of the page, and for each chat app all that it will load.
fn plan(meta: &Value) -> Result<Value, Error> {
    let outputs = meta["outputs"]
        .as_object()
        .ok_or_else(|| Error::Project("esbuild's metafile has no outputs".to_owned()))?;
    let made_of = |source: &str| {
        outputs
            .iter()
            .find(|(_, output)| output["entryPoint"] == source)
            .map(|(path, _)| path.as_str())
            .ok_or_else(|| Error::Project(format!("esbuild made nothing of {source}")))
    };
    let main = made_of(ENTRY)?;
    let mut chunks = BTreeMap::new();
    for platform in PLATFORMS {
        let own = made_of(&format!("{SOURCE}/{platform}.js"))?;
        let mut all = BTreeSet::new();
        let mut open = vec![main, own];
        while let Some(path) = open.pop() {
            if all.insert(path) {
                let imports = outputs[path]["imports"].as_array().into_iter().flatten();
                // What is imported on demand belongs to one platform, which is here already.
                let needed = imports.filter(|import| import["kind"] == "import-statement");
                open.extend(needed.filter_map(|import| import["path"].as_str()));
            }
        }
        let urls: Vec<String> = all.into_iter().map(url).collect();
        chunks.insert(platform, urls);
    }
    Ok(json!({ "main": url(main), "chunks": chunks }))
}

/// The address of a file of `dist/`.
fn url(path: &str) -> String {
    format!("/{}", path.strip_prefix("dist/").unwrap_or(path))
}

/// The files that a chat app's page loads besides the page itself.
///
/// # Errors
/// When they are not built.
pub fn files(platform: &str) -> Result<Vec<PathBuf>, Error> {
    let manifest = at("dist/chat.json");
    let text = fs::read_to_string(&manifest).map_err(Error::file(&manifest))?;
    let manifest: Value =
        serde_json::from_str(&text).map_err(|e| Error::Project(format!("dist/chat.json: {e}")))?;
    let chunks = manifest["chunks"][platform]
        .as_array()
        .into_iter()
        .flatten();
    Ok(chunks
        .filter_map(Value::as_str)
        .map(|url| at("dist").join(Path::new(url.trim_start_matches('/'))))
        .collect())
}

/// A digest of all that the chunks are made of.
fn stamp() -> Result<String, Error> {
    let folder = at(SOURCE);
    let mut sources: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(Error::file(&folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "js"))
        .collect();
    sources.sort();
    sources.push(at("package-lock.json"));
    let mut hash = Sha256::new().chain_update(include_bytes!("chat.rs"));
    for path in sources {
        let bytes = fs::read(&path).map_err(Error::file(&path))?;
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chat_app_loads_its_own_chunks_only() {
        let import = |kind: &str, path: &str| json!({ "kind": kind, "path": path });
        let leaf =
            |source: &str, imports: &[Value]| json!({ "entryPoint": source, "imports": imports });
        let mut outputs = serde_json::Map::new();
        let demand: Vec<Value> = PLATFORMS
            .iter()
            .map(|p| import("dynamic-import", &format!("dist/assets/chat/{p}.js")))
            .collect();
        let shared = import("import-statement", "dist/assets/chat/shared.js");
        let imports = [demand, vec![shared.clone()]].concat();
        outputs.insert("dist/assets/chat/main.js".into(), leaf(ENTRY, &imports));
        outputs.insert(
            "dist/assets/chat/shared.js".into(),
            json!({ "imports": [] }),
        );
        for platform in PLATFORMS {
            let own = leaf(
                &format!("{SOURCE}/{platform}.js"),
                std::slice::from_ref(&shared),
            );
            outputs.insert(format!("dist/assets/chat/{platform}.js"), own);
        }
        let plan = plan(&json!({ "outputs": outputs })).expect("a plan");
        assert_eq!(plan["main"], "/assets/chat/main.js");
        let expected = ["feishu", "main", "shared"].map(|n| format!("/assets/chat/{n}.js"));
        assert_eq!(plan["chunks"]["feishu"], json!(expected));
    }

    #[test]
    fn a_picker_that_was_not_built_stops_the_build() {
        assert!(plan(&json!({ "outputs": {} })).is_err());
        assert!(plan(&json!({})).is_err());
    }
}
