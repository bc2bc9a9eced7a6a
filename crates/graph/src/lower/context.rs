//! What an operator sees of a plan while it becomes integers, and what it may ask.

use super::requantization::{PRODUCT_SHIFT, Requantization, factor_bits};
use crate::{
    error::LowerError,
    plan::{LayerPlan, Rounded},
    shape::{Activation, Shape},
    target::{Code, Granularity, Target},
};
use fixedwise_fixed::{
    AccumulatorBound, Format, Multiplier, Rounding, align, bits_for,
    convert::{exp2, f64_to_i64, saturating_i16},
    shift_round,
};
use fixedwise_kernels::Accumulate;
use std::sync::Arc;

/// Widest weights and signed activations.
pub(super) const MAX_BITS: u8 = Target::MAX_BITS;
/// Widest unsigned activations: they are stored as signed 16-bit integers.
pub(super) const MAX_UNSIGNED_BITS: u8 = 15;
/// Bits of the accumulators a plan must prove.
const ACCUMULATOR_BITS: u8 = 32;

/// Bits by which a channel's binary point may lie right of its tensor's.
const MAX_COARSER: u8 = 15;

/// What happens to a sum that cannot be proved to fit 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccumulatorPolicy {
    /// It is refused, with its layer and channel.
    Prove32,
    /// It is summed exactly in 64 bits: for plans a search has not finished.
    Widen,
}

/// A value that is added to the sums of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residual {
    /// Its format.
    pub format: Format,
    /// The left shift that brings it to the binary point of a channel that is not coarser; a coarser one's is less
    /// by as many bits. It is negative only where sums may be wide ([`AccumulatorPolicy::Widen`]): its last bits are
    /// dropped then.
    pub left: i32,
}

impl Residual {
    /// The largest magnitude that it adds to a sum of a channel that is so many bits coarser.
    fn bound(self, coarser: u8) -> u64 {
        let largest = self.format.max_magnitude().unsigned_abs();
        let left = u32::try_from(self.left - i32::from(coarser)).unwrap_or(0);
        largest.saturating_mul(1 << left)
    }
}

/// The weights of a layer as integers.
#[derive(Clone, Debug)]
pub struct Weights {
    /// The format of the integers: that of the plan, or a finer one with zeros at their end where a value is added that
    /// is finer than the sums would be.
    pub format: Format,
    /// `[output channel, ..]`.
    pub integers: Vec<i16>,
    /// By how many bits the binary point of each channel lies right of the format's; empty where none does.
    pub coarser: Vec<u8>,
    /// What is added to the sums.
    pub residual: Option<Residual>,
}

/// All that the integers of one node depend on, besides its operator: what the plan says of it, and its
/// place in the graph.
#[derive(Clone, Debug)]
pub struct LowerContext<'a> {
    /// The node's name, for errors.
    pub(super) node: &'a str,
    /// Fused into it.
    pub(super) activation: Activation,
    /// What the plan says of it, where it is a layer.
    pub(super) layer: Option<&'a LayerPlan>,
    /// The plan's own integers of its weights.
    pub(super) rounded: Option<&'a Arc<Rounded>>,
    /// How its requantization rounds.
    pub(super) rounding: Rounding,
    /// What happens to sums that are not proved.
    pub(super) policy: AccumulatorPolicy,
    /// Whether its main input is never negative.
    pub(super) is_nonnegative: bool,
    /// Whose rules must be kept.
    pub(super) target: Option<&'a Target>,
    /// Extents of its inputs.
    pub inputs: Vec<Shape>,
    /// Extents of its value.
    pub shape: Shape,
    /// Formats of its inputs.
    pub formats: Vec<Format>,
    /// Format of its value.
    pub output: Format,
}

/// What plans decide of one node of a graph for a target: its integers depend on nothing else.
#[derive(Debug)]
pub(crate) struct Decided {
    layer: Option<LayerPlan>,
    rounded: Option<Arc<Rounded>>,
    rounding: Rounding,
    policy: AccumulatorPolicy,
    formats: Vec<Format>,
    output: Format,
}

impl LowerContext<'_> {
    /// All of this that plans decide.
    pub(crate) fn decided(&self) -> Decided {
        Decided {
            layer: self.layer.cloned(),
            rounded: self.rounded.cloned(),
            rounding: self.rounding,
            policy: self.policy,
            formats: self.formats.clone(),
            output: self.output,
        }
    }

    /// Whether a plan decided the same.
    pub(crate) fn is_of(&self, decided: &Decided) -> bool {
        let same = |(a, b): (&Arc<Rounded>, &Arc<Rounded>)| Arc::ptr_eq(a, b) || a == b;
        self.layer == decided.layer.as_ref()
            && self.rounding == decided.rounding
            && self.policy == decided.policy
            && self.formats == decided.formats
            && self.output == decided.output
            && self.rounded.is_some() == decided.rounded.is_some()
            && self.rounded.zip(decided.rounded.as_ref()).is_none_or(same)
    }

    /// The error for an operator of that name without integer form here.
    pub fn not_legal(&self, op: &'static str, help: &'static str) -> LowerError {
        LowerError::NotLegal { node: self.node.to_owned(), op, help }
    }

    /// Whether its main input is never negative, whatever its format holds.
    pub fn is_nonnegative(&self) -> bool {
        self.is_nonnegative
    }

    /// Why a plan made for the value before it was lifted is refused.
    pub fn lifted(&self, lift: f64) -> LowerError {
        LowerError::Lifted { node: self.node.to_owned(), lift }
    }

    /// The error for a function that has no value between two real numbers which its input may have.
    pub fn undefined(&self, formula: String, from: f64, to: f64) -> LowerError {
        let node = self.node.to_owned();
        LowerError::Undefined { node, formula, from, to, format: self.formats[0] }
    }

    /// The layer's weights as integers of the plan's format: the plan's own, else rounded half to
    /// even.
    ///
    /// # Errors
    /// Where the plan has no format for them or one outside 1 to 16 bits, or integers that are not
    /// of it.
    pub fn weights(&self, weights: &[f32]) -> Result<(Format, Vec<i16>), LowerError> {
        let format = self.layer.and_then(|layer| layer.weights);
        let format = check(self.node, "weights", format, MAX_BITS, MAX_UNSIGNED_BITS)?;
        if let Some(rounded) = self.rounded {
            let is_of_it = |w: &i16| format.holds(i64::from(*w));
            if rounded.weights.len() != weights.len() || !rounded.weights.iter().all(is_of_it) {
                return Err(LowerError::Rounded { node: self.node.to_owned(), format });
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
        let own = self.rounded.filter(|own| own.is_by_channel());
        let Some(own) = own else { return Ok(vec![]) };
        let node = self.node.to_owned();
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
        self.layer.and_then(|layer| layer.bias)
    }

    /// Biases as integers at the accumulator's `scale`, each channel's less by what it is `coarser`:
    /// rounded there, or to the plan's own format and then shifted.
    ///
    /// # Errors
    /// Where the plan's format is outside 1 to 32 bits, or a target that stores the integers at the
    /// accumulator's scale has no width for them.
    pub fn bias(&self, bias: &[f64], scale: i32, coarser: &[u8]) -> Result<Vec<i64>, LowerError> {
        let stored = match self.rounded {
            None => self.bias_integers(bias, scale, coarser)?,
            Some(rounded) => self.bias_integers(&rounded.bias(bias), scale, coarser)?,
        };
        if let Some(target) = self.target
            && (matches!(target.code, Code::C(_)) || self.bias_format().is_none())
        {
            let most = stored.iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
            let (needed, max_bits) = (bits_for(most), target.bias_bits.widest(32));
            if needed > max_bits && self.policy == AccumulatorPolicy::Prove32 {
                return Err(LowerError::Bias { node: self.node.to_owned(), needed, max_bits });
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
        let own = check(self.node, "bias", Some(own), 32, 32)?;
        let to = |(i, b): (usize, &f64)| {
            let shift = scales(i) - i32::from(own.frac);
            let stored = own.quantize(*b);
            if shift >= 0 {
                align(stored, shift.unsigned_abs())
            } else {
                shift_round(stored, -shift, self.rounding)
            }
        };
        Ok(bias.iter().enumerate().map(|b| to(b).clamp(-LIMIT, LIMIT)).collect())
    }

    /// From `scale` (fractional bits of the accumulator) to the output, with the node's activation.
    ///
    /// # Errors
    /// Where the shift is out of reach.
    pub fn requantization(&self, scale: i32) -> Result<Requantization, LowerError> {
        self.requantization_of(scale, self.activation)
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
                leaky = Some(self.multiplier(f64::from(alpha), shift)?);
            }
        }
        let rounding = self.rounding;
        Ok(Requantization { shift, rounding, min, max, leaky, format: self.output })
    }

    /// A factor of sums that are then shifted to the output by that much, and by its own fractional bits.
    ///
    /// # Errors
    /// Where it is so large that the shift is out of reach.
    pub fn multiplier(&self, factor: f64, shift: i32) -> Result<Multiplier, LowerError> {
        let most = self.most_factor_frac(shift);
        let multiplier = Multiplier::nearest(factor, factor_bits(self.output), most);
        self.check_product_shift(shift + multiplier.frac)?;
        Ok(multiplier)
    }

    /// From the product of a sum at `scale` and one of some factors to the output, and how many fractional bits
    /// the factors have: as many as the smallest needs.
    ///
    /// # Errors
    /// Where a shift is out of reach.
    pub fn product_requantization(
        &self,
        scale: i32,
        factors: impl IntoIterator<Item = f64>,
    ) -> Result<(Requantization, i32), LowerError> {
        let mut requantization = self.requantization(scale)?;
        let most = self.most_factor_frac(requantization.shift);
        let frac = Multiplier::common_frac(factors, factor_bits(self.output), most);
        requantization.shift += frac;
        self.check_product_shift(requantization.shift)?;
        Ok((requantization, frac))
    }

    /// From numbers of 64 bits with `scale` fractional bits to the output, by shifts of at most `most`.
    ///
    /// # Errors
    /// Where the shift is out of reach.
    pub fn wide_requantization(&self, scale: i32, most: i32) -> Result<Requantization, LowerError> {
        let shift = scale - i32::from(self.output.frac);
        if !(1..=most).contains(&shift) {
            return Err(self.shift_error(shift));
        }
        self.check_product_shift(shift)?;
        let (min, max) = (self.output.min(), self.output.max());
        let (rounding, format) = (self.rounding, self.output);
        Ok(Requantization { shift, rounding, min, max, leaky: None, format })
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

    /// The most fractional bits of a factor of sums that are then shifted by that much to the output.
    fn most_factor_frac(&self, shift: i32) -> i32 {
        match self.policy {
            AccumulatorPolicy::Prove32 => PRODUCT_SHIFT - shift,
            // Sums of 64 bits have more to drop.
            AccumulatorPolicy::Widen => PRODUCT_SHIFT,
        }
    }

    /// Refuses a shift of a product in 64 bits that is out of reach: what can shift sums as C does can shift these
    /// further.
    fn check_product_shift(&self, shift: i32) -> Result<(), LowerError> {
        let most = Target::MAX_C_SHIFT.end();
        match (self.policy, self.target) {
            (AccumulatorPolicy::Prove32, Some(target)) if target.shift.end() < most => {
                self.check_shift(shift)
            }
            _ => self.check_shift(shift.min(*most)),
        }
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

    /// The error for a shift that is out of reach.
    pub fn shift_error(&self, shift: i32) -> LowerError {
        let (least, most) = self
            .target
            .map_or((*Target::MAX_C_SHIFT.start(), *Target::MAX_C_SHIFT.end()), |target| {
                (*target.shift.start(), *target.shift.end())
            });
        LowerError::Shift { node: self.node.to_owned(), shift, least, most }
    }

    /// Bits of the accumulators that must be proved.
    fn accumulator_bits(&self) -> u8 {
        self.target.map_or(ACCUMULATOR_BITS, |target| target.accumulator_bits)
    }

    /// The layer's weights as integers, such that the value that is added to its sums, if there is one, is nowhere
    /// finer than they are: a channel with coarser sums has its weights multiplied by a power of two.
    ///
    /// # Errors
    /// As [`LowerContext::weights`] and [`LowerContext::coarser`], and where weights would have more than 16 bits.
    pub fn layer_weights(&self, weights: &[f32], channels: usize) -> Result<Weights, LowerError> {
        let (planned, mut integers) = self.weights(weights)?;
        let coarser = self.coarser(channels)?;
        let Some(&added) = self.formats.get(1) else {
            return Ok(Weights { format: planned, integers, coarser, residual: None });
        };
        let sums = i32::from(planned.frac) + i32::from(self.formats[0].frac);
        // With zeros behind them, -1 and +1 have two bits.
        let room = i32::from(MAX_BITS - planned.bits.max(2));
        // By how many bits a channel's sums are too coarse for what is added.
        let lacks = |coarser: u8| (i32::from(added.frac) - sums + i32::from(coarser)).max(0);
        let coarsest = coarser.iter().copied().max().unwrap_or(0);
        if lacks(coarsest) > room && self.policy == AccumulatorPolicy::Prove32 {
            let (node, sums) = (self.node.to_owned(), sums - i32::from(coarsest));
            return Err(LowerError::Residual { node, added: added.frac, sums });
        }
        let more = lacks(0).min(room);
        let left = sums + more - i32::from(added.frac);
        self.left_shift(left.max(0))?;
        let channel = |channel: usize| coarser.get(channel).copied().unwrap_or(0);
        let own = |coarser: u8| lacks(coarser).min(room);
        let depth = integers.len() / channels;
        for (o, filter) in integers.chunks_exact_mut(depth).enumerate() {
            filter.iter_mut().for_each(|w| *w <<= own(channel(o)));
        }
        let longer = u8::try_from(own(coarsest)).unwrap_or(0);
        let frac = i8::try_from(i32::from(planned.frac) + more);
        let frac = frac.map_err(|_| self.shift_error(left))?;
        let rest = |&coarser: &u8| {
            u8::try_from(more + i32::from(coarser) - own(coarser)).unwrap_or(u8::MAX)
        };
        let mut rest: Vec<u8> = coarser.iter().map(rest).collect();
        if rest.iter().all(|&bits| bits == 0) {
            rest.clear();
        }
        let format = if planned.is_bipolar() && longer > 0 {
            Format::signed(2 + longer, frac)
        } else {
            Format { bits: planned.bits + longer, frac, ..planned }
        };
        let residual = Some(Residual { format: added, left });
        Ok(Weights { format, integers, coarser: rest, residual })
    }

    /// How wide a sum of products must be, and the bits its worst channel needs.
    ///
    /// `input` is the format of what they multiply, and `bias` is `[class, channel]`.
    ///
    /// # Errors
    /// [`LowerError::Accumulator`] with the channel, unless the policy widens.
    pub fn prove(
        &self,
        input: Format,
        weights: &Weights,
        channels: usize,
        bias: &[i64],
        requantization: &Requantization,
    ) -> Result<(Accumulate, u8), LowerError> {
        let Weights { integers: weights, coarser, residual, .. } = weights;
        let largest = input.max_magnitude().unsigned_abs();
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
            let coarser = coarser.get(channel).copied().unwrap_or(0);
            let half = requantization.coarser(coarser).half();
            let added = residual.map_or(0, |residual| residual.bound(coarser));
            let bound =
                AccumulatorBound::new(filter.iter().map(|&w| i64::from(w)), largest, largest_bias)
                    .plus(added)
                    .plus(half);
            if !bound.fits(available) && self.policy == AccumulatorPolicy::Prove32 {
                return Err(LowerError::Accumulator {
                    node: self.node.to_owned(),
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

    /// Refuses numbers of magnitude up to `bound` that need more bits, whatever the policy.
    ///
    /// # Errors
    /// [`LowerError::Accumulator`].
    pub fn prove_within(&self, bound: u64, available: u8) -> Result<(), LowerError> {
        let needed = bits_for(bound);
        if needed <= available {
            return Ok(());
        }
        Err(LowerError::Accumulator { node: self.node.to_owned(), channel: 0, needed, available })
    }

    /// The bits a sum of magnitude up to `bound` needs.
    ///
    /// # Errors
    /// [`LowerError::Accumulator`], unless the policy widens.
    pub fn prove_bound(&self, bound: u64) -> Result<u8, LowerError> {
        if self.policy == AccumulatorPolicy::Prove32 {
            self.prove_within(bound, self.accumulator_bits())?;
        }
        Ok(bits_for(bound))
    }
}

pub(super) fn check(
    node: &str,
    kind: &'static str,
    format: Option<Format>,
    max_bits: u8,
    max_unsigned: u8,
) -> Result<Format, LowerError> {
    let format = format.ok_or_else(|| LowerError::MissingFormat { node: node.to_owned(), kind })?;
    if format.is_bipolar() && kind != "weights" {
        return Err(LowerError::Bipolar { node: node.to_owned(), kind });
    }
    let (max_bits, hint) =
        if format.is_signed() { (max_bits, "") } else { (max_unsigned, " without a sign") };
    let refused =
        |_| LowerError::Width { node: node.to_owned(), kind, bits: format.bits, max_bits, hint };
    format.checked(max_bits).map_err(refused)
}
