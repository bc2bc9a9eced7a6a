//! A quotient of two values is the product of the one and the reciprocal of the other: integers have a table for that, and
//! no division.

use super::rebuilt;
use crate::{
    expression::{Binary, Expression},
    graph::{Graph, Node},
    ops::{Function, Mul, Pair},
};

pub(super) fn run(graph: &Graph) -> Graph {
    rebuilt(graph, |divided, _, mut node| {
        if node.op.get::<Pair>().is_some_and(|pair| pair.function == Binary::Divide) {
            let by = node.inputs[1];
            let expression = Expression::from(1.0) / Expression::x();
            let (name, shape) = (format!("{}_reciprocal", node.name), divided.nodes[by].shape);
            divided.nodes.push(Node::new(name, Function { expression }, vec![by], shape));
            (node.op, node.inputs[1]) = (Mul.into(), divided.nodes.len() - 1);
        }
        divided.nodes.push(node);
    })
}
