//! Elements in another order, some of them, or more of them.

use super::{
    super::{
        constant::{Constant, Elements, Int, broadcast, broadcast_places, strides, walk},
        indices::{self, padded, parts, sliced},
    },
    Fold,
    gather::indexed,
};
use crate::error::ImportError;

type Outputs = Result<Vec<Constant>, ImportError>;

pub(super) fn identity(fold: &mut Fold) -> Outputs {
    // Of a dropout, the ratio and the seed say nothing at inference.
    fold.attributes.optional_float("ratio")?;
    fold.attributes.optional_int("seed")?;
    Ok(vec![fold.input(0)?.clone()])
}

pub(super) fn reshape(fold: &mut Fold) -> Outputs {
    let keeps_zero = fold.attributes.int("allowzero", 0)? != 0;
    let (x, target) = (fold.input(0)?, fold.ints(1)?);
    let n = x.elements.len();
    let wrong = || fold.error(format!("cannot reshape {n} elements to {target:?}"));
    let mut dims = Vec::with_capacity(target.len());
    let mut open = None;
    for (i, &d) in target.iter().enumerate() {
        dims.push(match d {
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            0 if !keeps_zero => *x.dims.get(i).ok_or_else(wrong)?,
            d => usize::try_from(d).map_err(|_| wrong())?,
        });
    }
    let known = dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)).ok_or_else(wrong)?;
    if let Some(open) = open {
        dims[open] = n.checked_div(known).ok_or_else(wrong)?;
    }
    if dims.iter().try_fold(1_usize, |n, &d| n.checked_mul(d)) != Some(n) {
        return Err(wrong());
    }
    Ok(vec![x.with_dims(dims)])
}

pub(super) fn flatten(fold: &mut Fold) -> Outputs {
    let x = fold.input(0)?;
    let axis = fold.attributes.int("axis", 1)?;
    let rank = x.dims.len();
    let axis = if usize::try_from(axis) == Ok(rank) { rank } else { fold.axis(axis, rank)? };
    let (before, after) = x.dims.split_at(axis);
    Ok(vec![x.with_dims(vec![before.iter().product(), after.iter().product()])])
}

pub(super) fn squeeze(fold: &mut Fold) -> Outputs {
    let axes = fold.ints_of("axes", 1)?;
    let x = fold.input(0)?;
    let rank = x.dims.len();
    let dropped: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(|&a| fold.axis(a, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).filter(|&axis| x.dims[axis] == 1).collect(),
    };
    if dropped.iter().any(|&axis| x.dims[axis] != 1) {
        return Err(fold.error("squeezes an axis of more than one element"));
    }
    let kept = (0..rank).filter(|axis| !dropped.contains(axis)).map(|axis| x.dims[axis]);
    Ok(vec![x.with_dims(kept.collect())])
}

pub(super) fn unsqueeze(fold: &mut Fold) -> Outputs {
    let Some(axes) = fold.ints_of("axes", 1)? else {
        return Err(fold.error("names no axes"));
    };
    let x = fold.input(0)?;
    let rank = x.dims.len() + axes.len();
    let mut added: Vec<usize> =
        axes.iter().map(|&a| fold.axis(a, rank)).collect::<Result<_, _>>()?;
    added.sort_unstable();
    added.dedup();
    if added.len() != axes.len() {
        return Err(fold.error("`axes` repeats an axis"));
    }
    let mut dims = x.dims.clone();
    added.iter().for_each(|&axis| dims.insert(axis, 1));
    Ok(vec![x.with_dims(dims)])
}

pub(super) fn transpose(fold: &mut Fold) -> Outputs {
    let x = fold.input(0)?;
    let rank = x.dims.len();
    let permutation: Vec<usize> = match fold.attributes.optional_ints("perm")? {
        Some(p) => p.iter().filter_map(|&p| usize::try_from(p).ok()).collect(),
        None => (0..rank).rev().collect(),
    };
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(fold.error("`perm` is not a permutation of its input's axes"));
    }
    let own = strides(&x.dims);
    let dims: Vec<usize> = permutation.iter().map(|&p| x.dims[p]).collect();
    let strides: Vec<usize> = permutation.iter().map(|&p| own[p]).collect();
    let places = walk(&dims, &strides, 0);
    Ok(vec![x.pick(dims, places)])
}

pub(super) fn expand(fold: &mut Fold) -> Outputs {
    let (x, shape) = (fold.input(0)?, fold.extents(1)?);
    let dims = broadcast(&x.dims, &shape)
        .ok_or_else(|| fold.error(format!("cannot expand shape {:?} to {shape:?}", x.dims)))?;
    fold.check_size(&dims)?;
    let places = broadcast_places(&x.dims, &dims);
    Ok(vec![x.pick(dims, places)])
}

pub(super) fn tile(fold: &mut Fold) -> Outputs {
    let (x, repeats) = (fold.input(0)?, fold.extents(1)?);
    if repeats.len() != x.dims.len() {
        return Err(fold.error(format!("{} repeats for {} axes", repeats.len(), x.dims.len())));
    }
    // Each axis becomes two: the repeats, which stay in place, and the axis itself.
    let all: Option<Vec<usize>> =
        x.dims.iter().zip(&repeats).map(|(&d, &n)| d.checked_mul(n)).collect();
    let dims = all.ok_or_else(|| fold.error("its result is too large for a constant"))?;
    fold.check_size(&dims)?;
    let own = strides(&x.dims);
    let (mut extents, mut steps) = (Vec::new(), Vec::new());
    for axis in 0..dims.len() {
        extents.extend([repeats[axis], x.dims[axis]]);
        steps.extend([0, own[axis]]);
    }
    Ok(vec![x.pick(dims, walk(&extents, &steps, 0))])
}

pub(super) fn concat(fold: &mut Fold) -> Outputs {
    let axis = fold.attributes.optional_int("axis")?;
    let first = fold.input(0)?;
    let Some(axis) = axis else { return Err(fold.error("its attribute `axis` is missing")) };
    let axis = fold.axis(axis, first.dims.len())?;
    let mut dims = first.dims.clone();
    dims[axis] = 0;
    let mut inputs = Vec::with_capacity(fold.inputs.len());
    for position in 0..fold.inputs.len() {
        let x = fold.input(position)?;
        let fits = x.dims.len() == dims.len()
            && (0..dims.len()).all(|a| a == axis || x.dims[a] == dims[a]);
        if !fits {
            return Err(fold.error(format!(
                "its inputs of shape {:?} and {:?} do not fit",
                first.dims, x.dims
            )));
        }
        dims[axis] = dims[axis].saturating_add(x.dims[axis]);
        inputs.push(x);
    }
    fold.check_size(&dims)?;
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    // Run by run, from one input after the other.
    let runs = |i: usize| inputs.iter().map(move |x| (x, x.dims[axis] * inner, i));
    let elements = match &first.elements {
        Elements::Floats(_) => {
            let mut all = Vec::new();
            for (x, run, i) in (0..outer).flat_map(runs) {
                let Elements::Floats(x) = &x.elements else {
                    return Err(fold.error("mixes floats and integers"));
                };
                all.extend_from_slice(&x[i * run..(i + 1) * run]);
            }
            Elements::Floats(all)
        }
        Elements::Ints(_) => {
            let mut all = Vec::new();
            for (x, run, i) in (0..outer).flat_map(runs) {
                let Elements::Ints(x) = &x.elements else {
                    return Err(fold.error("mixes floats and integers"));
                };
                all.extend_from_slice(&x[i * run..(i + 1) * run]);
            }
            Elements::Ints(all)
        }
    };
    Ok(vec![Constant { dims, elements, element: first.element }])
}

pub(super) fn split(fold: &mut Fold) -> Outputs {
    let axis = fold.attributes.int("axis", 0)?;
    let num_outputs = fold.attributes.optional_int("num_outputs")?;
    let sizes = fold.ints_of("split", 1)?;
    let x = fold.input(0)?;
    let axis = fold.axis(axis, x.dims.len())?;
    let n = fold.node.outputs.len();
    let sizes =
        parts(x.dims[axis], n, sizes, num_outputs).map_err(|problem| fold.error(problem))?;
    let own = strides(&x.dims);
    let mut start = 0;
    let part = |size: usize| {
        let mut dims = x.dims.clone();
        dims[axis] = size;
        let places = walk(&dims, &own, start * own[axis]);
        start += size;
        x.pick(dims, places)
    };
    Ok(sizes.into_iter().map(part).collect())
}

pub(super) fn slice(fold: &mut Fold) -> Outputs {
    let starts = fold.ints_of("starts", 1)?;
    let ends = fold.ints_of("ends", 2)?;
    let axes = fold.ints_of("axes", 3)?;
    let (Some(starts), Some(ends)) = (starts, ends) else {
        return Err(fold.error("its starts or ends are missing"));
    };
    let steps = if fold.optional(4).is_some() { Some(fold.ints(4)?) } else { None };
    let x = fold.input(0)?;
    let (mut dims, own) = (x.dims.clone(), strides(&x.dims));
    let mut indices: Vec<Vec<usize>> = dims.iter().map(|&d| (0..d).collect()).collect();
    let taken =
        sliced(&dims, &starts, &ends, axes, steps).map_err(|problem| fold.error(problem))?;
    for (axis, taken) in taken {
        dims[axis] = taken.len();
        indices[axis] = taken;
    }
    Ok(vec![x.pick(dims, indexed(&indices, &own).into_iter())])
}

pub(super) fn choose(fold: &mut Fold) -> Outputs {
    let (condition, a, b) = (fold.input(0)?, fold.input(1)?, fold.input(2)?);
    let truths = fold.ints(0)?;
    let dims = broadcast(&a.dims, &b.dims).and_then(|dims| broadcast(&dims, &condition.dims));
    let dims = dims.ok_or_else(|| {
        fold.error(format!(
            "its inputs of shape {:?}, {:?} and {:?} do not fit",
            condition.dims, a.dims, b.dims
        ))
    })?;
    fold.check_size(&dims)?;
    let chosen = broadcast_places(&condition.dims, &dims).map(|i| truths[i] != 0);
    let places = broadcast_places(&a.dims, &dims).zip(broadcast_places(&b.dims, &dims));
    let all = chosen.zip(places);
    let elements = match (&a.elements, &b.elements) {
        (Elements::Floats(x), Elements::Floats(y)) => {
            Elements::Floats(all.map(|(c, (i, j))| if c { x[i] } else { y[j] }).collect())
        }
        (Elements::Ints(x), Elements::Ints(y)) => {
            Elements::Ints(all.map(|(c, (i, j))| if c { x[i] } else { y[j] }).collect())
        }
        _ => return Err(fold.error("mixes floats and integers")),
    };
    Ok(vec![Constant { dims, elements, element: a.element }])
}

/// The pads are attributes up to opset 10.
pub(super) fn pad(fold: &mut Fold) -> Outputs {
    let mode = fold.attributes.string("mode", "constant")?;
    let pads = fold.ints_of("pads", 1)?;
    let attribute = fold.attributes.optional_float("value")?;
    let x = fold.input(0)?;
    let axes = if fold.optional(3).is_some() { Some(fold.ints(3)?) } else { None };
    let pads = indices::pads(&pads.unwrap_or_default(), axes.as_deref(), x.dims.len());
    let pads = pads.map_err(|problem| fold.error(problem))?;
    let padded = |(&pads, &extent): (&[i64; 2], &usize)| padded(&mode, pads, extent);
    let taken = pads.iter().zip(&x.dims).map(padded).collect::<Result<Vec<_>, String>>();
    let taken = taken.map_err(|problem| fold.error(problem))?;
    let dims: Vec<usize> = taken.iter().map(Vec::len).collect();
    fold.check_size(&dims)?;
    let fill = match (fold.optional(2), &x.elements) {
        (Some(value), _) if value.elements.len() == 1 => value.elements.clone(),
        (Some(_), _) => return Err(fold.error("its constant must be one number")),
        (None, Elements::Floats(_)) => Elements::Floats(vec![attribute.unwrap_or(0.0)]),
        (None, Elements::Ints(_)) => Elements::Ints(vec![Int::from(0)]),
    };
    let mut places = vec![Some(0)];
    for (indices, stride) in taken.iter().zip(strides(&x.dims)) {
        let next = |before: Option<usize>| {
            indices.iter().map(move |&index| Some(before? + index? * stride))
        };
        places = places.into_iter().flat_map(next).collect();
    }
    let elements = match (&x.elements, &fill) {
        (Elements::Floats(x), Elements::Floats(fill)) => {
            Elements::Floats(places.iter().map(|place| place.map_or(fill[0], |i| x[i])).collect())
        }
        (Elements::Ints(x), Elements::Ints(fill)) => {
            Elements::Ints(places.iter().map(|place| place.map_or(fill[0], |i| x[i])).collect())
        }
        _ => return Err(fold.error("mixes floats and integers")),
    };
    Ok(vec![Constant { dims, elements, element: x.element }])
}
