//! What only ends a classifier does not change which class is largest, and is left out: also where nothing
//! but the order of elements or the shape changes behind it.

use super::{only_consumer, replace_uses};
use crate::{
    graph::{Graph, NodeId},
    ops::Reshape,
};

pub(super) fn run(graph: &mut Graph) {
    for i in 0..graph.outputs.len() {
        while let Some(ending) = ending(graph, graph.outputs[i]) {
            let before = graph.nodes[ending].inputs[0];
            if ending == graph.outputs[i] {
                graph.outputs[i] = before;
            } else {
                replace_uses(graph, ending, before);
            }
        }
    }
}

/// The node to leave out in front of an output.
fn ending(graph: &Graph, output: NodeId) -> Option<NodeId> {
    let mut id = output;
    loop {
        let node = &graph.nodes[id];
        if node.op.ends_classifier(graph.input_shape(), node.shape) {
            return Some(id);
        }
        let ([before], Some(reshape)) = (&node.inputs[..], node.op.get::<Reshape>()) else {
            return None;
        };
        let from = graph.nodes[*before].shape;
        if only_consumer(graph, *before) != Some(id) || !keeps_classes(reshape, from.c, from.len())
        {
            return None;
        }
        id = *before;
    }
}

/// Whether the classes of one pixel, or the elements of a vector, stay together in their order.
fn keeps_classes(reshape: &Reshape, channels: usize, elements: usize) -> bool {
    let source = reshape.source();
    if channels == elements {
        return source.is_sorted();
    }
    reshape.shape.c == channels
        && source.iter().enumerate().all(|(to, from)| to % channels == from % channels)
}
