//! `fixedwise generalize`.

use super::quantize;
use crate::{host::Host, terminal, verdict::Verdict};
use anyhow::Result;
use clap::Args;
use fixedwise::GeneralizeOptions;
use std::path::PathBuf;

const EXAMPLES: &str = "\
EXAMPLES
  Search on the first quarter of the test images, report on all four:
    fixedwise generalize models/fashion_small.onnx --data data/fashion-mnist

  How much of what is saved is chance, by four searches:
    fixedwise generalize models/fashion_small.onnx --data data/fashion-mnist \\
        --seeds 4

  Measure an existing plan on each half:
    fixedwise generalize models/fashion_small.onnx --data data/fashion-mnist \\
        --parts 2 --plan fixedwise-out/plan.toml

EXIT CODES
  0  the bound is met on the part used for the search (with --plan: on every
     part)
  1  error
  2  the bound is not met";

/// Searches on one part of the test images and reports the accuracy on every part, to check whether
/// the bound holds on unseen images.
///
/// The parts are consecutive and of equal size. The options are those of `quantize`; the command writes
/// the same files and generalize.json.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
// The flattened arguments form a group of the usual name.
#[group(id = "generalize")]
#[command(mut_arg("search", |argument| argument.hide(true)))]
#[command(mut_arg("test", |argument| argument.hide(true)))]
#[command(mut_arg("verbose", |argument| argument.hide(true)))]
#[command(mut_arg("report", |argument| argument.hide(true)))]
#[command(mut_arg("live", |argument| argument.hide(true)))]
#[command(mut_arg("port", |argument| argument.hide(true)))]
#[command(mut_arg("ray", |argument| argument.hide(true)))]
// What the part to search on is called here.
#[command(mut_arg("tuning", |argument| argument.long("tuning")))]
#[command(mut_arg("data", |argument| argument
    .help("Images with labels, PATH[:SPLIT][@FROM..TO]: the test split is divided into parts; the \
           first 2,000 images of the train split are used for calibration")
    .long_help(None)))]
pub(crate) struct Arguments {
    /// Number of parts of the test images.
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Parts")]
    parts: usize,
    /// Part to search on, counted from 1.
    #[arg(long, value_name = "K", default_value_t = 1, help_heading = "Parts")]
    tune: usize,
    /// Number of searches, each with the next seed and on the next part: the mean and the standard deviation of what
    /// they save. Files of the later ones go to OUTPUT/seed-N.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Parts")]
    seeds: usize,
    /// Measures this plan on each part instead of searching.
    #[arg(long, value_name = "FILE", help_heading = "Parts")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    quantize: quantize::Arguments,
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let (data, options) = quantize::options(&arguments.quantize, host)?;
    let options = GeneralizeOptions {
        parts: arguments.parts,
        tune: arguments.tune,
        seeds: arguments.seeds,
        plan: arguments.plan.clone(),
        quantize: options,
    };
    let model = &arguments.quantize.network.model;
    let stop = host.stop()?;
    let display = host.watch(arguments.quantize.quiet);
    let found = fixedwise::generalize_observed(model, &data, &options, &*display, &stop);
    drop(display);
    let result = found?.result;
    if arguments.quantize.json {
        host.print(&result.to_json())?;
    } else if !arguments.quantize.quiet {
        let searched = if options.plan.is_none() { Some("plan.toml") } else { None };
        let names = searched.into_iter().chain(["generalize.json"]);
        let written: Vec<PathBuf> =
            names.map(|name| arguments.quantize.output().join(name)).collect();
        let text = result.to_text(&terminal::text_options(false));
        host.print(&(text + &terminal::written(&written)))?;
    }
    Ok(if result.bound_met { Verdict::Done } else { Verdict::OutOfReach })
}
