//! Convolutions and dense layers: which kernel prints a layer.

mod filters;
mod function;
mod general;
mod layer;
mod m4;
mod m55;
mod weights;

pub(crate) use layer::ConvLayer;

use super::{
    node::{CNode, CStep},
    options::Core,
    source::Source,
};
use crate::error::EmitError;

/// The kernels of a core, best first; what none of them takes is left to the general one.
fn kernels(core: Core) -> &'static [(&'static str, Kernel)] {
    match core {
        Core::Portable => &[("filters", filters::emit)],
        Core::Dsp => &[("dsp", m4::emit), ("filters", filters::emit)],
        Core::Mve => &[("mve", m55::emit), ("dsp", m4::emit), ("filters", filters::emit)],
    }
}

/// Puts a layer into the file, among its items `static void NAME(const X *x, Y *y, uint8_t
/// *scratch)`, and gives the bytes of scratch that needs; `None` where it cannot do the layer.
type Kernel = fn(&ConvLayer, &mut Source) -> Option<usize>;

/// Prints a convolution with the first kernel of the core that takes it.
pub(crate) fn emit_conv(layer: &ConvLayer, node: &mut CNode) -> Result<CStep, EmitError> {
    node.check_extents(&[layer.input, layer.output], layer.window)?;
    node.source.access(layer.x);
    node.source.access(layer.y);
    for (kernel, emit) in kernels(node.options.core) {
        if let Some(scratch_bytes) = emit(layer, node.source) {
            let call = format!("{}($X0, $Y, $SCRATCH);", layer.name);
            return Ok(CStep { scratch_bytes, ..CStep::call(kernel, call) });
        }
    }
    general::emit(layer, node.source);
    Ok(CStep::call("general", format!("{}($X0, $Y, 0);", layer.name)))
}
