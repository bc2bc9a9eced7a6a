//! An activation that alone takes a layer's value is computed inside the layer.

use super::{only_consumer, replace_uses};
use crate::{graph::Graph, shape::Activation};

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let node = &graph.nodes[id];
        if !node.op.takes_activation() || node.activation != Activation::None {
            continue;
        }
        let Some(user) = only_consumer(graph, id) else { continue };
        let Some(activation) = graph.nodes[user].op.as_activation() else { continue };
        if graph.nodes[user].activation == Activation::None {
            graph.nodes[id].activation = activation;
            replace_uses(graph, user, id);
            // Dead now; it must not count as a user.
            graph.nodes[user].inputs = vec![0];
        }
    }
}
