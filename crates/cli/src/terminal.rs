//! Standard output and standard error.

use anyhow::{Context as _, Result};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot write to standard output")
}

/// Whether standard output shows colors: it is a terminal, and nobody said `NO_COLOR`.
pub(crate) fn has_color() -> bool {
    io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// Whether standard error is watched by a person.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// One line to standard error; nobody is left to tell when that fails.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Paths as they stand in a sentence.
pub(crate) fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The error and its causes as one line on standard error.
pub(crate) fn complain(error: &anyhow::Error) {
    let chain = format!("{error:#}");
    let line = chain.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    note(&format!("error: {line}"));
}

/// Whether the reader of standard output has gone away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    // The crate never writes into a pipe, so this is about standard output.
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
