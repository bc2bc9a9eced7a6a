//! A map of what a map gives is one map, and a map that changes nothing is none.

use super::{replace_uses, shares};
use crate::{graph::Graph, ops::IndexMap, shape::Activation};

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let plain = |graph: &Graph, id: usize| {
            let is_plain = graph.nodes[id].activation == Activation::None;
            graph.nodes[id].op.get::<IndexMap>().filter(|_| is_plain).cloned()
        };
        let Some(mut map) = plain(graph, id) else { continue };
        while let Some(both) =
            plain(graph, graph.nodes[id].inputs[0]).and_then(|first| map.after(&first))
        {
            let before = graph.nodes[id].inputs[0];
            let inputs = graph.nodes[before].inputs.clone();
            shares(graph, before, id);
            graph.nodes[id].inputs = inputs;
            graph.nodes[id].op = both.clone().into();
            map = both;
        }
        let before = graph.nodes[id].inputs[0];
        if map.is_identity(graph.nodes[before].shape) {
            shares(graph, id, before);
            replace_uses(graph, id, before);
        }
    }
}
