//! A pad with zeros that a convolution alone takes becomes part of that convolution.

use super::{only_consumer, replace_uses};
use crate::{
    graph::Graph,
    ops::{Conv, Pad},
    shape::Activation,
};

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let Some(pad) = graph.nodes[id].op.get::<Pad>().cloned() else { continue };
        if pad.value != 0.0 || graph.nodes[id].activation != Activation::None {
            continue;
        }
        let Some(user) = only_consumer(graph, id) else { continue };
        if graph.nodes[user].main_input() != id {
            continue;
        }
        let source = graph.nodes[id].inputs[0];
        if let Some(conv) = graph.nodes[user].op.get_mut::<Conv>() {
            for axis in 0..2 {
                conv.window.pad_begin[axis] += pad.begin[axis];
                conv.window.pad_end[axis] += pad.end[axis];
            }
            replace_uses(graph, id, source);
        }
    }
}
