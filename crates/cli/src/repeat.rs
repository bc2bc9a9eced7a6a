//! Arguments of an earlier run, completed by new ones: `quantize --from DIR`, `refit PLAN`.

use clap::error::{Error, ErrorKind};
use fixedwise::RunResult;
use std::{ffi::OsString, fs, path::Path};

/// Options with a value that belong to one run alone.
const OWN: [&str; 9] =
    ["-o", "--out", "--from", "--plan", "--time-budget", "--emit", "--threads", "--port", "--ray"];
/// The same without a value.
const OWN_FLAGS: [&str; 8] =
    ["--resume", "--json", "-q", "--quiet", "-v", "--verbose", "--report", "--live"];
/// Where the answer goes, beside what the earlier run has written.
const FOLDER: &str = "what-if";

/// A command line; where it says `quantize --from DIR` without a network, or `refit PLAN`, the
/// arguments of the run in DIR or beside PLAN stand before its own, and later ones count.
///
/// # Errors
/// Where the folder holds no result, or one that does not say what it was asked for.
pub(crate) fn arguments(own: Vec<OsString>) -> Result<Vec<OsString>, Error> {
    let words: Option<Vec<&str>> = own.iter().map(|word| word.to_str()).collect();
    match words.as_deref() {
        Some([_, "quantize", words @ ..]) => {
            let Some(folder) = value(words, "--from") else { return Ok(own) };
            if !is_incomplete(&own) {
                return Ok(own);
            }
            let folder = Path::new(folder);
            let command = command(folder, &format!("--from {}", folder.display()), "MODEL")?;
            let output = folder.join(FOLDER).into_os_string();
            Ok(own[..2]
                .iter()
                .cloned()
                .chain(command)
                .chain(["-o".into(), output])
                .chain(own[2..].iter().cloned())
                .collect())
        }
        Some([_, "refit", words @ ..]) => {
            let Some(at) = plan(words).filter(|_| is_incomplete(&own)) else { return Ok(own) };
            let mut rest = own[2..].to_vec();
            let plan = rest.remove(at);
            let folder = Path::new(&plan).parent().unwrap_or(Path::new(""));
            let command = command(folder, &format!("refit {}", words[at]), "MODEL, --plan")?;
            Ok(own[..2]
                .iter()
                .cloned()
                .chain(command)
                .chain(["--plan".into(), plan])
                .chain(rest)
                .collect())
        }
        _ => Ok(own),
    }
}

/// What a run was asked for, without what belongs to one run alone: the words after `quantize`.
pub(crate) fn words(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let words: Option<Vec<String>> =
        arguments.into_iter().skip(2).map(|word| word.into_string().ok()).collect();
    let words = words.unwrap_or_default();
    let mut kept = Vec::new();
    let mut is_value = false;
    for word in words {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        if std::mem::take(&mut is_value) || OWN_FLAGS.contains(&word.as_str()) {
            continue;
        }
        if OWN.contains(&name) {
            is_value = !word.contains('=');
        } else if !word.starts_with("-o") || word.starts_with("--") {
            kept.push(word);
        }
    }
    kept
}

/// The value of an option, as its own word or behind `=`.
fn value<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    words.iter().enumerate().find_map(|(i, word)| match word.strip_prefix(name)? {
        "" => words.get(i + 1).copied(),
        rest => rest.strip_prefix('='),
    })
}

/// Whether the arguments lack what a command needs: given as a whole, it takes no others.
fn is_incomplete(own: &[OsString]) -> bool {
    crate::Cli::read(own).is_err_and(|error| error.kind() == ErrorKind::MissingRequiredArgument)
}

/// Which of the words of `refit` is a plan where a network would stand.
fn plan(words: &[&str]) -> Option<usize> {
    use clap::CommandFactory as _;
    let command = crate::Cli::command();
    let command = command.find_subcommand("refit")?;
    let takes_value = |word: &str| {
        command.get_arguments().any(|argument| {
            let is_long =
                argument.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
            let is_short = argument.get_short().is_some_and(|short| *word == format!("-{short}"));
            (is_long || is_short) && argument.get_action().takes_values()
        })
    };
    let is_plan = |at: usize| {
        let is_value = at.checked_sub(1).is_some_and(|before| takes_value(words[before]));
        !is_value
            && !words[at].starts_with('-')
            && words[at].to_ascii_lowercase().ends_with(".toml")
    };
    (0..words.len()).find(|&at| is_plan(at))
}

/// What the run in a folder was asked for; `what` asks for it, and without it `missing` is to be given.
fn command(folder: &Path, what: &str, missing: &str) -> Result<Vec<OsString>, Error> {
    let path = folder.join("result.json");
    let refuse = |problem: String| {
        let path = path.display();
        let problem = format!("{what}: {path}: {problem}; give {missing} and the data as well\n");
        Error::raw(ErrorKind::Io, problem)
    };
    let text = fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
    let result = RunResult::from_json(&text).map_err(refuse)?;
    if result.command.is_empty() {
        return Err(refuse("it does not contain the arguments of the run".to_owned()));
    }
    Ok(result.command.into_iter().map(OsString::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_run_is_left_out() {
        let line = "fixedwise quantize a.onnx --data d -o out --seed 3 -q --time-budget=3m --resume \
                    -oother --out there --max-loss 2% --from x --live --port 80";
        let kept = words(line.split_whitespace().map(OsString::from));
        assert_eq!(kept.join(" "), "a.onnx --data d --seed 3 --max-loss 2%");
    }

    #[test]
    fn a_plan_stands_where_a_network_would() {
        assert_eq!(plan(&["--target", "board.toml", "-q", "out/plan.toml"]), Some(3));
        assert_eq!(plan(&["--target=board.toml", "out/plan.TOML", "-o", "x"]), Some(1));
        assert_eq!(plan(&["a.onnx", "--plan", "plan.toml"]), None);
    }

    #[test]
    fn values_stand_behind_their_names() {
        assert_eq!(value(&["--from", "a"], "--from"), Some("a"));
        assert_eq!(value(&["-q", "--from=b"], "--from"), Some("b"));
        assert_eq!(value(&["--fromage=b"], "--from"), None);
        assert_eq!(value(&["--from"], "--from"), None);
    }
}
