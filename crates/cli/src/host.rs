//! Where a command runs: what gives it images in memory, and whom it tells what it does.

use anyhow::Result;
use fixedwise::{DataOptions, DataSource, Nodes, Observer};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

/// Who runs a command: a terminal, or a program that has it as a library.
pub trait Host: Sync {
    /// Images in memory that an argument names; nothing where it names files.
    fn images(&self, argument: &str) -> Option<DataSource>;

    /// Whether the same words ask for the same again: all that they name are files that stay.
    fn is_repeatable(&self) -> bool;

    /// Who is told how far a job is, until it is dropped.
    fn watch(&self, is_quiet: bool) -> Box<dyn Observer + '_>;

    /// Takes the result of a command.
    ///
    /// # Errors
    /// Where nobody takes it any more.
    fn print(&self, text: &str) -> Result<()>;

    /// Takes a remark.
    fn note(&self, text: &str);

    /// A flag that ends a job with the best so far.
    ///
    /// # Errors
    /// Where nothing could raise it.
    fn stop(&self) -> Result<Arc<AtomicBool>>;

    /// Waits until somebody wants the end.
    ///
    /// # Errors
    /// Where nobody could.
    fn wait(&self) -> Result<()>;

    /// What runs searches on other machines, where there is something.
    fn cluster(&self) -> Option<&dyn Cluster>;

    /// What measures images beside this machine, where there is something.
    fn nodes(&self) -> Option<&dyn Nodes>;

    /// Takes the address of a page that is served from now on.
    fn address(&self, url: &str);
}

/// Runs searches on other machines, or parts of them.
pub trait Cluster: Sync {
    /// Runs the searches of a file on the cluster at an address, and writes each into its folder; what each failed of.
    ///
    /// # Errors
    /// Where there is no such cluster.
    fn run(&self, file: &Path, address: &str, folders: &[PathBuf]) -> Result<Vec<Option<String>>>;

    /// The nodes of the cluster at an address, for the search that a command line asks for; they answer with what
    /// [`worker`](crate::worker) makes of the same words.
    ///
    /// # Errors
    /// Where there is no such cluster.
    fn nodes(&self, words: &[OsString], address: &str) -> Result<Box<dyn Nodes>>;
}

/// `PATH[:SPLIT][@FROM..TO]`, or images in memory, where they are given.
pub(crate) fn source(host: &dyn Host, text: Option<&str>) -> Result<Option<DataSource>> {
    let read = |text: &str| match host.images(text) {
        Some(images) => Ok(images),
        None => text.parse(),
    };
    Ok(text.map(read).transpose()?)
}

/// Images to calibrate on, or `model`: the ranges that the model's file states.
pub(crate) fn calibrate_on(
    host: &dyn Host,
    data: &mut DataOptions,
    text: Option<&str>,
) -> Result<()> {
    data.stated_ranges = text == Some("model");
    data.calibration = source(host, text.filter(|_| !data.stated_ranges))?;
    Ok(())
}
