//! Builds the shipped page into `dist/`: lowered for the engines of old in-app browsers, bundled,
//! minified, and named by content so that browsers and the edge can keep it for good.
//!
//! trunk serves the same index.html to developers, but has no step between cargo and wasm-bindgen
//! to lower the program in; so what is shipped comes from here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::Error;
use crate::chat;
use crate::document;
use crate::html::{self, Parts};
use crate::root::{at, npm_bin, target};
use crate::run::{cargo, quiet, run};
use crate::tools::{WASM_BINDGEN, WASM_TARGET};

/// What Rust emits today and is written down to older instructions further below.
const RUST_FEATURES: [&str; 5] = [
    "--mvp-features",
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
];

/// Takes the target-features section away: wasm-bindgen goes by it, and would use reference types
/// and multivalue, which engines before 2021 do not read.
const LOWER_FIRST: [&str; 3] = ["--detect-features", "--strip-target-features", "-O0"];

/// After wasm-bindgen: instructions that engines before 2020 lack become older ones.
const LOWER_REST: [&str; 3] = [
    "--llvm-memory-copy-fill-lowering",
    "--signext-lowering",
    "--llvm-nontrapping-fptoint-lowering",
];

/// At last: small, and checked to be of the oldest features only. The first kibibyte of memory is the end of the
/// stack, which nothing points into; so an offset that is added to an address may become part of the instruction
/// that uses it. Control flow that is put together anew compresses better, twice better than once.
const SHRINK: [&str; 17] = [
    "--mvp-features",
    "--enable-mutable-globals",
    "--strip-debug",
    "--strip-producers",
    // Larger ones called once stay by themselves: as they are, they look more like others.
    "--one-caller-inline-max-function-size=40",
    "--always-inline-max-function-size=5",
    // What values can be, by what is in the whole program.
    "--gufa",
    "-Oz",
    "--low-memory-unused",
    "--flatten",
    "--rereloop",
    "-Oz",
    "-Oz",
    "--flatten",
    "--rereloop",
    "-Oz",
    "--reorder-locals",
];

/// Gives each name that crosses between glue and program a letter or two, and prints which: in wasm-bindgen's own
/// names are 16 random characters each, of which nothing is compressed, once in the program and once in the glue.
const SHORT_NAMES: [&str; 3] = [
    "--mvp-features",
    "--enable-mutable-globals",
    "--minify-imports-and-exports-and-modules",
];

/// wasm-bindgen's glue sets `Symbol.dispose` on classes that the page never makes; without that, esbuild sees that
/// nobody uses them.
const NO_DISPOSE: &str = "--define:Symbol.dispose=undefined";

/// The oldest engines that the page's scripts are written down to. esbuild holds destructuring to
/// be incomplete there, over a form that wasm-bindgen's glue does not use.
pub(crate) const JS_TARGET: [&str; 2] = [
    "--target=chrome64,safari12,firefox68",
    "--supported:destructuring=true",
];

/// The standard library is built with the page: the one that rustup brings is optimised for speed
/// and has the text of every panic in it. The plain build works too, 8 kB of brotli heavier;
/// `trunk serve` uses that.
const BUILD_STD: [&str; 2] = [
    "-Zbuild-std=std,panic_abort",
    "-Zbuild-std-features=optimize_for_size",
];

/// Code generation for size: a panic is a trap without text, SHA-256 is a loop, and copying is an
/// instruction, which [`LOWER_REST`] turns into one small loop in place of the library's large one.
const SMALL: [&str; 9] = [
    "-Zunstable-options",
    "-Cpanic=immediate-abort",
    "-Zfmt-debug=none",
    "-Zlocation-detail=none",
    "-Ctarget-cpu=mvp",
    "-Ctarget-feature=+bulk-memory",
    "--cfg=sha2_backend_soft=\"compact\"",
    // Leptos: one type for all components, in place of code for each.
    "--cfg=erase_components",
    "--check-cfg=cfg(erase_components)",
];

/// Starts the program, and keeps what is picked before it runs.
const BOOT_SCRIPT: &str = "frontend/boot.js";

/// How the page's files may be kept. Names under /assets/ change with their content.
const HEADERS: &str = "/assets/*
  Cache-Control: public, max-age=31536000, immutable
  X-Content-Type-Options: nosniff
/openapi.json
  Access-Control-Allow-Origin: *
  X-Content-Type-Options: nosniff
/docs.html
  Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'
  X-Content-Type-Options: nosniff
";

/// The files of a built page.
#[derive(Clone, Debug)]
pub struct Page {
    /// index.html, with the style in it.
    pub html: PathBuf,
    /// The glue between browser and program.
    pub js: PathBuf,
    /// The program.
    pub wasm: PathBuf,
}

impl Page {
    /// Finds the page that was built last.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self, Error> {
        let assets = at("dist/assets");
        let files: Vec<PathBuf> = fs::read_dir(&assets)
            .map_err(Error::file(&assets))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        let find = |extension: &str| {
            files
                .iter()
                .find(|f| f.extension().is_some_and(|e| e == extension))
                .cloned()
                .ok_or_else(|| Error::Project(format!("no .{extension} in {}", assets.display())))
        };
        Ok(Self {
            html: at("dist/index.html"),
            js: find("js")?,
            wasm: find("wasm")?,
        })
    }
}

/// Builds the page, and beside it the document of the edge's API. When nothing that they are made
/// of has changed, only cargo is asked.
///
/// # Errors
/// When a step of the build fails.
pub fn build() -> Result<Page, Error> {
    let page = build_page()?;
    document::build()?;
    Ok(page)
}

fn build_page() -> Result<Page, Error> {
    let program = cargo_wasm()?;
    let work = target().join("page");
    fs::create_dir_all(&work).map_err(Error::file(&work))?;
    let index = read_text(&at("index.html"))?;
    let stamp = stamp(&program, &index)?;
    let stamp_file = work.join("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp)
        && let Ok(page) = Page::find()
    {
        chat::build()?;
        return Ok(page);
    }
    let _ = fs::remove_file(&stamp_file);
    let page = assemble(&program, &index, &work)?;
    // After the page, which empties dist/.
    chat::build()?;
    fs::write(&stamp_file, stamp).map_err(Error::file(&stamp_file))?;
    Ok(page)
}

/// Compiles the page's program, with a standard library of its own that is built for size, and
/// returns where cargo put it.
fn cargo_wasm() -> Result<PathBuf, Error> {
    // Other flags than the rest of the workspace has, so a folder of its own.
    let folder = target().join("page-cargo");
    let mut command = cargo();
    command
        .current_dir(at(""))
        .args(["build", "--package", "chatlift-frontend", "--release"])
        .args(["--target", WASM_TARGET])
        .args(BUILD_STD)
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", SMALL.join(" "))
        // The pinned compiler is a stable one; this lets it take the flags above.
        .env("RUSTC_BOOTSTRAP", "1");
    run(&mut command)?;
    let release = folder.join(WASM_TARGET).join("release");
    // A program is named as its package, a library with underscores.
    ["chatlift-frontend.wasm", "chatlift_frontend.wasm"]
        .iter()
        .map(|name| release.join(name))
        .find(|path| path.exists())
        .ok_or_else(|| Error::Project("chatlift-frontend builds no WebAssembly program".to_owned()))
}

/// A digest of all that the page is made of.
fn stamp(program: &Path, index: &str) -> Result<String, Error> {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    add(&read(program)?);
    add(index.as_bytes());
    add(&read(&at("package-lock.json"))?);
    add(&read(&at(BOOT_SCRIPT))?);
    add(include_bytes!("page.rs"));
    add(include_bytes!("html.rs"));
    for href in html::styles(index) {
        add(&read(&at(href))?);
    }
    Ok(hex::encode(hash.finalize()))
}

fn assemble(program: &Path, index: &str, work: &Path) -> Result<Page, Error> {
    let wasm_opt = || Command::new(npm_bin("wasm-opt"));
    let lowered = work.join("page.wasm");
    quiet(
        wasm_opt()
            .args(LOWER_FIRST)
            .args(RUST_FEATURES)
            .arg(program)
            .arg("-o")
            .arg(&lowered),
    )?;
    let glue = work.join("glue");
    let _ = fs::remove_dir_all(&glue);
    quiet(
        Command::new(WASM_BINDGEN.path())
            .args([
                "--target",
                "web",
                "--no-typescript",
                "--omit-default-module-path",
                "--out-name",
                "page",
                "--out-dir",
            ])
            .arg(&glue)
            .arg(&lowered),
    )?;
    let (bound, small) = (glue.join("page_bg.wasm"), work.join("small.wasm"));
    quiet(
        wasm_opt()
            .args(LOWER_REST)
            .args(RUST_FEATURES)
            .arg(&bound)
            .arg("-o")
            .arg(&small),
    )?;
    quiet(wasm_opt().args(SHRINK).arg(&small).arg("-o").arg(&small))?;
    let names = quiet(
        wasm_opt()
            .args(SHORT_NAMES)
            .arg(&small)
            .arg("-o")
            .arg(&small),
    )?;
    let names = Names::read(&names)?;
    let cache = work.join("names.json");
    fs::write(&cache, names.cache()).map_err(Error::file(&cache))?;

    let dist = at("dist");
    let _ = fs::remove_dir_all(&dist);
    let assets = dist.join("assets");
    fs::create_dir_all(&assets).map_err(Error::file(&assets))?;
    let wasm_bytes = read(&small)?;
    let wasm_name = format!("page-{}.wasm", short_hash(&wasm_bytes));
    let entry = glue.join("boot.js");
    fs::write(&entry, read_text(&at(BOOT_SCRIPT))?).map_err(Error::file(&entry))?;
    let js = quiet(
        esbuild()
            .args([
                "--bundle",
                "--minify",
                "--format=esm",
                "--legal-comments=none",
            ])
            .args(JS_TARGET)
            .arg(NO_DISPOSE)
            .arg("--mangle-quoted")
            .arg(names.pattern())
            .arg(format!("--mangle-cache={}", cache.display()))
            .arg(format!("--define:PROGRAM=\"/assets/{wasm_name}\""))
            .arg(&entry),
    )?;
    let js_name = format!("page-{}.js", short_hash(js.as_bytes()));
    let parts = Shipped {
        program: format!(
            "<link rel=\"modulepreload\" href=\"/assets/{js_name}\">\
             <link rel=\"preload\" as=\"fetch\" type=\"application/wasm\" crossorigin href=\"/assets/{wasm_name}\">\
             <script type=\"module\" src=\"/assets/{js_name}\"></script>"
        ),
        work,
    };
    let html = html::ship(index, &parts)?;
    let page = Page {
        html: dist.join("index.html"),
        js: assets.join(js_name),
        wasm: assets.join(wasm_name),
    };
    for (path, bytes) in [
        (&page.wasm, wasm_bytes.as_slice()),
        (&page.js, js.as_bytes()),
        (&page.html, html.as_bytes()),
        (&dist.join("_headers"), HEADERS.as_bytes()),
    ] {
        fs::write(path, bytes).map_err(Error::file(path))?;
    }
    Ok(page)
}

/// Names that cross between glue and program, each with its short one.
#[derive(Debug)]
struct Names(BTreeMap<String, String>);

impl Names {
    /// The module that all is imported from, as wasm-opt names it.
    const MODULE: &str = "a";

    fn read(printed: &str) -> Result<Self, Error> {
        // Of each import its module, its name and its short name; of each export the last two.
        let lists: BTreeMap<String, Vec<Vec<String>>> = serde_json::from_str(printed)
            .map_err(|e| Error::Project(format!("names that wasm-opt printed: {e}")))?;
        let mut names = BTreeMap::new();
        for entry in lists.into_values().flatten() {
            if let [module @ .., name, short] = &*entry {
                names.insert(name.clone(), short.clone());
                names.extend(module.iter().map(|m| (m.clone(), Self::MODULE.to_owned())));
            }
        }
        Ok(Self(names))
    }

    /// What esbuild takes as names that it gave before.
    fn cache(&self) -> String {
        serde_json::json!(self.0).to_string()
    }

    /// Tells esbuild to rename these properties and no others.
    fn pattern(&self) -> String {
        let names: Vec<_> = self.0.keys().map(|name| name.replace('.', "\\.")).collect();
        format!("--mangle-props=^({})$", names.join("|"))
    }
}

/// The tags and minified parts of the shipped HTML.
struct Shipped<'a> {
    program: String,
    work: &'a Path,
}

impl Shipped<'_> {
    fn minify(&self, name: &str, text: &str) -> Result<String, Error> {
        let file = self.work.join(name);
        fs::write(&file, text).map_err(Error::file(&file))?;
        quiet(
            esbuild()
                .args(["--minify", "--legal-comments=none"])
                .args(JS_TARGET)
                .arg(&file),
        )
    }
}

impl Parts for Shipped<'_> {
    fn program(&self) -> &str {
        &self.program
    }

    fn style(&self, href: &str) -> Result<String, Error> {
        self.minify("inline.css", &read_text(&at(href))?)
    }

    fn script(&self, text: &str) -> Result<String, Error> {
        self.minify("inline.js", text)
    }
}

fn esbuild() -> Command {
    let mut command = Command::new(npm_bin("esbuild"));
    command.arg("--log-level=warning");
    command
}

/// Enough of a digest to tell every build from every other.
fn short_hash(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..8])
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::file(path))
}

fn read_text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(Error::file(path))
}
