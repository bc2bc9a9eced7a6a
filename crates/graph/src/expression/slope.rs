//! The derivative of a function of elements, by the rules of differentiation.

use super::{Binary, Expression, Unary};

impl Expression {
    /// Its value and its derivative by the argument at position `by`, in double precision. Where it has a kink the
    /// derivative is that of one side, where it jumps that of what lies around.
    pub(crate) fn slope(&self, arguments: &[f32], by: usize) -> (f64, f64) {
        match self {
            Self::Argument(position) => {
                (arguments[*position].into(), f64::from(u8::from(*position == by)))
            }
            Self::Constant(constant) => (*constant, 0.0),
            Self::Unary(function, a) => {
                let (a, da) = a.slope(arguments, by);
                let slope = if da == 0.0 { 0.0 } else { da * function.slope(a) };
                (function.value(a), slope)
            }
            Self::Binary(function, operands) => {
                let [a, b] = &**operands;
                let ((a, da), (b, db)) = (a.slope(arguments, by), b.slope(arguments, by));
                (function.value(a, b), function.slope((a, da), (b, db)))
            }
        }
    }
}

impl Unary {
    fn slope(self, x: f64) -> f64 {
        let two_over_root_pi = std::f64::consts::FRAC_2_SQRT_PI;
        let root = |x: f64| libm::sqrt(x);
        match self {
            Self::Abs => {
                if x < 0.0 {
                    -1.0
                } else {
                    1.0
                }
            }
            Self::Acos => -1.0 / root(1.0 - x * x),
            Self::Acosh => 1.0 / root(x * x - 1.0),
            Self::Asin => 1.0 / root(1.0 - x * x),
            Self::Asinh => 1.0 / root(x * x + 1.0),
            Self::Atan => 1.0 / (1.0 + x * x),
            Self::Atanh => 1.0 / (1.0 - x * x),
            Self::Ceil | Self::Floor | Self::Round | Self::Sign => 0.0,
            Self::Cos => -libm::sin(x),
            Self::Cosh => libm::sinh(x),
            Self::Erf => two_over_root_pi * libm::exp(-x * x),
            Self::Erfc => -two_over_root_pi * libm::exp(-x * x),
            Self::Exp | Self::ExpM1 => libm::exp(x),
            Self::Log => 1.0 / x,
            Self::Sigmoid => {
                let y = Self::Sigmoid.value(x);
                y * (1.0 - y)
            }
            Self::Sin => libm::cos(x),
            Self::Sinh => libm::cosh(x),
            Self::Softplus => Self::Sigmoid.value(x),
            Self::Sqrt => 0.5 / root(x),
            Self::Tan => 1.0 + libm::tan(x) * libm::tan(x),
            Self::Tanh => 1.0 - libm::tanh(x) * libm::tanh(x),
        }
    }
}

impl Binary {
    /// Of two numbers with the derivatives of each.
    fn slope(self, (a, da): (f64, f64), (b, db): (f64, f64)) -> f64 {
        match self {
            Self::Add => da + db,
            Self::Subtract => da - db,
            Self::Multiply => da * b + a * db,
            Self::Divide => (da - a / b * db) / b,
            Self::Minimum => {
                if a < b {
                    da
                } else {
                    db
                }
            }
            Self::Maximum => {
                if a > b {
                    da
                } else {
                    db
                }
            }
            Self::Power => {
                let by_base = if da == 0.0 { 0.0 } else { da * b * libm::pow(a, b - 1.0) };
                let by_exponent = if db == 0.0 { 0.0 } else { db * libm::pow(a, b) * libm::log(a) };
                by_base + by_exponent
            }
            Self::Greater => 0.0,
            Self::If => {
                if a == 0.0 {
                    0.0
                } else {
                    db
                }
            }
            Self::Unless => {
                if a == 0.0 {
                    db
                } else {
                    0.0
                }
            }
        }
    }
}
