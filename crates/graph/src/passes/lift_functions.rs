//! A function that goes a little below zero (hard-swish, `SiLU`, GELU, ELU) is lifted above it, and the layers
//! behind take off again what was added: its value needs no sign, one bit of every element.
//!
//! What is added is a power of two, so that zeros stay exact in every format whose step is not larger. The step
//! is never larger than with a sign: where the value lies between `-2^e` and `2^e`, the lifted one lies between
//! 0 and `2^(e + 1)`.

use super::rebuilt;
use crate::{
    expression::Expression,
    graph::{Graph, Node, NodeId},
    operator::{Factor, Op},
    ops::{Affine, Function, LiftedFunction},
    scale_shift::ScaleShift,
    shape::Activation,
};
use fixedwise_fixed::convert::exp2;

/// Before scales and shifts move forward.
pub(super) fn run(graph: &Graph) -> Graph {
    let consumers = graph.consumers();
    rebuilt(graph, |lifted, id, mut node| {
        let Some(function) = to_lift(graph, &consumers, id) else {
            lifted.nodes.push(node);
            return;
        };
        let (name, shape) = (format!("{}_lifted", node.name), node.shape);
        let affine = Affine { scale: vec![1.0; shape.c], shift: vec![-function.lift; shape.c] };
        lifted.rounded_before.values.remove(&node.name);
        node.op = function.into();
        lifted.nodes.push(node);
        let from = lifted.nodes.len() - 1;
        lifted.nodes.push(Node::new(name, affine, vec![from], shape));
    })
}

/// The lifted function of a node, where that saves more bits than it takes.
fn to_lift(graph: &Graph, consumers: &[Vec<NodeId>], id: NodeId) -> Option<LiftedFunction> {
    let node = &graph.nodes[id];
    let Function { expression } = node.op.get().filter(|_| node.activation == Activation::None)?;
    let lift = lift(expression)?;
    // A bit of each element, against the biases of more classes of positions.
    let biases = biases_behind(graph, consumers, id, lift)?;
    let is_worth_it = biases * BITS_OF_BIAS < node.shape.len();
    is_worth_it.then(|| LiftedFunction { expression: expression.clone(), lift })
}

/// What a bias takes, about.
const BITS_OF_BIAS: usize = 8;

/// The biases that layers have more where all that take a value, directly or behind what carries a shift, take a
/// shift up; none where one does not.
fn biases_behind(graph: &Graph, consumers: &[Vec<NodeId>], id: NodeId, lift: f64) -> Option<usize> {
    if graph.is_output(id) {
        return None;
    }
    let mut biases = 0;
    for &user in &consumers[id] {
        let node = &graph.nodes[user];
        if node.op.is::<Affine>() {
            // What is shifted there anyway.
            continue;
        }
        let shapes = graph.input_shapes(user);
        let channels = graph.nodes[id].shape.c;
        let shift = ScaleShift { scale: vec![1.0; channels], shift: vec![-lift; channels] };
        let before: Vec<Option<&ScaleShift>> =
            node.inputs.iter().map(|&input| (input == id).then_some(&shift)).collect();
        let unshifted = node.op.unscaled(&before, &shapes, node.shape)?;
        for (input, _) in before.iter().enumerate().filter(|(_, shift)| shift.is_some()) {
            match node.op.factor(input, &shapes, node.shape) {
                Factor::Absorbed => {
                    let count = |op: &Op| {
                        op.parameters().map_or(0, |own| own.bias_count(shapes[input], node.shape))
                    };
                    biases += count(&unshifted).saturating_sub(count(&node.op));
                }
                Factor::Carried(_) if node.activation == Activation::None => {
                    biases += biases_behind(graph, consumers, user, lift)?;
                }
                _ => return None,
            }
        }
    }
    Some(biases)
}

/// What lifts a function above zero: a power of two; none where it is nowhere negative, has no least value or no
/// value somewhere, or is not far larger than that on the other side.
fn lift(expression: &Expression) -> Option<f64> {
    const LARGEST: i32 = 16;
    /// Points of a power of two.
    const POINTS: i32 = 64;
    let steps = (-8 * POINTS..=LARGEST * POINTS).map(|i| {
        let (exponent, part) = (i.div_euclid(POINTS), i.rem_euclid(POINTS));
        exp2(exponent) * (1.0 + f64::from(part) / f64::from(POINTS))
    });
    let (mut least, mut most) = (0.0_f64, 0.0_f64);
    for x in steps {
        for y in [expression.value(x), expression.value(-x)] {
            if !y.is_finite() {
                return None;
            }
            (least, most) = (least.min(y), most.max(y));
        }
    }
    // Far smaller than any step is what the function's own rounding leaves.
    let is_negative = least < -exp2(-20);
    let exponent = (-least).log2().ceil();
    let lift = exponent.exp2();
    (is_negative && most >= 8.0 * lift).then_some(lift)
}

#[cfg(test)]
mod tests {
    use super::lift;
    use crate::expression::{Expression, Unary};

    #[test]
    fn functions_with_a_small_negative_part_are_lifted() {
        let x = Expression::x;
        let hard_swish = x() * (x() + 3.0).clip(0.0, 6.0) / 6.0;
        for (expression, expected) in [
            (hard_swish, Some(0.5)),
            (x() * x().then(Unary::Sigmoid), Some(0.5)),
            (x() * (x() * -0.5_f64.sqrt()).then(Unary::Erfc) * 0.5, Some(0.25)),
            (x().max(0.0) + x().min(0.0).then(Unary::ExpM1), Some(1.0)),
            (x().then(Unary::Softplus), None),
            (x().then(Unary::Tanh), None),
            (x() * 0.5, None),
            (x().max(x() * 0.25), None),
            (x().then(Unary::Log), None),
            (Expression::from(1.0) / x(), None),
        ] {
            assert_eq!(lift(&expression), expected, "{expression}");
        }
    }
}
