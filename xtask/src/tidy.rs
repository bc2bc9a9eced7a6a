//! Rules of CONVENTIONS.md that no compiler checks; each is a test too.

use crate::{rooms::Arrows, source};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What breaks a rule, one text for each place.
type Found = Result<Vec<String>, String>;

/// Reads the workspace at a folder.
type Rule = fn(&Path) -> Found;

/// Every rule with its name.
pub(crate) const RULES: [(&str, Rule); 7] = [
    ("a crate uses only crates to its left", dependency_arrows),
    ("only the facade and the command use files, clock and environment", pure_crates),
    ("only kernels contain unsafe code", unsafe_in_kernels),
    ("every operator is declared, states its source and is tested", operators),
    ("no files of different folders use one another in a circle", circles),
    ("the name of a kernel contains operation, type and variant", kernel_names),
    ("no file contains a path of one machine", machine_paths),
];

/// A crate and those of the project that it may use.
const ARROWS: [(&str, &[&str]); 9] = [
    ("fixed", &[]),
    ("codec", &[]),
    ("kernels", &["fixed"]),
    ("graph", &["codec", "fixed", "kernels"]),
    ("search", &["fixed", "kernels", "graph"]),
    ("fixedwise", &["codec", "fixed", "kernels", "graph", "search"]),
    ("cli", &["fixedwise"]),
    ("python", &["cli", "fixedwise"]),
    // Reached through dev-dependencies only, which are free to point anywhere.
    ("testing", &["codec", "fixed", "kernels", "graph", "search", "fixedwise"]),
];

/// Crates of plain values and slices.
const PURE: [&str; 5] = ["fixed", "codec", "kernels", "graph", "search"];

/// Folder names of all crates.
fn crates(root: &Path) -> Result<Vec<String>, String> {
    let folder = root.join("crates");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| format!("crates: {error}"))? {
        let entry = entry.map_err(|error| format!("crates: {error}"))?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string().replace('\\', "/")
}

fn dependency_arrows(root: &Path) -> Found {
    let mut found = Vec::new();
    for name in crates(root)? {
        let path = root.join("crates").join(&name).join("Cargo.toml");
        let text = fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        let manifest: toml::Table = text.parse().map_err(|error| format!("{name}: {error}"))?;
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            found.push(format!("crates/{name} has no place in xtask/src/tidy.rs, `ARROWS`"));
            continue;
        };
        found.extend(wrong_arrows(&name, allowed, &manifest));
    }
    Ok(found)
}

fn wrong_arrows(name: &str, allowed: &[&str], manifest: &toml::Table) -> Vec<String> {
    // A target's own dependencies lie one table deeper.
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = targets.into_iter().flatten().filter_map(|(_, table)| table.as_table());
    let mut found = Vec::new();
    for table in tables.chain([manifest]) {
        for kind in ["dependencies", "build-dependencies"] {
            for (dependency, _) in
                table.get(kind).and_then(toml::Value::as_table).into_iter().flatten()
            {
                let ours = match dependency.strip_prefix("fixedwise") {
                    Some("") => "fixedwise",
                    Some(rest) => rest.trim_start_matches('-'),
                    None if name == "fixed" => {
                        found.push(format!("crates/fixed uses `{dependency}`; it uses nothing"));
                        continue;
                    }
                    None => continue,
                };
                if !allowed.contains(&ours) {
                    found.push(format!(
                        "crates/{name} uses `{dependency}`; it may use {}",
                        if allowed.is_empty() {
                            "none of ours".to_owned()
                        } else {
                            allowed.join(", ")
                        }
                    ));
                }
            }
        }
    }
    found
}

fn pure_crates(root: &Path) -> Found {
    let mut found = Vec::new();
    for name in PURE {
        for (path, code) in source::product(&root.join("crates").join(name))? {
            for touched in outside_world(&code) {
                found.push(format!("{} touches `{touched}`", relative(root, &path)));
            }
        }
    }
    Ok(found)
}

/// What `code` names of the world outside its arguments.
fn outside_world(code: &str) -> Vec<&'static str> {
    const MODULES: [&str; 4] = ["env", "fs", "net", "process"];
    const NAMES: [&str; 5] = ["Instant", "SystemTime", "OsRng", "RandomState", "sleep"];
    let mut touched: Vec<_> =
        NAMES.into_iter().filter(|name| source::has_word(code, name)).collect();
    for (at, path) in code.match_indices("std::") {
        let rest = &code[at + path.len()..];
        // Either one name or a group of them.
        let end = if rest.starts_with('{') {
            rest.find(';').unwrap_or(rest.len())
        } else {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        };
        touched.extend(MODULES.into_iter().filter(|name| source::has_word(&rest[..end], name)));
    }
    touched.sort_unstable();
    touched.dedup();
    touched
}

/// Where the memory of NumPy's arrays is read.
const ARRAYS: &str = "crates/python/src/arrays.rs";

fn unsafe_in_kernels(root: &Path) -> Found {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        crates(root)?.iter().map(|name| root.join("crates").join(name)).collect();
    let others = ["bench", "xtask"].map(|name| root.join(name));
    folders.extend(others.into_iter().filter(|folder| folder.join("src").is_dir()));
    for folder in folders {
        if folder.ends_with("kernels") {
            continue;
        }
        let is_root = |path: &Path| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
        for (path, code) in source::product(&folder)? {
            if source::has_word(&code, "unsafe") && !path.ends_with(ARRAYS) {
                found.push(format!("{} has unsafe code", relative(root, &path)));
            }
            let lint = if folder.ends_with("python") { "deny" } else { "forbid" };
            let lint = format!("#![{lint}(unsafe_code)]");
            if is_root(&path) && !code.contains(&lint) {
                found.push(format!("{} lacks `{lint}`", relative(root, &path)));
            }
        }
    }
    Ok(found)
}

/// What neither compiler nor tests would miss: a file without its `mod` line, an operator that no test of
/// networks builds.
fn operators(root: &Path) -> Found {
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let folder = root.join("crates/graph/src/ops");
    let list = read(&folder.join("mod.rs"))?;
    let mut tests = String::new();
    for folder in ["crates/graph/tests", "crates/testing/src"] {
        for path in source::files(&root.join(folder))? {
            if path.extension().is_some_and(|extension| extension == "rs") {
                tests.push_str(&read(&path)?);
            }
        }
    }
    let mut found = Vec::new();
    for path in source::files(&folder)? {
        let (text, file) = (read(&path)?, relative(root, &path));
        let module = path.strip_prefix(&folder).unwrap_or(&path).with_extension("");
        let module = module.iter().next().unwrap_or_default().to_string_lossy();
        if module != "mod" && !list.lines().any(|line| line == format!("mod {module};")) {
            found.push(format!("{file} is not declared in ops/mod.rs"));
        }
        for name in implementers(&source::Code::new(&text).product) {
            if !text.contains("/// Source: ") {
                found.push(format!("{file} has no line `/// Source: …`"));
            }
            if !source::has_word(&tests, name) {
                found.push(format!("{file}: no test of crates/graph builds `{name}`"));
            }
        }
    }
    Ok(found)
}

/// The types that are operators.
fn implementers(code: &str) -> impl Iterator<Item = &str> {
    let after = code.split("impl Operator for ").skip(1);
    after.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next())
}

fn circles(root: &Path) -> Found {
    let mut found = Vec::new();
    for name in crates(root)? {
        let arrows = Arrows::read(&root.join("crates").join(&name).join("src"))?;
        let circles = arrows.circles();
        found.extend(circles.iter().map(|circle| format!("crates/{name}: {}", circle.text)));
    }
    Ok(found)
}

/// Prints how many files, folders and arrows each crate has.
pub(crate) fn print_rooms(root: &Path) -> Result<(), String> {
    println!("crate        files  arrows  folders  arrows between folders  circles");
    for name in crates(root)? {
        let arrows = Arrows::read(&root.join("crates").join(&name).join("src"))?;
        let (counts, circles) = (arrows.counts(), arrows.circles().len());
        println!(
            "{name:12} {:5}  {:6}  {:7}  {:22}  {circles:7}",
            counts.files, counts.arrows, counts.rooms, counts.room_arrows
        );
    }
    Ok(())
}

/// Types in the names of kernels.
const KERNEL_TYPES: [&str; 6] = ["u8", "i8", "i16", "i32", "i64", "f32"];

fn kernel_names(root: &Path) -> Found {
    let folder = root.join("crates/kernels/src");
    let mut found = Vec::new();
    for path in source::files(&folder)? {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        for name in kernels(&source::Code::new(&text).product) {
            if !is_kernel_name(&name) {
                found.push(format!(
                    "{}: the kernel `{name}` is not named by operation, type and at most one variant",
                    relative(root, &path)
                ));
            }
        }
    }
    Ok(found)
}

/// The kernels that a file defines: for instruction sets, by macros, and in the list of plain ones.
fn kernels(code: &str) -> Vec<String> {
    let name = |text: &str| -> Option<String> {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        (end > 0).then(|| text[..end].to_owned())
    };
    let mut names = Vec::new();
    for (at, attribute) in code.match_indices("#[target_feature") {
        let item = &code[at + attribute.len()..];
        names.extend(item.split_once("fn ").and_then(|(_, rest)| name(rest)));
    }
    for (at, opening) in code.match_indices("_kernel! {") {
        names.extend(name(&code[at + opening.len()..]));
    }
    if let Some((_, list)) = code.split_once("$arguments\n") {
        let list = list.split_once("\n        }").map_or(list, |(list, _)| list);
        names.extend(list.split(";\n").filter_map(name));
    }
    names
}

/// Whether a name is an operation, a type and at most one word of a variant.
fn is_kernel_name(name: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let types: Vec<usize> =
        (0..words.len()).filter(|&i| KERNEL_TYPES.contains(&words[i])).collect();
    matches!(types[..], [at] if at > 0 && words.len() <= at + 2)
}

fn machine_paths(root: &Path) -> Found {
    const TEXT: [&str; 13] =
        ["c", "csv", "h", "json", "lock", "md", "onnx", "py", "rs", "sh", "toml", "txt", "yml"];
    let mut found = Vec::new();
    for path in source::files(root)? {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_text = extension.map_or(path.parent() != Some(root), |e| TEXT.contains(&e));
        // This file has to name what it looks for.
        if !is_text || path.ends_with("xtask/src/tidy.rs") {
            continue;
        }
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for private in private_paths(&bytes, root) {
            found.push(format!("{} names `{private}`", relative(root, &path)));
        }
    }
    Ok(found)
}

/// Beginnings of paths that only one machine has: homes, and where this checkout lies.
fn private_paths(bytes: &[u8], root: &Path) -> Vec<String> {
    let checkout = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let private = ["/home/", "/root/", "/Users/"].map(str::to_owned);
    private
        .into_iter()
        .chain([checkout.display().to_string()])
        .filter(|path| bytes.windows(path.len()).any(|window| window == path.as_bytes()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rule: Rule) {
        let found = rule(&crate::root()).unwrap();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn a_crate_uses_only_what_stands_left_of_it() {
        holds(dependency_arrows);
    }

    #[test]
    fn only_facade_and_command_touch_the_outside() {
        holds(pure_crates);
    }

    #[test]
    fn only_kernels_have_unsafe_code() {
        holds(unsafe_in_kernels);
    }

    #[test]
    fn every_operator_is_declared_states_its_source_and_is_tested() {
        holds(operators);
    }

    #[test]
    fn operators_are_found_in_code() {
        let code =
            "impl Operator for Add {}\nimpl FixedOperator for FixedAdd {}\nimpl Operator for Pad {";
        assert_eq!(implementers(code).collect::<Vec<_>>(), ["Add", "Pad"]);
    }

    #[test]
    fn no_file_names_a_path_of_a_machine() {
        holds(machine_paths);
    }

    #[test]
    fn no_files_of_different_folders_are_a_circle() {
        holds(circles);
    }

    #[test]
    fn kernels_are_named_by_operation_type_and_variant() {
        holds(kernel_names);
    }

    #[test]
    fn a_wrong_name_of_a_kernel_is_found() {
        let code = "#[target_feature(enable = \"\")]\nfn finish_i32(x: u8) {}\n\
                    #[target_feature(enable = \"\")]\n    pub(crate) fn finish(x: u8) {}\n\
                    tile_kernel! {\n    tile_i16_wide, block, }\n\
                    $arguments\n    widen_u8(x: &[u8]) = a::b;\n    offset(x: u8) = c;\n        }";
        let names = kernels(code);
        assert_eq!(names, ["finish_i32", "finish", "tile_i16_wide", "widen_u8", "offset"]);
        let wrong: Vec<&String> = names.iter().filter(|name| !is_kernel_name(name)).collect();
        assert_eq!(wrong, ["finish", "offset"]);
        for name in ["u8", "wide_sums_f32_a_b", "conv_i8_u8", "i8_conv"] {
            assert!(!is_kernel_name(name), "{name}");
        }
    }

    #[test]
    fn a_wrong_arrow_is_found() {
        let manifest = "[dependencies]\nfixedwise.workspace = true\nserde = \"1\"\n\
                        fixedwise-fixed = { path = \"x\" }\n\
                        [dev-dependencies]\nfixedwise-testing.workspace = true\n\
                        [target.'cfg(unix)'.dependencies]\nfixedwise-search = \"1\"\n";
        let found = wrong_arrows("kernels", &["fixed"], &manifest.parse().unwrap());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("`fixedwise-search`"), "{found:?}");
        assert!(found[1].contains("`fixedwise`; it may use fixed"), "{found:?}");
        assert_eq!(wrong_arrows("fixed", &[], &manifest.parse().unwrap()).len(), 4);
    }

    #[test]
    fn what_touches_the_outside_is_found() {
        for (code, expected) in [
            ("use std::fs::File;", &["fs"][..]),
            (
                "use std::{\n    env, collections::BTreeMap,\n    process::Command,\n};",
                &["env", "process"],
            ),
            ("let start = Instant::now();", &["Instant"]),
            ("use std::{time::Duration, fmt}; let env = 1; fs::read(x)", &[]),
            ("std::env::var(x)", &["env"]),
        ] {
            assert_eq!(outside_world(code), expected, "{code}");
        }
    }

    #[test]
    fn paths_of_machines_are_found_in_binary_files_too() {
        let root = crate::root();
        let found = private_paths(b"\x08/home/somebody/model.pt\x00", &root);
        assert_eq!(found, ["/home/"]);
        assert_eq!(private_paths(b"https://example.org/homes", &root).len(), 0);
    }
}
