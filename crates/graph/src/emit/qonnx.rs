//! QONNX: `Quant` nodes that say scale, width, sign and range of each tensor.
//!
//! Source: arXiv 2206.07527. Constants are stored as floats with a `Quant` node behind them. The
//! graph takes one image of raw pixels as floats, `[1, c, h, w]`, and gives the real values of the
//! classes.

use super::network::{self, Dialect, OnnxFile};
use crate::{EmitError, FixedGraph};

/// The network as a QONNX file, for one image at a time.
///
/// # Errors
/// [`EmitError`] naming the node whose steps no 32-bit float has.
pub fn emit(fixed: &FixedGraph) -> Result<OnnxFile, EmitError> {
    network::emit(fixed, Dialect::Qonnx)
}
