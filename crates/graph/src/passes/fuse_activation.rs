//! An activation that alone takes a layer's value, or elements of it, is computed inside the layer.

use super::{consumer_behind_maps, have_zeros, replace_uses, takes_over};
use crate::{graph::Graph, shape::Activation};

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let node = &graph.nodes[id];
        if !node.op.takes_activation() || node.activation != Activation::None {
            continue;
        }
        let Some((maps, user)) = consumer_behind_maps(graph, id) else { continue };
        let Some(activation) = graph.nodes[user].op.as_activation() else { continue };
        let keeps_zeros = activation.apply(0.0) == 0.0 || !have_zeros(graph, &maps);
        if graph.nodes[user].activation == Activation::None && keeps_zeros {
            graph.nodes[id].activation = activation;
            takes_over(graph, user, id);
            replace_uses(graph, user, maps.last().copied().unwrap_or(id));
            // Dead now; it must not count as a user.
            graph.nodes[user].inputs = vec![0];
        }
    }
}
