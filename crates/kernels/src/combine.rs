//! Two values element by element: the sum, difference, product, larger or smaller one of each pair, where a
//! value with an extent of one goes with every element of that axis.
//!
//! [`Combination::combine`] equals [`Function::apply`] and [`Epilogue::apply`] pair by pair; where no
//! intermediate can leave `i32` the compiler vectorizes the same arithmetic on `i32`.

use crate::{
    Epilogue, Integers, IntegersMut, Kernels,
    rescale::{Narrow, Narrowed, with_slice},
};

/// What is computed of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// The larger one.
    Max,
    /// The smaller one.
    Min,
}

impl Function {
    /// All functions.
    pub const ALL: [Self; 5] = [Self::Add, Self::Sub, Self::Mul, Self::Max, Self::Min];

    /// The largest magnitude of a result of magnitudes up to these.
    pub fn bound(self, a: u64, b: u64) -> u64 {
        match self {
            Self::Add | Self::Sub => a.saturating_add(b),
            Self::Mul => a.saturating_mul(b),
            Self::Max | Self::Min => a.max(b),
        }
    }

    /// The specification.
    #[inline]
    pub fn apply(self, a: i64, b: i64) -> i64 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Max => a.max(b),
            Self::Min => a.min(b),
        }
    }
}

/// How the elements of two values of extents `[h, w, c]` meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// From the outermost to the innermost, at least one: how many steps, and how far one goes in each value.
    axes: Vec<(usize, [usize; 2])>,
}

impl Broadcast {
    /// Of two values; `None` where an axis has two extents, neither of which is one.
    pub fn new(a: [usize; 3], b: [usize; 3]) -> Option<Self> {
        let mut axes: Vec<(usize, [usize; 2])> = Vec::new();
        let mut inner = [1, 1];
        for axis in (0..3).rev() {
            let extents = [a[axis], b[axis]];
            let extent = extents[0].max(extents[1]);
            if extents.iter().any(|&own| own != 1 && own != extent) {
                return None;
            }
            let strides = [0, 1].map(|i| if extents[i] == 1 { 0 } else { inner[i] });
            [0, 1].iter().for_each(|&i| inner[i] *= extents[i]);
            if extent == 1 {
                continue;
            }
            match axes.last_mut() {
                // It goes on where the axis inside it ends.
                Some((steps, of)) if [0, 1].iter().all(|&i| strides[i] == of[i] * *steps) => {
                    *steps *= extent;
                }
                _ => axes.push((extent, strides)),
            }
        }
        if axes.is_empty() {
            axes.push((1, [1, 1]));
        }
        axes.reverse();
        Some(Self { axes })
    }

    /// The three loops, the outermost first: how many steps, and how far one goes in each value.
    pub fn loops(&self) -> [(usize, [usize; 2]); 3] {
        let mut loops = [(1, [0, 0]); 3];
        let missing = 3 - self.axes.len();
        loops[missing..].copy_from_slice(&self.axes);
        loops
    }

    /// Whether each element of one meets the one at its place in the other.
    pub fn is_plain(&self) -> bool {
        matches!(self.axes[..], [(_, [1, 1])])
    }

    /// Calls `each(start in a, start in b, start in the result)` for all runs of the innermost loop.
    #[inline(always)]
    fn for_each_run(&self, mut each: impl FnMut(usize, usize, usize)) {
        let [outer, middle, (len, _)] = self.loops();
        let mut to = 0;
        for i in 0..outer.0 {
            for j in 0..middle.0 {
                let [a, b] = [0, 1].map(|of: usize| i * outer.1[of] + j * middle.1[of]);
                each(a, b, to);
                to += len;
            }
        }
    }

    /// Elements of each value and of the result.
    fn lens(&self) -> [usize; 3] {
        let of = |i: usize| {
            self.axes.iter().map(|(n, step)| if step[i] == 0 { 1 } else { *n }).product()
        };
        [of(0), of(1), self.axes.iter().map(|(n, _)| n).product()]
    }
}

/// The results of pairs of integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    /// Of each pair.
    pub function: Function,
    /// Left shifts of the two before.
    pub shifts: [u32; 2],
    /// From the result to the output.
    pub epilogue: Epilogue,
    /// Which elements meet.
    pub broadcast: Broadcast,
}

impl Combination {
    /// Writes the outputs.
    ///
    /// # Panics
    /// If the lengths are not those of the broadcast, or a shift is more than 40.
    pub fn combine(&self, kernels: &Kernels, a: Integers, b: Integers, mut y: IntegersMut) {
        let Self { function, shifts, epilogue, broadcast } = self;
        assert_eq!([a.len(), b.len(), y.len()], broadcast.lens(), "the lengths are not these");
        assert!(shifts.iter().all(|&shift| shift <= 40), "a shift is more than 40");
        let bound =
            |x: Integers, shift: u32| (x.element().max().max(-x.element().min()) as u64) << shift;
        let bound = function.bound(bound(a, shifts[0]), bound(b, shifts[1]));
        if let Some(narrow) = Narrow::new(epilogue, bound) {
            let rule = PairRule { function: *function, shifts: *shifts, narrow };
            (kernels.plain.combine_i32)(rule, broadcast, a, b, y);
            return;
        }
        let [.., (len, [step_a, step_b])] = broadcast.loops();
        broadcast.for_each_run(|from_a, from_b, to| {
            for i in 0..len {
                let a = a.get(from_a + i * step_a) << shifts[0];
                let b = b.get(from_b + i * step_b) << shifts[1];
                y.set(to + i, epilogue.apply(function.apply(a, b)));
            }
        });
    }
}

/// The results of pairs of floats.
///
/// # Panics
/// If the lengths are not those of the broadcast.
pub fn combine_floats(
    kernels: &Kernels,
    function: Function,
    broadcast: &Broadcast,
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
) {
    assert_eq!([a.len(), b.len(), y.len()], broadcast.lens(), "the lengths are not these");
    (kernels.plain.combine_f32)(function, broadcast, a, b, y);
}

/// What the loops in `i32` compute of a pair.
#[derive(Clone, Copy)]
pub(crate) struct PairRule {
    function: Function,
    shifts: [u32; 2],
    narrow: Narrow,
}

/// All pairs in `i32`.
#[inline(always)]
pub(crate) fn narrow(
    rule: PairRule,
    broadcast: &Broadcast,
    a: Integers,
    b: Integers,
    mut y: IntegersMut,
) {
    let [.., (len, steps)] = broadcast.loops();
    broadcast.for_each_run(|from_a, from_b, to| {
        let mut at = 0;
        while at + 64 <= len {
            let from = [from_a + at * steps[0], from_b + at * steps[1]];
            pairs::<64>(rule, [a, b], from, steps, y.slice(to + at..to + at + 64));
            at += 64;
        }
        while at + 16 <= len {
            let from = [from_a + at * steps[0], from_b + at * steps[1]];
            pairs::<16>(rule, [a, b], from, steps, y.slice(to + at..to + at + 16));
            at += 16;
        }
        while at + 8 <= len {
            let from = [from_a + at * steps[0], from_b + at * steps[1]];
            pairs::<8>(rule, [a, b], from, steps, y.slice(to + at..to + at + 8));
            at += 8;
        }
        while at < len {
            let from = [from_a + at * steps[0], from_b + at * steps[1]];
            pairs::<1>(rule, [a, b], from, steps, y.slice(to + at..to + at + 1));
            at += 1;
        }
    });
}

/// `N` pairs, in registers.
#[inline(always)]
fn pairs<const N: usize>(
    rule: PairRule,
    [a, b]: [Integers; 2],
    from: [usize; 2],
    steps: [usize; 2],
    y: IntegersMut,
) {
    let a: [i32; N] = widened(a, from[0], steps[0], rule.shifts[0]);
    let b: [i32; N] = widened(b, from[1], steps[1], rule.shifts[1]);
    let all = |function: fn(i32, i32) -> i32| core::array::from_fn(|i| function(a[i], b[i]));
    let results: [i32; N] = match rule.function {
        Function::Add => all(|a, b| a + b),
        Function::Sub => all(|a, b| a - b),
        Function::Mul => all(|a, b| a * b),
        Function::Max => all(i32::max),
        Function::Min => all(i32::min),
    };
    with_slice!(IntegersMut, y, |y| {
        let y = &mut y[..N];
        for i in 0..N {
            y[i] = Narrowed::narrow(rule.narrow.apply(results[i]));
        }
    });
}

/// `N` elements from `from` on, or the same one, shifted to the left.
#[inline(always)]
fn widened<const N: usize>(x: Integers, from: usize, step: usize, shift: u32) -> [i32; N] {
    with_slice!(Integers, x, |x| {
        if step == 0 {
            [x[from].widen() << shift; N]
        } else {
            let x = &x[from..][..N];
            core::array::from_fn(|i| x[i].widen() << shift)
        }
    })
}

/// All pairs of floats.
#[inline(always)]
pub(crate) fn float(
    function: Function,
    broadcast: &Broadcast,
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
) {
    match function {
        Function::Add => floats(|a, b| a + b, broadcast, a, b, y),
        Function::Sub => floats(|a, b| a - b, broadcast, a, b, y),
        Function::Mul => floats(|a, b| a * b, broadcast, a, b, y),
        Function::Max => floats(|a, b| if a > b { a } else { b }, broadcast, a, b, y),
        Function::Min => floats(|a, b| if a < b { a } else { b }, broadcast, a, b, y),
    }
}

#[inline(always)]
fn floats(
    apply: impl Fn(f32, f32) -> f32,
    broadcast: &Broadcast,
    a: &[f32],
    b: &[f32],
    y: &mut [f32],
) {
    let [.., (len, [step_a, step_b])] = broadcast.loops();
    broadcast.for_each_run(|from_a, from_b, to| {
        let y = &mut y[to..to + len];
        let (a, b) = (&a[from_a..][..=(len - 1) * step_a], &b[from_b..][..=(len - 1) * step_b]);
        match (step_a, step_b) {
            (0, _) => y.iter_mut().zip(b).for_each(|(y, &b)| *y = apply(a[0], b)),
            (_, 0) => y.iter_mut().zip(a).for_each(|(y, &a)| *y = apply(a, b[0])),
            _ => y.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = apply(a, b)),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Element,
        rescale::tests::{ELEMENTS, epilogues, values, with, written},
    };

    /// Extents of pairs: alike, a gate of channels, one value, a map, and each axis alone.
    const EXTENTS: [[[usize; 3]; 2]; 9] = [
        [[4, 4, 16], [4, 4, 16]],
        [[4, 4, 16], [1, 1, 16]],
        [[1, 1, 1], [4, 4, 16]],
        [[4, 4, 16], [4, 4, 1]],
        [[4, 1, 16], [1, 4, 1]],
        [[1, 4, 16], [4, 4, 16]],
        [[4, 1, 1], [4, 4, 16]],
        [[2, 1, 128], [2, 1, 128]],
        [[1, 1, 1], [1, 1, 1]],
    ];

    /// The elements of a value of extents `from` where those of the result are, axis by axis.
    fn spread<T: Copy>(x: &[T], from: [usize; 3], to: [usize; 3]) -> Vec<T> {
        let mut all = Vec::new();
        for i in 0..to[0] {
            for j in 0..to[1] {
                for k in 0..to[2] {
                    let at = |axis: usize, i: usize| if from[axis] == 1 { 0 } else { i };
                    all.push(x[(at(0, i) * from[1] + at(1, j)) * from[2] + at(2, k)]);
                }
            }
        }
        all
    }

    fn result(a: [usize; 3], b: [usize; 3]) -> [usize; 3] {
        [0, 1, 2].map(|axis| a[axis].max(b[axis]))
    }

    #[test]
    fn pairs_are_the_function_and_the_epilogue_of_each() {
        for (a, b) in ELEMENTS.iter().flat_map(|&a| ELEMENTS.map(|b| (a, b))) {
            for function in Function::ALL {
                for (round, epilogue) in epilogues(Element::I16).into_iter().enumerate() {
                    let [of_a, of_b] = EXTENTS[round % EXTENTS.len()];
                    let shifts = [[0, 0], [3, 0], [0, 17]][round % 3];
                    let broadcast = Broadcast::new(of_a, of_b).unwrap();
                    let to = result(of_a, of_b);
                    let (mut x, mut z) = (values(a), values(b));
                    z.reverse();
                    z.rotate_left(100);
                    x.truncate(of_a.iter().product());
                    z.truncate(of_b.iter().product());
                    let pairs = spread(&x, of_a, to).into_iter().zip(spread(&z, of_b, to));
                    let expected: Vec<i64> = pairs
                        .map(|(x, z)| {
                            epilogue.apply(function.apply(x << shifts[0], z << shifts[1]))
                        })
                        .collect();
                    let combination = Combination { function, shifts, epilogue, broadcast };
                    for kernels in Kernels::all() {
                        let got = with(a, &x, |x| {
                            with(b, &z, |z| {
                                written(Element::I16, expected.len(), |y| {
                                    combination.combine(kernels, x, z, y);
                                })
                            })
                        });
                        assert_eq!(got, expected, "{}: {a:?} {b:?} {combination:?}", kernels.name);
                    }
                }
            }
        }
    }

    #[test]
    fn floats_meet_as_integers_do() {
        let numbers = |n: usize, first: f32| -> Vec<f32> {
            (0..n).map(|i| first - (i * 7 % 23) as f32 * 0.37).collect()
        };
        for [of_a, of_b] in EXTENTS {
            let (a, b) = (numbers(of_a.iter().product(), 3.0), numbers(of_b.iter().product(), 4.5));
            let (broadcast, to) = (Broadcast::new(of_a, of_b).unwrap(), result(of_a, of_b));
            for function in Function::ALL {
                let apply = |(a, b): (f32, f32)| match function {
                    Function::Add => a + b,
                    Function::Sub => a - b,
                    Function::Mul => a * b,
                    Function::Max => a.max(b),
                    Function::Min => a.min(b),
                };
                let pairs = spread(&a, of_a, to).into_iter().zip(spread(&b, of_b, to));
                let expected: Vec<f32> = pairs.map(apply).collect();
                for kernels in Kernels::all() {
                    let mut y = vec![0.0; expected.len()];
                    combine_floats(kernels, function, &broadcast, &a, &b, &mut y);
                    assert_eq!(y, expected, "{}: {function:?} {of_a:?} {of_b:?}", kernels.name);
                }
            }
        }
    }

    #[test]
    fn extents_that_do_not_meet_are_refused() {
        assert_eq!(Broadcast::new([2, 3, 4], [2, 3, 5]), None);
        assert_eq!(Broadcast::new([2, 3, 4], [3, 1, 4]), None);
        assert!(Broadcast::new([2, 3, 4], [2, 3, 4]).unwrap().is_plain());
        assert!(!Broadcast::new([2, 3, 4], [1, 1, 4]).unwrap().is_plain());
    }
}
