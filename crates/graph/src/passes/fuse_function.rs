//! Operators that together compute a function of each element of one value become that function: a table
//! in integers, whatever the file writes it with.
//!
//! A function that a layer computes itself (a leaky ReLU as a maximum) becomes that activation. What
//! costs nothing, or less than a table, stays: scales and shifts, sums, and activations that stand alone.

use super::replace_uses;
use crate::{
    expression::{Expression, MAX_PARTS},
    graph::{Graph, Node, NodeId},
    operator::Op,
    ops::{Add, Affine, Clip, Function, LeakyRelu, Relu},
    shape::Activation,
};

pub(super) fn run(graph: &mut Graph) {
    let mut is_fused = vec![false; graph.nodes.len()];
    for end in (0..graph.nodes.len()).rev() {
        if is_fused[end] {
            continue;
        }
        let consumers = graph.consumers();
        let Some(found) = widest(graph, &consumers, &is_fused, end) else { continue };
        let Some(op) = joined(graph, &found) else { continue };
        for &id in &found.nodes {
            is_fused[id] = true;
            if id != end {
                // Dead now; it must not count as a user.
                replace_uses(graph, id, found.from);
                graph.nodes[id].inputs = vec![0];
            }
        }
        let node = &mut graph.nodes[end];
        (node.op, node.inputs, node.activation) = (op, vec![found.from], Activation::None);
    }
}

/// Nodes that compute a function of each element of one value.
struct Found {
    /// The value.
    from: NodeId,
    /// The nodes, the last one computes the result.
    nodes: Vec<NodeId>,
    /// The function.
    expression: Expression,
}

/// The most nodes up to `end` that compute a function of each element of one value, and nothing that
/// others take.
fn widest(
    graph: &Graph,
    consumers: &[Vec<NodeId>],
    is_fused: &[bool],
    end: NodeId,
) -> Option<Found> {
    let is_function = |id: NodeId| {
        !is_fused[id] && function(&graph.nodes[id]).is_some() && {
            let shape = graph.nodes[id].shape;
            graph.nodes[id].inputs.iter().all(|&input| graph.nodes[input].shape == shape)
        }
    };
    if !is_function(end) {
        return None;
    }
    // What `end` is computed from, as far as functions reach; the first nodes come first.
    let mut before = vec![false; end + 1];
    before[end] = true;
    let mut values = Vec::new();
    for id in (0..=end).rev() {
        if before[id] {
            values.push(id);
            if is_function(id) {
                graph.nodes[id].inputs.iter().for_each(|&input| before[input] = true);
            }
        }
    }
    values.reverse();
    let froms = values.iter().copied().filter(|&from| from != end);
    froms.into_iter().find_map(|from| {
        let mut expressions: Vec<Option<Expression>> = vec![None; end + 1];
        expressions[from] = Some(Expression::x());
        let mut needed = vec![false; end + 1];
        needed[end] = true;
        for id in (from + 1..=end).rev().filter(|&id| before[id]) {
            if needed[id] {
                graph.nodes[id].inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        let mut nodes = Vec::new();
        for id in (0..=end).filter(|&id| needed[id] && id != from) {
            let is_inner = id == end
                || !graph.is_output(id)
                    && consumers[id].iter().all(|&user| user <= end && needed[user]);
            if id < from || !is_inner || !is_function(id) {
                return None;
            }
            let inputs = graph.nodes[id].inputs.iter();
            let arguments: Option<Vec<Expression>> =
                inputs.map(|&input| expressions[input].clone()).collect();
            let (own, arguments) = (function(&graph.nodes[id])?, arguments?);
            let parts: Vec<usize> = arguments.iter().map(|own| own.parts(&[])).collect();
            if own.parts(&parts) > MAX_PARTS {
                return None;
            }
            expressions[id] = Some(own.of(&arguments));
            nodes.push(id);
        }
        let expression = expressions[end].take()?;
        Some(Found { from, nodes, expression })
    })
}

/// What a node computes of the elements at one place, its activation included.
fn function(node: &Node) -> Option<Expression> {
    let own = node.op.as_element_function()?;
    Some(Expression::from(node.activation).of(&[own]))
}

/// The operator that stands for all nodes; none where they better stay.
fn joined(graph: &Graph, found: &Found) -> Option<Op> {
    let is_one = found.nodes.len() == 1;
    let all = |is: fn(&Node) -> bool| found.nodes.iter().all(|&id| is(&graph.nodes[id]));
    let is_lone = is_one && all(|node| node.inputs.len() == 1 || node.op.is::<Add>());
    let is_simple = all(|node| {
        node.op.is::<Affine>() || node.op.is::<Add>() || node.op.as_activation().is_some()
    });
    if is_lone || is_simple && !all(|node| node.op.as_activation().is_some()) {
        return None;
    }
    Some(match found.expression.as_activation() {
        Some(Activation::Relu) => Relu.into(),
        Some(Activation::Clip { min, max }) => Clip { min, max }.into(),
        Some(Activation::LeakyRelu { alpha }) => LeakyRelu { alpha }.into(),
        _ => Function { expression: found.expression.clone() }.into(),
    })
}
