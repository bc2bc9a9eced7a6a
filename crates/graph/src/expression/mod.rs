//! A function of the elements at one place of several values, as plain data: what an operator computes
//! where it looks at nothing else.
//!
//! Its value in double precision comes from the pure Rust functions of `libm`, which have the same bits on
//! every machine: the entries of tables are made of it.

mod float;
mod slope;

use crate::shape::Activation;
use fixedwise_fixed::convert::{f64_to_f32, f64_to_i64};
use std::{
    fmt,
    ops::{Add, Div, Mul, Sub},
};

/// A function of elements.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// The element of the input at that position.
    Argument(usize),
    /// A number.
    Constant(f64),
    /// A function of one number.
    Unary(Unary, Box<Self>),
    /// A function of two numbers.
    Binary(Binary, Box<[Self; 2]>),
}

/// The only list of the functions of one number: each with its name in formulas and its value.
macro_rules! unary_functions {
    ($($(#[$doc:meta])* $function:ident $name:literal = $value:expr;)*) => {
        /// A function of one number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Unary {
            $($(#[$doc])* $function,)*
        }

        impl Unary {
            /// Its name in formulas.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$function => $name,)*
                }
            }

            /// Its value; NaN where there is none.
            pub fn value(self, x: f64) -> f64 {
                let function: fn(f64) -> f64 = match self {
                    $(Self::$function => $value,)*
                };
                function(x)
            }
        }
    };
}

unary_functions! {
    /// `|x|`.
    Abs "abs" = f64::abs;
    /// The angle of a cosine.
    Acos "acos" = libm::acos;
    /// Inverse of the hyperbolic cosine.
    Acosh "acosh" = libm::acosh;
    /// The angle of a sine.
    Asin "asin" = libm::asin;
    /// Inverse of the hyperbolic sine.
    Asinh "asinh" = libm::asinh;
    /// The angle of a tangent.
    Atan "atan" = libm::atan;
    /// Inverse of the hyperbolic tangent.
    Atanh "atanh" = libm::atanh;
    /// The integer above.
    Ceil "ceil" = libm::ceil;
    /// Cosine.
    Cos "cos" = libm::cos;
    /// Hyperbolic cosine.
    Cosh "cosh" = libm::cosh;
    /// The Gauss error function.
    Erf "erf" = libm::erf;
    /// One minus the Gauss error function.
    Erfc "erfc" = libm::erfc;
    /// `e^x`.
    Exp "exp" = libm::exp;
    /// `e^x - 1`.
    ExpM1 "expm1" = libm::expm1;
    /// The integer below.
    Floor "floor" = libm::floor;
    /// Natural logarithm.
    Log "log" = libm::log;
    /// The nearest integer, halves to the even one.
    Round "round" = f64::round_ties_even;
    /// `1 / (1 + exp(-x))`.
    Sigmoid "sigmoid" = sigmoid;
    /// -1, 0 or 1.
    Sign "sign" = sign;
    /// Sine.
    Sin "sin" = libm::sin;
    /// Hyperbolic sine.
    Sinh "sinh" = libm::sinh;
    /// `log(1 + exp(x))`.
    Softplus "softplus" = softplus;
    /// Square root.
    Sqrt "sqrt" = libm::sqrt;
    /// Tangent.
    Tan "tan" = libm::tan;
    /// Hyperbolic tangent.
    Tanh "tanh" = libm::tanh;
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { 1.0_f64.copysign(x) }
}

fn softplus(x: f64) -> f64 {
    maximum(x, 0.0) + libm::log1p(libm::exp(-x.abs()))
}

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a * b`.
    Multiply,
    /// `a / b`.
    Divide,
    /// The smaller one.
    Minimum,
    /// The larger one.
    Maximum,
    /// `a^b`.
    Power,
    /// 1 where the first one is larger, else 0.
    Greater,
    /// The second one where the first is not 0, else 0.
    If,
    /// The second one where the first is 0, else 0.
    Unless,
}

impl Binary {
    /// Its value; NaN where there is none, or where either number is NaN.
    pub fn value(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Minimum => -maximum(-a, -b),
            Self::Maximum => maximum(a, b),
            Self::Power => libm::pow(a, b),
            Self::If | Self::Unless if a.is_nan() => a,
            Self::If => {
                if a == 0.0 {
                    0.0
                } else {
                    b
                }
            }
            Self::Unless => {
                if a == 0.0 {
                    b
                } else {
                    0.0
                }
            }
            Self::Greater if a.is_nan() || b.is_nan() => f64::NAN,
            Self::Greater => f64::from(u8::from(a > b)),
        }
    }
}

impl Binary {
    /// Its value of two floats, rounded once.
    pub(crate) fn value_of_floats(self, a: f32, b: f32) -> f32 {
        f64_to_f32(self.value(a.into(), b.into()))
    }
}

/// The larger number, NaN where either is.
fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// The most parts of an expression that operators are joined to.
pub(crate) const MAX_PARTS: usize = 200;

impl Expression {
    /// The element of the only input.
    pub fn x() -> Self {
        Self::Argument(0)
    }

    /// A function of it.
    #[must_use]
    pub fn then(self, function: Unary) -> Self {
        Self::Unary(function, Box::new(self))
    }

    /// The larger one of it and another.
    #[must_use]
    pub fn max(self, other: impl Into<Self>) -> Self {
        self.with(Binary::Maximum, other.into())
    }

    /// The smaller one of it and another.
    #[must_use]
    pub fn min(self, other: impl Into<Self>) -> Self {
        self.with(Binary::Minimum, other.into())
    }

    /// It, raised to another.
    #[must_use]
    pub fn power(self, other: impl Into<Self>) -> Self {
        self.with(Binary::Power, other.into())
    }

    /// 1 where it is larger than another, else 0.
    #[must_use]
    pub fn greater(self, other: impl Into<Self>) -> Self {
        self.with(Binary::Greater, other.into())
    }

    /// It within bounds, which may be infinite; where they cross, the upper one counts.
    #[must_use]
    pub fn clip(self, min: f64, max: f64) -> Self {
        let above = if min == f64::NEG_INFINITY { self } else { self.max(min) };
        if max == f64::INFINITY { above } else { above.min(max) }
    }

    pub(crate) fn with(self, function: Binary, other: Self) -> Self {
        Self::Binary(function, Box::new([self, other]))
    }

    /// Its value in double precision, the argument at every position being `x`.
    ///
    /// Source: `libm`, whose functions have the same bits on every machine.
    pub fn value(&self, x: f64) -> f64 {
        match self {
            Self::Argument(_) => x,
            Self::Constant(constant) => *constant,
            Self::Unary(function, a) => function.value(a.value(x)),
            Self::Binary(function, operands) => {
                let [a, b] = &**operands;
                function.value(a.value(x), b.value(x))
            }
        }
    }

    /// How many parts it has, each function, number and argument counted; `arguments` are the parts of what
    /// the arguments stand for.
    pub(crate) fn parts(&self, arguments: &[usize]) -> usize {
        match self {
            Self::Argument(position) => arguments.get(*position).copied().unwrap_or(1),
            Self::Constant(_) => 1,
            Self::Unary(_, a) => a.parts(arguments).saturating_add(1),
            Self::Binary(_, operands) => {
                let [a, b] = &**operands;
                a.parts(arguments).saturating_add(b.parts(arguments)).saturating_add(1)
            }
        }
    }

    /// It with the arguments replaced by what they stand for.
    #[must_use]
    pub(crate) fn of(&self, arguments: &[Self]) -> Self {
        match self {
            Self::Argument(position) => arguments[*position].clone(),
            Self::Constant(_) => self.clone(),
            Self::Unary(function, a) => a.of(arguments).then(*function),
            Self::Binary(function, operands) => {
                let [a, b] = &**operands;
                a.of(arguments).with(*function, b.of(arguments))
            }
        }
    }

    /// Whether it is never negative; `arguments` where none of them is.
    pub fn is_nonnegative(&self, arguments: bool) -> bool {
        let least = if arguments { 0.0 } else { f64::NEG_INFINITY };
        self.range((least, f64::INFINITY)).0 >= 0.0
    }

    /// Between what its values lie where those of its arguments lie between `argument`.
    fn range(&self, argument: (f64, f64)) -> (f64, f64) {
        const ALL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
        let range = match self {
            Self::Argument(_) => argument,
            Self::Constant(constant) => (*constant, *constant),
            Self::Unary(function, a) => {
                let (low, high) = a.range(argument);
                match function {
                    Unary::Abs if low >= 0.0 => (low, high),
                    Unary::Cosh => (1.0, f64::INFINITY),
                    Unary::Abs | Unary::Acos | Unary::Acosh | Unary::Sqrt => (0.0, f64::INFINITY),
                    Unary::Erfc => (0.0, 2.0),
                    Unary::Sin | Unary::Cos => (-1.0, 1.0),
                    Unary::Tan => ALL,
                    // They rise.
                    _ => (function.value(low), function.value(high)),
                }
            }
            Self::Binary(Binary::Multiply, operands) if operands[0] == operands[1] => {
                (0.0, f64::INFINITY)
            }
            Self::Binary(function, operands) => {
                let [a, b] = [operands[0].range(argument), operands[1].range(argument)];
                let ends = |function: Binary| {
                    let all = [(a.0, b.0), (a.0, b.1), (a.1, b.0), (a.1, b.1)];
                    let value = |(a, b): (f64, f64)| {
                        // Where one is zero, so is the product with any number.
                        let is_zero = function == Binary::Multiply && (a == 0.0 || b == 0.0);
                        if is_zero { 0.0 } else { function.value(a, b) }
                    };
                    let all = all.map(value);
                    let least = all.iter().copied().reduce(|a, b| -maximum(-a, -b));
                    let most = all.iter().copied().reduce(maximum);
                    least.zip(most).unwrap_or(ALL)
                };
                match function {
                    Binary::Greater => (0.0, 1.0),
                    Binary::If | Binary::Unless => (b.0.min(0.0), b.1.max(0.0)),
                    Binary::Divide if b.0 < 0.0 => ALL,
                    Binary::Divide if a.0 >= 0.0 => (0.0, f64::INFINITY),
                    Binary::Divide if b.0 == 0.0 => ALL,
                    Binary::Power => match &operands[1] {
                        // An even exponent, or a base that is never negative.
                        Self::Constant(exponent) if exponent % 2.0 == 0.0 => (0.0, f64::INFINITY),
                        _ if a.0 >= 0.0 => (0.0, f64::INFINITY),
                        _ => ALL,
                    },
                    function => ends(*function),
                }
            }
        };
        if range.0.is_nan() || range.1.is_nan() { ALL } else { range }
    }

    /// The activation that it is, however it is written; of those that are computed inside layers.
    pub(crate) fn as_activation(&self) -> Option<Activation> {
        let Self::Binary(function, operands) = self else { return None };
        let x = |e: &Self| *e == Self::x();
        let constant = |e: &Self| match e {
            Self::Constant(constant) => Some(f64_to_f32(*constant)),
            _ => None,
        };
        // The constant and the other operand.
        let by = || match &**operands {
            [a, b] => constant(b).map(|c| (c, a)).or_else(|| constant(a).map(|c| (c, b))),
        };
        let clip = |min: f32, max: f32| {
            Some(if min == 0.0 && max == f32::INFINITY {
                Activation::Relu
            } else {
                Activation::Clip { min: min.min(max), max }
            })
        };
        let bounds = |activation: Option<Activation>| match activation {
            Some(Activation::Relu) => Some((0.0, f32::INFINITY)),
            Some(Activation::Clip { min, max }) => Some((min, max)),
            _ => None,
        };
        let scale = |e: &Self| match e {
            Self::Binary(Binary::Multiply, factors) => match &**factors {
                [a, b] if x(a) => constant(b),
                [a, b] if x(b) => constant(a),
                _ => None,
            },
            _ => None,
        };
        match function {
            Binary::Maximum | Binary::Minimum => {
                let is_maximum = *function == Binary::Maximum;
                if let Some((bound, inner)) = by() {
                    let (min, max) = if x(inner) {
                        (f32::NEG_INFINITY, f32::INFINITY)
                    } else {
                        bounds(inner.as_activation())?
                    };
                    return if is_maximum {
                        clip(min.max(bound), max.max(bound))
                    } else {
                        clip(min.min(bound), max.min(bound))
                    };
                }
                // The larger of `x` and a part of it.
                let [a, b] = &**operands;
                let alpha = if x(a) {
                    scale(b)
                } else if x(b) {
                    scale(a)
                } else {
                    None
                };
                alpha
                    .filter(|alpha| is_maximum && (0.0..=1.0).contains(alpha))
                    .map(|alpha| Activation::LeakyRelu { alpha })
            }
            Binary::Add => {
                // As it is written from an activation.
                let [a, b] = &**operands;
                let Self::Binary(Binary::Multiply, factors) = b else { return None };
                let [low, alpha] = &**factors;
                let is_leaky = *a == Self::x().max(0.0) && *low == Self::x().min(0.0);
                constant(alpha).filter(|_| is_leaky).map(|alpha| Activation::LeakyRelu { alpha })
            }
            _ => None,
        }
    }

    /// The nearest integer to its value in steps of `2^-frac`, halves to the even one; infinite where it is,
    /// NaN where it has no value.
    ///
    /// A value that lies next to a half is the half: what separates them is what double precision rounded.
    pub(crate) fn steps(&self, x: f64, frac: i32) -> f64 {
        /// Of the value.
        const NEXT_TO: f64 = 1.0 / 4_398_046_511_104.0;
        let steps = self.value(x) * fixedwise_fixed::convert::exp2(frac);
        let half = (steps * 2.0).round_ties_even() / 2.0;
        let is_half = (steps - half).abs() <= NEXT_TO * steps.abs();
        (if is_half { half } else { steps }).round_ties_even()
    }
}

impl From<f64> for Expression {
    fn from(constant: f64) -> Self {
        Self::Constant(constant)
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $function:ident),*) => {
        $(impl<T: Into<Expression>> $trait<T> for Expression {
            type Output = Self;

            fn $method(self, other: T) -> Self {
                self.with(Binary::$function, other.into())
            }
        })*
    };
}
arithmetic!(Add add Add, Sub sub Subtract, Mul mul Multiply, Div div Divide);

impl fmt::Display for Expression {
    /// A formula: `x * sigmoid(x)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(0) => f.write_str("x"),
            Self::Argument(position) => write!(f, "x{position}"),
            Self::Constant(constant) => write!(f, "{constant}"),
            Self::Unary(function, a) => write!(f, "{}({a})", function.name()),
            Self::Binary(function, operands) => {
                let [a, b] = &**operands;
                let sign = match function {
                    Binary::Add => "+",
                    Binary::Subtract => "-",
                    Binary::Multiply => "*",
                    Binary::Divide => "/",
                    Binary::Power => "^",
                    Binary::Greater => ">",
                    Binary::If => return write!(f, "if({a}, {b})"),
                    Binary::Unless => return write!(f, "unless({a}, {b})"),
                    Binary::Minimum => return write!(f, "min({a}, {b})"),
                    Binary::Maximum => return write!(f, "max({a}, {b})"),
                };
                let is_sum = |e: &Self| {
                    matches!(e, Self::Binary(function, _)
                        if !matches!(function, Binary::Minimum | Binary::Maximum | Binary::If | Binary::Unless))
                };
                let part = |e: &Self| if is_sum(e) { format!("({e})") } else { e.to_string() };
                write!(f, "{} {sign} {}", part(a), part(b))
            }
        }
    }
}

impl From<Activation> for Expression {
    fn from(activation: Activation) -> Self {
        let x = Self::x;
        match activation {
            Activation::None => x(),
            Activation::Relu => x().max(0.0),
            Activation::Clip { min, max } => x().clip(min.into(), max.into()),
            Activation::LeakyRelu { alpha } => x().max(0.0) + x().min(0.0) * f64::from(alpha),
        }
    }
}

/// An integer that a float is, saturating.
pub(crate) fn integer(steps: f64) -> i64 {
    f64_to_i64(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_read_as_they_are_written() {
        let x = Expression::x;
        let hard_swish = x() * (x() + 3.0).clip(0.0, 6.0) / 6.0;
        assert_eq!(hard_swish.to_string(), "(x * min(max(x + 3, 0), 6)) / 6");
        assert_eq!((x() * x().then(Unary::Sigmoid)).to_string(), "x * sigmoid(x)");
    }

    #[test]
    fn signs_are_known() {
        let x = Expression::x;
        for (expression, any, of_nonnegative) in [
            (x().then(Unary::Sigmoid), true, true),
            (x() * x().then(Unary::Sigmoid), false, true),
            (x() * x(), true, true),
            (x() * (x() + 3.0).clip(0.0, 6.0) / 6.0, false, true),
            (x().power(2.0), true, true),
            (x().power(3.0), false, true),
            (Expression::from(1.0) - x(), false, false),
            (Expression::from(1.0) / x(), false, true),
            (x().then(Unary::Softplus), true, true),
            (x().then(Unary::Tanh), false, true),
            (x().then(Unary::Log), false, false),
            (x().max(0.5).then(Unary::Log), false, false),
            (x().max(1.0).then(Unary::Log), true, true),
            (x().then(Unary::Abs) - 0.0, true, true),
        ] {
            assert_eq!(expression.is_nonnegative(false), any, "{expression}");
            assert_eq!(expression.is_nonnegative(true), of_nonnegative, "{expression}");
        }
    }

    #[test]
    fn activations_are_known_however_they_are_written() {
        let x = Expression::x;
        let leaky = Some(Activation::LeakyRelu { alpha: 0.25 });
        let clip = |min, max| Some(Activation::Clip { min, max });
        for (expression, expected) in [
            (x().max(x() * 0.25), leaky),
            ((x() * 0.25).max(x()), leaky),
            (Expression::from(Activation::LeakyRelu { alpha: 0.25 }), leaky),
            (x().max(x() * 1.5), None),
            (x().min(x() * 0.25), None),
            (x().max(0.0), Some(Activation::Relu)),
            (Expression::from(0.0).max(x()), Some(Activation::Relu)),
            (x().max(0.0).min(6.0), clip(0.0, 6.0)),
            (Expression::from(6.0).min(x().clip(-1.0, 8.0)), clip(-1.0, 6.0)),
            (x().min(1.0).max(2.0), clip(2.0, 2.0)),
            (x() * 2.0, None),
        ] {
            assert_eq!(expression.as_activation(), expected, "{expression}");
        }
    }

    #[test]
    fn halves_are_halves_however_they_are_computed() {
        let x = Expression::x;
        // 10 / 4 three ways; a tenth rounds up or down.
        for half in [x() / 4.0, x() * 0.1 * 2.5, x() / 40.0 * 10.0] {
            assert_eq!(integer(half.steps(10.0, 0)), 2, "{half}");
            assert_eq!(integer(half.steps(-14.0, 0)), -4, "{half}");
        }
        assert_eq!(integer((x() / 4.0).steps(10.000_001, 0)), 3);
        assert!((Expression::from(1.0) / x()).steps(0.0, 3).is_infinite());
        assert!(x().then(Unary::Log).steps(-1.0, 3).is_nan());
    }

    #[test]
    fn a_number_that_is_none_stays_none() {
        for function in [Binary::Minimum, Binary::Maximum] {
            assert!(
                function.value(f64::NAN, 0.0).is_nan() && function.value(0.0, f64::NAN).is_nan()
            );
        }
        let both = [Binary::Minimum.value(1.0, 2.0), Binary::Maximum.value(1.0, 2.0)];
        assert_eq!(both.map(integer), [1, 2]);
    }
}
