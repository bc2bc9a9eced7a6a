//! The command `fixedwise`: arguments, progress, exit codes; no logic.
//!
//! [`main`] is the program; [`run`] runs a command line for another [`Host`] than a terminal, and [`commands`] says
//! what there is.
#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod description;
mod host;
mod jobs_file;
mod live;
mod progress;
mod repeat;
mod search_arguments;
mod server;
mod terminal;
mod verdict;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use fixedwise::Worker;
use std::{ffi::OsString, path::Path};
use terminal::Terminal;

pub use commands::sweep_jobs::JobOption;
pub use description::{Command as CommandDescription, Parameter, commands};
pub use host::{Cluster, Host};
pub use progress::{ProgressLine, progress_line};
pub use verdict::Verdict;

/// Converts a trained CNN into an integer-only fixed-point network with as few bits as possible, within an
/// accuracy bound.
#[derive(Parser)]
#[command(name = "fixedwise", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Quantize(commands::quantize::Arguments),
    Refit(commands::refit::Arguments),
    Evaluate(commands::evaluate::Arguments),
    Export(commands::export::Arguments),
    Inspect(commands::inspect::Arguments),
    Sweep(commands::sweep::Arguments),
    SweepJobs(commands::sweep_jobs::Arguments),
    Generalize(commands::generalize::Arguments),
    Plot(commands::plot::Arguments),
    Report(commands::report::Arguments),
    Serve(commands::serve::Arguments),
}

/// Columns of a line of help at most: longer lines are hard to read.
const HELP_COLUMNS: usize = 100;

impl Cli {
    /// What the words of a command line ask for; the error is the help where they ask for that.
    fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let mut command = Self::command().term_width(terminal::columns().min(HELP_COLUMNS));
        let matches = command.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Why a command line gave nothing.
#[derive(Debug)]
pub enum Failure {
    /// It is none, or asks for help.
    Usage(clap::Error),
    /// What it asks for cannot be done.
    Failed(anyhow::Error),
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs a command line, the name of the program first, on a terminal, and gives the exit code.
pub fn main(words: Vec<OsString>, cluster: Option<&dyn Cluster>) -> u8 {
    match run(words, &Terminal { cluster }) {
        Ok(Verdict::Done) => 0,
        Ok(Verdict::OutOfReach) => 2,
        Err(Failure::Usage(error)) if error.use_stderr() => {
            terminal::refuse(&error.render().to_string());
            // Not the parser's own 2, which here means that a bound is not met.
            1
        }
        Err(Failure::Usage(error)) => {
            // If this fails, there is no other place to report it.
            let _ = error.print();
            0
        }
        Err(Failure::Failed(error)) if terminal::is_broken_pipe(&error) => 0,
        Err(Failure::Failed(error)) => {
            terminal::complain(&error);
            1
        }
    }
}

/// The searches of a file that `sweep-jobs` takes: of each `model` and the options.
///
/// # Errors
/// For a file that cannot be read, and for one that is wrong: its line and key.
pub fn read_jobs(file: &Path) -> anyhow::Result<Vec<Vec<JobOption>>> {
    let jobs = jobs_file::read(file)?;
    Ok(jobs.into_iter().map(|job| job.options).collect())
}

/// What a node has that answers for the search of a command line, which is that of `quantize`.
///
/// # Errors
/// As [`run`].
pub fn worker(words: Vec<OsString>, host: &dyn Host) -> Result<Worker, Failure> {
    let cli = Cli::read(&repeat::arguments(words)?)?;
    match &cli.command {
        Command::Quantize(arguments) => Ok(commands::quantize::worker(arguments, host)?),
        _ => Err(Failure::Failed(anyhow::anyhow!("nodes only measure for `quantize`"))),
    }
}

/// Runs a command line, the name of the program first.
///
/// # Errors
/// [`Failure`] where it is none, and where what it asks for cannot be done.
pub fn run(words: Vec<OsString>, host: &dyn Host) -> Result<Verdict, Failure> {
    let words = repeat::arguments(words)?;
    let cli = Cli::read(&words)?;
    let kept = if host.is_repeatable() { repeat::words(words.clone()) } else { Vec::new() };
    Ok(match &cli.command {
        Command::Quantize(arguments) => commands::quantize::run(arguments, (kept, &words), host),
        Command::Refit(arguments) => commands::refit::run(arguments, kept, host),
        Command::Evaluate(arguments) => commands::evaluate::run(arguments, host),
        Command::Export(arguments) => commands::export::run(arguments, host),
        Command::Inspect(arguments) => commands::inspect::run(arguments, host),
        Command::Sweep(arguments) => commands::sweep::run(arguments, host),
        Command::SweepJobs(arguments) => {
            let jobs = jobs_file::read(&arguments.file)?;
            commands::sweep_jobs::run(arguments, jobs, host)
        }
        Command::Generalize(arguments) => commands::generalize::run(arguments, host),
        Command::Plot(arguments) => commands::plot::run(arguments, host),
        Command::Report(arguments) => commands::report::run(arguments, host),
        Command::Serve(arguments) => commands::serve::run(arguments, host),
    }?)
}
