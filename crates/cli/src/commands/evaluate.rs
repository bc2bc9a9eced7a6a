//! `fixedwise evaluate`.

use crate::{
    arguments::{self, DataArguments, MetricArguments, ModelArguments, SemanticsName},
    host::{self, Host},
    terminal,
    verdict::Verdict,
};
use anyhow::Result;
use clap::Args;
use fixedwise::{ClassBound, EvaluateOptions};
use std::path::PathBuf;

const EXAMPLES: &str = "\
EXAMPLES
  A plan that `fixedwise quantize` wrote, perhaps edited:
    fixedwise evaluate models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml --test data/fashion-mnist:test

  A plan in the notation of the paper, {\"weights\": {\"conv2d_1\": [BW, F], ...},
  \"biases\": {...}, \"activations\": {...}}, with the semantics of the paper:
    fixedwise evaluate models/fashion_small.onnx --plan plan.json \\
        --semantics simulated --test data/fashion-mnist:test --json

  A plan with other bit widths, its weights rounded anew for them (`fixedwise
  refit` also writes the new plan):
    fixedwise evaluate models/fashion_small.onnx --plan fixedwise-out/plan.toml \\
        --refit --test data/fashion-mnist:test

  The mean IoU and the pixel accuracy of a plan for a network that labels
  places:
    fixedwise evaluate segmenter.onnx --plan fixedwise-out/plan.toml \\
        --test masks.npz --metric miou

  Memory on another device, and a check of its rules:
    fixedwise evaluate models/fashion_small.onnx \\
        --plan fixedwise-out/plan.toml --target cortex-m0 \\
        --test data/fashion-mnist:test";

/// Measures the accuracy and the costs of a plan: memory, bit products, flash and RAM.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: ModelArguments,
    /// A plan.toml, a result.json, or a JSON plan in the notation of the paper.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// Images with labels: `PATH[:SPLIT][@FROM..TO]`. PATH is an .npz or .mat file, a folder of IDX
    /// (MNIST), CIFAR or SVHN files, a folder of images by class, or a .csv with `path,label`.
    #[arg(long, value_name = "DATA")]
    test: String,
    /// Rounds the weights anew for the bit widths of the plan before it is measured, as `refit` does.
    #[arg(long)]
    refit: bool,
    /// With --refit: images that the weights are rounded for; default: the first 2,000 of the train split of
    /// --test.
    #[arg(long, value_name = "DATA", requires = "refit")]
    calibration: Option<String>,
    /// With --refit: random seed of the search.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    images: DataArguments,
    #[command(flatten)]
    metric: MetricArguments,
    /// Your own command to measure the quality of the outputs, as for `quantize`.
    #[arg(long, value_name = "COMMAND", help_heading = "Data", conflicts_with = "metric")]
    metric_command: Option<String>,
    /// Semantics; default: those of the plan, `simulated` for a JSON plan of the paper.
    #[arg(long, value_name = "NAME")]
    semantics: Option<SemanticsName>,
    /// Target device, as for `quantize`; default: the target of the plan.
    #[arg(long, value_name = "NAME|FILE")]
    target: Option<String>,
    /// Loss of recall that every class is held against, as for `quantize`; exit code 2 where one loses more.
    #[arg(long, value_name = "LOSS", value_parser = arguments::class_loss)]
    max_class_loss: Option<ClassBound>,
    /// Prints the result as JSON, with the keys of result.json.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Also prints the paper's count of bit products: weight bits x output bits.
    #[arg(long, short, help_heading = "Output")]
    verbose: bool,
    /// Does not print progress.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let mut data = arguments.images.options()?;
    (data.metric, data.peak) = (arguments.metric.metric, arguments.metric.peak);
    data.test = host::source(host, Some(&arguments.test))?;
    host::calibrate_on(host, &mut data, arguments.calibration.as_deref())?;
    let mut target = arguments.target.as_deref().map(fixedwise::read_target).transpose()?;
    // The kernels that the plan was made with.
    if let (Some(target), Some(kernels)) = (&mut target, fixedwise::plan_kernels(&arguments.plan)?)
    {
        target.kernels = kernels;
    }
    let options = EvaluateOptions {
        refit: arguments.refit,
        seed: arguments.seed,
        semantics: arguments.semantics.map(Into::into),
        target,
        threads: arguments.images.threads(),
        architecture: arguments.network.architecture.clone(),
        interface: arguments.network.interface(),
        max_class_loss: arguments.max_class_loss,
        metric_command: arguments.metric_command.clone(),
    };
    let display = host.watch(arguments.quiet);
    let result =
        fixedwise::evaluate(&arguments.network.model, &arguments.plan, &data, &options, &*display);
    drop(display);
    let result = result?;
    // Simulated semantics have no target.
    if let (false, None, Some(counted)) = (arguments.quiet, &arguments.target, &result.target)
        && let Some(named) = fixedwise::plan_target(&arguments.plan)?
        && *counted != named
    {
        host.note(&format!(
            "! The plan is for target `{named}`, which is not built in: without --target its rules are not \
             checked, and memory is counted as for {counted}."
        ));
    }
    host.print(&if arguments.json {
        result.to_json()
    } else {
        fixedwise::summary(&result, &terminal::text_options(arguments.verbose))
    })?;
    Ok(if result.bound_met && result.fits() { Verdict::Done } else { Verdict::OutOfReach })
}
