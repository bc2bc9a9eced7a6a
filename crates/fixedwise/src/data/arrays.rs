//! Images in memory: what a file would hold, without the file.

use super::{
    dataset::Port,
    raw::{Labels, Pixels, Raw, content},
};
use crate::{
    error::DataError,
    names::{InputNames, nearest},
    preprocess::Layout,
};
use std::path::Path;

/// Images in memory, or the values of one input of several, and, where there are some, their labels.
///
/// They are checked as those of a file are, when a network takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrays {
    /// How messages call them; where a network has several inputs, the name of the one they are for.
    pub name: String,
    /// Extents, the image first: `[n, h, w, c]`, `[n, c, h, w]`, `[n, h, w]` or, for a network that
    /// takes vectors, `[n, c]`.
    pub shape: Vec<usize>,
    /// The values in that order, the last axis fastest.
    pub pixels: Pixels,
    /// Where the channels are; by default what the preprocessing says, or what fits the network.
    pub layout: Option<Layout>,
    /// A class for each image, from 0 on, or what the first output should be.
    pub labels: Option<Labels>,
}

/// What a loader reads from a file: of arrays with names of their own, that of each input.
pub(super) fn raw(arrays: &[Arrays], ports: &[Port]) -> Result<Vec<Raw>, DataError> {
    if let ([arrays], [_]) = (arrays, ports) {
        return Ok(vec![raw_of(arrays)?]);
    }
    let first = arrays.first().map_or("", |arrays| &arrays.name);
    let wrong = |problem| content(Path::new(first), problem);
    let names: Vec<&str> = arrays.iter().map(|arrays| arrays.name.as_str()).collect();
    let found = assign(&names, ports, &[]).map_err(wrong)?;
    let mut raws: Vec<Raw> =
        found.into_iter().map(|i| raw_of(&arrays[i])).collect::<Result<_, _>>()?;
    let labels = raws.iter_mut().map(|raw| (raw.labels.take(), raw.targets.take()));
    let labels = labels.collect::<Vec<_>>().into_iter();
    let labels = labels.reduce(|a, b| (a.0.or(b.0), a.1.or(b.1))).unwrap_or_default();
    (raws[0].labels, raws[0].targets) = labels;
    Ok(raws)
}

/// Which of the arrays with those names each input takes. `x` is the only input that no other array fits;
/// `unused` are names that a file may have besides.
pub(super) fn assign(
    names: &[&str],
    ports: &[Port],
    unused: &[String],
) -> Result<Vec<usize>, String> {
    let own: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let inputs = InputNames::new(&own);
    let mut found = vec![None; ports.len()];
    let mut left = Vec::new();
    for (array, name) in names.iter().enumerate() {
        match inputs.find(name) {
            Some(input) => {
                if let Some(other) = found[input].replace(array) {
                    return Err(format!(
                        "has two arrays for the input `{}`: `{}` and `{name}`",
                        own[input], names[other]
                    ));
                }
            }
            None if unused.iter().any(|unused| unused == name) => {}
            None => left.push(array),
        }
    }
    let missing: Vec<usize> = (0..own.len()).filter(|&input| found[input].is_none()).collect();
    let x = left.iter().position(|&array| names[array] == "x");
    if let (&[input], Some(x)) = (&missing[..], x) {
        found[input] = Some(left.remove(x));
    }
    let told = inputs.told();
    if ports.len() > 1
        && let Some(&array) = left.first()
    {
        let near = nearest(names[array], own.iter().copied());
        let near = near.first().map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
        return Err(format!(
            "contains the array `{}`, which fits no input{near}; {told}",
            names[array]
        ));
    }
    let missing = (0..own.len()).find(|&input| found[input].is_none());
    match missing {
        Some(input) => Err(format!("contains no array for the input `{}`; {told}", own[input])),
        None => Ok(found.into_iter().flatten().collect()),
    }
}

fn raw_of(arrays: &Arrays) -> Result<Raw, DataError> {
    let n_values = arrays.pixels.len();
    let needed = arrays.shape.iter().try_fold(1, |n: usize, &extent| n.checked_mul(extent));
    if needed != Some(n_values) {
        let shape = &arrays.shape;
        let problem =
            format!("has {n_values} pixel values, which are not those of extents {shape:?}");
        return Err(content(Path::new(&arrays.name), problem));
    }
    let raw = Raw::new(arrays.shape.clone(), arrays.pixels.clone());
    let raw = Raw { layout: arrays.layout, ..raw };
    let Some(labels) = arrays.labels.clone() else { return Ok(raw) };
    let n_labels = labels.values.len();
    let needed = labels.dims.iter().try_fold(1, |n: usize, &extent| n.checked_mul(extent));
    if labels.dims.is_empty() || needed != Some(n_labels) {
        let problem =
            format!("has {n_labels} labels, which are not those of extents {:?}", labels.dims);
        return Err(content(Path::new(&arrays.name), problem));
    }
    Ok(raw.with_labels(labels))
}
