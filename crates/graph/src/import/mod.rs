//! From a model file to a graph: a builder that knows no format, and a reader for each format on top,
//! which finds in the tables of `ops` who reads what.

pub(crate) mod axes;
pub(crate) mod builder;
pub(crate) mod keras;
pub(crate) mod onnx;
pub(crate) mod view;

pub use keras::{from_keras, from_onnx_with_weights};
pub use onnx::{from_onnx, from_onnx_with_shape};

/// The shape of an input whose file leaves extents open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputShape {
    /// Which input; `None` where there is one.
    pub name: Option<String>,
    /// Its extents in the order of the file, the batch first.
    pub extents: Vec<usize>,
}
