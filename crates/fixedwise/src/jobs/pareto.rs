//! The `pareto` strategy with a run's images.

use super::{
    budget,
    keep::Keep,
    measure::predictions,
    options::{QuantizeOptions, Tune},
};
use crate::data::divide;
use fixedwise_fixed::{
    Range,
    convert::{count_to_f64, f64_to_count, u64_to_f64},
};
use fixedwise_graph::{AccumulatorPolicy, Granularity, Graph, Plan, Target, Thinned};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Evaluator, EvaluatorOptions, Images, MaxLoss, Oracle, Predictions, SearchError, Statistics,
    Tuning,
    reconstruct::{Calibration, CalibrationOptions, RoundingOptions, telling_images},
    strategies::{
        Kind, Objective, Observer, Outcome, PlanHead,
        pareto::{self, CostWeights, Known, ParetoOptions, Prepared, Thinning, Tools, TuneLength},
    },
};
use std::{
    cell::Cell,
    sync::{Arc, atomic::AtomicBool},
};

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

/// So many images, or fewer where each is much work.
fn fewer(images: usize, macs: u64, tuning: &Tuning) -> usize {
    let part = u64_to_f64(tuning.large_macs) / u64_to_f64(macs.max(1));
    let wanted = f64_to_count((count_to_f64(images) * part).ceil());
    wanted.clamp(images.div_ceil(tuning.fewest_images), images)
}

/// What an objective counts.
fn cost(objective: Objective) -> CostWeights {
    let none = CostWeights::default();
    match objective {
        Objective::Memory => CostWeights { memory: 1.0, ..none },
        Objective::Multiplications => CostWeights { multiplications: 1.0, ..none },
        Objective::Mixed => CostWeights { memory: 1.0, multiplications: 1.0, ..none },
        Objective::Flash => CostWeights { flash: 1.0, ..none },
        Objective::Ram => CostWeights { ram: 1.0, ..none },
    }
}

/// Images that the search looks at without their labels.
struct Looks<'a> {
    calibration: Subset<'a>,
    /// What divergence is measured on.
    probe: Subset<'a>,
    /// Some of these.
    glance: Subset<'a>,
}

/// What a run asks of the strategy, and the images that it may see.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) options: &'a QuantizeOptions,
    /// What a plan says beside formats.
    pub(crate) head: &'a PlanHead,
    pub(crate) calibration: &'a dyn Images,
    pub(crate) search: &'a dyn Images,
    /// What plans are tuned on.
    pub(crate) unlabeled: Option<&'a dyn Images>,
    /// The network before channels were chosen to go, where some were.
    pub(crate) whole: Option<&'a Graph>,
    pub(crate) stop: &'a AtomicBool,
}

impl<'a> Subset<'a> {
    /// So many images that tell most, or fewer where each is much work.
    fn drawn(
        asked: Asked<'a>,
        graph: &Graph,
        images: &'a dyn Images,
        count: usize,
    ) -> Result<Self, SearchError> {
        let Asked { options, stop, .. } = asked;
        let tuning = &options.tuning;
        let count = fewer(count, graph.macs(), tuning);
        let which = if options.max_loss.is_of_values() {
            // No image says more of values than another.
            let all: Vec<usize> = (0..images.len()).collect();
            divide(&all, options.seed, &[count]).swap_remove(0)
        } else {
            telling_images(graph, images, Kernels::best(), stop, (count, options.seed), tuning)?
        };
        Ok(Self { images, which })
    }

    /// Those of the calibration images that layers are rounded for.
    fn to_round_for(asked: Asked<'a>, graph: &Graph) -> Result<Self, SearchError> {
        Self::drawn(asked, graph, asked.calibration, asked.options.tuning.calibration_images)
    }

    fn calibration(
        &'a self,
        options: &QuantizeOptions,
        graph: &'a Graph,
        stop: &'a AtomicBool,
    ) -> Result<Calibration<'a>, SearchError> {
        let cache_bytes = options.cache_bytes / 2;
        let looks = CalibrationOptions { tuning: options.tuning.clone(), cache_bytes };
        Calibration::new(graph, self, Kernels::best(), stop, looks)
    }
}

impl<'a> Looks<'a> {
    fn new(asked: Asked<'a>, graph: &Graph) -> Result<Self, SearchError> {
        let tuning = &asked.options.tuning;
        let calibration = Subset::to_round_for(asked, graph)?;
        let probe = Subset::drawn(asked, graph, asked.search, tuning.probe_images)?;
        let few = fewer(tuning.step_images, graph.macs(), tuning);
        let few = probe.which.iter().take(few).copied().collect();
        let glance = Subset { images: asked.search, which: few };
        Ok(Self { calibration, probe, glance })
    }

    fn evaluator(
        max_loss: MaxLoss,
        images: &'a Subset<'a>,
        cache_bytes: usize,
        (graph, float): (&'a Graph, &Graph),
        stop: &'a AtomicBool,
    ) -> Result<Evaluator<'a>, SearchError> {
        let kernels = Kernels::best();
        let predictions = predictions(max_loss, float, images, kernels, stop)?;
        let policy = AccumulatorPolicy::Widen;
        let widening = EvaluatorOptions { cache_bytes, policy, target: None };
        Ok(Evaluator::new(graph, images, predictions, kernels, stop, widening))
    }
}

fn pareto_options(options: &QuantizeOptions, head: &PlanHead) -> ParetoOptions {
    ParetoOptions {
        limits: budget::limits(options.max_flash, options.max_ram, options.target.as_ref()),
        max_loss: options.max_loss,
        confidence: options.confidence,
        rounding: rounding(options.target.as_ref()),
        target: options.target.clone(),
        tuning: options.tuning.clone(),
        tune: match options.tune {
            Tune::None => None,
            Tune::Auto | Tune::For(_) => Some(TuneLength::Time),
            Tune::Steps(steps) => Some(TuneLength::Steps(steps)),
        },
        ..ParetoOptions::new(head.clone(), cost(options.objective))
    }
}

/// The channels that the network can do without, as far as bits would save less; nothing where it needs them all. Tells
/// also how many images that took, and meanwhile how many layers are done, of how many.
pub(crate) fn thin(
    asked: Asked,
    graph: &Graph,
    searched: &Predictions,
    told: &dyn Fn(usize, usize),
) -> Result<(Option<Arc<Thinned>>, u64), SearchError> {
    let Asked { options, head, stop, .. } = asked;
    let kernels = Kernels::best();
    let looks = Looks::new(asked, graph)?;
    let said = predictions(options.max_loss, graph, &looks.probe, kernels, stop)?;
    let images = Cell::new(0);
    let thinning = Thinning {
        graph,
        calibration: &looks.calibration,
        probe: &looks.probe,
        predictions: &said,
        searched,
        options: &pareto_options(options, head),
        kernels,
        stop,
        images: &images,
    };
    let thinned = pareto::thin(&thinning, told)?;
    Ok((thinned, images.get()))
}

/// How far the channels of a network are balanced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Balance {
    /// As far as does best.
    Tried,
    /// As they are, nothing scaled.
    None,
    /// So far.
    Part(f64),
}

/// The network that the search works on: its steps where the values want them, its channels balanced as
/// far as that does good with few bits; or as `balance` says. Tells also how many images that took, and
/// meanwhile how many steps are done, of how many.
pub(crate) fn prepare(
    asked: Asked,
    graph: &Graph,
    statistics: &Statistics,
    balance: Balance,
    told: &dyn Fn(usize, usize),
) -> Result<(Prepared, u64), SearchError> {
    let Asked { options, head, calibration, stop, .. } = asked;
    let whole = || asked.whole.cloned();
    let plain = Prepared { whole: whole(), ..Prepared::new(graph, statistics) };
    let balanced = |part| {
        let (kernels, tuning) = (Kernels::best(), &options.tuning);
        let balanced = pareto::prepare(graph, calibration, kernels, stop, part, tuning)?;
        Ok::<_, SearchError>(Prepared { whole: whole(), ..balanced })
    };
    match balance {
        Balance::None => return Ok((plain, 0)),
        Balance::Part(part) => return Ok((balanced(part)?, 0)),
        Balance::Tried => {}
    }
    let layers = graph.layers().count();
    let (done, total) = (Cell::new(0), options.tuning.balances.len() * (layers + 1) + 1);
    let step = || {
        done.set(done.get() + 1);
        told(done.get(), total);
    };
    told(0, total);
    let looks = Looks::new(asked, graph)?;
    step();
    let pareto_options = pareto_options(options, head);
    let trial = |prepared: &Prepared| {
        let calibration = looks.calibration.calibration(options, &prepared.graph, stop)?;
        let mut probe = Looks::evaluator(
            options.max_loss,
            &looks.probe,
            0,
            (&prepared.graph, prepared.float()),
            stop,
        )?;
        let divergence = pareto::trial(prepared, &calibration, &mut probe, &pareto_options, &step)?;
        step();
        Ok::<_, SearchError>((divergence, probe.images_evaluated()))
    };
    let mut images = 0;
    let mut best = (f64::INFINITY, plain);
    for &part in &options.tuning.balances {
        let balanced = balanced(part)?;
        if balanced.scales.iter().all(Vec::is_empty) {
            break;
        }
        let (divergence, run) = trial(&balanced)?;
        images += run;
        if divergence < best.0 {
            best = (divergence, balanced);
        }
    }
    Ok((best.1, images))
}

/// Searches a plan of the network before its channels were balanced, on which the oracle measures; tells
/// also how many images the probe ran.
pub(crate) fn search<O: Oracle>(
    asked: Asked,
    prepared: &Prepared,
    (known, kept): (Option<Known>, &[Keep]),
    oracle: &mut O,
    observer: &mut dyn Observer,
) -> Result<(Outcome, u64), SearchError> {
    let Asked { options, head, stop, .. } = asked;
    let looks = Looks::new(asked, &prepared.graph)?;
    let calibration = looks.calibration.calibration(options, &prepared.graph, stop)?;
    let evaluator = |images| {
        let graphs = (&prepared.graph, prepared.float());
        Looks::evaluator(options.max_loss, images, options.cache_bytes / 2, graphs, stop)
    };
    let mut probe = evaluator(&looks.probe)?;
    let mut glance = evaluator(&looks.glance)?;
    let tools = Tools {
        prepared,
        unlabeled: asked.unlabeled,
        calibration: &calibration,
        probe: &mut probe,
        glance: &mut glance,
        oracle,
    };
    let mut options = ParetoOptions { known, ..pareto_options(options, head) };
    for Keep { node, kind, bits } in kept {
        options.keep(node, *kind, pareto::Keep::Bits(*bits));
    }
    let outcome = pareto::pareto(tools, observer, &options)?;
    Ok((outcome, probe.images_evaluated() + glance.images_evaluated()))
}

/// The plan of formats that are given, rounded anew.
pub(crate) fn refit(
    asked: Asked,
    prepared: &Prepared,
    known: Option<Known>,
    kept: Vec<(String, Kind, pareto::Keep)>,
    told: &dyn Fn(),
) -> Result<Plan, SearchError> {
    let Asked { options, head, stop, .. } = asked;
    let images = Subset::to_round_for(asked, &prepared.graph)?;
    let calibration = images.calibration(options, &prepared.graph, stop)?;
    let mut options = ParetoOptions { known, ..pareto_options(options, head) };
    for (node, kind, keep) in kept {
        options.keep(&node, kind, keep);
    }
    pareto::refit(prepared, &calibration, &options, told)
}

/// Of plans of a network the one that comes closest to the float network on the images that a search probes; tells
/// also how many images that took.
pub(crate) fn closest(
    asked: Asked,
    graph: &Graph,
    plans: Vec<Plan>,
) -> Result<(Plan, u64), SearchError> {
    let Asked { options, search, stop, .. } = asked;
    let images = Subset::drawn(asked, graph, search, options.tuning.probe_images)?;
    let mut probe = Looks::evaluator(options.max_loss, &images, 0, (graph, graph), stop)?;
    let mut best: Option<(f64, Plan)> = None;
    for plan in plans {
        let divergence = probe.divergence(&plan, None)?;
        if best.as_ref().is_none_or(|best| divergence < best.0) {
            best = Some((divergence, plan));
        }
    }
    let (_, plan) = best.expect("there is a plan");
    Ok((plan, probe.images_evaluated()))
}

/// Ranges that a target stores; all without one.
fn rounding(target: Option<&Target>) -> RoundingOptions {
    let usual = RoundingOptions::default();
    let Some(target) = target else { return usual };
    let ranges: Vec<Range> = target.signed_range.clone();
    let bias_range = ranges.first().copied().unwrap_or(usual.bias_range);
    let by_channel = target.granularity == Granularity::Channel;
    RoundingOptions { ranges, bias_range, by_channel, ..usual }
}
