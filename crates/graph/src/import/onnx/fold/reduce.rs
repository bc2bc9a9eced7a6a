//! Sums and other numbers over axes, and products of matrices.

use super::{
    super::constant::{Constant, Elements, Int, broadcast, broadcast_places, strides, walk},
    Fold,
};
use crate::error::ImportError;
use fixedwise_fixed::convert::{count_to_f64, f64_to_f32};

type Outputs = Result<Vec<Constant>, ImportError>;

/// Over some axes: all elements of a float result from those it is made of, or of an integer one.
fn reduce(fold: &mut Fold, float: fn(&[f64]) -> f64, int: fn(&[Int]) -> Option<Int>) -> Outputs {
    let keep = fold.attributes.int("keepdims", 1)? != 0;
    let no_axes_is_none = fold.attributes.int("noop_with_empty_axes", 0)? != 0;
    let axes = fold.ints_of("axes", 1)?.unwrap_or_default();
    let x = fold.input(0)?;
    let rank = x.dims.len();
    if axes.is_empty() && no_axes_is_none {
        return Ok(vec![x.clone()]);
    }
    let mut reduced = vec![axes.is_empty(); rank];
    for axis in axes {
        reduced[fold.axis(axis, rank)?] = true;
    }
    let own = strides(&x.dims);
    let of = |wanted: bool| {
        let axes = (0..rank).filter(|&axis| reduced[axis] == wanted);
        axes.map(|axis| (x.dims[axis], own[axis])).unzip::<usize, usize, Vec<_>, Vec<_>>()
    };
    let (outer, outer_strides) = of(false);
    let (inner, inner_strides) = of(true);
    let offsets: Vec<usize> = walk(&inner, &inner_strides, 0).collect();
    if offsets.is_empty() {
        return Err(fold.error("reduces no elements"));
    }
    let dims = (0..rank)
        .filter(|&axis| keep || !reduced[axis])
        .map(|axis| if reduced[axis] { 1 } else { x.dims[axis] })
        .collect();
    let starts = walk(&outer, &outer_strides, 0);
    let elements = match &x.elements {
        Elements::Floats(x) => {
            let group = |start| offsets.iter().map(|o| f64::from(x[start + o])).collect::<Vec<_>>();
            Elements::Floats(starts.map(|start| f64_to_f32(float(&group(start)))).collect())
        }
        Elements::Ints(x) => {
            let group = |start| offsets.iter().map(|o| x[start + o]).collect::<Vec<_>>();
            let results: Option<Vec<Int>> = starts.map(|start| int(&group(start))).collect();
            let results = results.ok_or_else(|| fold.error("has no integer result"))?;
            Elements::Ints(results)
        }
    };
    Ok(vec![Constant { dims, elements, element: x.element }])
}

fn int_sum(x: &[Int]) -> Option<Int> {
    x.iter().try_fold(Int::from(0), |sum, &x| sum.add(x))
}

fn absolute(x: Int) -> Option<Int> {
    if x.factor < 0 { x.negate() } else { Some(x) }
}

pub(super) fn sum(fold: &mut Fold) -> Outputs {
    reduce(fold, |x| x.iter().sum(), int_sum)
}

pub(super) fn mean(fold: &mut Fold) -> Outputs {
    reduce(
        fold,
        |x| x.iter().sum::<f64>() / count_to_f64(x.len()),
        |x| int_sum(x)?.divide(i64::try_from(x.len()).ok()?.into()),
    )
}

pub(super) fn max(fold: &mut Fold) -> Outputs {
    reduce(
        fold,
        |x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        |x| x.iter().copied().max_by_key(|x| x.of_one_image()),
    )
}

pub(super) fn min(fold: &mut Fold) -> Outputs {
    reduce(
        fold,
        |x| x.iter().copied().fold(f64::INFINITY, f64::min),
        |x| x.iter().copied().min_by_key(|x| x.of_one_image()),
    )
}

pub(super) fn product(fold: &mut Fold) -> Outputs {
    reduce(
        fold,
        |x| x.iter().product(),
        |x| x.iter().try_fold(Int::from(1), |product, &x| product.multiply(x)),
    )
}

pub(super) fn l1(fold: &mut Fold) -> Outputs {
    reduce(
        fold,
        |x| x.iter().map(|x| x.abs()).sum(),
        |x| x.iter().try_fold(Int::from(0), |sum, &x| sum.add(absolute(x)?)),
    )
}

pub(super) fn l2(fold: &mut Fold) -> Outputs {
    reduce(fold, |x| x.iter().map(|x| x * x).sum::<f64>().sqrt(), |_| None)
}

pub(super) fn sum_square(fold: &mut Fold) -> Outputs {
    reduce(
        fold,
        |x| x.iter().map(|x| x * x).sum(),
        |x| x.iter().try_fold(Int::from(0), |sum, &x| sum.add(x.multiply(x)?)),
    )
}

pub(super) fn arg_max(fold: &mut Fold) -> Outputs {
    arg(fold, |x, best| x > best)
}

pub(super) fn arg_min(fold: &mut Fold) -> Outputs {
    arg(fold, |x, best| x < best)
}

fn arg(fold: &mut Fold, is_better: fn(f64, f64) -> bool) -> Outputs {
    let axis = fold.attributes.int("axis", 0)?;
    let keep = fold.attributes.int("keepdims", 1)? != 0;
    let takes_last = fold.attributes.int("select_last_index", 0)? != 0;
    let x = fold.input(0)?;
    let axis = fold.axis(axis, x.dims.len())?;
    let (extent, own) = (x.dims[axis], strides(&x.dims));
    if extent == 0 {
        return Err(fold.error("reduces no elements"));
    }
    let numbers = x.numbers();
    let mut dims = x.dims.clone();
    dims[axis] = 1;
    let best = |start: usize| {
        let value = |k: usize| numbers[start + k * own[axis]];
        let better = |best: usize, k: usize| {
            let is_better =
                is_better(value(k), value(best)) || takes_last && !is_better(value(best), value(k));
            if is_better { k } else { best }
        };
        let index = (1..extent).fold(0, better);
        Int::from(i64::try_from(index).unwrap_or(i64::MAX))
    };
    let indices = walk(&dims, &own, 0).map(best).collect();
    if !keep {
        dims.remove(axis);
    }
    Ok(vec![Constant::ints(dims, indices)])
}

pub(super) fn cum_sum(fold: &mut Fold) -> Outputs {
    let exclusive = fold.attributes.int("exclusive", 0)? != 0;
    let reverse = fold.attributes.int("reverse", 0)? != 0;
    let axis = fold.int(1)?;
    let x = fold.input(0)?;
    let axis = fold.axis(axis, x.dims.len())?;
    let (extent, stride) = (x.dims[axis], strides(&x.dims)[axis]);
    let mut outer = x.dims.clone();
    outer[axis] = 1;
    let mut result = x.clone();
    for start in walk(&outer, &strides(&x.dims), 0) {
        let along = (0..extent).map(|k| if reverse { extent - 1 - k } else { k });
        let places = along.map(|k| start + k * stride);
        match (&x.elements, &mut result.elements) {
            (Elements::Floats(x), Elements::Floats(y)) => {
                let mut sum = 0.0_f64;
                for place in places {
                    let next = sum + f64::from(x[place]);
                    y[place] = f64_to_f32(if exclusive { sum } else { next });
                    sum = next;
                }
            }
            (Elements::Ints(x), Elements::Ints(y)) => {
                let mut sum = Int::from(0);
                for place in places {
                    let next =
                        sum.add(x[place]).ok_or_else(|| fold.error("has no integer result"))?;
                    y[place] = if exclusive { sum } else { next };
                    sum = next;
                }
            }
            _ => {}
        }
    }
    Ok(vec![result])
}

/// Of two matrices, or of stacks of them, whose outer extents are broadcast; a vector is a row on the left, a column on the
/// right.
pub(super) fn mat_mul(fold: &mut Fold) -> Outputs {
    /// More products than any weights of an embedded network need.
    const MAX_PRODUCTS: usize = 1 << 31;
    let (a, b) = (fold.input(0)?, fold.input(1)?);
    let wrong =
        || fold.error(format!("cannot multiply constants of shape {:?} and {:?}", a.dims, b.dims));
    let (outer_a, rows, common) = match a.dims[..] {
        [common] => (&[][..], None, common),
        [ref outer @ .., rows, common] => (outer, Some(rows), common),
        [] => return Err(wrong()),
    };
    let (outer_b, common_b, columns) = match b.dims[..] {
        [common] => (&[][..], common, None),
        [ref outer @ .., common, columns] => (outer, common, Some(columns)),
        [] => return Err(wrong()),
    };
    let (Elements::Floats(x), Elements::Floats(y)) = (&a.elements, &b.elements) else {
        return Err(wrong());
    };
    let outer = broadcast(outer_a, outer_b).filter(|_| common == common_b).ok_or_else(wrong)?;
    let dims: Vec<usize> = outer.iter().copied().chain(rows).chain(columns).collect();
    let n = fold.check_size(&dims)?;
    n.checked_mul(common).filter(|&n| n <= MAX_PRODUCTS).ok_or_else(wrong)?;
    let (rows, columns) = (rows.unwrap_or(1), columns.unwrap_or(1));
    let planes = broadcast_places(outer_a, &outer).zip(broadcast_places(outer_b, &outer));
    let mut results = Vec::with_capacity(n);
    for (of_a, of_b) in planes {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |c| (row, c))) {
            let products = (0..common).map(|k| {
                f64::from(x[(of_a * rows + row) * common + k])
                    * f64::from(y[(of_b * common + k) * columns + column])
            });
            results.push(f64_to_f32(products.sum()));
        }
    }
    Ok(vec![Constant::floats(dims, results)])
}
