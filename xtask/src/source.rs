//! Reading the project's own source: files, and code without comments, strings and tests.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// All files below `folder`, sorted, without build results and hidden folders.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| format!("{}: {e}", folder.display()))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            if path.is_symlink() {
                continue;
            }
            if !path.is_dir() {
                found.push(path);
            } else if !matches!(&*name, "target" | ".git" | "__pycache__" | "fixedwise-out") {
                folders.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The code of a crate that is part of the product: path and [`Code::product`] of each file.
pub(crate) fn product(crate_folder: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let mut codes = Vec::new();
    let mut tests = BTreeSet::new();
    for path in files(&crate_folder.join("src"))? {
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let code = Code::new(&text);
        let stem = path.file_stem().unwrap_or_default();
        let parent = path.parent().unwrap_or(&path);
        let modules = match stem.to_str() {
            Some("lib" | "main" | "mod") => parent.to_owned(),
            _ => parent.join(stem),
        };
        for module in code.test_modules {
            tests.insert(modules.join(format!("{module}.rs")));
            tests.insert(modules.join(module));
        }
        codes.push((path, code.product));
    }
    codes.retain(|(path, _)| !path.ancestors().any(|part| tests.contains(part)));
    Ok(codes)
}

/// Rust code without what is not run in the product.
pub(crate) struct Code {
    /// The text without comments, the contents of strings, and items under `#[cfg(test)]`.
    pub(crate) product: String,
    /// Names of the modules that are declared under `#[cfg(test)]` and lie in other files.
    pub(crate) test_modules: Vec<String>,
}

impl Code {
    pub(crate) fn new(text: &str) -> Self {
        const TEST: &str = "#[cfg(test)]";
        let bare = without_comments_and_strings(text);
        let mut product = String::new();
        let mut test_modules = Vec::new();
        let mut rest = bare.as_str();
        while let Some(at) = rest.find(TEST) {
            product.push_str(&rest[..at]);
            let item = &rest[at + TEST.len()..];
            let end = end_of_item(item);
            if let Some(module) = item[..end].strip_suffix(';') {
                let mut words = module.split_whitespace().rev();
                if let (Some(name), Some("mod")) = (words.next(), words.next()) {
                    test_modules.push(name.to_owned());
                }
            }
            rest = &item[end..];
        }
        product.push_str(rest);
        Self { product, test_modules }
    }
}

/// Whether `word` stands in `code`, not as a part of a longer name.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_name) && !code[at + word.len()..].starts_with(is_name)
    })
}

/// Where the first item of `code` ends: after its `;` or its closing brace.
fn end_of_item(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' && !code[at + 1..].trim_start().starts_with(';') {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn without_comments_and_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(rest, &out) {
            out.push_str("\"\"");
            length
        } else if c == '"' {
            out.push_str("\"\"");
            string(rest)
        } else if let Some(length) = char_literal(rest) {
            out.push_str("' '");
            length
        } else {
            out.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    out
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#` and the like, where they do not end a name.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() && c != 'b' || c == '_') {
        return None;
    }
    let body = text.strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inside.find(&close).map_or(inside.len(), |at| at + close.len());
    Some(1 + hashes + 1 + end)
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'x'` or `'\n'`, but not a lifetime.
fn char_literal(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    if body.starts_with('\\') {
        let end = body.char_indices().skip(2).find(|(_, c)| *c == '\'')?.0;
        return Some(end + 2);
    }
    let first = body.chars().next()?;
    body[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_tests_are_left_out() {
        for (text, expected) in [
            ("a // std::fs\nb", "a \nb"),
            ("a /* x /* y */ z */ b", "a  b"),
            (r#"a("std::fs \" x") b"#, r#"a("") b"#),
            (r##"a(r#"std "fs" "#) b"##, r#"a("") b"#),
            ("let var = 'x'; fn f<'a>(x: &'a str)", "let var = ' '; fn f<'a>(x: &'a str)"),
            (r"x == '\'' && y", "x == ' ' && y"),
            ("a #[cfg(test)]\nmod tests { fn f() { g(); } } b", "a  b"),
            ("a #[cfg(test)] use x::{y, z}; b", "a  b"),
            ("a #[cfg(test)]\n#[path = \"x\"] fn f([x]: [u8; 1]) { g([1, 2]); } b", "a  b"),
        ] {
            assert_eq!(Code::new(text).product, expected, "{text}");
        }
    }

    #[test]
    fn modules_of_tests_are_named() {
        let code = Code::new("#[cfg(test)]\nmod oracle;\n#[cfg(test)] mod tests {} mod kept;");
        assert_eq!(code.test_modules, ["oracle"]);
        assert!(code.product.contains("kept"));
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("use std::time::Instant;", "Instant"));
        assert!(!has_word("struct Instantly; my_Instant", "Instant"));
    }
}
