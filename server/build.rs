//! Puts the built page into the program, with the feature `page`: each file, and the same compressed by brotli
//! where that is smaller.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut files = String::new();
    if env::var_os("CARGO_FEATURE_PAGE").is_some() {
        let page = Path::new("../dist");
        println!("cargo::rerun-if-changed=../dist");
        let page = page.canonicalize().map_err(|e| {
            io::Error::new(
                e.kind(),
                "there is no page in dist: run `cargo xtask build`",
            )
        })?;
        embed(&page, &page, &out, &mut files)?;
    }
    fs::write(
        out.join("page.rs"),
        format!("pub(super) const FILES: &[super::Embedded] = &[{files}];\n"),
    )
}

fn embed(page: &Path, folder: &Path, out: &Path, files: &mut String) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            embed(page, &path, out, files)?;
            continue;
        }
        let name = path.strip_prefix(page).unwrap_or(&path);
        let bytes = fs::read(&path)?;
        let mut compressed = Vec::new();
        let params = brotli::enc::BrotliEncoderParams::default();
        brotli::BrotliCompress(&mut bytes.as_slice(), &mut compressed, &params)?;
        let smaller = match compressed.len() < bytes.len() {
            true => {
                let to = out.join(name.to_string_lossy().replace('/', "!") + ".br");
                fs::write(&to, compressed)?;
                format!("Some(include_bytes!({to:?}))")
            }
            false => "None".to_owned(),
        };
        let _ = write!(files, "({name:?}, include_bytes!({path:?}), {smaller}),");
    }
    Ok(())
}
