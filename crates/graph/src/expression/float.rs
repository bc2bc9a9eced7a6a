//! A function of one element in single precision, many elements at a time.

use super::{Binary, Expression, Unary};
use fixedwise_fixed::convert::f64_to_f32;
use fixedwise_kernels::{FloatFunction, Kernels, apply_function};

/// Elements that are computed together: what is in between stays in the cache.
const RUN: usize = 512;

impl Expression {
    /// Its value of each of `x`, the argument at every position.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn apply(&self, kernels: &'static Kernels, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "one value an element");
        let mut spare = vec![0.0; self.spare() * RUN];
        for (x, y) in x.chunks(RUN).zip(y.chunks_mut(RUN)) {
            self.run(kernels, x, y, &mut spare);
        }
    }

    /// Runs of elements that are needed beside the result.
    fn spare(&self) -> usize {
        match self {
            Self::Argument(_) | Self::Constant(_) => 0,
            Self::Unary(_, a) => a.spare(),
            Self::Binary(_, operands) => {
                let [a, b] = &**operands;
                match b {
                    Self::Argument(_) | Self::Constant(_) => a.spare(),
                    _ => a.spare().max(1 + b.spare()),
                }
            }
        }
    }

    fn run(&self, kernels: &'static Kernels, x: &[f32], y: &mut [f32], spare: &mut [f32]) {
        match self {
            Self::Argument(_) => y.copy_from_slice(x),
            Self::Constant(constant) => y.fill(f64_to_f32(*constant)),
            Self::Unary(function, a) => {
                a.run(kernels, x, y, spare);
                function.apply(kernels, y);
            }
            Self::Binary(function, operands) => {
                let [a, b] = &**operands;
                a.run(kernels, x, y, spare);
                match b {
                    Self::Constant(constant) => function.apply_by(*constant, y),
                    Self::Argument(_) => function.apply(y, x),
                    _ => {
                        let (own, spare) = spare.split_at_mut(RUN);
                        let own = &mut own[..x.len()];
                        b.run(kernels, x, own, spare);
                        function.apply(y, own);
                    }
                }
            }
        }
    }
}

impl Unary {
    /// Its value of each of `y`, in place.
    fn apply(self, kernels: &'static Kernels, y: &mut [f32]) {
        match self {
            Self::Exp => apply_function(kernels, FloatFunction::Exp, y),
            Self::Sigmoid => apply_function(kernels, FloatFunction::Sigmoid, y),
            Self::Tanh => apply_function(kernels, FloatFunction::Tanh, y),
            Self::Softplus => apply_function(kernels, FloatFunction::Softplus, y),
            Self::Erf => apply_function(kernels, FloatFunction::Erf, y),
            Self::Erfc => {
                apply_function(kernels, FloatFunction::Erf, y);
                each(y, |x| 1.0 - x);
            }
            Self::ExpM1 => {
                apply_function(kernels, FloatFunction::Exp, y);
                each(y, |x| x - 1.0);
            }
            Self::Abs => each(y, f32::abs),
            Self::Sqrt => each(y, f32::sqrt),
            Self::Log => each(y, f32::ln),
            _ => each(y, |x| f64_to_f32(self.value(f64::from(x)))),
        }
    }
}

impl Binary {
    /// Its value of each of `y` and a number.
    fn apply_by(self, constant: f64, y: &mut [f32]) {
        let b = f64_to_f32(constant);
        match self {
            Self::Add => each(y, |a| a + b),
            Self::Subtract => each(y, |a| a - b),
            Self::Multiply => each(y, |a| a * b),
            Self::Divide => each(y, |a| a / b),
            Self::Minimum => each(y, |a| if a > b { b } else { a }),
            Self::Maximum => each(y, |a| if a < b { b } else { a }),
            Self::Greater => each(y, |a| if a > b { 1.0 } else { 0.0 }),
            Self::If => each(y, |a| if a == 0.0 { 0.0 } else { b }),
            Self::Unless => each(y, |a| if a == 0.0 { b } else { 0.0 }),
            Self::Power if constant.to_bits() == 2.0_f64.to_bits() => each(y, |a| a * a),
            Self::Power if constant.to_bits() == 3.0_f64.to_bits() => each(y, |a| a * a * a),
            Self::Power => each(y, |a| f64_to_f32(libm::pow(f64::from(a), constant))),
        }
    }

    /// Its value of each of `y` and the element of `other` at the same place.
    fn apply(self, y: &mut [f32], other: &[f32]) {
        match self {
            Self::Add => both(y, other, |a, b| a + b),
            Self::Subtract => both(y, other, |a, b| a - b),
            Self::Multiply => both(y, other, |a, b| a * b),
            Self::Divide => both(y, other, |a, b| a / b),
            Self::Minimum => both(y, other, |a, b| if b.is_nan() || a > b { b } else { a }),
            Self::Maximum => both(y, other, |a, b| if b.is_nan() || a < b { b } else { a }),
            Self::Greater => both(y, other, |a, b| if a > b { 1.0 } else { 0.0 }),
            Self::If => both(y, other, |a, b| if a == 0.0 { 0.0 } else { b }),
            Self::Unless => both(y, other, |a, b| if a == 0.0 { b } else { 0.0 }),
            Self::Power => {
                both(y, other, |a, b| f64_to_f32(libm::pow(f64::from(a), f64::from(b))));
            }
        }
    }
}

fn each(y: &mut [f32], function: impl Fn(f32) -> f32) {
    for y in y {
        *y = function(*y);
    }
}

fn both(y: &mut [f32], other: &[f32], function: impl Fn(f32, f32) -> f32) {
    for (y, &b) in y.iter_mut().zip(other) {
        *y = function(*y, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Single precision follows double precision on every table of kernels.
    #[test]
    fn single_precision_follows_double_precision() {
        let x = Expression::x;
        let all = [
            Unary::Exp,
            Unary::Sigmoid,
            Unary::Tanh,
            Unary::Softplus,
            Unary::Erf,
            Unary::Erfc,
            Unary::Abs,
            Unary::Sqrt,
            Unary::Log,
            Unary::Sin,
            Unary::Atan,
            Unary::ExpM1,
            Unary::Floor,
            Unary::Round,
            Unary::Sign,
        ];
        let mut expressions: Vec<Expression> =
            all.into_iter().map(|function| x().then(function)).collect();
        expressions.extend([
            x() * x().then(Unary::Sigmoid),
            x() * (x() + 3.0).clip(0.0, 6.0) / 6.0,
            (x() * x() + 1.0) / (x().then(Unary::Abs) + x().then(Unary::Exp)).max(x()),
            x() * x().greater(1.5) + Expression::from(-2.0).greater(x()),
            x().power(3.0) - x().min(x().then(Unary::Tanh)),
            Expression::from(2.0).power(x()) * Expression::from(0.25),
        ]);
        let inputs: Vec<f32> = (-6000..=6000_i16).map(|i| f32::from(i) / 171.0).collect();
        for expression in expressions {
            for kernels in Kernels::all() {
                let mut y = vec![0.0; inputs.len()];
                expression.apply(kernels, &inputs, &mut y);
                for (x, y) in inputs.iter().zip(&y) {
                    let expected = expression.value(f64::from(*x));
                    let is_close = if expected.is_finite() {
                        (f64::from(*y) - expected).abs() <= 2e-6 * expected.abs().max(0.5)
                    } else {
                        y.is_nan() && expected.is_nan()
                            || y.to_bits() == f64_to_f32(expected).to_bits()
                    };
                    assert!(
                        is_close,
                        "{expression} of {x} is {expected}, not {y} ({})",
                        kernels.name
                    );
                }
            }
        }
    }

    #[test]
    fn what_has_no_end_or_no_value_stays_so() {
        let of = |function: Unary, x: f32| {
            let mut y = [0.0];
            Expression::x().then(function).apply(Kernels::best(), &[x], &mut y);
            y[0]
        };
        for (function, low, high) in [
            (Unary::Exp, 0.0, f32::INFINITY),
            (Unary::Sigmoid, 0.0, 1.0),
            (Unary::Tanh, -1.0, 1.0),
            (Unary::Softplus, 0.0, f32::INFINITY),
            (Unary::Erf, -1.0, 1.0),
        ] {
            let ends = [of(function, f32::NEG_INFINITY), of(function, f32::INFINITY)];
            assert_eq!(ends.map(f32::to_bits), [low, high].map(f32::to_bits), "{function:?}");
            assert!(of(function, f32::NAN).is_nan(), "{function:?}");
        }
    }
}
