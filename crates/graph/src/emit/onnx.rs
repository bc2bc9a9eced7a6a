//! Standard ONNX: `QuantizeLinear` and `DequantizeLinear` with scales that are powers of two.
//!
//! Constants are stored as integers of 4, 8 or 16 bits. The graph takes raw pixels,
//! `[n, c, h, w]`: bytes where the network takes bytes, else floats that it rounds itself. It gives
//! the real values of the classes.

use super::network::{self, Dialect};
use crate::{EmitError, FixedGraph};

pub use super::network::OnnxFile;

/// The network as an ONNX file, opset 21, for any number of images at a time.
///
/// # Errors
/// [`EmitError`] naming the node whose steps no 32-bit float has.
pub fn emit(fixed: &FixedGraph) -> Result<OnnxFile, EmitError> {
    network::emit(fixed, Dialect::Standard)
}
