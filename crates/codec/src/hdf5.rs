//! HDF5 files: attributes that are text, and datasets of floats. The one place that knows the
//! crate which reads them.

use crate::convert::{DEFLATE_MAX_RATIO, f64_to_f32};
use hdf5_reader::{
    Attribute, Datatype, Hdf5File, OpenOptions, RawAttribute, StringSize, group::Group,
};

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
    pub(crate) fn text(&mut self, group: &str, name: &str) -> Result<Option<String>, String> {
        match self.texts(group, name)? {
            None => Ok(None),
            Some(texts) => match <[String; 1]>::try_from(texts) {
                Ok([text]) => Ok(Some(text)),
                Err(texts) => Err(format!("attribute `{name}` has {} strings", texts.len())),
            },
        }
    }

    /// The texts in an attribute of a group. Keras spreads long lists over attributes `name0`,
    /// `name1` and so on; `None` where there is neither `name` nor `name0`.
    pub(crate) fn texts(&mut self, group: &str, name: &str) -> Result<Option<Vec<String>>, String> {
        let group = self.group(group)?;
        let attributes = group.raw_attributes().map_err(said)?;
        let find = |name: &str| attributes.iter().find(|attribute| attribute.name() == name);
        if let Some(attribute) = find(name) {
            return self.decode(&group, attribute).map(Some);
        }
        let mut all = None;
        for attribute in (0..).map_while(|part| find(&format!("{name}{part}"))) {
            all.get_or_insert_with(Vec::new).extend(self.decode(&group, attribute)?);
        }
        Ok(all)
    }

    /// The texts of one attribute. References of any number can lead to one long text, so that what
    /// they come to is counted.
    fn decode(&mut self, group: &Group, attribute: &RawAttribute) -> Result<Vec<String>, String> {
        let message = attribute.message();
        let named = |problem: String| format!("attribute `{}`: {problem}", message.name);
        let n = message.dataspace.num_elements().map_err(|error| named(said(error)))?;
        let n = usize::try_from(n).map_err(|error| named(said(error)))?;
        // An empty list has no element type that means anything.
        if n == 0 {
            return Ok(Vec::new());
        }
        let is_variable = match &message.datatype {
            Datatype::VarLen { .. } => true,
            Datatype::String { size, .. } => matches!(size, StringSize::Variable),
            other => return Err(named(format!("its elements are {other:?}, not text"))),
        };
        if !is_variable {
            let attribute = Attribute {
                name: message.name.clone(),
                datatype: message.datatype.clone(),
                shape: message.dataspace.dims.clone(),
                raw_data: message.raw_data.clone(),
                decoded_strings: None,
            };
            let texts = attribute.read_strings().map_err(|error| named(said(error)))?;
            return if texts.len() == n {
                Ok(texts)
            } else {
                Err(named("is truncated".to_owned()))
            };
        }
        let reference = message.raw_data.len() / n;
        if reference == 0 {
            return Err(named("is truncated".to_owned()));
        }
        let mut texts = Vec::new();
        for reference in message.raw_data.chunks_exact(reference).take(n) {
            let bytes = group.resolve_vlen_reference_bytes(reference, 1);
            let bytes = bytes.map_err(|error| named(said(error)))?;
            let left = self.left.checked_sub(bytes.len());
            self.left = left.ok_or_else(|| named("has more text than the limit".to_owned()))?;
            let text = String::from_utf8(bytes).map_err(|error| named(said(error)))?;
            texts.push(text.trim_end_matches('\0').to_owned());
        }
        Ok(texts)
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
                "its shape {:?} is larger than the file or the limit",
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
            // How many images were seen: nothing that is multiplied.
            Datatype::FixedPoint { size: 4, signed: true, .. } => {
                let numbers = dataset.read_array::<i32>().map_err(said)?;
                numbers.iter().map(|&x| f64_to_f32(f64::from(x))).collect()
            }
            Datatype::FixedPoint { size: 8, signed: true, .. } => {
                let numbers = dataset.read_array::<i64>().map_err(said)?;
                let clamped = |&x: &i64| i32::try_from(x).unwrap_or(i32::MAX);
                numbers.iter().map(|x| f64_to_f32(f64::from(clamped(x)))).collect()
            }
            other => return Err(format!("its elements are {other:?}, not 32- or 64-bit floats")),
        };
        if shape.iter().product::<usize>() != data.len() {
            return Err(format!("{} elements do not match shape {shape:?}", data.len()));
        }
        Ok((shape, data))
    }
}
