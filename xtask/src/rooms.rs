//! Which file of a crate uses which, and circles among files of different folders.
//!
//! An arrow goes to the file that defines a name, through every re-export on the way. That a module
//! declares another is no arrow, and code of tests has none.

use crate::source;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use syn::visit::{self, Visit};

/// The arrows of a crate, file to file, both relative to its `src`.
#[derive(Debug, Default)]
pub(crate) struct Arrows {
    files: BTreeSet<String>,
    /// From, to, and one of the paths that makes the arrow.
    arrows: BTreeMap<(String, String), String>,
}

/// Files of more than one folder that reach one another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    pub(crate) files: usize,
    /// The arrows between them.
    pub(crate) text: String,
}

/// How many there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) files: usize,
    pub(crate) arrows: usize,
    pub(crate) rooms: usize,
    pub(crate) room_arrows: usize,
}

impl Arrows {
    /// Reads the crate whose `src` is `folder`.
    ///
    /// # Errors
    /// Where a file cannot be read or is not Rust.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let mut texts = BTreeMap::new();
        for path in source::files(folder)? {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path);
                let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
                let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                texts.insert(name.replace('\\', "/"), text);
            }
        }
        Self::of(&texts)
    }

    /// The arrows of a crate whose files have these texts.
    fn of(texts: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut arrows = Self::default();
        for root in ["lib.rs", "main.rs"].into_iter().filter(|root| texts.contains_key(*root)) {
            let mut modules = Modules { texts, all: BTreeMap::new() };
            modules.read(&[], root, "")?;
            for module in modules.all.values() {
                arrows.files.insert(module.file.clone());
                for path in &module.paths {
                    if let Some(Target::Item(file)) = modules.resolve(&module.path, path, 0)
                        && file != module.file
                    {
                        let arrow = (module.file.clone(), file);
                        arrows.arrows.entry(arrow).or_insert_with(|| path.join("::"));
                    }
                }
            }
        }
        Ok(arrows)
    }

    /// Files, folders, and the arrows between each.
    pub(crate) fn counts(&self) -> Counts {
        let rooms: BTreeSet<&str> = self.files.iter().map(|file| folder(file)).collect();
        let between = self.arrows.keys().map(|(from, to)| (folder(from), folder(to)));
        let between: BTreeSet<_> = between.filter(|(from, to)| from != to).collect();
        Counts {
            files: self.files.len(),
            arrows: self.arrows.len(),
            rooms: rooms.len(),
            room_arrows: between.len(),
        }
    }

    /// Each set of files of more than one folder that reach one another, with the arrows inside.
    pub(crate) fn circles(&self) -> Vec<Circle> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.files.iter().map(|file| (file.as_str(), self.reached(file))).collect();
        let mut circles = BTreeSet::new();
        for (&file, others) in &reached {
            let circle: BTreeSet<&str> =
                others.iter().copied().filter(|other| reached[other].contains(file)).collect();
            let folders: BTreeSet<&str> = circle.iter().map(|file| folder(file)).collect();
            if folders.len() > 1 {
                circles.insert(circle);
            }
        }
        let described =
            |circle: &BTreeSet<&str>| Circle { files: circle.len(), text: self.describe(circle) };
        circles.iter().map(described).collect()
    }

    fn reached<'a>(&'a self, from: &'a str) -> BTreeSet<&'a str> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            for (arrow_from, to) in self.arrows.keys() {
                if arrow_from == file && reached.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        reached
    }

    fn describe(&self, circle: &BTreeSet<&str>) -> String {
        let mut text = format!("{} files use one another in a circle:", circle.len());
        for ((from, to), path) in &self.arrows {
            if circle.contains(from.as_str()) && circle.contains(to.as_str()) {
                text.push_str(&format!("\n    {from} -> {to} ({path})"));
            }
        }
        text
    }
}

/// The folder of a file.
fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The modules of a crate by their paths.
struct Modules<'a> {
    texts: &'a BTreeMap<String, String>,
    all: BTreeMap<Vec<String>, Module>,
}

/// What a module says of names.
struct Module {
    path: Vec<String>,
    file: String,
    /// What is defined in it, modules aside.
    items: BTreeSet<String>,
    /// Names that are brought into it, with the paths that they stand for.
    uses: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// All that is named in it, in uses and in code.
    paths: BTreeSet<Vec<String>>,
}

/// What a path names.
enum Target {
    Module(Vec<String>),
    /// An item, or part of one, with the file that defines it.
    Item(String),
}

impl Modules<'_> {
    /// Reads the module of a file, whose modules lie in `folder`, and those below.
    fn read(&mut self, path: &[String], file: &str, folder: &str) -> Result<(), String> {
        let parsed = syn::parse_file(&self.texts[file]).map_err(|e| format!("{file}: {e}"))?;
        self.read_items(path, &parsed.items, file, folder)
    }

    fn read_items(
        &mut self,
        path: &[String],
        items: &[syn::Item],
        file: &str,
        folder: &str,
    ) -> Result<(), String> {
        let mut module = Module {
            path: path.to_vec(),
            file: file.to_owned(),
            items: BTreeSet::new(),
            uses: BTreeMap::new(),
            globs: Vec::new(),
            paths: BTreeSet::new(),
        };
        for item in items {
            module.visit_item(item);
        }
        self.all.insert(path.to_vec(), module);
        for item in items {
            let syn::Item::Mod(item) = item else { continue };
            if is_test(&item.attrs) {
                continue;
            }
            let name = item.ident.to_string();
            let below = [path, std::slice::from_ref(&name)].concat();
            let within = format!("{folder}{name}/");
            if let Some((_, items)) = &item.content {
                self.read_items(&below, items, file, &within)?;
                continue;
            }
            let files = [format!("{folder}{name}.rs"), format!("{within}mod.rs")];
            let own = files.iter().find(|file| self.texts.contains_key(*file));
            let own = own.ok_or_else(|| format!("{file}: no file of the module `{name}`"))?;
            self.read(&below, own, &within)?;
        }
        Ok(())
    }

    /// What `path` names in the module `at`; nothing where it is of another crate.
    fn resolve(&self, at: &[String], path: &[String], depth: usize) -> Option<Target> {
        // Re-exports may name one another.
        if depth > 16 {
            return None;
        }
        let mut at = at.to_vec();
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" | "$crate" => at.clear(),
                "self" => {}
                "super" => {
                    at.pop()?;
                }
                _ => break,
            }
            rest = after;
        }
        let Some((name, after)) = rest.split_first() else { return Some(Target::Module(at)) };
        let found = self.find(&at, name, depth)?;
        match found {
            Target::Module(module) if !after.is_empty() => {
                let inside = [&["self".to_owned()][..], after].concat();
                self.resolve(&module, &inside, depth + 1)
            }
            found => Some(found),
        }
    }

    /// What one name means in a module.
    fn find(&self, at: &[String], name: &String, depth: usize) -> Option<Target> {
        let below = [at, std::slice::from_ref(name)].concat();
        let module = self.all.get(at)?;
        if module.items.contains(name) {
            return Some(Target::Item(module.file.clone()));
        }
        if self.all.contains_key(&below) {
            return Some(Target::Module(below));
        }
        if let Some(path) = module.uses.get(name) {
            // `use x::x` names the crate or the module, not itself.
            return (path.len() > 1 || path.first() != Some(name))
                .then(|| self.resolve(at, path, depth + 1))?;
        }
        module.globs.iter().find_map(|glob| {
            let path = [&glob[..], std::slice::from_ref(name)].concat();
            self.resolve(at, &path, depth + 1)
        })
    }
}

impl Module {
    fn see_use(&mut self, tree: &syn::UseTree, mut path: Vec<String>) {
        match tree {
            syn::UseTree::Path(tree) => {
                path.push(tree.ident.to_string());
                self.see_use(&tree.tree, path);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.see_use(tree, path.clone()));
            }
            syn::UseTree::Glob(_) => {
                self.paths.insert(path.clone());
                self.globs.push(path);
            }
            syn::UseTree::Name(name) => {
                let mut known = name.ident.to_string();
                if known == "self" {
                    known = path.last().cloned().unwrap_or_default();
                } else {
                    path.push(known.clone());
                }
                self.name(known, path);
            }
            syn::UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    path.push(rename.ident.to_string());
                }
                self.name(rename.rename.to_string(), path);
            }
        }
    }

    fn name(&mut self, known: String, path: Vec<String>) {
        self.paths.insert(path.clone());
        self.uses.insert(known, path);
    }

    /// Paths in what is handed to a macro, which nobody parses.
    fn see_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end_path(&mut path);
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                proc_macro2::TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.end_path(&mut path);
                    colons = 0;
                    if let proc_macro2::TokenTree::Group(group) = other {
                        self.see_tokens(group.stream());
                    }
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<String>) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.paths.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let (attributes, name) = match item {
            syn::Item::Const(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            syn::Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            syn::Item::Static(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Type(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Union(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Impl(item) => (&item.attrs, None),
            syn::Item::Use(item) => {
                if !is_test(&item.attrs) {
                    self.see_use(&item.tree, Vec::new());
                }
                return;
            }
            // Modules are read for themselves.
            _ => return,
        };
        if is_test(attributes) {
            return;
        }
        self.items.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.paths.insert(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.see_tokens(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }
}

/// Whether an item is there for tests alone.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|condition| condition.is_ident("test"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(files: &[(&str, &str)]) -> Arrows {
        let texts = files.iter().map(|&(name, text)| (name.to_owned(), text.to_owned()));
        Arrows::of(&texts.collect()).unwrap()
    }

    fn listed(files: &[(&str, &str)]) -> Vec<String> {
        arrows(files).arrows.keys().map(|(from, to)| format!("{from} -> {to}")).collect()
    }

    #[test]
    fn arrows_lead_through_re_exports_to_the_definition() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::{Deep as Known, c};"),
            ("a.rs", "use crate::Known; fn f(x: Known) -> crate::c::Other { todo!() }"),
            ("b/mod.rs", "pub mod c; pub use self::c::*;"),
            ("b/c.rs", "pub struct Deep; pub struct Other;"),
        ];
        let expected = ["a.rs -> b/c.rs", "lib.rs -> b/c.rs"];
        assert_eq!(listed(&files), expected);
    }

    #[test]
    fn names_are_found_in_code_macros_and_inline_modules() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c { pub(crate) fn f() { crate::b::g(); } }"),
            ("a.rs", "use crate::b; fn f() { b::g(); println!(\"{}\", vec![super::c::f()]); }"),
            ("b.rs", "macro_rules! m { () => { $crate::a::f() } } pub(crate) fn g() {}"),
        ];
        let expected = ["a.rs -> b.rs", "a.rs -> lib.rs", "b.rs -> a.rs", "lib.rs -> b.rs"];
        assert_eq!(listed(&files), expected);
    }

    #[test]
    fn declarations_other_crates_and_tests_are_no_arrows() {
        let files = [
            ("lib.rs", "mod a; use std::fmt; use serde::a; pub enum E { A }"),
            (
                "a.rs",
                "#[cfg(test)] mod tests; #[cfg(test)] use crate::E; #[test] fn f() { crate::E::A; }",
            ),
            ("a/tests.rs", "use crate::E;"),
        ];
        assert_eq!(listed(&files), [""; 0]);
    }

    #[test]
    fn circles_are_those_of_more_than_one_folder() {
        let inside = [
            ("lib.rs", "mod x;"),
            ("x/mod.rs", "mod a; mod b; pub(crate) struct Shared;"),
            ("x/a.rs", "use super::{b::B, Shared}; pub struct A;"),
            ("x/b.rs", "use super::a::A; pub struct B;"),
        ];
        assert_eq!(arrows(&inside).circles(), []);
        let between = [
            ("lib.rs", "mod x; mod y; pub use x::X;"),
            ("x/mod.rs", "pub struct X; fn f() { crate::y::z::g() }"),
            ("y/mod.rs", "pub(crate) mod z;"),
            ("y/z.rs", "use crate::X; pub(crate) fn g() {}"),
        ];
        let circles = arrows(&between).circles();
        let expected = "2 files use one another in a circle:\n    \
                        x/mod.rs -> y/z.rs (crate::y::z::g)\n    y/z.rs -> x/mod.rs (crate::X)";
        assert_eq!(circles, [Circle { files: 2, text: expected.to_owned() }]);
        let counts = Counts { files: 4, arrows: 3, rooms: 3, room_arrows: 3 };
        assert_eq!(arrows(&between).counts(), counts);
    }
}
