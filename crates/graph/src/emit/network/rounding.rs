//! How exact integers come out of floating-point arithmetic: which form a requantization takes.
//!
//! Float sums of multiples of `2^-frac` are exact as long as they stay below `2^24` multiples. What
//! is left is the rounding: the standard's `QuantizeLinear` and QONNX' `ROUND` send ties to even.
//! Half of a sum's last place, added before, takes every tie away and sends what was one up; less
//! half a step of the output, it floors.

use super::file::{Dialect, File};
use crate::lower::requantization::Requantization;
use fixedwise_codec::onnx::Attribute;
use fixedwise_fixed::{Rounding, convert::exp2};

/// Integers up to here are exact in a 32-bit float.
pub(crate) const F32_EXACT: u64 = 1 << 24;

/// What stands between a sum and the node that rounds it half to even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// So many halves of the sum's last place are added; 0 for none.
    Offset(i64),
    /// The rounding is computed: in 32-bit floats, or in 64-bit ones.
    Explicit { wide: bool },
}

/// The form for a sum of magnitude up to `bound` multiples of `2^-frac`, the rounding's half
/// included.
pub(crate) fn form(
    dialect: Dialect,
    requantization: &Requantization,
    frac: i32,
    bound: u64,
) -> Form {
    let shift = frac - i32::from(requantization.format.frac);
    if shift <= 0 {
        return Form::Offset(0);
    }
    let floor = 1 - exp2_i64(shift);
    let (offset, reach) = match requantization.rounding {
        Rounding::TiesEven => (0, bound),
        Rounding::Floor if dialect == Dialect::Qonnx => (0, bound),
        Rounding::TiesUp => (1, bound.saturating_mul(2)),
        Rounding::Floor => (floor, bound.saturating_mul(2).saturating_add(floor.unsigned_abs())),
    };
    if reach <= F32_EXACT {
        Form::Offset(offset)
    } else {
        Form::Explicit { wide: bound > F32_EXACT }
    }
}

/// `2^shift`, at most `2^62`, which is out of reach already.
fn exp2_i64(shift: i32) -> i64 {
    1 << shift.clamp(0, 62)
}

impl File {
    /// The value of a sum at `2^-frac`, its activation and rounding applied, in its output's format.
    ///
    /// `bound` is the largest magnitude of the sum in its integers, the rounding's half included.
    pub(crate) fn requantize(
        &mut self,
        name: &str,
        sum: String,
        frac: i32,
        bound: u64,
        requantization: &Requantization,
    ) -> String {
        let (mut sum, mut frac, mut bound) = (sum, frac, bound);
        let mut form_now = form(self.dialect, requantization, frac, bound);
        if let Some(slope) = requantization.leaky {
            let alpha = slope.value();
            // Above zero the sum stays what it is, below it is a multiple of the finer step.
            let below = bound.saturating_mul(slope.mantissa.unsigned_abs());
            let finer = slope.frac.max(0);
            frac += finer;
            bound = bound.saturating_mul(1 << finer).max(below);
            form_now = form(self.dialect, requantization, frac, bound);
            if form_now == (Form::Explicit { wide: true }) {
                sum = self.wide(name, &sum);
                let zero = self.wide_scalar(0.0);
                let alpha = self.wide_scalar(alpha);
                let above = self.node("Max", &format!("{name}_above"), &[&sum, &zero], vec![]);
                let below = self.node("Min", &format!("{name}_below"), &[&sum, &zero], vec![]);
                let below = self.node("Mul", &format!("{name}_slope"), &[&below, &alpha], vec![]);
                sum = self.node("Add", &format!("{name}_leaky"), &[&above, &below], vec![]);
                return self.round(name, &sum, frac, true, true, requantization);
            }
            let alpha = fixedwise_fixed::convert::f64_to_f32(alpha);
            let attributes = vec![("alpha", Attribute::Float(alpha))];
            sum = self.node("LeakyRelu", &format!("{name}_leaky"), &[&sum], attributes);
        }
        match form_now {
            Form::Offset(halves) => {
                let sum = self.offset(name, sum, halves, frac);
                self.clamp(name, &sum, requantization)
            }
            Form::Explicit { wide } => self.round(name, &sum, frac, wide, false, requantization),
        }
    }

    /// `sum` and so many halves of `2^-frac`.
    pub(crate) fn offset(&mut self, name: &str, sum: String, halves: i64, frac: i32) -> String {
        if halves == 0 {
            return sum;
        }
        let half = fixedwise_fixed::convert::i64_to_f64(halves) * exp2(-frac - 1);
        let half = self.scalar(half);
        self.node("Add", &format!("{name}_half"), &[&sum, &half], vec![])
    }

    /// What is left once the rounding's offset is in `sum`.
    pub(crate) fn clamp(
        &mut self,
        name: &str,
        sum: &str,
        requantization: &Requantization,
    ) -> String {
        let Requantization { format, min, max, rounding, .. } = *requantization;
        self.quantize(name, sum, format, min, max, rounding == Rounding::Floor)
    }

    /// Rounds `sum` at `2^-frac` in floating point, then clamps.
    pub(crate) fn round(
        &mut self,
        name: &str,
        sum: &str,
        frac: i32,
        wide: bool,
        is_wide: bool,
        requantization: &Requantization,
    ) -> String {
        let output = i32::from(requantization.format.frac);
        let sum = if wide && !is_wide { self.wide(name, sum) } else { sum.to_owned() };
        let number = |file: &mut Self, x| if wide { file.wide_scalar(x) } else { file.scalar(x) };
        let step = number(self, exp2(output));
        let mut scaled = self.node("Mul", &format!("{name}_steps"), &[&sum, &step], vec![]);
        let rounding = if frac > output { requantization.rounding } else { Rounding::TiesEven };
        if rounding == Rounding::TiesUp {
            let half = number(self, 0.5);
            scaled = self.node("Add", &format!("{name}_half"), &[&scaled, &half], vec![]);
        }
        let op_type = if rounding == Rounding::TiesEven { "Round" } else { "Floor" };
        let mut rounded = self.node(op_type, &format!("{name}_round"), &[&scaled], vec![]);
        if wide {
            // Clamped before it gets narrow: what a 32-bit float cannot hold is beyond every format.
            let low = self.wide_scalar(fixedwise_fixed::convert::i64_to_f64(requantization.min));
            let high = self.wide_scalar(fixedwise_fixed::convert::i64_to_f64(requantization.max));
            rounded = self.node("Clip", &format!("{name}_range"), &[&rounded, &low, &high], vec![]);
            rounded = self.cast(&format!("{name}_narrow"), &rounded, 1);
        }
        let back = self.scalar(exp2(-output));
        let value = self.node("Mul", &format!("{name}_values"), &[&rounded, &back], vec![]);
        self.clamp(name, &value, requantization)
    }

    pub(crate) fn wide(&mut self, name: &str, value: &str) -> String {
        self.cast(&format!("{name}_wide"), value, 11)
    }

    /// To another element type, by its number in ONNX: 1 is a 32-bit float, 11 a 64-bit one.
    fn cast(&mut self, name: &str, value: &str, to: i64) -> String {
        self.node("Cast", name, &[value], vec![("to", to.into())])
    }

    /// A number of 64 bits; all that are needed are exact in 32.
    pub(crate) fn wide_scalar(&mut self, x: f64) -> String {
        let narrow = self.scalar(x);
        self.shared(format!("wide {x}"), &format!("{narrow}_wide"), |file, name| {
            file.cast(name, &narrow, 11)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_fixed::{Format, convert::i64_to_f64, shift_round};

    /// Adding halves and rounding half to even (or, in QONNX, down) is the rounding of the
    /// specification.
    #[test]
    fn an_offset_turns_half_to_even_into_every_rounding() {
        for rounding in [Rounding::TiesUp, Rounding::TiesEven, Rounding::Floor] {
            for shift in -3..=6 {
                let format = Format::signed(16, 4);
                let requantization = Requantization {
                    shift,
                    rounding,
                    min: format.min(),
                    max: format.max(),
                    leaky: None,
                    format,
                };
                for dialect in [Dialect::Standard, Dialect::Qonnx] {
                    let form = form(dialect, &requantization, shift + 4, 1 << 10);
                    let Form::Offset(halves) = form else { panic!("small sums need no more") };
                    let floors = dialect == Dialect::Qonnx && rounding == Rounding::Floor;
                    for acc in -300..=300 {
                        let steps = (i64_to_f64(acc) + i64_to_f64(halves) / 2.0) * exp2(-shift);
                        let rounded = if floors { steps.floor() } else { steps.round_ties_even() };
                        let rounded = fixedwise_fixed::convert::f64_to_i64(rounded);
                        let expected = shift_round(acc, shift, rounding);
                        assert_eq!(rounded, expected, "{rounding:?}: {acc} by {shift}");
                    }
                }
            }
        }
    }
}
