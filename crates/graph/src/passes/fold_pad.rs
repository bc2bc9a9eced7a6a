//! A pad with zeros that a convolution alone takes becomes part of that convolution, one with the least number part of
//! the maximum pool that alone takes it.

use super::{only_consumer, replace_uses};
use crate::{
    graph::Graph,
    operator::Op,
    ops::{Conv, MaxPool, Pad},
    shape::Activation,
    window::Window,
};

pub(super) fn run(graph: &mut Graph) {
    for id in 0..graph.nodes.len() {
        let Some(pad) = graph.nodes[id].op.get::<Pad>().cloned() else { continue };
        if graph.nodes[id].activation != Activation::None {
            continue;
        }
        let Some(user) = only_consumer(graph, id) else { continue };
        if graph.nodes[user].main_input() != id {
            continue;
        }
        let source = graph.nodes[id].inputs[0];
        let (before, after) = (graph.input_shapes(id), graph.nodes[user].shape);
        let mut op = graph.nodes[user].op.clone();
        let Some(window) = window_of(&mut op, pad.value) else { continue };
        for axis in 0..2 {
            window.pad_begin[axis] += pad.begin[axis];
            window.pad_end[axis] += pad.end[axis];
        }
        // A pool has no window outside its image.
        if op.is::<MaxPool>() && op.infer(&before).as_ref() != Ok(&after) {
            continue;
        }
        graph.nodes[user].op = op;
        replace_uses(graph, id, source);
    }
}

/// The window of an operator for which elements of that value are as good as none.
fn window_of(op: &mut Op, value: f32) -> Option<&mut Window> {
    if value == 0.0 && op.is::<Conv>() {
        return op.get_mut::<Conv>().map(|conv| &mut conv.window);
    }
    let pool = op.get_mut::<MaxPool>()?;
    (value <= f32::MIN && pool.minimum.is_empty()).then_some(&mut pool.window)
}
