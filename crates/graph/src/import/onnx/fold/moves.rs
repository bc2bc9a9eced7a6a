//! Elements in another order, some of them, or more of them.

use super::{
    super::constant::{Constant, Elements, Int, broadcast, broadcast_places, strides, walk},
    Fold,
    gather::{indexed, replaced},
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
    let parts = fold.attributes.optional_int("num_outputs")?;
    let sizes = fold.ints_of("split", 1)?;
    let x = fold.input(0)?;
    let axis = fold.axis(axis, x.dims.len())?;
    let extent = x.dims[axis];
    let n = fold.node.outputs.len();
    if parts.is_some_and(|parts| usize::try_from(parts) != Ok(n)) {
        return Err(fold.error("`num_outputs` is not its number of outputs"));
    }
    let sizes: Option<Vec<usize>> = if let Some(sizes) = sizes {
        sizes.iter().map(|&s| usize::try_from(s).ok()).collect()
    } else {
        // Equal parts; the last one may be smaller where their number is given.
        let part = extent.div_ceil(n.max(1));
        let sizes: Vec<usize> = (0..n).map(|i| part.min(extent.saturating_sub(i * part))).collect();
        Some(sizes).filter(|sizes| parts.is_some() || sizes.iter().all(|&s| s == part))
    };
    let total = |sizes: &Vec<usize>| sizes.iter().try_fold(0_usize, |n, &s| n.checked_add(s));
    let fits = |sizes: &Vec<usize>| sizes.len() == n && total(sizes) == Some(extent);
    let Some(sizes) = sizes.filter(fits) else {
        return Err(fold.error(format!("does not split {extent} elements into {n} parts")));
    };
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

/// Where slices begin, how many elements they take, and their step, which may be negative.
fn slice_axis(start: i64, end: i64, step: i64, extent: usize) -> Option<(usize, usize)> {
    let n = i64::try_from(extent).ok().filter(|&n| n > 0);
    let Some(n) = n else { return Some((0, 0)) };
    let from_end = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (start, end) = if step > 0 {
        (from_end(start).clamp(0, n), from_end(end).clamp(0, n))
    } else {
        (from_end(start).clamp(0, n - 1), from_end(end).clamp(-1, n - 1))
    };
    let distance = if step > 0 { end - start } else { start - end };
    let count =
        if distance <= 0 { 0 } else { u64::try_from(distance).ok()?.div_ceil(step.unsigned_abs()) };
    Some((usize::try_from(start).unwrap_or(0), usize::try_from(count).ok()?))
}

pub(super) fn slice(fold: &mut Fold) -> Outputs {
    let starts = fold.ints_of("starts", 1)?;
    let ends = fold.ints_of("ends", 2)?;
    let axes = fold.ints_of("axes", 3)?;
    let (Some(starts), Some(ends)) = (starts, ends) else {
        return Err(fold.error("its starts or ends are missing"));
    };
    let steps = if fold.optional(4).is_some() { fold.ints(4)? } else { vec![1; starts.len()] };
    let x = fold.input(0)?;
    let count = i64::try_from(starts.len()).unwrap_or(i64::MAX);
    let axes = axes.unwrap_or_else(|| (0..count).collect());
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err(fold.error("its starts, ends, axes and steps differ in number"));
    }
    let rank = x.dims.len();
    let (mut dims, own) = (x.dims.clone(), strides(&x.dims));
    let mut indices: Vec<Vec<usize>> = dims.iter().map(|&d| (0..d).collect()).collect();
    let mut seen = vec![false; rank];
    for i in 0..starts.len() {
        let axis = fold.axis(axes[i], rank)?;
        if std::mem::replace(&mut seen[axis], true) || steps[i] == 0 {
            return Err(fold.error("its axes repeat, or a step is zero"));
        }
        let taken = slice_axis(starts[i], ends[i], steps[i], dims[axis]);
        let (start, count) =
            taken.ok_or_else(|| fold.error("its starts or ends are out of range"))?;
        let step = usize::try_from(steps[i].unsigned_abs()).unwrap_or(usize::MAX);
        indices[axis] = (0..count)
            .map(|k| {
                let far = k.saturating_mul(step);
                if steps[i] > 0 { start + far } else { start - far }
            })
            .collect();
        dims[axis] = count;
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

/// By a constant; the pads are attributes up to opset 10.
pub(super) fn pad(fold: &mut Fold) -> Outputs {
    let mode = fold.attributes.string("mode", "constant")?;
    if mode != "constant" {
        return Err(fold.error(format!("pads a constant by the mode `{mode}`")));
    }
    let pads = fold.ints_of("pads", 1)?;
    let attribute = fold.attributes.optional_float("value")?;
    let x = fold.input(0)?;
    let rank = x.dims.len();
    let axes: Vec<usize> = if fold.optional(3).is_some() {
        fold.ints(3)?.iter().map(|&a| fold.axis(a, rank)).collect::<Result<_, _>>()?
    } else {
        (0..rank).collect()
    };
    let pads: Option<Vec<usize>> =
        pads.unwrap_or_default().iter().map(|&p| usize::try_from(p).ok()).collect();
    let Some(pads) = pads.filter(|pads| pads.len() == 2 * axes.len()) else {
        return Err(fold.error("its pads are negative, or not two for each axis"));
    };
    let (mut dims, mut begins) = (x.dims.clone(), vec![0; rank]);
    for (i, &axis) in axes.iter().enumerate() {
        begins[axis] = pads[i];
        let sum = dims[axis].checked_add(pads[i]).and_then(|n| n.checked_add(pads[axes.len() + i]));
        dims[axis] = sum.ok_or_else(|| fold.error("its pads are too large"))?;
    }
    let n = fold.check_size(&dims)?;
    let fill = match (fold.optional(2), &x.elements) {
        (Some(value), _) if value.elements.len() == 1 => value.elements.clone(),
        (Some(_), _) => return Err(fold.error("its constant must be one number")),
        (None, Elements::Floats(_)) => Elements::Floats(vec![attribute.unwrap_or(0.0)]),
        (None, Elements::Ints(_)) => Elements::Ints(vec![Int::from(0)]),
    };
    let filled = fill.pick(std::iter::repeat_n(0, n));
    let own = strides(&dims);
    let start: usize = begins.iter().zip(&own).map(|(begin, stride)| begin * stride).sum();
    let places: Vec<usize> = walk(&x.dims, &own, start).collect();
    replaced(fold, &Constant { dims, elements: filled, element: x.element }, &places, x)
}

#[cfg(test)]
mod tests {
    use super::slice_axis;

    #[test]
    fn slices_follow_the_rules_of_onnx() {
        let (least, most) = (i64::MIN, i64::MAX);
        for ((start, end, step, extent), expected) in [
            ((0, most, 1, 5), (0, 5)),
            ((-2, most, 1, 5), (3, 2)),
            ((1, -1, 2, 6), (1, 2)),
            ((4, least, -1, 5), (4, 5)),
            ((-1, 0, -2, 5), (4, 2)),
            ((most, least, -1, 5), (4, 5)),
            ((9, 12, 1, 5), (5, 0)),
            ((3, 2, 1, 5), (3, 0)),
            ((0, most, most, 5), (0, 1)),
            ((0, 4, 1, 0), (0, 0)),
            ((0, 4, -1, 0), (0, 0)),
        ] {
            let found = slice_axis(start, end, step, extent).unwrap();
            assert_eq!(found.1, expected.1, "{start} {end} {step} of {extent}");
            assert!(found.1 == 0 || found == expected, "{start} {end} {step} of {extent}");
        }
        assert_eq!(slice_axis(4, least, least, 5), Some((4, 1)));
    }
}
