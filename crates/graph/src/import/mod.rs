//! From a model file to a graph: a builder that knows no format, and a reader for each format on top,
//! which finds in the tables of `ops` who reads what.

pub(crate) mod axes;
pub(crate) mod builder;
pub(crate) mod keras;
pub(crate) mod onnx;
pub(crate) mod view;

use crate::error::ImportError;
use std::{
    fmt::{self, Display, Formatter},
    str::FromStr,
};

pub use keras::{from_keras, from_keras_with_shape, from_onnx_with_weights};
pub use onnx::{from_onnx, from_onnx_with_shape};

/// The shape of an input whose file leaves extents open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputShape {
    /// Which input; `None` where there is one.
    pub name: Option<String>,
    /// Its extents in the order of the file, the batch first.
    pub extents: Vec<usize>,
}

impl FromStr for InputShape {
    type Err = ImportError;

    /// `1x3x224x224`, or `NAME=1x3x224x224`.
    fn from_str(text: &str) -> Result<Self, ImportError> {
        let (name, list) = match text.rsplit_once('=') {
            Some((name, list)) => (Some(name), list),
            None => (None, text),
        };
        let extents: Option<Vec<usize>> =
            list.split('x').map(|extent| extent.trim().parse().ok().filter(|&n| n > 0)).collect();
        match extents.filter(|_| name != Some("")) {
            Some(extents) => Ok(Self { name: name.map(str::to_owned), extents }),
            None => Err(ImportError::Interface(format!(
                "`{text}` is not a shape; write the extents in the order of the file, the batch \
                 first: `1x3x224x224`, or `NAME=1x3x224x224`"
            ))),
        }
    }
}

impl Display for InputShape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}=")?;
        }
        let extents: Vec<String> = self.extents.iter().map(usize::to_string).collect();
        f.write_str(&extents.join("x"))
    }
}
