//! `fixedwise report`.

use crate::{host::Host, terminal, verdict::Verdict};
use anyhow::Result;
use clap::Args;
use fixedwise::{RunResult, Shown};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
EXAMPLES
  A page of the last run, fixedwise-out/report.html:
    fixedwise report fixedwise-out

  Two runs side by side:
    fixedwise report tight --compare loose -o both.html";

/// Writes a run as one HTML page: results, network, layers, measured plans, classes, memory.
///
/// The page needs no network and no other file, and runs no script but its own. Tables sort; a plan of the search shows
/// its bit widths and the command that makes it.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Folder of a run, with result.json.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Folders of other runs, to set beside it.
    #[arg(long, value_name = "DIR")]
    compare: Vec<PathBuf>,
    /// Output file; default: report.html in DIR.
    #[arg(short, long = "out", value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Prints nothing.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// What the page of a run in a folder is called.
pub(crate) const FILE: &str = "report.html";

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let folders: Vec<&PathBuf> =
        std::iter::once(&arguments.folder).chain(&arguments.compare).collect();
    let read = |folder: &&PathBuf| RunResult::read(&folder.join("result.json"));
    let results: Vec<RunResult> = folders.iter().map(read).collect::<Result<_, _>>()?;
    let labels: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let output = arguments.output.clone().unwrap_or_else(|| arguments.folder.join(FILE));
    let shown = labels.iter().zip(&results);
    let shown = shown.map(|(label, result)| Shown { label, is_folder: true, result });
    let runs: Vec<Shown> = shown.collect();
    write(&runs, &output)?;
    if !arguments.quiet {
        host.print(&terminal::written(&[output]))?;
    }
    Ok(Verdict::Done)
}

/// Writes the page of runs.
pub(crate) fn write(runs: &[Shown], output: &Path) -> Result<()> {
    Ok(fixedwise::write_file(output, fixedwise::page(runs)?.as_bytes())?)
}
