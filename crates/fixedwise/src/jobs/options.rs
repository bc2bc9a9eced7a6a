//! What a run is asked for, and what goes with what.

use super::keep::Keep;
use crate::error::Error;
use fixedwise_graph::{Interface, Quantizer, Semantics, Target};
use fixedwise_search::{
    ClassBound, EvaluatorOptions, MaxLoss, MetricName, Offset, Tuning, Unit,
    strategies::{Objective, SearchOptions},
};
use std::{path::PathBuf, time::Duration};

/// How a plan is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Widths of all tensors at once along the front of cost against divergence, weights rounded with
    /// error feedback, each answer certified.
    Pareto,
    /// The paper's final method: kind after kind, layer after layer, bits and binary point together.
    Joint,
    /// Kind after kind, each alone, layer after layer; the layers before keep their formats.
    LayerDependent,
    /// Each tensor with all others unquantized.
    LayerIndependent,
    /// Every format of a grid, tensor after tensor, the best held: 1 to 8 bits, around the binary
    /// point at which nothing clips.
    BruteForce,
    /// One width for everything.
    Fixed {
        /// Of weights, biases and activations; unsigned activations have at most 15.
        bits: u8,
    },
}

impl Strategy {
    /// `pareto`, `joint`, `layer-dependent`, `layer-independent`, `brute-force` or `fixed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pareto => "pareto",
            Self::Joint => "joint",
            Self::LayerDependent => "layer-dependent",
            Self::LayerIndependent => "layer-independent",
            Self::BruteForce => "brute-force",
            Self::Fixed { .. } => "fixed",
        }
    }

    /// Whether it walks from layer to layer as [`SearchOptions`] say.
    pub(crate) const fn is_layerwise(self) -> bool {
        matches!(self, Self::Joint | Self::LayerDependent | Self::LayerIndependent)
    }
}

/// How long the best plan of `pareto` is tuned on images without labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tune {
    /// Not at all.
    #[default]
    None,
    /// About as long as everything before took, at least half a minute.
    Auto,
    /// That long.
    For(Duration),
    /// So many steps, each on 64 images: the answer does not depend on the speed of the machine.
    Steps(usize),
}

/// What [`quantize`](crate::quantize()) is asked for, beside the model and the data.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizeOptions {
    /// The loss that is allowed, on the search images.
    pub max_loss: MaxLoss,
    /// The loss of recall that is allowed in every class, too; of classes with enough images to be judged.
    pub max_class_loss: Option<ClassBound>,
    /// With what probability the bound must hold on images that the search never saw, by `pareto`;
    /// without, its plan keeps a distance from the bound that holds 19 times in 20 on as many images as
    /// it searched with.
    pub confidence: Option<f64>,
    /// How the plan is chosen.
    pub strategy: Strategy,
    /// How the layers are walked, by every strategy but `brute-force` and `fixed`.
    pub search: SearchOptions,
    /// A plan, or the result of another run, whose formats such a walk starts from.
    pub start: Option<PathBuf>,
    /// What such a walk makes small; [`SearchOptions::of`] has the way that goes with it.
    pub objective: Objective,
    /// What the plan is for: its rules are obeyed, and its memory is what is counted. By default no
    /// rule beyond the specification's, and the memory of [`Target::default`].
    pub target: Option<Target>,
    /// Bytes of constants that the plan may take; by default what the target has.
    pub max_flash: Option<u64>,
    /// Bytes of working memory that the plan may take; by default what the target has.
    pub max_ram: Option<u64>,
    /// Whether `pareto` takes output channels out that layers can do without, and lets the layers behind make up for them.
    pub drop_channels: bool,
    /// Widths that are given: `pareto` searches the others.
    pub keep: Vec<Keep>,
    /// Where binary points start, or are (`fixed`). By default nothing clips at the start; and `fixed` rounds integer
    /// networks as `pareto` does: channels balanced, weights with error feedback.
    pub range: Option<Offset>,
    /// What the formats mean.
    pub semantics: Semantics,
    /// What the formats are applied to; the square root in simulated semantics only.
    pub quantizer: Quantizer,
    /// Of every random choice: which half of a split searches and which tests.
    pub seed: u64,
    /// Threads; by default as many as the machine has.
    pub threads: Option<usize>,
    /// Bytes of values that are kept to spare work.
    pub cache_bytes: usize,
    /// After this time the search ends with the best so far.
    pub time_budget: Option<Duration>,
    /// How long the best plan is tuned without labels, by `pareto`.
    pub tune: Tune,
    /// Where `plan.toml`, `result.json` and `journal.jsonl` go; nowhere by default.
    pub output: Option<PathBuf>,
    /// Whether a journal that lies there spares this run what an earlier one has measured.
    pub resume: bool,
    /// What a model of weights alone is the weights of; see [`Model::load_with`](crate::Model::load_with).
    pub architecture: Option<PathBuf>,
    /// Extents of an input whose file leaves some open, and the values that are the outputs.
    pub interface: Interface,
    /// The folder of an earlier run of `pareto` on the same network and images: what it measured is not
    /// measured again, whatever the bound, the objective or the budgets are now.
    pub from: Option<PathBuf>,
    /// A command that says how good outputs are, with [`MaxLoss::Metric`]: it is run by the shell with files as
    /// arguments, one for each output as `float32` `[image, ...]` with the axes and the order of the model's file,
    /// the last the places of their images in the data set as `int64`, all `.npy`, and prints a number, greater
    /// for better ones.
    pub metric_command: Option<String>,
    /// The constants of `pareto`, of calibration and of rounding.
    pub tuning: Tuning,
    /// What goes into [`RunResult::command`](crate::RunResult::command).
    pub command: Vec<String>,
}

impl QuantizeOptions {
    /// How the first binary point of a tensor is chosen, where that is not said.
    pub(crate) fn offset(&self) -> Offset {
        self.range.unwrap_or(Offset::NoClip)
    }

    /// The file that says what the network of this run is fed too: the result of the run that it goes on
    /// from, or the plan that it starts from.
    pub(crate) fn earlier_plan(&self) -> Option<PathBuf> {
        let result = self.from.as_ref().map(|folder| folder.join("result.json"));
        result.or_else(|| self.start.clone())
    }
}

impl Default for QuantizeOptions {
    /// One percent of relative loss, the search along the front, integers, 768 MiB.
    fn default() -> Self {
        Self {
            max_loss: MaxLoss::default(),
            max_class_loss: None,
            confidence: None,
            strategy: Strategy::Pareto,
            search: SearchOptions::default(),
            start: None,
            objective: Objective::Memory,
            target: None,
            max_flash: None,
            max_ram: None,
            keep: Vec::new(),
            range: None,
            semantics: Semantics::Integer,
            quantizer: Quantizer::Uniform,
            seed: 0,
            threads: None,
            cache_bytes: EvaluatorOptions::default().cache_bytes,
            time_budget: None,
            tune: Tune::None,
            drop_channels: true,
            output: None,
            resume: false,
            architecture: None,
            interface: Interface::default(),
            from: None,
            metric_command: None,
            tuning: Tuning::default(),
            command: Vec::new(),
        }
    }
}

/// The bound by what counts.
pub(crate) fn bound(
    options: &QuantizeOptions,
    metric: Option<MetricName>,
) -> Result<MaxLoss, Error> {
    let refuse = |option, problem: String| Err(Error::Option { option, problem });
    let max_loss = options.max_loss;
    if options.metric_command.is_some() || matches!(max_loss, MaxLoss::Sqnr(_)) {
        return Ok(max_loss);
    }
    let name = metric.map_or("agreement", MetricName::name);
    match (metric, max_loss) {
        (Some(MetricName::Sqnr), _) => {
            refuse("metric", "is sqnr, whose bound is `min-sqnr`, for example 30".to_owned())
        }
        (Some(MetricName::Psnr), MaxLoss::Metric { .. }) => Ok(max_loss),
        (_, MaxLoss::Metric { unit: Unit::Decibels, .. }) => refuse(
            "max-loss",
            format!("is in dB, as only the metric psnr is; the metric is {name}"),
        ),
        (Some(metric), MaxLoss::Relative(limit)) if metric.is_figure() => {
            Ok(MaxLoss::Metric { limit, unit: Unit::Relative })
        }
        (Some(metric), MaxLoss::Points(limit)) if metric.is_figure() && metric.is_part() => {
            Ok(MaxLoss::Metric { limit, unit: Unit::Points })
        }
        (Some(metric), MaxLoss::Points(_)) if metric.is_figure() => refuse(
            "max-loss",
            format!(
                "is in percentage points, in which the metric {metric} is not; give percent (1%)"
            ),
        ),
        (Some(metric), MaxLoss::Metric { .. }) if metric.is_figure() => Ok(max_loss),
        (_, MaxLoss::Metric { .. }) => {
            refuse("max-loss", format!("is of a metric that is computed of all images, not {name}"))
        }
        _ => Ok(max_loss),
    }
}

/// Refuses what `pareto` cannot do.
fn check_pareto(options: &QuantizeOptions) -> Result<(), Error> {
    let refuse = |option, problem: &str| Err(Error::Option { option, problem: problem.to_owned() });
    if options.semantics != Semantics::Integer {
        return refuse(
            "strategy",
            "is pareto, which supports only integer semantics; use joint, or semantics `integer`",
        );
    }
    options.objective.check(options.target.as_ref())?;
    let usual = SearchOptions::of(options.objective);
    let is_usual = [usual, SearchOptions::default()].contains(&options.search);
    if !is_usual || options.start.is_some() {
        let problem = "is pareto, which does not search layer by layer; the options of the \
                       layer-by-layer search (start, start-bits, start-step, order, layer-order, \
                       direction, budget, trade-off, window) need joint, layer-dependent or \
                       layer-independent";
        return refuse("strategy", problem);
    }
    match options.confidence {
        Some(c) if !(0.5..1.0).contains(&c) => refuse(
            "confidence",
            &format!(
                "is {c}; allowed: at least 0.5 and below 1, for example \
                                           0.95"
            ),
        ),
        _ => Ok(()),
    }
}

/// Refuses what the strategy cannot do.
pub(crate) fn check_strategy(options: &QuantizeOptions) -> Result<(), Error> {
    if let Strategy::Fixed { bits } = options.strategy
        && !(1..=16).contains(&bits)
    {
        return Err(Error::Option {
            option: "bits",
            problem: format!("is {bits}; allowed: 1 to 16"),
        });
    }
    let is_command = options.metric_command.is_some();
    if is_command && !matches!(options.max_loss, MaxLoss::Metric { .. }) {
        let problem = "requires the bound `MaxLoss::Metric`";
        return Err(Error::Option { option: "metric-command", problem: problem.to_owned() });
    }
    if options.max_class_loss.is_some() && options.max_loss.is_of_values() {
        let problem = "bounds the recall of classes: it does not go with outputs that are values";
        return Err(Error::Option { option: "max-class-loss", problem: problem.to_owned() });
    }
    if options.strategy == Strategy::Pareto {
        return check_pareto(options);
    }
    if options.tune != Tune::None {
        let problem =
            format!("needs the strategy pareto; {} is not tuned", options.strategy.name());
        return Err(Error::Option { option: "tune", problem });
    }
    let is_fixed = matches!(options.strategy, Strategy::Fixed { .. });
    if options.max_loss.is_of_values() && !is_fixed {
        let option = match options.max_loss {
            MaxLoss::Sqnr(_) => "min-sqnr",
            _ if is_command => "metric-command",
            _ => "metric",
        };
        let problem = format!(
            "needs the strategy pareto or fixed; {} supports only classification",
            options.strategy.name()
        );
        return Err(Error::Option { option, problem });
    }
    if options.from.is_some() {
        let problem = format!(
            "needs the strategy pareto, whose measurements it reuses, not {}",
            options.strategy.name()
        );
        return Err(Error::Option { option: "from", problem });
    }
    if !options.keep.is_empty() {
        let problem = format!(
            "needs the strategy pareto; {} gives every tensor a width by its own rule",
            options.strategy.name()
        );
        return Err(Error::Option { option: "keep", problem });
    }
    if let Some(confidence) = options.confidence {
        return Err(Error::Option {
            option: "confidence",
            problem: format!(
                "is {confidence}, which needs the strategy pareto; {} does not support it",
                options.strategy.name()
            ),
        });
    }
    if options.objective == Objective::Mixed
        || options.objective != Objective::Memory && !options.strategy.is_layerwise()
    {
        return Err(Error::Option {
            option: "objective",
            problem: format!(
                "is {}, which needs a strategy that searches layer by layer: joint, \
                 layer-dependent or layer-independent",
                options.objective.name()
            ),
        });
    }
    let is_walk_asked = options.search != SearchOptions::default() || options.start.is_some();
    if is_walk_asked && !options.strategy.is_layerwise() {
        return Err(Error::Option {
            option: "strategy",
            problem: format!(
                "is {}, which does not search layer by layer; the options of the layer-by-layer \
                 search (start, start-bits, start-step, order, layer-order, direction, budget, \
                 trade-off, window) need joint, layer-dependent or layer-independent",
                options.strategy.name()
            ),
        });
    }
    Ok(())
}

/// Refuses a quantizer where it has no meaning.
pub(crate) fn check_quantizer(
    quantizer: Quantizer,
    semantics: Semantics,
    range: Option<Offset>,
) -> Result<(), Error> {
    let problem = match (quantizer, semantics, range) {
        (Quantizer::SquareRoot, Semantics::Integer, _) => {
            "does not support integer semantics; use semantics `simulated`"
        }
        (Quantizer::SquareRoot, _, Some(Offset::LeastError)) => {
            "does not support the range `least-error`; use range `no-clip`"
        }
        _ => return Ok(()),
    };
    Err(Error::Option { option: "quantizer", problem: format!("{} {problem}", quantizer.name()) })
}
