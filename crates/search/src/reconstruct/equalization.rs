//! Which factors to move between channels, so that one format fits all channels of a tensor, and its steps
//! fall where the values want them.

use crate::{
    error::SearchError,
    evaluate::{
        Images,
        runner::{Job, Runner},
    },
    statistics::{Histogram, Statistics},
    tuning::Tuning,
};
use fixedwise_fixed::{
    Format, Range,
    convert::{count_to_f64, f64_to_f32},
};
use fixedwise_graph::{
    Factor, Graph, NodeId,
    passes::equalizable,
    run::{Program, ValueRef},
};
use fixedwise_kernels::Kernels;
use std::sync::atomic::AtomicBool;

/// By node and channel, how far the values of layers that may be equalized reach: the mean over images
/// of the largest magnitude in each.
///
/// # Errors
/// Where there is no image, or `stop` was raised.
pub fn channel_ranges(
    graph: &Graph,
    images: &dyn Images,
    kernels: &'static Kernels,
    stop: &AtomicBool,
    tuning: &Tuning,
) -> Result<Vec<Vec<f64>>, SearchError> {
    let n = images.len().min(tuning.balance_images);
    if n == 0 {
        return Err(SearchError::NoImages { purpose: "calibrate" });
    }
    let allowed = equalizable(graph);
    let program = Program::float(graph, kernels);
    // One image a chunk: what is kept of each is small.
    let runner = Runner::new(images, n, 1, stop);
    let all = runner.each_chunk_observed(
        &Job::whole(&program),
        runner.chunks(),
        |_| vec![Vec::new(); graph.nodes.len()],
        |reach: &mut Vec<Vec<f32>>, _, (id, value)| {
            if let (true, ValueRef::F32(values)) = (allowed[id], value) {
                let channels = graph.nodes[id].shape.c;
                let mut max = vec![0.0_f32; channels];
                for pixel in values.chunks_exact(channels) {
                    max.iter_mut().zip(pixel).for_each(|(max, x)| *max = max.max(x.abs()));
                }
                reach[id] = max;
            }
        },
        |_, _| (),
    )?;
    let mut ranges: Vec<Vec<f64>> = vec![Vec::new(); graph.nodes.len()];
    for image in all {
        for (ranges, reach) in ranges.iter_mut().zip(image) {
            ranges.resize(reach.len(), 0.0);
            ranges.iter_mut().zip(reach).for_each(|(sum, x)| *sum += f64::from(x));
        }
    }
    ranges.iter_mut().flatten().for_each(|sum| *sum /= count_to_f64(n));
    Ok(ranges)
}

/// Where a channel of a value comes from: the layer that may be equalized, and its channel.
type Source = Option<(NodeId, usize)>;

/// By node, the source of each channel of its value.
fn sources(graph: &Graph) -> Vec<Vec<Source>> {
    let allowed = equalizable(graph);
    let mut sources: Vec<Vec<Source>> = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let channels = node.shape.c;
        let mut own: Vec<Source> = (0..channels).map(|c| allowed[id].then_some((id, c))).collect();
        for (position, &input) in node.inputs.iter().enumerate() {
            let Factor::Carried(from) = graph.factor(id, position) else { continue };
            for (own, from) in own.iter_mut().zip(from) {
                // Of a product it is that of the first factor that has one.
                *own = own.or_else(|| from.and_then(|from| sources[input][from]));
            }
        }
        sources.push(own);
    }
    sources
}

/// By node, scales of its channels that balance the ranges of its values and of the weights before and
/// behind them, each counting by its number of elements: a `part` of the way there, 1 for all of it, as
/// exponents of two. None for nodes that may not be equalized.
pub fn balance(graph: &Graph, ranges: &[Vec<f64>], part: f64, tuning: &Tuning) -> Vec<Vec<f32>> {
    let sources = sources(graph);
    let allowed = equalizable(graph);
    let mut exponents: Vec<Vec<f64>> = (0..graph.nodes.len())
        .map(|id| vec![0.0; if allowed[id] { graph.nodes[id].shape.c } else { 0 }])
        .collect();
    let counts = counts(graph, &sources);
    let reach = tuning.balance_reach;
    for _ in 0..tuning.balance_sweeps {
        let (rows, columns) = reaches(graph, &sources, &exponents);
        for id in 0..graph.nodes.len() {
            let Counts { values, rows: own, columns: behind } = counts[id];
            let total = values + own + behind;
            let wanted: Vec<Option<f64>> = (0..exponents[id].len())
                .map(|c| {
                    let live = ranges[id][c] > 0.0 && rows[id][c] > 0.0 && columns[id][c] > 0.0;
                    live.then(|| {
                        let range = ranges[id][c].log2() + exponents[id][c];
                        let sum = values * range + own * rows[id][c].log2()
                            - behind * columns[id][c].log2();
                        -sum / total
                    })
                })
                .collect();
            let live = wanted.iter().flatten().count();
            let mean = wanted.iter().flatten().sum::<f64>() / count_to_f64(live.max(1));
            for (exponent, wanted) in exponents[id].iter_mut().zip(wanted) {
                if let Some(wanted) = wanted {
                    *exponent = (*exponent + wanted - mean).clamp(-reach, reach);
                }
            }
        }
    }
    let scale = |e: &f64| f64_to_f32((part * e).exp2());
    exponents.iter().map(|exponents| exponents.iter().map(scale).collect()).collect()
}

/// Scales of whole tensors, on top of those that made `statistics`: with them the steps of a few bits,
/// powers of two, are those of least error.
pub fn fit_steps(statistics: &Statistics, scales: &mut [Vec<f32>], tuning: &Tuning) {
    for (id, scales) in scales.iter_mut().enumerate() {
        if !scales.is_empty() && statistics.of(id).max_abs() > 0.0 {
            let factor = f64_to_f32(fitting_factor(statistics.of(id), tuning));
            scales.iter_mut().for_each(|scale| *scale *= factor);
        }
    }
}

/// The factor, from 1 to below 2, after which the best power of two is least worse than the best step
/// of all.
fn fitting_factor(values: &Histogram, tuning: &Tuning) -> f64 {
    let factors = tuning.fitted_scales;
    let range = if values.min() < 0.0 { Range::Narrow } else { Range::Unsigned };
    let top = f64::from(values.max_abs()).log2().ceil();
    let mut worse = vec![0.0; factors];
    for &bits in &tuning.fitted_bits {
        let format = Format { bits, frac: 0, range };
        // The least error of all powers of two after each factor.
        let errors: Vec<f64> = (0..factors)
            .map(|i| {
                let steps = (0..tuning.fitted_octaves).map(|down| {
                    let octave = top - f64::from(bits) + 1.0 - f64::from(down);
                    (octave - count_to_f64(i) / count_to_f64(factors)).exp2()
                });
                let error = steps.map(|step| values.squared_error_in_steps(format, step));
                error.fold(f64::INFINITY, f64::min)
            })
            .collect();
        let least = errors.iter().copied().fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
        worse.iter_mut().zip(errors).for_each(|(sum, error)| *sum += (error / least).ln());
    }
    let best = (0..worse.len()).min_by(|&a, &b| worse[a].total_cmp(&worse[b])).unwrap_or(0);
    (count_to_f64(best) / count_to_f64(factors)).exp2()
}

/// Elements of the three tensors that a layer's exponents touch.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// The layer's results.
    values: f64,
    /// The weights that make them.
    rows: f64,
    /// The weights that take them.
    columns: f64,
}

fn counts(graph: &Graph, sources: &[Vec<Source>]) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); graph.nodes.len()];
    for (id, node) in graph.layers() {
        let weights = count_to_f64(node.op.weights().map_or(0, <[f32]>::len));
        counts[id].values = count_to_f64(node.shape.len());
        counts[id].rows = weights;
        let inputs = &sources[node.main_input()];
        for (source, _) in inputs.iter().flatten() {
            counts[*source].columns += weights / count_to_f64(inputs.len());
        }
    }
    counts
}

/// The largest weights that make each channel, and that take it.
fn reaches(
    graph: &Graph,
    sources: &[Vec<Source>],
    exponents: &[Vec<f64>],
) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let empty = || exponents.iter().map(|e| vec![0.0_f64; e.len()]).collect::<Vec<_>>();
    let (mut rows, mut columns) = (empty(), empty());
    for (id, node) in graph.layers() {
        let Some(parameters) = node.op.parameters() else { continue };
        let inputs = &sources[node.main_input()];
        for (i, &w) in parameters.weights.iter().enumerate() {
            let (out, input) = parameters.channels_of(i);
            let source = inputs.get(input).copied().flatten();
            let own = exponents[id].get(out).copied().unwrap_or(0.0);
            let before = source.map_or(0.0, |(node, channel)| exponents[node][channel]);
            let magnitude = f64::from(w.abs()) * (own - before).exp2();
            if let Some(row) = rows[id].get_mut(out) {
                *row = row.max(magnitude);
            }
            if let Some((node, channel)) = source {
                columns[node][channel] = columns[node][channel].max(magnitude);
            }
        }
    }
    (rows, columns)
}
