//! The format of every value: what a plan says, and what follows from it.

use super::context::{MAX_BITS, MAX_UNSIGNED_BITS, check};
use crate::{
    error::LowerError,
    graph::Graph,
    operator::{Derivation, FormatRule},
    plan::{Plan, Quantizer},
};
use fixedwise_fixed::{Format, Range};

/// Refuses a plan that names what the graph does not have.
///
/// # Errors
/// [`LowerError::UnknownTensor`], [`LowerError::InsideLayer`].
pub(crate) fn check_names(graph: &Graph, plan: &Plan) -> Result<(), LowerError> {
    let layers = plan.layers.iter().map(|layer| (&layer.name, true));
    let others = plan.others.keys().map(|name| (name, false));
    for (name, is_layer) in layers.chain(others) {
        let found = graph.find(name).is_some_and(|id| graph.nodes[id].op.is_layer() == is_layer);
        if let Some(layer) = graph.layer_of_sum(name).filter(|_| !found) {
            return Err(LowerError::InsideLayer { name: name.clone(), layer: layer.to_owned() });
        }
        if !found {
            let nodes = graph.nodes.iter().filter(|node| node.op.is_layer() == is_layer);
            let known = nodes.map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(LowerError::UnknownTensor { name: name.clone(), known });
        }
    }
    Ok(())
}

/// The format of every node's value in integer semantics.
///
/// # Errors
/// Where the plan lacks one, has one that is not allowed, names what the graph does not have, or its
/// quantizer has no integer form.
pub fn output_formats(graph: &Graph, plan: &Plan) -> Result<Vec<Format>, LowerError> {
    check_names(graph, plan)?;
    if plan.quantizer != Quantizer::Uniform {
        return Err(LowerError::Quantizer { quantizer: plan.quantizer.name() });
    }
    let mut formats: Vec<Format> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let inputs: Vec<Format> = node.inputs.iter().map(|&input| formats[input]).collect();
        let own = if node.op.is_layer() {
            plan.layer(&node.name).and_then(|layer| layer.activation)
        } else {
            plan.others.get(&node.name).copied()
        };
        let format = match node.op.format_rule() {
            FormatRule::Image => Some(plan.input(&node.name)),
            FormatRule::Own => own,
            FormatRule::OwnOr(derivation) | FormatRule::Derived(derivation) => {
                own.or_else(|| Some(derived(derivation, formats[node.main_input()], &inputs)))
            }
            FormatRule::Input | FormatRule::Moved => Some(formats[node.main_input()]),
        };
        let kind = if node.op.is_layer() { "activation" } else { "result" };
        formats.push(check(&node.name, kind, format, MAX_BITS, MAX_UNSIGNED_BITS)?);
    }
    Ok(formats)
}

/// The format that follows from those of the inputs.
fn derived(derivation: Derivation, main: Format, inputs: &[Format]) -> Format {
    match derivation {
        Derivation::Same => main,
        Derivation::Unsigned => without_sign(main),
        Derivation::Lossless => lossless(inputs),
    }
}

/// The finest and widest of several formats, so that each fits without loss where 16 bits allow;
/// else the finest that covers the widest.
fn lossless(inputs: &[Format]) -> Format {
    let signed = inputs.iter().any(|f| f.is_signed());
    let frac = inputs.iter().map(|f| f.frac).max().unwrap_or(0);
    // Bits left of the binary point, the sign included where the result has one.
    let whole = |f: &Format| {
        let sign = i32::from(signed && !f.is_signed());
        i32::from(f.bits) - i32::from(f.frac) + sign
    };
    let whole = inputs.iter().map(whole).max().unwrap_or(1);
    let max = i32::from(if signed { MAX_BITS } else { MAX_UNSIGNED_BITS });
    let bits = (whole + i32::from(frac)).clamp(1, max);
    let frac = i8::try_from(bits - whole).unwrap_or(frac).min(frac);
    let full = inputs.iter().any(|f| f.range == Range::Full);
    let range = match (signed, full) {
        (false, _) => Range::Unsigned,
        (true, true) => Range::Full,
        (true, false) => Range::Narrow,
    };
    Format { bits: u8::try_from(bits).unwrap_or(MAX_BITS), frac, range }
}

/// The format without its sign.
fn without_sign(format: Format) -> Format {
    if format.is_signed() {
        Format::unsigned((format.bits - 1).max(1), format.frac)
    } else {
        format
    }
}
