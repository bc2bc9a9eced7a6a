//! Standard output and standard error.

use crate::{
    host::{Cluster, Host},
    progress::Display,
};
use anyhow::{Context as _, Result};
use fixedwise::{DataSource, Nodes, Observer, TextOptions, folded};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};
use terminal_size::{Width, terminal_size_of};

/// Fewest columns that lines are folded to.
const LEAST: usize = 20;

/// The terminal that the program was started in, or the files that stand for it.
pub(crate) struct Terminal<'a> {
    /// What runs searches elsewhere, in a program that has something.
    pub(crate) cluster: Option<&'a dyn Cluster>,
}

impl Host for Terminal<'_> {
    fn images(&self, _: &str) -> Option<DataSource> {
        None
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn watch(&self, is_quiet: bool) -> Box<dyn Observer + '_> {
        Box::new(Display::new(is_quiet))
    }

    fn print(&self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .context("cannot write to standard output")
    }

    fn note(&self, text: &str) {
        note(text);
    }

    fn stop(&self) -> Result<Arc<AtomicBool>> {
        let stop = Arc::new(AtomicBool::new(false));
        let raised = Arc::clone(&stop);
        let on_interrupt = move || on_interrupt(&raised);
        ctrlc::set_handler(on_interrupt).context("Ctrl-C cannot be handled")?;
        Ok(stop)
    }

    fn wait(&self) -> Result<()> {
        let (raise, raised) = mpsc::channel();
        // A second interrupt finds nobody who listens.
        let on_interrupt = move || {
            let _ = raise.send(());
        };
        ctrlc::set_handler(on_interrupt).context("Ctrl-C cannot be handled")?;
        Ok(raised.recv()?)
    }

    fn cluster(&self) -> Option<&dyn Cluster> {
        self.cluster
    }

    fn nodes(&self) -> Option<&dyn Nodes> {
        None
    }

    fn address(&self, url: &str) {
        // In one piece, so that it can be clicked.
        lines(&[format!("live: {url}")]);
    }
}

/// The first time ends the search, the second time the process.
#[expect(clippy::exit, reason = "who presses Ctrl-C twice waits for nothing")]
fn on_interrupt(stop: &AtomicBool) {
    if stop.swap(true, Ordering::Relaxed) {
        std::process::exit(130);
    }
    note("stopping: the best plan so far will be written; press Ctrl-C again to quit immediately");
}

/// How results are shown on standard output.
pub(crate) fn text_options(verbose: bool) -> TextOptions {
    TextOptions { columns: columns(), color: has_color(), verbose }
}

/// Columns of standard output: what `COLUMNS` says, else those of the terminal, else 80.
pub(crate) fn columns() -> usize {
    let columns = asked().or_else(|| of_terminal(terminal_size_of(io::stdout())));
    columns.unwrap_or(TextOptions::COLUMNS)
}

/// The same of standard error.
pub(crate) fn error_columns() -> usize {
    watched_columns().unwrap_or(TextOptions::COLUMNS)
}

/// The same, absent where standard error is no terminal and nothing is asked for.
fn watched_columns() -> Option<usize> {
    asked().or_else(|| of_terminal(terminal_size_of(io::stderr())))
}

fn of_terminal(size: Option<(Width, terminal_size::Height)>) -> Option<usize> {
    size.map(|(Width(columns), _)| usize::from(columns).max(LEAST))
}

fn asked() -> Option<usize> {
    let columns: usize = std::env::var("COLUMNS").ok()?.parse().ok()?;
    (columns > 0).then_some(columns.max(LEAST))
}

/// Whether standard output shows colors: it is a terminal, and nobody said `NO_COLOR`.
fn has_color() -> bool {
    io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// Whether standard error is watched by a person.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// A remark to standard error, folded; nobody is left to tell when that fails.
pub(crate) fn note(text: &str) {
    lines(&folded(text, error_columns(), "  "));
}

/// Lines to standard error.
pub(crate) fn lines(lines: &[String]) {
    let _ = writeln!(io::stderr().lock(), "{}", lines.join("\n"));
}

/// `written: ` and the files, folded.
pub(crate) fn written(paths: &[PathBuf]) -> String {
    folded(&format!("written: {}", listed(paths)), columns(), "  ").join("\n") + "\n"
}

/// Paths as they stand in a sentence.
pub(crate) fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The error and its causes on standard error: folded for a terminal, one line for a program.
pub(crate) fn complain(error: &anyhow::Error) {
    let chain = format!("{error:#}");
    let line = chain.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    refuse(&format!("error: {line}"));
}

/// An error to standard error, line by line: folded for a terminal, as it is for a program.
pub(crate) fn refuse(text: &str) {
    match watched_columns() {
        Some(columns) => {
            let folded: Vec<_> =
                text.lines().flat_map(|line| folded(line, columns, "  ")).collect();
            lines(&folded);
        }
        None => lines(&[text.trim_end().to_owned()]),
    }
}

/// Whether the reader of standard output has gone away.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    // The crate never writes into a pipe, so this is about standard output.
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
