//! A quotient of two values is the product of the one and the reciprocal of the other: integers have a table for that, and
//! no division.

use crate::{
    expression::{Binary, Expression},
    graph::{Graph, Node},
    ops::{Function, Mul, Pair},
};

pub(super) fn run(graph: &Graph) -> Graph {
    let mut divided = Graph { nodes: Vec::with_capacity(graph.nodes.len()), ..graph.clone() };
    let mut places = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|input| *input = places[*input]);
        if node.op.get::<Pair>().is_some_and(|pair| pair.function == Binary::Divide) {
            let by = node.inputs[1];
            let expression = Expression::from(1.0) / Expression::x();
            let (name, shape) = (format!("{}_reciprocal", node.name), divided.nodes[by].shape);
            divided.nodes.push(Node::new(name, Function { expression }, vec![by], shape));
            (node.op, node.inputs[1]) = (Mul.into(), divided.nodes.len() - 1);
        }
        places.push(divided.nodes.len());
        divided.nodes.push(node);
    }
    divided.inputs.iter_mut().for_each(|input| *input = places[*input]);
    divided.outputs.iter_mut().for_each(|output| output.node = places[output.node]);
    divided
}
