//! Elements taken from, or put into, places that indices name.

use super::{
    super::{
        constant::{Constant, Elements, strides, walk},
        indices::index_of,
    },
    Fold,
};
use crate::error::ImportError;

type Outputs = Result<Vec<Constant>, ImportError>;

/// The places of all combinations of indices along each axis, the last axis fastest.
pub(super) fn indexed(indices: &[Vec<usize>], strides: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    for (list, stride) in indices.iter().zip(strides) {
        places = places
            .iter()
            .flat_map(|&before| list.iter().map(move |&i| before + i * stride))
            .collect();
    }
    places
}

/// An index that may count from the end.
fn index(fold: &Fold, i: i64, extent: usize) -> Result<usize, ImportError> {
    index_of(i, extent).map_err(|problem| fold.error(problem))
}

pub(super) fn gather(fold: &mut Fold) -> Outputs {
    let axis = fold.attributes.int("axis", 0)?;
    let (x, indices) = (fold.input(0)?, fold.ints(1)?);
    let axis = fold.axis(axis, x.dims.len())?;
    let chosen: Vec<usize> =
        indices.iter().map(|&i| index(fold, i, x.dims[axis])).collect::<Result<_, _>>()?;
    let dims = [&x.dims[..axis], &fold.input(1)?.dims, &x.dims[axis + 1..]].concat();
    fold.check_size(&dims)?;
    let mut lists: Vec<Vec<usize>> = x.dims.iter().map(|&d| (0..d).collect()).collect();
    lists[axis] = chosen;
    Ok(vec![x.pick(dims, indexed(&lists, &strides(&x.dims)).into_iter())])
}

pub(super) fn gather_elements(fold: &mut Fold) -> Outputs {
    let axis = fold.attributes.int("axis", 0)?;
    let x = fold.input(0)?;
    let places = places_along(fold, x, axis)?;
    Ok(vec![x.pick(fold.input(1)?.dims.clone(), places.into_iter())])
}

/// The places in `x` of the elements that the indices, the second input, name one by one: their own place, but
/// for the axis.
fn places_along(fold: &Fold, x: &Constant, axis: i64) -> Result<Vec<usize>, ImportError> {
    let (indices, at) = (fold.ints(1)?, fold.input(1)?);
    let axis = fold.axis(axis, x.dims.len())?;
    let inside = at.dims.len() == x.dims.len()
        && (0..x.dims.len()).all(|a| a == axis || at.dims[a] <= x.dims[a]);
    if !inside {
        return Err(fold.error("its indices do not fit its input"));
    }
    let own = strides(&x.dims);
    let mut others = own.clone();
    others[axis] = 0;
    walk(&at.dims, &others, 0)
        .zip(&indices)
        .map(|(place, &i)| Ok(place + index(fold, i, x.dims[axis])? * own[axis]))
        .collect()
}

/// The places that index tuples point at, each of a run of elements; and the extents of a run.
fn tuples(
    fold: &Fold,
    x: &Constant,
    position: usize,
) -> Result<(Vec<usize>, Vec<usize>), ImportError> {
    let (indices, at) = (fold.ints(position)?, fold.input(position)?);
    let length = at.dims.last().copied().filter(|&k| k > 0 && k <= x.dims.len());
    let Some(length) = length else { return Err(fold.error("its indices do not fit its input")) };
    let own = strides(&x.dims);
    let place = |tuple: &[i64]| {
        tuple
            .iter()
            .enumerate()
            .try_fold(0, |sum, (axis, &i)| Ok(sum + index(fold, i, x.dims[axis])? * own[axis]))
    };
    let starts = indices.chunks_exact(length).map(place).collect::<Result<_, ImportError>>()?;
    Ok((starts, x.dims[length..].to_vec()))
}

pub(super) fn gather_nd(fold: &mut Fold) -> Outputs {
    if fold.attributes.int("batch_dims", 0)? != 0 {
        return Err(fold.error("`batch_dims` is not supported"));
    }
    let x = fold.input(0)?;
    let (starts, run) = tuples(fold, x, 1)?;
    let at = &fold.input(1)?.dims;
    let dims = [&at[..at.len() - 1], &run].concat();
    fold.check_size(&dims)?;
    let n: usize = run.iter().product();
    let places = starts.into_iter().flat_map(move |start| start..start + n);
    Ok(vec![x.pick(dims, places)])
}

pub(super) fn scatter_nd(fold: &mut Fold) -> Outputs {
    only_replaces(fold)?;
    let (x, updates) = (fold.input(0)?, fold.input(2)?);
    let (starts, run) = tuples(fold, x, 1)?;
    let n: usize = run.iter().product();
    let places: Vec<usize> = starts.into_iter().flat_map(|start| start..start + n).collect();
    replaced(fold, x, &places, updates)
}

pub(super) fn scatter_elements(fold: &mut Fold) -> Outputs {
    let axis = fold.attributes.int("axis", 0)?;
    only_replaces(fold)?;
    let (x, updates) = (fold.input(0)?, fold.input(2)?);
    let places = places_along(fold, x, axis)?;
    replaced(fold, x, &places, updates)
}

fn only_replaces(fold: &mut Fold) -> Result<(), ImportError> {
    match fold.attributes.string("reduction", "none")?.as_str() {
        "none" => Ok(()),
        other => Err(fold.error(format!("`reduction` = {other} is not supported"))),
    }
}

/// The elements with those at some places replaced.
fn replaced(fold: &Fold, x: &Constant, places: &[usize], updates: &Constant) -> Outputs {
    if updates.elements.len() != places.len() {
        return Err(fold.error("its updates do not fit its indices"));
    }
    let mut result = x.clone();
    match (&mut result.elements, &updates.elements) {
        (Elements::Floats(to), Elements::Floats(from)) => {
            places.iter().zip(from).for_each(|(&at, &value)| to[at] = value);
        }
        (Elements::Ints(to), Elements::Ints(from)) => {
            places.iter().zip(from).for_each(|(&at, &value)| to[at] = value);
        }
        _ => return Err(fold.error("mixes floats and integers")),
    }
    Ok(vec![result])
}
