//! `fixedwise sweep`.

use super::quantize::stop_on_interrupt;
use crate::{
    arguments::{self, DataArguments, DirectionName, ModelArguments, QuantizerName, SemanticsName},
    progress::Display,
    terminal,
    verdict::Verdict,
};
use anyhow::Result;
use clap::{Args, ValueEnum};
use fixedwise::{Fracs, Grid, Hold, Kind, MaxLoss, ScoreRule, SweepOptions};
use std::{ops::RangeInclusive, path::PathBuf};

const EXAMPLES: &str = "\
EXAMPLES
  The weights of every layer, each alone, everything else in float:
    fixedwise sweep models/fashion_small.onnx --data data/fashion-mnist --tensor weights

  One layer on 500 images, at the same binary points for every width:
    fixedwise sweep models/fashion_small.onnx --search data/fashion-mnist:test@0..500 \\
        --tensor weights --layer conv2d_2 --bits 1..6 --frac 0..10

  Activations from the last layer back, the best of each held, weights and biases by a plan:
    fixedwise sweep models/fashion_small.onnx --data data/fashion-mnist --tensor activations \\
        --plan fixedwise-out/plan.toml --direction reverse --hold best";

/// Measures every format of a grid, layer by layer: a map of bit width against binary point.
///
/// Writes sweep.json, and plan.toml with --hold best. Ctrl-C keeps what was measured.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    network: ModelArguments,
    /// Images with labels, of which the searched half is measured on, divided as `quantize` does.
    #[arg(long, value_name = "DATA", required_unless_present = "search")]
    data: Option<String>,
    /// Images to measure on: `PATH[:SPLIT][@FROM..TO]`.
    #[arg(long, value_name = "DATA")]
    search: Option<String>,
    /// Images whose ranges are taken; without them and --data the first 2,000 of --search.
    #[arg(long, value_name = "DATA")]
    calibration: Option<String>,
    #[command(flatten)]
    images: DataArguments,
    /// Whose formats are tried.
    #[arg(long, value_name = "KIND", help_heading = "Sweep")]
    tensor: KindName,
    /// The one layer that is swept; `all` for one after the other.
    #[arg(long, value_name = "NAME", default_value = "all", help_heading = "Sweep")]
    layer: String,
    /// Bit widths, both ends included.
    #[arg(long, value_name = "FROM..TO", default_value = "1..8", help_heading = "Sweep")]
    #[arg(value_parser = arguments::span::<u8>)]
    bits: RangeInclusive<u8>,
    /// Binary points, the same at every width; by default those of --around.
    #[arg(long, value_name = "FROM..TO", allow_hyphen_values = true, help_heading = "Sweep")]
    #[arg(value_parser = arguments::span::<i8>, conflicts_with = "around")]
    frac: Option<RangeInclusive<i8>>,
    /// Binary points counted from the finest at which nothing clips, at each width.
    #[arg(long, value_name = "FROM..TO", default_value = "-2..3", help_heading = "Sweep")]
    #[arg(value_parser = arguments::span::<i8>, allow_hyphen_values = true)]
    around: RangeInclusive<i8>,
    /// The way through the layers.
    #[arg(long, value_name = "WAY", default_value = "forward", help_heading = "Sweep")]
    direction: DirectionName,
    /// Whether the best point of a layer is held while the walk goes on.
    #[arg(long, value_name = "WHAT", default_value = "none", help_heading = "Sweep")]
    hold: HoldName,
    /// How points are compared; the fewest bits within --tolerance are held.
    #[arg(long, value_name = "RULE", default_value = "ratio", help_heading = "Sweep")]
    score: ScoreName,
    /// Loss that is allowed once the last layer is held; it grows linearly up to there.
    #[arg(long, value_name = "PERCENT", default_value = "1%", help_heading = "Sweep")]
    #[arg(value_parser = percent)]
    tolerance: f64,
    /// A plan that all other tensors are held by; without one they are float (in integer semantics
    /// 12 bits wide).
    #[arg(long, value_name = "FILE", help_heading = "Sweep")]
    plan: Option<PathBuf>,
    /// What is computed; by default what the plan says, `simulated` without one.
    #[arg(long, value_name = "NAME", help_heading = "Sweep")]
    semantics: Option<SemanticsName>,
    /// What formats are applied to; by default what the plan says, `uniform` without one.
    #[arg(long, value_name = "NAME", help_heading = "Sweep")]
    quantizer: Option<QuantizerName>,
    /// Of the division of --data.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Sweep")]
    seed: u64,
    /// Memory for values that are kept to spare work.
    #[arg(long, value_name = "BYTES", default_value = "768M", value_parser = arguments::bytes)]
    #[arg(help_heading = "Sweep")]
    cache: usize,
    /// Folder for sweep.json.
    #[arg(short, long, value_name = "DIR", default_value = "fixedwise-sweep")]
    #[arg(help_heading = "Output")]
    output: PathBuf,
    /// Prints sweep.json instead of maps.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Prints neither progress nor maps.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindName {
    /// Kernels of convolutions and dense layers.
    Weights,
    /// Their biases.
    Biases,
    /// Their results.
    Activations,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HoldName {
    /// Each layer is swept alone.
    None,
    /// The best point of a layer stays.
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
        _ => Err("give percent: 1%".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    let mut data = arguments.images.options()?;
    data.data = arguments::source(arguments.data.as_deref())?;
    data.search = arguments::source(arguments.search.as_deref())?;
    data.calibration = arguments::source(arguments.calibration.as_deref())?;
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
    };
    let stop = stop_on_interrupt()?;
    let display = Display::new(arguments.quiet);
    let observer = |progress: &fixedwise::Progress| display.show(progress);
    let model = &arguments.network.model;
    let result = fixedwise::sweep_observed(model, &data, &options, &observer, stop);
    display.finish();
    let result = result?;
    if arguments.json {
        terminal::print(&result.to_json())?;
    } else if !arguments.quiet {
        let folder = arguments.output.display();
        let plan =
            if options.hold.is_some() { format!(", {folder}/plan.toml") } else { String::new() };
        let text = result.to_text(terminal::has_color());
        terminal::print(&format!("{text}written: {folder}/sweep.json{plan}\n"))?;
    }
    Ok(Verdict::Done)
}
