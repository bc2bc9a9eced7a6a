//! Emitters: a [`FixedGraph`](crate::FixedGraph) in the forms that other tools read. They print what
//! lowering has decided.

pub mod hls;
mod names;
mod network;
pub mod npz;
pub mod onnx;
pub mod qonnx;

pub use names::identifier;
