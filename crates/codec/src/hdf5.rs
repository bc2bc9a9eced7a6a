//! HDF5 files: attributes that are text, and datasets of floats. The one place that knows the
//! crate which reads them.

use crate::convert::{DEFLATE_MAX_RATIO, f64_to_f32};
use hdf5_reader::{Datatype, Hdf5File, OpenOptions, group::Group};

/// An open file; what is read of it has at most `limit` bytes in all.
pub(crate) struct Hdf5 {
    file: Hdf5File,
    left: usize,
}

/// The names of what lies in a group, both sorted.
pub(crate) struct Members {
    pub(crate) groups: Vec<String>,
    pub(crate) datasets: Vec<String>,
}

/// The extents of a dataset and its elements, last axis fastest.
pub(crate) type Floats = (Vec<usize>, Vec<f32>);

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Hdf5 {
    /// Opens a file. Links to other files are not followed.
    pub(crate) fn open(bytes: &[u8], limit: usize) -> Result<Self, String> {
        // No more than deflate can hold in as many bytes.
        let limit = limit.min(bytes.len().saturating_mul(DEFLATE_MAX_RATIO));
        let options = OpenOptions::default()
            .with_max_read_bytes(limit)
            .with_max_chunk_bytes(limit)
            .with_max_object_header_bytes(limit.min(1 << 26))
            .with_chunk_cache_bytes(0);
        let file = Hdf5File::from_bytes_with_options(bytes, options).map_err(said)?;
        Ok(Self { file, left: limit })
    }

    fn group(&self, path: &str) -> Result<Group, String> {
        self.file.group(path).map_err(said)
    }

    /// The text in an attribute of a group; `None` where there is no such attribute.
    pub(crate) fn text(&self, group: &str, name: &str) -> Result<Option<String>, String> {
        let attributes = self.group(group)?.attributes().map_err(said)?;
        let attribute = attributes.into_iter().find(|attribute| attribute.name == name);
        attribute.map(|attribute| attribute.read_string().map_err(said)).transpose()
    }

    /// The texts in an attribute of a group. Keras spreads long lists over attributes `name0`,
    /// `name1` and so on; `None` where there is neither `name` nor `name0`.
    pub(crate) fn texts(&self, group: &str, name: &str) -> Result<Option<Vec<String>>, String> {
        let attributes = self.group(group)?.attributes().map_err(said)?;
        let read = |name: &str| {
            let attribute = attributes.iter().find(|attribute| attribute.name == name);
            attribute.map(|attribute| {
                // An empty list has no element type that means anything.
                let is_empty = attribute.shape.contains(&0);
                if is_empty { Ok(Vec::new()) } else { attribute.read_strings().map_err(said) }
            })
        };
        if let Some(texts) = read(name) {
            return texts.map(Some);
        }
        let mut all = None;
        for part in 0.. {
            let Some(texts) = read(&format!("{name}{part}")) else { break };
            all.get_or_insert_with(Vec::new).extend(texts?);
        }
        Ok(all)
    }

    /// What lies in a group.
    pub(crate) fn members(&self, group: &str) -> Result<Members, String> {
        let (mut groups, mut datasets) = self.group(group)?.member_names().map_err(said)?;
        groups.sort_unstable();
        datasets.sort_unstable();
        Ok(Members { groups, datasets })
    }

    /// A dataset of 32 or 64 bit floats.
    pub(crate) fn floats(&mut self, path: &str) -> Result<Floats, String> {
        let dataset = self.file.dataset(path).map_err(said)?;
        let shape: Option<Vec<usize>> =
            dataset.shape().iter().map(|&extent| usize::try_from(extent).ok()).collect();
        let bytes = shape.as_ref().and_then(|shape| {
            shape.iter().try_fold(8_usize, |bytes, &extent| bytes.checked_mul(extent))
        });
        let left = bytes.and_then(|bytes| self.left.checked_sub(bytes / 2));
        let (Some(shape), Some(left)) = (shape, left) else {
            return Err(format!(
                "its extents {:?} are more than the file can hold or than is read",
                dataset.shape()
            ));
        };
        self.left = left;
        let data: Vec<f32> = match dataset.dtype() {
            Datatype::FloatingPoint { size: 4, .. } => {
                dataset.read_array::<f32>().map_err(said)?.iter().copied().collect()
            }
            Datatype::FloatingPoint { size: 8, .. } => {
                dataset.read_array::<f64>().map_err(said)?.iter().map(|&x| f64_to_f32(x)).collect()
            }
            other => return Err(format!("its elements are {other:?}, not 32 or 64 bit floats")),
        };
        if shape.iter().product::<usize>() != data.len() {
            return Err(format!("{} elements do not fill extents {shape:?}", data.len()));
        }
        Ok((shape, data))
    }
}
