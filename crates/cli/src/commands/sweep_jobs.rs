//! `fixedwise sweep-jobs`.

use super::{quantize, report};
use crate::{host::Host, terminal, verdict::Verdict};
use anyhow::{Result, bail};
use clap::Args;
use fixedwise::{JobResult, RunResult, Shown, jobs_json, jobs_text, write_file};
use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

const EXAMPLES: &str = "\
EXAMPLES
  A file with six searches, jobs.toml: every combination of the grid, with what
  is shared, and single ones below. Names are the options of `quantize`.
    [shared]
    data = \"data/fashion-mnist\"
    [grid]
    model = [\"models/fashion_small.onnx\"]
    max-loss = [\"0.5%\", \"1%\"]
    target = [\"cortex-m4\", \"cortex-m55\"]
    [[job]]
    model = \"models/fashion_small.onnx\"
    strategy = \"joint\"
    [[job]]
    model = \"models/fashion_small.onnx\"
    max-loss = \"2%\"
    seed = 7

  One after the other, or two side by side:
    fixedwise sweep-jobs jobs.toml
    fixedwise sweep-jobs jobs.toml --jobs 2

  On the cluster of Ray that this machine is part of (with the Python package):
    fixedwise sweep-jobs jobs.toml --ray auto

EXIT CODES
  0  every search meets its loss bound and its memory budgets
  1  error, or a search that failed; the others are written
  2  a bound or a budget is not met; the best plans are written";

/// Runs the searches of a file: a table comes out, and a report with all of them side by side.
///
/// Each search writes its files into a folder of its own, OUT/1 and so on, jobs.json has the table, report.html the
/// report. A search that fails is told, and the others go on. Every result is that of the same search alone. Ctrl-C
/// ends the searches that run with their best plans so far.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The file: TOML with [shared], [grid] and [[job]]. Paths in it are as on the command line.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Searches that run side by side; they share the cores of this machine.
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Runs the searches on a cluster of Ray: auto for the one that this machine is part of, or its address. Needs the
    /// Python package, `pip install 'fixedwise[ray]'`; every node must see the files by the same paths.
    #[arg(long, value_name = "auto|ADDRESS", conflicts_with = "jobs")]
    ray: Option<String>,
    /// Output folder.
    #[arg(short, long = "out", value_name = "DIR", default_value = "fixedwise-jobs")]
    #[arg(help_heading = "Output")]
    output: PathBuf,
    /// Prints jobs.json instead of a table.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Does not print progress or table.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// An option of a search with its values; none where it is a flag.
pub type JobOption = (String, Vec<String>);

/// A search of several.
pub(crate) struct Search {
    /// `model` and options of `quantize`, in the order of the file.
    pub(crate) options: Vec<JobOption>,
    /// The same as its command line asks for it.
    pub(crate) arguments: quantize::Arguments,
    /// What that is for whoever repeats it.
    pub(crate) words: Vec<String>,
}

pub(crate) fn run(
    arguments: &Arguments,
    mut jobs: Vec<Search>,
    host: &dyn Host,
) -> Result<Verdict> {
    let folders: Vec<PathBuf> =
        (1..=jobs.len()).map(|place| arguments.output.join(place.to_string())).collect();
    let failures = match (&arguments.ray, host.cluster()) {
        (None, _) => here(arguments, &mut jobs, &folders, host)?,
        (Some(address), Some(cluster)) => cluster.run(&arguments.file, address, &folders)?,
        (Some(_), None) => bail!(
            "--ray: this program runs searches on its own machine; the command of the Python package runs them on a \
             cluster: pip install 'fixedwise[ray]'"
        ),
    };
    let varied = varied(&jobs);
    let mut results = Vec::new();
    for (((job, options), folder), failure) in jobs.iter().zip(varied).zip(&folders).zip(failures) {
        let found = match failure {
            Some(failure) => Err(failure),
            None => RunResult::read(&folder.join("result.json")).map_err(|error| error.to_string()),
        };
        let model = job.arguments.network.model.display().to_string();
        results.push(JobResult { model, options, folder: folder.display().to_string(), found });
    }
    finish(arguments, &results, host)
}

/// The options in which searches differ, as they stand in the file.
fn varied(jobs: &[Search]) -> Vec<Vec<(String, String)>> {
    let values = |job: &Search, name: &str| {
        job.options.iter().find(|(known, _)| known == name).map(|(_, values)| values.clone())
    };
    let is_varied = |name: &str| jobs.iter().any(|job| values(job, name) != values(&jobs[0], name));
    let of = |job: &Search| {
        let own = job.options.iter().filter(|(name, _)| is_varied(name));
        own.map(|(name, values)| (name.clone(), values.join(","))).collect()
    };
    jobs.iter().map(of).collect()
}

/// Runs searches on this machine; what each failed of.
fn here(
    arguments: &Arguments,
    jobs: &mut [Search],
    folders: &[PathBuf],
    host: &dyn Host,
) -> Result<Vec<Option<String>>> {
    let stop = host.stop()?;
    let n = arguments.jobs.get().min(jobs.len());
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    // Of several at a time, each has its part of the cores, and none a line of progress.
    let threads = (n > 1).then(|| u16::try_from((cores / n).max(1)).unwrap_or(u16::MAX));
    for (job, folder) in jobs.iter_mut().zip(folders) {
        job.arguments.write_quietly(folder, threads);
    }
    let jobs = &*jobs;
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(vec![None; jobs.len()]);
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(place) else { break };
            let told = |text: &str| {
                if !arguments.quiet {
                    host.note(&format!("search {} of {}: {text}", place + 1, jobs.len()));
                }
            };
            let failure = if stop.load(Ordering::Relaxed) {
                Some("stopped before it began".to_owned())
            } else {
                told("begins");
                let display = host.watch(arguments.quiet || n > 1);
                let words = job.words.clone();
                let done = quantize::search(&job.arguments, words, (&*display, &stop), host);
                drop(display);
                done.err().map(|error| format!("{error:#}"))
            };
            if let Some(failure) = &failure {
                told(failure);
            }
            failures.lock().unwrap_or_else(PoisonError::into_inner)[place] = failure;
        }
    };
    thread::scope(|scope| (0..n).for_each(|_| drop(scope.spawn(work))));
    Ok(failures.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Writes and prints what came out.
fn finish(arguments: &Arguments, results: &[JobResult], host: &dyn Host) -> Result<Verdict> {
    std::fs::create_dir_all(&arguments.output)?;
    let json = arguments.output.join("jobs.json");
    write_file(&json, jobs_json(results).as_bytes())?;
    let mut written = vec![json];
    let found: Vec<Shown> = results
        .iter()
        .filter_map(|job| {
            let result = job.found.as_ref().ok()?;
            Some(Shown { label: &job.folder, is_folder: true, result })
        })
        .collect();
    if !found.is_empty() {
        let page = arguments.output.join(report::FILE);
        report::write(&found, &page)?;
        written.push(page);
    }
    if arguments.json {
        host.print(&jobs_json(results))?;
    } else if !arguments.quiet {
        let text = jobs_text(results, &terminal::text_options(false));
        host.print(&(text + &terminal::written(&written)))?;
    }
    let failed = results.len() - found.len();
    if failed > 0 {
        bail!("{failed} of {} searches failed; jobs.json says why", results.len());
    }
    let is_met = found.iter().all(|shown| shown.result.bound_met && shown.result.fits());
    Ok(if is_met { Verdict::Done } else { Verdict::OutOfReach })
}
