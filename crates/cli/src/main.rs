//! The command `fixedwise`: arguments, progress, exit codes; no logic.
#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod progress;
mod repeat;
mod search_arguments;
mod terminal;
mod verdict;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::{ffi::OsString, process::ExitCode};
use verdict::Verdict;

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
    Generalize(commands::generalize::Arguments),
    Plot(commands::plot::Arguments),
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

fn main() -> ExitCode {
    let parsed = repeat::arguments().and_then(|words| {
        let cli = Cli::read(&words)?;
        Ok((cli, words))
    });
    let (cli, words) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            if error.use_stderr() {
                terminal::refuse(&error.render().to_string());
                // Not the parser's own 2, which here means that a bound is not met.
                return ExitCode::from(1);
            }
            // If this fails, there is no other place to report it.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    let result = match &cli.command {
        Command::Quantize(arguments) => commands::quantize::run(arguments, repeat::words(words)),
        Command::Refit(arguments) => commands::refit::run(arguments, repeat::words(words)),
        Command::Evaluate(arguments) => commands::evaluate::run(arguments),
        Command::Export(arguments) => commands::export::run(arguments),
        Command::Inspect(arguments) => commands::inspect::run(arguments),
        Command::Sweep(arguments) => commands::sweep::run(arguments),
        Command::Generalize(arguments) => commands::generalize::run(arguments),
        Command::Plot(arguments) => commands::plot::run(arguments),
    };
    match result {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::OutOfReach) => ExitCode::from(2),
        Err(error) if terminal::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&error);
            ExitCode::from(1)
        }
    }
}
