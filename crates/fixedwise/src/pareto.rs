//! The `pareto` strategy with a run's images.

use crate::{data::divide, quantize::QuantizeOptions};
use fixedwise_fixed::Range;
use fixedwise_graph::{AccumulatorPolicy, Graph, Target};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, Images, Oracle, Predictions, SearchError,
    reconstruct::{Calibration, CalibrationOptions, RoundingOptions},
    strategies::{
        Objective, Observer, Outcome, PlanHead,
        pareto::{self, CostWeights, ParetoOptions, Prepared, Tools},
    },
};
use std::sync::atomic::AtomicBool;

/// Search images on which divergence is measured.
const PROBE: usize = 512;

/// Some images of a set.
struct Subset<'a> {
    images: &'a dyn Images,
    which: Vec<usize>,
}

impl Images for Subset<'_> {
    fn len(&self) -> usize {
        self.which.len()
    }

    fn image(&self, idx: usize, out: &mut [f32]) {
        self.images.image(self.which[idx], out);
    }

    fn label(&self, idx: usize) -> Option<usize> {
        self.images.label(self.which[idx])
    }
}

/// The network that the search works on.
pub(crate) fn prepare(
    graph: &Graph,
    images: &dyn Images,
    kernels: &'static Kernels,
    stop: &AtomicBool,
) -> Result<Prepared, SearchError> {
    pareto::prepare(graph, images, kernels, stop, None)
}

/// What an objective counts.
pub(crate) fn cost(objective: Objective) -> Option<CostWeights> {
    let (memory, multiplications) = match objective {
        Objective::Memory => (1.0, 0.0),
        Objective::Multiplications => (0.0, 1.0),
        Objective::Mixed => (1.0, 1.0),
        Objective::Flash | Objective::Ram => return None,
    };
    Some(CostWeights { memory, multiplications })
}

/// Searches a plan of the network before its channels were balanced; tells also how many images the
/// probe ran.
pub(crate) fn search<O: Oracle>(
    options: &QuantizeOptions,
    head: PlanHead,
    prepared: &Prepared,
    (calibration, images): (&dyn Images, &dyn Images),
    oracle: &mut O,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<(Outcome, u64), SearchError> {
    let kernels = Kernels::best();
    let graph = &prepared.graph;
    let calibration =
        Calibration::new(graph, calibration, kernels, stop, CalibrationOptions::default())?;
    let all: Vec<usize> = (0..images.len()).collect();
    let which = divide(&all, options.seed, &[PROBE]).swap_remove(0);
    let subset = Subset { images, which };
    let predictions = Predictions::new(graph, &subset, kernels, stop)?;
    let widening =
        EvaluatorOptions { cache_bytes: options.cache_bytes, policy: AccumulatorPolicy::Widen };
    let mut probe = Evaluator::new(graph, &subset, predictions, kernels, stop, widening);
    let cost = cost(options.objective).unwrap_or(CostWeights { memory: 1.0, multiplications: 0.0 });
    let pareto_options = ParetoOptions {
        max_loss: options.max_loss,
        confidence: options.confidence,
        rounding: rounding(options.target.as_ref()),
        target: options.target.clone(),
        ..ParetoOptions::new(head, cost)
    };
    let tools = Tools { prepared, calibration: &calibration, probe: &mut probe, oracle };
    let mut outcome = pareto::pareto(tools, observer, &pareto_options)?;
    outcome.plan = prepared.plan(outcome.plan);
    Ok((outcome, probe.images_evaluated()))
}

/// Ranges that a target stores; all without one.
fn rounding(target: Option<&Target>) -> RoundingOptions {
    let usual = RoundingOptions::default();
    let Some(target) = target else { return usual };
    let ranges: Vec<Range> = target.signed_range.clone();
    let bias_range = ranges.first().copied().unwrap_or(usual.bias_range);
    RoundingOptions { ranges, bias_range, ..usual }
}
