//! From a graph and a plan to integers.

pub(crate) mod context;
pub(crate) mod formats;
pub(crate) mod requantization;

pub use context::{AccumulatorPolicy, LowerContext, Residual, Weights};
pub use formats::output_formats;
pub use requantization::Requantization;

use crate::{
    error::{ImportError, LowerError},
    fixed_graph::{FixedGraph, FixedNode},
    fixed_operator::FixedOp,
    graph::{Graph, NodeId},
    plan::Plan,
    target::Target,
};
use fixedwise_fixed::Format;

/// The integer network of a graph (prepared for integer semantics) under a plan.
///
/// # Errors
/// [`LowerError`] naming the node.
pub fn lower(
    graph: &Graph,
    plan: &Plan,
    policy: AccumulatorPolicy,
) -> Result<FixedGraph, LowerError> {
    lower_by(graph, plan, policy, None, |id, context| graph.nodes[id].op.lower(&context))
}

/// As [`lower`], for a target: its accumulators are what must be proved, and its rules must be kept.
///
/// # Errors
/// [`LowerError`] naming the node; [`LowerError::Refused`] with the rule that the target has.
pub fn lower_for(
    graph: &Graph,
    plan: &Plan,
    policy: AccumulatorPolicy,
    target: &Target,
) -> Result<FixedGraph, LowerError> {
    lower_by(graph, plan, policy, Some(target), |id, context| graph.nodes[id].op.lower(&context))
}

/// The integer network of a graph, where `lower_node` makes each operation, or has it already.
///
/// # Errors
/// As [`lower`] and, with a target, [`lower_for`].
pub(crate) fn lower_by(
    graph: &Graph,
    plan: &Plan,
    policy: AccumulatorPolicy,
    target: Option<&Target>,
    mut lower_node: impl FnMut(NodeId, LowerContext) -> Result<FixedOp, LowerError>,
) -> Result<FixedGraph, LowerError> {
    let formats = output_formats(graph, plan)?;
    let nonnegative = graph.nonnegative(|input| !plan.input(&input.name).is_signed());
    let lower_node = |id: NodeId| {
        let node = &graph.nodes[id];
        let op =
            lower_node(id, context_of(graph, id, plan, policy, (&formats, &nonnegative), target))?;
        Ok(FixedNode {
            name: node.name.clone(),
            accumulator_bits: op.accumulator_bits(),
            op,
            inputs: node.inputs.clone(),
            shape: node.shape,
            format: formats[id],
        })
    };
    let nodes = || (0..graph.nodes.len()).map(lower_node).collect::<Result<_, LowerError>>();
    let nodes = match target {
        None => nodes(),
        Some(target) => check(target, graph, plan, &formats)
            .and_then(|()| nodes())
            .map_err(|error| target.refusal(error)),
    };
    Ok(FixedGraph {
        name: graph.name.clone(),
        nodes: nodes?,
        inputs: graph.inputs().to_vec(),
        outputs: graph.outputs().to_vec(),
    })
}

/// Refuses a graph with operators that have no form in integers, all of them at once.
///
/// # Errors
/// [`ImportError`] with every such node and the way out.
pub fn check_integer_forms(graph: &Graph) -> Result<(), ImportError> {
    let refused = graph.nodes.iter().filter_map(|node| {
        let help = node.op.no_integer_form()?;
        Some(ImportError::Node {
            node: node.name.clone(),
            op_type: node.op.name().to_owned(),
            problem: format!("has no integer form: {help}"),
        })
    });
    ImportError::all(refused.collect(), vec![]).map_or(Ok(()), Err)
}

/// Refuses a plan whose formats or rounding a target has no form of; `formats` are those of the nodes'
/// values.
fn check(
    target: &Target,
    graph: &Graph,
    plan: &Plan,
    formats: &[Format],
) -> Result<(), LowerError> {
    target.check_rounding(plan.rounding)?;
    for (node, &format) in graph.nodes.iter().zip(formats) {
        target.check_format(&node.name, "activation", format)?;
        let Some(layer) = plan.layer(&node.name) else { continue };
        for (kind, format) in [("weights", layer.weights), ("bias", layer.bias)] {
            if let Some(format) = format {
                target.check_format(&node.name, kind, format)?;
            }
        }
    }
    Ok(())
}

/// What the integers of one node depend on; `formats` are those of all nodes' values, `nonnegative` whether
/// they are.
fn context_of<'a>(
    graph: &'a Graph,
    id: NodeId,
    plan: &'a Plan,
    policy: AccumulatorPolicy,
    (formats, nonnegative): (&[Format], &[bool]),
    target: Option<&'a Target>,
) -> LowerContext<'a> {
    let node = &graph.nodes[id];
    LowerContext {
        node: &node.name,
        activation: node.activation,
        layer: plan.layer(&node.name),
        rounded: plan.rounded.get(&node.name),
        rounding: plan.rounding,
        policy,
        is_nonnegative: node.inputs.first().is_some_and(|&input| nonnegative[input]),
        target,
        inputs: graph.input_shapes(id),
        shape: node.shape,
        formats: node.inputs.iter().map(|&input| formats[input]).collect(),
        output: formats[id],
    }
}
