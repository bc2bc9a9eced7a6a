//! Which calibration images say most about what rounding does to the classes.

use crate::{
    error::SearchError,
    evaluate::{
        Images, of_classes,
        runner::{CHUNK, Job, Runner},
    },
    random::random,
    tuning::Tuning,
};
use fixedwise_fixed::convert::count_to_f64;
use fixedwise_graph::{
    Graph, Likelihood, NodeId,
    run::{Program, ValueRef},
};
use fixedwise_kernels::Kernels;
use std::sync::atomic::AtomicBool;

/// `count` of the images, drawn with weights: how far class probabilities `p` move with the logits, the
/// trace of `diag(p) - p p'`, summed over the outputs. An image of which the network is certain tells little of what a rounding
/// does to them.
///
/// # Errors
/// Where `stop` was raised.
pub fn telling_images(
    graph: &Graph,
    images: &dyn Images,
    kernels: &'static Kernels,
    stop: &AtomicBool,
    (count, seed): (usize, u64),
    tuning: &Tuning,
) -> Result<Vec<usize>, SearchError> {
    let program = Program::float(graph, kernels);
    let outputs = graph.output_nodes().into_iter().map(|id| {
        let end = graph.nodes[id].op.as_likelihood();
        (id, end == Some(Likelihood::Probability))
    });
    let outputs: Vec<(NodeId, bool)> = outputs.collect();
    let runner = Runner::new(images, images.len(), CHUNK, stop);
    let weights = runner.each_chunk(
        &Job::whole(&program),
        None,
        runner.chunks(),
        |_| Vec::with_capacity(CHUNK),
        |weights, seen| {
            let of_output = |&(id, is_softmax): &(NodeId, bool)| match seen.value(id) {
                ValueRef::F32(values) => spread(values, is_softmax),
                ValueRef::Integers(_) => 0.0,
            };
            weights.push(outputs.iter().map(of_output).sum::<f64>());
        },
    )?;
    let weights = weights.concat();
    let floor =
        tuning.telling_floor * weights.iter().sum::<f64>() / count_to_f64(weights.len().max(1));
    // The smallest of exponential variables of these rates are a weighted sample without replacement.
    let mut keys: Vec<(f64, usize)> = weights
        .iter()
        .enumerate()
        .map(|(idx, weight)| {
            let random = random(seed ^ fixedwise_fixed::convert::count_to_u64(idx));
            (-random.ln() / (weight + floor).max(f64::MIN_POSITIVE), idx)
        })
        .collect();
    keys.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    Ok(keys.into_iter().take(count).map(|key| key.1).collect())
}

/// How far class probabilities move with the logits: `sum p (1 - p)`.
pub fn spread(values: &[f32], is_softmax: bool) -> f64 {
    let n = values.len();
    let values = values.iter().map(|&x| f64::from(x));
    let parts: Vec<f64> = if is_softmax {
        values.collect()
    } else {
        let values: Vec<f64> = of_classes(n, values).collect();
        let values = values.into_iter();
        let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
        values.map(|x| (x - max).exp()).collect()
    };
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|part| part / sum).map(|p| p * (1.0 - p)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_images_tell_little() {
        assert!(spread(&[9.0, 0.0, 0.0], false) < 0.01);
        assert!(spread(&[1.0, 1.0, 0.0], false) > 0.5);
        assert!((spread(&[0.5, 0.5], true) - 0.5).abs() < 1e-9);
        // One is the logit of the second of two classes.
        assert!((spread(&[0.0], false) - 0.5).abs() < 1e-9);
    }
}
