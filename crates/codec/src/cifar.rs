//! CIFAR-10 and CIFAR-100 batches: the records of the binary version, the pickles of the Python
//! version.

use crate::pickle::{Pickle, PickleError};

/// Bytes of an image: three planes (red, green, blue) of 32 rows and 32 columns.
pub const IMAGE_BYTES: usize = 3 * 32 * 32;

/// Which of the two data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 10 classes.
    Cifar10,
    /// 100 classes in 20 groups; the classes ("fine labels") are read.
    Cifar100,
}

/// Images and their classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Pixels, `[n, c, h, w]` with `c` 3 and `h`, `w` 32.
    pub pixels: Vec<u8>,
    /// The class of each image.
    pub labels: Vec<u8>,
}

/// Why a batch cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CifarError {
    /// A binary file of another length.
    #[error(
        "{found} bytes are not a multiple of the record size, {record} bytes; the file is \
         truncated or has another format"
    )]
    Length {
        /// Bytes of the file.
        found: usize,
        /// Bytes of one record.
        record: usize,
    },
    /// A pickle that cannot be read.
    #[error("not a CIFAR batch of the Python version")]
    Pickle {
        /// What is wrong with it.
        #[source]
        source: PickleError,
    },
    /// A pickle of something else.
    #[error("not a CIFAR batch of the Python version: {problem}")]
    Content {
        /// What is wrong.
        problem: String,
    },
}

/// Reads a batch of the binary version: the class in one byte (CIFAR-100: the group in another
/// before it), then the pixels.
///
/// # Errors
/// [`CifarError::Length`] where the bytes are not whole records.
///
/// ```
/// use fixedwise_codec::cifar::{Version, read_binary};
/// let mut file = vec![7];
/// file.extend([0; 3072]);
/// assert_eq!(read_binary(&file, Version::Cifar10).unwrap().labels, [7]);
/// ```
pub fn read_binary(bytes: &[u8], version: Version) -> Result<Batch, CifarError> {
    let label_bytes = match version {
        Version::Cifar10 => 1,
        Version::Cifar100 => 2,
    };
    let record = label_bytes + IMAGE_BYTES;
    let records = bytes.chunks_exact(record);
    if bytes.is_empty() || !records.remainder().is_empty() {
        return Err(CifarError::Length { found: bytes.len(), record });
    }
    Ok(Batch {
        labels: records.clone().map(|record| record[label_bytes - 1]).collect(),
        pixels: records.flat_map(|record| &record[label_bytes..]).copied().collect(),
    })
}

/// Reads a batch of the Python version: a pickled dictionary with `data`, a NumPy array `[n, 3072]`
/// of bytes, and the list `labels` (`fine_labels`).
///
/// # Errors
/// [`CifarError`] where the bytes are no pickle, or one of something else. Nothing that a pickle
/// names is run.
pub fn read_python(bytes: &[u8], version: Version) -> Result<Batch, CifarError> {
    let pickle = Pickle::read(bytes).map_err(|source| CifarError::Pickle { source })?;
    let wrong = |problem: String| CifarError::Content { problem };
    let key = match version {
        Version::Cifar10 => "labels",
        Version::Cifar100 => "fine_labels",
    };
    let lacks = |key: &str| wrong(format!("it has no entry `{key}`"));
    let data = pickle.entry("data").ok_or_else(|| lacks("data"))?;
    let data = pickle.byte_array(data).ok_or_else(|| {
        wrong("its `data` is not a NumPy array of unsigned bytes in C order".to_owned())
    })?;
    if data.shape.len() != 2 || data.shape[1] != IMAGE_BYTES {
        return Err(wrong(format!(
            "its `data` has the shape {:?}, not [n, {IMAGE_BYTES}]",
            data.shape
        )));
    }
    let labels = pickle.entry(key).ok_or_else(|| lacks(key))?;
    let labels: Option<Vec<u8>> = pickle
        .ints(labels)
        .and_then(|labels| labels.into_iter().map(|x| u8::try_from(x).ok()).collect());
    let labels = labels
        .ok_or_else(|| wrong(format!("its `{key}` is not a list of integers from 0 to 255")))?;
    if labels.len() != data.shape[0] {
        return Err(wrong(format!("{} images have {} labels", data.shape[0], labels.len())));
    }
    Ok(Batch { pixels: data.data.to_vec(), labels })
}
