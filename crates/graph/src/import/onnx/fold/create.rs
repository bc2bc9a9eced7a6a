//! Constants from nothing but extents and attributes.

use super::{
    super::{
        attributes::Attributes,
        constant::{Constant, Elements, Int, broadcast_places, strides, walk},
        reader::node_error,
    },
    Fold,
};
use crate::error::ImportError;
use fixedwise_codec::onnx::{self, ElementType};
use fixedwise_fixed::convert::{count_to_f64, f64_to_count, f64_to_f32};

type Outputs = Result<Vec<Constant>, ImportError>;

pub(super) fn constant(fold: &mut Fold) -> Outputs {
    let attributes = &mut fold.attributes;
    let ints = |list: &[i64]| list.iter().map(|&x| Int::from(x)).collect();
    let result = if let Some(tensor) = attributes.tensor("value")? {
        Constant::from(tensor)
    } else if let Some(value) = attributes.any_float("value_float")? {
        Constant::floats(vec![], vec![value])
    } else if let Some(value) = attributes.optional_int("value_int")? {
        Constant::ints(vec![], vec![value.into()])
    } else if let Some(values) = attributes.optional_floats("value_floats")? {
        Constant::floats(vec![values.len()], values)
    } else if let Some(values) = attributes.optional_ints("value_ints")? {
        Constant::ints(vec![values.len()], ints(&values))
    } else {
        return Err(fold.error("a constant needs one of `value`, `value_float(s)`, `value_int(s)`"));
    };
    Ok(vec![result])
}

pub(super) fn constant_of_shape(fold: &mut Fold) -> Outputs {
    let value = fold.attributes.tensor("value")?.map(Constant::from);
    let dims = fold.extents(0)?;
    let n = fold.check_size(&dims)?;
    let value = value.unwrap_or_else(|| Constant::floats(vec![1], vec![0.0]));
    if value.elements.len() != 1 {
        return Err(fold.error("`value` must be one float or integer"));
    }
    Ok(vec![value.pick(dims, std::iter::repeat_n(0, n))])
}

pub(super) fn range(fold: &mut Fold) -> Outputs {
    let (start, limit, step) = (fold.input(0)?, fold.input(1)?, fold.input(2)?);
    let numbers = [start, limit, step].map(Constant::numbers).concat();
    let n = match numbers[..] {
        [start, limit, step] if step != 0.0 => {
            f64_to_count(((limit - start) / step).ceil().max(0.0))
        }
        _ => return Err(fold.error("needs three numbers, the last one not zero")),
    };
    fold.check_size(&[n])?;
    let result = match (&start.elements, &step.elements) {
        (Elements::Floats(start), Elements::Floats(step)) => {
            let (start, step) = (f64::from(start[0]), f64::from(step[0]));
            Constant::floats(
                vec![n],
                (0..n).map(|i| f64_to_f32(start + count_to_f64(i) * step)).collect(),
            )
        }
        (Elements::Ints(start), Elements::Ints(step)) => {
            let (start, step) = (start[0].of_one_image(), step[0].of_one_image());
            let at = |i: usize| i64::try_from(i).ok()?.checked_mul(step)?.checked_add(start);
            let all: Option<Vec<Int>> = (0..n).map(|i| at(i).map(Int::from)).collect();
            Constant::ints(vec![n], all.ok_or_else(|| fold.error("its numbers are too large"))?)
        }
        _ => return Err(fold.error("mixes floats and integers")),
    };
    Ok(vec![Constant { element: start.element, ..result }])
}

/// Extents of a constant; those of a computed value are read by who knows its axes.
pub(super) fn shape(fold: &mut Fold) -> Outputs {
    let dims = fold.input(0)?.dims.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX).into());
    let dims: Vec<Int> = dims.collect();
    Ok(vec![shape_of(fold.node, &mut fold.attributes, &dims)?])
}

pub(super) fn size(fold: &mut Fold) -> Outputs {
    let n = i64::try_from(fold.input(0)?.elements.len()).unwrap_or(i64::MAX);
    Ok(vec![Constant::ints(vec![], vec![n.into()])])
}

/// What `Shape` gives for a value of those extents: all, or from `start` to `end`, which may count
/// from the end and lie outside.
pub(in super::super) fn shape_of(
    node: &onnx::Node,
    attributes: &mut Attributes,
    dims: &[Int],
) -> Result<Constant, ImportError> {
    let rank =
        i64::try_from(dims.len()).map_err(|_| node_error(node, "its input has too many axes"))?;
    let place = |i: i64| {
        let i = if i < 0 { i.saturating_add(rank) } else { i };
        usize::try_from(i.clamp(0, rank)).unwrap_or(0)
    };
    let start = place(attributes.int("start", 0)?);
    let end = place(attributes.int("end", i64::MAX)?);
    let taken = dims[start..end.max(start)].to_vec();
    Ok(Constant::ints(vec![taken.len()], taken))
}

pub(super) fn eye_like(fold: &mut Fold) -> Outputs {
    let offset = fold.attributes.int("k", 0)?;
    let code = fold.attributes.optional_int("dtype")?;
    let x = fold.input(0)?;
    let [rows, columns] = x.dims[..] else { return Err(fold.error("its input must be a matrix")) };
    let element = match code.map(i32::try_from) {
        None => x.element,
        Some(Ok(code)) => ElementType::from_code(code),
        Some(Err(_)) => return Err(fold.error("`dtype` is no type")),
    };
    let mut truths = vec![false; rows * columns];
    for row in 0..rows {
        let column = i64::try_from(row).ok().and_then(|row| row.checked_add(offset));
        if let Some(column) = column.and_then(|c| usize::try_from(c).ok()).filter(|&c| c < columns)
        {
            truths[row * columns + column] = true;
        }
    }
    let elements = if element.is_float() {
        Elements::Floats(truths.iter().map(|&x| f32::from(u8::from(x))).collect())
    } else {
        Elements::Ints(truths.iter().map(|&x| i64::from(x).into()).collect())
    };
    Ok(vec![Constant { dims: x.dims.clone(), elements, element }])
}

pub(super) fn trilu(fold: &mut Fold) -> Outputs {
    let upper = fold.attributes.int("upper", 1)? != 0;
    let offset = if fold.optional(1).is_some() { fold.int(1)? } else { 0 };
    let x = fold.input(0)?;
    let [.., rows, columns] = x.dims[..] else {
        return Err(fold.error("its input must be a matrix"));
    };
    let plane = rows * columns;
    let is_kept = |i: usize| {
        let (row, column) = (i % plane / columns, i % columns);
        let distance = i64::try_from(column).unwrap_or(0) - i64::try_from(row).unwrap_or(0);
        if upper { distance >= offset } else { distance <= offset }
    };
    let mut result = x.clone();
    match &mut result.elements {
        Elements::Floats(x) => {
            x.iter_mut().enumerate().filter(|(i, _)| !is_kept(*i)).for_each(|(_, x)| *x = 0.0);
        }
        Elements::Ints(x) => {
            x.iter_mut().enumerate().filter(|(i, _)| !is_kept(*i)).for_each(|(_, x)| *x = 0.into());
        }
    }
    Ok(vec![result])
}

/// The indices of what is not zero, `[axis, number]`.
pub(super) fn non_zero(fold: &mut Fold) -> Outputs {
    let x = fold.input(0)?;
    let places: Vec<usize> = x
        .numbers()
        .iter()
        .enumerate()
        .filter(|&(_, &x)| x != 0.0)
        .map(|(place, _)| place)
        .collect();
    // A single number is a vector of one.
    let dims = if x.dims.is_empty() { vec![1] } else { x.dims.clone() };
    let indices = dims.iter().zip(strides(&dims)).flat_map(|(&extent, stride)| {
        places.iter().map(move |place| i64::try_from(place / stride % extent).unwrap_or(i64::MAX))
    });
    let indices = indices.map(Int::from).collect();
    Ok(vec![Constant::ints(vec![dims.len(), places.len()], indices)])
}

pub(super) fn one_hot(fold: &mut Fold) -> Outputs {
    let axis = fold.attributes.int("axis", -1)?;
    let (indices, values) = (fold.input(0)?, fold.input(2)?);
    let depth = match fold.input(1)?.numbers()[..] {
        [depth] if depth >= 1.0 => f64_to_count(depth),
        _ => return Err(fold.error("its depth must be one number of at least 1")),
    };
    if values.elements.len() != 2 {
        return Err(fold.error("its values must be two: off and on"));
    }
    let axis = fold.axis(axis, indices.dims.len() + 1)?;
    let mut dims = indices.dims.clone();
    dims.insert(axis, depth);
    fold.check_size(&dims)?;
    let mut with_axis = indices.dims.clone();
    with_axis.insert(axis, 1);
    let numbers = indices.numbers();
    let mut along = vec![0; dims.len()];
    along[axis] = 1;
    let depth = count_to_f64(depth);
    let is_on: Vec<usize> = broadcast_places(&with_axis, &dims)
        .zip(walk(&dims, &along, 0))
        .map(|(i, k)| {
            let index = if numbers[i] < 0.0 { numbers[i] + depth } else { numbers[i] };
            usize::from((index - count_to_f64(k)).abs() < 0.5)
        })
        .collect();
    Ok(vec![values.pick(dims, is_on.into_iter())])
}
