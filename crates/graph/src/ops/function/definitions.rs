//! The functions of one element that file formats have names for.

use crate::expression::{Expression, Unary};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

fn x() -> Expression {
    Expression::x()
}

/// `x / (1 + exp(-x))`.
pub(in crate::ops) fn silu() -> Expression {
    x() * x().then(Unary::Sigmoid)
}

/// `x / (1 + exp(-alpha x))`.
pub(super) fn swish(alpha: f64) -> Expression {
    x() * (x() * alpha).then(Unary::Sigmoid)
}

/// `x min(max(x + 3, 0), 6) / 6`.
pub(in crate::ops) fn hard_swish() -> Expression {
    x() * (x() + 3.0).clip(0.0, 6.0) / 6.0
}

/// `min(max(alpha x + beta, 0), 1)`.
pub(in crate::ops) fn hard_sigmoid(alpha: f64, beta: f64) -> Expression {
    (x() * alpha + beta).clip(0.0, 1.0)
}

/// `min(max(x + 3, 0), 6) / 6`.
pub(in crate::ops) fn hard_sigmoid_by_six() -> Expression {
    (x() + 3.0).clip(0.0, 6.0) / 6.0
}

/// `x Phi(x)`, `Phi` the distribution of the normal law.
pub(in crate::ops) fn gelu() -> Expression {
    x() * (x() * -FRAC_1_SQRT_2).then(Unary::Erfc) * 0.5
}

/// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
pub(super) fn gelu_by_tanh() -> Expression {
    let cubic = x() + x() * x() * x() * 0.044_715;
    // Half of one plus a hyperbolic tangent is the sigmoid of twice its argument.
    x() * (cubic * (SQRT_2 * FRAC_2_SQRT_PI)).then(Unary::Sigmoid)
}

/// `x` where it is positive, else `alpha (exp(x) - 1)`.
pub(in crate::ops) fn elu(alpha: f64) -> Expression {
    x().max(0.0) + x().min(0.0).then(Unary::ExpM1) * alpha
}

/// `gamma x` where it is positive, else `gamma alpha (exp(x) - 1)`.
pub(in crate::ops) fn selu(alpha: f64, gamma: f64) -> Expression {
    elu(alpha) * gamma
}

/// `max(x, 0) + min(alpha (exp(x / alpha) - 1), 0)`.
pub(in crate::ops) fn celu(alpha: f64) -> Expression {
    x().max(0.0) + ((x() / alpha).then(Unary::ExpM1) * alpha).min(0.0)
}

/// `x tanh(log(1 + exp(x)))`.
pub(in crate::ops) fn mish() -> Expression {
    x() * x().then(Unary::Softplus).then(Unary::Tanh)
}

/// `x / (1 + |x|)`.
pub(in crate::ops) fn softsign() -> Expression {
    x() / (x().then(Unary::Abs) + 1.0)
}

/// `x` where it is larger than `theta`, else 0.
pub(in crate::ops) fn thresholded_relu(theta: f64) -> Expression {
    x() * x().greater(theta)
}

/// `x` less `bias` above `threshold`, `x` plus `bias` below `-threshold`, else 0.
pub(in crate::ops) fn shrink(threshold: f64, bias: f64) -> Expression {
    (x() - bias) * x().greater(threshold) + (x() + bias) * Expression::from(-threshold).greater(x())
}

/// `x^exponent`: products where it is 2 or 3, a root where it is one half.
pub(in crate::ops) fn power(exponent: f64) -> Expression {
    let is = |number: f64| exponent.to_bits() == number.to_bits();
    if is(1.0) {
        x()
    } else if is(2.0) {
        x() * x()
    } else if is(3.0) {
        x() * x() * x()
    } else if is(0.5) {
        x().then(Unary::Sqrt)
    } else if is(-1.0) {
        Expression::from(1.0) / x()
    } else {
        x().power(exponent)
    }
}

/// `log(1 / (1 + exp(-x)))`.
pub(in crate::ops) fn log_sigmoid() -> Expression {
    Expression::from(0.0) - (Expression::from(0.0) - x()).then(Unary::Softplus)
}

/// `x - tanh(x)`.
pub(in crate::ops) fn tanh_shrink() -> Expression {
    x() - x().then(Unary::Tanh)
}

/// `(x + sqrt(x^2 + 4)) / 2`.
pub(in crate::ops) fn squareplus() -> Expression {
    (x() + (x() * x() + 4.0).then(Unary::Sqrt)) / 2.0
}

/// 0 up to -1, `x` from 1 on, `(x + 1)^2 / 4` between.
pub(in crate::ops) fn sparse_plus() -> Expression {
    let root = (x().clip(-1.0, 1.0) + 1.0) / 2.0;
    x().max(root.clone() * root)
}

/// `min(max((x + 1) / 2, 0), 1)`.
pub(in crate::ops) fn sparse_sigmoid() -> Expression {
    ((x() + 1.0) / 2.0).clip(0.0, 1.0)
}
