//! `jobs.toml`: several searches by the options of `quantize`, and combinations of these.

use crate::{
    Cli, Command,
    commands::sweep_jobs::{JobOption, Search},
    description::{self, Parameter},
    repeat,
};
use anyhow::{Context as _, Result, anyhow};
use clap::error::{ContextKind, ContextValue};
use std::{ffi::OsString, fs, ops::Range, path::Path};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What a command gives to each of its searches.
const OWN: [&str; 9] =
    ["out", "resume", "json", "verbose", "quiet", "report", "live", "port", "ray"];

/// An option as it stands in the file.
#[derive(Clone)]
struct Entry {
    name: String,
    values: Vec<String>,
    /// Where its name stands.
    at: usize,
}

/// The command line of a search.
fn words(options: &[JobOption]) -> Vec<OsString> {
    let mut words = vec!["fixedwise".to_owned(), "quantize".to_owned()];
    for (name, values) in options {
        match values.as_slice() {
            [model] if name == "model" => words.push(model.clone()),
            [] => words.push(format!("--{name}")),
            values => words.extend(values.iter().map(|value| format!("--{name}={value}"))),
        }
    }
    words.into_iter().map(OsString::from).collect()
}

/// Reads the searches of a file: every combination of `[grid]`, then each `[[job]]`, all with what is `[shared]`.
///
/// # Errors
/// For a file that cannot be read, and for one that is wrong: its line and key.
pub(crate) fn read(path: &Path) -> Result<Vec<Search>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    parse(&text).map_err(|(at, problem)| {
        let line = 1 + text[..at.min(text.len())].matches('\n').count();
        anyhow!("`{}`, line {line}: {problem}", path.display())
    })
}

/// Where a file is wrong, and how.
type Wrong = (usize, String);

fn parse(text: &str) -> Result<Vec<Search>, Wrong> {
    let table = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let commands = description::commands();
    let known = commands.into_iter().find(|command| command.words == ["quantize"]);
    let known = known.map_or_else(Vec::new, |command| command.parameters);
    let (mut shared, mut axes, mut single) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in ordered(table.get_ref()) {
        let at = name.span().start;
        match (name.get_ref().as_ref(), value.get_ref()) {
            ("shared", DeValue::Table(table)) => shared = entries(table, &known)?,
            ("grid", DeValue::Table(table)) => axes = grid(table, &known)?,
            ("job", DeValue::Array(tables)) => {
                for table in tables {
                    let DeValue::Table(entry) = table.get_ref() else {
                        return Err((at, "`job` is a list of tables: `[[job]]`".to_owned()));
                    };
                    single.push((table.span().start, entries(entry, &known)?));
                }
            }
            (name @ ("shared" | "grid"), _) => {
                return Err((at, format!("`{name}` is a table: `[{name}]`")));
            }
            ("job", _) => return Err((at, "`job` is a list of tables: `[[job]]`".to_owned())),
            (name, _) => {
                let problem = format!(
                    "there is no `{name}` here; there are [shared], [grid] and [[job]] with the options of `quantize`"
                );
                return Err((at, problem));
            }
        }
    }
    let at = axes.first().map_or(0, |axis: &Vec<Entry>| axis.first().map_or(0, |entry| entry.at));
    let mut jobs: Vec<(usize, Vec<Entry>)> =
        combinations(&axes).into_iter().map(|own| (at, own)).collect();
    jobs.extend(single);
    if jobs.is_empty() {
        return Err((
            0,
            "there is no search; add [grid] or [[job]] with options of `quantize`".to_owned(),
        ));
    }
    let whole = jobs.into_iter().enumerate().map(|(place, (at, own))| {
        let is_new = |entry: &&Entry| own.iter().all(|other| other.name != entry.name);
        let entries: Vec<Entry> = shared.iter().filter(is_new).chain(&own).cloned().collect();
        checked(place, at, &entries)
    });
    whole.collect()
}

/// A search that `quantize` would begin.
fn checked(place: usize, at: usize, entries: &[Entry]) -> Result<Search, Wrong> {
    let given = entries.iter().filter(|entry| entry.values != [FALSE]);
    let options = given.map(|entry| {
        let values = if entry.values == [TRUE] { Vec::new() } else { entry.values.clone() };
        (entry.name.clone(), values)
    });
    let options: Vec<JobOption> = options.collect();
    if options.iter().all(|(name, _)| name != "model") {
        let problem =
            format!("search {} has no `model`; give it there, or for all in [shared]", place + 1);
        return Err((at, problem));
    }
    let words = words(&options);
    let error = match Cli::read(&words) {
        Ok(Cli { command: Command::Quantize(arguments) }) => {
            return Ok(Search { options, arguments, words: repeat::words(words) });
        }
        Ok(_) => return Err((at, format!("search {} is none of `quantize`", place + 1))),
        Err(error) => error,
    };
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        _ => "",
    };
    let entry = entries.iter().find(|entry| {
        let rest = about.strip_prefix("--").and_then(|rest| rest.strip_prefix(&entry.name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    });
    let text = error.render().to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or_default();
    let text = text.split("\n\nFor more information").next().unwrap_or_default();
    let text: Vec<&str> = text.trim().trim_start_matches("error: ").split_whitespace().collect();
    Err((entry.map_or(at, |entry| entry.at), format!("search {}: {}", place + 1, text.join(" "))))
}

/// Marks of flags, which no value can be.
const TRUE: &str = "\0true";
const FALSE: &str = "\0false";

/// Keys and values in the order of the file.
fn ordered<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>)> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(name, _)| name.span().start);
    pairs
}

/// The options of a table.
fn entries(table: &DeTable, known: &[Parameter]) -> Result<Vec<Entry>, Wrong> {
    ordered(table)
        .into_iter()
        .map(|(name, value)| entry(name.get_ref(), name.span(), value, known))
        .collect()
}

/// The options of a grid: a list of entries for each.
fn grid(table: &DeTable, known: &[Parameter]) -> Result<Vec<Vec<Entry>>, Wrong> {
    let axis = |(name, value): (&Spanned<std::borrow::Cow<str>>, &Spanned<DeValue>)| {
        let at = name.span().start;
        let DeValue::Array(values) = value.get_ref() else {
            let problem =
                format!("`{}` of [grid] is a list of values, for example [1, 2]", name.get_ref());
            return Err((at, problem));
        };
        if values.is_empty() {
            return Err((at, format!("`{}` of [grid] has no value", name.get_ref())));
        }
        values.iter().map(|value| entry(name.get_ref(), name.span(), value, known)).collect()
    };
    ordered(table).into_iter().map(axis).collect()
}

/// Every combination, the last option the fastest; none of no option.
fn combinations(axes: &[Vec<Entry>]) -> Vec<Vec<Entry>> {
    if axes.is_empty() {
        return Vec::new();
    }
    axes.iter().fold(vec![Vec::new()], |before, axis| {
        let with = |begun: &Vec<Entry>| {
            let begun = begun.clone();
            axis.iter().map(move |entry| [&begun[..], std::slice::from_ref(entry)].concat())
        };
        before.iter().flat_map(with).collect()
    })
}

/// An option with its value, where `quantize` has it.
fn entry(
    name: &str,
    span: Range<usize>,
    value: &Spanned<DeValue>,
    known: &[Parameter],
) -> Result<Entry, Wrong> {
    let at = span.start;
    let refuse = |problem: String| Err((at, format!("`{name}` {problem}")));
    if OWN.contains(&name) {
        return refuse(
            "is no option of a single search here; the command writes a folder for each".to_owned(),
        );
    }
    let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
        let near = known.iter().map(|parameter| parameter.name.as_str());
        let near = near.filter(|known| is_near(known, name)).min_by_key(|known| known.len());
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return refuse(format!("is no option of `quantize`{hint}"));
    };
    let values = match value.get_ref() {
        DeValue::Boolean(is_set) if parameter.is_flag => {
            vec![if *is_set { TRUE } else { FALSE }.to_owned()]
        }
        _ if parameter.is_flag => return refuse("is true or false".to_owned()),
        DeValue::Array(values) if parameter.is_list => values
            .iter()
            .map(|value| word(value.get_ref()))
            .collect::<Option<_>>()
            .unwrap_or_default(),
        DeValue::Array(_) => {
            return refuse("takes one value here; a list belongs into [grid]".to_owned());
        }
        value => word(value).into_iter().collect(),
    };
    if values.is_empty() {
        return refuse("has a value that is neither text nor a number".to_owned());
    }
    Ok(Entry { name: name.to_owned(), values, at })
}

/// A value as it stands on a command line.
fn word(value: &DeValue) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// Whether one name may be meant by the other: they differ in few letters.
fn is_near(known: &str, name: &str) -> bool {
    fixedwise::distance(known, &name.replace('_', "-")) <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let line = |search: &Search| {
            let words = words(&search.options);
            words[2..]
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        parse(text).ok().unwrap().iter().map(line).collect()
    }

    #[test]
    fn a_file_is_combinations_and_single_searches() {
        let text = r#"
            [shared]
            data = "d"
            max-loss = "3%"
            [grid]
            model = ["a.onnx", "b.onnx"]
            seed = [0, 1]
            [[job]]
            model = "c.onnx"
            max-loss = "2%"
            keep = ["x.weights=8", "y.bias=4"]
            confidence = 0.95
        "#;
        assert_eq!(
            lines(text),
            [
                "--data=d --max-loss=3% a.onnx --seed=0",
                "--data=d --max-loss=3% a.onnx --seed=1",
                "--data=d --max-loss=3% b.onnx --seed=0",
                "--data=d --max-loss=3% b.onnx --seed=1",
                "--data=d c.onnx --max-loss=2% --keep=x.weights=8 --keep=y.bias=4 --confidence=0.95",
            ]
        );
    }

    #[test]
    fn what_is_wrong_has_its_line_and_key() {
        for (text, line, problem) in [
            ("[shared\n", 1, "unclosed table"),
            ("[jobs]\nseed = [1]", 1, "there is no `jobs` here"),
            ("shared = 3", 1, "`shared` is a table"),
            ("job = 3", 1, "`job` is a list of tables"),
            ("job = [3]", 1, "`job` is a list of tables"),
            ("", 1, "there is no search"),
            ("[shared]\nmodel = \"a\"\ndata = \"d\"", 1, "there is no search"),
            (
                "[grid]\n\nmax-los = [\"1%\"]",
                3,
                "`max-los` is no option of `quantize`; did you mean `max-loss`?",
            ),
            ("[grid]\nmax_loss = [\"1%\"]", 2, "did you mean `max-loss`?"),
            ("[grid]\nseed = 3", 2, "`seed` of [grid] is a list of values"),
            ("[grid]\nseed = []", 2, "`seed` of [grid] has no value"),
            ("[[job]]\nseed = [3]", 2, "`seed` takes one value here; a list belongs into [grid]"),
            ("[[job]]\nseed = true", 2, "`seed` has a value that is neither"),
            ("[[job]]\nout = \"x\"", 2, "`out` is no option of a single search"),
            ("[[job]]\nseed = 3", 1, "search 1 has no `model`"),
            ("[[job]]\nmodel = \"a\"\n", 1, "search 1: the following required arguments"),
            (
                "[shared]\ndata = \"d\"\n[grid]\nmodel = [\"a\"]\nmax-loss = [\"1%\", \"1\"]",
                5,
                "search 2: invalid value '1' for '--max-loss <LOSS>'",
            ),
        ] {
            let (at, got) = parse(text).err().unwrap();
            let place = 1 + text[..at].matches('\n').count();
            assert!(got.contains(problem) && place == line, "{text}\nline {place}: {got}");
        }
    }
}
