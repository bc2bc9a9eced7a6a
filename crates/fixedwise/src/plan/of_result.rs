//! The plan that a `result.json` is of.

use super::terms::{MAX_BIAS_BITS, MAX_BITS, RAW_PIXELS, inside_layer, is_node, names};
use crate::{
    error::Error,
    model::Model,
    result::{FormatResult, RunResult},
};
use fixedwise_fixed::{Format, Range, Rounding};
use fixedwise_graph::{
    AccumulatorPolicy, Graph, LayerPlan, Plan, Quantizer, Semantics, lower, ops::FixedConv,
};
use fixedwise_search::strategies::PlanHead;
use serde::Deserialize;

/// Whether JSON is a result, or was one before it was cut: the paper's plans have no schema.
pub(crate) fn is_result(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Head {
        schema: Option<serde::de::IgnoredAny>,
    }
    let begins_with_schema = || {
        let first = text.trim_start().strip_prefix('{').map(str::trim_start);
        first.is_some_and(|first| first.starts_with("\"schema\""))
    };
    serde_json::from_str::<Head>(text)
        .map_or_else(|_| begins_with_schema(), |head| head.schema.is_some())
}

/// The plan for a model; `semantics` overrides what the result says.
pub(crate) fn plan(
    result: &RunResult,
    model: &Model,
    semantics: Option<Semantics>,
) -> Result<Plan, String> {
    let by_name = |semantics: &Semantics| semantics.name() == result.semantics;
    let own = [Semantics::Integer, Semantics::Simulated].into_iter().find(by_name);
    let own = own.ok_or_else(|| format!("semantics `{}` are unknown", result.semantics))?;
    let graph = model.prepared(own).map_err(|error: Error| error.to_string())?;
    let plan = read(result, own, &graph)?;
    Ok(Plan { semantics: semantics.unwrap_or(own), ..plan })
}

fn read(result: &RunResult, semantics: Semantics, graph: &Graph) -> Result<Plan, String> {
    if result.layers.is_empty() {
        return Err("it has no layers; give the result.json of `quantize` or a plan".to_owned());
    }
    let mut plan = Plan {
        semantics,
        quantizer: [Quantizer::Uniform, Quantizer::SquareRoot]
            .into_iter()
            .find(|quantizer| quantizer.name() == result.quantizer)
            .ok_or_else(|| format!("quantizer `{}` is unknown", result.quantizer))?,
        rounding: rounding(result, semantics)?,
        input: match &result.input {
            Some(input) => format(input, "input", MAX_BITS)?.unwrap_or(RAW_PIXELS),
            None => RAW_PIXELS,
        },
        layers: Vec::with_capacity(result.layers.len()),
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: std::collections::BTreeMap::new(),
    };
    for layer in &result.layers {
        known(graph, &layer.name, true)?;
        plan.layers.push(LayerPlan {
            name: layer.name.clone(),
            weights: format(&layer.weights, &layer.name, MAX_BITS)?,
            bias: format(&layer.bias, &layer.name, MAX_BIAS_BITS)?,
            activation: format(&layer.activation, &layer.name, MAX_BITS)?,
        });
    }
    for other in &result.others {
        known(graph, &other.name, false)?;
        if let Some(format) = format(&other.activation, &other.name, MAX_BITS)? {
            plan.others.insert(other.name.clone(), format);
        }
    }
    // In the order of the graph, as plans have them.
    plan.layers.sort_by_key(|layer| graph.find(&layer.name));
    if semantics == Semantics::Integer {
        free_biases(&mut plan, graph)?;
    }
    Ok(plan)
}

/// A result gives a bias that the plan says nothing of 32 bits at the scale of its accumulator;
/// such a one gets no format.
fn free_biases(plan: &mut Plan, graph: &Graph) -> Result<(), String> {
    // For the formats alone: what accumulators a target has is not known here.
    let fixed = lower(graph, plan, AccumulatorPolicy::Widen);
    let fixed = fixed.map_err(|error| error.to_string())?;
    for layer in &mut plan.layers {
        let (Some(bias), Some(id)) = (layer.bias, graph.find(&layer.name)) else { continue };
        let Some(conv) = fixed.nodes[id].op.get::<FixedConv>() else { continue };
        if bias.bits == MAX_BIAS_BITS && i32::from(bias.frac) == conv.sum_frac() {
            layer.bias = None;
        }
    }
    Ok(())
}

fn rounding(result: &RunResult, semantics: Semantics) -> Result<Rounding, String> {
    let Some(name) = &result.rounding else { return Ok(PlanHead::of(semantics).rounding) };
    let found = Rounding::ALL.into_iter().find(|&rounding| rounding.name() == name);
    found.ok_or_else(|| format!("rounding `{name}` is unknown"))
}

/// Nothing for a tensor that stays float, or a bias whose scale no plan can say.
fn format(result: &FormatResult, name: &str, max_bits: u8) -> Result<Option<Format>, String> {
    let Some(frac) = result.frac else { return Ok(None) };
    let range = match (result.signed, result.full) {
        _ if result.bipolar => Range::Bipolar,
        (true, false) => Range::Narrow,
        (true, true) => Range::Full,
        (false, _) => Range::Unsigned,
    };
    match i8::try_from(frac) {
        Ok(frac) => {
            let format = Format { bits: result.bits, frac, range }.checked(max_bits);
            format.map(Some).map_err(|error| format!("`{name}`: {error}"))
        }
        Err(_) if result.bits == MAX_BIAS_BITS && max_bits == MAX_BIAS_BITS => Ok(None),
        Err(_) => Err(format!("`{name}`: a binary point at {frac} is outside -128 to 127")),
    }
}

fn known(graph: &Graph, name: &str, is_layer: bool) -> Result<(), String> {
    if is_node(graph, name, is_layer) {
        return Ok(());
    }
    if let Some(problem) = inside_layer(graph, name) {
        return Err(problem);
    }
    let what = if is_layer { "layer" } else { "other node" };
    Err(format!("the network has no {what} `{name}`; it has {}", names(graph, is_layer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_was_cut_is_still_told_from_the_papers_plans() {
        assert!(is_result("{\"schema\": 1, \"model\": {}}"));
        assert!(is_result("{\n  \"schema\": 1,\n  \"mod"));
        assert!(!is_result("{\"weights\": {}}"));
        assert!(!is_result("{\"weights\": {\"schema"));
    }
}
