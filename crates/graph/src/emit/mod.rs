//! Emitters: a [`FixedGraph`](crate::FixedGraph) in the forms that others run or read. They print what
//! lowering has decided; what is left to them is layout and instructions.

pub mod c;
pub mod hls;
mod names;
pub mod network;
pub mod npz;
pub mod onnx;
pub mod qonnx;
pub mod tflite;

pub use names::identifier;
