//! `fixedwise sweep`.

use crate::{
    arguments::{self, DataArguments, DirectionName, ModelArguments, QuantizerName, SemanticsName},
    host::{self, Host},
    terminal,
    verdict::Verdict,
};
use anyhow::Result;
use clap::{Args, ValueEnum};
use fixedwise::{Fracs, Grid, Hold, Kind, MaxLoss, ScoreRule, SweepOptions};
use std::{ops::RangeInclusive, path::PathBuf};

const EXAMPLES: &str = "\
EXAMPLES
  The weights of each layer alone, everything else in float:
    fixedwise sweep models/fashion_small.onnx --data data/fashion-mnist \\
        --tensor weights

  One layer on 500 images, with the same binary points for every bit width:
    fixedwise sweep models/fashion_small.onnx \\
        --search data/fashion-mnist:test@0..500 --tensor weights \\
        --layer conv2d_2 --bits 1..6 --frac 0..10

  Activations from the last layer to the first, the best format of each is kept,
  weights and biases from a plan:
    fixedwise sweep models/fashion_small.onnx --data data/fashion-mnist \\
        --tensor activations --plan fixedwise-out/plan.toml \\
        --direction reverse --hold best";

/// Measures a grid of bit widths and binary points, layer by layer.
///
/// Writes sweep.json, and plan.toml with --hold best. Ctrl-C ends the sweep and keeps the measurements.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: ModelArguments,
    /// Images with labels, divided as by `quantize`; the sweep uses the search set.
    #[arg(long, value_name = "DATA", required_unless_present = "search")]
    data: Option<String>,
    /// Images to measure on: `PATH[:SPLIT][@FROM..TO]`.
    #[arg(long, value_name = "DATA")]
    search: Option<String>,
    /// Calibration images for the value ranges; default without --data: the first 2,000 of --search.
    #[arg(long, value_name = "DATA")]
    calibration: Option<String>,
    #[command(flatten)]
    images: DataArguments,
    /// Tensor kind to sweep.
    #[arg(long, value_name = "KIND", help_heading = "Sweep")]
    tensor: KindName,
    /// Layer to sweep; `all`: one after the other.
    #[arg(long, value_name = "NAME", default_value = "all", help_heading = "Sweep")]
    layer: String,
    /// Bit widths, both ends included.
    #[arg(long, value_name = "FROM..TO", default_value = "1..8", help_heading = "Sweep")]
    #[arg(value_parser = arguments::span::<u8>)]
    bits: RangeInclusive<u8>,
    /// Binary points, the same for every bit width; default: see --around.
    #[arg(long, value_name = "FROM..TO", allow_hyphen_values = true, help_heading = "Sweep")]
    #[arg(value_parser = arguments::span::<i8>, conflicts_with = "around")]
    frac: Option<RangeInclusive<i8>>,
    /// Binary points for each bit width, relative to the finest one without clipping.
    #[arg(long, value_name = "FROM..TO", default_value = "-2..3", help_heading = "Sweep")]
    #[arg(value_parser = arguments::span::<i8>, allow_hyphen_values = true)]
    around: RangeInclusive<i8>,
    /// Direction through the layers.
    #[arg(long, value_name = "WAY", default_value = "forward", help_heading = "Sweep")]
    direction: DirectionName,
    /// Keeps the best format of a layer for the rest of the sweep, or not.
    #[arg(long, value_name = "WHAT", default_value = "none", help_heading = "Sweep")]
    hold: HoldName,
    /// Criterion of --hold best; it keeps the format with the fewest bits within --tolerance.
    #[arg(long, value_name = "RULE", default_value = "ratio", help_heading = "Sweep")]
    score: ScoreName,
    /// Allowed loss at the last layer; it grows linearly from the first layer.
    #[arg(long, value_name = "PERCENT", default_value = "1%", help_heading = "Sweep")]
    #[arg(value_parser = percent)]
    tolerance: f64,
    /// Plan with the formats of all other tensors; without it they are float (12 bits with integer
    /// semantics).
    #[arg(long, value_name = "FILE", help_heading = "Sweep")]
    plan: Option<PathBuf>,
    /// Semantics; default: those of the plan, `simulated` without a plan.
    #[arg(long, value_name = "NAME", help_heading = "Sweep")]
    semantics: Option<SemanticsName>,
    /// Quantizer; default: that of the plan, `uniform` without a plan.
    #[arg(long, value_name = "NAME", help_heading = "Sweep")]
    quantizer: Option<QuantizerName>,
    /// Random seed for the division of --data.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Sweep")]
    seed: u64,
    /// Memory for cached values.
    #[arg(long, value_name = "BYTES", default_value = "768MiB", value_parser = arguments::bytes)]
    #[arg(help_heading = "Sweep")]
    cache: usize,
    /// Folder for sweep.json.
    #[arg(short, long = "out", value_name = "DIR", default_value = "fixedwise-sweep")]
    #[arg(help_heading = "Output")]
    output: PathBuf,
    /// Prints sweep.json instead of tables.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Does not print progress or tables.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindName {
    /// Weights of convolutions and dense layers.
    Weights,
    /// Biases of the same layers.
    Biases,
    /// Outputs of the same layers.
    Activations,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HoldName {
    /// Sweeps each layer alone.
    None,
    /// Keeps the best format of each layer.
    Best,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScoreName {
    /// Float accuracy minus accuracy, at most the tolerance.
    Drop,
    /// Accuracy divided by float accuracy, at least one minus the tolerance.
    Ratio,
    /// Accuracy, at least that of the layer's best point minus the tolerance.
    Accuracy,
}

/// `1%`.
fn percent(text: &str) -> Result<f64, String> {
    match arguments::max_loss(text) {
        Ok(MaxLoss::Relative(fraction)) => Ok(fraction),
        _ => Err("expected percent, for example 1%".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments, host: &dyn Host) -> Result<Verdict> {
    let mut data = arguments.images.options()?;
    data.data = host::source(host, arguments.data.as_deref())?;
    data.search = host::source(host, arguments.search.as_deref())?;
    host::calibrate_on(host, &mut data, arguments.calibration.as_deref())?;
    let options = SweepOptions {
        kind: match arguments.tensor {
            KindName::Weights => Kind::Weights,
            KindName::Biases => Kind::Biases,
            KindName::Activations => Kind::Activations,
        },
        layer: Some(arguments.layer.clone()).filter(|layer| layer != "all"),
        direction: arguments.direction.into(),
        grid: Grid {
            bits: arguments.bits.clone(),
            fracs: match &arguments.frac {
                Some(fracs) => Fracs::Absolute(fracs.clone()),
                None => Fracs::FromNoClip(arguments.around.clone()),
            },
        },
        hold: (arguments.hold == HoldName::Best).then_some(Hold {
            rule: match arguments.score {
                ScoreName::Drop => ScoreRule::Drop,
                ScoreName::Ratio => ScoreRule::Ratio,
                ScoreName::Accuracy => ScoreRule::Accuracy,
            },
            tolerance: arguments.tolerance,
        }),
        plan: arguments.plan.clone(),
        semantics: arguments.semantics.map(Into::into),
        quantizer: arguments.quantizer.map(Into::into),
        seed: arguments.seed,
        threads: arguments.images.threads(),
        cache_bytes: arguments.cache,
        output: Some(arguments.output.clone()),
        architecture: arguments.network.architecture.clone(),
        interface: arguments.network.interface(),
    };
    let stop = host.stop()?;
    let display = host.watch(arguments.quiet);
    let model = &arguments.network.model;
    let result = fixedwise::sweep_observed(model, &data, &options, &*display, &stop);
    drop(display);
    let result = result?;
    if arguments.json {
        host.print(&result.to_json())?;
    } else if !arguments.quiet {
        let mut names = vec!["sweep.json"];
        names.extend(options.hold.map(|_| "plan.toml"));
        let written: Vec<PathBuf> =
            names.into_iter().map(|name| arguments.output.join(name)).collect();
        let text = result.to_text(&terminal::text_options(false));
        host.print(&(text + &terminal::written(&written)))?;
    }
    Ok(Verdict::Done)
}
