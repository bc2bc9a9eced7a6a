//! The operator table of README.md, from the comments of the operators.

use crate::source;
use std::{fs, path::Path};

const BEGIN: &str = "<!-- operators:begin -->";
const END: &str = "<!-- operators:end -->";

/// Writes the table between its markers.
///
/// # Errors
/// Where README.md or its markers are missing, or an operator has no row.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let (old, new) = readme(root)?;
    if old == new {
        return Ok(());
    }
    fs::write(root.join("README.md"), new).map_err(|error| format!("README.md: {error}"))
}

/// Compares the table with what [`write()`] would write.
///
/// # Errors
/// Where they differ, and as [`write()`].
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let (old, new) = readme(root)?;
    if old == new {
        Ok(())
    } else {
        Err("the operator table of README.md is out of date; run `cargo xtask codegen`".to_owned())
    }
}

/// README.md as it is and as it should be.
fn readme(root: &Path) -> Result<(String, String), String> {
    let old = fs::read_to_string(root.join("README.md"))
        .map_err(|error| format!("README.md: {error}"))?;
    let table = table(root)?;
    let new = between_markers(&old, &table)?;
    Ok((old, new))
}

fn between_markers(text: &str, table: &str) -> Result<String, String> {
    let missing = || {
        format!(
            "README.md lacks the lines `{BEGIN}` and `{END}` around the operator \
                              table"
        )
    };
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

/// One line of the table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    name: String,
    computes: String,
    sources: Vec<String>,
}

fn table(root: &Path) -> Result<String, String> {
    let folder = root.join("crates/graph/src/ops");
    let mut rows: Vec<Row> = Vec::new();
    for path in source::files(&folder)? {
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        // A folder is one operator in several files.
        let within = path.strip_prefix(&folder).unwrap_or(&path);
        let first = within.components().next().unwrap_or(std::path::Component::CurDir);
        let module = first.as_os_str().to_string_lossy();
        let module = module.trim_end_matches(".rs");
        let name = camel_case(module);
        if module == "mod" || within.ends_with("tests.rs") {
            continue;
        }
        let Some(row) = row(&name, &text) else { continue };
        match rows.last_mut().filter(|last| last.name == name) {
            Some(last) => {
                last.computes =
                    if last.computes.is_empty() { row.computes } else { last.computes.clone() };
                last.sources.extend(row.sources);
            }
            None => rows.push(row),
        }
    }
    let mut table = String::from("| Operator | Computes | Read from |\n|---|---|---|\n");
    for Row { name, computes, sources } in &rows {
        let line = format!("| {name} | {computes} | {} |\n", sources.join("; "));
        table.push_str(&line);
    }
    let registered =
        fs::read_to_string(folder.join("mod.rs")).map_err(|e| format!("ops/mod.rs: {e}"))?;
    for (list, format) in [("ONNX", "ONNX"), ("KERAS", "Keras")] {
        for operator in imported(&registered, list) {
            if !table.contains(&format!("`{operator}`")) {
                return Err(format!(
                    "no comment below crates/graph/src/ops has a line `/// Source: {format} `{operator}`…`"
                ));
            }
        }
    }
    Ok(table)
}

/// What the comments of one file say, where it reads or is an operator.
fn row(name: &str, text: &str) -> Option<Row> {
    let mut row = Row { name: name.to_owned(), ..Row::default() };
    let is_operator = text.contains("impl Operator for ");
    if !is_operator && !text.contains("fn import") {
        return None;
    }
    let mut lines = text.lines().peekable();
    while lines.peek().is_some() {
        let comment: Vec<&str> = std::iter::from_fn(|| {
            let line = lines.next_if(|line| doc(line).is_some())?;
            doc(line)
        })
        .collect();
        let subject = lines.find(|line| !line.trim_start().starts_with("#[")).unwrap_or("");
        let says = first_sentence(&comment);
        if let Some(at) = comment.iter().position(|line| line.starts_with("Source: ")) {
            let paragraph = comment[at..].iter().take_while(|line| !line.is_empty());
            let source = paragraph.copied().collect::<Vec<_>>().join(" ");
            let source = source.trim_start_matches("Source: ").trim_end_matches('.');
            // An importer repeats what its operator has named.
            let format = source.split(' ').next();
            let known = row.sources.iter().filter(|known| known.split(' ').next() == format);
            let known = known.map(String::as_str).collect::<Vec<_>>().join("; ");
            let mut names = source.split('`').skip(1).step_by(2).peekable();
            if names.peek().is_none() || names.any(|name| !known.contains(&format!("`{name}`"))) {
                row.sources.push(source.to_owned());
            }
            // The operator's own struct says what it computes; where there is none, its importer.
            if at > 0 && (!is_operator || is_struct(subject, name)) {
                row.computes = says;
            }
        } else if row.computes.is_empty() && !is_operator && text.starts_with("//!") {
            row.computes = says;
        }
    }
    (!row.sources.is_empty()).then_some(row)
}

fn is_struct(line: &str, name: &str) -> bool {
    let declared = line.trim_start().strip_prefix("pub struct ");
    declared
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// The text of a line of documentation.
fn doc(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

fn first_sentence(comment: &[&str]) -> String {
    let paragraph = comment.iter().take_while(|line| !line.is_empty());
    let paragraph = paragraph.copied().collect::<Vec<_>>().join(" ");
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    let sentence = paragraph[..end].trim_end_matches('.');
    // A bar would end the cell, and links lead nowhere outside rustdoc.
    sentence.replace('|', "\\|").replace("[`", "`").replace("`]", "`")
}

/// The names in a list of readers: the strings that open a pair.
fn imported<'a>(registered: &'a str, list: &str) -> Vec<&'a str> {
    let list = registered.split_once(&format!("const {list}:")).map_or("", |(_, list)| list);
    let list = list.split_once("];").map_or(list, |(list, _)| list);
    list.split("(\"").skip(1).filter_map(|pair| Some(pair.split_once('"')?.0)).collect()
}

fn camel_case(module: &str) -> String {
    module
        .split('_')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + rest
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_table_of_the_readme_is_current() {
        check(&crate::root()).unwrap();
    }

    #[test]
    fn a_row_is_read_from_the_comments() {
        let text = "use x;\n\n/// `y = |x|`, element by\n/// element. More.\n///\n/// Fixed point: exact.\n\
                    ///\n/// Source: ONNX `Abs`,\n/// opset 13.\n#[derive(Clone)]\npub struct AbsValue {\n\
                    /// A field.\n    pub x: f32,\n}\n\nimpl Operator for AbsValue {}\n\n\
                    /// Source: ONNX `Abs`, opset 1.\nfn import() {}\n\n\
                    /// Source: ONNX `Magnitude`, opset 1.\nfn import_magnitude() {}\n";
        let expected = Row {
            name: "AbsValue".to_owned(),
            computes: "`y = \\|x\\|`, element by element".to_owned(),
            sources: vec![
                "ONNX `Abs`, opset 13".to_owned(),
                "ONNX `Magnitude`, opset 1".to_owned(),
            ],
        };
        assert_eq!(row(&camel_case("abs_value"), text), Some(expected));
        let identity =
            "//! Nothing. More.\n\nuse x;\n\n/// Source: ONNX `Same`, opset 1.\nfn import() {}\n";
        let row_of_identity = row("Identity", identity).unwrap();
        assert_eq!(row_of_identity.computes, "Nothing");
        assert_eq!(row_of_identity.sources, ["ONNX `Same`, opset 1"]);
        assert_eq!(row("Window", "//! A window.\n\n/// Extents.\npub struct Window;\n"), None);
    }

    #[test]
    fn the_table_replaces_what_stands_between_the_markers() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = between_markers(&text, "| new |\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n| new |\n{END}\nb\n"));
        assert_eq!(between_markers(&new, "| new |\n").unwrap(), new);
        assert!(between_markers("a", "").unwrap_err().contains("operators:begin"));
    }

    #[test]
    fn imported_names_are_listed() {
        let text = "const ONNX: &[(&str, F)] = &[\n    (\"Add\", add::import),\n    (\"Relu\", r),\n];\n(\"No\")";
        assert_eq!(imported(text, "ONNX"), ["Add", "Relu"]);
    }
}
