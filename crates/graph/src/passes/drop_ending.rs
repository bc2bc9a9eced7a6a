//! What only ends a classifier does not change which class is largest, and is left out: also where nothing
//! but the order of elements or the shape changes behind it.

use super::{only_consumer, remove_dead, replace_uses};
use crate::{
    graph::{Graph, NodeId},
    ops::{IndexMap, Reshape},
    shape::Shape,
};

pub(super) fn run(graph: &mut Graph) {
    for i in 0..graph.outputs.len() {
        while let Some(ending) = ending(graph, graph.outputs[i].node) {
            let before = graph.nodes[ending].inputs[0];
            if ending == graph.outputs[i].node {
                graph.outputs[i].node = before;
            } else {
                replace_uses(graph, ending, before);
            }
            remove_dead::run(graph);
        }
    }
}

/// Extents of the input with the most elements.
fn largest_input(graph: &Graph) -> Shape {
    let shapes = graph.inputs().iter().map(|&id| graph.nodes[id].shape);
    shapes.max_by_key(|shape| shape.len()).unwrap_or(Shape::vector(0))
}

/// The node to leave out in front of an output.
pub(super) fn ending(graph: &Graph, output: NodeId) -> Option<NodeId> {
    let mut id = output;
    loop {
        let node = &graph.nodes[id];
        if node.op.ends_classifier(largest_input(graph), node.shape) {
            return Some(id);
        }
        let [before] = node.inputs[..] else { return None };
        let from = graph.nodes[before].shape;
        let sources: Option<Vec<usize>> =
            match (node.op.get::<Reshape>(), node.op.get::<IndexMap>()) {
                (Some(reshape), _) => Some(reshape.source()),
                (_, Some(map)) if from.h * from.w > 1 && map.is_permutation(from) => {
                    map.sources().collect()
                }
                _ => None,
            };
        let keeps_classes =
            sources.is_some_and(|sources| keeps_classes(&sources, from, node.shape));
        if only_consumer(graph, before) != Some(id) || !keeps_classes {
            return None;
        }
        id = before;
    }
}

/// Whether the largest class is the same one in another order of elements: that of a vector in its order, or those
/// of the pixels of an image, each of which stays a pixel. Each element is
/// taken once.
fn keeps_classes(sources: &[usize], from: Shape, to: Shape) -> bool {
    if from.h * from.w == 1 {
        return sources.is_sorted();
    }
    let is_pixel = |own: &[usize]| own.iter().all(|source| source / from.c == own[0] / from.c);
    to.c == from.c && sources.chunks_exact(to.c).all(is_pixel)
}
