//! Element by element, with broadcasting.

use super::{
    super::constant::{Constant, Elements, Int, broadcast, broadcast_places, fits, range},
    Fold,
};
use crate::error::ImportError;
use fixedwise_codec::onnx::ElementType;
use fixedwise_fixed::convert::{f64_to_f32, f64_to_i64};
use std::cmp::Ordering;

type Outputs = Result<Vec<Constant>, ImportError>;

/// Two elements to one, in floats and in integers; `None` where the result is no number of the type.
struct Binary {
    float: fn(f64, f64) -> f64,
    int: fn(Int, Int) -> Option<Int>,
}

fn pair(fold: &Fold, a: &Constant, b: &Constant, of: &Binary) -> Result<Constant, ImportError> {
    let dims = common(fold, a, b)?;
    let places = broadcast_places(&a.dims, &dims).zip(broadcast_places(&b.dims, &dims));
    let elements = match (&a.elements, &b.elements) {
        (Elements::Floats(x), Elements::Floats(y)) => Elements::Floats(
            places.map(|(i, j)| f64_to_f32((of.float)(x[i].into(), y[j].into()))).collect(),
        ),
        (Elements::Ints(x), Elements::Ints(y)) => {
            let computed = |(i, j): (usize, usize)| {
                (of.int)(x[i], y[j]).filter(|z| fits(a.element, z.of_one_image())).ok_or_else(
                    || {
                        let operands = (x[i].of_one_image(), y[j].of_one_image());
                        fold.error(format!("has no integer result for {operands:?}"))
                    },
                )
            };
            Elements::Ints(places.map(computed).collect::<Result<_, _>>()?)
        }
        _ => return Err(fold.error("mixes floats and integers")),
    };
    Ok(Constant { dims, elements, element: a.element })
}

fn common(fold: &Fold, a: &Constant, b: &Constant) -> Result<Vec<usize>, ImportError> {
    let dims = broadcast(&a.dims, &b.dims).ok_or_else(|| {
        fold.error(format!("its inputs of shape {:?} and {:?} do not fit", a.dims, b.dims))
    })?;
    fold.check_size(&dims)?;
    Ok(dims)
}

fn binary(fold: &Fold, of: &Binary) -> Outputs {
    Ok(vec![pair(fold, fold.input(0)?, fold.input(1)?, of)?])
}

/// The same of one or more inputs, one after the other.
fn all(fold: &Fold, of: &Binary) -> Outputs {
    let mut result = fold.input(0)?.clone();
    for position in 1..fold.inputs.len() {
        result = pair(fold, &result, fold.input(position)?, of)?;
    }
    Ok(vec![result])
}

const ADD: Binary = Binary { float: |a, b| a + b, int: Int::add };

pub(super) fn add(fold: &mut Fold) -> Outputs {
    binary(fold, &ADD)
}

pub(super) fn sub(fold: &mut Fold) -> Outputs {
    binary(fold, &Binary { float: |a, b| a - b, int: |a, b| a.add(b.negate()?) })
}

pub(super) fn mul(fold: &mut Fold) -> Outputs {
    binary(fold, &Binary { float: |a, b| a * b, int: Int::multiply })
}

pub(super) fn div(fold: &mut Fold) -> Outputs {
    binary(fold, &Binary { float: |a, b| a / b, int: Int::divide })
}

pub(super) fn modulo(fold: &mut Fold) -> Outputs {
    let truncates = fold.attributes.int("fmod", 0)? != 0;
    if truncates {
        return binary(fold, &Binary { float: |a, b| a % b, int: remainder });
    }
    // The sign is that of the divisor.
    let int = |a: Int, b: Int| {
        let (rest, by) = (remainder(a, b)?.of_one_image(), b.of_one_image());
        let is_on_other_side = rest != 0 && (rest < 0) != (by < 0);
        Some(Int::from(if is_on_other_side { rest + by } else { rest }))
    };
    binary(fold, &Binary { float: |a, b| a - b * (a / b).floor(), int })
}

fn remainder(a: Int, b: Int) -> Option<Int> {
    a.of_one_image().checked_rem(b.of_one_image()).map(Int::from)
}

pub(super) fn pow(fold: &mut Fold) -> Outputs {
    let (base, exponent) = (fold.input(0)?, fold.input(1)?);
    let int = |a: Int, b: Int| {
        let exponent = u32::try_from(b.of_one_image()).ok()?;
        a.of_one_image().checked_pow(exponent).map(Int::from)
    };
    let of = Binary { float: f64::powf, int };
    // The types may differ; the result has that of the base.
    let exponent = match (&base.elements, &exponent.elements) {
        (Elements::Floats(_), Elements::Ints(_)) => converted(fold, exponent, ElementType::F32)?,
        (Elements::Ints(_), Elements::Floats(_)) => converted(fold, exponent, ElementType::I64)?,
        _ => exponent.clone(),
    };
    Ok(vec![pair(fold, base, &exponent, &of)?])
}

const MIN: Binary =
    Binary { float: f64::min, int: |a, b| Some(if b.compare(a).is_lt() { b } else { a }) };
const MAX: Binary =
    Binary { float: f64::max, int: |a, b| Some(if b.compare(a).is_gt() { b } else { a }) };

pub(super) fn min(fold: &mut Fold) -> Outputs {
    all(fold, &MIN)
}

pub(super) fn max(fold: &mut Fold) -> Outputs {
    all(fold, &MAX)
}

pub(super) fn sum(fold: &mut Fold) -> Outputs {
    all(fold, &ADD)
}

pub(super) fn mean(fold: &mut Fold) -> Outputs {
    let sum = all(fold, &ADD)?.remove(0);
    let n = fixedwise_fixed::convert::count_to_f64(fold.inputs.len());
    unary_float(fold, &sum, |x| x / n)
}

/// Two elements to a truth value.
fn compare(fold: &Fold, float: fn(f64, f64) -> bool, int: fn(Int, Int) -> bool) -> Outputs {
    let (a, b) = (fold.input(0)?, fold.input(1)?);
    let dims = common(fold, a, b)?;
    let places = broadcast_places(&a.dims, &dims).zip(broadcast_places(&b.dims, &dims));
    let truths = match (&a.elements, &b.elements) {
        (Elements::Floats(x), Elements::Floats(y)) => {
            places.map(|(i, j)| float(x[i].into(), y[j].into())).collect()
        }
        (Elements::Ints(x), Elements::Ints(y)) => places.map(|(i, j)| int(x[i], y[j])).collect(),
        _ => return Err(fold.error("mixes floats and integers")),
    };
    Ok(vec![truth_values(dims, truths)])
}

#[expect(clippy::needless_pass_by_value, reason = "the caller is done with it")]
fn truth_values(dims: Vec<usize>, truths: Vec<bool>) -> Constant {
    let elements = Elements::Ints(truths.iter().map(|&x| i64::from(x).into()).collect());
    Constant { dims, elements, element: ElementType::Bool }
}

pub(super) fn equal(fold: &mut Fold) -> Outputs {
    #[expect(clippy::float_cmp, reason = "it is what the operator means")]
    compare(fold, |a, b| a == b, Int::equals)
}

pub(super) fn less(fold: &mut Fold) -> Outputs {
    compare(fold, |a, b| a < b, |a, b| a.compare(b) == Ordering::Less)
}

pub(super) fn less_or_equal(fold: &mut Fold) -> Outputs {
    compare(fold, |a, b| a <= b, |a, b| a.compare(b) != Ordering::Greater)
}

pub(super) fn greater(fold: &mut Fold) -> Outputs {
    compare(fold, |a, b| a > b, |a, b| a.compare(b) == Ordering::Greater)
}

pub(super) fn greater_or_equal(fold: &mut Fold) -> Outputs {
    compare(fold, |a, b| a >= b, |a, b| a.compare(b) != Ordering::Less)
}

fn truth(x: Int) -> bool {
    x.of_one_image() != 0
}

pub(super) fn and(fold: &mut Fold) -> Outputs {
    compare(fold, |_, _| false, |a, b| truth(a) && truth(b))
}

pub(super) fn or(fold: &mut Fold) -> Outputs {
    compare(fold, |_, _| false, |a, b| truth(a) || truth(b))
}

pub(super) fn xor(fold: &mut Fold) -> Outputs {
    compare(fold, |_, _| false, |a, b| truth(a) != truth(b))
}

/// One element to one, in floats and in integers.
fn unary(fold: &Fold, float: impl Fn(f64) -> f64, int: impl Fn(Int) -> Option<Int>) -> Outputs {
    let x = fold.input(0)?;
    match &x.elements {
        Elements::Floats(_) => unary_float(fold, x, float),
        Elements::Ints(data) => {
            let computed = |&x: &Int| {
                int(x).ok_or_else(|| {
                    fold.error(format!("has no integer result for {}", x.of_one_image()))
                })
            };
            let elements = Elements::Ints(data.iter().map(computed).collect::<Result<_, _>>()?);
            Ok(vec![Constant { dims: x.dims.clone(), elements, element: x.element }])
        }
    }
}

fn unary_float(fold: &Fold, x: &Constant, float: impl Fn(f64) -> f64) -> Outputs {
    let Elements::Floats(data) = &x.elements else {
        return Err(fold.error("its input must contain floats"));
    };
    let elements = Elements::Floats(data.iter().map(|&x| f64_to_f32(float(x.into()))).collect());
    Ok(vec![Constant { dims: x.dims.clone(), elements, element: x.element }])
}

pub(super) fn abs(fold: &mut Fold) -> Outputs {
    unary(fold, f64::abs, |x| Some(Int { factor: x.factor.checked_abs()?, ..x }))
}

pub(super) fn neg(fold: &mut Fold) -> Outputs {
    unary(fold, |x| -x, Int::negate)
}

pub(super) fn sign(fold: &mut Fold) -> Outputs {
    let of_float = |x: f64| if x == 0.0 || x.is_nan() { x } else { x.signum() };
    unary(fold, of_float, |x| Some(x.factor.signum().into()))
}

pub(super) fn relu(fold: &mut Fold) -> Outputs {
    unary(fold, |x| x.max(0.0), |x| Some(if x.factor < 0 { 0.into() } else { x }))
}

pub(super) fn floor(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::floor)
}

pub(super) fn ceil(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::ceil)
}

pub(super) fn round(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::round_ties_even)
}

pub(super) fn sqrt(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::sqrt)
}

pub(super) fn exp(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::exp)
}

pub(super) fn log(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::ln)
}

pub(super) fn sin(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::sin)
}

pub(super) fn cos(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::cos)
}

pub(super) fn tanh(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, f64::tanh)
}

pub(super) fn sigmoid(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, |x| 1.0 / (1.0 + (-x).exp()))
}

pub(super) fn reciprocal(fold: &mut Fold) -> Outputs {
    unary_float(fold, fold.input(0)?, |x| 1.0 / x)
}

pub(super) fn not(fold: &mut Fold) -> Outputs {
    let x = fold.input(0)?;
    let truths = fold.ints(0)?.iter().map(|&x| x == 0).collect();
    Ok(vec![truth_values(x.dims.clone(), truths)])
}

pub(super) fn is_nan(fold: &mut Fold) -> Outputs {
    let x = fold.input(0)?;
    Ok(vec![truth_values(x.dims.clone(), x.numbers().iter().map(|x| x.is_nan()).collect())])
}

pub(super) fn is_inf(fold: &mut Fold) -> Outputs {
    let negative = fold.attributes.int("detect_negative", 1)? != 0;
    let positive = fold.attributes.int("detect_positive", 1)? != 0;
    let is = |&x: &f64| positive && x == f64::INFINITY || negative && x == f64::NEG_INFINITY;
    let x = fold.input(0)?;
    Ok(vec![truth_values(x.dims.clone(), x.numbers().iter().map(is).collect())])
}

/// The bounds are attributes up to opset 10.
pub(super) fn clip(fold: &mut Fold) -> Outputs {
    let mut result = fold.input(0)?.clone();
    for (position, name, of) in [(1, "min", &MAX), (2, "max", &MIN)] {
        let bound = match fold.attributes.optional_float(name)? {
            Some(bound) => Some(Constant::floats(vec![], vec![bound])),
            None => fold.optional(position).cloned(),
        };
        if let Some(bound) = bound {
            result = pair(fold, &result, &bound, of)?;
        }
    }
    Ok(vec![result])
}

pub(super) fn cast(fold: &mut Fold) -> Outputs {
    let code = fold.attributes.optional_int("to")?;
    fold.attributes.optional_int("saturate")?;
    let code = code.and_then(|code| i32::try_from(code).ok());
    let Some(code) = code else { return Err(fold.error("its attribute `to` is missing")) };
    Ok(vec![converted(fold, fold.input(0)?, ElementType::from_code(code))?])
}

pub(super) fn cast_like(fold: &mut Fold) -> Outputs {
    fold.attributes.optional_int("saturate")?;
    Ok(vec![converted(fold, fold.input(0)?, fold.input(1)?.element)?])
}

/// The elements in another type.
fn converted(fold: &Fold, x: &Constant, to: ElementType) -> Result<Constant, ImportError> {
    let elements = if to.is_float() {
        Elements::Floats(x.numbers().into_iter().map(f64_to_f32).collect())
    } else if to == ElementType::Bool {
        Elements::Ints(x.numbers().iter().map(|&x| i64::from(x != 0.0).into()).collect())
    } else if matches!(to, ElementType::Other(_)) {
        return Err(fold.error(format!("converts a constant to {to}, which is not supported")));
    } else {
        let does_not_fit =
            |x: f64| fold.error(format!("converts {x} to {to}, which does not have that number"));
        let (least, most) = range(to);
        let of_float = |x: f32| {
            let whole = f64::from(x).trunc();
            let fits = whole.is_finite() && fits(to, f64_to_i64(whole)) && whole.abs() < 9.3e18;
            if fits { Ok(f64_to_i64(whole).into()) } else { Err(does_not_fit(x.into())) }
        };
        let of_int = |x: Int| {
            let number = x.of_one_image();
            if (least..=most).contains(&number) {
                Ok(x)
            } else {
                Err(fold
                    .error(format!("converts {number} to {to}, which does not have that number")))
            }
        };
        Elements::Ints(match &x.elements {
            Elements::Floats(x) => x.iter().map(|&x| of_float(x)).collect::<Result<_, _>>()?,
            Elements::Ints(x) => x.iter().map(|&x| of_int(x)).collect::<Result<_, _>>()?,
        })
    };
    Ok(Constant { dims: x.dims.clone(), elements, element: to })
}
