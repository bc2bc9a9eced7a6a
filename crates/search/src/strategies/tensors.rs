//! The tensors that a plan gives a format, and plans that give each the same width.

use crate::{
    error::SearchError,
    statistics::{Offset, Statistics, format_least_error, format_least_error_of, format_no_clip},
};
use fixedwise_fixed::{Format, Range, convert::f64_to_f32};
use fixedwise_graph::{
    Graph, LayerPlan, LowerError, NodeId, Op, Plan, Quantizer, Semantics, Target, target::Widths,
};
use serde::{Deserialize, Serialize};

/// Which of a node's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A layer's weights.
    Weights,
    /// A layer's bias.
    Biases,
    /// A layer's result, or that of a residual add.
    Activations,
}

impl Kind {
    /// `weights`, `biases` or `activations`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Biases => "biases",
            Self::Activations => "activations",
        }
    }

    /// The narrowest format of that kind and range that holds more than zero.
    pub const fn min_bits(self, range: Range) -> u8 {
        match (self, range) {
            (Self::Biases, _) | (_, Range::Unsigned | Range::Bipolar) => 1,
            _ => 2,
        }
    }

    /// The widest format of that kind and range.
    pub const fn max_bits(self, range: Range) -> u8 {
        match (self, range) {
            (Self::Biases, _) => 32,
            (_, Range::Unsigned) => 15,
            (_, Range::Bipolar) => 1,
            _ => 16,
        }
    }
}

/// A tensor that a plan gives a format.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Whose it is.
    pub node: NodeId,
    /// That node's name.
    pub name: String,
    /// Which one of it.
    pub kind: Kind,
    /// The integers that its formats hold.
    pub range: Range,
    /// The widest format that is stored of it.
    pub widest: u8,
}

impl Tensor {
    /// All tensors of one kind, in the order of `nodes`.
    pub fn all(graph: &Graph, head: &PlanHead, kind: Kind, nodes: &[NodeId]) -> Vec<Self> {
        let semantics = head.semantics;
        let nonnegative = head.nonnegative(graph);
        let mut tensors = Vec::with_capacity(nodes.len());
        for &node in nodes {
            let is_layer = graph.nodes[node].op.is_layer();
            let is_there = match kind {
                Kind::Weights => is_layer,
                Kind::Biases => is_layer && graph.biases(node).iter().any(|&b| b != 0.0),
                Kind::Activations => is_layer || semantics == Semantics::Integer,
            };
            let unsigned =
                kind == Kind::Activations && semantics == Semantics::Integer && nonnegative[node];
            let range = if unsigned { Range::Unsigned } else { Range::Narrow };
            if is_there {
                let (name, widest) = (graph.nodes[node].name.clone(), kind.max_bits(range));
                tensors.push(Self { node, name, kind, range, widest });
            }
        }
        tensors
    }

    /// The tensor as a target stores it.
    #[must_use]
    pub fn on(mut self, target: &Target) -> Self {
        if let (true, Some(&range)) = (self.range != Range::Unsigned, target.signed_range.first()) {
            self.range = range;
        }
        self.widest = self.widths(target).widest(self.kind.max_bits(self.range));
        self
    }

    /// The widths at which a target stores such a tensor.
    pub(super) fn widths<'t>(&self, target: &'t Target) -> &'t Widths {
        match self.kind {
            Kind::Weights => &target.weight_bits,
            Kind::Biases => &target.bias_bits,
            Kind::Activations => &target.activation_bits,
        }
    }

    /// The widest format of that range.
    pub(super) fn max_bits(&self, range: Range) -> u8 {
        self.kind.max_bits(range).min(self.widest)
    }

    /// A format of that width for it, at most as wide as its kind allows.
    ///
    /// With [`Quantizer::SquareRoot`] it is the finest at which no root clips, whatever the rule.
    pub fn format(
        &self,
        graph: &Graph,
        statistics: &Statistics,
        bits: u8,
        rule: Offset,
        quantizer: Quantizer,
    ) -> Format {
        let bits = bits.min(self.max_bits(self.range));
        if quantizer == Quantizer::SquareRoot {
            let max_abs = self.max_abs(graph, statistics).sqrt();
            return format_no_clip(max_abs, bits, self.range);
        }
        let of_values = |values: &[f64]| match rule {
            Offset::NoClip => format_no_clip(max_abs(values), bits, self.range),
            Offset::LeastError => format_least_error_of(values, bits, self.range),
        };
        match self.kind {
            Kind::Weights => of_values(&weights(graph, self.node)),
            Kind::Biases => of_values(&graph.biases(self.node)),
            Kind::Activations => {
                let values = statistics.of(self.node);
                match rule {
                    Offset::NoClip => format_no_clip(values.max_abs(), bits, self.range),
                    Offset::LeastError => format_least_error(values, bits, self.range),
                }
            }
        }
    }

    /// A format with the sign that this tensor's have and at most as wide as its kind allows; its
    /// range stays.
    pub(super) fn fitted(&self, mut format: Format) -> Format {
        match (self.range, format.range) {
            (Range::Unsigned, Range::Narrow | Range::Full) => {
                format.bits = format.bits.saturating_sub(1).max(1);
                format.range = Range::Unsigned;
            }
            (Range::Narrow | Range::Full, Range::Unsigned) => {
                format.bits += 1;
                format.range = Range::Narrow;
            }
            (Range::Full, Range::Narrow) => format.range = Range::Full,
            _ => {}
        }
        let excess = format.bits.saturating_sub(self.max_bits(format.range));
        let frac = format.frac.saturating_sub_unsigned(excess);
        Format { bits: format.bits - excess, frac, ..format }
    }

    /// A format with `extra` bits for finer steps, as far as its kind allows.
    pub(super) fn widened(&self, format: Format, extra: u8) -> Format {
        let extra = extra.min(self.max_bits(format.range).saturating_sub(format.bits));
        let frac = format.frac.saturating_add_unsigned(extra);
        Format { bits: format.bits + extra, frac, ..format }
    }

    /// The largest magnitude of its values.
    fn max_abs(&self, graph: &Graph, statistics: &Statistics) -> f32 {
        match self.kind {
            Kind::Weights => max_abs(&weights(graph, self.node)),
            Kind::Biases => max_abs(&graph.biases(self.node)),
            Kind::Activations => statistics.of(self.node).max_abs(),
        }
    }

    /// What a plan says about it.
    pub fn of(&self, plan: &Plan) -> Option<Format> {
        format_of(plan, &self.name, self.kind)
    }

    /// Changes what a plan says about it.
    pub fn set(&self, plan: &mut Plan, format: Option<Format>) {
        set_format(plan, &self.name, self.kind, format);
    }
}

fn format_of(plan: &Plan, name: &str, kind: Kind) -> Option<Format> {
    match (plan.layer(name), kind) {
        (Some(layer), Kind::Weights) => layer.weights,
        (Some(layer), Kind::Biases) => layer.bias,
        (Some(layer), Kind::Activations) => layer.activation,
        (None, _) => plan.others.get(name).copied(),
    }
}

fn set_format(plan: &mut Plan, name: &str, kind: Kind, format: Option<Format>) {
    match (plan.layer_mut(name), kind) {
        (Some(layer), Kind::Weights) => layer.weights = format,
        (Some(layer), Kind::Biases) => layer.bias = format,
        (Some(layer), Kind::Activations) => layer.activation = format,
        (None, _) => match format {
            Some(format) => drop(plan.others.insert(name.to_owned(), format)),
            None => drop(plan.others.remove(name)),
        },
    }
}

fn max_abs(values: &[f64]) -> f32 {
    f64_to_f32(values.iter().fold(0.0_f64, |max, x| max.max(x.abs())))
}

/// A layer's weights.
fn weights(graph: &Graph, id: NodeId) -> Vec<f64> {
    let weights = graph.nodes[id].op.weights().unwrap_or(&[]);
    weights.iter().map(|&w| f64::from(w)).collect()
}

/// The nodes whose results a plan must give a format: layers, and where integers are computed all others
/// with a format of their own; in graph order.
pub fn quantized_activations(graph: &Graph, semantics: Semantics) -> Vec<NodeId> {
    (0..graph.nodes.len()).filter(|&id| is_quantized(&graph.nodes[id].op, semantics)).collect()
}

fn is_quantized(op: &Op, semantics: Semantics) -> bool {
    match semantics {
        Semantics::Integer => op.has_own_format(),
        Semantics::Simulated => op.is_layer(),
    }
}

/// The nodes whose formats the value of a node has in integer semantics; none for the image's.
pub(super) fn made_of(graph: &Graph, id: NodeId) -> Vec<NodeId> {
    let node = &graph.nodes[id];
    if is_quantized(&node.op, Semantics::Integer) {
        return vec![id];
    }
    node.inputs.iter().flat_map(|&input| made_of(graph, input)).collect()
}

/// The nodes of [`quantized_activations`] in the order a search visits them: by how many layers
/// lie between them and the input, of these the one on the longer way first, then in graph order (so
/// the paper visits its branched networks); or layers as `names` says, each add right after what it
/// adds.
///
/// # Errors
/// [`SearchError::LayerOrder`] for a name that is no layer or stands twice; layers that are not
/// named come last.
pub fn layer_order(
    graph: &Graph,
    semantics: Semantics,
    names: &[String],
) -> Result<Vec<NodeId>, SearchError> {
    let mut nodes = quantized_activations(graph, semantics);
    if names.is_empty() {
        let (depth, way) = (layers_before(graph), longest_way(graph));
        nodes.sort_by_key(|&id| (depth[id], std::cmp::Reverse(way[id]), id));
        return Ok(nodes);
    }
    let mut rank = vec![usize::MAX; graph.nodes.len()];
    for (i, name) in names.iter().enumerate() {
        let id = graph.find(name).filter(|&id| graph.nodes[id].op.is_layer());
        match id {
            Some(id) if rank[id] == usize::MAX => rank[id] = i,
            _ => {
                let known: Vec<&str> = graph.layers().map(|(_, node)| node.name.as_str()).collect();
                let known = known.join(", ");
                return Err(SearchError::LayerOrder { name: name.clone(), known });
            }
        }
    }
    // What is not a layer stands where the last of its inputs does.
    for id in 0..graph.nodes.len() {
        if !graph.nodes[id].op.is_layer() {
            let inputs = graph.nodes[id].inputs.iter();
            rank[id] = inputs.map(|&input| rank[input]).max().unwrap_or(0);
        }
    }
    nodes.sort_by_key(|&id| (rank[id], id));
    Ok(nodes)
}

/// The most layers on a way from the input to each node, itself included.
fn layers_before(graph: &Graph) -> Vec<usize> {
    let mut layers = vec![0_usize; graph.nodes.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        let before = node.inputs.iter().map(|&input| layers[input]).max().unwrap_or(0);
        layers[id] = before + usize::from(node.op.is_layer());
    }
    layers
}

/// The most nodes on a way through each node, from the input to the end.
fn longest_way(graph: &Graph) -> Vec<usize> {
    let n = graph.nodes.len();
    let (mut before, mut after) = (vec![0_usize; n], vec![0_usize; n]);
    for (id, node) in graph.nodes.iter().enumerate() {
        before[id] = node.inputs.iter().map(|&input| before[input] + 1).max().unwrap_or(0);
    }
    for (id, node) in graph.nodes.iter().enumerate().rev() {
        for &input in &node.inputs {
            after[input] = after[input].max(after[id] + 1);
        }
    }
    before.iter().zip(&after).map(|(before, after)| before + after).collect()
}

/// A plan without any format but those of the inputs, and but the one-bit zero of biases that are zero.
pub(super) fn bare_plan(graph: &Graph, head: &PlanHead) -> Plan {
    let layers = graph
        .layers()
        .map(|(id, node)| {
            let is_zero = graph.biases(id).iter().all(|&b| b == 0.0);
            let bias = is_zero.then_some(Format::signed(1, 0));
            LayerPlan { name: node.name.clone(), weights: None, bias, activation: None }
        })
        .collect();
    let named = graph.inputs()[1..].iter().map(|&id| graph.nodes[id].name.clone());
    let more_inputs = named.zip(head.more_inputs.iter().copied());
    Plan {
        semantics: head.semantics,
        quantizer: head.quantizer,
        rounding: head.rounding,
        input: head.input,
        layers,
        rounded: std::collections::BTreeMap::new(),
        thinned: None,
        others: more_inputs.collect(),
    }
}

/// What a plan says beside formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanHead {
    /// What formats mean.
    pub semantics: Semantics,
    /// What formats are applied to.
    pub quantizer: Quantizer,
    /// How a requantization rounds.
    pub rounding: fixedwise_fixed::Rounding,
    /// Of the first input.
    pub input: Format,
    /// Of the inputs after it, in the order of the network's.
    pub more_inputs: Vec<Format>,
}

impl PlanHead {
    /// Integers, ties up, raw 8-bit pixels.
    pub const INTEGER: Self = Self {
        semantics: Semantics::Integer,
        quantizer: Quantizer::Uniform,
        rounding: fixedwise_fixed::Rounding::TiesUp,
        input: Format::unsigned(8, 0),
        more_inputs: Vec::new(),
    };
    /// The paper's simulation.
    pub const SIMULATED: Self = Self {
        semantics: Semantics::Simulated,
        quantizer: Quantizer::Uniform,
        rounding: fixedwise_fixed::Rounding::TiesEven,
        input: Format::unsigned(8, 0),
        more_inputs: Vec::new(),
    };

    /// What a plan of a graph says.
    pub fn of_plan(graph: &Graph, plan: &Plan) -> Self {
        let &Plan { semantics, quantizer, rounding, input, .. } = plan;
        let named = |&id: &NodeId| plan.input(&graph.nodes[id].name);
        let more_inputs = graph.inputs()[1..].iter().map(named).collect();
        Self { semantics, quantizer, rounding, input, more_inputs }
    }

    /// For every node, whether its value can never be negative, whatever the inputs.
    fn nonnegative(&self, graph: &Graph) -> Vec<bool> {
        let formats = std::iter::once(&self.input).chain(&self.more_inputs);
        let names = graph.inputs().iter().map(|&id| graph.nodes[id].name.as_str());
        let signed: Vec<&str> =
            names.zip(formats).filter(|input| input.1.is_signed()).map(|input| input.0).collect();
        graph.nonnegative(|input| !signed.contains(&input.name.as_str()))
    }

    /// The usual one of either semantics.
    pub const fn of(semantics: Semantics) -> Self {
        match semantics {
            Semantics::Integer => Self::INTEGER,
            Semantics::Simulated => Self::SIMULATED,
        }
    }
}

/// Whether an error says that formats do not go together: others may.
pub(super) fn is_of_formats(error: &LowerError) -> bool {
    matches!(
        error,
        LowerError::Accumulator { .. }
            | LowerError::Shift { .. }
            | LowerError::Residual { .. }
            | LowerError::Refused { .. }
    )
}

/// What was measured of a plan; nothing where its formats do not go together.
pub(super) fn legal<T>(measured: Result<T, SearchError>) -> Result<Option<T>, SearchError> {
    match measured {
        Ok(measured) => Ok(Some(measured)),
        Err(SearchError::Lower(error)) if is_of_formats(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Weights at most this wide give way only where nothing around them is wider.
const USUAL_BITS: u8 = 8;

/// Takes bits from plans that `check` finds beyond the accumulator or the shifts or biases of a target,
/// until none is.
///
/// The lowest bits go, so the range stays, and a bias at the accumulator's scale shrinks with it.
///
/// # Errors
/// What `check` says when it is about something else, or nothing is left to take.
pub fn prove(
    graph: &Graph,
    plan: &mut Plan,
    mut check: impl FnMut(&Plan) -> Result<(), LowerError>,
) -> Result<(), LowerError> {
    loop {
        let Err(error) = check(plan) else { return Ok(()) };
        let candidates = in_the_way(graph, &error).into_iter().filter_map(|(id, kind)| {
            let name = &graph.nodes[id].name;
            let format = format_of(plan, name, kind)?;
            let least = if format.is_signed() { 2 } else { 1 };
            (format.bits > least).then_some(((name, kind, format), kind, format.bits))
        });
        let Some((name, kind, format)) = gives_way(candidates) else { return Err(error) };
        let narrower =
            Format { bits: format.bits - 1, frac: format.frac.saturating_sub(1), ..format };
        set_format(plan, name, kind, Some(narrower));
    }
}

/// The tensors of which one with fewer bits brings a sum, a shift or a bias nearer to what it may be; none
/// where an error is about something else.
pub(super) fn in_the_way(graph: &Graph, error: &LowerError) -> Vec<(NodeId, Kind)> {
    let (node, is_of_result) = match error.cause() {
        LowerError::Accumulator { node, .. } | LowerError::Bias { node, .. } => (node, false),
        LowerError::Shift { node, shift, least, .. } => (node, shift < least),
        LowerError::Residual { node, .. } => {
            let added = graph.find(node).and_then(|id| graph.nodes[id].residual_input());
            let made_of = added.into_iter().flat_map(|added| made_of(graph, added));
            return made_of.map(|id| (id, Kind::Activations)).collect();
        }
        _ => return Vec::new(),
    };
    let Some(id) = graph.find(node) else { return Vec::new() };
    let results = |ids: Vec<NodeId>| ids.into_iter().map(|id| (id, Kind::Activations));
    if is_of_result {
        return results(made_of(graph, id)).collect();
    }
    let weights = graph.nodes[id].op.is_layer().then_some((id, Kind::Weights));
    let inputs = graph.nodes[id].inputs.iter().flat_map(|&input| made_of(graph, input));
    weights.into_iter().chain(results(inputs.collect())).collect()
}

/// Of tensors, their kinds and their widths the one that gives way: weights where they are wider than usual,
/// else the widest, of equally wide ones the first.
pub(super) fn gives_way<T>(
    candidates: impl DoubleEndedIterator<Item = (T, Kind, u8)>,
) -> Option<T> {
    let rank =
        |&(_, kind, bits): &(T, Kind, u8)| (kind == Kind::Weights && bits > USUAL_BITS, bits);
    candidates.rev().max_by_key(rank).map(|(tensor, ..)| tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_formats_that_do_not_go_together_is_passed_over() {
        let of = |error: LowerError| legal::<()>(Err(SearchError::Lower(error)));
        let node = || "layer".to_owned();
        let too_fine = LowerError::Residual { node: node(), added: 9, sums: 2 };
        let too_wide = LowerError::Shift { node: node(), shift: 40, least: 0, most: 31 };
        assert!(matches!((of(too_fine), of(too_wide)), (Ok(None), Ok(None))));
        assert!(of(LowerError::MissingFormat { node: node(), kind: "weights" }).is_err());
    }

    #[test]
    fn a_given_format_gets_the_sign_of_its_tensor() {
        let tensor = |range| {
            let kind = Kind::Activations;
            Tensor { node: 0, name: String::new(), kind, range, widest: kind.max_bits(range) }
        };
        let fitted = |range, format| tensor(range).fitted(format);
        let (signed, unsigned) = (Format::signed, Format::unsigned);
        assert_eq!(fitted(Range::Unsigned, signed(8, 3)), unsigned(7, 3));
        assert_eq!(fitted(Range::Unsigned, signed(1, 3)), unsigned(1, 3));
        assert_eq!(fitted(Range::Unsigned, unsigned(16, 3)), unsigned(15, 2));
        assert_eq!(fitted(Range::Narrow, unsigned(7, 3)), signed(8, 3));
        assert_eq!(fitted(Range::Narrow, Format::full(8, 3)), Format::full(8, 3));
        assert_eq!(tensor(Range::Narrow).widened(signed(8, 3), 4), signed(12, 7));
        assert_eq!(tensor(Range::Unsigned).widened(unsigned(14, 3), 4), unsigned(15, 4));
    }
}
