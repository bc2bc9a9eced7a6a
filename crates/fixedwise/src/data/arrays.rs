//! Images in memory: what a file would hold, without the file.

use super::raw::{Pixels, Raw, content};
use crate::{error::DataError, preprocess::Layout};
use std::path::Path;

/// Images in memory and, where there are some, their labels.
///
/// They are checked as those of a file are, when a network takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrays {
    /// How messages call them.
    pub name: String,
    /// Extents, the image first: `[n, h, w, c]`, `[n, c, h, w]`, `[n, h, w]` or, for a network that
    /// takes vectors, `[n, c]`.
    pub shape: Vec<usize>,
    /// The values in that order, the last axis fastest.
    pub pixels: Pixels,
    /// Where the channels are; by default what the preprocessing says, or what fits the network.
    pub layout: Option<Layout>,
    /// A class for each image, from 0 on.
    pub labels: Option<Vec<i64>>,
}

/// What a loader reads from a file.
pub(super) fn raw(arrays: &Arrays) -> Result<Raw, DataError> {
    let n_values = arrays.pixels.len();
    let needed = arrays.shape.iter().try_fold(1, |n: usize, &extent| n.checked_mul(extent));
    if needed != Some(n_values) {
        let shape = &arrays.shape;
        let problem =
            format!("has {n_values} pixel values, which are not those of extents {shape:?}");
        return Err(content(Path::new(&arrays.name), problem));
    }
    let (labels, layout) = (arrays.labels.clone(), arrays.layout);
    Ok(Raw { labels, layout, ..Raw::new(arrays.shape.clone(), arrays.pixels.clone()) })
}
