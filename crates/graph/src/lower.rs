//! From a graph and a plan to integers.

use crate::{
    error::LowerError,
    fixed_graph::{FixedGraph, FixedNode},
    graph::{Activation, Graph, Node, NodeId, Shape},
    ops::Op,
    plan::{Plan, Quantizer},
    target::{Code, Granularity, Target},
};
use fixedwise_fixed::{
    AccumulatorBound, Format, Range, Rounding, align, bits_for,
    convert::{exp2, f64_to_i64, saturating_i16},
    shift_round,
};
use fixedwise_kernels::{Accumulate, Element, Epilogue};

/// Widest weights and signed activations.
pub(crate) const MAX_BITS: u8 = 16;
/// Widest unsigned activations: they are stored as signed 16-bit integers.
pub(crate) const MAX_UNSIGNED_BITS: u8 = 15;
/// Bits of the accumulators a plan must prove.
pub(crate) const ACCUMULATOR_BITS: u8 = 32;
/// The slope of a leaky ReLU: a signed 8-bit integer with 7 fractional bits.
pub(crate) const LEAKY_ALPHA: Format = Format { bits: 8, frac: 7, range: Range::Full };

/// Bits by which a channel's binary point may lie right of its tensor's.
pub(crate) const MAX_COARSER: u8 = 15;

/// What happens to a sum that cannot be proved to fit 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccumulatorPolicy {
    /// It is refused, with its layer and channel.
    Prove32,
    /// It is summed exactly in 64 bits: for plans a search has not finished.
    Widen,
}

/// The stored element of an activation's format.
pub(crate) fn element(format: Format) -> Element {
    match (format.is_signed(), format.bits) {
        (false, ..=8) => Element::U8,
        (true, ..=8) => Element::I8,
        _ => Element::I16,
    }
}

/// From an accumulator to an output: one rounding shift, one saturation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requantization {
    /// Right shift; a negative one multiplies.
    pub shift: i32,
    /// Of what the shift drops.
    pub rounding: Rounding,
    /// Lower bound of the output, activation included.
    pub min: i64,
    /// Upper bound of the output, activation included.
    pub max: i64,
    /// Slope below zero, as an integer of [`LEAKY_ALPHA`].
    pub leaky: Option<i64>,
    /// Of the output.
    pub format: Format,
}

impl Requantization {
    /// The specification of what follows every sum.
    #[inline]
    pub fn apply(&self, acc: i64) -> i64 {
        let shifted = match self.leaky {
            Some(alpha) if acc < 0 => {
                let shift = self.shift + i32::from(LEAKY_ALPHA.frac);
                shift_round(acc.saturating_mul(alpha), shift, self.rounding)
            }
            _ => shift_round(acc, self.shift, self.rounding),
        };
        shifted.clamp(self.min, self.max)
    }

    /// The same for sums whose binary point lies so many bits further right.
    #[must_use]
    pub fn coarser(&self, bits: u8) -> Self {
        Self { shift: self.shift - i32::from(bits), ..self.clone() }
    }

    /// What the rounding adds at most before it shifts.
    pub fn half(&self) -> u64 {
        if self.rounding == Rounding::Floor || self.shift <= 0 {
            return 0;
        }
        1_u64.checked_shl(self.shift.unsigned_abs() - 1).unwrap_or(u64::MAX)
    }

    /// The kernels' form of it.
    pub(crate) fn epilogue(&self) -> Epilogue {
        Epilogue {
            shift: self.shift,
            rounding: self.rounding,
            min: self.min,
            max: self.max,
            leaky: self.leaky.map(|alpha| (alpha, i32::from(LEAKY_ALPHA.frac))),
            output: element(self.format),
        }
    }
}

/// What an operator sees of the plan and of its place in the graph.
#[derive(Debug)]
pub struct LowerContext<'a> {
    node: &'a Node,
    plan: &'a Plan,
    policy: AccumulatorPolicy,
    target: Option<&'a Target>,
    /// Extents of its inputs.
    pub inputs: Vec<Shape>,
    /// Extents of its value.
    pub shape: Shape,
    /// Formats of its inputs.
    pub formats: Vec<Format>,
    /// Format of its value.
    pub output: Format,
}

impl LowerContext<'_> {
    /// The error for an operator without integer form here.
    pub fn not_legal(&self, help: &'static str) -> LowerError {
        LowerError::NotLegal { node: self.node.name.clone(), op: self.node.op.name(), help }
    }

    /// The layer's weights as integers of the plan's format: the plan's own, else rounded half to
    /// even.
    ///
    /// # Errors
    /// Where the plan has no format for them or one outside 1 to 16 bits, or integers that are not
    /// of it.
    pub fn weights(&self, weights: &[f32]) -> Result<(Format, Vec<i16>), LowerError> {
        let format = self.plan.layer(&self.node.name).and_then(|layer| layer.weights);
        let format = check(&self.node.name, "weights", format, MAX_BITS, MAX_UNSIGNED_BITS)?;
        if let Some(rounded) = self.plan.rounded.get(&self.node.name) {
            let range = format.min()..=format.max();
            let is_of_it = |w: &i16| range.contains(&i64::from(*w));
            if rounded.weights.len() != weights.len() || !rounded.weights.iter().all(is_of_it) {
                return Err(LowerError::Rounded { node: self.node.name.clone(), format });
            }
            return Ok((format, rounded.weights.clone()));
        }
        let stored =
            weights.iter().map(|&w| saturating_i16(format.quantize(f64::from(w)))).collect();
        Ok((format, stored))
    }

    /// By how many bits the binary point of each output channel's weights lies right of their format's;
    /// empty where none does.
    ///
    /// # Errors
    /// Where there is not one a channel, one is above 15, or the target has one shift for all.
    pub fn coarser(&self, channels: usize) -> Result<Vec<u8>, LowerError> {
        let own = self.plan.rounded.get(&self.node.name).filter(|own| own.is_by_channel());
        let Some(own) = own else { return Ok(vec![]) };
        let node = self.node.name.clone();
        if own.coarser.len() != channels || own.coarser.iter().any(|&bits| bits > MAX_COARSER) {
            return Err(LowerError::Points { node, max: MAX_COARSER });
        }
        if self.target.is_some_and(|target| target.granularity == Granularity::Tensor) {
            return Err(LowerError::Granularity { node });
        }
        Ok(own.coarser.clone())
    }

    /// The plan's own format of the layer's bias.
    pub fn bias_format(&self) -> Option<Format> {
        self.plan.layer(&self.node.name).and_then(|layer| layer.bias)
    }

    /// Biases as integers at the accumulator's `scale`, each channel's less by what it is `coarser`:
    /// rounded there, or to the plan's own format and then shifted.
    ///
    /// # Errors
    /// Where the plan's format is outside 1 to 32 bits, or a target that stores the integers at the
    /// accumulator's scale has no width for them.
    pub fn bias(&self, bias: &[f64], scale: i32, coarser: &[u8]) -> Result<Vec<i64>, LowerError> {
        let stored = match self.plan.rounded.get(&self.node.name) {
            None => self.bias_integers(bias, scale, coarser)?,
            Some(rounded) => self.bias_integers(&rounded.bias(bias), scale, coarser)?,
        };
        if let Some(target) = self.target
            && (matches!(target.code, Code::C(_)) || self.bias_format().is_none())
        {
            let most = stored.iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
            let (needed, max_bits) = (bits_for(most), target.bias_bits.widest(32));
            if needed > max_bits && self.policy == AccumulatorPolicy::Prove32 {
                return Err(LowerError::Bias { node: self.node.name.clone(), needed, max_bits });
            }
        }
        Ok(stored)
    }

    fn bias_integers(
        &self,
        bias: &[f64],
        scale: i32,
        coarser: &[u8],
    ) -> Result<Vec<i64>, LowerError> {
        /// Keeps sums of a bias and products inside `i64`.
        const LIMIT: i64 = 1 << 60;
        let scales = |i: usize| match coarser.len() {
            0 => scale,
            channels => scale - i32::from(coarser[i % channels]),
        };
        let Some(own) = self.bias_format() else {
            let to = |(i, b): (usize, &f64)| f64_to_i64((b * exp2(scales(i))).round_ties_even());
            return Ok(bias.iter().enumerate().map(|b| to(b).clamp(-LIMIT, LIMIT)).collect());
        };
        let own = check(&self.node.name, "bias", Some(own), 32, 32)?;
        let to = |(i, b): (usize, &f64)| {
            let shift = scales(i) - i32::from(own.frac);
            let stored = own.quantize(*b);
            if shift >= 0 {
                align(stored, shift.unsigned_abs())
            } else {
                shift_round(stored, -shift, self.plan.rounding)
            }
        };
        Ok(bias.iter().enumerate().map(|b| to(b).clamp(-LIMIT, LIMIT)).collect())
    }

    /// From `scale` (fractional bits of the accumulator) to the output, with the node's activation.
    ///
    /// # Errors
    /// Where the shift is out of reach.
    pub fn requantization(&self, scale: i32) -> Result<Requantization, LowerError> {
        self.requantization_of(scale, self.node.activation)
    }

    /// From `scale` to the output, with that activation.
    ///
    /// # Errors
    /// Where the shift is out of reach.
    pub fn requantization_of(
        &self,
        scale: i32,
        activation: Activation,
    ) -> Result<Requantization, LowerError> {
        let shift = scale - i32::from(self.output.frac);
        self.check_shift(shift)?;
        let (mut min, mut max) = (self.output.min(), self.output.max());
        let mut leaky = None;
        match activation {
            Activation::None => {}
            Activation::Relu => min = min.max(0),
            Activation::Clip { min: low, max: high } => {
                max = self.output.quantize(f64::from(high));
                min = self.output.quantize(f64::from(low)).min(max);
            }
            Activation::LeakyRelu { alpha } => {
                leaky = Some(LEAKY_ALPHA.quantize(f64::from(alpha)));
            }
        }
        let rounding = self.plan.rounding;
        Ok(Requantization { shift, rounding, min, max, leaky, format: self.output })
    }

    /// Refuses a shift that is out of reach.
    ///
    /// # Errors
    /// [`LowerError::Shift`].
    pub fn check_shift(&self, shift: i32) -> Result<(), LowerError> {
        let reach = match (self.policy, self.target) {
            (AccumulatorPolicy::Prove32, None) => Target::MAX_C_SHIFT,
            (AccumulatorPolicy::Prove32, Some(target)) => target.shift.clone(),
            (AccumulatorPolicy::Widen, _) => Target::MAX_SHIFT,
        };
        if reach.contains(&shift) { Ok(()) } else { Err(self.shift_error(shift)) }
    }

    /// A left shift that aligns an input.
    ///
    /// # Errors
    /// Where it is out of reach.
    pub fn left_shift(&self, shift: i32) -> Result<u32, LowerError> {
        let most = match (self.policy, self.target) {
            (AccumulatorPolicy::Prove32, Some(target)) => -target.shift.start(),
            _ => 40,
        };
        u32::try_from(shift)
            .ok()
            .filter(|&shift| i64::from(shift) <= i64::from(most))
            .ok_or_else(|| self.shift_error(-shift))
    }

    fn shift_error(&self, shift: i32) -> LowerError {
        let (least, most) = self
            .target
            .map_or((*Target::MAX_C_SHIFT.start(), *Target::MAX_C_SHIFT.end()), |target| {
                (*target.shift.start(), *target.shift.end())
            });
        LowerError::Shift { node: self.node.name.clone(), shift, least, most }
    }

    /// Bits of the accumulators that must be proved.
    fn accumulator_bits(&self) -> u8 {
        self.target.map_or(ACCUMULATOR_BITS, |target| target.accumulator_bits)
    }

    /// How wide a sum of products must be, and the bits its worst channel needs.
    ///
    /// `bias` is `[class, channel]`, `weights` begin with the channel, and `coarser` is each channel's
    /// or empty.
    ///
    /// # Errors
    /// [`LowerError::Accumulator`] with the channel, unless the policy widens.
    pub fn prove(
        &self,
        weights: &[i16],
        channels: usize,
        bias: &[i64],
        requantization: &Requantization,
        coarser: &[u8],
    ) -> Result<(Accumulate, u8), LowerError> {
        let largest = self.formats[0].max_magnitude().unsigned_abs();
        let available = self.accumulator_bits();
        let mut worst = AccumulatorBound::default();
        for (channel, filter) in weights.chunks_exact(weights.len() / channels).enumerate() {
            let largest_bias = bias
                .iter()
                .skip(channel)
                .step_by(channels)
                .max_by_key(|b| b.unsigned_abs())
                .copied()
                .unwrap_or(0);
            let half = requantization.coarser(coarser.get(channel).copied().unwrap_or(0)).half();
            let bound =
                AccumulatorBound::new(filter.iter().map(|&w| i64::from(w)), largest, largest_bias)
                    .plus(half);
            if !bound.fits(available) && self.policy == AccumulatorPolicy::Prove32 {
                return Err(LowerError::Accumulator {
                    node: self.node.name.clone(),
                    channel,
                    needed: bound.bits(),
                    available,
                });
            }
            worst = worst.max(bound);
        }
        let fits = worst.fits(ACCUMULATOR_BITS);
        let max_input = u32::try_from(largest).unwrap_or(u32::MAX);
        let accumulate = if fits { Accumulate::I32 } else { Accumulate::I64 { max_input } };
        Ok((accumulate, worst.bits()))
    }

    /// The bits a sum of magnitude up to `bound` needs.
    ///
    /// # Errors
    /// [`LowerError::Accumulator`], unless the policy widens.
    pub fn prove_bound(&self, bound: u64) -> Result<u8, LowerError> {
        let (needed, available) = (bits_for(bound), self.accumulator_bits());
        if needed > available && self.policy == AccumulatorPolicy::Prove32 {
            return Err(LowerError::Accumulator {
                node: self.node.name.clone(),
                channel: 0,
                needed,
                available,
            });
        }
        Ok(needed)
    }
}

fn check(
    node: &str,
    kind: &'static str,
    format: Option<Format>,
    max_bits: u8,
    max_unsigned: u8,
) -> Result<Format, LowerError> {
    let format = format.ok_or_else(|| LowerError::MissingFormat { node: node.to_owned(), kind })?;
    let (max_bits, hint) =
        if format.is_signed() { (max_bits, "") } else { (max_unsigned, " without a sign") };
    let refused =
        |_| LowerError::Width { node: node.to_owned(), kind, bits: format.bits, max_bits, hint };
    format.checked(max_bits).map_err(refused)
}

/// Refuses a plan that names what the graph does not have.
///
/// # Errors
/// [`LowerError::UnknownTensor`].
pub(crate) fn check_names(graph: &Graph, plan: &Plan) -> Result<(), LowerError> {
    let layers = plan.layers.iter().map(|layer| (&layer.name, true));
    let others = plan.others.keys().map(|name| (name, false));
    for (name, is_layer) in layers.chain(others) {
        let found = graph.find(name).is_some_and(|id| graph.nodes[id].op.is_layer() == is_layer);
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
        let own = plan.others.get(&node.name).copied();
        let format = match &node.op {
            Op::Input(_) => Some(plan.input),
            Op::Conv(_) | Op::Gemm(_) => plan.layer(&node.name).and_then(|layer| layer.activation),
            Op::Add(_) => own,
            Op::Concat(_) => own.or_else(|| Some(lossless(&inputs))),
            Op::AveragePool(_) | Op::GlobalAveragePool(_) | Op::LeakyRelu(_) => {
                own.or(Some(inputs[0]))
            }
            Op::Relu(_) | Op::Clip(_) => own.or_else(|| Some(without_sign(&node.op, inputs[0]))),
            Op::MaxPool(_)
            | Op::GlobalMaxPool(_)
            | Op::Reshape(_)
            | Op::Pad(_)
            | Op::Affine(_)
            | Op::Softmax(_) => Some(inputs[0]),
        };
        let kind = if node.op.is_layer() { "activation" } else { "result" };
        formats.push(check(&node.name, kind, format, MAX_BITS, MAX_UNSIGNED_BITS)?);
    }
    Ok(formats)
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

/// The input's format, without its sign where the result has none.
fn without_sign(op: &Op, input: Format) -> Format {
    let nonnegative = match op {
        Op::Clip(clip) => clip.min >= 0.0,
        _ => true,
    };
    if nonnegative && input.is_signed() {
        Format::unsigned((input.bits - 1).max(1), input.frac)
    } else {
        input
    }
}

/// The integer network of a graph (prepared for integer semantics) under a plan.
///
/// # Errors
/// [`LowerError`] naming the node.
pub fn lower(
    graph: &Graph,
    plan: &Plan,
    policy: AccumulatorPolicy,
) -> Result<FixedGraph, LowerError> {
    let formats = output_formats(graph, plan)?;
    lower_nodes(graph, plan, policy, &formats, None)
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
    let formats = output_formats(graph, plan)?;
    target
        .check(graph, plan, &formats)
        .and_then(|()| lower_nodes(graph, plan, policy, &formats, Some(target)))
        .map_err(|error| target.refusal(error))
}

fn lower_nodes(
    graph: &Graph,
    plan: &Plan,
    policy: AccumulatorPolicy,
    formats: &[Format],
    target: Option<&Target>,
) -> Result<FixedGraph, LowerError> {
    let lower_node = |id: NodeId| {
        let node = &graph.nodes[id];
        let context = LowerContext {
            node,
            plan,
            policy,
            target,
            inputs: graph.input_shapes(id),
            shape: node.shape,
            formats: node.inputs.iter().map(|&input| formats[input]).collect(),
            output: formats[id],
        };
        let op = node.op.lower(&context)?;
        Ok(FixedNode {
            name: node.name.clone(),
            accumulator_bits: op.accumulator_bits(),
            op,
            inputs: node.inputs.clone(),
            shape: node.shape,
            format: formats[id],
        })
    };
    let nodes = (0..graph.nodes.len()).map(lower_node).collect::<Result<_, LowerError>>()?;
    Ok(FixedGraph { name: graph.name.clone(), nodes, output: graph.output })
}
