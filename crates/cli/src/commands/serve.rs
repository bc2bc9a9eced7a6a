//! `fixedwise serve`.

use crate::{
    host::Host,
    server::{Server, Site},
    verdict::Verdict,
};
use anyhow::Result;
use clap::Args;
use fixedwise::{ServedPage, page_of_folder};
use std::{path::PathBuf, sync::Arc};

const EXAMPLES: &str = "\
EXAMPLES
  The last run, or one that goes on, in a browser on this machine:
    fixedwise serve fixedwise-out

  At a port of your choice:
    fixedwise serve fixedwise-out --port 8080";

/// Serves the page of a run on this machine, until Ctrl-C.
///
/// A run that has ended is shown as by `fixedwise report`; of one that goes on, the plans so far appear as its journal
/// has them. The page is for this machine alone: the address that is printed holds a random token, and no other
/// file can be asked for.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Folder of a run, with result.json or journal.jsonl.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Port of the page. Default: a free one.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// A run in a folder.
struct Folder(PathBuf);

impl Site for Folder {
    fn page(&self) -> Result<ServedPage> {
        Ok(page_of_folder(&self.0)?)
    }

    fn stop(&self) -> bool {
        false
    }
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let folder = Folder(arguments.folder.clone());
    // What cannot be shown is told here, not in a browser.
    folder.page()?;
    let server = Server::start(arguments.port, Arc::new(folder))?;
    host.address(server.address());
    host.wait()?;
    Ok(Verdict::Done)
}
