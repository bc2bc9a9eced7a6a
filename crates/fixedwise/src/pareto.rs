//! The `pareto` strategy with a run's images.

use crate::{data::divide, quantize::QuantizeOptions};
use fixedwise_fixed::Range;
use fixedwise_graph::{AccumulatorPolicy, Graph, Target};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, Images, Oracle, Predictions, SearchError, Statistics,
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

/// Images that the search looks at without their labels.
struct Looks<'a> {
    calibration: &'a dyn Images,
    /// Some of the search images.
    probe: Subset<'a>,
}

impl<'a> Looks<'a> {
    fn new(options: &QuantizeOptions, calibration: &'a dyn Images, images: &'a dyn Images) -> Self {
        let all: Vec<usize> = (0..images.len()).collect();
        let which = divide(&all, options.seed, &[PROBE]).swap_remove(0);
        Self { calibration, probe: Subset { images, which } }
    }

    fn calibration(
        &'a self,
        options: &QuantizeOptions,
        graph: &'a Graph,
        stop: &'a AtomicBool,
    ) -> Result<Calibration<'a>, SearchError> {
        let cache_bytes = options.cache_bytes / 2;
        let looks = CalibrationOptions { cache_bytes, ..CalibrationOptions::default() };
        Calibration::new(graph, self.calibration, Kernels::best(), stop, looks)
    }

    fn evaluator(
        &'a self,
        options: &QuantizeOptions,
        graph: &'a Graph,
        stop: &'a AtomicBool,
    ) -> Result<Evaluator<'a>, SearchError> {
        let kernels = Kernels::best();
        let predictions = Predictions::new(graph, &self.probe, kernels, stop)?;
        let (cache_bytes, policy) = (options.cache_bytes, AccumulatorPolicy::Widen);
        let widening = EvaluatorOptions { cache_bytes, policy };
        Ok(Evaluator::new(graph, &self.probe, predictions, kernels, stop, widening))
    }
}

fn pareto_options(options: &QuantizeOptions, head: PlanHead) -> ParetoOptions {
    let cost = cost(options.objective);
    let cost = cost.unwrap_or(CostWeights { memory: 1.0, multiplications: 0.0 });
    ParetoOptions {
        max_loss: options.max_loss,
        confidence: options.confidence,
        rounding: rounding(options.target.as_ref()),
        target: options.target.clone(),
        ..ParetoOptions::new(head, cost)
    }
}

/// The network that the search works on: its channels balanced where that does better with few bits.
pub(crate) fn prepare(
    options: &QuantizeOptions,
    head: PlanHead,
    (graph, statistics): (&Graph, &Statistics),
    (calibration, images): (&dyn Images, &dyn Images),
    stop: &AtomicBool,
) -> Result<Prepared, SearchError> {
    let looks = Looks::new(options, calibration, images);
    let plain = Prepared::new(graph, statistics);
    let balanced = pareto::prepare(graph, calibration, Kernels::best(), stop)?;
    if balanced.exponents.iter().flatten().all(|&e| e == 0) {
        return Ok(plain);
    }
    let pareto_options = pareto_options(options, head);
    let trial = |prepared: &Prepared| {
        let calibration = looks.calibration(options, &prepared.graph, stop)?;
        let mut probe = looks.evaluator(options, &prepared.graph, stop)?;
        pareto::trial(prepared, &calibration, &mut probe, &pareto_options)
    };
    let is_better = trial(&balanced)? < trial(&plain)?;
    Ok(if is_better { balanced } else { plain })
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
    let looks = Looks::new(options, calibration, images);
    let calibration = looks.calibration(options, &prepared.graph, stop)?;
    let mut probe = looks.evaluator(options, &prepared.graph, stop)?;
    let tools = Tools { prepared, calibration: &calibration, probe: &mut probe, oracle };
    let mut outcome = pareto::pareto(tools, observer, &pareto_options(options, head))?;
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
