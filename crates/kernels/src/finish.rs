//! From blocks of sums to outputs: loops the compiler vectorizes for each instruction set.

use crate::layout::Block;
use crate::rescale::{Narrowed, with_slice};
use crate::{Activation, Epilogue, Integers, IntegersMut};
use fixedwise_fixed::Rounding;

/// The bias of every output pixel and channel of a layer of `n_channels`.
#[derive(Clone, Copy)]
pub(crate) struct BiasView<'a, T> {
    /// The class of every output pixel.
    pub(crate) classes: &'a [u32],
    /// `[class][co]`.
    pub(crate) values: &'a [T],
    /// The right shift of every channel where they differ, else nothing; the rule's is not looked at
    /// then.
    pub(crate) shifts: &'a [i32],
    pub(crate) n_channels: usize,
}

/// A value with the extents of the output that is added to sums.
#[derive(Clone, Copy)]
pub(crate) struct ResidualView<'a> {
    /// `[pixel][co]`.
    pub(crate) values: Integers<'a>,
    /// The left shift of all channels; a negative one drops bits.
    pub(crate) left: i32,
    /// That of every channel where they differ, else nothing; the one of all is not looked at then.
    pub(crate) lefts: &'a [i32],
    pub(crate) n_channels: usize,
}

impl ResidualView<'_> {
    /// What is added to a sum, by its index among all outputs.
    pub(crate) fn at(&self, index: usize) -> i64 {
        let left = self.lefts.get(index % self.n_channels).copied().unwrap_or(self.left);
        let [left, right] = apart(left);
        self.values.get(index) << left >> right
    }
}

/// A shift as one to the left and one to the right, of which one is 0.
#[inline(always)]
fn apart(left: i32) -> [i32; 2] {
    [left.max(0), (-left).clamp(0, 31)]
}

/// Adds what belongs to each sum of a block; sums wrap as those of the kernels do.
#[inline(always)]
pub(crate) fn add_narrow(block: &Block, added: ResidualView, sums: &mut [i32]) {
    for_each_added(block, added, sums, |sum, value, [left, right]| {
        *sum = sum.wrapping_add(value << (left & 31) >> right);
    });
}

/// The same to sums of 64 bits.
#[inline(always)]
pub(crate) fn add_wide(block: &Block, added: ResidualView, sums: &mut [i64]) {
    for_each_added(block, added, sums, |sum, value, [left, right]| {
        *sum += i64::from(value) << left >> right;
    });
}

/// Calls `add(sum, value, shifts)` for every sum of a block with what belongs to it, and its shifts to the left and to
/// the right.
#[inline(always)]
fn for_each_added<C>(
    block: &Block,
    added: ResidualView,
    sums: &mut [C],
    add: impl Fn(&mut C, i32, [i32; 2]),
) {
    let ResidualView { left, lefts, n_channels, .. } = added;
    let n = block.n_channels;
    with_slice!(Integers, added.values, |values| {
        for pixel in 0..block.n_pixels {
            let from = (block.pixel + pixel) * n_channels + block.channel;
            let all = sums[pixel * block.width..][..n].iter_mut().zip(&values[from..][..n]);
            if lefts.is_empty() {
                let by = apart(left);
                all.for_each(|(sum, &value)| add(sum, value.into(), by));
            } else {
                let lefts = &lefts[block.channel..][..n];
                all.zip(lefts)
                    .for_each(|((sum, &value), &left)| add(sum, value.into(), apart(left)));
            }
        }
    });
}

/// An epilogue proved to need no more than 32 bits: `clamp((sum + bias) >> shift, min, max)`,
/// where the bias has the half of the rounding in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NarrowRule {
    pub(crate) shift: u32,
    pub(crate) min: i32,
    pub(crate) max: i32,
}

/// An epilogue in 64 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WideRule {
    pub(crate) epilogue: Epilogue,
    /// Whether no intermediate of the plain arithmetic below leaves `i64`.
    pub(crate) plain: bool,
}

/// The largest magnitude for which [`WideRule`] is plain.
const PLAIN_LIMIT: u128 = 1 << 62;

impl WideRule {
    /// `bound` is the largest magnitude a sum with its bias can have.
    pub(crate) fn new(epilogue: Epilogue, bound: u128) -> Self {
        let right = |shift: i64| (0..=61).contains(&shift);
        let shift = i64::from(epilogue.shift);
        let plain = bound < PLAIN_LIMIT
            && match epilogue.leaky {
                None => shift <= 61,
                Some((alpha, frac)) => {
                    right(shift)
                        && right(shift + i64::from(frac))
                        && u128::from(alpha.unsigned_abs())
                            .checked_mul(bound)
                            .is_some_and(|product| product < PLAIN_LIMIT)
                }
            };
        WideRule { epilogue, plain }
    }
}

/// Writes `output(sum, bias)` for all of a block.
#[inline(always)]
fn for_each_output<C: Copy, B: Copy, Y>(
    block: &Block,
    sums: &[C],
    bias: BiasView<B>,
    y: &mut [Y],
    output: impl Fn(C, B) -> Y,
) {
    for_each_pixel(block, sums, bias, y, |sums, biases, y| {
        for ((y, &sum), &bias) in y.iter_mut().zip(sums).zip(biases) {
            *y = output(sum, bias);
        }
    });
}

/// Calls `each(sums, biases, outputs)` for every pixel of a block.
#[inline(always)]
pub(crate) fn for_each_pixel<C, B: Copy, Y>(
    block: &Block,
    sums: &[C],
    bias: BiasView<B>,
    y: &mut [Y],
    mut each: impl FnMut(&[C], &[B], &mut [Y]),
) {
    let n = block.n_channels;
    for pixel in 0..block.n_pixels {
        let class = bias.classes[block.pixel + pixel] as usize;
        let from = class * bias.n_channels + block.channel;
        let to = (block.pixel + pixel) * bias.n_channels + block.channel;
        each(&sums[pixel * block.width..][..n], &bias.values[from..][..n], &mut y[to..][..n]);
    }
}

#[inline(always)]
pub(crate) fn narrow(
    block: &Block,
    sums: &[i32],
    bias: BiasView<i32>,
    rule: NarrowRule,
    y: IntegersMut,
) {
    let NarrowRule { shift, min, max } = rule;
    if !bias.shifts.is_empty() {
        return narrow_by_channel(block, sums, bias, rule, y);
    }
    macro_rules! write {
        ($y:expr, $t:ty) => {
            for_each_output(block, sums, bias, $y, |sum, bias| {
                (sum.wrapping_add(bias) >> shift).clamp(min, max) as $t
            })
        };
    }
    match y {
        IntegersMut::U8(y) => write!(y, u8),
        IntegersMut::I8(y) => write!(y, i8),
        IntegersMut::I16(y) => write!(y, i16),
    }
}

/// As [`narrow`], each channel with a shift of its own.
#[inline(always)]
pub(crate) fn narrow_by_channel(
    block: &Block,
    sums: &[i32],
    bias: BiasView<i32>,
    rule: NarrowRule,
    y: IntegersMut,
) {
    let NarrowRule { min, max, .. } = rule;
    let shifts = &bias.shifts[block.channel..][..block.n_channels];
    macro_rules! write {
        ($y:expr, $t:ty) => {
            for_each_pixel(block, sums, bias, $y, |sums, biases, y| {
                for (((y, &sum), &bias), &shift) in y.iter_mut().zip(sums).zip(biases).zip(shifts) {
                    *y = (sum.wrapping_add(bias) >> (shift & 31)).clamp(min, max) as $t;
                }
            })
        };
    }
    match y {
        IntegersMut::U8(y) => write!(y, u8),
        IntegersMut::I8(y) => write!(y, i8),
        IntegersMut::I16(y) => write!(y, i16),
    }
}

/// The outputs of sums with their biases, in the order of the sums; `shifts` are by element and repeat, where
/// there are any; the rule's is not looked at then.
#[inline(always)]
pub(crate) fn in_order(sums: &[i32], shifts: &[i32], rule: NarrowRule, y: IntegersMut) {
    let NarrowRule { shift, min, max } = rule;
    with_slice!(IntegersMut, y, |y| {
        if shifts.is_empty() {
            for (y, &sum) in y.iter_mut().zip(sums) {
                *y = Narrowed::narrow((sum >> shift).clamp(min, max));
            }
            return;
        }
        for (y, sums) in y.chunks_mut(shifts.len()).zip(sums.chunks(shifts.len())) {
            for ((y, &sum), &shift) in y.iter_mut().zip(sums).zip(shifts) {
                *y = Narrowed::narrow((sum >> (shift & 31)).clamp(min, max));
            }
        }
    });
}

#[inline(always)]
pub(crate) fn wide(
    block: &Block,
    sums: &[i64],
    bias: BiasView<i64>,
    rule: WideRule,
    y: IntegersMut,
) {
    match y {
        IntegersMut::U8(y) => wide_to(block, sums, bias, rule, y, |v| v as u8),
        IntegersMut::I8(y) => wide_to(block, sums, bias, rule, y, |v| v as i8),
        IntegersMut::I16(y) => wide_to(block, sums, bias, rule, y, |v| v as i16),
    }
}

#[inline(always)]
fn wide_to<Y>(
    block: &Block,
    sums: &[i64],
    bias: BiasView<i64>,
    rule: WideRule,
    y: &mut [Y],
    convert: impl Fn(i64) -> Y + Copy,
) {
    let Epilogue { shift, rounding, min, max, leaky, .. } = rule.epilogue;
    if !bias.shifts.is_empty() {
        let shifts = &bias.shifts[block.channel..][..block.n_channels];
        for_each_pixel(block, sums, bias, y, |sums, biases, y| {
            for (((y, &sum), &bias), &shift) in y.iter_mut().zip(sums).zip(biases).zip(shifts) {
                *y = convert(Epilogue { shift, ..rule.epilogue }.apply(sum + bias));
            }
        });
        return;
    }
    macro_rules! write {
        (|$v:ident| $output:expr) => {
            for_each_output(block, sums, bias, y, |sum, bias| {
                let $v = sum + bias;
                convert($output.clamp(min, max))
            })
        };
    }
    match (rule.plain, leaky) {
        (false, _) => write!(|v| rule.epilogue.apply(v)),
        (true, Some((alpha, frac))) => {
            let (positive, negative) = (shift, shift + frac);
            match rounding {
                Rounding::TiesUp => write!(|v| if v < 0 {
                    ties_up(v * alpha, negative)
                } else {
                    ties_up(v, positive)
                }),
                Rounding::TiesEven => write!(|v| if v < 0 {
                    ties_even(v * alpha, negative)
                } else {
                    ties_even(v, positive)
                }),
                Rounding::Floor => {
                    write!(|v| if v < 0 { (v * alpha) >> negative } else { v >> positive });
                }
            }
        }
        (true, None) if shift < 0 => {
            // Outputs have at most 16 bits: past 2^17 a sum is clamped whatever is appended, and
            // past 18 bits every sum but zero is.
            let left = shift.unsigned_abs().min(18);
            write!(|v| v.clamp(-(1 << 17), 1 << 17) << left);
        }
        (true, None) => match rounding {
            Rounding::TiesUp => write!(|v| ties_up(v, shift)),
            Rounding::TiesEven => write!(|v| ties_even(v, shift)),
            Rounding::Floor => write!(|v| v >> shift),
        },
    }
}

/// `shift_round` to ties up where `v + half` fits.
#[inline(always)]
pub(crate) fn ties_up(v: i64, shift: i32) -> i64 {
    (v + ((1_i64 << shift) >> 1)) >> shift
}

/// `shift_round` to ties to even where `v + half` fits.
#[inline(always)]
pub(crate) fn ties_even(v: i64, shift: i32) -> i64 {
    // Just under half, and one more where the floor is odd. Nothing is dropped by shift 0.
    let half = (1_i64 << shift) >> 1;
    let odd = (v >> shift) & 1;
    (v + half - i64::from(shift > 0) + (odd & -i64::from(shift > 0))) >> shift
}

/// Sums of 32 bits, each channel's `offset` added (wrapping), as 64 bits.
#[inline(always)]
pub(crate) fn widen(block: &Block, sums: &[i32], offsets: &[i32], wide: &mut [i64]) {
    let n = block.n_channels;
    let offsets = &offsets[block.channel..][..n];
    for pixel in 0..block.n_pixels {
        let sums = &sums[pixel * block.width..][..n];
        let wide = &mut wide[pixel * block.width..][..n];
        for ((wide, &sum), &offset) in wide.iter_mut().zip(sums).zip(offsets) {
            *wide = i64::from(sum.wrapping_add(offset));
        }
    }
}

#[inline(always)]
pub(crate) fn float(
    block: &Block,
    sums: &[f32],
    bias: BiasView<f32>,
    activation: Activation,
    y: &mut [f32],
) {
    macro_rules! write {
        (|$v:ident| $output:expr) => {
            for_each_output(block, sums, bias, y, |sum, bias| {
                let $v = sum + bias;
                $output
            })
        };
    }
    match activation {
        Activation::None => write!(|v| v),
        Activation::Clamp { min, max } => write!(|v| Activation::Clamp { min, max }.apply(v)),
        Activation::Leaky(alpha) => write!(|v| Activation::Leaky(alpha).apply(v)),
    }
}
