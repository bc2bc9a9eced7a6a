//! A vector in another order of elements, before dense layers alone, costs nothing: their weights
//! take that order instead.

use crate::{
    fixed_graph::FixedGraph,
    ops::{FixedConv, FixedReshape},
    shape::Shape,
};
use fixedwise_kernels::ConvKind;

/// The same network with every such reordering in the weights; the results of all nodes but the
/// reordered vectors stay.
pub(crate) fn fold_reshapes(fixed: &FixedGraph) -> FixedGraph {
    let mut folded = fixed.clone();
    for id in 0..fixed.nodes.len() {
        let Some(reshape) = fixed.nodes[id].op.get::<FixedReshape>() else { continue };
        let consumers: Vec<usize> = (id + 1..fixed.nodes.len())
            .filter(|&other| fixed.nodes[other].inputs.contains(&id))
            .collect();
        let is_dense = |&other: &usize| {
            let conv = fixed.nodes[other].op.get::<FixedConv>();
            let (vector, output) = (fixed.nodes[id].shape, fixed.nodes[other].shape);
            // What is added to its sums is in their order.
            let is_main = !fixed.nodes[other].inputs[1..].contains(&id);
            is_main && conv.is_some_and(|conv| reads_all_at_once(conv, vector, output))
        };
        if fixed.output_nodes().contains(&id)
            || reshape.is_identity()
            || !consumers.iter().all(is_dense)
        {
            continue;
        }
        for &consumer in &consumers {
            if let Some(conv) = folded.nodes[consumer].op.get::<FixedConv>() {
                let mut conv = conv.clone();
                reorder(&mut conv.weights, &reshape.source);
                folded.nodes[consumer].op = conv.into();
            }
        }
        let source = (0..reshape.source.len()).collect();
        folded.nodes[id].op = FixedReshape { source }.into();
    }
    folded
}

/// Whether a layer multiplies every element of a vector, and nothing else.
fn reads_all_at_once(conv: &FixedConv, vector: Shape, output: Shape) -> bool {
    let kind = conv.kind(vector, output);
    vector.h * vector.w == 1
        && matches!(kind, ConvKind::Dense | ConvKind::Pointwise)
        && !conv.window.is_padded()
}

/// `y[k] = x[source[k]]`, so the weight of `y[k]` is that of `x[source[k]]`.
fn reorder(weights: &mut [i16], source: &[usize]) {
    for filter in weights.chunks_exact_mut(source.len()) {
        let old = filter.to_vec();
        for (&from, &weight) in source.iter().zip(&old) {
            filter[from] = weight;
        }
    }
}
