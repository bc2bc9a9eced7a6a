//! How the kernels of TensorFlow Lite round a sum, and the constants with which that is the rounding of the plan.
//!
//! A sum is multiplied by a scale and rounded. The reference kernels of convolutions (and with them those of
//! microcontrollers and NPUs that follow them) round twice where the scale is a power of two: a half up, then a half away
//! from zero. XNNPACK
//! rounds once, half to even. So ties are avoided: with weights two or four times as large, which fit wherever a channel
//! does not need the largest weights, and one added to the sum, no tie is left and every rounding is the same. Where the
//! weights have no room, the scale is one unit in the last place of a float beside the power of two, which decides
//! ties of positive sums.

use crate::lower::requantization::Requantization;
use fixedwise_fixed::{
    Rounding,
    convert::{exp2, f64_to_f32, f64_to_i64, i64_to_f64},
};

/// Whose rounding a file is made for, where one file cannot be exact for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TfliteKernels {
    /// The reference kernels, and those of microcontrollers and NPUs that follow them.
    #[default]
    Reference,
    /// XNNPACK, with which the interpreter runs on larger processors by default.
    Xnnpack,
}

/// What a file is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct TfliteOptions {
    /// Whose rounding counts where the weights of a layer have no room for that of all kernels.
    pub kernels: TfliteKernels,
    /// Whether weights of at most 4 bits are stored in 4.
    pub int4: bool,
}

/// A sum that is rounded to an output: `sum * mantissa * 2^-shift`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    /// What it is multiplied by.
    pub(crate) mantissa: i64,
    /// The shift after that.
    pub(crate) shift: i32,
    /// The largest magnitude of any part of it.
    pub(crate) bound: u64,
    /// The least that it may be.
    pub(crate) low: i64,
    /// The largest that it may be.
    pub(crate) high: i64,
    /// The largest magnitude of its weights.
    pub(crate) weight: u64,
}

/// How a channel is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Form {
    /// What weights and bias are multiplied by.
    pub(crate) factor: i64,
    /// What is added to the bias then.
    pub(crate) offset: i64,
    /// What a sum is multiplied by, before it is rounded.
    pub(crate) scale: f32,
    /// Whether results may differ from the plan's with the kernels that are asked for.
    pub(crate) is_rounded_otherwise: bool,
}

/// The largest weight of 8 bits; one less is not symmetric.
const MOST_8: u64 = 127;
/// The largest weight of 4 bits.
const MOST_4: u64 = 7;
/// Sums whose last place a scale beside a power of two leaves alone.
const EXACT: f64 = 8_388_608.0;

/// The form of a channel for values of 8 bits; nothing where its sums are out of reach of the kernels.
pub(crate) fn narrow(
    sum: Sum,
    requantization: &Requantization,
    kernels: TfliteKernels,
    is_int4: bool,
) -> Option<Form> {
    let Sum { shift, bound, .. } = sum;
    let rounding = requantization.rounding;
    if sum.mantissa != 1 {
        let most = i64::try_from(MOST_8 / sum.weight.max(1)).unwrap_or(1);
        let factors =
            [127, 113, 101, 64, 32, 16, 8, 4, 2, 1].into_iter().filter(|&factor| factor <= most);
        let all: &[Kernel] = match kernels {
            TfliteKernels::Reference => &[reference, xnnpack],
            TfliteKernels::Xnnpack => &[xnnpack, reference],
        };
        let rounded =
            Form { factor: 1, offset: 0, scale: scale(sum, 1), is_rounded_otherwise: true };
        return Some(searched(sum, requantization, factors, (all, 24)).unwrap_or(rounded));
    }
    let base = exp2(-shift);
    let form = |factor: i64, offset, scale: f64, is_rounded_otherwise| {
        let scale = f64_to_f32(scale / i64_to_f64(factor));
        Form { factor, offset, scale, is_rounded_otherwise }
    };
    if shift <= 0 {
        // To the left in 32 bits.
        let reach = 31_u32.checked_sub(shift.unsigned_abs() + 1)?;
        return (bound < 1 << reach).then(|| form(1, 0, base, false));
    }
    let down = down(sum, rounding, 1);
    let bound = bound.saturating_add(down.unsigned_abs());
    let most = if is_int4 { MOST_4 } else { MOST_8 };
    let results = requantization.max.max(-requantization.min) + 1;
    // Whether sums that are not clamped are exact where they are multiplied.
    let has_room = |factor: i64| {
        let times = factor.unsigned_abs();
        times * sum.weight <= most
            && bound.saturating_mul(times) < (1 << 31) - 1
            && i64_to_f64(results * factor) * exp2(shift) < EXACT
    };
    let (below, above) = (1.0 - exp2(-24), 1.0 + exp2(-23));
    let is_positive = requantization.min >= 0;
    Some(match (rounding, kernels) {
        (Rounding::TiesEven, TfliteKernels::Xnnpack) => form(1, 0, base, !has_room(1)),
        (Rounding::TiesEven, TfliteKernels::Reference) => form(1, 0, base * below, true),
        (Rounding::TiesUp | Rounding::Floor, _) if has_room(4) => {
            form(4, 4 * down + 1, base, false)
        }
        (Rounding::TiesUp | Rounding::Floor, _) if has_room(2) => {
            form(2, 2 * down + 1, base * below, false)
        }
        (_, TfliteKernels::Reference) if shift == 1 => form(1, down, base, false),
        (_, TfliteKernels::Reference) => form(1, down, base * below, !(is_positive && has_room(1))),
        (_, TfliteKernels::Xnnpack) if is_positive => form(1, down, base * above, !has_room(1)),
        (_, TfliteKernels::Xnnpack) => form(1, down, base, true),
    })
}

/// The form of a channel for values of 16 bits: its kernels round once, half up.
pub(crate) fn wide(sum: Sum, requantization: &Requantization) -> Form {
    let form = |offset, is_rounded_otherwise| Form {
        factor: 1,
        offset,
        scale: scale(sum, 1),
        is_rounded_otherwise,
    };
    if sum.mantissa != 1 {
        let found = searched(sum, requantization, [1].into_iter(), (&[wide_kernel], 16));
        return found.unwrap_or_else(|| form(0, true));
    }
    let is_exact = requantization.rounding != Rounding::TiesEven || sum.shift <= 0;
    form(down(sum, requantization.rounding, 1), !is_exact)
}

/// What a sum of weights that are so many times as large is multiplied by.
fn scale(sum: Sum, factor: i64) -> f32 {
    f64_to_f32(i64_to_f64(sum.mantissa) * exp2(-sum.shift) / i64_to_f64(factor))
}

/// What makes rounding half up a rounding down where that is asked for: half a step less.
fn down(sum: Sum, rounding: Rounding, factor: i64) -> i64 {
    if rounding != Rounding::Floor || sum.shift <= 0 {
        return 0;
    }
    f64_to_i64((exp2(sum.shift - 1) * i64_to_f64(factor) / i64_to_f64(-sum.mantissa)).round())
}

/// The first form with one of these factors that gives the plan's results for every sum by all kernels, else by the
/// first of them; nothing where there is none. The scale may be a few of its steps beside its value.
fn searched(
    sum: Sum,
    requantization: &Requantization,
    factors: impl Iterator<Item = i64>,
    (kernels, scale_bits): (&[Kernel], i32),
) -> Option<Form> {
    /// Steps of the scale that are tried to either side.
    const STEPS: i32 = 64;
    let expected = |acc: i64| requantization.apply(acc * sum.mantissa);
    // Results grow with the sums: only where one ends and the next begins need they be compared.
    let (mut checked, mut from) = (vec![sum.low, sum.high], sum.low);
    while expected(from) != expected(sum.high) {
        let (mut below, mut above) = (from, sum.high);
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if expected(middle) == expected(from) { below = middle } else { above = middle }
        }
        checked.extend([below, above]);
        from = above;
    }
    let checked: Vec<(i64, i64)> = checked.into_iter().map(|acc| (acc, expected(acc))).collect();
    let gives = |form: &Form, kernel: &Kernel| {
        checked.iter().all(|&(acc, expected)| {
            let found = kernel(acc * form.factor + form.offset, f64::from(form.scale));
            found.clamp(requantization.min, requantization.max) == expected
        })
    };
    let steps = (0..=STEPS).flat_map(|step| [step, -step]);
    let forms = factors.flat_map(|factor| {
        let (down, scale) = (down(sum, requantization.rounding, factor), scale(sum, factor));
        let offsets = [0, 1, -1].map(|more| down + more);
        let beside =
            move |step: i32| f64::from(scale) * (1.0 + f64::from(step) * exp2(-scale_bits));
        steps.clone().flat_map(move |step| {
            let scale = f64_to_f32(beside(step));
            offsets.map(|offset| Form { factor, offset, scale, is_rounded_otherwise: false })
        })
    });
    let mut first = None;
    for form in forms.filter(|form| gives(form, &kernels[0])) {
        if kernels[1..].iter().all(|kernel| gives(&form, kernel)) {
            return Some(form);
        }
        first = first.or(Some(form));
    }
    first
}

/// What a kernel makes of a sum and the scale that it is multiplied by.
type Kernel = fn(i64, f64) -> i64;

/// What the kernels for values of 16 bits make of a sum: the scale becomes 15 bits and a shift, rounded half up.
///
/// Source: `MultiplyByQuantizedMultiplier` of TensorFlow Lite, for sums of 64 bits.
fn wide_kernel(acc: i64, scale: f64) -> i64 {
    let exponent = f64_to_i64(scale.log2().floor()) + 1;
    let power = exp2(i32::try_from(15 - exponent).unwrap_or(i32::MAX));
    let multiplier = f64_to_i64((scale * power).round()).min(0x7fff);
    let shift = 15 - exponent;
    if shift <= 0 { acc * multiplier } else { (acc * multiplier + (1 << (shift - 1))) >> shift }
}

/// What the reference kernels make of a sum: the scale becomes 31 bits and a shift; the product of both, halved, is
/// rounded half up, what is shifted then half away from zero.
///
/// Source: `MultiplyByQuantizedMultiplier` of TensorFlow Lite.
pub(crate) fn reference(acc: i64, scale: f64) -> i64 {
    let mut exponent = f64_to_i64(scale.log2().floor()) + 1;
    let power = |exponent: i64| exp2(i32::try_from(exponent).unwrap_or(i32::MAX));
    let mut multiplier = f64_to_i64((scale * power(31 - exponent)).round());
    if multiplier == 1 << 31 {
        (multiplier, exponent) = (1 << 30, exponent + 1);
    }
    let (left, right) = (exponent.max(0), (-exponent).max(0));
    let product = i128::from(acc << left) * i128::from(multiplier);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    let high = i64::try_from((product + nudge) / (1 << 31)).unwrap_or(i64::MAX);
    let rest = high & ((1 << right) - 1);
    let threshold = (((1_i64 << right) - 1) >> 1) + i64::from(high < 0);
    (high >> right) + i64::from(rest > threshold)
}

/// What XNNPACK makes of a sum: a product of floats, rounded half to even.
pub(crate) fn xnnpack(acc: i64, scale: f64) -> i64 {
    let product = f64_to_f32(i64_to_f64(acc)) * f64_to_f32(scale);
    f64_to_i64(f64::from(product).round_ties_even())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fixedwise_fixed::Format;

    const KERNELS: [(TfliteKernels, Kernel); 2] =
        [(TfliteKernels::Reference, reference), (TfliteKernels::Xnnpack, xnnpack)];

    fn requantization(rounding: Rounding, shift: i32, format: Format) -> Requantization {
        let (min, max) = (format.min(), format.max());
        Requantization { shift, rounding, min, max, leaky: None, format }
    }

    /// Sums, of those within the bound, for which a kernel gives another result than the plan.
    fn differences(sum: Sum, to: &Requantization, form: &Form, kernel: Kernel) -> Vec<i64> {
        (sum.low..=sum.high)
            .filter(|acc| {
                let found = kernel(acc * form.factor + form.offset, f64::from(form.scale));
                found.clamp(to.min, to.max) != to.apply(acc * sum.mantissa)
            })
            .collect()
    }

    #[test]
    fn kernels_round_as_described() {
        let ties = [-10, -6, -5, -2, -1, 0, 1, 2, 3, 5, 6, 10];
        assert_eq!(ties.map(|acc| reference(acc, 0.25)), [-3, -2, -1, -1, 0, 0, 1, 1, 1, 2, 2, 3]);
        assert_eq!(ties.map(|acc| xnnpack(acc, 0.25)), [-2, -2, -1, 0, 0, 0, 0, 0, 1, 1, 2, 2]);
        assert_eq!([-3, -1, 1, 3].map(|acc| reference(acc, 0.5)), [-1, 0, 1, 2]);
        assert_eq!([-3, 5].map(|acc| reference(acc, 4.0)), [-12, 20]);
    }

    /// Every form gives the plan's integers, or says that it does not and differs at ties alone.
    #[test]
    fn forms_are_exact_or_say_so() {
        for rounding in [Rounding::TiesUp, Rounding::TiesEven, Rounding::Floor] {
            for (shift, weight) in (-2..=9).flat_map(|s| [7, 31, 63, 64, 127].map(|w| (s, w))) {
                for format in [Format::unsigned(8, 0), Format::signed(8, 0), Format::signed(4, 0)] {
                    let to = requantization(rounding, shift, format);
                    let (low, high) = (-3000, 3000);
                    let sum = Sum { mantissa: 1, shift, bound: 3000, low, high, weight };
                    for (kernels, kernel) in KERNELS {
                        let form = narrow(sum, &to, kernels, false).unwrap();
                        assert!(form.factor.unsigned_abs() * weight <= 127);
                        let wrong = differences(sum, &to, &form, kernel);
                        let case = format!("{rounding:?} {kernels:?} {form:?} {to:?}");
                        assert!(form.is_rounded_otherwise || wrong.is_empty(), "{case}: {wrong:?}");
                        if weight <= 63 && rounding != Rounding::TiesEven {
                            // Whatever the kernels.
                            assert!(!form.is_rounded_otherwise, "{case}");
                            assert!(differences(sum, &to, &form, reference).is_empty(), "{case}");
                            assert!(differences(sum, &to, &form, xnnpack).is_empty(), "{case}");
                        }
                        let is_tie = |&acc: &i64| {
                            let half =
                                if rounding == Rounding::Floor { 0 } else { 1 << shift >> 1 };
                            shift > 0 && acc.rem_euclid(1 << shift) == half
                        };
                        assert!(wrong.iter().all(is_tie), "{case}: {wrong:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn means_are_searched_for() {
        for (n, frac) in [(3, 11), (9, 13), (49, 15), (25, 14)] {
            let mantissa = f64_to_i64((exp2(frac) / i64_to_f64(n)).round_ties_even());
            for rounding in [Rounding::TiesUp, Rounding::Floor] {
                for format in [Format::unsigned(8, 0), Format::signed(8, 0)] {
                    let (low, high) = (format.min() * n, format.max() * n);
                    let bound = u64::try_from(high).unwrap();
                    let sum = Sum { mantissa, shift: frac, bound, low, high, weight: 1 };
                    let to = requantization(rounding, frac, format);
                    for (kernels, kernel) in KERNELS {
                        let form = narrow(sum, &to, kernels, false).unwrap();
                        let case = format!("{n} {to:?} {form:?}");
                        // Not every threshold of signed values is met, nor what lies just below a
                        // whole number.
                        let is_met = rounding == Rounding::TiesUp && !format.is_signed();
                        assert!(!is_met || !form.is_rounded_otherwise, "{case}");
                        let wrong = differences(sum, &to, &form, kernel);
                        assert!(form.is_rounded_otherwise || wrong.is_empty(), "{case}");
                    }
                    let form = wide(sum, &to);
                    let wrong = differences(sum, &to, &form, wide_kernel);
                    assert!(form.is_rounded_otherwise || wrong.is_empty(), "{n} {to:?} {form:?}");
                }
            }
        }
    }
}
