//! From a model file to a graph: a builder that knows no format, and a reader for each format on top,
//! which finds in the tables of `ops` who reads what.

pub(crate) mod axes;
pub(crate) mod builder;
mod input_shape;
mod interface;
pub(crate) mod keras;
pub(crate) mod onnx;
mod tflite;
pub(crate) mod view;

pub use input_shape::InputShape;
pub use interface::Interface;
pub use keras::{from_keras, from_keras_with, from_onnx_with_weights};
pub use onnx::{from_onnx, from_onnx_with};
pub use tflite::from_tflite;
