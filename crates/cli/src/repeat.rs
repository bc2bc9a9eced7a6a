//! Arguments of an earlier run, completed by new ones: `quantize --from DIR`.

use clap::error::{Error, ErrorKind};
use fixedwise::RunResult;
use std::{ffi::OsString, fs, path::Path};

/// Options with a value that belong to one run alone.
const OWN: [&str; 6] = ["-o", "--output", "--from", "--time-budget", "--emit", "--threads"];
/// The same without a value.
const OWN_FLAGS: [&str; 6] = ["--resume", "--json", "-q", "--quiet", "-v", "--verbose"];
/// Where the answer goes, beside what the earlier run has written.
const FOLDER: &str = "what-if";

/// The arguments of this process; where they say `quantize --from DIR` without a network, those of the
/// run in DIR stand before them, and later ones count.
///
/// # Errors
/// Where DIR holds no result, or one that does not say what it was asked for.
pub(crate) fn arguments() -> Result<Vec<OsString>, Error> {
    let own: Vec<OsString> = std::env::args_os().collect();
    let words: Option<Vec<&str>> = own.iter().map(|word| word.to_str()).collect();
    match words.as_deref() {
        Some([_, "quantize", words @ ..]) => {
            let Some(folder) = value(words, "--from") else { return Ok(own) };
            let folder = folder.to_owned();
            repeated(&own, &folder).map(|repeated| repeated.unwrap_or(own))
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

/// `None` where the arguments name a network themselves.
fn repeated(own: &[OsString], folder: &str) -> Result<Option<Vec<OsString>>, Error> {
    // Given as a whole, the command needs no other.
    match crate::Cli::read(own) {
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {}
        _ => return Ok(None),
    }
    let path = Path::new(folder).join("result.json");
    let refuse = |problem: String| {
        Error::raw(ErrorKind::Io, format!("--from {folder}: {}: {problem}\n", path.display()))
    };
    let text = fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
    let result = RunResult::from_json(&text).map_err(refuse)?;
    if result.command.is_empty() {
        return Err(refuse(
            "it does not contain the arguments of the run; give MODEL and the data as well"
                .to_owned(),
        ));
    }
    let output = Path::new(folder).join(FOLDER).into_os_string();
    let mut all = own[..2].to_vec();
    all.extend(result.command.into_iter().map(OsString::from));
    all.extend(["-o".into(), output]);
    all.extend(own[2..].iter().cloned());
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_run_is_left_out() {
        let line = "fixedwise quantize a.onnx --data d -o out --seed 3 -q --time-budget=3m --resume \
                    -oother --output there --max-loss 2% --from x";
        let kept = words(line.split_whitespace().map(OsString::from));
        assert_eq!(kept.join(" "), "a.onnx --data d --seed 3 --max-loss 2%");
    }

    #[test]
    fn values_stand_behind_their_names() {
        assert_eq!(value(&["--from", "a"], "--from"), Some("a"));
        assert_eq!(value(&["-q", "--from=b"], "--from"), Some("b"));
        assert_eq!(value(&["--fromage=b"], "--from"), None);
        assert_eq!(value(&["--from"], "--from"), None);
    }
}
