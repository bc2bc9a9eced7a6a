//! From a model file to a graph: a builder that knows no format, and a reader for each format on top,
//! which finds in the tables of `ops` who reads what.

pub(crate) mod axes;
pub(crate) mod builder;
pub(crate) mod keras;
pub(crate) mod onnx;

pub use keras::{from_keras, from_onnx_with_weights};
pub use onnx::from_onnx;
