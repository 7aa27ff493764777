//! Which modules of the edge and the backend import which, and that none does so in a circle.
//!
//! A module is a file of a room (`link/state.rs`), or a folder in one with all its files (`link/decide`).
//! Counted are the paths that begin with `crate`, `self`, `super` or a module that the file declares, in
//! imports and everywhere else; tests may reach wherever they like. Tokens are enough for that: a parser of
//! all of Rust would have to be compiled before anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use crate::error::Error;
use crate::root::at;

/// A path of names below the crate's root.
type Names = Vec<String>;

/// What each module imports of the others.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imports(BTreeMap<String, BTreeSet<String>>);

/// Prints what each module of the edge and of the backend imports.
///
/// # Errors
/// When a file cannot be read, or modules import each other in a circle.
pub fn print() -> Result<(), Error> {
    let (edge, backend) = (of_crate("edge/src")?, of_backend()?);
    for (name, imports) in [("edge", &edge), ("backend", &backend)] {
        for (module, imported) in &imports.0 {
            let imported: Vec<&str> = imported.iter().map(String::as_str).collect();
            println!("{name}/{module} -> {}", imported.join(", "));
        }
    }
    check("edge", &edge)?;
    check("backend", &backend)
}

/// Checks that no modules of the backend import each other in a circle, those aside that a module and what
/// holds it make: a stage uses the pipeline that runs it.
///
/// # Errors
/// When they do, with the circle.
pub fn check_backend() -> Result<(), Error> {
    check("backend", &of_backend()?)
}

fn of_backend() -> Result<Imports, Error> {
    Ok(of_crate("backend/src")?.without_parents())
}

/// Checks that no modules of the edge, and no rooms, import each other in a circle.
///
/// # Errors
/// When they do, with the circle.
pub fn check_edge() -> Result<(), Error> {
    check("edge", &of_crate("edge/src")?)
}

fn check(name: &str, imports: &Imports) -> Result<(), Error> {
    match imports.circle().or_else(|| imports.rooms().circle()) {
        None => Ok(()),
        Some(circle) => Err(Error::Rule(format!(
            "modules of the {name} import each other in a circle: {}",
            circle.join(" -> ")
        ))),
    }
}

fn of_crate(source: &str) -> Result<Imports, Error> {
    let root = at(source);
    let mut files = BTreeMap::new();
    read(&root, &root, &mut files)?;
    Imports::of(&files)
}

/// Reads all files below a folder but tests, by the names of their modules.
fn read(root: &Path, folder: &Path, files: &mut BTreeMap<Names, String>) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path: PathBuf = entry.map_err(failed(folder))?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if stem == "tests" {
            continue;
        }
        if path.is_dir() {
            read(root, &path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let below = path.strip_prefix(root).unwrap_or(&path);
            let folders = below.parent().into_iter().flat_map(Path::iter);
            let mut names: Names = folders.map(|f| f.to_string_lossy().into_owned()).collect();
            if stem != "mod" && stem != "lib" {
                names.push(stem.into_owned());
            }
            let text = fs::read_to_string(&path).map_err(failed(&path))?;
            files.insert(names, text);
        }
    }
    Ok(())
}

impl Imports {
    /// Of files by the names of their modules.
    fn of(files: &BTreeMap<Names, String>) -> Result<Self, Error> {
        let mut imports = Self::default();
        for (file, text) in files {
            let tokens: TokenStream = text
                .parse()
                .map_err(|e| Error::Project(format!("{}: {e}", file.join("/"))))?;
            let mut paths = Paths::new(file);
            paths.find(&tokens);
            let module = module(file);
            let imported = imports.0.entry(module.clone()).or_default();
            let found = paths.found.iter().filter_map(|path| {
                let mut names = path.as_slice();
                while !files.contains_key(names) {
                    (_, names) = names.split_last()?;
                }
                Some(self::module(names))
            });
            imported.extend(found.filter(|m| *m != module));
        }
        Ok(imports)
    }

    /// The same without what a module imports of the one that holds it, or the other way round.
    fn without_parents(mut self) -> Self {
        for (module, imported) in &mut self.0 {
            let holds = |outer: &str, inner: &str| {
                outer == "lib"
                    || inner
                        .strip_prefix(outer)
                        .is_some_and(|rest| rest.starts_with('/'))
            };
            imported.retain(|other| !holds(other, module) && !holds(module, other));
        }
        self
    }

    /// The same of the rooms: the modules of the root with all that is in them.
    fn rooms(&self) -> Self {
        let room = |module: &String| module.split('/').next().unwrap_or_default().to_owned();
        let mut rooms = Self::default();
        for (module, imported) in &self.0 {
            let into = rooms.0.entry(room(module)).or_default();
            into.extend(imported.iter().map(room).filter(|r| *r != room(module)));
        }
        rooms
    }

    /// Modules of which each imports the next, and the last the first; the first again at the end.
    fn circle(&self) -> Option<Vec<String>> {
        let mut left: BTreeSet<&String> = self.0.keys().collect();
        // What imports nothing that is left is in no circle.
        loop {
            let before = left.len();
            let now = left.clone();
            left.retain(|module| self.next(module, &now).is_some());
            if left.len() == before {
                break;
            }
        }
        let mut way = vec![*left.first()?];
        loop {
            let next = self.next(way.last()?, &left)?;
            if let Some(begin) = way.iter().position(|module| *module == next) {
                let circle = way[begin..].iter().copied().chain([next]);
                return Some(circle.cloned().collect());
            }
            way.push(next);
        }
    }

    fn next<'a>(&'a self, module: &str, left: &BTreeSet<&String>) -> Option<&'a String> {
        let mut imported = self.0.get(module)?.iter();
        imported.find(|module| left.contains(module))
    }
}

/// The module that a file is, or is in.
fn module(file: &[String]) -> String {
    match file {
        [] => "lib".to_owned(),
        [room] => room.clone(),
        [room, module, ..] => format!("{room}/{module}"),
    }
}

/// The paths in a file that lead to modules of its crate, from the root.
struct Paths<'a> {
    file: &'a [String],
    /// Modules that the file declares.
    declared: BTreeSet<String>,
    found: Vec<Names>,
}

impl<'a> Paths<'a> {
    fn new(file: &'a [String]) -> Self {
        Self {
            file,
            declared: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    fn find(&mut self, tokens: &TokenStream) {
        let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let word = |n: usize| match tokens.get(n) {
            Some(TokenTree::Ident(word)) => word.to_string(),
            _ => String::new(),
        };
        let ends =
            |n: usize| matches!(tokens.get(n), Some(TokenTree::Punct(p)) if p.as_char() == ';');
        for n in 0..tokens.len() {
            if word(n) == "mod" && ends(n + 2) {
                self.declared.insert(word(n + 1));
            }
        }
        let mut n = 0;
        while n < tokens.len() {
            if word(n) == "mod" && word(n + 1) == "tests" {
                n += 3;
                continue;
            }
            let inside = n >= 2 && is_colons(&tokens, n - 2);
            if !inside && let Some(begin) = self.begin(&word(n)) {
                self.follow(begin, &tokens, n + 1, false);
            }
            if let TokenTree::Group(group) = &tokens[n]
                && !inside
            {
                self.find(&group.stream());
            }
            n += 1;
        }
    }

    /// Where a path leads that begins with a word.
    fn begin(&self, word: &str) -> Option<Names> {
        match word {
            "crate" => Some(Vec::new()),
            "self" => Some(self.file.to_vec()),
            "super" => Some(self.file[..self.file.len().saturating_sub(1)].to_vec()),
            name if self.declared.contains(name) => Some([self.file, &[name.to_owned()]].concat()),
            _ => None,
        }
    }

    /// Follows a path from token `n` on, into the braces at its end. A word alone is a path only in those.
    fn follow(&mut self, mut path: Names, tokens: &[TokenTree], mut n: usize, in_braces: bool) {
        let begin = n;
        while is_colons(tokens, n) {
            match tokens.get(n + 2) {
                Some(TokenTree::Ident(name)) if name == "super" => drop(path.pop()),
                Some(TokenTree::Ident(name)) => path.push(name.to_string()),
                Some(TokenTree::Group(group)) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for one in
                        inner.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ','))
                    {
                        if let Some(TokenTree::Ident(name)) = one.first() {
                            let mut path = path.clone();
                            if name != "self" {
                                path.push(name.to_string());
                            }
                            self.follow(path, one, 1, true);
                        }
                    }
                    return;
                }
                _ => break,
            }
            n += 3;
        }
        if n > begin || in_braces {
            self.found.push(path);
        }
    }
}

fn is_colons(tokens: &[TokenTree], n: usize) -> bool {
    let colon = |n: usize| matches!(tokens.get(n), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(n) && colon(n + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(files: &[(&str, &str)]) -> Imports {
        let files = files.iter().map(|(file, text)| {
            let names = file.split('/').filter(|n| !n.is_empty());
            (names.map(str::to_owned).collect(), (*text).to_owned())
        });
        Imports::of(&files.collect()).expect("Rust")
    }

    fn circle(files: &[(&str, &str)]) -> Option<String> {
        let imports = imports(files);
        let circle = imports.circle().or_else(|| imports.rooms().circle());
        circle.map(|circle| circle.join(" "))
    }

    #[test]
    fn the_edges_modules_import_each_other_in_no_circle() {
        check_edge().expect("no circle");
    }

    #[test]
    fn the_backends_modules_import_each_other_in_no_circle() {
        check_backend().expect("no circle");
    }

    #[test]
    fn a_stage_may_use_what_holds_it_and_no_other_that_uses_it() {
        let stages = [
            (
                "pipeline",
                "mod a; mod b; fn f() { a::run() } pub struct P;",
            ),
            ("pipeline/a", "use super::P; use super::b;"),
            ("pipeline/b", "use super::P; use super::a;"),
        ];
        let circle = |files| imports(files).without_parents().circle();
        assert!(circle(&stages).is_some());
        assert_eq!(
            circle(&[stages[0], stages[1], ("pipeline/b", "use super::P;")]),
            None
        );
    }

    #[test]
    fn a_circle_is_found_however_its_paths_are_written() {
        let link = (
            "core/link",
            "use super::{serial::{Row, View}, tus}; struct Link;",
        );
        for serial in [
            "use crate::core::link::Link;",
            "use super::link::{self, Link as L};",
            "fn f() -> Option<super::link::Link> { None }",
            "fn f() { if true { g(crate::core::link::Link) } }",
            "use crate::{core::{link}};",
        ] {
            let found = circle(&[("core/link", link.1), ("core/serial", serial)]);
            assert_eq!(
                found.as_deref(),
                Some("core/link core/serial core/link"),
                "{serial}"
            );
        }
        assert_eq!(
            circle(&[link, ("core/serial", "use super::tus;"), ("core/tus", "")]),
            None
        );
    }

    #[test]
    fn a_room_counts_with_its_modules_and_with_what_it_declares() {
        let found = circle(&[
            ("core", "pub mod a; pub mod b;"),
            ("core/a", "use crate::config::Config;"),
            ("core/b", ""),
            ("config", "use crate::core::b;"),
        ]);
        assert_eq!(found.as_deref(), Some("config core config"));
        let found = circle(&[
            (
                "platform",
                "mod routes; pub(crate) struct Answer; fn f() { routes::serve() }",
            ),
            ("platform/routes", "use super::Answer;"),
        ]);
        assert_eq!(found.as_deref(), Some("platform platform/routes platform"));
    }

    #[test]
    fn tests_comments_and_the_files_of_one_folder_count_for_nothing() {
        let found = circle(&[
            (
                "core/a",
                "//! See [`super::b`].\n#[cfg(test)] mod tests { use super::super::b::B; }",
            ),
            (
                "core/b",
                "use super::a::A; const TEXT: &str = \"crate::core::b\";",
            ),
            (
                "core/decide",
                "mod files; use self::files::delete; struct Step;",
            ),
            ("core/decide/files", "use super::Step; use super::super::a;"),
        ]);
        assert_eq!(found, None);
    }
}
