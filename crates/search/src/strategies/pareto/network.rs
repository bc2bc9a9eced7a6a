//! From widths to a plan with rounded weights.

use super::{
    keep::{Keep, Kept},
    options::ParetoOptions,
    prepared::Prepared,
    widths::{Items, Widths},
};
use crate::{
    error::SearchError,
    reconstruct::{Calibration, Layer, Method, RoundingOptions, correct},
    statistics::{Offset, format_least_error},
    strategies::tensors::{Kind, PlanHead, Tensor, bare_plan},
};
use fixedwise_fixed::{Format, Range};
use fixedwise_graph::{Graph, LayerPlan, NodeId, Plan, Quantizer, Rounded};
use std::{collections::BTreeMap, sync::Arc};

pub(super) struct Network<'a> {
    prepared: &'a Prepared,
    calibration: &'a Calibration<'a>,
    head: PlanHead,
    output_bits: u8,
    rounding: RoundingOptions,
    kept: Kept,
    /// By node, the layers that take its value, or what other operators make of it.
    takers: Vec<Vec<NodeId>>,
    /// The tensor of the result.
    output: Vec<Tensor>,
}

/// One layer's weights and bias.
#[derive(Clone, Debug)]
pub(super) struct Part {
    layer: LayerPlan,
    rounded: Arc<Rounded>,
}

impl Part {
    pub(super) fn of(plan: &Plan, graph: &Graph, id: NodeId) -> Self {
        let name = &graph.nodes[id].name;
        let layer = plan.layer(name).expect("the plan is of this graph").clone();
        Self { layer, rounded: Arc::clone(&plan.rounded[name]) }
    }

    /// Weights and bias in place of a plan's; its activation stays.
    pub(super) fn put(&self, plan: &mut Plan) {
        if let Some(layer) = plan.layer_mut(&self.layer.name) {
            layer.weights = self.layer.weights;
            layer.bias = self.layer.bias;
        }
        plan.rounded.insert(self.layer.name.clone(), Arc::clone(&self.rounded));
    }
}

/// A plan with its weights rounded, and with what they would be at the widths next to theirs.
#[derive(Clone)]
pub(super) struct Built {
    pub(super) plan: Plan,
    pub(super) alternatives: BTreeMap<(NodeId, u8), Part>,
}

impl<'a> Network<'a> {
    pub(super) fn new(
        prepared: &'a Prepared,
        calibration: &'a Calibration<'a>,
        options: &ParetoOptions,
    ) -> Self {
        let graph = &prepared.graph;
        let mut takers: Vec<Vec<NodeId>> = vec![Vec::new(); graph.nodes.len()];
        for id in (0..graph.nodes.len()).rev() {
            let op = &graph.nodes[id].op;
            let own = if op.is_layer() { vec![id] } else { takers[id].clone() };
            for &input in &graph.nodes[id].inputs {
                takers[input].extend(&own);
            }
        }
        for takers in &mut takers {
            takers.sort_unstable();
            takers.dedup();
        }
        let mut outputs = graph.output_nodes();
        outputs.sort_unstable();
        outputs.dedup();
        let output = Tensor::all(graph, &options.head, Kind::Activations, &outputs);
        let is_derived =
            |tensor: &Tensor| options.kept(&tensor.name, tensor.kind) == Some(Keep::Derived);
        let output = output
            .into_iter()
            .filter(|tensor| !is_derived(tensor))
            .map(|tensor| match &options.target {
                Some(target) => tensor.on(target),
                None => tensor,
            })
            .collect();
        let method = options.known.as_ref().map_or(options.rounding.method, |known| known.method);
        let (head, rounding) =
            (options.head.clone(), RoundingOptions { method, ..options.rounding.clone() });
        let is_of_values = options.max_loss.is_of_values();
        let tuning = &options.tuning;
        let output_bits =
            if is_of_values { tuning.value_output_bits } else { tuning.class_output_bits };
        let kept = options.kept.clone();
        Self { prepared, calibration, head, output_bits, rounding, kept, takers, output }
    }

    /// How weights are rounded.
    pub(super) fn rounding(&self) -> &RoundingOptions {
        &self.rounding
    }

    pub(super) fn set_method(&mut self, method: Method) {
        self.rounding.method = method;
    }

    /// Gives the results of the network so many bits.
    pub(super) fn set_output_bits(&mut self, bits: u8) {
        self.output_bits = bits;
    }

    pub(super) const fn output_bits(&self) -> u8 {
        self.output_bits
    }

    pub(super) fn graph(&self) -> &'a Graph {
        &self.prepared.graph
    }

    pub(super) fn layer(&self, plan: &Plan, id: NodeId) -> Result<Layer<'a>, SearchError> {
        Layer::new(self.calibration, plan, id, &self.rounding)
    }

    /// What is given of a tensor's format.
    fn kept(&self, tensor: &Tensor) -> Option<Keep> {
        self.kept.get(&(tensor.name.clone(), tensor.kind)).copied()
    }

    /// The format of least error, its binary point moved by `shift`; where one is given, that.
    pub(super) fn activation(&self, tensor: &Tensor, bits: u8, shift: i8) -> Format {
        if let Some(Keep::Format(format)) = self.kept(tensor)
            && format.bits == bits
        {
            let is_of_sign = format.is_signed() == (tensor.range != Range::Unsigned);
            return Format {
                range: if is_of_sign { format.range } else { tensor.range },
                ..format
            };
        }
        let values = self.prepared.statistics.of(tensor.node);
        let format = format_least_error(values, bits.min(tensor.widest), tensor.range);
        Format { frac: format.frac.saturating_add(shift), ..format }
    }

    /// A plan with another format of one result: its own bias and those of the layers that take it are
    /// corrected.
    pub(super) fn with_activation(
        &self,
        plan: &Plan,
        tensor: &Tensor,
        format: Format,
    ) -> Result<Plan, SearchError> {
        let mut plan = plan.clone();
        tensor.set(&mut plan, Some(format));
        if self.rounding.method == Method::Nearest {
            return Ok(plan);
        }
        if self.graph().nodes[tensor.node].op.is_layer() {
            correct(self.calibration, &mut plan, tensor.node)?;
        }
        for &taker in &self.takers[tensor.node] {
            correct(self.calibration, &mut plan, taker)?;
        }
        Ok(plan)
    }

    /// Formats of these widths; weights wait for their rounding at the widest.
    fn formats(&self, widths: &Widths, items: &Items) -> Plan {
        let graph = self.graph();
        let mut plan = bare_plan(graph, &self.head);
        for (i, item) in items.list.iter().enumerate() {
            let format = match item.tensor.kind {
                Kind::Weights => self.no_clip(&item.tensor, 8),
                _ => self.activation(&item.tensor, widths.bits[i], widths.shift[i]),
            };
            item.tensor.set(&mut plan, Some(format));
        }
        for tensor in &self.output {
            let bits = self.kept(tensor).and_then(Keep::bits).unwrap_or(self.output_bits);
            tensor.set(&mut plan, Some(self.activation(tensor, bits, 0)));
        }
        plan
    }

    /// Formats of these widths alone, weights rounded to the nearest.
    pub(super) fn plain(&self, widths: &Widths, items: &Items) -> Plan {
        let mut plan = self.formats(widths, items);
        for (item, &bits) in items.list.iter().zip(&widths.bits) {
            if item.tensor.kind == Kind::Weights {
                let format = self.no_clip(&item.tensor, bits);
                item.tensor.set(&mut plan, Some(format));
            }
        }
        plan
    }

    fn no_clip(&self, weights: &Tensor, bits: u8) -> Format {
        let (graph, statistics) = (self.graph(), &self.prepared.statistics);
        let range = if bits == 1 { Range::Bipolar } else { weights.range };
        let weights = Tensor { range, ..weights.clone() };
        weights.format(graph, statistics, bits, Offset::NoClip, Quantizer::Uniform)
    }

    /// A plan of these widths: layer after layer the weights are rounded for what the layers before
    /// really compute. `told` is called after each.
    pub(super) fn build(
        &self,
        widths: &Widths,
        items: &Items,
        told: &dyn Fn(),
    ) -> Result<Built, SearchError> {
        let graph = self.graph();
        let mut plan = self.formats(widths, items);
        let mut alternatives = BTreeMap::new();
        for (id, _) in graph.layers() {
            let Some(item) = items.find(id, Kind::Weights) else { continue };
            let bits = widths.bits[item];
            let layer = self.layer(&plan, id)?;
            for other in items.neighbors(item, bits) {
                let mut changed = plan.clone();
                layer.round(&mut changed, other, &self.rounding)?;
                alternatives.insert((id, other), Part::of(&changed, graph, id));
            }
            layer.round(&mut plan, bits, &self.rounding)?;
            told();
        }
        Ok(Built { plan, alternatives })
    }
}
