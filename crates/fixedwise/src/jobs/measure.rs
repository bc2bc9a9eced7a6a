//! What networks say of images: the float one, and a plan's.

use super::options::QuantizeOptions;
use crate::{
    data::{Sets, View},
    error::Error,
    fingerprint::sha256,
    model::Model,
    plan::RAW_PIXELS,
    result::AGREEMENT,
};
use fixedwise_fixed::{Format, Range, convert::count_to_u64};
use fixedwise_graph::{
    AccumulatorPolicy, FixedGraph, Graph, NodeId, Plan, Semantics, Target, lower, lower_for,
    run::Program,
};
use fixedwise_kernels::Kernels;
use fixedwise_search::{
    Details, Evaluator, EvaluatorOptions, Images, MaxLoss, MetricName, Oracle as _, Predictions,
    Score, SearchError, Statistics, Unit, format_no_clip, strategies::PlanHead,
};
use std::{collections::BTreeMap, sync::atomic::AtomicBool};

/// What a plan says beside formats, with those of the inputs: of 8-bit pixels they are these.
pub(crate) fn with_inputs(
    mut head: PlanHead,
    graph: &Graph,
    statistics: &Statistics,
    is_bytes: &[bool],
) -> PlanHead {
    let format = |(&input, &is_bytes): (&NodeId, &bool)| {
        if is_bytes {
            return RAW_PIXELS;
        }
        let values = statistics.of(input);
        let range = if values.min() < 0.0 { Range::Narrow } else { Range::Unsigned };
        format_no_clip(values.max_abs(), 8, range)
    };
    let mut formats = graph.inputs().iter().zip(is_bytes).map(format);
    head.input = formats.next().unwrap_or(RAW_PIXELS);
    head.more_inputs = formats.collect();
    head
}

/// The formats of the inputs in a plan, where they have any.
pub(crate) fn input_formats(graph: &Graph, plan: &Plan) -> Option<Vec<Format>> {
    let format = |&input: &NodeId| plan.input(&graph.nodes[input].name);
    (plan.semantics == Semantics::Integer).then(|| graph.inputs().iter().map(format).collect())
}

/// The integer network of a plan, where its semantics have one; for a target where one is given.
pub(crate) fn integers(
    graph: &Graph,
    plan: &Plan,
    target: Option<&Target>,
) -> Result<Option<FixedGraph>, Error> {
    let policy = AccumulatorPolicy::Prove32;
    Ok(match (plan.semantics, target) {
        (Semantics::Simulated, _) => None,
        (Semantics::Integer, None) => Some(lower(graph, plan, policy)?),
        (Semantics::Integer, Some(target)) => Some(lower_for(graph, plan, policy, target)?),
    })
}

/// Hash of everything that a measured score depends on, beside the plan.
pub(crate) fn measured_on(options: &QuantizeOptions, model: &Model, sets: &Sets) -> String {
    let (preprocessing, images) = (sets.preprocessing_text(), sets.fingerprint());
    let interface = model.interface();
    let shapes: Vec<String> = interface.input_shapes.iter().map(ToString::to_string).collect();
    let (shapes, chosen) = (shapes.join(","), interface.outputs.join(","));
    let mut parts = vec![model.sha256(), &preprocessing, &images];
    // Another network is one with other inputs or outputs.
    parts.extend([shapes.as_str(), &chosen].into_iter().filter(|said| !said.is_empty()));
    if sets.stated_ranges {
        parts.push("ranges of the model");
    }
    let metric = sets.search.metric();
    let is_judged = metric.is_some_and(|metric| metric.is_figure() || metric == MetricName::Top5);
    let judged = format!("{metric:?} {} {:?}", sets.search.peak(), unit(options.max_loss, metric));
    match &options.metric_command {
        Some(command) => parts.push(command),
        None if is_judged => parts.push(&judged),
        None if options.max_loss.is_of_values() => parts.push("values"),
        None => {}
    }
    sha256(parts.join("\n").as_bytes())
}

/// What the float network says, as the bound asks.
pub(crate) fn predictions(
    max_loss: MaxLoss,
    float: &Graph,
    images: &dyn Images,
    kernels: &'static Kernels,
    stop: &AtomicBool,
) -> Result<Predictions, SearchError> {
    let predictions = Predictions::new(float, images, kernels, stop)?;
    Ok(if max_loss.is_of_values() { predictions.of_values() } else { predictions })
}

/// What the loss of a metric is told in.
pub(crate) fn unit(max_loss: MaxLoss, metric: Option<MetricName>) -> Unit {
    match max_loss {
        MaxLoss::Metric { unit, .. } => unit,
        _ => metric.map_or(Unit::Relative, MetricName::usual_unit),
    }
}

/// What the float network says of images, as their labels and the bound ask.
pub(crate) fn judged(
    (max_loss, command): (MaxLoss, Option<&str>),
    float: &Graph,
    images: &View,
    kernels: &'static Kernels,
    stop: &AtomicBool,
) -> Result<Predictions, SearchError> {
    as_asked((max_loss, command), Predictions::new(float, images, kernels, stop)?, images)
}

/// Predictions as the labels of their images and the bound ask.
pub(crate) fn as_asked(
    (max_loss, command): (MaxLoss, Option<&str>),
    predictions: Predictions,
    images: &View,
) -> Result<Predictions, SearchError> {
    Ok(match images.metric() {
        _ if command.is_some() || matches!(max_loss, MaxLoss::Sqnr(_)) => predictions.of_values(),
        Some(MetricName::Sqnr) => predictions.of_values(),
        Some(MetricName::Top5) => predictions.of_top5(),
        Some(metric) if metric.is_figure() => {
            predictions.judged((metric, images.peak(), unit(max_loss, Some(metric))), images)?
        }
        Some(_) | None => predictions,
    })
}

/// What counts.
pub(crate) fn metric_name(
    (max_loss, command): (MaxLoss, Option<&str>),
    images: &View,
) -> &'static str {
    match images.metric() {
        _ if command.is_some() => "command",
        _ if matches!(max_loss, MaxLoss::Sqnr(_)) => MetricName::Sqnr.name(),
        Some(MetricName::Top1) => "accuracy",
        Some(metric) => metric.name(),
        None => AGREEMENT,
    }
}

/// What the float network and a plan say of images.
pub(crate) fn outputs(
    float: &Graph,
    graph: &Graph,
    plan: &Plan,
    images: &dyn Images,
    kernels: &'static Kernels,
) -> Result<[Vec<Vec<f32>>; 2], Error> {
    let go_on = AtomicBool::new(false);
    let predictions = Predictions::new(float, images, kernels, &go_on)?;
    let of_float = predictions.outputs();
    let once = EvaluatorOptions { cache_bytes: 0, ..EvaluatorOptions::default() };
    let mut evaluator = Evaluator::new(graph, images, predictions, kernels, &go_on, once);
    Ok([of_float, evaluator.outputs(plan)?])
}

/// What a plan gives on images.
pub(crate) struct Measured {
    pub(crate) score: Score,
    /// Of each output and class.
    pub(crate) details: Details,
    /// See [`lost`].
    pub(crate) lost: BTreeMap<usize, [usize; 2]>,
}

/// Of each image that only the float network names the label for, the label, and the class that a plan names.
pub(crate) fn lost(
    evaluator: &mut Evaluator,
    plan: &Plan,
) -> Result<BTreeMap<usize, [usize; 2]>, SearchError> {
    if evaluator.predictions().has_labels() { evaluator.lost(plan) } else { Ok(BTreeMap::new()) }
}

/// What a plan gives output by output and class by class, where there are several outputs or labels.
pub(crate) fn details(evaluator: &mut Evaluator, plan: &Plan) -> Result<Details, SearchError> {
    let predictions = evaluator.predictions();
    let is_judged = predictions.float_figure().is_some();
    if is_judged || predictions.n_outputs() > 1 || predictions.has_labels() {
        evaluator.details(plan)
    } else {
        Ok(Details::default())
    }
}

/// Runs a plan once on images.
pub(crate) fn measure(
    max_loss: MaxLoss,
    float: &Graph,
    graph: &Graph,
    plan: &Plan,
    images: &dyn Images,
    target: Option<&Target>,
    kernels: &'static Kernels,
) -> Result<Measured, Error> {
    let go_on = AtomicBool::new(false);
    let predictions = predictions(max_loss, float, images, kernels, &go_on)?;
    measure_with(predictions, graph, plan, images, target, kernels)
}

/// Runs a plan once on images of which the float network's predictions are known.
pub(crate) fn measure_with(
    predictions: Predictions,
    graph: &Graph,
    plan: &Plan,
    images: &dyn Images,
    target: Option<&Target>,
    kernels: &'static Kernels,
) -> Result<Measured, Error> {
    let go_on = AtomicBool::new(false);
    // One plan, once: nothing is worth keeping.
    let target = target.cloned();
    let once = EvaluatorOptions { cache_bytes: 0, target, ..EvaluatorOptions::default() };
    measure_by(Evaluator::new(graph, images, predictions, kernels, &go_on, once), plan)
}

/// Runs a plan once.
pub(crate) fn measure_by(mut evaluator: Evaluator, plan: &Plan) -> Result<Measured, Error> {
    let score = evaluator.evaluate(plan, None, None)?.score;
    let details = details(&mut evaluator, plan)?;
    Ok(Measured { score, details, lost: lost(&mut evaluator, plan)? })
}

/// Bytes of the executor's buffers for one image.
pub(crate) fn peak_ram(
    graph: &Graph,
    fixed: Option<&FixedGraph>,
    kernels: &'static Kernels,
) -> u64 {
    let program = match fixed {
        Some(fixed) => Program::fixed(fixed, kernels),
        None => Program::float(graph, kernels),
    };
    count_to_u64(program.schedule(&[], program.outputs()).bytes())
}
