//! Which elements of an axis operators take: of constants while they are computed, and of values in views.

use crate::import::axes::axis_index;

/// The elements that a slice takes: for each of its axes, which of them in order.
///
/// Source: ONNX `Slice`, opset 13.
pub(crate) fn sliced(
    extents: &[usize],
    starts: &[i64],
    ends: &[i64],
    axes: Option<Vec<i64>>,
    steps: Option<Vec<i64>>,
) -> Result<Vec<(usize, Vec<usize>)>, String> {
    let count = i64::try_from(starts.len()).unwrap_or(i64::MAX);
    let axes = axes.unwrap_or_else(|| (0..count).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) {
        return Err("its starts, ends, axes and steps differ in number".to_owned());
    }
    let mut seen = vec![false; extents.len()];
    let mut all = Vec::with_capacity(starts.len());
    for i in 0..starts.len() {
        let axis = axis_of(axes[i], extents.len())?;
        if std::mem::replace(&mut seen[axis], true) || steps[i] == 0 {
            return Err("its axes repeat, or a step is zero".to_owned());
        }
        let taken = slice_axis(starts[i], ends[i], steps[i], extents[axis]);
        let (start, count) = taken.ok_or("its starts or ends are out of range")?;
        let step = usize::try_from(steps[i].unsigned_abs()).unwrap_or(usize::MAX);
        let place = |k: usize| {
            let far = k.saturating_mul(step);
            if steps[i] > 0 { start + far } else { start - far }
        };
        all.push((axis, (0..count).map(place).collect()));
    }
    Ok(all)
}

/// An axis that may count from the end.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    axis_index(axis, rank)
        .ok_or_else(|| format!("axis {axis} is outside the {rank} axes of its input"))
}

/// An index that may count from the end.
pub(crate) fn index_of(i: i64, extent: usize) -> Result<usize, String> {
    axis_index(i, extent)
        .ok_or_else(|| format!("index {i} is outside the {extent} elements of its axis"))
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

/// The extents of the parts of an axis, of which there are so many.
///
/// Source: ONNX `Split`, opset 18.
pub(crate) fn parts(
    extent: usize,
    n_outputs: usize,
    sizes: Option<Vec<i64>>,
    num_outputs: Option<i64>,
) -> Result<Vec<usize>, String> {
    if num_outputs.is_some_and(|parts| usize::try_from(parts) != Ok(n_outputs)) {
        return Err("`num_outputs` is not its number of outputs".to_owned());
    }
    let sizes: Option<Vec<usize>> = if let Some(sizes) = sizes {
        sizes.iter().map(|&s| usize::try_from(s).ok()).collect()
    } else {
        // Equal parts; the last one may be smaller where their number is given.
        let part = extent.div_ceil(n_outputs.max(1));
        let size = |i: usize| part.min(extent.saturating_sub(i.saturating_mul(part)));
        let sizes: Vec<usize> = (0..n_outputs).map(size).collect();
        Some(sizes).filter(|sizes| num_outputs.is_some() || sizes.iter().all(|&s| s == part))
    };
    let total = |sizes: &Vec<usize>| sizes.iter().try_fold(0_usize, |n, &s| n.checked_add(s));
    let fits = |sizes: &Vec<usize>| sizes.len() == n_outputs && total(sizes) == Some(extent);
    let refused = || format!("does not split {extent} elements into {n_outputs} parts");
    sizes.filter(fits).ok_or_else(refused)
}

/// The pads of each axis, before its first and behind its last element, in the order of ONNX: all first
/// ones, then all last ones, for the axes that are listed.
pub(crate) fn pads(
    pads: &[i64],
    axes: Option<&[i64]>,
    rank: usize,
) -> Result<Vec<[i64; 2]>, String> {
    let axes: Vec<usize> = match axes {
        Some(axes) => axes.iter().map(|&axis| axis_of(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("{} pads for {} axes", pads.len(), axes.len()));
    }
    let mut all = vec![[0, 0]; rank];
    for (i, &axis) in axes.iter().enumerate() {
        all[axis] = [pads[i], pads[axes.len() + i]];
    }
    Ok(all)
}

/// The elements of a padded axis; `None` for the constant. Negative pads leave elements out.
///
/// Source: ONNX `Pad`, opset 21.
pub(crate) fn padded(
    mode: &str,
    [before, behind]: [i64; 2],
    extent: usize,
) -> Result<Vec<Option<usize>>, String> {
    /// More rows or columns than any image has.
    const MAX: i64 = 1 << 16;
    if before > MAX || behind > MAX {
        return Err(format!("pads by more than {MAX}"));
    }
    let last = i64::try_from(extent).map_err(|_| "is too large".to_owned())?;
    // What is left out is so first.
    let first = before.saturating_neg().clamp(0, last);
    let n = (last - behind.saturating_neg().clamp(0, last) - first).max(0);
    if n == 0 && mode != "constant" && before.max(behind) > 0 {
        return Err("pads an axis without elements by its elements".to_owned());
    }
    let at = |i: i64| {
        let place = match mode {
            _ if (0..n).contains(&i) => Some(i),
            "edge" => Some(i.clamp(0, n - 1)),
            "wrap" => Some(i.rem_euclid(n)),
            "reflect" if n == 1 => Some(0),
            "reflect" => {
                let i = i.rem_euclid(2 * (n - 1));
                Some(i.min(2 * (n - 1) - i))
            }
            _ => None,
        };
        place.and_then(|place| usize::try_from(first + place).ok())
    };
    match mode {
        "constant" | "edge" | "wrap" | "reflect" => {
            Ok((-before.max(0)..n + behind.max(0)).map(at).collect())
        }
        _ => Err(format!("`mode` = {mode} is not one of constant, edge, reflect and wrap")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn pads_follow_the_rules_of_onnx() {
        let list = |mode, pads, extent| -> Vec<i64> {
            let places = padded(mode, pads, extent).unwrap();
            places.iter().map(|place| place.map_or(-1, |i| i64::try_from(i).unwrap())).collect()
        };
        assert_eq!(list("constant", [1, 2], 2), [-1, 0, 1, -1, -1]);
        assert_eq!(list("edge", [2, 1], 3), [0, 0, 0, 1, 2, 2]);
        assert_eq!(list("wrap", [2, 3], 2), [0, 1, 0, 1, 0, 1, 0]);
        assert_eq!(list("reflect", [2, 3], 3), [2, 1, 0, 1, 2, 1, 0, 1]);
        assert_eq!(list("reflect", [1, 1], 1), [0, 0, 0]);
        assert_eq!(list("edge", [-1, -1], 4), [1, 2]);
        assert_eq!(list("constant", [-1, 1], 2), [1, -1]);
        assert_eq!(list("wrap", [-1, 2], 3), [1, 2, 1, 2]);
        assert!(padded("wrap", [-3, 2], 2).is_err());
        assert!(padded("mirror", [0, 0], 2).is_err() && padded("edge", [i64::MAX, 0], 2).is_err());
        assert_eq!(list("constant", [i64::MIN, 0], 2).len(), 0);
        assert_eq!(pads(&[1, 2], Some(&[-1]), 3), Ok(vec![[0, 0], [0, 0], [1, 2]]));
        assert!(pads(&[1], None, 1).is_err());
    }
}
